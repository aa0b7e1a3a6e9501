//! How long an evacuation takes, beside the least that its link allows.

use std::collections::HashMap;

use watari_model::{SiteName, Timestamp, VmName};

use super::{
    Budget, Fate, Troubles, What, Wish,
    link::{Load, Loads},
    pace::Rate,
    rehearse,
};
use crate::core::{Rules, Snapshot, part};

/// An evacuation as it is rehearsed. Times in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Makespan {
    /// Until the last of those that leave live has left.
    pub took_ms: u64,
    /// The least for the same servers in the order in which they left: one after another, each has the whole link of B
    /// bytes a second, and a memory of M bytes of which d are written anew each second is M · B/(B − d) bytes to send.
    /// Before its bytes each takes what every migration does, and as many as travel side by side take that at once.
    /// Copies side by side send more, since each has a smaller B. If the link becomes slower, B is what it is at
    /// the time. What had travelled to a node that failed is counted: to send it again is not what a plan can avoid.
    pub bound_ms: u64,
    /// How many left live.
    pub crossed: usize,
    /// How many did not.
    pub stayed: usize,
}

/// Rehearses the evacuation of a site that begins now, in which something may go wrong. None if there is nothing to be
/// measured: no outage of the site could be named, or nobody left.
#[must_use]
pub fn makespan(
    snap: Snapshot,
    rules: &Rules,
    site: &SiteName,
    troubles: Troubles,
    now: Timestamp,
) -> Option<Makespan> {
    let link = Rate::of(&snap, None);
    let loads = Loads::of(&snap, link.within(rules).went(rules));
    let vms = snap.vms.values().map(|entry| &entry.value);
    let loads: HashMap<VmName, Load> = vms.map(|vm| (vm.name.clone(), loads.get(vm))).collect();
    let slows = troubles.slows;
    let wish = Wish { what: What::Sudden(site.clone(), None), link: None, troubles };
    let account = rehearse(snap, rules, wish, Budget::default(), now)?;
    let mut live: Vec<_> = account.servers.iter().filter(|server| server.fate == Fate::Live).collect();
    live.sort_by_key(|server| server.ends);
    let last = live.last()?.ends?;
    let vain = Load { memory: 0, disk: account.vain, dirty: 0, measured: true };
    let fixed_ms = link.fixed_ms() / u64::try_from(rules.in_flight.max(1)).unwrap_or(u64::MAX);
    let sent = live.iter().filter_map(|server| loads.get(&server.vm)).map(|load| (load, fixed_ms));
    let least = |clock: u64, (load, fixed_ms): (&Load, u64)| done(load, clock + fixed_ms, link.bytes, slows);
    Some(Makespan {
        took_ms: last.millis_since(account.begins),
        bound_ms: std::iter::once((&vain, 0)).chain(sent).fold(0, least),
        crossed: live.len(),
        stayed: account.servers.len() - live.len(),
    })
}

/// When a server has left that begins at `clock` and has the link to itself.
fn done(load: &Load, clock: u64, rate: u64, slows: Option<(u64, u64)>) -> u64 {
    let takes = |bytes: u64, rate: u64| part(bytes, 1_000, rate.max(1));
    match slows {
        Some((at, slower)) if at <= clock => clock.saturating_add(takes(load.bytes(slower), slower)),
        Some((at, slower)) if clock.saturating_add(takes(load.bytes(rate), rate)) > at => {
            let bytes = load.bytes(rate);
            let sent = part(at - clock, rate, 1_000).min(bytes);
            at.saturating_add(takes(load.left_at((sent, bytes - sent), rate, slower), slower))
        }
        _ => clock.saturating_add(takes(load.bytes(rate), rate)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_least_time_follows_the_link() {
        let load = Load { memory: 100 * MIB, disk: 0, dirty: 5 * MIB, measured: true };
        let done = |clock, slows| done(&load, clock, 10 * MIB, slows);
        assert_eq!(done(1_000, None), 21_000);
        assert_eq!(done(1_000, Some((21_000, MIB))), 21_000, "it has left by then");
        assert_eq!(done(1_000, Some((1_000, 6 * MIB))), 101_000);
        assert_eq!(done(0, Some((10_000, 6 * MIB))), 60_000);
    }
}
