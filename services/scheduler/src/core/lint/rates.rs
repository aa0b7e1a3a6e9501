//! Whether the link carries what a plan says: by the nodes' documents, the settings, and the rate of the last migrations.
//!
//! Nobody stays for what is found here. A guest that writes faster than its copy travels is slowed down until it has crossed,
//! so that it is to be said; and no time is better than one in which the bytes cannot travel.

use watari_model::{Refusal, vm::Vm};

use super::super::{Rules, speed::part, turn::Turn};

/// Bytes a second that each copy may send at the most.
fn bound(rules: &Rules) -> Option<u64> {
    Some(rules.bandwidth_mib << 20).filter(|bound| *bound > 0)
}

fn flows(rules: &Rules) -> u64 {
    u64::try_from(rules.in_flight.max(1)).unwrap_or(u64::MAX)
}

/// That a server writes no slower than its copy could be carried, whatever the plan says of it. One that may stand still for
/// longer does that instead.
pub(crate) fn too_fast(turn: &Turn<'_>, vm: &Vm) -> Option<Refusal> {
    let node = &turn.snap.nodes.get(vm.node()?.as_str())?.value;
    let written = node.inventory.weights.get(&vm.name)?.dirty_bytes_per_second?;
    let part = turn.link_rate().map(|rate| rate / flows(turn.rules));
    let carried = part.into_iter().chain(bound(turn.rules)).min()?;
    let mib = |bytes: u64| (bytes >> 20).to_string();
    let is_slowed_down = written >= carried && vm.spec.max_downtime_seconds.is_none();
    is_slowed_down.then(|| Refusal::TooBusy { vm: vm.name.to_string(), written: mib(written), carried: mib(carried) })
}

/// Whether so many bytes cannot be over the link in so many milliseconds.
pub(crate) fn is_too_soon(turn: &Turn<'_>, bytes: u64, millis: u64) -> bool {
    let all = bound(turn.rules).map(|bound| bound.saturating_mul(flows(turn.rules)));
    let carried = turn.link_rate().into_iter().chain(all).min();
    // Of a rate that was learned a fraction is left out.
    carried.is_some_and(|carried| part(bytes, 1_000, carried.saturating_add(1)) > millis)
}
