//! What NATS servers are called. A server that was taken out of its cluster is not let in again
//! under its old name (2.15.1: "no suitable peers for placement"), so that it begins anew under the
//! host's name with the next number: `m-front`, `m-front-g2`, `m-front-g3`.

use sha2::{Digest, Sha256};

/// The server's name on `host` in its `number`th life, counted from 1.
#[must_use]
pub fn generation(host: &str, number: u32) -> String {
    if number <= 1 { host.to_owned() } else { format!("{host}-g{number}") }
}

/// Whether `name` is one of the names of the server on `host`.
pub(super) fn is_of(name: &str, host: &str) -> bool {
    let number = name.strip_prefix(host).and_then(|rest| rest.strip_prefix("-g"));
    name == host || number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// The id under which a server of this name has its vote (nats-server, `getHash`): eight digits to
/// the base 62 of the name's SHA-256. A server that was started while another was away knows that
/// one by its id alone.
pub(super) fn peer(name: &str) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    Sha256::digest(name.as_bytes()).iter().take(8).map(|b| char::from(DIGITS[usize::from(*b) % 62])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_nats_server() {
        // As nats-server 2.15.1 shows them at /jsz.
        for (name, id) in [("s1", "k2My6qdB"), ("s2", "noC8kOtg"), ("s3", "3ahZoO2Q"), ("s1-g2", "1w7ShoPB")] {
            assert_eq!(peer(name), id);
        }
    }

    #[test]
    fn a_host_knows_its_own_names() {
        assert_eq!([generation("w", 1), generation("w", 2)], ["w", "w-g2"]);
        assert!(is_of("w", "w") && is_of("w-g12", "w"));
        assert!(!is_of("w-g", "w") && !is_of("w-gx", "w") && !is_of("w2", "w") && !is_of("m-front-g2", "m"));
    }
}
