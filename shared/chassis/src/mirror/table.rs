//! What a mirror knows, as a pure value: which reading may replace which.
//!
//! Readings come from several sources (a watch, a re-list, this process's own writes) in any
//! order, and some of them from a replica that lags. The rule is one: **the highest revision
//! wins**. Nothing is ever removed for being absent from a reading; only a deletion marker removes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use watari_model::Document;

use super::Snapshot;
use crate::bucket::{Entry, Raw, Revision, Unreadable};

/// What a reading did.
#[derive(Debug)]
pub(super) enum Effect {
    /// Nothing new.
    Known,
    /// The snapshot differs.
    Changed,
    /// A newer write cannot be read; the snapshot keeps the last that could.
    Unreadable(Unreadable),
}

pub(super) struct Table<T> {
    live: Snapshot<T>,
    /// The newest revision seen of each key, deleted ones included, so that a late reading does
    /// not bring one back.
    seen: BTreeMap<String, Revision>,
    /// The highest of them: asked for with every reading, and there may be very many keys.
    newest: Revision,
    /// The keys of documents that belong to something, by that.
    owned: BTreeMap<String, BTreeSet<String>>,
    unreadable: BTreeSet<String>,
    vanished: BTreeSet<String>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            live: Arc::default(),
            seen: BTreeMap::new(),
            newest: 0,
            owned: BTreeMap::new(),
            unreadable: BTreeSet::new(),
            vanished: BTreeSet::new(),
        }
    }
}

impl<T: Document> Table<T> {
    pub(super) fn snapshot(&self) -> Snapshot<T> {
        Arc::clone(&self.live)
    }

    pub(super) fn get(&self, key: &str) -> Option<Arc<Entry<T>>> {
        self.live.get(key).cloned()
    }

    /// Those that belong to `owner`, by key.
    pub(super) fn belonging_to(&self, owner: &str) -> Vec<Arc<Entry<T>>> {
        let keys = self.owned.get(owner).into_iter().flatten();
        keys.filter_map(|key| self.live.get(key).cloned()).collect()
    }

    pub(super) fn unreadable(&self) -> &BTreeSet<String> {
        &self.unreadable
    }

    pub(super) fn vanished(&self) -> &BTreeSet<String> {
        &self.vanished
    }

    /// The highest revision seen.
    pub(super) fn newest(&self) -> Revision {
        self.newest
    }

    /// How many keys have been seen, deleted ones included.
    pub(super) fn keys(&self) -> u64 {
        self.seen.len() as u64
    }

    /// A reading from a watch, a list or the leader.
    pub(super) fn read(&mut self, raw: &Raw) -> Effect {
        if !self.is_news(&raw.key, raw.revision) {
            // It is there after all.
            if self.seen.get(&raw.key) == Some(&raw.revision) {
                self.vanished.remove(&raw.key);
            }
            return Effect::Known;
        }
        if raw.deleted {
            self.deleted(&raw.key, raw.revision);
            return Effect::Changed;
        }
        match raw.entry() {
            Ok(entry) => {
                self.put(&raw.key, entry);
                Effect::Changed
            }
            Err(unreadable) => {
                self.saw(&raw.key, raw.revision);
                self.unreadable.insert(raw.key.clone());
                Effect::Unreadable(unreadable)
            }
        }
    }

    /// This process's own acknowledged write.
    pub(super) fn wrote(&mut self, key: &str, entry: Entry<T>) -> Effect {
        if !self.is_news(key, entry.revision) {
            return Effect::Known;
        }
        self.put(key, entry);
        Effect::Changed
    }

    /// This process's own acknowledged deletion.
    pub(super) fn erased(&mut self, key: &str, revision: Revision) -> Effect {
        if !self.is_news(key, revision) {
            return Effect::Known;
        }
        self.deleted(key, revision);
        Effect::Changed
    }

    /// Keys that a complete list as of `revision` should have had but has not.
    pub(super) fn missing(&self, listed: &BTreeSet<String>, revision: Revision) -> Vec<String> {
        let expected = self.seen.iter().filter(|(key, seen)| **seen <= revision && !listed.contains(*key));
        expected.map(|(key, _)| key).filter(|key| self.live.contains_key(*key)).cloned().collect()
    }

    /// Notes that a document is gone without a deletion marker. It stays in the snapshot. Tells
    /// whether that is new.
    pub(super) fn vanish(&mut self, key: &str) -> bool {
        self.vanished.insert(key.to_owned())
    }

    /// The bucket was made anew: its numbers begin again, so that what it says now is newer than
    /// all that was read before, however small its revisions are.
    pub(super) fn remade(&mut self) {
        self.seen.values_mut().for_each(|revision| *revision = 0);
        self.newest = 0;
    }

    fn is_news(&self, key: &str, revision: Revision) -> bool {
        self.seen.get(key).is_none_or(|seen| revision > *seen)
    }

    fn saw(&mut self, key: &str, revision: Revision) {
        self.seen.insert(key.to_owned(), revision);
        self.newest = self.newest.max(revision);
        self.vanished.remove(key);
        self.unreadable.remove(key);
    }

    fn put(&mut self, key: &str, entry: Entry<T>) {
        self.saw(key, entry.revision);
        self.disown(key);
        if let Some(owner) = entry.value.belongs_to() {
            self.owned.entry(owner.to_owned()).or_default().insert(key.to_owned());
        }
        // Copies the map only if somebody holds a snapshot of it just now.
        Arc::make_mut(&mut self.live).insert(key.to_owned(), Arc::new(entry));
    }

    fn deleted(&mut self, key: &str, revision: Revision) {
        self.saw(key, revision);
        self.disown(key);
        if self.live.contains_key(key) {
            Arc::make_mut(&mut self.live).remove(key);
        }
    }

    /// What the document has belonged to so far has it no more.
    fn disown(&mut self, key: &str) {
        let Some(owner) = self.live.get(key).and_then(|entry| entry.value.belongs_to()) else { return };
        if let Some(keys) = self.owned.get_mut(owner) {
            keys.remove(key);
            if keys.is_empty() {
                self.owned.remove(owner);
            }
        }
    }
}

#[cfg(test)]
mod tests;
