//! DHCP stays between a server and its node: rules on our own taps, in a table of our own.
//!
//! A request of one of our servers reaches this node's dnsmasq (that is *input*, not *forward*)
//! and goes nowhere else; nobody else's offer reaches our servers. Other taps, ports and tables are not touched.

use std::io;

use serde_json::{Value, json};

use super::nft;
use crate::blueprint::TAP_PREFIX;

const TABLE: &str = "watari";
/// Before other rules of the bridge family (whose usual priority is -200).
const PRIORITY: i32 = -250;

/// The whole table, replaced in one transaction.
fn ruleset() -> Value {
    let table = json!({"family": "bridge", "name": TABLE});
    let chain = json!({
        "family": "bridge", "table": TABLE, "name": "forward",
        "type": "filter", "hook": "forward", "prio": PRIORITY, "policy": "accept",
    });
    let rule = |tap: &str, port: &str| {
        let equals = |left: Value, right: Value| json!({"match": {"op": "==", "left": left, "right": right}});
        json!({"add": {"rule": {"family": "bridge", "table": TABLE, "chain": "forward", "expr": [
            equals(json!({"meta": {"key": tap}}), json!(format!("{TAP_PREFIX}*"))),
            equals(json!({"payload": {"protocol": "ether", "field": "type"}}), json!("ip")),
            equals(json!({"payload": {"protocol": "udp", "field": port}}), json!(67)),
            {"drop": null},
        ]}}})
    };
    json!({"nftables": [
        // Added first, so that deleting it cannot fail; all of it is one transaction.
        {"add": {"table": table}},
        {"delete": {"table": table}},
        {"add": {"table": table}},
        {"add": {"chain": chain}},
        rule("iifname", "dport"),
        rule("oifname", "sport"),
    ]})
}

/// Lays the rules.
///
/// # Errors
/// nft is missing, or this kernel lacks a part of the bridge family: then DHCP is not kept apart,
/// which matters only where other DHCP servers are on the segment.
pub(super) async fn lay() -> io::Result<()> {
    nft::apply(&ruleset()).await
}
