//! When a node's capacity has changed enough to be told.

use watari_model::node::State;

use crate::settings::Capacity as Steps;

/// What a node can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) state: State,
    pub(crate) memory_free_mib: u64,
    pub(crate) disk_free_gib: u64,
}

/// What was told last, and when by the boot-time clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) room: Room,
    pub(crate) at: u64,
}

/// What a node has in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Whole {
    pub(crate) memory_mib: u64,
    pub(crate) disk_gib: u64,
}

/// Whether `room` is to be told now. What is not told for being too soon is told at a later look,
/// since it is compared with what was told and not with the last beat.
pub(crate) fn is_due(told: Option<&Told>, room: Room, whole: Whole, now: u64, steps: Steps) -> bool {
    let Some(told) = told else { return true };
    if now.saturating_sub(told.at) < steps.interval_ms {
        return false;
    }
    let part = |all: u64| all.saturating_mul(steps.step_percent) / 100;
    let memory_step = steps.memory_step_mib.min(part(whole.memory_mib).max(1));
    let disk_step = steps.disk_step_gib.min(part(whole.disk_gib).max(1));
    told.room.state != room.state
        || told.room.memory_free_mib.abs_diff(room.memory_free_mib) >= memory_step
        || told.room.disk_free_gib.abs_diff(room.disk_free_gib) >= disk_step
}
