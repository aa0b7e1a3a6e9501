//! A server that is to run here and stands still, for no order: since when, by what, and what is done about that.
//!
//! ```text
//!  seen still ──▶ lasts 10 s ──▶ told ──┬─▶ its disk has room again, or QEMU has stopped it ──▶ tried ──▶ runs for 20 s ──▶ over
//!                                       │                              ▲                        │
//!                                       │                              └── ever more rarely ────┤ still so
//!                                       └─▶ by somebody, or a crash: only told                  └ needs a reset ──▶ internal
//! ```
//!
//! To have it go on is no start: it is the same process, which may run by the newest grant that was ever seen here, and is
//! resumed while no order is under way. Whether a crash is a reason to start it anew is for those to say who give grants.

use watari_contracts::agent::Domain;
use watari_model::{isolation::OnIsolation, vm::Standstill};

use super::book::Book;
use crate::{
    hypervisor::inventory,
    layers::stack,
    node::Node,
    record::{Record, Removal},
};

/// What is over sooner is not told: migrations, saves and starts stand still for a moment.
const LASTS_MS: u64 = 10_000;
/// Whether one that QEMU has stopped goes on is tried within this time, unless its orders leave none for it.
const UNTRIED_MS: u64 = 3 * LASTS_MS;
/// How long one must have run that was tried, before it is told that it runs: its disk may fail again at once.
const GOES_ON_MS: u64 = 20_000;
/// After the first try; it doubles with each, up to sixteen times as long.
const PAUSE_MS: u64 = 15_000;
/// So many MiB must be free before a server is tried again whose disk was full.
const ROOM_MIB: u64 = 64;
/// How QEMU refuses to let a guest go on in which it has met an internal error (`qmp_cont`).
const NEEDS_RESET: &str = "Resetting the Virtual Machine is required";

/// A standstill. Moments are on the boot clock, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stall {
    /// What it is by.
    pub(super) still: Standstill,
    since: u64,
    tries: u32,
    tried_at: u64,
    /// Whether it has been seen running since it was tried.
    runs: bool,
}

impl Stall {
    /// What is known after another look.
    pub(super) fn after(before: Option<Self>, domain: Domain, still: Option<Standstill>, now: u64) -> Option<Self> {
        match (before, still) {
            (Some(before), Some(still)) if before.is_by(still) => Some(Self { runs: false, ..before }),
            (_, Some(still)) => Some(Self { still, since: now, tries: 0, tried_at: 0, runs: false }),
            (Some(before), None) => {
                let runs = domain == Domain::Running || (domain == Domain::Unknown && before.runs);
                before.is_not_over(domain, now).then_some(Self { runs, ..before })
            }
            (None, None) => None,
        }
    }

    fn may_pass(&self) -> bool {
        matches!(self.still, Standstill::IoError | Standstill::Stopped)
    }

    /// libvirt goes on to know no reason when QEMU has told it.
    fn is_by(&self, still: Standstill) -> bool {
        self.still == still || (self.still == Standstill::Internal && still == Standstill::Stopped)
    }

    /// libvirt may have said nothing; and what was tried may stand still again in a moment.
    fn is_not_over(&self, domain: Domain, now: u64) -> bool {
        match domain {
            Domain::Unknown => true,
            // What QEMU has given up runs only if somebody has reset it, and is whole then.
            Domain::Running => self.may_pass() && self.tries > 0 && now.saturating_sub(self.tried_at) < GOES_ON_MS,
            _ => false,
        }
    }

    /// What is told of it by now.
    pub(super) fn told(&self, now: u64) -> Option<Standstill> {
        let lasts_ms = now.saturating_sub(self.since);
        let least_ms = match (self.still, self.tries) {
            (Standstill::Stopped, 0) => UNTRIED_MS,
            // It went on at the first try.
            (Standstill::Stopped, 1) if self.runs => return None,
            _ => LASTS_MS,
        };
        (lasts_ms >= least_ms).then_some(self.still)
    }

    /// Whether it is to be tried now whether it goes on.
    pub(super) fn is_due(&self, now: u64) -> bool {
        let pause_ms = match self.tries.checked_sub(1) {
            None => 0,
            Some(more) => PAUSE_MS << more.min(4),
        };
        self.may_pass() && now.saturating_sub(self.since) >= LASTS_MS && now.saturating_sub(self.tried_at) >= pause_ms
    }

    /// It has been tried; QEMU may have said that it never goes on.
    pub(super) const fn tried(self, now: u64, needs_reset: bool) -> Self {
        let still = if needs_reset { Standstill::Internal } else { self.still };
        Self { still, tries: self.tries.saturating_add(1), tried_at: now, ..self }
    }
}

