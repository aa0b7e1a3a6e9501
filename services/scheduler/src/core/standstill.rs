//! A server that is to run and stands still on its node for no order, as that node's agent says. It is told as what is the
//! matter with the server.
//!
//! ```text
//!  runs ──▶ stands still, told ──┬─▶ its node has it go on, or an operator ──▶ runs, told no more
//!                                └─▶ its guest is lost, or a forced reboot ──▶ forced off ──▶ started as after any crash
//! ```
//!
//! Only what has ended for certain is forced off without being asked, and only where the server's policy has it started
//! again. A server with another policy, or that may still go on, is an operator's to judge.

use watari_chassis::Entry;
use watari_contracts::agent::{Domain, VmFact};
use watari_model::{
    Refusal,
    vm::{Change, Restart, Standstill, Vm},
};

use super::{snapshot::Sight, turn::Turn};

/// Decides about a server that is to run; whether anything is decided, or waits for a look.
pub(super) fn decide(turn: &mut Turn<'_>, entry: &Entry<Vm>) -> bool {
    let vm = &entry.value;
    let Some((node, Sight::Seen(fact))) = vm.node().map(|node| (node, turn.sight(node, &vm.name))) else {
        return false;
    };
    let Some(still) = by(fact, vm) else {
        let is_over = stands_still(vm).is_some() && fact.domain == Domain::Running;
        if is_over {
            turn.change_vm(entry, [], |vm| vm.fault = None);
        }
        return is_over;
    };
    let fault = still.refusal(&vm.name, node);
    if vm.fault.as_ref() != Some(&fault) {
        turn.change_vm(entry, [], |vm| vm.fault = Some(fault));
        return true;
    }
    let reboots = vm.reboots.asked != vm.reboots.done && vm.reboots.force;
    if !reboots && !is_to_start_anew(vm, still) {
        return false;
    }
    // What was told a while ago must not end what runs by now, be it only on trial.
    let seen = turn.look_within(entry, node, turn.rules.poll_ms);
    if seen.is_some_and(|fact| by(fact, vm) == Some(still) && fact.domain != Domain::Running) {
        turn.change_vm(entry, [Change::StopAsked], |vm| vm.force_off = true);
    }
    true
}

/// What an agent says that it stands still by, under the grant that it has.
fn by(fact: &VmFact, vm: &Vm) -> Option<Standstill> {
    fact.still.filter(|_| fact.granted && fact.generation == vm.generation())
}

fn is_to_start_anew(vm: &Vm, still: Standstill) -> bool {
    still.is_a_crash() && vm.spec.restart == Restart::Always
}

/// What is told of a server that stands still.
pub(crate) fn stands_still(vm: &Vm) -> Option<&Refusal> {
    vm.fault.as_ref().filter(|fault| matches!(fault, Refusal::VmStandsStill { .. }))
}

/// Whether its agent says that it has crashed, under the grant that it has. So it has run, be it for less than a look.
pub(super) fn has_crashed(turn: &Turn<'_>, vm: &Vm) -> bool {
    let sight = vm.node().map(|node| turn.sight(node, &vm.name));
    matches!(sight, Some(Sight::Seen(fact)) if by(fact, vm).is_some_and(Standstill::is_a_crash))
}

