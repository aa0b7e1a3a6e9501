//! Which alerts are taken, and what they set off.

use std::net::SocketAddr;

use serde::Deserialize;

/// The most names of alerts that empty a site.
const MOST_NAMES: usize = 64;

/// How Alertmanager is heard.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alerts {
    /// Where its webhook is taken; empty is nowhere.
    pub listen: String,
    /// The names of those that empty the site of which they tell.
    pub evacuate_on: Vec<String>,
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
        let names = &self.evacuate_on;
        if names.len() > MOST_NAMES || names.iter().any(String::is_empty) {
            return Err(format!(
                "alerts.evacuate_on holds the names of at most {MOST_NAMES} alerts, none of them empty"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_are_taken_from_this_host_alone() {
        let at = |listen: &str| Alerts { listen: listen.to_owned(), evacuate_on: Vec::new() };
        assert_eq!(at("").address().unwrap(), None);
        assert_eq!(at("127.0.0.1:9106").address().unwrap().unwrap().port(), 9106);
        for bad in ["0.0.0.0:9106", "192.0.2.1:9106", "localhost:9106", "9106"] {
            assert!(at(bad).validate().unwrap_err().contains("alerts.listen"), "{bad}");
        }
        let nameless = Alerts { evacuate_on: vec![String::new()], ..at("") };
        assert!(nameless.validate().unwrap_err().contains("alerts.evacuate_on"));
    }
}
