//! An inspection of Myodaiji, and what is said of it from day to day.

use watari_model::{
    Refusal,
    outage::{Change, Darkened, Left, Window},
    vm::Vm,
};

use super::*;
use crate::core::tests::{
    campus::{Campus, SECOND},
    documents::{at, put},
};

const FROM: u64 = 1_000_000;

fn scheduled(rules: Rules) -> Campus {
    let mut campus = Campus::new(rules);
    let window = Window { from: at(FROM * SECOND), until: at((FROM + 100) * SECOND) };
    let scope = Scope::Site("myodaiji".parse().unwrap());
    let outage = Outage::scheduled("myodaiji-1".parse().unwrap(), scope, window, String::new(), "r".to_owned(), at(0));
    put(&mut campus.docs.outages, &mut campus.docs.revision, outage, 0);
    campus
}

fn seen(campus: &Campus, second: u64) -> Option<Phase> {
    let outage = campus.docs.outages["myodaiji-1"].value.clone();
    phase(&campus.snapshot(), &campus.rules, &outage, at(second * SECOND))
}

fn mail(campus: &mut Campus, change: impl FnOnce(&mut Vm)) {
    let there = campus.docs.vms["mail"].clone();
    let mut vm = there.value.clone();
    change(&mut vm);
    assert!(put(&mut campus.docs.vms, &mut campus.docs.revision, vm, there.revision));
}

#[test]
fn it_prepares_while_a_disk_is_sent_ahead_in_the_hours_before_and_at_no_other_time() {
    let mut rules = Rules::default();
    rules.preseed.lead_ms = 3_600 * SECOND;
    let mut campus = scheduled(rules);
    let near = FROM - 1_000;
    assert_eq!(seen(&campus, near), None, "nothing is sent ahead");
    mail(&mut campus, |vm| vm.ask_preseed(None, at(0)));
    assert_eq!((seen(&campus, FROM - 4_000), seen(&campus, near)), (None, Some(Phase::Preparing)));
    mail(&mut campus, |vm| vm.cancel_preseed(at(0)));
    assert_eq!(seen(&campus, near), None);
}

#[test]
fn an_evacuated_site_is_dark_once_no_node_of_it_is_heard() {
    let mut campus = scheduled(Rules::default());
    campus.asked(Change::BeginAsked, FROM);
    campus.node_is("m1", node::State::Lost);
    assert_eq!(seen(&campus, FROM), None, "servers are leaving");
    campus.asked(Change::Emptied(Vec::new()), FROM);
    assert_eq!(seen(&campus, FROM), Some(Phase::Dark));
    campus.node_is("m1", node::State::Suspect);
    assert_eq!(seen(&campus, FROM), None, "it may only be slow");
    campus.asked(Change::ShutDownWished(true), FROM);
    let off = Darkened { node: "m1".parse().unwrap(), boot_id: None, stage: Stage::Off, at: at(FROM * SECOND) };
    campus.asked(Change::Darkened(vec![off]), FROM);
    assert_eq!(seen(&campus, FROM), Some(Phase::Dark));
    campus.node_is("m1", node::State::Ready);
    assert_eq!(seen(&campus, FROM), None, "the power is back");
}

#[test]
fn it_has_failed_where_somebody_who_was_to_move_did_not_and_no_policy_wanted_that() {
    let vm = || "mail".to_owned();
    let left = |fault| vec![Left { vm: "mail".parse().unwrap(), fault }];
    let after = |left: Vec<Left>| {
        let mut campus = scheduled(Rules::default());
        campus.asked(Change::BeginAsked, FROM);
        campus.asked(Change::Emptied(left), FROM);
        let evacuated = seen(&campus, FROM);
        campus.asked(Change::ReturnAsked, FROM);
        (evacuated, seen(&campus, FROM))
    };
    assert_eq!(after(left(Refusal::NoRefuge { site: "myodaiji".to_owned() })), (Some(Phase::Failed), None));
    assert_eq!(after(left(Refusal::PolicyStays { vm: vm() })), (None, None));
    assert_eq!(after(left(Refusal::NotRunning { vm: vm(), state: "stopped".to_owned() })), (None, None));
}
