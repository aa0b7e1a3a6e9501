//! A stranger on the segment has the address with which a server was to run for the first time. An address that was
//! drawn for the server becomes another; one that was asked for by name does not, and its operator is told.
//!
//! ```text
//!  its node asked, and somebody answered ──▶ the network service marks the address, and gives another ──▶ started again
//!                                                                              └── asked for by name ──▶ failed
//! ```
//!
//! Every step may be repeated: the network service gives the same address again, and a server whose document still has
//! the old one is started with that, asked about and refused once more.

use watari_chassis::Entry;
use watari_contracts::network::ReplacePort;
use watari_model::{
    NodeName, Refusal,
    vm::{Change, Nic, Vm},
};

use super::{Action, lifecycle::restart_is_due, snapshot::Outcome, turn::Turn};

/// Decides about a server whose node has found a stranger, as `refusal` says.
pub(super) fn decide(turn: &mut Turn<'_>, entry: &Entry<Vm>, node: &NodeName, refusal: &Refusal) {
    let vm = &entry.value;
    let Some((index, replace)) = wanted(vm, node, refusal) else {
        return turn.change_vm(entry, [Change::Broke(refusal.clone())], |_| {});
    };
    // Its next try to start has another generation, and what is found then is told anew.
    let key = format!("replace-port/{}/{}/{}/{}", vm.name, vm.uuid, replace.address, vm.generation());
    let answer = turn.snap.answers.get(&key);
    match answer.map(|answer| &answer.outcome) {
        Some(Outcome::Port(port)) if port.address != replace.address => {
            // Where many addresses are strangers', they are not tried all at once.
            if restart_is_due(turn, vm) {
                turn.rewrite_vm(
                    entry,
                    [Change::Granted(node.clone())],
                    |vm| {
                        if let Some(nic) = vm.spec.nics.get_mut(index) {
                            (nic.address, nic.address6, nic.mac) = (port.address, port.address6, port.mac.clone());
                        }
                        // Told until it runs, so that its history names who has the address.
                        vm.fault = Some(refusal.clone());
                    },
                    true,
                );
            }
        }
        Some(Outcome::Port(_)) => turn.change_vm(entry, [Change::Broke(refusal.clone())], |_| {}),
        // What comes later may be long in coming: no other address is left.
        Some(Outcome::Refused(why) | Outcome::Silent(why @ Refusal::RangeExhausted { .. })) => {
            turn.change_vm(entry, [Change::Broke(why.clone())], |_| {})
        }
        Some(_) if answer.is_some_and(|answer| answer.age_ms < turn.rules.repeat_ms) => {}
        _ => turn.push(Action::ReplacePort { key, replace: Box::new(replace) }),
    }
}

