//! How long an evacuation takes, beside the least that its link allows.

use std::collections::HashMap;

use watari_model::{NodeName, SiteName, Timestamp, VmName};

use super::{Budget, Fate, What, Wish, link::Loads, pace::Rate, rehearse};
use crate::core::{Rules, Snapshot};

/// An evacuation as it is rehearsed. Times in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Makespan {
    /// Until the last of those that leave live has left.
    pub took_ms: u64,
    /// The least for the same servers: one after another, each has the whole link of B bytes a second, and a memory of
    /// M bytes of which d are written anew each second is M · B/(B − d) bytes to send. Copies side by side
    /// send more, since each has a smaller B.
    pub bound_ms: u64,
    /// How many left live.
    pub crossed: usize,
    /// How many did not.
    pub stayed: usize,
}

/// Rehearses the evacuation of a site that begins now, while nodes lose power so many milliseconds after its beginning.
/// None if there is nothing to be measured: no outage of the site could be named, or nobody left.
#[must_use]
pub fn makespan(
    snap: Snapshot,
    rules: &Rules,
    site: &SiteName,
    fails: Vec<(NodeName, u64)>,
    now: Timestamp,
) -> Option<Makespan> {
    let (rate, loads) = (Rate::of(&snap, rules, None).bytes, Loads::of(&snap));
    let vms = snap.vms.values().map(|entry| &entry.value);
    let bytes: HashMap<VmName, u64> = vms.map(|vm| (vm.name.clone(), loads.get(vm).bytes(rate))).collect();
    let wish = Wish { what: What::Sudden(site.clone(), None), link: None, fails };
    let account = rehearse(snap, rules, wish, Budget::default(), now)?;
    let live: Vec<_> = account.servers.iter().filter(|server| server.fate == Fate::Live).collect();
    let sent = live.iter().filter_map(|server| bytes.get(&server.vm).copied()).fold(0, u64::saturating_add);
    let last = live.iter().filter_map(|server| server.ends).max()?;
    Some(Makespan {
        took_ms: last.millis_since(account.begins),
        bound_ms: sent.saturating_mul(1_000) / rate.max(1),
        crossed: live.len(),
        stayed: account.servers.len() - live.len(),
    })
}
