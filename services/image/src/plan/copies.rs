//! What one front end has to do about its own copies.
//!
//! A file is removed only because an image that has it is being deleted, no other image has it and
//! no server stands on it. That an image's document is *missing* removes nothing: JetStream may
//! have lost it.

use std::collections::{BTreeMap, BTreeSet};

use watari_contracts::image::Presence;
use watari_model::{
    ImageName, SiteName,
    image::{Image, State, Stored},
};

use super::{Used, digest_of, needed_beside};
use crate::{digest::Digest, store::Trust};

/// What one front end sees.
pub struct Seen<'a> {
    /// Its site.
    pub site: &'a SiteName,
    /// All images.
    pub images: &'a [&'a Image],
    /// What servers stand on.
    pub used: &'a Used,
    /// What is on its disk.
    pub held: &'a BTreeMap<Digest, Trust>,
    /// What it is working on already, or shall not try again yet.
    pub busy: &'a BTreeSet<Digest>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Tell the primary.
    Report {
        /// Of which image.
        image: ImageName,
        /// Its digest.
        digest: Digest,
        /// Held or gone.
        held: bool,
    },
    /// Remove a file.
    Remove(Digest),
    /// Compute a file's digest.
    Check(Digest),
    /// Get a file from another front end.
    Fetch {
        /// Which.
        digest: Digest,
        /// Its size.
        size_bytes: u64,
    },
}

impl Action {
    /// The word of a report.
    #[must_use]
    pub fn presence(held: bool) -> Presence {
        if held { Presence::Held } else { Presence::Gone }
    }
}

/// What is to be done, the quick things first.
#[must_use]
pub fn decide(seen: &Seen<'_>) -> Vec<Action> {
    let mut actions = BTreeSet::new();
    for image in seen.images {
        let (Some(digest), Some(stored)) = (digest_of(image), image.stored.as_ref()) else { continue };
        match image.state {
            State::Ready => keep(seen, image, digest, stored, &mut actions),
            State::Deleting => give_up(seen, image, digest, &mut actions),
            State::Importing | State::Verifying | State::Failed => {}
        }
    }
    let mut ordered: Vec<_> = actions.into_iter().collect();
    // What is served already but was not digested since the start comes last, one at a time.
    let stamped = seen.held.iter().find(|(d, t)| **t == Trust::Stamped && !seen.busy.contains(d));
    ordered.extend(stamped.map(|(digest, _)| Action::Check(digest.clone())));
    ordered
}

fn keep(seen: &Seen<'_>, image: &Image, digest: Digest, stored: &Stored, actions: &mut BTreeSet<Action>) {
    let told = image.copies.contains_key(seen.site);
    let report = |held| Action::Report { image: image.name.clone(), digest: digest.clone(), held };
    match seen.held.get(&digest) {
        Some(Trust::Stamped | Trust::Checked) if !told => {
            actions.insert(report(true));
        }
        Some(Trust::Stamped | Trust::Checked) => {}
        Some(Trust::Unknown) if seen.busy.contains(&digest) => {}
        Some(Trust::Unknown) => {
            actions.insert(Action::Check(digest));
        }
        None => {
            if told {
                actions.insert(report(false));
            }
            if !seen.busy.contains(&digest) {
                actions.insert(Action::Fetch { digest, size_bytes: stored.size_bytes });
            }
        }
    }
}

fn give_up(seen: &Seen<'_>, image: &Image, digest: Digest, actions: &mut BTreeSet<Action>) {
    let elsewhere = needed_beside(image, &digest, seen.images.iter().copied());
    let Some(used) = seen.used else { return };
    if !elsewhere && used.contains(&digest) {
        return;
    }
    if !elsewhere && seen.held.contains_key(&digest) {
        actions.insert(Action::Remove(digest));
    } else if image.copies.contains_key(seen.site) {
        actions.insert(Action::Report { image: image.name.clone(), digest, held: false });
    }
}
