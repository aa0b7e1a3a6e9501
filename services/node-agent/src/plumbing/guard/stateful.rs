//! The rules of firewall groups: the table `inet watari`. Pure.
//!
//! Frames between ports of a bridge come here by bridge netfilter, as the bridge's own packets: a
//! port is told by its bridge and address, which the table of identities has made sure of. So the
//! same rules hold for what is bridged and what is routed.
//!
//! ```text
//! forward ── bridge and source known?      ─▶ out-N: answers pass; its groups' rules; else dropped
//!         ── bridge and destination known? ─▶ in-N:  answers pass; its groups' rules; else dropped
//! ```
//!
//! Two maps lead from a port to the chains of its *set of groups*, so that a packet meets only rules
//! of its own server's, and a thousand ports of one kind share one pair of chains. IPv4 and IPv6 have maps and
//! sets of their own, and the chains in common.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use watari_model::{
    FirewallName,
    firewall::{Direction, Peer, Protocol, Rule},
};

use super::{
    Card, Family, Guarded, Policy,
    ipv6::{LISTENING, NEIGHBOURS},
};
use crate::plumbing::say::{Table, concat, count, drop, field, is, jump_by, meta};

const FAMILY: &str = "inet";
const TABLE: &str = "watari";
const ENTRANCE: &str = "forward";
/// The chain whose presence says that the table stands.
pub(super) const PLACE: (&str, &str, &str) = (FAMILY, TABLE, ENTRANCE);
/// Before other rules of forwarding (0): what is dropped here need not be looked at there.
const PRIORITY: i32 = -10;
/// Servers that have just arrived: bridge and address, for a time; a set for each family.
pub(super) const ARRIVED: &str = "arrived";

/// The end of a packet that is a server of ours, and the other one.
struct Ends {
    chain: &'static str,
    device: &'static str,
    ours: &'static str,
    theirs: &'static str,
}

const fn ends(direction: Direction) -> Ends {
    match direction {
        Direction::In => Ends { chain: "in", device: "oifname", ours: "daddr", theirs: "saddr" },
        Direction::Out => Ends { chain: "out", device: "iifname", ours: "saddr", theirs: "daddr" },
    }
}

fn verdict(word: &str) -> Value {
    json!({word: null})
}

/// Everything as it should be at `now`, on the boot clock in milliseconds.
pub(super) fn compile<'a>(cards: impl Iterator<Item = &'a Card> + Clone, policy: &Policy, now: u64) -> Vec<Value> {
    let mut table = Table::anew(FAMILY, TABLE);
    let cards = cards.filter(|card| card.is_guarded());
    let kinds: BTreeSet<&Guarded> = cards.clone().map(|card| &card.guarded).collect();
    let kinds: BTreeMap<_, usize> = kinds.into_iter().enumerate().map(|(n, kind)| (kind, n)).collect();
    // A table without anybody who has IPv6 is as small as if there were none.
    let families = Family::BOTH.into_iter().filter(|family| cards.clone().any(|card| card.has(*family)));
    let families: Vec<Family> = families.collect();
    let peers = members(&mut table, policy, kinds.keys().copied());
    for family in &families {
        arrived(&mut table, cards.clone(), *family, now);
    }
    for (guarded, n) in &kinds {
        for direction in [Direction::In, Direction::Out] {
            let terms = Terms { families: &families, peers: &peers };
            chain(&mut table, &rules_of(policy, guarded), &terms, *n, direction);
        }
    }
    table.hook(ENTRANCE, "forward", PRIORITY);
    for direction in [Direction::Out, Direction::In] {
        let Ends { chain, device, ours, .. } = ends(direction);
        for family in &families {
            let entries = cards.clone().flat_map(|card| {
                let target = format!("{chain}-{}", kinds[&card.guarded]);
                let entry = move |address| json!([{"concat": [card.bridge, address]}, {"jump": {"target": target}}]);
                card.of(*family).map(entry)
            });
            let map = family.named(chain);
            table.map(&map, &["ifname", family.address()], entries.collect());
            let port = concat(&[meta(device), field(family.protocol(), ours)]);
            table.rule(ENTRANCE, vec![jump_by(port, &map)]);
        }
    }
    table.finish()
}

/// All rules that guard a server of this kind; none if not all of its groups' rules are here.
fn rules_of<'a>(policy: &'a Policy, guarded: &Guarded) -> Option<BTreeSet<&'a Rule>> {
    let Guarded::By(groups) = guarded else { return None };
    let known: Option<Vec<_>> = groups.iter().map(|group| policy.groups.get(group)).collect();
    Some(known?.into_iter().flatten().collect())
}

/// What rules are written in: the families that are there, and the sets of other ends.
struct Terms<'a> {
    families: &'a [Family],
    peers: &'a BTreeMap<&'a FirewallName, String>,
}