/// Whether one that stands still is about to be started anew.
pub(super) fn starts_anew(turn: &Turn<'_>, vm: &Vm) -> bool {
    vm.spec.restart == Restart::Always && has_crashed(turn, vm)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use watari_contracts::agent::NodeFacts;
    use watari_model::vm::State;

    use super::*;
    use crate::core::{
        Rules, Snapshot,
        action::Action,
        naming,
        snapshot::{Answer, Heard, Outcome},
        tests::documents::{at, facts, name, runs, vm},
    };

    fn mail() -> Vm {
        let mut mail = vm("mail", 128);
        for change in [Change::Granted(name("m1")), Change::SeenRunning] {
            mail.apply(change, at(0)).unwrap();
        }
        mail
    }

    fn still(mail: &Vm, by: Standstill) -> VmFact {
        let domain = if by == Standstill::Suspended { Domain::Paused } else { Domain::Unknown };
        VmFact { domain, still: Some(by), ..runs(mail) }
    }

    fn fault(by: Standstill) -> Option<Refusal> {
        Some(by.refusal(&"mail".parse().unwrap(), &name("m1")))
    }

    /// Its agent has told this, and said that when it was asked.
    fn heard(mail: &Vm, fact: &VmFact, seen: Option<VmFact>) -> Snapshot {
        let vms = BTreeMap::from([(mail.name.clone(), fact.clone())]);
        let heard = Heard { facts: Arc::new(NodeFacts { vms, ..facts("m1", "myodaiji") }), age_ms: 0 };
        let answer = |fact| Answer { attempt: 0, outcome: Outcome::Seen(fact), age_ms: 0, news: false };
        let key = naming::look(&mail.name, 7, &name("m1"));
        Snapshot {
            epoch: 1,
            heard: BTreeMap::from([(name("m1"), heard)]),
            answers: seen.into_iter().map(|fact| (key.clone(), answer(fact))).collect(),
            ..Snapshot::default()
        }
    }

    /// What is decided then; whether anything is.
    fn decided(mail: &Vm, fact: &VmFact, seen: Option<VmFact>) -> (Vec<Action>, bool) {
        let entry = Entry { value: mail.clone(), revision: 7, created: at(0) };
        let (snap, rules) = (heard(mail, fact, seen), Rules::default());
        let mut turn = Turn::new(&snap, &rules, at(1_000));
        let any = decide(&mut turn, &entry);
        (turn.actions, any)
    }

    fn stored((actions, _): (Vec<Action>, bool)) -> Option<Vm> {
        match &actions[..] {
            [Action::StoreVm { vm, restart: false, .. }] => Some((**vm).clone()),
            [] | [Action::Look { .. }] => None,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_stands_still_is_told_once_with_its_reason_and_told_no_more_when_it_runs() {
        for by in Standstill::ALL {
            let told = stored(decided(&mail(), &still(&mail(), by), None)).unwrap();
            assert_eq!((told.state, &told.fault), (State::Running, &fault(by)));
            assert_eq!(stored(decided(&told, &still(&told, by), None)), None, "{by:?} is no news");
            let runs_on = stored(decided(&told, &runs(&told), None)).unwrap();
            assert_eq!(runs_on.fault, None);
            let unknown = VmFact { domain: Domain::Unknown, ..runs(&told) };
            assert_eq!(stored(decided(&told, &unknown, None)), None, "nobody says that it runs");
        }
        let older = VmFact { generation: mail().generation() - 1, ..still(&mail(), Standstill::IoError) };
        assert_eq!(stored(decided(&mail(), &older, None)), None, "that was under another grant");
        let arrives = VmFact { granted: false, ..still(&mail(), Standstill::Suspended) };
        assert_eq!(stored(decided(&mail(), &arrives, None)), None, "it is not this node's");
    }

    #[test]
    fn only_what_has_crashed_is_forced_off_unasked_after_a_fresh_look_and_as_its_policy_says() {
        for by in Standstill::ALL {
            let told = Vm { fault: fault(by), ..mail() };
            let fact = still(&told, by);
            let (asked, waits) = decided(&told, &fact, None);
            assert_eq!(
                (matches!(&asked[..], [Action::Look { .. }]), waits),
                (by.is_a_crash(), by.is_a_crash()),
                "{by:?}"
            );
            let forced = stored(decided(&told, &fact, Some(fact.clone())));
            let state = forced.map(|vm| (vm.state, vm.force_off));
            assert_eq!(state, by.is_a_crash().then_some((State::Stopping, true)), "{by:?}");
            let on_trial = VmFact { domain: Domain::Running, ..fact.clone() };
            for seen in [runs(&told), on_trial] {
                assert_eq!(stored(decided(&told, &fact, Some(seen))), None, "{by:?}: it runs by now");
            }
            let mut never = told.clone();
            never.spec.restart = Restart::Never;
            assert_eq!(decided(&never, &fact, Some(fact.clone())), (Vec::new(), false), "{by:?}");
        }
    }

    #[test]
    fn one_that_crashed_while_it_was_being_started_has_begun_and_nothing_else_that_stands_still() {
        let mut starting = vm("mail", 128);
        starting.apply(Change::Granted(name("m1")), at(0)).unwrap();
        let rules = Rules::default();
        let has_begun = |fact: &VmFact| {
            let snap = heard(&starting, fact, None);
            has_crashed(&Turn::new(&snap, &rules, at(1_000)), &starting)
        };
        for by in Standstill::ALL {
            assert_eq!(has_begun(&still(&starting, by)), by.is_a_crash(), "{by:?}");
        }
        let before = VmFact { generation: starting.generation() - 1, ..still(&starting, Standstill::Internal) };
        assert!(!has_begun(&before), "that was under another grant");
    }

    #[test]
    fn whoever_reboots_it_by_force_has_it_forced_off_and_whoever_asks_its_guest_does_not() {
        for by in Standstill::ALL {
            let mut told = Vm { fault: fault(by), ..mail() };
            told.spec.restart = Restart::Never;
            (told.reboots.asked, told.reboots.force) = (told.reboots.done + 1, true);
            let fact = still(&told, by);
            let forced = stored(decided(&told, &fact, Some(fact.clone()))).unwrap();
            assert_eq!((forced.state, forced.force_off), (State::Stopping, true), "{by:?}");
            told.reboots.force = false;
            assert_eq!(decided(&told, &fact, Some(fact.clone())), (Vec::new(), false), "{by:?}");
        }
    }
}
