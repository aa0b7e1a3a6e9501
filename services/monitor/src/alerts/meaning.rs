//! What Alertmanager's webhook says (its payload of version 4), and what that means for a site. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;
use watari_contracts::scheduler::EvacuateSite;
use watari_model::{SiteName, Timestamp};

use crate::settings::alerts::Alerts;

/// The label that names the site. Alerts without it are not about one.
const SITE: &str = "watari_site";
/// The label that names the alert.
const NAME: &str = "alertname";
/// A fingerprint is sixteen hexadecimal digits; another maker's may be a little longer.
const LONGEST_FINGERPRINT: usize = 32;

/// What is posted. What is not needed of it is passed over.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Webhook {
    pub(super) alerts: Vec<Alert>,
}

/// One alert of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Alert {
    status: String,
    labels: BTreeMap<String, String>,
    starts_at: Timestamp,
    fingerprint: String,
}

/// What an alert means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The site is to be emptied, at once or by a person's word.
    Evacuate(EvacuateSite),
    /// It would be, but may be over in a moment.
    TooYoung,
    /// Something is the matter at a site; a person decides.
    Note { alert: String, site: String },
    /// Nothing: it is about no site, or over.
    Nothing,
}

/// Understands an alert. One that is told again, as Alertmanager does, asks for the same once more.
pub(super) fn meaning(alert: &Alert, rules: &Alerts, now: Timestamp) -> Meaning {
    let label = |name: &str| alert.labels.get(name).cloned().unwrap_or_default();
    let (site, name) = (label(SITE), label(NAME));
    if alert.status != "firing" || site.is_empty() {
        return Meaning::Nothing;
    }
    let fingerprint = &alert.fingerprint;
    let sound = (1..=LONGEST_FINGERPRINT).contains(&fingerprint.len())
        && fingerprint.chars().all(|c| c.is_ascii_alphanumeric());
    match site.parse::<SiteName>() {
        Ok(site) if sound && (rules.evacuate_on.contains(&name) || rules.propose_on.contains(&name)) => {
            if now.millis_since(alert.starts_at) < rules.firing_seconds.saturating_mul(1_000) {
                return Meaning::TooYoung;
            }
            let request_id = Some(format!("alert/{fingerprint}/{}", alert.starts_at.0.unix_timestamp()));
            let propose = rules.propose_on.contains(&name).then(|| shown(&name));
            Meaning::Evacuate(EvacuateSite { request_id, site, propose })
        }
        _ => Meaning::Note { alert: shown(&name), site: shown(&site) },
    }
}

/// Text from outside, cut to what is sensible to show.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Alertmanager 0.27 posts it.
    const POSTED: &str = r#"{
        "version": "4", "groupKey": "{}:{alertname=\"RoomTooHot\"}", "truncatedAlerts": 0, "status": "firing",
        "receiver": "watari", "groupLabels": {"alertname": "RoomTooHot"}, "commonLabels": {}, "commonAnnotations": {},
        "externalURL": "http://127.0.0.1:9093",
        "alerts": [{
            "status": "firing", "labels": {"alertname": "RoomTooHot", "watari_site": "myodaiji", "severity": "critical"},
            "annotations": {"summary": "41 degrees"}, "startsAt": "2026-08-01T12:00:00.123456789+09:00",
            "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "http://127.0.0.1:9090", "fingerprint": "c4f5a4a8bd7b6e21"
        }]
    }"#;

    fn posted() -> Alert {
        let webhook: Webhook = serde_json::from_str(POSTED).unwrap();
        webhook.alerts[0].clone()
    }

    fn means(alert: &Alert) -> Meaning {
        let evacuate_on = vec!["RoomTooHot".to_owned(), "WaterInRoom".to_owned()];
        meaning(alert, &Alerts { evacuate_on, ..Alerts::default() }, alert.starts_at)
    }

    #[test]
    fn one_that_asks_first_proposes_and_one_that_is_young_is_to_be_sent_again() {
        let asks = Alerts { propose_on: vec!["RoomTooHot".to_owned()], firing_seconds: 60, ..Alerts::default() };
        let after = |seconds: u64| meaning(&posted(), &asks, posted().starts_at.plus_millis(seconds * 1_000));
        assert_eq!(after(59), Meaning::TooYoung);
        let Meaning::Evacuate(request) = after(60) else { panic!("{:?}", after(60)) };
        assert_eq!(request.propose.as_deref(), Some("RoomTooHot"));
        assert_eq!(request.request_id.as_deref(), Some("alert/c4f5a4a8bd7b6e21/1785553200"));
        let mut warm = posted();
        warm.labels.insert("alertname".to_owned(), "RoomWarm".to_owned());
        assert!(matches!(meaning(&warm, &asks, warm.starts_at), Meaning::Note { .. }), "a note is not waited for");
    }

    #[test]
    fn an_alert_that_is_listed_empties_its_site_and_is_the_same_when_it_is_told_again() {
        let request_id = Some("alert/c4f5a4a8bd7b6e21/1785553200".to_owned());
        let wanted = Meaning::Evacuate(EvacuateSite { request_id, site: "myodaiji".parse().unwrap(), propose: None });
        assert_eq!((means(&posted()), means(&posted())), (wanted.clone(), wanted.clone()));
        let mut later = posted();
        later.starts_at = later.starts_at.plus_millis(60_000);
        assert_ne!(means(&later), wanted, "another time is another cause");
    }

    #[test]
    fn one_that_is_not_listed_or_names_no_site_is_left_to_people() {
        for (label, value) in [("alertname", "RoomWarm"), ("watari_site", "../etc"), ("watari_site", "Myodaiji")] {
            let mut alert = posted();
            alert.labels.insert(label.to_owned(), value.to_owned());
            assert!(matches!(means(&alert), Meaning::Note { .. }), "{label} {value}");
        }
        let mut forged = posted();
        forged.fingerprint = "a b".to_owned();
        assert!(matches!(means(&forged), Meaning::Note { .. }));
    }

    #[test]
    fn one_that_is_over_or_about_no_site_means_nothing() {
        let mut over = posted();
        over.status = "resolved".to_owned();
        let mut elsewhere = posted();
        elsewhere.labels.remove("watari_site");
        assert_eq!((means(&over), means(&elsewhere)), (Meaning::Nothing, Meaning::Nothing));
    }
}
