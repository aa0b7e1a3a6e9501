//! What keeps the node apart from its VLANs: the table `inet watari-vlan`. Pure.
//!
//! A server could send to the bridge's own MAC: to the node, or through it to another network. Of the node it gets DHCP and
//! what it asks of the metadata address, and through it nothing. By IPv6 the node is found at the address that its MAC gives
//! it on this link, for DHCPv6, and at no other. Frames within a bridge come by here where bridge netfilter is on, and pass.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::BRIDGE_PREFIX;
use crate::plumbing::say::{Table, accept, drop, field, is, meta};

const FAMILY: &str = "inet";
const TABLE: &str = "watari-vlan";
/// The chain whose presence says that the table stands.
pub(super) const PLACE: (&str, &str, &str) = (FAMILY, TABLE, "forward");

/// How an address of a link alone begins (RFC 4291, section 2.5.6).
const LINK_LOCAL: &str = "0xfe80";

/// The whole table for these bridges and these of the node's ports, by their protocols, replaced in one transaction.
pub(super) fn compile(bridges: &BTreeSet<String>, ports: &[(&str, u16)]) -> Value {
    let mut table = Table::anew(FAMILY, TABLE);
    let any = |key| is(meta(key), format!("{BRIDGE_PREFIX}*"));
    table.hook("input", "input", 0);
    for (protocol, port) in [("udp", 67), ("udp", 547)].iter().chain(ports) {
        table.rule("input", vec![any("iifname"), is(field(protocol, "dport"), *port), accept()]);
    }
    let kind = |kind: Value| is(field("icmpv6", "type"), kind);
    let of_servers = json!({"set": ["nd-router-solicit", "nd-neighbor-advert"]});
    table.rule("input", vec![any("iifname"), kind(of_servers), accept()]);
    // What is asked for stands behind the message's head (RFC 4861, section 4.3).
    let asked_for = json!({"payload": {"base": "th", "offset": 64, "len": 16}});
    let on_link = vec![any("iifname"), kind(json!("nd-neighbor-solicit")), is(asked_for, LINK_LOCAL), accept()];
    table.rule("input", on_link);
    table.rule("input", vec![any("iifname"), drop()]);
    table.hook("forward", "forward", 0);
    for bridge in bridges {
        let within = |key| is(meta(key), bridge.as_str());
        table.rule("forward", vec![within("iifname"), within("oifname"), accept()]);
    }
    for key in ["iifname", "oifname"] {
        table.rule("forward", vec![any(key), drop()]);
    }
    json!({"nftables": table.finish()})
}

/// What takes it away.
pub(super) fn removal() -> Value {
    json!({"nftables": Table::anew(FAMILY, TABLE).finish_and_delete()})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_on_a_vlan_get_dhcp_and_metadata_of_the_node_and_nothing_through_it() {
        let rules = |ports: &[(&str, u16)]| {
            let whole = compile(&["wv01e00000001".to_owned()].into(), ports);
            crate::plumbing::say::accepted(whole["nftables"].as_array().unwrap());
            whole.to_string()
        };
        let (with, without) = (rules(&[("tcp", 8_775), ("udp", 8_776)]), rules(&[]));
        assert!(with.contains("8775") && with.contains("8776") && !without.contains("tcp"), "{without}");
        assert_eq!(without.matches(r#"{"drop":null}"#).count(), 3, "input, from it, and to it");
        assert_eq!(without.matches(r#""wv01e00000001""#).count(), 2, "within it");
        assert!(removal().to_string().ends_with(r#"{"delete":{"table":{"family":"inet","name":"watari-vlan"}}}]}"#));
    }
}