/// The card that the refusal is about, and what is to be asked of the network service.
fn wanted(vm: &Vm, node: &NodeName, refusal: &Refusal) -> Option<(usize, ReplacePort)> {
    let (Refusal::AddressStrange { network, address, mac, .. }
    | Refusal::AddressStrange6 { network, address, mac, .. }) = refusal
    else {
        return None;
    };
    let is = |nic: &Nic| nic.network.as_str() == network && nic.address.to_string() == *address;
    let (index, nic) = vm.spec.nics.iter().enumerate().find(|(_, nic)| is(nic))?;
    let replace = ReplacePort {
        network: nic.network.clone(),
        vm: vm.name.clone(),
        vm_uuid: vm.uuid.clone(),
        address: nic.address,
        address6: nic.address6.filter(|_| matches!(refusal, Refusal::AddressStrange6 { .. })),
        mac: mac.clone(),
        node: node.clone(),
        fixed: nic.fixed,
    };
    Some((index, replace))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, net::Ipv6Addr, sync::Arc};

    use watari_model::{
        network::Port,
        vm::{State, Vm},
    };

    use super::*;
    use crate::core::{
        Rules, Snapshot,
        snapshot::Answer,
        tests::documents::{at, name, network, nic, vm},
    };

    fn strange(address: &str) -> Refusal {
        Refusal::AddressStrange {
            network: "campus".to_owned(),
            address: address.to_owned(),
            mac: "02:00:00:00:00:07".to_owned(),
            node: "m1".to_owned(),
        }
    }

    fn strange_by_ipv6(address: &str, address6: Ipv6Addr) -> Refusal {
        Refusal::AddressStrange6 {
            network: "campus".to_owned(),
            address: address.to_owned(),
            address6: address6.to_string(),
            mac: "02:00:00:00:00:07".to_owned(),
            node: "m1".to_owned(),
        }
    }

    fn starting(fixed: bool) -> Entry<Vm> {
        let mut mail = vm("mail", 128);
        mail.spec.nics.push(Nic { fixed, address6: Some(beside(100)), ..nic(&network("campus"), 100) });
        mail.apply(Change::Granted(name("m1")), at(0)).unwrap();
        Entry { value: mail, revision: 1, created: at(0) }
    }

    fn beside(n: u8) -> Ipv6Addr {
        Ipv6Addr::from(u128::from(n))
    }

    fn given(n: u8) -> Outcome {
        let Nic { network, mac, address, .. } = nic(&network("campus"), n);
        let (vm, vm_uuid, address6) = ("mail".parse().unwrap(), String::new(), Some(beside(n)));
        Outcome::Port(Box::new(Port { v: 1, network, address, address6, mac, vm, vm_uuid, created_at: at(0) }))
    }

    /// What is decided when the network service has answered this.
    fn decided(entry: &Entry<Vm>, outcome: Option<Outcome>) -> Vec<Action> {
        decided_about(entry, outcome, &strange("203.0.113.100"))
    }

    fn decided_about(entry: &Entry<Vm>, outcome: Option<Outcome>, refusal: &Refusal) -> Vec<Action> {
        let key = format!("replace-port/mail/{}/203.0.113.100/{}", entry.value.uuid, entry.value.generation());
        let answer = outcome.map(|outcome| (key, Answer { attempt: 0, outcome, age_ms: 0, news: false }));
        let vms = Arc::new(BTreeMap::from([("mail".to_owned(), Arc::new(entry.clone()))]));
        let snap = Snapshot { epoch: 1, vms, answers: answer.into_iter().collect(), ..Snapshot::default() };
        let rules = Rules::default();
        let mut turn = Turn::new(&snap, &rules, at(1_000));
        decide(&mut turn, entry, &name("m1"), refusal);
        turn.actions
    }

    #[test]
    fn a_drawn_address_that_is_a_strangers_becomes_another_and_the_server_starts_again() {
        let entry = starting(false);
        let asked = decided(&entry, None);
        let [Action::ReplacePort { replace, .. }] = &asked[..] else { panic!("{asked:?}") };
        assert_eq!((replace.mac.as_str(), replace.address6, replace.fixed), ("02:00:00:00:00:07", None, false));
        let again = decided(&entry, Some(given(101)));
        let [Action::StoreVm { vm, restart: true, .. }] = &again[..] else { panic!("{again:?}") };
        assert_eq!((vm.state, vm.generation()), (State::Starting, entry.value.generation() + 1));
        let (is, was) = (&vm.spec.nics[0], &entry.value.spec.nics[0]);
        assert_eq!((is.address.octets()[3], is.mac == was.mac, &is.network), (101, false, &was.network));
        assert_eq!(is.address6, Some(beside(101)), "the node would refuse it with the IPv6 address of before");
        assert_eq!(vm.fault, Some(strange("203.0.113.100")));
    }

    #[test]
    fn who_has_what_goes_with_an_address_by_ipv6_is_told_so_and_the_server_starts_with_both_anew() {
        let (entry, refusal) = (starting(false), strange_by_ipv6("203.0.113.100", beside(100)));
        let asked = decided_about(&entry, None, &refusal);
        let [Action::ReplacePort { replace, .. }] = &asked[..] else { panic!("{asked:?}") };
        assert_eq!((replace.address, replace.address6), (entry.value.spec.nics[0].address, Some(beside(100))));
        let again = decided_about(&entry, Some(given(101)), &refusal);
        let [Action::StoreVm { vm, restart: true, .. }] = &again[..] else { panic!("{again:?}") };
        assert_eq!((vm.spec.nics[0].address.octets()[3], vm.spec.nics[0].address6), (101, Some(beside(101))));
        assert_eq!(vm.fault, Some(refusal));
    }

    #[test]
    fn an_address_that_was_asked_for_stays_and_what_the_network_service_refuses_is_told() {
        let entry = starting(true);
        let asked = decided(&entry, None);
        assert!(matches!(&asked[..], [Action::ReplacePort { replace, .. }] if replace.fixed), "{asked:?}");
        let full = Refusal::RangeExhausted { network: "campus".to_owned(), size: "100".to_owned() };
        for (outcome, fault) in [(given(100), strange("203.0.113.100")), (Outcome::Silent(full.clone()), full)] {
            let told = decided(&entry, Some(outcome));
            let [Action::StoreVm { vm, restart: false, .. }] = &told[..] else { panic!("{told:?}") };
            assert_eq!((vm.state, vm.fault.as_ref()), (State::Failed, Some(&fault)));
            assert_eq!(vm.spec.nics, entry.value.spec.nics);
        }
    }

    #[test]
    fn a_network_service_that_does_not_answer_is_asked_again_later() {
        let entry = starting(false);
        let silent = Outcome::Silent(Refusal::NoAnswer { who: "network".to_owned() });
        assert!(decided(&entry, Some(silent)).is_empty());
    }
}
