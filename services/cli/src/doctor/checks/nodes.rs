//! How each node stands.

use watari_contracts::monitor::NodeHealth;
use watari_model::{
    NodeName, Said,
    image::Firmware,
    node::{Enforcement, State, Virtualisation, fencing::Outcome},
};

use super::joined;
use crate::{
    doctor::{
        facts::Facts,
        finding::{Finding, said},
    },
    format,
    texts::troubles::Trouble,
};

/// Clocks that differ by less fit together; a beat's way counts as well.
const CLOCK_MOST_MS: u64 = 2_000;

/// Whoever was heard so lately is suspect for what it said: that its hypervisor does not answer.
const SPEAKS_MS: u64 = 3_000;

/// Who is silent.
pub(super) fn heard(facts: &Facts) -> Vec<Finding> {
    let found = facts.nodes.iter().filter_map(|NodeHealth { node, .. }| {
        let (name, silent) = (said(&node.name), format::lasting(node.silent_ms));
        let trouble = match node.state {
            State::Ready => return None,
            _ if is_dark(facts, &node.name) => return None,
            State::Suspect if node.silent_ms < SPEAKS_MS => Trouble::HypervisorSilent { node: name },
            State::Suspect => Trouble::NodeSuspect { node: name, silent },
            State::Lost => match &node.off {
                // Somebody has looked after it.
                Some(off) => Trouble::NodeOff { node: name, by: said(&off.by), at: said(format::moment(off.at)) },
                None => Trouble::NodeLost { node: name, silent },
            },
        };
        Some(Finding::on(&node.name, trouble))
    });
    found.collect()
}

/// Whether it was shut down on purpose with its site, whose outage is not over.
fn is_dark(facts: &Facts, node: &NodeName) -> bool {
    let open = facts.outages.iter().filter(|outage| outage.state.is_open());
    open.flat_map(|outage| &outage.nodes).any(|dark| dark.node == *node && dark.state == "off")
}

/// Whose power could not be cut, or was not, though they are lost.
pub(super) fn unfenced(facts: &Facts) -> Vec<Finding> {
    let lost = facts.nodes.iter().map(|one| &one.node).filter(|node| node.state == State::Lost && node.off.is_none());
    let told = lost.filter_map(|node| Some((node, node.fencing.last.as_ref()?)));
    // What came of an earlier loss is past.
    let told = told.filter(|(node, last)| last.lost_at == Some(node.changed_at));
    let found = told.filter_map(|(node, last)| match &last.outcome {
        Outcome::Failed { why } | Outcome::Withheld { why } => {
            let cause = why.said();
            Some(Finding::on(&node.name, Trouble::NotFenced { node: said(&node.name), cause }))
        }
        Outcome::Begun | Outcome::Done => None,
    });
    found.collect()
}

/// Whom an operator keeps servers away from.
pub(super) fn cordoned(facts: &Facts) -> Vec<Finding> {
    let cordoned = facts.nodes.iter().map(|one| &one.node).filter(|node| node.cordoned);
    cordoned.map(|node| Finding::on(&node.name, Trouble::NodeCordoned { node: said(&node.name) })).collect()
}

/// Who runs guests without the processor's help.
pub(super) fn emulated(facts: &Facts) -> Vec<Finding> {
    let emulate = |one: &&NodeHealth| one.node.virtualisation == Virtualisation::Qemu;
    together(facts.nodes.iter().filter(emulate), |nodes| Trouble::NodesEmulate { nodes })
}

/// Who cannot run what boots by UEFI, if anything does.
pub(super) fn uefi(facts: &Facts) -> Vec<Finding> {
    let wanting = facts.images.iter().filter(|image| image.about.firmware == Firmware::Uefi);
    let images: Vec<_> = wanting.map(|image| &image.name).collect();
    if images.is_empty() {
        return Vec::new();
    }
    let images = joined(images);
    together(facts.heard().filter(|one| !one.node.uefi), |nodes| Trouble::NoUefi { nodes, images })
}

/// Of whose host nothing is known.
pub(super) fn unexamined(facts: &Facts) -> Vec<Finding> {
    together(facts.heard().filter(|one| one.health.is_none()), |nodes| Trouble::NodesUnexamined { nodes })
}

/// One finding for all these nodes, if there is any.
fn together<'f>(nodes: impl Iterator<Item = &'f NodeHealth>, trouble: impl FnOnce(Said) -> Trouble) -> Vec<Finding> {
    let nodes: Vec<_> = nodes.map(|one| one.node.name.clone()).collect();
    if nodes.is_empty() {
        return Vec::new();
    }
    vec![Finding { trouble: trouble(joined(&nodes)), nodes }]
}

/// Whose clock is wrong.
pub(super) fn clocks(facts: &Facts) -> Vec<Finding> {
    let found = facts.nodes.iter().filter(|one| one.node.state == State::Ready).filter_map(|one| {
        let by = one.clock_ahead_ms?.unsigned_abs();
        let name = &one.node.name;
        let skew = || Trouble::ClockSkew { node: said(name), by: said(format::millis(by)) };
        (by > CLOCK_MOST_MS).then(|| Finding::on(name, skew()))
    });
    found.collect()
}

/// Who cannot keep guests from harming one another.
pub(super) fn protection(facts: &Facts) -> Vec<Finding> {
    let found = facts.heard().flat_map(|NodeHealth { node, .. }| {
        let name = || said(&node.name);
        let identity = reason(&node.protection.identity);
        let firewall = reason(&node.protection.firewall);
        let identity = identity.map(|reason| Trouble::NotGuarded { node: name(), reason: said(reason) });
        let firewall = firewall.map(|reason| Trouble::NoFirewall { node: name(), reason: said(reason) });
        identity.into_iter().chain(firewall).map(move |trouble| Finding::on(&node.name, trouble))
    });
    found.collect()
}

