//! What two answers mean. The heart of "a server runs on at most one node": a pure function of
//! what both agents say when the copy is over, used by the loop and by the short way alike.
//!
//! | A, the source | B, the target | then |
//! | --- | --- | --- |
//! | gone or off | paused | the grant goes to B |
//! | runs, copy over | any, or silent | the grant stays with A; B's copy can never run |
//! | paused, copy over | answers | the grant stays with A; B's copy is destroyed, then A is resumed |
//! | gone or off | nothing there | the server ended on the way; the grant stays with A |
//! | silent, and off by an operator's word or its power controller's, or cut off for so long that it must have stopped it | paused, by this migration | the grant goes to B |
//! | silent, and said to be off | gone or off | the grant stays with A: its disk is the only one |
//! | paused, copy over | silent, and said to be off | the grant stays with A, which goes on |
//! | anything else | | wait and ask again; nothing is resumed, no disk is deleted |

use watari_contracts::agent::{Domain, OffReason, Phase, VmFact};
use watari_model::{MigrationId, vm::Vm};

use crate::core::snapshot::{Both, known};

/// What is known of the copying besides the two looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copy {
    /// The order to send was answered for good, or its breaking off was: nothing travels.
    Over,
    /// It may be under way.
    Unknown,
}

/// What follows from both answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The target may run it.
    Switch,
    /// The target never will.
    GiveUp,
    /// It is not known enough, or not over.
    Wait,
    /// Both run, which must never be.
    Double,
}

/// What follows from what A, the source, and B, the target, say.
#[must_use]
pub fn verdict(id: &MigrationId, both: &Both) -> Verdict {
    let (copy, a, b) = (both.copy, both.source.as_ref(), both.target.as_ref());
    let phase = a.and_then(|fact| fact.passage.as_ref()).filter(|p| p.migration == *id).map(|p| p.phase);
    let (source, target) = (domain(a, both.off.source), domain(b, both.off.target));
    // A word proves less than a look: the copy must say itself that it is this migration's.
    let told = |fact: &VmFact| fact.passage.as_ref().is_some_and(|passage| passage.migration == *id);
    let by_word = a.is_none();
    // Breaking off may have been answered before the copy really stopped.
    let over = phase == Some(Phase::Ended) || (copy == Copy::Over && phase != Some(Phase::Copying));
    match (source, target) {
        (Some(Domain::Running), Some(Domain::Running)) => Verdict::Double,
        (Some(Domain::Running), _) if over => Verdict::GiveUp,
        (Some(Domain::Paused), Some(Domain::Paused | Domain::Absent | Domain::Off(_))) if over => Verdict::GiveUp,
        (Some(gone), Some(Domain::Paused)) if gone.is_off() && by_word => {
            if b.is_some_and(told) {
                Verdict::Switch
            } else {
                Verdict::Wait
            }
        }
        (Some(gone), Some(Domain::Paused)) if gone.is_off() && arrived(id, b) => Verdict::Switch,
        (Some(gone), Some(none)) if gone.is_off() && none.is_off() => Verdict::GiveUp,
        _ => Verdict::Wait,
    }
}

/// What a side says; of one that is silent, what an operator says.
fn domain(fact: Option<&VmFact>, off: bool) -> Option<Domain> {
    match fact {
        Some(fact) => known(fact),
        None => off.then_some(Domain::Off(OffReason::Unknown)),
    }
}

/// A paused copy at the target counts unless it says that it came by another migration.
fn arrived(id: &MigrationId, b: Option<&VmFact>) -> bool {
    b.is_some_and(|fact| fact.passage.as_ref().is_none_or(|passage| passage.migration == *id))
}

/// Whether the server's document still allows the switch-over that a verdict speaks of.
#[must_use]
pub fn may_switch(vm: &Vm, id: &MigrationId) -> bool {
    vm.crossing.as_ref().is_some_and(|c| c.id == *id && !c.switched && !c.abandoned)
}
