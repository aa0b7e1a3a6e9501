//! What Alertmanager's webhook says (its payload of version 4), and what that means for a site. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;
use watari_contracts::scheduler::{EvacuateSite, WithdrawOutage};
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
    /// Of one that is resolved, when it was over.
    #[serde(default)]
    ends_at: Option<Timestamp>,
    fingerprint: String,
}

/// What an alert means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The site is to be emptied, at once or by a person's word.
    Evacuate(EvacuateSite),
    /// What it proposed needs no answer any more.
    Withdraw(WithdrawOutage),
    /// It would be either, but may be over, or back, in a moment.
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
    let is_over = alert.status == "resolved";
    if site.is_empty() || !(is_over || alert.status == "firing") {
        return Meaning::Nothing;
    }
    let fingerprint = &alert.fingerprint;
    let sound = (1..=LONGEST_FINGERPRINT).contains(&fingerprint.len())
        && fingerprint.chars().all(|c| c.is_ascii_alphanumeric());
    let (acts, asks) = (rules.evacuate_on.contains(&name), rules.propose_on.contains(&name));
    // What has begun goes on: that an alert is over says nothing of what it left behind.
    if is_over && !asks {
        return Meaning::Nothing;
    }
    let Some(site) = site.parse::<SiteName>().ok().filter(|_| sound && (acts || asks)) else {
        return if is_over { Meaning::Nothing } else { Meaning::Note { alert: shown(&name), site: shown(&site) } };
    };
    let since = alert.ends_at.filter(|_| is_over).unwrap_or(alert.starts_at);
    if now.millis_since(since) < rules.firing_seconds.saturating_mul(1_000) {
        return Meaning::TooYoung;
    }
    let request_id = format!("alert/{fingerprint}/{}", alert.starts_at.0.unix_timestamp());
    if is_over {
        return Meaning::Withdraw(WithdrawOutage { site, request_id });
    }
    Meaning::Evacuate(EvacuateSite { request_id: Some(request_id), site, propose: asks.then(|| shown(&name)) })
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

    fn after_an_hour() -> Timestamp {
        posted().starts_at.plus_millis(3_600_000)
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
    fn one_that_asked_first_and_is_over_for_as_long_is_withdrawn_by_the_name_under_which_it_asked() {
        let asks = Alerts { propose_on: vec!["RoomTooHot".to_owned()], firing_seconds: 60, ..Alerts::default() };
        let mut over = posted();
        (over.status, over.ends_at) = ("resolved".to_owned(), Some(over.starts_at.plus_millis(600_000)));
        let after = |seconds: u64| meaning(&over, &asks, over.starts_at.plus_millis(seconds * 1_000));
        assert_eq!(after(659), Meaning::TooYoung, "it may be back in a moment");
        let request_id = "alert/c4f5a4a8bd7b6e21/1785553200".to_owned();
        let Meaning::Evacuate(asked) = meaning(&posted(), &asks, after_an_hour()) else { panic!("it does not ask") };
        assert_eq!(asked.request_id.as_ref(), Some(&request_id));
        let site = "myodaiji".parse().unwrap();
        assert_eq!(after(660), Meaning::Withdraw(WithdrawOutage { site, request_id }));
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
    fn one_that_acts_and_is_over_is_unlisted_and_over_or_is_about_no_site_means_nothing() {
        let mut over = posted();
        over.status = "resolved".to_owned();
        let unlisted = meaning(&over, &Alerts::default(), after_an_hour());
        assert_eq!(unlisted, Meaning::Nothing);
        let mut elsewhere = posted();
        elsewhere.labels.remove("watari_site");
        assert_eq!((means(&over), means(&elsewhere)), (Meaning::Nothing, Meaning::Nothing));
    }
}
