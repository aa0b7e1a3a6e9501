//! Whose a console is. Pure.
//!
//! ```text
//!          open                      typed, followed: heard
//!   free ────────▶ held ◀──────────────────────────────────┐
//!    ▲              │ └─────────────────────────────────────┘
//!    │              ├── closed by its holder ──▶ free
//!    └── silent ────┴── opened by another, by force or since it is silent ──▶ held by them
//! ```

/// Who is not heard for so long has gone: a client asks all the time.
const SILENT_MS: u64 = 20_000;

/// What becomes of a wish to open a console that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// It is the holder's own, whose answer was lost.
    GoesOn,
    /// The holder loses it.
    Over,
    /// It is in use by somebody.
    Held(String),
}

/// One person's use of a console.
pub(super) struct Session {
    name: String,
    by: String,
    heard: u64,
    typed: u64,
}

impl Session {
    /// One that begins now, in milliseconds on the boot clock.
    pub(super) fn new(name: String, by: String, now: u64) -> Self {
        Self { name, by, heard: now, typed: 0 }
    }

    /// What becomes of the wish of a session of that name.
    pub(super) fn claim(&self, name: &str, take_over: bool, now: u64) -> Claim {
        if self.name == name {
            return Claim::GoesOn;
        }
        if take_over || self.is_silent(now) { Claim::Over } else { Claim::Held(self.by.clone()) }
    }

    /// Whether it is of that name; its holder is heard by that.
    pub(super) fn hear(&mut self, name: &str, now: u64) -> bool {
        let is_own = self.name == name;
        if is_own {
            self.heard = self.heard.max(now);
        }
        is_own
    }

    /// Whether its holder has gone.
    pub(super) fn is_silent(&self, now: u64) -> bool {
        now.saturating_sub(self.heard) > SILENT_MS
    }

    /// What of bytes that begin at `from` is not typed yet; none if some before them are missing.
    pub(super) fn fresh<'b>(&self, from: u64, bytes: &'b [u8]) -> Option<&'b [u8]> {
        let known = usize::try_from(self.typed.checked_sub(from)?).ok()?;
        Some(bytes.get(known..).unwrap_or_default())
    }

    /// So many more are typed.
    pub(super) fn took(&mut self, bytes: usize) {
        self.typed = self.typed.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// How many bytes are typed.
    pub(super) fn typed(&self) -> u64 {
        self.typed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sato() -> Session {
        Session::new("a".to_owned(), "sato".to_owned(), 1_000)
    }

    #[test]
    fn a_console_that_is_in_use_is_given_to_nobody_else_but_by_force() {
        let held = sato();
        assert_eq!(held.claim("b", false, 1_001), Claim::Held("sato".to_owned()));
        assert_eq!(held.claim("b", true, 1_001), Claim::Over);
        assert_eq!(held.claim("a", false, 1_001), Claim::GoesOn, "asked for twice it is opened once");
    }

    #[test]
    fn who_is_not_heard_for_a_while_has_gone() {
        let mut held = sato();
        let end = 1_000 + SILENT_MS;
        assert!(!held.is_silent(end) && held.is_silent(end + 1));
        assert_eq!(held.claim("b", false, end + 1), Claim::Over);
        assert!(!held.hear("b", end) && held.is_silent(end + 1), "another's word says nothing of the holder");
        assert!(held.hear("a", end) && !held.is_silent(end + 1));
    }

    #[test]
    fn what_comes_twice_is_typed_once_and_nothing_is_left_out() {
        let mut held = sato();
        assert_eq!(held.fresh(0, b"ls"), Some(&b"ls"[..]));
        held.took(2);
        assert_eq!(held.fresh(0, b"ls"), Some(&b""[..]), "the answer was lost");
        assert_eq!(held.fresh(0, b"ls\r"), Some(&b"\r"[..]));
        assert_eq!(held.fresh(2, b"\r"), Some(&b"\r"[..]));
        assert_eq!(held.fresh(3, b"\r"), None);
        assert_eq!(held.typed(), 2);
    }
}
