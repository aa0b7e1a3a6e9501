//! Which alerts are taken, and what they set off.

use std::net::SocketAddr;

use serde::Deserialize;

/// The most names of alerts that empty a site, and that propose to.
const MOST_NAMES: usize = 64;
/// Alertmanager sends for minutes what was not taken, and not for longer.
const LONGEST_FIRING: u64 = 3_600;

/// How Alertmanager is heard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alerts {
    /// Where its webhook is taken; empty is nowhere.
    pub listen: String,
    /// The names of those that empty the site of which they tell.
    pub evacuate_on: Vec<String>,
    /// The names of those that propose to empty it: an operator begins that.
    pub propose_on: Vec<String>,
    /// How long such an alert must have been firing, or be over for what it proposed to be withdrawn, in seconds; one that is
    /// younger is to be sent again.
    pub firing_seconds: u64,
}

impl Alerts {
    /// Where to listen, if anywhere.
    ///
    /// # Errors
    /// A sentence for the operator, if it is no address of the loopback.
    pub fn address(&self) -> Result<Option<SocketAddr>, String> {
        let text = self.listen.as_str();
        if text.is_empty() {
            return Ok(None);
        }
        let address: SocketAddr =
            text.parse().map_err(|_| format!("alerts.listen is {text:?}: give it ADDRESS:PORT or leave it empty"))?;
        // What it takes moves servers, and it asks nobody who they are.
        if address.ip().is_loopback() {
            Ok(Some(address))
        } else {
            Err(format!(
                "alerts.listen is {text}, which others can reach: use 127.0.0.1, and an Alertmanager beside it"
            ))
        }
    }

    /// Checks what the types cannot say.
    pub(super) fn validate(&self) -> Result<(), String> {
        self.address()?;
        for (key, names) in [("evacuate_on", &self.evacuate_on), ("propose_on", &self.propose_on)] {
            if names.len() > MOST_NAMES || names.iter().any(String::is_empty) {
                return Err(format!("alerts.{key} holds the names of at most {MOST_NAMES} alerts, none of them empty"));
            }
        }
        if let Some(twice) = self.propose_on.iter().find(|name| self.evacuate_on.contains(name)) {
            return Err(format!(
                "alerts.propose_on names {twice}, as alerts.evacuate_on does: leave it in one of them"
            ));
        }
        if self.firing_seconds > LONGEST_FIRING {
            let given = self.firing_seconds;
            return Err(format!("alerts.firing_seconds is {given}: give it 0 to {LONGEST_FIRING}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_are_taken_from_this_host_alone() {
        let at = |listen: &str| Alerts { listen: listen.to_owned(), ..Alerts::default() };
        assert_eq!(at("").address().unwrap(), None);
        assert_eq!(at("127.0.0.1:9106").address().unwrap().unwrap().port(), 9106);
        for bad in ["0.0.0.0:9106", "192.0.2.1:9106", "localhost:9106", "9106"] {
            assert!(at(bad).validate().unwrap_err().contains("alerts.listen"), "{bad}");
        }
        let nameless = Alerts { evacuate_on: vec![String::new()], ..at("") };
        assert!(nameless.validate().unwrap_err().contains("alerts.evacuate_on"));
    }

    #[test]
    fn an_alert_either_acts_or_asks_first_and_none_is_waited_for_too_long() {
        let hot = || vec!["RoomTooHot".to_owned()];
        let both = Alerts { evacuate_on: hot(), propose_on: hot(), ..Alerts::default() };
        assert!(both.validate().unwrap_err().contains("RoomTooHot"));
        Alerts { propose_on: hot(), firing_seconds: 60, ..Alerts::default() }.validate().unwrap();
        let late = Alerts { firing_seconds: LONGEST_FIRING + 1, ..Alerts::default() };
        assert!(late.validate().unwrap_err().contains("alerts.firing_seconds"));
    }
}
