//! DHCP stays between a server and its node: its part of the table of identities, and the table `inet watari-dhcp`. Pure.
//!
//! ```text
//! between two ports (bridge forward) ── a tap's question, or an answer to a tap        ─▶ dropped
//! from a tap to this node (bridge input)       ── a question                           ─▶ marked
//! by a bridge with servers (inet input)        ── a question without a mark            ─▶ dropped
//! by a bridge with servers (inet output)       ── an answer                            ─▶ marked
//! from this node, not to a tap (bridge output) ── an answer with a mark                ─▶ dropped
//! ```
//!
//! What is asked on the wire does not reach this node's dnsmasq, and what that says does not reach the wire, though it says
//! it to all. Other bridges of this machine may have a DHCP server of the operator's, so that only those with servers are
//! meant: a packet's interface says which bridge it is, which of a frame not every kernel knows (`meta ibrname`).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Card, ipv6};
use crate::plumbing::say::{Table, count, drop, field, is, is_not, meta, ours, rewrite};

const FAMILY: &str = "inet";
const TABLE: &str = "watari-dhcp";
/// The chain whose presence says that the table stands.
pub(super) const PLACE: (&str, &str, &str) = (FAMILY, TABLE, "input");
/// The bridges that have servers.
const BRIDGES: &str = "bridges";
/// The chain of what comes to this node, in the table of identities.
pub(super) const TO_NODE: &str = "to-node";
/// And of what it says.
pub(super) const FROM_NODE: &str = "from-node";
/// Where a DHCP server listens, and speaks from (RFC 2131, section 4.1).
const SERVER: u16 = 67;
/// The bit of a packet's mark by which one table tells the other.
const MARK: u32 = 0x2000_0000;

fn asks() -> Value {
    is(field("udp", "dport"), SERVER)
}

fn answers() -> Value {
    is(field("udp", "sport"), SERVER)
}

fn mark() -> Value {
    rewrite(meta("mark"), json!({"|": [meta("mark"), MARK]}))
}

fn marked() -> Value {
    json!({"&": [meta("mark"), MARK]})
}

/// The part of the table of identities.
pub(super) fn apart(table: &mut Table, priority: i32) {
    let kind = || is(field("ether", "type"), "ip");
    table.hook("dhcp", "forward", priority);
    table.rule("dhcp", vec![is(meta("iifname"), ours()), kind(), asks(), drop()]);
    table.rule("dhcp", vec![is(meta("oifname"), ours()), kind(), answers(), drop()]);
    ipv6::between(table, "dhcp");
    table.hook(TO_NODE, "input", priority);
    table.rule(TO_NODE, vec![is(meta("iifname"), ours()), kind(), asks(), mark()]);
    table.hook(FROM_NODE, "output", priority);
    table.rule(FROM_NODE, vec![is_not(meta("oifname"), ours()), kind(), answers(), is(marked(), MARK), drop()]);
}

/// The other table for these cards; without any, what takes it away.
pub(super) fn compile<'a>(cards: impl Iterator<Item = &'a Card>) -> Vec<Value> {
    let mut table = Table::anew(FAMILY, TABLE);
    // Of a tap that hangs in the air no bridge is known.
    let bridges: BTreeSet<&str> = cards.map(|card| card.bridge.as_str()).filter(|bridge| !bridge.is_empty()).collect();
    if bridges.is_empty() {
        return table.finish_and_delete();
    }
    table.set(BRIDGES, &["ifname"], bridges.into_iter().map(|bridge| json!(bridge)).collect());
    let by_these = |key| is(meta(key), format!("@{BRIDGES}"));
    table.hook("input", "input", 0);
    table.rule("input", vec![by_these("iifname"), asks(), is_not(marked(), MARK), count(), drop()]);
    table.hook("output", "output", 0);
    table.rule("output", vec![by_these("oifname"), answers(), mark()]);
    table.finish()
}
