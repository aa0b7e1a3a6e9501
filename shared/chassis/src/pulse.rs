//! Whether the loops of a process turn, for the watchdog of whoever supervises it.
//!
//! ```text
//!   resting ──begins──► busy ──longer than the bound──► stuck
//!      ▲                 │ ▲ begins again: it goes on
//!      └──────rests──────┘ └── waits for what may take long: not stuck meanwhile
//! ```
//!
//! A loop that rests waits for a wake or a tick, and is well. One whose turn never ends does nothing any
//! more while the process looks alive, and, worse, keeps its lease from the standby.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::time::Instant;

tokio::task_local! {
    /// The loop whose turn is under way in this task.
    pub(crate) static TURNING: Pulse;
}

/// Where one loop is in its turn. Cloning shares it; with the last clone it is forgotten.
#[derive(Clone, Debug)]
pub struct Pulse(Arc<Loop>);

#[derive(Debug)]
struct Loop {
    name: &'static str,
    turn: Mutex<Turn>,
}

#[derive(Debug, Default)]
struct Turn {
    /// When the turn began or last went on; none at rest.
    since: Option<Instant>,
    /// How many parts of the turn wait for what may take long.
    waiting: usize,
}

impl Pulse {
    fn new(name: &'static str) -> Self {
        Self(Arc::new(Loop { name, turn: Mutex::default() }))
    }

    /// One that nobody looks at, where a loop runs without a process around it, as in a test.
    #[must_use]
    pub fn unwatched() -> Self {
        Self::new("unwatched")
    }

    /// A turn begins, or goes on with its next part.
    pub fn begins(&self) {
        self.turn().since = Some(Instant::now());
    }

    /// The turn is over.
    pub fn rests(&self) {
        self.turn().since = None;
    }

    /// A part of the turn waits, until the guard is dropped.
    pub(crate) fn waits(&self) -> Waiting {
        self.turn().waiting += 1;
        Waiting(self.clone())
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.0.turn()
    }
}

impl Loop {
    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long its turn has lasted, unless it rests or waits.
    fn busy(&self, now: Instant) -> Option<Duration> {
        let turn = self.turn();
        turn.since.filter(|_| turn.waiting == 0).map(|since| now.saturating_duration_since(since))
    }
}

/// While it lives, the loop is not taken for stuck.
pub(crate) struct Waiting(Pulse);

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut turn = self.0.turn();
        turn.waiting = turn.waiting.saturating_sub(1);
        turn.since = turn.since.map(|_| Instant::now());
    }
}

/// The loops of a process.
#[derive(Debug, Default)]
pub(crate) struct Pulses(Mutex<Vec<Weak<Loop>>>);

impl Pulses {
    /// A loop that rests.
    pub(crate) fn new_loop(&self, name: &'static str) -> Pulse {
        let new = Pulse::new(name);
        let mut loops = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        loops.retain(|known| known.strong_count() > 0);
        loops.push(Arc::downgrade(&new.0));
        new
    }

    fn all(&self) -> Vec<Arc<Loop>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect()
    }

    /// The loop that has been in one turn the longest, if that is `bound` or longer.
    pub(crate) fn stuck(&self, now: Instant, bound: Duration) -> Option<(&'static str, Duration)> {
        let busy = self.all().into_iter().filter_map(|known| Some((known.name, known.busy(now)?)));
        busy.max_by_key(|(_, lasted)| *lasted).filter(|(_, lasted)| *lasted >= bound)
    }

    /// Turns that are under way count from now: what they wait for was away.
    pub(crate) fn excuse(&self, now: Instant) {
        for known in self.all() {
            let mut turn = known.turn();
            turn.since = turn.since.map(|_| now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(60);

    fn stuck_after(pulses: &Pulses, time: Duration) -> Option<&'static str> {
        pulses.stuck(Instant::now() + time, BOUND).map(|(name, _)| name)
    }

    #[test]
    fn a_turn_that_does_not_end_is_stuck_and_rest_is_not() {
        let pulses = Pulses::default();
        let (idle, busy) = (pulses.new_loop("idle"), pulses.new_loop("busy"));
        assert_eq!(stuck_after(&pulses, BOUND * 2), None);
        busy.begins();
        assert_eq!(stuck_after(&pulses, BOUND / 2), None);
        assert_eq!(stuck_after(&pulses, BOUND * 2), Some("busy"));
        busy.rests();
        assert_eq!(stuck_after(&pulses, BOUND * 2), None);
        drop(idle);
    }

    #[test]
    fn one_that_waits_or_was_excused_counts_anew() {
        let pulses = Pulses::default();
        let pulse = pulses.new_loop("waiting");
        pulse.begins();
        let (one, other) = (pulse.waits(), pulse.waits());
        drop(one);
        assert_eq!(stuck_after(&pulses, BOUND * 2), None);
        drop(other);
        assert_eq!(stuck_after(&pulses, BOUND / 2), None);
        assert_eq!(stuck_after(&pulses, BOUND * 2), Some("waiting"));
        pulses.excuse(Instant::now() + BOUND * 2);
        assert_eq!(stuck_after(&pulses, BOUND * 2), None);
    }

    #[test]
    fn a_loop_that_is_gone_is_not_missed() {
        let pulses = Pulses::default();
        let pulse = pulses.new_loop("gone");
        pulse.begins();
        drop(pulse);
        assert_eq!(stuck_after(&pulses, BOUND * 2), None);
    }
}
