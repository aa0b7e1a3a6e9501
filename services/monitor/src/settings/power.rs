//! Which UPSes are asked, and how what they say is taken.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
};

use serde::Deserialize;
use watari_model::SiteName;

/// The most UPSes of all sites together.
const MOST_UPSES: usize = 64;
/// The port of `upsd` (RFC 9271).
const PORT: u16 = 3493;

/// One UPS of a site.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ups {
    /// The site that it feeds.
    pub site: SiteName,
    /// What it is called, and where it is asked.
    pub name: UpsName,
    /// As whom to log in, where `upsd` wants that before it says anything.
    #[serde(default)]
    pub user: Option<String>,
    /// The file whose first line is that user's password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
}

/// How the UPSes are asked and understood.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Power {
    /// Milliseconds between two questions to one UPS.
    pub poll_ms: u64,
    /// Milliseconds in which it must have answered.
    pub answer_ms: u64,
    /// Seconds that a battery that is said to be low lasts at the most.
    pub low_battery_seconds: u64,
    /// By site, how many of its UPSes must be on line for the site to be on mains; one if it is not here.
    pub needs: BTreeMap<SiteName, usize>,
}

impl Power {
    /// How many UPSes of a site must be on line.
    #[must_use]
    pub fn needs(&self, site: &SiteName) -> usize {
        self.needs.get(site).copied().unwrap_or(1)
    }

    /// Checks what the types cannot say.
    pub(super) fn validate(&self, upses: &[Ups]) -> Result<(), String> {
        if upses.len() > MOST_UPSES {
            return Err(format!("there are {} of [[ups]]: use at most {MOST_UPSES}", upses.len()));
        }
        let mut seen = BTreeSet::new();
        for Ups { site, name, user, password_file } in upses {
            if !seen.insert((site, name.to_string())) {
                return Err(format!("[[ups]] names {name} of site {site} twice: once is enough"));
            }
            if user.is_some() != password_file.is_some() {
                return Err(format!("[[ups]] {name}: give both user and password_file, or neither"));
            }
            if user.as_ref().is_some_and(|user| user.is_empty() || user.chars().any(char::is_control)) {
                return Err(format!("[[ups]] {name}: the user is no name"));
            }
        }
        for (site, needs) in &self.needs {
            let there = upses.iter().filter(|ups| ups.site == *site).count();
            if !(1..=there).contains(needs) {
                return Err(format!(
                    "power.needs.{site} is {needs}: use at least 1, and at most the number of its [[ups]], {there}"
                ));
            }
        }
        Ok(())
    }
}

/// `NAME@HOST` or `NAME@HOST:PORT`, as all programs of Network UPS Tools take it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct UpsName {
    text: String,
    ups: String,
    host: String,
    port: u16,
}

/// Why a text names no UPS.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no UPS: use NAME@HOST or NAME@HOST:PORT, as in \"ups1@192.0.2.7:3493\"")]
pub struct NotAUps(String);

impl UpsName {
    /// What `upsd` calls it.
    #[must_use]
    pub fn ups(&self) -> &str {
        &self.ups
    }

    /// The host and the port of that `upsd`.
    #[must_use]
    pub fn address(&self) -> (&str, u16) {
        (self.host.as_str(), self.port)
    }

    fn parse(text: &str) -> Option<Self> {
        let (ups, place) = text.split_once('@')?;
        // An IPv6 address has colons of its own, and therefore stands in brackets.
        let (host, port, colon) = match place.strip_prefix('[') {
            Some(rest) => rest.split_once(']').map(|(host, port)| (host, port, ":"))?,
            None => {
                let (host, port) = place.split_at(place.find(':').unwrap_or(place.len()));
                (host, port, "")
            }
        };
        let port = if port.is_empty() {
            PORT
        } else {
            port.strip_prefix(':')?.parse::<u16>().ok().filter(|port| *port > 0)?
        };
        // What stands in a line of the protocol as it is must need no quotes there.
        let sound = |text: &str, also: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c) || also.contains(c);
            (1..=253).contains(&text.len()) && text.chars().all(fits)
        };
        let named = sound(ups, "") && sound(host, colon);
        named.then(|| Self { text: text.to_owned(), ups: ups.to_owned(), host: host.to_owned(), port })
    }
}

impl TryFrom<String> for UpsName {
    type Error = NotAUps;
    fn try_from(text: String) -> Result<Self, NotAUps> {
        Self::parse(&text).ok_or_else(|| NotAUps(text.chars().take(80).collect()))
    }
}

impl fmt::Display for UpsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(text: &str) -> Result<UpsName, NotAUps> {
        UpsName::try_from(text.to_owned())
    }

    fn ups(site: &str, name: &str) -> Ups {
        Ups { site: site.parse().unwrap(), name: named(name).unwrap(), user: None, password_file: None }
    }

    fn power(needs: &[(&str, usize)]) -> Power {
        let needs = needs.iter().map(|(site, needs)| (site.parse().unwrap(), *needs)).collect();
        Power { poll_ms: 5_000, answer_ms: 3_000, low_battery_seconds: 120, needs }
    }

    #[test]
    fn a_ups_is_named_as_network_ups_tools_name_it() {
        for (text, ups, address) in [
            ("ups1@192.0.2.7", "ups1", ("192.0.2.7", 3493)),
            ("ups1@rack.example.jp:3494", "ups1", ("rack.example.jp", 3494)),
            ("A_b.c-1@[2001:db8::7]", "A_b.c-1", ("2001:db8::7", 3493)),
            ("ups1@[2001:db8::7]:1", "ups1", ("2001:db8::7", 1)),
        ] {
            let name = named(text).unwrap();
            assert_eq!((name.ups(), name.address(), name.to_string().as_str()), (ups, address, text));
        }
        let bad = "|ups1|@h|ups1@|ups1@h:|ups1@h:0|ups1@h:70000|ups1@h:x|ups1@h h|ups1@a@b|a b@h|a\"@h|a\nFSD@h";
        let colons = "ups1@::1|ups1@[::1|ups1@[::1]3493|ups1@[]|a:b@h";
        for bad in bad.split('|').chain(colons.split('|')) {
            assert!(named(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_needed_is_there_and_nothing_is_named_twice() {
        let two = [ups("myodaiji", "a@h"), ups("myodaiji", "b@h")];
        power(&[]).validate(&[]).unwrap();
        power(&[("myodaiji", 2)]).validate(&two).unwrap();
        assert_eq!((power(&[]).needs(&two[0].site), power(&[("myodaiji", 2)]).needs(&two[0].site)), (1, 2));
        for needs in [("myodaiji", 0), ("myodaiji", 3), ("yamate", 1)] {
            assert!(power(&[needs]).validate(&two).unwrap_err().contains("power.needs."), "{needs:?}");
        }
        assert!(power(&[]).validate(&[two[0].clone(), two[0].clone()]).unwrap_err().contains("twice"));
        let nobody = Ups { user: Some("watch".to_owned()), ..two[0].clone() };
        assert!(power(&[]).validate(&[nobody]).unwrap_err().contains("password_file"));
    }

    proptest! {
        #[test]
        fn no_name_breaks_out_of_a_line_of_the_protocol(text in "\\PC{0,40}") {
            if let Ok(name) = named(&text) {
                prop_assert!(!name.ups().contains([' ', '"', '\\', '\n', '\r', '\t']));
            }
        }
    }
}
