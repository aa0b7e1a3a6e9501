//! Since when silence means something. A monitor that was deaf, asleep or has just come to lead
//! blames no node for it.
//!
//! A node that was heard since then is judged by its own silence. One that was not is left as it
//! is until `lost_after` is over: that long its beats may still be on their way.

use watari_model::node::{Limits, State};

use super::Heard;

/// What the loop sees of its own ears at one look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ears {
    /// Boot-time milliseconds.
    pub(crate) now: u64,
    /// The tenure.
    pub(crate) epoch: u64,
    /// Counts the moments at which beats may have been lost.
    pub(crate) doubt: u64,
    /// Whether there is a connection to NATS.
    pub(crate) connected: bool,
}

/// Since when beats have been heard without a break.
#[derive(Debug, Default)]
pub(crate) struct Listening {
    since: u64,
    last: Option<Ears>,
}

impl Listening {
    /// Takes note of a look; tells whether nodes may be judged now.
    pub(crate) fn look(&mut self, ears: Ears, limits: Limits) -> bool {
        let unbroken = self.last.is_some_and(|last| {
            last.epoch == ears.epoch
                && last.doubt == ears.doubt
                && last.connected
                && ears.connected
                && ears.now.saturating_sub(last.now) < limits.suspect_after_ms
        });
        if !unbroken {
            self.since = ears.now;
        }
        self.last = Some(ears);
        ears.connected
    }

    /// Since when, in boot-time milliseconds.
    pub(crate) fn since(&self) -> u64 {
        self.since
    }

    /// What a node's state is by what was heard of it; none if nothing can be said yet.
    pub(crate) fn judge(&self, heard: Option<&Heard>, now: u64, limits: Limits) -> Option<State> {
        match heard {
            Some(heard) if heard.at >= self.since => {
                Some(State::after(now.saturating_sub(heard.at), heard.answers, limits))
            }
            _ if now.saturating_sub(self.since) < limits.lost_after_ms => None,
            _ => Some(State::Lost),
        }
    }
}
