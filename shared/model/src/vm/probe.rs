//! How a server is asked from outside whether it answers, while an outage that it is a part of is under way.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The most probes of one server: each asks it once a second from every front end.
pub const MOST_PROBES: usize = 8;
/// The longest path of a page, in bytes.
const LONGEST_PATH: usize = 200;

/// What is asked, at the first address of the server that front ends reach. Written `tcp:22`, `smtp:25`, `http:80/path`
/// or `icmp`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Probe {
    /// Whether a connection is taken.
    Tcp {
        /// Where, from 1.
        port: u16,
    },
    /// Whether a mail server greets (RFC 5321, section 3.1).
    Smtp {
        /// Where, from 1.
        port: u16,
    },
    /// Whether a page is answered, with whatever status below 500.
    Http {
        /// Where, from 1.
        port: u16,
        /// Which, from its first slash on.
        path: String,
    },
    /// Whether it echoes (RFC 792): its kernel and the way to it, and nothing of what it is for.
    Icmp,
}

/// Why a text is no probe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{shown:?} is no probe: use tcp:PORT, smtp:PORT, http:PORT[/PATH] or icmp")]
pub struct NotAProbe {
    /// The text, cut to a length that is safe to show.
    pub shown: String,
}

fn read(text: &str) -> Option<Probe> {
    if text == "icmp" {
        return Some(Probe::Icmp);
    }
    let (kind, rest) = text.split_once(':')?;
    let (port, path) = rest.find('/').map_or((rest, None), |at| (&rest[..at], Some(&rest[at..])));
    // `parse` alone would take a sign.
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    let port = port.parse::<u16>().ok().filter(|port| digits && *port > 0)?;
    match (kind, path) {
        ("tcp", None) => Some(Probe::Tcp { port }),
        ("smtp", None) => Some(Probe::Smtp { port }),
        ("http", path) => {
            let path = path.unwrap_or("/");
            // Nothing may end the line of the request, nor the page's name within it.
            let sound = path.len() <= LONGEST_PATH && path.bytes().all(|b| b.is_ascii_graphic());
            sound.then(|| Probe::Http { port, path: path.to_owned() })
        }
        _ => None,
    }
}

impl FromStr for Probe {
    type Err = NotAProbe;
    fn from_str(text: &str) -> Result<Self, NotAProbe> {
        read(text).ok_or_else(|| NotAProbe { shown: text.chars().take(80).collect() })
    }
}

impl TryFrom<String> for Probe {
    type Error = NotAProbe;
    fn try_from(text: String) -> Result<Self, NotAProbe> {
        text.parse()
    }
}

impl From<Probe> for String {
    fn from(probe: Probe) -> Self {
        probe.to_string()
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { port } => write!(f, "tcp:{port}"),
            Self::Smtp { port } => write!(f, "smtp:{port}"),
            Self::Http { port, path } if path == "/" => write!(f, "http:{port}"),
            Self::Http { port, path } => write!(f, "http:{port}{path}"),
            Self::Icmp => f.write_str("icmp"),
        }
    }
}

impl JsonSchema for Probe {
    fn schema_name() -> Cow<'static, str> {
        "Probe".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^((tcp|smtp):[0-9]+|http:[0-9]+(/[!-~]*)?|icmp)$",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_probe_is_written_as_it_is_read() {
        for text in ["tcp:22", "smtp:25", "http:80", "http:8080/status?now=1", "tcp:65535", "icmp"] {
            assert_eq!(text.parse::<Probe>().unwrap().to_string(), text);
        }
        assert_eq!("http:80/".parse::<Probe>().unwrap().to_string(), "http:80");
        assert_eq!("http:80".parse::<Probe>().unwrap(), Probe::Http { port: 80, path: "/".to_owned() });
    }

    #[test]
    fn what_is_no_probe_is_refused() {
        let long = format!("http:80/{}", "a".repeat(LONGEST_PATH));
        for text in [
            "",
            "tcp",
            "tcp:",
            "tcp:0",
            "tcp:65536",
            "tcp:+22",
            "tcp:22/",
            "smtp:25/x",
            "udp:53",
            "icmp:",
            "icmp:8",
            "icmp/",
            "ICMP",
            "http:/x",
            "http:80x",
            "http:80/a b",
            "http:80/a\r\nHost: x",
            "http:80/é",
            " tcp:22",
            "TCP:22",
            &long,
        ] {
            assert!(text.parse::<Probe>().is_err(), "{text}");
            assert!(serde_json::from_value::<Probe>(text.into()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "\\PC{0,60}", also in "(tcp|smtp|http|icmp):?[0-9]{0,6}[ -~]{0,20}") {
            for text in [text, also] {
                if let Ok(probe) = text.parse::<Probe>() {
                    prop_assert_eq!(probe.to_string().parse::<Probe>(), Ok(probe));
                }
            }
        }
    }
}