fn reason(of: &Enforcement) -> Option<&str> {
    match of {
        Enforcement::Enforced => None,
        Enforcement::Missing { reason } => Some(reason),
    }
}

#[cfg(test)]
mod tests {
    use watari_contracts::scheduler::{DarkNode, OutageView};
    use watari_model::{
        Refusal,
        node::{Fencing, Off, fencing::Act},
        outage::{Scope, State as Leg},
    };

    use super::*;
    use crate::doctor::{
        checks::tests::codes,
        facts::sample::{NOW, healthy, outage},
    };

    #[test]
    fn a_silent_node_is_named_and_for_a_lost_one_what_it_told_last_is_not_taken_for_true() {
        let mut facts = healthy();
        (facts.nodes[0].node.state, facts.nodes[0].node.silent_ms) = (State::Suspect, SPEAKS_MS);
        facts.nodes[1].node.state = State::Lost;
        facts.nodes[1].health = None;
        let found = heard(&facts);
        assert_eq!(codes(&found), ["node.suspect", "node.lost"]);
        assert_eq!(found[1].nodes, [facts.nodes[1].node.name.clone()]);
        assert_eq!(unexamined(&facts), []);
    }

    #[test]
    fn a_node_that_is_known_to_be_off_is_not_lost_and_one_that_could_not_be_fenced_is_both() {
        let mut facts = healthy();
        facts.nodes[0].node.state = State::Lost;
        let why = Refusal::FencingMissing { node: "m1".to_owned() };
        let (act, by, at, outcome) = (Act::Off, "fencing".to_owned(), NOW, Outcome::Failed { why });
        let lost_at = Some(facts.nodes[0].node.changed_at);
        let last = Fencing { act, by, at, lost_at, tries: 1, outcome, ended_at: None };
        facts.nodes[0].node.fencing.last = Some(last);
        assert_eq!((codes(&heard(&facts)), codes(&unfenced(&facts))), (vec!["node.lost"], vec!["node.not-fenced"]));
        facts.nodes[0].node.off = Some(Off { by: "sato".to_owned(), at: NOW, for_good: false });
        assert_eq!((codes(&heard(&facts)), unfenced(&facts)), (vec!["node.off"], vec![]));
    }

    #[test]
    fn a_node_that_was_shut_down_with_its_site_is_as_it_should_be_until_that_is_called_off() {
        let mut facts = healthy();
        facts.nodes[0].node.state = State::Lost;
        let (node, site) = (facts.nodes[0].node.name.clone(), facts.nodes[0].node.site.clone());
        let nodes = vec![DarkNode { node, state: "off".to_owned(), since: Some(NOW), why: None }];
        for (state, told) in [(Leg::Evacuated, vec![]), (Leg::Cancelled, vec!["node.lost"])] {
            let view = OutageView { nodes: nodes.clone(), ..outage(Scope::Site(site.clone()), state) };
            facts.outages = vec![view];
            assert_eq!(codes(&heard(&facts)), told);
        }
    }

    #[test]
    fn a_node_that_speaks_and_is_suspect_has_a_hypervisor_that_does_not_answer() {
        let mut facts = healthy();
        (facts.nodes[0].node.state, facts.nodes[0].node.silent_ms) = (State::Suspect, SPEAKS_MS - 1);
        assert_eq!(codes(&heard(&facts)), ["node.hypervisor"]);
    }

    #[test]
    fn cordoned_emulating_and_unexamined_nodes_are_named() {
        let mut facts = healthy();
        facts.nodes[0].node.cordoned = true;
        facts.nodes[0].node.virtualisation = Virtualisation::Qemu;
        facts.nodes[1].node.virtualisation = Virtualisation::Qemu;
        facts.nodes[1].health = None;
        assert_eq!(codes(&cordoned(&facts)), ["node.cordoned"]);
        let emulated = emulated(&facts);
        assert_eq!((codes(&emulated), emulated[0].nodes.len()), (vec!["node.emulated"], 2));
        assert_eq!(codes(&unexamined(&facts)), ["node.unexamined"]);
    }

    #[test]
    fn nodes_without_uefi_firmware_are_named_as_soon_as_an_image_boots_by_it() {
        let mut facts = healthy();
        assert_eq!(uefi(&facts), []);
        facts.images[0].about.firmware = Firmware::Uefi;
        facts.nodes[0].node.uefi = true;
        let found = uefi(&facts);
        assert_eq!((codes(&found), found[0].nodes.len()), (vec!["node.no-uefi"], 1));
        facts.nodes[1].node.uefi = true;
        assert_eq!(uefi(&facts), []);
    }

    #[test]
    fn a_clock_that_is_ahead_or_behind_is_named() {
        let mut facts = healthy();
        for (ahead, named) in [(2_000, false), (2_001, true), (-2_000, false), (-90_000, true), (i64::MIN, true)] {
            facts.nodes[0].clock_ahead_ms = Some(ahead);
            assert_eq!(codes(&clocks(&facts)) == ["node.clock"], named, "{ahead}");
        }
        facts.nodes[0].node.state = State::Suspect;
        assert_eq!(clocks(&facts), [], "its last beat may be old");
    }

    #[test]
    fn a_node_that_does_not_hold_guests_to_their_addresses_is_worse_than_one_without_firewall_groups() {
        let mut facts = healthy();
        let missing = || Enforcement::Missing { reason: "no nft".to_owned() };
        facts.nodes[0].node.protection.identity = missing();
        facts.nodes[0].node.protection.firewall = missing();
        assert_eq!(codes(&protection(&facts)), ["node.not-guarded", "node.no-firewall"]);
    }
}
