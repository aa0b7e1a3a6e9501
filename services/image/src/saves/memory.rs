//! What is remembered of copies while they are made: how far they are, since when their nodes are
//! silent, and with which token they may be sent. All of it may be forgotten.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use watari_model::{ImageName, Refusal, image::Image};

use crate::plan::saves::Heard;

/// Any server's change wakes the loop; a node is not asked more often than this.
const ASK_EVERY_MS: u64 = 500;

#[derive(Debug, Default)]
struct Known {
    heard: Heard,
    /// On the boot clock in milliseconds.
    asked_at: Option<u64>,
    /// On the boot clock in milliseconds.
    silent_since: Option<u64>,
    token: Option<String>,
    /// The digest of the whole copy of which the node spoke when it was asked last.
    whole: Option<String>,
}

/// The memory, by image.
#[derive(Debug, Default)]
pub struct Saves {
    known: Mutex<BTreeMap<ImageName, Known>>,
}

impl Saves {
    fn known(&self) -> MutexGuard<'_, BTreeMap<ImageName, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was last heard of an image's copy.
    #[must_use]
    pub fn heard(&self, image: &ImageName) -> Heard {
        self.known().get(image).map(|known| known.heard.clone()).unwrap_or_default()
    }

    /// Forgets all others.
    pub(super) fn keep(&self, images: &[&Image]) {
        self.known().retain(|name, _| images.iter().any(|image| image.name == *name));
    }

    /// A new copy begins.
    pub(super) fn begun(&self, image: &ImageName) {
        let mut all = self.known();
        let lost = all.remove(image).and_then(|known| known.heard.lost);
        let heard = Heard { lost, ..Heard::default() };
        all.insert(image.clone(), Known { heard, ..Known::default() });
    }

    /// Whether the node is to be asked now; it counts as asked then.
    pub(super) fn is_due(&self, image: &ImageName, now: u64) -> bool {
        let mut all = self.known();
        let known = all.entry(image.clone()).or_default();
        let due = known.asked_at.is_none_or(|at| now.saturating_sub(at) >= ASK_EVERY_MS);
        if due {
            known.asked_at = Some(now);
        }
        due
    }

    /// The node has answered that it copies.
    pub(super) fn copies(&self, image: &ImageName, copied_bytes: u64, total_bytes: u64) {
        let mut all = self.known();
        let known = all.entry(image.clone()).or_default();
        (known.heard.copied_bytes, known.heard.total_bytes) = (copied_bytes, total_bytes);
    }

    /// The node has answered, of a copy with this digest if one is whole.
    pub(super) fn answered(&self, image: &ImageName, whole: Option<&str>) {
        let mut all = self.known();
        let known = all.entry(image.clone()).or_default();
        (known.silent_since, known.whole) = (None, whole.map(str::to_owned));
    }

    /// Whether the node said, when it was asked last, that it has this copy. One that was restarted since has
    /// none, and must not send another in its place.
    pub(super) fn has_whole(&self, image: &ImageName, digest: &str) -> bool {
        self.known().get(image).is_some_and(|known| known.whole.as_deref() == Some(digest))
    }

    /// The node has not answered; for how many milliseconds by now.
    pub(super) fn silent(&self, image: &ImageName, now: u64) -> u64 {
        let mut all = self.known();
        let known = all.entry(image.clone()).or_default();
        known.whole = None;
        now.saturating_sub(*known.silent_since.get_or_insert(now))
    }

    /// The copy has come to nothing.
    pub(super) fn lost(&self, image: &ImageName, refusal: Refusal) {
        self.known().entry(image.clone()).or_default().heard.lost = Some(refusal);
    }

    /// The token that the node was given last.
    pub(super) fn token(&self, image: &ImageName) -> Option<String> {
        self.known().get(image).and_then(|known| known.token.clone())
    }

    /// The node is given this token.
    pub(super) fn give(&self, image: &ImageName, token: &str) {
        self.known().entry(image.clone()).or_default().token = Some(token.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_counted_from_its_beginning_and_ends_with_an_answer() {
        let (saves, mail) = (Saves::default(), "mail".parse().unwrap());
        assert_eq!([saves.silent(&mail, 1_000), saves.silent(&mail, 4_000)], [0, 3_000]);
        saves.answered(&mail, None);
        assert_eq!(saves.silent(&mail, 5_000), 0);
    }

    #[test]
    fn a_node_has_the_copy_of_which_it_spoke_last() {
        let (saves, mail) = (Saves::default(), "mail".parse().unwrap());
        assert!(!saves.has_whole(&mail, "d1"));
        saves.answered(&mail, Some("d1"));
        assert!(saves.has_whole(&mail, "d1") && !saves.has_whole(&mail, "d2"));
        saves.silent(&mail, 1_000);
        assert!(!saves.has_whole(&mail, "d1"), "it may have been restarted");
        saves.answered(&mail, Some("d1"));
        saves.answered(&mail, None);
        assert!(!saves.has_whole(&mail, "d1"), "it makes another one");
    }

    #[test]
    fn a_node_is_not_asked_all_the_time() {
        let (saves, mail) = (Saves::default(), "mail".parse().unwrap());
        assert_eq!([1_000, 1_499, 1_500, 1_501].map(|now| saves.is_due(&mail, now)), [true, false, true, false]);
        saves.begun(&mail);
        assert!(saves.is_due(&mail, 1_502), "a new copy is asked for at once");
    }

    #[test]
    fn a_new_copy_begins_at_nothing_and_says_why_the_last_one_was_lost() {
        let (saves, mail) = (Saves::default(), "mail".parse().unwrap());
        saves.copies(&mail, 5, 7);
        let refusal = Refusal::NoAnswer { who: "node m1".to_owned() };
        saves.lost(&mail, refusal.clone());
        saves.begun(&mail);
        assert_eq!(saves.heard(&mail), Heard { lost: Some(refusal), ..Heard::default() });
        saves.keep(&[]);
        assert_eq!(saves.heard(&mail), Heard::default());
    }
}
