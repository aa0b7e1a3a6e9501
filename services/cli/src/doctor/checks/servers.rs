//! Servers that are to run and do not, or stand still.

use std::collections::BTreeMap;

use watari_contracts::scheduler::{Fault, VmView};
use watari_model::{
    NodeName, Said,
    vm::{Desired, State},
};

use super::joined;
use crate::{
    doctor::{
        facts::Facts,
        finding::{Finding, said},
    },
    format,
    lang::Lang,
    texts::{states, troubles::Trouble},
};

/// What is on its way to running, or is tried again, has so long.
const PATIENCE_MS: u64 = 60_000;
/// Where no reason is told, a large image may be on its way.
const LONG_MS: u64 = 300_000;
/// So many on one node and for one reason are one finding.
const MANY: usize = 3;
/// What an outage wants off is told of with the outage.
const OF_AN_OUTAGE: &str = "outage.";

/// Servers that are to run and are off, or do not come to run.
pub(super) fn down(facts: &Facts) -> Vec<Finding> {
    let (mut found, mut told) = (Vec::new(), BTreeMap::<(Option<&NodeName>, &str), Vec<(&VmView, &Fault)>>::new());
    for vm in facts.idle.iter().filter(|vm| vm.desired == Desired::Running) {
        let since_ms = facts.now.millis_since(vm.changed_at);
        match (&vm.fault, vm.state) {
            (Some(fault), _) if fault.code.starts_with(OF_AN_OUTAGE) => {}
            (Some(fault), state) if matches!(state, State::Failed | State::Stopped) || since_ms >= PATIENCE_MS => {
                told.entry(key(vm, fault)).or_default().push((vm, fault));
            }
            (None, _) if since_ms >= LONG_MS => found.push(on(vm.node.as_ref(), hangs(vm))),
            _ => {}
        }
    }
    for ((node, _), servers) in told {
        if servers.len() < MANY {
            found.extend(servers.iter().map(|(vm, fault)| on(node, alone(vm, fault))));
        } else {
            found.extend(together(&servers).map(|trouble| on(node, trouble)));
        }
    }
    found
}

/// Servers that stand still on their nodes for no order. One that is starting anew already is not told of.
pub(super) fn still(facts: &Facts) -> Vec<Finding> {
    let stands = |vm: &&VmView| vm.state == State::Running && vm.desired == Desired::Running;
    let told = facts.still.iter().filter(stands).filter_map(|vm| vm.fault.as_ref().map(|fault| (vm, words(fault))));
    told.map(|(vm, (cause, remedy))| {
        on(vm.node.as_ref(), Trouble::ServerStandsStill { vm: said(&vm.name), cause, remedy })
    })
    .collect()
}

fn key<'f>(vm: &'f VmView, fault: &'f Fault) -> (Option<&'f NodeName>, &'f str) {
    (vm.node.as_ref(), fault.code.as_str())
}

fn on(node: Option<&NodeName>, trouble: Trouble) -> Finding {
    match node {
        Some(node) => Finding::on(node, trouble),
        None => Finding::of(trouble),
    }
}

fn hangs(vm: &VmView) -> Trouble {
    Trouble::ServerHangs { vm: said(&vm.name), state: state(vm), since: said(format::moment(vm.changed_at)) }
}

fn alone(vm: &VmView, fault: &Fault) -> Trouble {
    let (cause, remedy) = words(fault);
    Trouble::ServerDown { vm: said(&vm.name), state: state(vm), cause, remedy }
}

fn together(servers: &[(&VmView, &Fault)]) -> Option<Trouble> {
    let (_, fault) = servers.first()?;
    let (cause, remedy) = words(fault);
    let names = joined(servers.iter().map(|(vm, _)| &vm.name));
    Some(Trouble::ServersDown { count: said(servers.len()), servers: names, cause, remedy })
}

fn words(fault: &Fault) -> (Said, Said) {
    (Said::new(fault.cause.clone(), fault.ja.cause.clone()), Said::new(fault.remedy.clone(), fault.ja.remedy.clone()))
}

fn state(vm: &VmView) -> Said {
    let word = vm.state.word();
    Said::new(states::shown(Lang::En, word), states::shown(Lang::Ja, word))
}

#[cfg(test)]
mod tests {
    use watari_model::{Refusal, vm::Standstill};

    use super::*;
    use crate::doctor::{
        checks::tests::codes,
        facts::sample::{NOW, healthy, server},
    };

    fn stranded(name: &str) -> VmView {
        let fault = Refusal::VmStranded { vm: name.to_owned(), node: "m1".to_owned() };
        VmView { fault: Some(Fault::from(&fault)), ..server(name, State::Stopped) }
    }

    #[test]
    fn a_server_that_is_to_run_and_is_off_is_named_with_its_reason() {
        let mut facts = healthy();
        facts.idle = vec![stranded("mail")];
        let found = down(&facts);
        assert_eq!((codes(&found), found[0].nodes.len()), (vec!["vm.down"], 1));
        assert!(matches!(&found[0].trouble, Trouble::ServerDown { cause, .. } if cause.en.contains("only disk")));
        // Who is off because somebody wants it so is well, and so is who is off for an outage.
        facts.idle[0].desired = Desired::Stopped;
        assert_eq!(down(&facts), []);
        facts.idle = vec![stranded("mail")];
        facts.idle[0].fault.as_mut().unwrap().code = "outage.no-time".to_owned();
        assert_eq!(down(&facts), []);
    }

    #[test]
    fn a_server_that_stands_still_is_named_with_its_reason_until_it_starts_anew() {
        let mut facts = healthy();
        let fault = Standstill::IoError.refusal(&"mail".parse().unwrap(), &"m1".parse().unwrap());
        facts.still = vec![VmView { fault: Some(Fault::from(&fault)), ..server("mail", State::Running) }];
        let found = still(&facts);
        assert_eq!((codes(&found), found[0].nodes.len()), (vec!["vm.stands-still"], 1));
        let told = [Lang::En, Lang::Ja].map(|lang| found[0].trouble.told(lang));
        assert!(told[0].seen.contains("mail") && told[0].mend.contains("make room"), "{told:?}");
        assert!(told[1].seen.contains("ディスク") && told[1].mend.contains("空き"), "{told:?}");
        facts.still[0].state = State::Starting;
        assert_eq!(still(&facts), []);
    }

    #[test]
    fn who_starts_has_time_and_is_then_named_whether_or_not_a_reason_is_known() {
        let mut facts = healthy();
        let late = NOW.minus_millis(LONG_MS);
        facts.idle = vec![server("mail", State::Starting), VmView { state: State::Starting, ..stranded("web") }];
        assert_eq!(down(&facts), []);
        facts.idle.iter_mut().for_each(|vm| vm.changed_at = late);
        assert_eq!(codes(&down(&facts)), ["vm.hangs", "vm.down"]);
    }

    #[test]
    fn many_that_are_off_for_one_reason_are_one_finding() {
        let mut facts = healthy();
        facts.idle = ["a", "b", "c", "d"].map(stranded).into();
        let found = down(&facts);
        assert_eq!(codes(&found), ["vm.several-down"]);
        assert!(matches!(&found[0].trouble, Trouble::ServersDown { servers, .. } if servers.en == "a, b, c, d"));
    }
}
