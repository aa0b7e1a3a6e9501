//! What an outage has come to: who moved, who is moving, who did not and why.

use watari_model::{
    Refusal, Timestamp, VmName,
    migration::{Migration, Reason, State},
    outage::{self, Leg, Outage},
};

use super::Snapshot;

/// The report of an outage's last leg.
#[derive(Clone, Debug)]
pub struct Report<'s> {
    /// Which leg: home, or out.
    pub reason: Reason,
    /// The last completed migration of each server, in the order of their ends.
    pub moved: Vec<&'s Migration>,
    /// Migrations that are not over.
    pub moving: Vec<&'s Migration>,
    /// Who did not move, and why.
    pub failed: Vec<outage::Left>,
    /// Who is off and stays with its disk, which is no failure.
    pub off: Vec<VmName>,
    /// From the start of the leg to its end, or so far.
    pub makespan_ms: u64,
}

/// Puts the report together from the documents alone.
#[must_use]
pub fn report<'s>(snap: &'s Snapshot, outage: &Outage, now: Timestamp) -> Report<'s> {
    // The later of the two legs.
    let began = |leg: Option<Leg>| leg.map(|leg| leg.began_at);
    let home = began(outage.home).is_some() && began(outage.home) >= began(outage.out);
    let (reason, leg) = if home { (Reason::Return, outage.home) } else { (Reason::Evacuation, outage.out) };
    // What has not begun has nothing to report.
    let Some(leg) = leg else {
        let (moved, moving, failed, off) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        return Report { reason, moved, moving, failed, off, makespan_ms: 0 };
    };
    let of_leg =
        |m: &&Migration| m.outage.as_ref() == Some(&outage.id) && m.reason == reason && m.created_at >= leg.began_at;
    let all: Vec<&Migration> = snap.migrations.values().map(|entry| &entry.value).filter(of_leg).collect();
    let mut moved: Vec<_> = all.iter().copied().filter(|m| m.state == State::Completed).collect();
    moved.sort_by_key(|m| m.changed_at);
    let moving: Vec<_> = all.iter().copied().filter(|m| !m.state.over()).collect();
    // The last server's end is when it ran at its target, not when the books were closed.
    let last = moved.iter().map(|m| arrived(m)).max();
    let end = leg.ended_at.map_or(now, |ended| last.unwrap_or(ended));
    // What was called off on the way says of nobody why it was left.
    let is_broken_off = outage.state == outage::State::Cancelled && leg.ended_at == Some(outage.changed_at);
    let failed = if leg.ended_at.is_some() && !is_broken_off {
        // Who is away but does not answer is not left, and has not been moved well either.
        let mute = |left: &outage::Left| matches!(left.fault, Refusal::ServerUnanswering { .. });
        let mute = so_far(&all, &moved, &moving).into_iter().filter(mute);
        mute.filter(|left| !outage.left.iter().any(|other| other.vm == left.vm)).chain(outage.left.clone()).collect()
    } else {
        so_far(&all, &moved, &moving)
    };
    let (off, failed): (Vec<_>, Vec<_>) = failed.into_iter().partition(outage::Left::is_off);
    let off = off.into_iter().map(|left| left.vm).collect();
    Report { reason, moved, moving, failed, off, makespan_ms: end.millis_since(leg.began_at) }
}

/// When a server that has moved was seen running at its target.
fn arrived(migration: &Migration) -> Timestamp {
    let measured = migration.copying_at.zip(migration.measured);
    measured.map_or(migration.changed_at, |(began, measured)| began.plus_millis(measured.total_ms))
}

/// While the leg goes on: those whose last try failed and who are not being tried again.
fn so_far(all: &[&Migration], moved: &[&Migration], moving: &[&Migration]) -> Vec<outage::Left> {
    let elsewhere = |vm: &VmName| moved.iter().chain(moving).any(|m| m.vm == *vm);
    let mut failed: Vec<outage::Left> = Vec::new();
    for migration in all.iter().filter(|m| matches!(m.state, State::Failed | State::Cancelled)) {
        if let Some(fault) = migration.fault.clone().filter(|_| !elsewhere(&migration.vm)) {
            failed.retain(|left| left.vm != migration.vm);
            failed.push(outage::Left { vm: migration.vm.clone(), fault });
        }
    }
    failed
}
