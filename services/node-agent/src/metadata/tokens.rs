//! The tokens of one server. They live as long as the agent: who asks with one that it does not know
//! is refused, and asks for another, as after a crossing to another node. Pure.

use std::{collections::VecDeque, ops::RangeInclusive};

use sha2::{Digest, Sha256};

/// How long a token may live, in seconds, as with EC2.
pub(super) const LIFETIMES: RangeInclusive<u64> = 1..=21_600;
/// Kept for one server. The oldest makes room.
const MOST: usize = 64;

/// One token, by its digest, so that comparing takes no time that tells anything of it.
struct Held {
    digest: [u8; 32],
    until_ms: u64,
}

/// What one server was given.
#[derive(Default)]
pub(super) struct Tokens(VecDeque<Held>);

impl Tokens {
    /// Keeps a token from `now` on, in milliseconds on the boot clock, for so many seconds.
    pub(super) fn keep(&mut self, token: &str, seconds: u64, now: u64) {
        self.0.retain(|held| now < held.until_ms);
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        let until_ms = now.saturating_add(seconds.saturating_mul(1_000));
        self.0.push_back(Held { digest: digest(token), until_ms });
    }

    /// Whether that is one, and still is at `now`.
    pub(super) fn holds(&self, token: &str, now: u64) -> bool {
        let digest = digest(token);
        self.0.iter().any(|held| held.digest == digest && now < held.until_ms)
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_until_its_time_is_over() {
        let mut tokens = Tokens::default();
        tokens.keep("one", 2, 10_000);
        assert!(tokens.holds("one", 10_000) && tokens.holds("one", 11_999));
        assert!(!tokens.holds("one", 12_000) && !tokens.holds("two", 10_000) && !tokens.holds("", 10_000));
    }

    #[test]
    fn a_server_that_asks_for_ever_more_tokens_loses_its_oldest() {
        let mut tokens = Tokens::default();
        for n in 0..=MOST {
            tokens.keep(&n.to_string(), 60, 0);
        }
        assert!(!tokens.holds("0", 1) && tokens.holds("1", 1) && tokens.holds(&MOST.to_string(), 1));
        assert_eq!(tokens.0.len(), MOST);
        tokens.keep("later", 60, 60_000);
        assert_eq!(tokens.0.len(), 1, "those that are over go first");
    }
}
