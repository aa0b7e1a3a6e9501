//! What a scheduler's process knows of the buckets.

use std::{collections::BTreeMap, sync::Arc};

use watari_chassis::Entry;
use watari_model::{migration::Migration, vm::Vm};

use super::{documents::Docs, sim::Sim};

/// How late a process may learn what another one wrote, in milliseconds.
const MOST_LATE: u64 = 4_000;

/// The documents as the scheduler's process has them. A tenure begins when all that was stored before it is there
/// (`tenure.rs`), and what the process writes it has at once; what others write later, who do not know yet that they are
/// succeeded, may come late.
#[derive(Default)]
pub(crate) struct Copies {
    pub(crate) vms: Docs<Vm>,
    pub(crate) migrations: Docs<Migration>,
    /// Until when it does not know which writes.
    pub(crate) late: BTreeMap<u64, u64>,
}

impl Sim {
    /// What has been written comes to the scheduler's process, but for what is late.
    pub(crate) fn follow(&mut self) {
        let (now, copies) = (self.now, &mut self.copies);
        copies.late.retain(|_, until| *until > now);
        copies.vms = with_news(&copies.vms, &self.docs.vms, &copies.late);
        copies.migrations = with_news(&copies.migrations, &self.docs.migrations, &copies.late);
    }

    /// A write arrives at the bucket. What somebody else writes than who leads, that one may learn late.
    pub(crate) fn write(&mut self, id: u64) {
        let before = self.docs.revision;
        let foreign = self.tasks.get(&id).is_some_and(|task| !self.is_mine(task));
        self.write_now(id);
        if foreign && self.docs.revision > before {
            let until = self.now + self.rng.between(0, MOST_LATE);
            self.copies.late.insert(self.docs.revision, until);
        }
    }
}

/// A copy with what has been written since, but for what is late.
fn with_news<T>(old: &Docs<T>, now: &Docs<T>, late: &BTreeMap<u64, u64>) -> Docs<T> {
    if late.is_empty() {
        return Arc::clone(now);
    }
    let known = |(key, entry): (&String, &Arc<Entry<T>>)| {
        let seen = if late.contains_key(&entry.revision) { old.get(key) } else { Some(entry) };
        seen.map(|entry| (key.clone(), Arc::clone(entry)))
    };
    Arc::new(now.iter().filter_map(known).collect())
}
