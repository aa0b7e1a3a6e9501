//! What firewall groups say, as far as this node must know. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use watari_contracts::plan::{Members, NetworkPlan, PlannedFirewall};
use watari_model::{
    FirewallName,
    firewall::{Peer, Rule},
};

/// What firewall groups say, by the network service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The rules of each group that guards a server here.
    pub groups: BTreeMap<FirewallName, Vec<Rule>>,
    /// The addresses of the servers of each group that a rule names as the other end.
    pub members: BTreeMap<FirewallName, BTreeSet<IpAddr>>,
}

impl From<&NetworkPlan> for Policy {
    fn from(plan: &NetworkPlan) -> Self {
        let groups = plan.firewalls.iter().map(|group| (group.firewall.clone(), group.rules.clone()));
        let members = plan.members.iter().map(|m| (m.firewall.clone(), m.addresses.iter().copied().collect()));
        Self { groups: groups.collect(), members: members.collect() }
    }
}

impl Policy {
    /// Takes over from what was known before whatever is missing here of the groups that guard
    /// servers on this node. A document that vanished is no order: neither to shut a server, nor to open it.
    pub(super) fn keep_known<'a>(&mut self, before: &Self, guarding: impl Iterator<Item = &'a FirewallName>) {
        for group in guarding {
            if let (false, Some(rules)) = (self.groups.contains_key(group), before.groups.get(group)) {
                self.groups.insert(group.clone(), rules.clone());
            }
        }
        let named = self.groups.values().flatten().filter_map(|rule| match &rule.peer {
            Peer::Group(group) => Some(group),
            Peer::Anywhere | Peer::Cidr(_) => None,
        });
        for group in named {
            if let (false, Some(members)) = (self.members.contains_key(group), before.members.get(group)) {
                self.members.insert(group.clone(), members.clone());
            }
        }
    }

    /// Makes a plan say this of firewall groups.
    pub(super) fn write_into(self, plan: &mut NetworkPlan) {
        let group = |(firewall, rules)| PlannedFirewall { firewall, rules };
        let member =
            |(firewall, addresses): (_, BTreeSet<_>)| Members { firewall, addresses: addresses.into_iter().collect() };
        plan.firewalls = self.groups.into_iter().map(group).collect();
        plan.members = self.members.into_iter().map(member).collect();
    }
}

#[cfg(test)]
mod tests {
    use watari_model::firewall::{Direction, Protocol};

    use super::*;

    fn name(text: &str) -> FirewallName {
        text.parse().unwrap()
    }

    fn plan(groups: &[(&str, &str)], members: &[(&str, u8)]) -> NetworkPlan {
        let rule = |peer: &str| Rule {
            direction: Direction::In,
            protocol: Protocol::Any,
            ports: None,
            peer: Peer::Group(name(peer)),
        };
        let group = |(of, peer): &(&str, &str)| PlannedFirewall { firewall: name(of), rules: vec![rule(peer)] };
        let member = |(of, n): &(&str, u8)| Members { firewall: name(of), addresses: vec![[10, 1, 0, *n].into()] };
        NetworkPlan {
            networks: Vec::new(),
            firewalls: groups.iter().map(group).collect(),
            members: members.iter().map(member).collect(),
        }
    }

    #[test]
    fn rules_of_a_group_that_vanished_are_kept_while_it_guards_a_server() {
        let before = Policy::from(&plan(&[("db", "web"), ("mail", "lan"), ("old", "web")], &[("web", 1), ("lan", 2)]));
        // `db` and everything behind it is gone; `mail` says something else and has other members.
        let mut told = plan(&[("mail", "web")], &[]);
        let mut now = Policy::from(&told);
        now.keep_known(&before, [name("db"), name("mail")].iter());
        assert_eq!(now, Policy::from(&plan(&[("db", "web"), ("mail", "web")], &[("web", 1)])));
        // What is kept on the disk says the same, and keeping it again changes nothing.
        now.clone().write_into(&mut told);
        assert_eq!(Policy::from(&told), now);
        let mut again = Policy::from(&told);
        again.keep_known(&before, [name("db"), name("mail")].iter());
        assert_eq!(again, now);
    }

    #[test]
    fn newer_rules_and_members_replace_those_that_were_known() {
        let before = Policy::from(&plan(&[("db", "web")], &[("web", 1)]));
        let mut now = Policy::from(&plan(&[("db", "lan")], &[("lan", 3), ("web", 2)]));
        let told = now.clone();
        now.keep_known(&before, [name("db")].iter());
        assert_eq!(now, told);
    }
}
