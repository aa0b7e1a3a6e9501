//! The rules that hold a guest to its own identity: the table `bridge watari`. Pure.
//!
//! ```text
//! from a tap (prerouting) ── own MAC? ─▶ ARP: own MAC and address inside too ─▶ the bridge
//!                                     ─▶ IPv4: own address, no DHCP server   ─▶ the bridge
//!                                     ─▶ IPv6: the same and more, see `ipv6` ─▶ the bridge
//!                                     ─▶ RARP: QEMU's announcement           ─▶ the bridge
//! to a tap (postrouting)  ── to its MAC and address, or to all               ─▶ the guest
//! ```
//!
//! The tables hold the guest's names for itself; a tap of ours that stands in none of them passes
//! nothing at all. So a new tap is shut until its rules are laid, and one whose rules went stays shut.
//! IPv6 passes in neither direction where the port has no address of it.

use serde_json::{Value, json};

use super::{Card, Family, dhcp, ipv6};
use crate::plumbing::say::{Table, accept, concat, count, drop, field, goto, is, is_not, meta, ours};

const FAMILY: &str = "bridge";
const TABLE: &str = "watari";
const ENTRANCE: &str = "from-guest";
/// The chain whose presence says that the table stands.
pub(super) const PLACE: (&str, &str, &str) = (FAMILY, TABLE, ENTRANCE);
/// Tap and MAC.
pub(super) const SENDERS: &str = "senders";
/// Tap and address, in one set for each family.
pub(super) const ADDRESSES: &str = "addresses";
/// Taps of servers that a firewall group guards.
pub(super) const GUARDED: &str = "guarded";

/// Before other rules of the bridge family (whose usual priority is -300), and before bridge
/// netfilter hands frames to the rules of other families (0).
const FIRST: i32 = -310;
/// Before other rules of forwarding (-200).
const FORWARD: i32 = -250;
/// After other rules (300).
const LAST: i32 = 310;
/// Reverse ARP, RFC 903: how QEMU tells switches that a guest has moved.
const RARP: u16 = 0x8035;
/// The bit of a MAC that says "to a group", broadcast among them.
const GROUP: &str = "01:00:00:00:00:00";

fn sender(protocol: &str, name: &str) -> Value {
    concat(&[meta("iifname"), field(protocol, name)])
}

fn known(set: &str) -> String {
    format!("@{set}")
}

/// The set of taps and their addresses of one family.
pub(super) fn pair(family: Family) -> String {
    known(&family.named(ADDRESSES))
}

/// The table that holds these cards to their identity, and every other tap of ours to silence; and what keeps their DHCP
/// apart beside it.
pub(super) fn compile<'a>(cards: impl Iterator<Item = &'a Card> + Clone) -> Vec<Value> {
    let mut table = Table::anew(FAMILY, TABLE);
    let element = |tap: &str, name: String| json!({"concat": [tap, name]});
    table.set(SENDERS, &["ifname", "ether_addr"], cards.clone().map(|c| element(&c.tap, c.mac.clone())).collect());
    let guarded = cards.clone().filter(|card| card.is_guarded()).map(|card| json!(card.tap));
    table.set(GUARDED, &["ifname"], guarded.collect());
    for family in Family::BOTH {
        let of_card = |card: &'a Card| card.of(family).map(move |address| element(&card.tap, address.to_string()));
        let addresses = cards.clone().flat_map(of_card);
        table.set(&family.named(ADDRESSES), &["ifname", family.address()], addresses.collect());
    }
    ipv6::from_guest(&mut table, cards.clone());
    from_guest(&mut table);
    dhcp::apart(&mut table, FORWARD);
    ipv6::apart(&mut table, cards.clone());
    to_guest(&mut table);
    [table.finish(), dhcp::compile(cards)].concat()
}

fn from_guest(table: &mut Table) {
    table.chain("arp");
    table.rule("arp", vec![is_not(sender("arp", "saddr ether"), known(SENDERS)), count(), drop()]);
    table.rule("arp", vec![is(sender("arp", "saddr ip"), known(ADDRESSES)), accept()]);
    // Asking whether an address is free, before it is used (RFC 5227).
    let probe = vec![is(field("arp", "operation"), "request"), is(field("arp", "saddr ip"), "0.0.0.0"), accept()];
    table.rule("arp", probe);
    table.rule("arp", vec![count(), drop()]);

    table.chain("ipv4");
    table.rule("ipv4", vec![is(field("udp", "sport"), 67), count(), drop()]);
    table.rule("ipv4", vec![is(sender("ip", "saddr"), known(ADDRESSES)), accept()]);
    let discovering = vec![
        is(field("ip", "saddr"), "0.0.0.0"),
        is(field("udp", "sport"), 68),
        is(field("udp", "dport"), 67),
        accept(),
    ];
    table.rule("ipv4", discovering);
    table.rule("ipv4", vec![count(), drop()]);

    table.hook(ENTRANCE, "prerouting", FIRST);
    table.rule(ENTRANCE, vec![is_not(meta("iifname"), ours()), accept()]);
    table.rule(ENTRANCE, vec![is_not(sender("ether", "saddr"), known(SENDERS)), count(), drop()]);
    let kind = || field("ether", "type");
    table.rule(ENTRANCE, vec![is(kind(), "arp"), goto("arp")]);
    table.rule(ENTRANCE, vec![is(kind(), "ip"), goto("ipv4")]);
    table.rule(ENTRANCE, vec![is(kind(), "ip6"), goto(ipv6::FROM_GUEST)]);
    table.rule(ENTRANCE, vec![is(kind(), RARP), accept()]);
    table.rule(ENTRANCE, vec![count(), drop()]);
}

