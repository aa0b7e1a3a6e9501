//! What one front end has to do about its own copies.
//!
//! A file is removed only because an image that has it is being deleted, no other image has it and
//! no server stands on it. That an image's document is *missing* removes nothing: JetStream may
//! have lost it.
//!
//! Where the site has an object store, ready images are kept there too, and the disk may be bounded: a file that the
//! store has for this site goes from the disk when room is short and nobody stands on it, and comes back when somebody
//! does. What would leave the site without the image while the other campus is dark is never removed.

use std::collections::{BTreeMap, BTreeSet};

use watari_contracts::image::Presence;
use watari_model::{
    ImageName, SiteName,
    image::{Image, ObjectStore, State, Stored},
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
    /// Its object store, if it has one.
    pub vault: Option<Vault<'a>>,
}

/// What one front end sees of its object store, and what its disk may hold because of it.
pub struct Vault<'a> {
    /// Which.
    pub store: &'a ObjectStore,
    /// What is there, with its size in bytes; none while nobody knows.
    pub objects: Option<&'a BTreeMap<Digest, u64>>,
    /// What the disk may hold, in bytes; none for no bound.
    pub most_bytes: Option<u64>,
    /// The files on the disk with their sizes in bytes, the least recently used first.
    pub by_last_use: &'a [(Digest, u64)],
}

impl Vault<'_> {
    /// Whether it is known to have the file whole.
    fn has(&self, digest: &Digest, size_bytes: u64) -> bool {
        self.objects.is_some_and(|objects| objects.get(digest) == Some(&size_bytes))
    }

    fn disk_bytes(&self) -> u64 {
        self.by_last_use.iter().map(|(_, size)| size).sum()
    }
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
    /// Tell the primary of the object store.
    ReportKept {
        /// Of which image.
        image: ImageName,
        /// Its digest.
        digest: Digest,
        /// Of which store.
        store: ObjectStore,
        /// Kept there or gone.
        kept: bool,
    },
    /// Remove a file.
    Remove(Digest),
    /// Remove a file from the disk alone, for room.
    Evict {
        /// Which.
        digest: Digest,
        /// Its size.
        size_bytes: u64,
    },
    /// Remove an object from the store.
    Drop(Digest),
    /// Compute a file's digest.
    Check(Digest),
    /// Have the object store keep a file.
    Keep(Digest),
    /// Get a file from the object store or from another front end.
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
    actions.extend(seen.vault.iter().flat_map(|vault| evictions(seen, vault)));
    let mut ordered: Vec<_> = actions.into_iter().collect();
    // What is served already but was not digested since the start comes last, one at a time.
    let stamped = seen.held.iter().find(|(d, t)| **t == Trust::Stamped && !seen.busy.contains(d));
    ordered.extend(stamped.map(|(digest, _)| Action::Check(digest.clone())));
    ordered
}

fn keep(seen: &Seen<'_>, image: &Image, digest: Digest, stored: &Stored, actions: &mut BTreeSet<Action>) {
    let told = image.copies.contains_key(seen.site);
    let report = |held| Action::Report { image: image.name.clone(), digest: digest.clone(), held };
    keep_for_good(seen, image, &digest, stored, actions);
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
            if !seen.busy.contains(&digest) && wanted(seen, image, &digest, stored.size_bytes) {
                actions.insert(Action::Fetch { digest, size_bytes: stored.size_bytes });
            }
        }
    }
}

/// What the document says of the site's object store is to be so, and a file that is here is to be there.
fn keep_for_good(seen: &Seen<'_>, image: &Image, digest: &Digest, stored: &Stored, actions: &mut BTreeSet<Action>) {
    let told = image.kept.get(seen.site).map(|kept| &kept.store);
    let report = |store: &ObjectStore, kept| {
        let (image, digest, store) = (image.name.clone(), digest.clone(), store.clone());
        Action::ReportKept { image, digest, store, kept }
    };
    let Some(vault) = &seen.vault else {
        // There was a store, and by its settings the site has none now.
        actions.extend(told.map(|store| report(store, false)));
        return;
    };
    if vault.objects.is_none() {
        // What a store had that is away now it has still.
        return;
    }
    let there = vault.has(digest, stored.size_bytes);
    if there && told != Some(vault.store) {
        actions.insert(report(vault.store, true));
    }
    if !there {
        actions.extend(told.map(|store| report(store, false)));
        let sound = matches!(seen.held.get(digest), Some(Trust::Stamped | Trust::Checked));
        if sound && !seen.busy.contains(digest) {
            actions.insert(Action::Keep(digest.clone()));
        }
    }
}

