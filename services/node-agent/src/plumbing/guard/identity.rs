//! The rules that hold a guest to its own identity: the table `bridge watari`. Pure.
//!
//! ```text
//! from a tap (prerouting) ── own MAC? ─▶ ARP: own MAC and address inside too ─▶ the bridge
//!                                     ─▶ IPv4: own address, no DHCP server   ─▶ the bridge
//!                                     ─▶ RARP: QEMU's announcement           ─▶ the bridge
//! to a tap (postrouting)  ── to its MAC and address, or to all               ─▶ the guest
//! ```
//!
//! The tables hold the guest's names for itself; a tap of ours that stands in none of them passes
//! nothing at all. So a new tap is shut until its rules are laid, and one whose rules went stays shut.
//! IPv6 does not pass in either direction, since no port has an address of it.

use serde_json::{Value, json};

use super::Card;
use crate::plumbing::say::{Table, accept, concat, count, drop, field, goto, is, is_not, meta, ours};

const FAMILY: &str = "bridge";
const TABLE: &str = "watari";
const ENTRANCE: &str = "from-guest";
/// The chain whose presence says that the table stands.
pub(super) const PLACE: (&str, &str, &str) = (FAMILY, TABLE, ENTRANCE);
/// Tap and MAC.
pub(super) const SENDERS: &str = "senders";
/// Tap and address.
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

/// The table that holds these cards to their identity, and every other tap of ours to silence.
pub(super) fn compile<'a>(cards: impl Iterator<Item = &'a Card> + Clone) -> Vec<Value> {
    let mut table = Table::anew(FAMILY, TABLE);
    let pair = |tap: &str, name: String| json!({"concat": [tap, name]});
    table.set(SENDERS, &["ifname", "ether_addr"], cards.clone().map(|c| pair(&c.tap, c.mac.clone())).collect());
    let guarded = cards.clone().filter(|card| card.is_guarded()).map(|card| json!(card.tap));
    table.set(GUARDED, &["ifname"], guarded.collect());
    let addresses = cards.flat_map(|c| c.addresses.iter().map(move |a| pair(&c.tap, a.to_string())));
    table.set(ADDRESSES, &["ifname", "ipv4_addr"], addresses.collect());
    from_guest(&mut table);
    dhcp(&mut table);
    to_guest(&mut table);
    table.finish()
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
    table.rule(ENTRANCE, vec![is(kind(), RARP), accept()]);
    table.rule(ENTRANCE, vec![count(), drop()]);
}

/// DHCP stays between a server and its node: a request reaches this node's dnsmasq (that is *input*,
/// not *forward*) and goes nowhere else; nobody else's offer reaches our servers.
fn dhcp(table: &mut Table) {
    table.hook("dhcp", "forward", FORWARD);
    for (tap, port) in [("iifname", "dport"), ("oifname", "sport")] {
        let kind = is(field("ether", "type"), "ip");
        table.rule("dhcp", vec![is(meta(tap), ours()), kind, is(field("udp", port), 67), drop()]);
    }
}

fn to_guest(table: &mut Table) {
    let (chain, kind) = ("to-guest", || field("ether", "type"));
    table.hook(chain, "postrouting", LAST);
    table.rule(chain, vec![is_not(meta("oifname"), ours()), accept()]);
    table.rule(chain, vec![is_not(kind(), json!({"set": ["arp", "ip"]})), count(), drop()]);
    // What is for all has no address that a firewall rule could name. To a guarded server only this
    // node's DHCP comes that way; nobody else's reaches a tap.
    let for_all = || is(json!({"&": [field("ether", "daddr"), GROUP]}), GROUP);
    let guarded = || vec![for_all(), is(kind(), "ip"), is(meta("oifname"), known(GUARDED))];
    table.rule(chain, [guarded(), vec![is(field("udp", "sport"), 67), accept()]].concat());
    table.rule(chain, [guarded(), vec![count(), drop()]].concat());
    table.rule(chain, vec![for_all(), accept()]);
    let receiver = || is(concat(&[meta("oifname"), field("ether", "daddr")]), known(SENDERS));
    table.rule(chain, vec![is(kind(), "arp"), receiver(), accept()]);
    let address = concat(&[meta("oifname"), field("ip", "daddr")]);
    table.rule(chain, vec![receiver(), is(address, known(ADDRESSES)), accept()]);
    // A bridge floods what it does not know; that is not for this guest.
    table.rule(chain, vec![count(), drop()]);
}