/// Has a server go on that may, if that is due. To be called while nothing else is done with it.
pub(super) async fn go_on(node: &Node, book: &Book) {
    if book.due().await.is_none() {
        return;
    }
    // It may have been seen long ago, and somebody may have paused it since.
    book.look().await;
    let Some((record, still)) = book.due().await else { return };
    if !may_run(node, &record) || (still == Standstill::IoError && !has_room(node, &record).await) {
        return;
    }
    let (vm, bound) = (&book.vm, node.settings.bounds.libvirt_answer());
    let outcome = tokio::time::timeout(bound, node.hypervisor.resume(vm.as_str())).await;
    let mut needs_reset = false;
    match outcome {
        Ok(Ok(())) => tracing::info!(%vm, ?still, "the server stood still, and is let go on"),
        Ok(Err(error)) => {
            needs_reset = error.to_string().contains(NEEDS_RESET);
            tracing::warn!(%vm, ?still, %error, "the server stands still and does not go on");
        }
        Err(_) => tracing::warn!(%vm, ?still, "the server stands still, and libvirt does not answer"),
    }
    book.tried(needs_reset).await;
    book.look().await;
}

/// Whether it may run as far as that depends on the node's being heard. Of what it is made is known, or nothing is done.
fn may_run(node: &Node, record: &Record) -> bool {
    let runs = |policy: OnIsolation| policy == OnIsolation::Keep || node.lease.holds();
    record.removal == Removal::No && record.server.as_ref().is_some_and(|server| runs(server.on_isolation))
}

async fn has_room(node: &Node, record: &Record) -> bool {
    let space = inventory::disk_space(&stack::top(&node.layout, record)).await;
    space.is_ok_and(|(_, free)| free >> 20 >= ROOM_MIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Option<Standstill> = Some(Standstill::IoError);

    fn seen(still: Standstill) -> Stall {
        Stall::after(None, Domain::Unknown, Some(still), 1_000).unwrap()
    }

    #[test]
    fn what_stands_still_for_a_moment_is_neither_told_nor_touched() {
        let stall = seen(Standstill::IoError);
        let before = 1_000 + LASTS_MS - 1;
        assert_eq!((stall.told(before), stall.is_due(before)), (None, false));
        assert_eq!((stall.told(before + 1), stall.is_due(before + 1)), (FULL, true));
        assert_eq!(Stall::after(Some(stall), Domain::Running, None, before), None, "it ran again by itself");
        assert_eq!(Stall::after(None, Domain::Unknown, None, before), None, "libvirt does not answer");
        let unanswered = Stall::after(Some(stall), Domain::Unknown, None, before);
        assert_eq!(unanswered, Some(stall), "nobody has said that it runs");
    }

    #[test]
    fn only_what_may_pass_is_tried_and_ever_more_rarely() {
        for still in Standstill::ALL {
            let may_pass = matches!(still, Standstill::IoError | Standstill::Stopped);
            assert_eq!(seen(still).is_due(u64::MAX), may_pass, "{still:?}");
        }
        let (mut stall, mut now, mut pauses) = (seen(Standstill::IoError), 1_000 + LASTS_MS, Vec::new());
        for _ in 0..7 {
            stall = stall.tried(now, false);
            let due = (0..).map(|seconds| now + seconds * 1_000).find(|at| stall.is_due(*at)).unwrap();
            pauses.push((due - now) / 1_000);
            now = due;
        }
        assert_eq!(pauses, [15, 30, 60, 120, 240, 240, 240]);
    }

    #[test]
    fn one_that_is_tried_counts_as_still_until_it_has_run_for_a_while() {
        let tried = seen(Standstill::IoError).tried(20_000, false);
        let after = |domain, still, now| Stall::after(Some(tried), domain, still, now);
        assert_eq!(after(Domain::Running, None, 20_000 + GOES_ON_MS - 1), Some(Stall { runs: true, ..tried }));
        assert_eq!(after(Domain::Unknown, FULL, 21_000), Some(tried), "its disk is full again: the pauses grow");
        assert_eq!(after(Domain::Running, None, 20_000 + GOES_ON_MS), None);
        assert_eq!(after(Domain::Absent, None, 21_000), None);
    }

    #[test]
    fn what_qemu_has_stopped_is_tried_before_it_is_told_and_is_an_internal_error_only_by_qemus_own_word() {
        let stopped = seen(Standstill::Stopped);
        let at = 1_000 + LASTS_MS;
        assert_eq!((stopped.told(at), stopped.is_due(at)), (None, true));
        assert_eq!(stopped.told(1_000 + UNTRIED_MS), Some(Standstill::Stopped), "orders left no time for it");
        let tried = stopped.tried(at, false);
        assert_eq!(tried.told(at), Some(Standstill::Stopped));
        let goes_on = Stall::after(Some(tried), Domain::Running, None, at).unwrap();
        assert_eq!(goes_on.told(at), None, "nobody need learn of it");
        let twice = Stall::after(Some(goes_on.tried(at, false)), Domain::Running, None, at).unwrap();
        assert_eq!(twice.told(at), Some(Standstill::Stopped), "it does not stay up");
        let internal = stopped.tried(at, true);
        assert_eq!((internal.told(at), internal.is_due(u64::MAX)), (Some(Standstill::Internal), false));
        let again = Stall::after(Some(internal), Domain::Unknown, Some(Standstill::Stopped), at);
        assert_eq!(again, Some(internal), "libvirt knows no reason still");
        assert_eq!(Stall::after(Some(internal), Domain::Running, None, at), None, "somebody has reset it");
        let paused = Stall::after(Some(internal), Domain::Paused, Some(Standstill::Suspended), at).unwrap();
        assert_eq!((paused.still, paused.told(at)), (Standstill::Suspended, None), "that is news");
    }
}