/// Whether the site has an image for itself even without a file on the disk. It need not have seen that itself: what
/// another has just put into a store that both share is there, and so is still what was in one that is away. Files
/// that went for room do not all come back because a store is being restarted.
fn backed(seen: &Seen<'_>, image: &Image, digest: &Digest, size_bytes: u64) -> bool {
    let Some(vault) = &seen.vault else { return false };
    let there = vault.has(digest, size_bytes) || image.kept.values().any(|kept| kept.store == *vault.store);
    there && vault.store.outlasts_the_others_of(seen.site)
}

/// Whether a file is wanted on the disk: always, unless the store has it for this site, nobody stands on it, and there
/// is no room for it.
fn wanted(seen: &Seen<'_>, image: &Image, digest: &Digest, size_bytes: u64) -> bool {
    let fits =
        |vault: &Vault<'_>| vault.most_bytes.is_none_or(|most| vault.disk_bytes().saturating_add(size_bytes) <= most);
    let in_use = seen.used.as_ref().is_none_or(|used| used.contains(digest));
    in_use || !backed(seen, image, digest, size_bytes) || seen.vault.as_ref().is_some_and(fits)
}

/// The files that go for room: the store has them for this site and every document says so, and no server stands on
/// them.
fn evictions(seen: &Seen<'_>, vault: &Vault<'_>) -> Vec<Action> {
    let (Some(most), Some(used)) = (vault.most_bytes, seen.used) else { return Vec::new() };
    if !vault.store.outlasts_the_others_of(seen.site) {
        return Vec::new();
    }
    let told = |image: &&Image| image.kept.get(seen.site).is_some_and(|kept| kept.store == *vault.store);
    let mut over = vault.disk_bytes().saturating_sub(most);
    let mut gone = Vec::new();
    for (digest, size_bytes) in vault.by_last_use {
        if over == 0 {
            break;
        }
        let mut of_it =
            seen.images.iter().filter(|i| i.state == State::Ready && digest_of(i).as_ref() == Some(digest)).peekable();
        let free = !used.contains(digest) && !seen.busy.contains(digest) && vault.has(digest, *size_bytes);
        if free && of_it.peek().is_some() && of_it.all(told) {
            gone.push(Action::Evict { digest: digest.clone(), size_bytes: *size_bytes });
            over = over.saturating_sub(*size_bytes);
        }
    }
    gone
}

fn give_up(seen: &Seen<'_>, image: &Image, digest: Digest, actions: &mut BTreeSet<Action>) {
    let elsewhere = needed_beside(image, &digest, seen.images.iter().copied());
    let Some(used) = seen.used else { return };
    if !elsewhere && used.contains(&digest) {
        return;
    }
    if !elsewhere && seen.held.contains_key(&digest) {
        actions.insert(Action::Remove(digest.clone()));
    } else if image.copies.contains_key(seen.site) {
        actions.insert(Action::Report { image: image.name.clone(), digest: digest.clone(), held: false });
    }
    actions.extend(give_up_object(seen, image, digest, elsewhere));
}

/// Of sites that share a store the last to have said that it needs an object no more removes it: that is the first by
/// name, for which the others do not wait.
fn give_up_object(seen: &Seen<'_>, image: &Image, digest: Digest, elsewhere: bool) -> Option<Action> {
    let told = image.kept.get(seen.site).map(|kept| &kept.store);
    let store = told.or(seen.vault.as_ref().map(|vault| vault.store))?;
    let vault = seen.vault.as_ref().filter(|vault| vault.store == store);
    let mut others = image.kept.iter().filter(|(site, kept)| *site != seen.site && kept.store == *store).peekable();
    let shared = others.peek().is_some();
    let theirs = others.any(|(site, _)| site < seen.site);
    let there = vault.and_then(|vault| vault.objects).map(|objects| objects.contains_key(&digest));
    let done =
        Action::ReportKept { image: image.name.clone(), digest: digest.clone(), store: store.clone(), kept: false };
    match (elsewhere || theirs || vault.is_none(), shared, there) {
        // Somebody else looks after the object, or nobody can.
        (true, ..) | (false, false, Some(false)) => told.map(|_| done),
        (false, false, Some(true)) if !seen.busy.contains(&digest) => Some(Action::Drop(digest)),
        (false, ..) => None,
    }
}
