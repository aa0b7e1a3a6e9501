//! What a guest may say and hear by IPv6: its part of the table of identities. Pure.
//!
//! As with IPv4 a guest has its own addresses: the network's, and the link-local one of its MAC (RFC 4291, appendix A),
//! which is the only one that can be known beforehand. Neighbour discovery says whose an address is inside of
//! packets, so that what it says of addresses is looked at too. Nobody but this node tells our guests of
//! routers or gives them addresses, and nobody but our guests is told so by this node.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::{
    Card, Family,
    dhcp::{FROM_NODE, TO_NODE},
    identity::pair,
};
use crate::plumbing::say::{Table, accept, concat, count, drop, field, is, is_not, jump_by, meta, ours};

/// The chain of what guests send.
pub(super) const FROM_GUEST: &str = "ipv6";
/// The taps of guests with IPv6.
const DUAL: &str = "dual";
/// From a tap to the chain that knows which addresses it may speak for.
const SPOKEN_FOR: &str = "spoken-for";
/// Without which nobody finds anybody.
pub(super) const NEIGHBOURS: [&str; 2] = ["nd-neighbor-solicit", "nd-neighbor-advert"];
/// Which groups a machine listens to (RFC 2710, RFC 3810).
pub(super) const LISTENING: [&str; 3] = ["mld-listener-report", "mld-listener-done", "mld2-listener-report"];
/// DHCPv6 (RFC 8415, section 7.2).
const SERVER: u16 = 547;

/// Where an advertisement, or a question, has the address that it is about, in bits of its message.
fn about() -> Value {
    json!({"payload": {"base": "th", "offset": 64, "len": 128}})
}

/// For how long a router's advertisement says that it is one.
fn lifetime() -> Value {
    json!({"payload": {"base": "th", "offset": 48, "len": 16}})
}

/// What may stand between the head of a packet and what it carries, by number (RFC 8200, section 4).
const EXTENSIONS: [u8; 6] = [0, 43, 44, 51, 60, 135];

/// A fragment that begins with more heads. They can fill the first one, so that what it carries stands in the second,
/// where nobody looks who does not put them together (RFC 7113).
fn hidden() -> Value {
    is(json!({"exthdr": {"name": "frag", "field": "nexthdr"}}), json!({"set": EXTENSIONS}))
}

fn message(kinds: &[&str]) -> Value {
    is(field("icmpv6", "type"), json!({"set": kinds}))
}

fn from_nobody() -> Value {
    is(field("ip6", "saddr"), "::")
}

fn addresses(card: &Card) -> impl Iterator<Item = u128> {
    card.addresses.iter().filter_map(|address| match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(u128::from(*address)),
    })
}

/// Whether there is anybody with IPv6.
fn duals<'a>(cards: impl Iterator<Item = &'a Card>) -> Vec<&'a Card> {
    cards.filter(|card| card.has(Family::V6)).collect()
}

/// The sets, and the chain of what guests send.
pub(super) fn from_guest<'a>(table: &mut Table, cards: impl Iterator<Item = &'a Card>) {
    let duals = duals(cards);
    table.set(DUAL, &["ifname"], duals.iter().map(|card| json!(card.tap)).collect());
    let chain_of = |n: usize| format!("speaks-{n}");
    for (n, card) in duals.iter().enumerate() {
        table.chain(&chain_of(n));
        for address in addresses(card) {
            table.rule(&chain_of(n), vec![is(about(), format!("{address:#034x}")), json!({"return": null})]);
        }
        table.rule(&chain_of(n), vec![count(), drop()]);
    }
    let led = duals.iter().enumerate().map(|(n, card)| json!([card.tap, {"jump": {"target": chain_of(n)}}]));
    table.map(SPOKEN_FOR, &["ifname"], led.collect());

    let chain = FROM_GUEST;
    table.chain(chain);
    table.rule(chain, vec![is_not(meta("iifname"), format!("@{DUAL}")), count(), drop()]);
    table.rule(chain, vec![hidden(), count(), drop()]);
    let of_routers = ["nd-router-advert", "nd-redirect", "mld-listener-query"];
    table.rule(chain, vec![message(&of_routers), count(), drop()]);
    table.rule(chain, vec![is(field("udp", "sport"), SERVER), count(), drop()]);
    let speaks = || jump_by(meta("iifname"), SPOKEN_FOR);
    table.rule(chain, vec![message(&["nd-neighbor-advert"]), speaks()]);
    // Asking whether an address is free, before it is used (RFC 4862), keeps others from using it.
    table.rule(chain, vec![message(&["nd-neighbor-solicit"]), from_nobody(), speaks()]);
    let unnamed = [&LISTENING[..], &["nd-neighbor-solicit"]].concat();
    table.rule(chain, vec![message(&unnamed), from_nobody(), accept()]);
    let own = concat(&[meta("iifname"), field("ip6", "saddr")]);
    table.rule(chain, vec![is(own, pair(Family::V6)), accept()]);
    table.rule(chain, vec![count(), drop()]);
}

/// What stays between a server and its node, in the chain of what is passed on.
pub(super) fn between(table: &mut Table, chain: &str) {
    for (tap, port) in [("iifname", "dport"), ("oifname", "sport")] {
        let kind = is(field("ether", "type"), "ip6");
        table.rule(chain, vec![is(meta(tap), ours()), kind, is(field("udp", port), SERVER), drop()]);
    }
    for (tap, kind) in [("iifname", "nd-router-solicit"), ("oifname", "nd-router-advert")] {
        table.rule(chain, vec![is(meta(tap), ours()), message(&[kind]), drop()]);
    }
}

/// The node's own DHCPv6 server neither hears nor tells the segment, as with IPv4. What it says is told from a real
/// router's words by its lifetime, which is nothing. Where no guest has IPv6 the node may be whatever it likes.
pub(super) fn apart<'a>(table: &mut Table, cards: impl Iterator<Item = &'a Card>) {
    if duals(cards).is_empty() {
        return;
    }
    let asks = vec![is(field("ether", "type"), "ip6"), is(field("udp", "dport"), SERVER)];
    table.rule(TO_NODE, [vec![is_not(meta("iifname"), ours())], asks, vec![drop()]].concat());
    let tells = vec![message(&["nd-router-advert"]), is(lifetime(), 0)];
    table.rule(FROM_NODE, [vec![is_not(meta("oifname"), ours())], tells, vec![drop()]].concat());
}

/// What reaches a guest by IPv6 because it is for all, in the chain of what guests hear. `for_all` and `guarded` say of a
/// packet that it is that.
pub(super) fn to_guest(table: &mut Table, chain: &str, own: Value, for_all: &Value, guarded: &Value) {
    let kind = || is(field("ether", "type"), "ip6");
    table.rule(chain, vec![kind(), is_not(meta("oifname"), format!("@{DUAL}")), count(), drop()]);
    // What is said in its own name: it would take its address for a duplicate.
    table.rule(chain, vec![kind(), own, drop()]);
    let heard = [&NEIGHBOURS[..], &["nd-router-advert"]].concat();
    table.rule(chain, vec![for_all.clone(), guarded.clone(), message(&heard), accept()]);
    table.rule(chain, vec![for_all.clone(), guarded.clone(), kind(), count(), drop()]);
}