/// A set of each family for each group that a rule of these names as the other end.
fn members<'a>(
    table: &mut Table,
    policy: &'a Policy,
    kinds: impl Iterator<Item = &'a Guarded>,
) -> BTreeMap<&'a FirewallName, String> {
    let named: BTreeSet<&FirewallName> = kinds
        .filter_map(|guarded| rules_of(policy, guarded))
        .flatten()
        .filter_map(|rule| match &rule.peer {
            Peer::Group(group) => Some(group),
            Peer::Anywhere | Peer::Cidr(_) => None,
        })
        .collect();
    let mut peers = BTreeMap::new();
    for (n, group) in named.into_iter().enumerate() {
        let set = format!("members-{n}");
        for family in Family::BOTH {
            let all = policy.members.get(group).into_iter().flatten();
            let addresses = all.filter(|address| Family::of(address) == family).map(|address| json!(address));
            table.set(&family.named(&set), &[family.address()], addresses.collect());
        }
        peers.insert(group, set);
    }
    peers
}

/// Connections that a server brought along are not known to this node's connection tracking; for
/// a while after its arrival what looks like the middle of one is taken for that.
fn arrived<'a>(table: &mut Table, cards: impl Iterator<Item = &'a Card>, family: Family, now: u64) {
    let fresh = cards.filter_map(|card| Some((card, card.arrived_until?.checked_sub(now)?.div_ceil(1_000))));
    let elements = fresh.filter(|(_, left)| *left > 0).flat_map(|(card, left)| {
        let element = move |address| json!({"elem": {"val": {"concat": [card.bridge, address]}, "timeout": left}});
        card.of(family).map(element)
    });
    table.timed_set(&family.named(ARRIVED), &["ifname", family.address()], elements.collect());
}

/// The rules of one kind of server in one direction. What passes returns, to be looked at as the
/// other end's packet too.
fn chain(table: &mut Table, rules: &Option<BTreeSet<&Rule>>, terms: &Terms<'_>, n: usize, direction: Direction) {
    let Ends { chain, device, ours, .. } = ends(direction);
    let name = format!("{chain}-{n}");
    table.chain(&name);
    if terms.families.contains(&Family::V6) {
        // Who finds nobody reaches nobody, and tracking has no state for it. Identities have been seen to.
        let kinds = [NEIGHBOURS.as_slice(), LISTENING.as_slice()].concat();
        table.rule(&name, vec![is(field("icmpv6", "type"), json!({"set": kinds})), verdict("return")]);
    }
    table.rule(&name, vec![answers()]);
    // What this node has not seen begin may be what a server brought along.
    let middle = || json!({"&": [field("tcp", "flags"), {"|": ["syn", "ack"]}]});
    for family in terms.families {
        let port = concat(&[meta(device), field(family.protocol(), ours)]);
        let fresh = is(port, format!("@{}", family.named(ARRIVED)));
        table.rule(&name, vec![fresh, is(middle(), "ack"), verdict("return")]);
    }
    table.rule(&name, vec![stray()]);
    let of_direction: Vec<&Rule> = rules.iter().flatten().copied().filter(|rule| rule.direction == direction).collect();
    // Everything may leave unless a rule says what may; rules that are not here may say it.
    if direction == Direction::Out && of_direction.is_empty() && rules.is_some() {
        return;
    }
    for rule in of_direction {
        for other_end in other_ends(rule, terms) {
            table.rule(&name, other_end.into_iter().chain(carries(rule)).chain([verdict("return")]).collect());
        }
    }
    table.rule(&name, vec![count(), drop()]);
}

fn by_state(states: &[(&str, &str)]) -> Value {
    let states: Vec<Value> = states.iter().map(|(state, word)| json!([state, verdict(word)])).collect();
    json!({"vmap": {"key": {"ct": {"key": "state"}}, "data": {"set": states}}})
}

/// What belongs to a connection that was let through passes.
fn answers() -> Value {
    by_state(&[("established", "return"), ("related", "return")])
}

/// What belongs to none and begins none does not.
fn stray() -> Value {
    by_state(&[("invalid", "drop")])
}

/// A transaction that leaves nothing, and that only a kernel can take which can track connections here.
pub(super) fn probe() -> Vec<Value> {
    let mut table = Table::anew(FAMILY, "watari-probe");
    table.chain("probe");
    table.rule("probe", vec![answers()]);
    table.finish_and_delete()
}

/// The other end of a rule's packets, in each way in which it can be written down: a group has a set of each family.
fn other_ends(rule: &Rule, terms: &Terms<'_>) -> Vec<Option<Value>> {
    let end = |family: Family| field(family.protocol(), ends(rule.direction).theirs);
    match &rule.peer {
        Peer::Anywhere => vec![None],
        Peer::Cidr(subnet) => {
            let family = Family::of(&subnet.addr());
            // All of a family is no prefix that nft would take.
            if subnet.prefix_len() == 0 {
                return vec![Some(is(meta("nfproto"), family.netfilter()))];
            }
            vec![Some(is(end(family), json!({"prefix": {"addr": subnet.addr(), "len": subnet.prefix_len()}})))]
        }
        Peer::Group(group) => {
            let set = |family: Family| format!("@{}", family.named(&terms.peers[group]));
            terms.families.iter().map(|family| Some(is(end(*family), set(*family)))).collect()
        }
    }
}

