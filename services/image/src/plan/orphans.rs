//! Objects in the store that no image names.
//!
//! A document that is missing is no order: JetStream may have lost it. So an object without one is counted, and goes
//! only when it has been so for long, to the one instance that is sure to see all documents, and while there are any;
//! never while a server stands on it, which may have outlived its image's document.

use std::collections::{BTreeMap, BTreeSet};

use watari_model::Timestamp;

use super::Used;
use crate::digest::Digest;

/// What an instance sees.
pub struct Seen<'a> {
    /// All that is in the store.
    pub objects: &'a BTreeSet<Digest>,
    /// All that images name, whatever their state.
    pub named: &'a BTreeSet<Digest>,
    /// What servers stand on.
    pub used: &'a Used,
    /// Since when it is noted that an object has no image.
    pub since: &'a BTreeMap<Digest, Timestamp>,
    /// Whether it may remove objects: it leads, images are known, and none is just being taken in whose digest nobody
    /// knows yet.
    pub may_remove: bool,
    /// Now.
    pub now: Timestamp,
    /// How long an object may be without an image; none for ever.
    pub patience_ms: Option<u64>,
}

/// What is to be done about one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Note that it has no image.
    Note,
    /// It has one, or is gone: nothing is noted of it any more.
    Forget,
    /// Remove it.
    Remove,
}

/// What is to be done.
#[must_use]
pub fn decide(seen: &Seen<'_>) -> Vec<(Digest, Step)> {
    let orphans: BTreeSet<&Digest> = seen.objects.difference(seen.named).collect();
    let free = |digest: &Digest| seen.may_remove && seen.used.as_ref().is_some_and(|used| !used.contains(digest));
    let of_orphan = |digest: &Digest| match (seen.since.get(digest), seen.patience_ms) {
        (None, _) => Some(Step::Note),
        (Some(since), Some(patience)) if free(digest) && seen.now.millis_since(*since) >= patience => {
            Some(Step::Remove)
        }
        (Some(_), _) => None,
    };
    let forgotten = seen.since.keys().filter(|digest| !orphans.contains(digest)).map(|d| (d.clone(), Step::Forget));
    let steps = orphans.iter().filter_map(|digest| Some(((*digest).clone(), of_orphan(digest)?)));
    steps.chain(forgotten).collect()
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;

    #[test]
    fn an_object_without_an_image_is_noted_and_goes_after_long_patience_alone() {
        let sha = |n: u8| crate::digest::of(&[n]);
        let at = |ms| Timestamp(OffsetDateTime::UNIX_EPOCH).plus_millis(ms);
        let (objects, named) = (BTreeSet::from([sha(1), sha(2)]), BTreeSet::from([sha(1)]));
        let noted = BTreeMap::from([(sha(2), at(100))]);
        let nothing = Some(BTreeSet::new());
        let decided_with = |used: &Used, since: &BTreeMap<Digest, Timestamp>, now, may_remove, patience_ms| {
            decide(&Seen { objects: &objects, named: &named, used, since, may_remove, now: at(now), patience_ms })
        };
        let decided = |since: &BTreeMap<Digest, Timestamp>, now, may_remove, patience_ms| {
            decided_with(&nothing, since, now, may_remove, patience_ms)
        };
        assert_eq!(decided(&BTreeMap::new(), 0, true, Some(1000)), [(sha(2), Step::Note)]);
        assert_eq!(decided(&noted, 1099, true, Some(1000)), []);
        assert_eq!(decided(&noted, 1100, true, Some(1000)), [(sha(2), Step::Remove)]);
        assert_eq!(decided(&noted, 1100, false, Some(1000)), [], "a standby may not see all");
        let stands = Some(BTreeSet::from([sha(2)]));
        assert_eq!(decided_with(&stands, &noted, 1100, true, Some(1000)), [], "a server stands on it");
        assert_eq!(decided_with(&None, &noted, 1100, true, Some(1000)), [], "nobody knows what is used");
        assert_eq!(decided(&noted, u64::MAX >> 32, true, None), [], "never, by the settings");
        let stale = BTreeMap::from([(sha(1), at(0)), (sha(3), at(0))]);
        let mut steps = decided(&stale, 0, true, Some(0));
        steps.sort_by_key(|(digest, _)| digest.clone());
        let mut expected = [(sha(1), Step::Forget), (sha(2), Step::Note), (sha(3), Step::Forget)];
        expected.sort_by_key(|(digest, _)| digest.clone());
        assert_eq!(steps, expected);
    }
}