fn to_guest(table: &mut Table) {
    let (chain, kind) = ("to-guest", || field("ether", "type"));
    table.hook(chain, "postrouting", LAST);
    table.rule(chain, vec![is_not(meta("oifname"), ours()), accept()]);
    table.rule(chain, vec![is_not(kind(), json!({"set": ["arp", "ip", "ip6"]})), count(), drop()]);
    // What is for all has no address that a firewall rule could name. To a guarded server only this
    // node's DHCP comes that way; nobody else's reaches a tap.
    let for_all = || is(json!({"&": [field("ether", "daddr"), GROUP]}), GROUP);
    let guarded = || vec![for_all(), is(kind(), "ip"), is(meta("oifname"), known(GUARDED))];
    table.rule(chain, [guarded(), vec![is(field("udp", "sport"), 67), accept()]].concat());
    table.rule(chain, [guarded(), vec![count(), drop()]].concat());
    let own = is(concat(&[meta("oifname"), field("ether", "saddr")]), known(SENDERS));
    ipv6::to_guest(table, chain, own, &for_all(), &is(meta("oifname"), known(GUARDED)));
    table.rule(chain, vec![for_all(), accept()]);
    let receiver = || is(concat(&[meta("oifname"), field("ether", "daddr")]), known(SENDERS));
    table.rule(chain, vec![is(kind(), "arp"), receiver(), accept()]);
    for family in Family::BOTH {
        let address = concat(&[meta("oifname"), field(family.protocol(), "daddr")]);
        table.rule(chain, vec![receiver(), is(address, pair(family)), accept()]);
    }
    // A bridge floods what it does not know; that is not for this guest.
    table.rule(chain, vec![count(), drop()]);
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{super::Guarded, *};

    fn card(n: u8, ipv6: &[&str]) -> Card {
        let ipv6 = ipv6.iter().map(|text| text.parse::<IpAddr>().unwrap());
        Card {
            tap: format!("wt{n}"),
            bridge: "br-t".to_owned(),
            mac: format!("52:57:cb:00:71:{n:02x}"),
            addresses: std::iter::once([203, 0, 113, n].into()).chain(ipv6).collect(),
            guarded: Guarded::Open,
            arrived_until: None,
        }
    }

    fn of_chain(rules: &[Value], chain: &str) -> usize {
        rules.iter().filter(|part| part["add"]["rule"]["chain"] == chain).count()
    }

    #[test]
    fn a_guest_with_ipv6_speaks_for_its_own_addresses_and_another_for_none() {
        let rules = compile([card(1, &["2001:db8::1", "fe80::1"]), card(2, &[])].iter());
        let set = |name: &str| {
            let found = rules.iter().map(|part| &part["add"]["set"]).find(|set| set["name"] == name);
            found.and_then(|set| set["elem"].as_array()).map_or(0, Vec::len)
        };
        assert_eq!((set("addresses"), set("addresses-v6"), set("dual")), (2, 2, 1));
        assert_eq!((of_chain(&rules, "speaks-0"), of_chain(&rules, "speaks-1")), (3, 0));
        assert_eq!((of_chain(&rules, "to-node"), of_chain(&rules, "from-node")), (2, 2));
        // Where nobody has IPv6 the node's own words of that are its own business.
        let without = compile([card(2, &[])].iter());
        assert_eq!((of_chain(&without, "to-node"), of_chain(&without, "from-node")), (1, 1));
    }

    #[test]
    fn dhcp_is_kept_apart_on_bridges_with_servers_and_nowhere_else() {
        let mut cards = [card(1, &[]), card(2, &[]), card(3, &[])];
        // Its tap hangs in the air.
        cards[2].bridge.clear();
        let rules = compile(cards.iter());
        let bridges = rules.iter().map(|part| &part["add"]["set"]).find(|set| set["name"] == "bridges").unwrap();
        assert_eq!((&bridges["table"], &bridges["elem"]), (&json!("watari-dhcp"), &json!(["br-t"])));
        assert_eq!((of_chain(&rules, "input"), of_chain(&rules, "output")), (1, 1));
        let without = compile(cards[..0].iter());
        assert_eq!(without.last().unwrap()["delete"]["table"]["name"], "watari-dhcp", "and its table is gone");
    }

    #[test]
    fn nft_itself_accepts_the_rules() {
        for cards in [vec![], vec![card(1, &[])], vec![card(1, &["2001:db8::1", "fe80::1"]), card(2, &[])]] {
            crate::plumbing::say::accepted(&compile(cards.iter()));
        }
    }
}