/// What a rule's packets carry.
fn carries(rule: &Rule) -> Option<Value> {
    match (rule.protocol, rule.ports) {
        (Protocol::Any, _) => None,
        (Protocol::Icmp, _) => Some(is(meta("l4proto"), json!({"set": ["icmp", "ipv6-icmp"]}))),
        (protocol, None) => Some(is(meta("l4proto"), protocol.word())),
        (protocol, Some(ports)) => {
            let ports = if ports.first == ports.last {
                json!(ports.first)
            } else {
                json!({"range": [ports.first, ports.last]})
            };
            Some(is(field(protocol.word(), "dport"), ports))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn card(n: u8, groups: &[&str]) -> Card {
        let groups: BTreeSet<FirewallName> = groups.iter().map(|group| group.parse().unwrap()).collect();
        Card {
            tap: format!("wt{n}"),
            bridge: "br-t".to_owned(),
            mac: format!("52:57:cb:00:71:{n:02x}"),
            addresses: vec![[203, 0, 113, n].into()],
            guarded: if groups.is_empty() { Guarded::Open } else { Guarded::By(groups) },
            arrived_until: None,
        }
    }

    fn named<'a>(rules: &'a [Value], kind: &str, name: &str) -> Vec<&'a Value> {
        let of = |part: &'a Value| Some(&part["add"][kind]).filter(|body| !body.is_null());
        rules.iter().filter_map(of).filter(|body| body["name"] == name || body["chain"] == name).collect()
    }

    #[test]
    fn ports_of_one_kind_share_their_chains_and_open_ones_have_none() {
        let cards = [card(1, &["mail"]), card(2, &["mail"]), card(3, &["mail", "web"]), card(4, &[])];
        let mut policy = Policy::default();
        policy.groups.insert("mail".parse().unwrap(), Vec::new());
        let rules = compile(cards.iter(), &policy, 0);
        let map = named(&rules, "map", "in")[0]["elem"].as_array().unwrap();
        let target = |n: usize| map[n][1]["jump"]["target"].as_str().unwrap();
        assert_eq!((map.len(), target(0), target(1), target(2)), (3, "in-0", "in-0", "in-1"));
        // `mail` has no rule for out; what `web` says has not come.
        assert_eq!(named(&rules, "rule", "out-0").last().unwrap()["expr"][0], stray(), "all that is sound passes");
        assert_eq!(named(&rules, "rule", "out-1").last().unwrap()["expr"][1], drop());
        assert_eq!(named(&rules, "rule", "in-0").last().unwrap()["expr"][1], drop());
    }

    #[test]
    fn an_arrival_is_one_until_its_time_is_over() {
        let mut cards = [card(1, &["mail"]), card(2, &["mail"])];
        (cards[0].arrived_until, cards[1].arrived_until) = (Some(90_000), Some(30_000));
        let rules = compile(cards.iter(), &Policy::default(), 30_000);
        let set = named(&rules, "set", ARRIVED)[0];
        assert_eq!(set["elem"].as_array().unwrap().len(), 1);
        assert_eq!(set["elem"][0]["elem"]["timeout"], 60);
    }

    #[test]
    fn ipv6_has_rules_of_its_own_where_somebody_has_it_and_nft_accepts_them() {
        let rule = |protocol, peer| Rule { direction: Direction::In, protocol, ports: None, peer };
        let mut policy = Policy::default();
        let cidr = |text: &str| Peer::Cidr(text.parse().unwrap());
        let said = [
            rule(Protocol::Tcp, cidr("2001:db8::/32")),
            rule(Protocol::Any, cidr("203.0.113.0/24")),
            rule(Protocol::Udp, cidr("0.0.0.0/0")),
            rule(Protocol::Udp, cidr("::/0")),
            rule(Protocol::Icmp, Peer::Anywhere),
            rule(Protocol::Tcp, Peer::Group("web".parse().unwrap())),
        ];
        policy.groups.insert("mail".parse().unwrap(), said.into());
        let members: [IpAddr; 2] = [[203, 0, 113, 9].into(), "2001:db8::9".parse().unwrap()];
        policy.members.insert("web".parse().unwrap(), members.into());
        let mut cards = [card(1, &["mail"]), card(2, &["mail"])];
        let rules = compile(cards.iter(), &policy, 0);
        // Six, and what every chain has: answers, arrivals, strays, and the end.
        assert_eq!(named(&rules, "rule", "in-0").len(), 10);
        assert!(named(&rules, "map", "in-v6").is_empty());
        crate::plumbing::say::accepted(&rules);

        cards[0].addresses.push("2001:db8::1".parse().unwrap());
        cards[0].arrived_until = Some(60_000);
        let rules = compile(cards.iter(), &policy, 0);
        // Beside these neighbours, arrivals of the other family, and the group's other set.
        assert_eq!(named(&rules, "rule", "in-0").len(), 13);
        assert_eq!(named(&rules, "map", "in-v6")[0]["elem"].as_array().unwrap().len(), 1);
        assert_eq!(named(&rules, "set", "members-0-v6")[0]["elem"], json!(["2001:db8::9"]));
        crate::plumbing::say::accepted(&rules);
    }
}
