//! The table `inet watari-public`: a public address is a server's own address, seen from outside. Pure.
//!
//! ```text
//! to the public address (prerouting, output) ─▶ to the server's own address
//! from the server, out by the segment        ─▶ from its public address
//! from one server here to another's public   ─▶ from an address to which the answer comes back by this node
//! to the node itself by a public address     ─▶ dropped: no service of the node's is meant
//! ```
//!
//! The border of overlay networks lets translated connections in, and firewall groups, which come before it, say
//! which: they see the server's own address, and at the other end whoever really asks.

use std::io;

use ipnet::Ipv4Net;
use serde_json::{Value, json};

use super::Place;
use crate::plumbing::{
    nft,
    overlay::BRIDGE_PREFIX,
    say::{Table, count, drop, field, is, meta},
};

const FAMILY: &str = "inet";
const TABLE: &str = "watari-public";
const ENTRANCE: &str = "prerouting";
/// Where destinations are translated.
const TRANSLATION: i32 = -100;
/// Before sources are translated by other tables (100), of which the first that does so decides.
const BEFORE_OTHERS: i32 = 90;

/// All of it, in place of what was there. `networks` are the subnets of all overlay networks here.
pub(super) fn compile(places: &[Place], networks: &[Ipv4Net]) -> Vec<Value> {
    let mut table = Table::anew(FAMILY, TABLE);
    for hook in [ENTRANCE, "output"] {
        table.translation(hook, hook, TRANSLATION);
        for place in places {
            let to = json!({"dnat": {"family": "ip", "addr": place.own}});
            table.rule(hook, vec![is(field("ip", "daddr"), json!(place.public)), to]);
        }
    }
    let chain = "postrouting";
    table.translation(chain, chain, BEFORE_OTHERS);
    let translated = || json!({"match": {"op": "in", "left": {"ct": {"key": "status"}}, "right": "dnat"}});
    let within = || is(meta("oifname"), format!("{BRIDGE_PREFIX}*"));
    for place in places {
        let from = || is(field("ip", "saddr"), json!(place.own));
        let as_public = || json!({"snat": {"family": "ip", "addr": place.public}});
        table.rule(chain, vec![is(meta("oifname"), place.wire.as_str()), from(), as_public()]);
        table.rule(chain, vec![within(), translated(), from(), as_public()]);
    }
    for network in networks {
        let subnet = json!({"prefix": {"addr": network.network(), "len": network.prefix_len()}});
        let from = is(field("ip", "saddr"), subnet);
        table.rule(chain, vec![within(), translated(), from, json!({"masquerade": null})]);
    }
    table.hook("input", "input", 0);
    let strays =
        || json!({"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["new", "invalid", "untracked"]}});
    for place in places {
        table.rule("input", vec![is(field("ip", "daddr"), json!(place.public)), strays(), count(), drop()]);
    }
    table.finish()
}

/// What takes all of it away.
pub(super) fn removal() -> Vec<Value> {
    Table::anew(FAMILY, TABLE).finish_and_delete()
}

/// Whether the table stands.
pub(super) async fn stand() -> io::Result<bool> {
    nft::stands(FAMILY, TABLE, ENTRANCE).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(n: u8) -> Place {
        Place {
            public: [203, 0, 113, n].into(),
            own: [10, 1, 0, n].into(),
            bridge: "wb001000".to_owned(),
            wire: "br-t".to_owned(),
            subnet: "203.0.113.0/24".parse().unwrap(),
            gateway: None,
        }
    }

    fn networks() -> Vec<Ipv4Net> {
        vec!["10.1.0.0/24".parse().unwrap()]
    }

    /// The rules of a chain, each as its expressions.
    fn rules(parts: &[Value], chain: &str) -> Vec<Value> {
        let of = |part: &Value| Some(part["add"]["rule"].clone()).filter(|rule| rule["chain"] == chain);
        parts.iter().filter_map(of).map(|rule| rule["expr"].clone()).collect()
    }

    #[test]
    fn each_address_is_translated_one_to_one_in_both_directions() {
        let parts = compile(&[place(200), place(201)], &networks());
        for hook in ["prerouting", "output"] {
            let inward = rules(&parts, hook);
            assert_eq!(inward.len(), 2);
            assert_eq!(inward[1][0]["match"]["right"], "203.0.113.201");
            assert_eq!(inward[1][1]["dnat"]["addr"], "10.1.0.201");
        }
        let outward = rules(&parts, "postrouting");
        assert_eq!(outward[0][0]["match"]["right"], "br-t", "only where the address is known");
        assert_eq!(outward[0][1]["match"]["right"], "10.1.0.200");
        assert_eq!(outward[0][2]["snat"]["addr"], "203.0.113.200");
        assert_eq!((outward.len(), &outward[4][3]), (5, &json!({"masquerade": null})));
    }

    #[test]
    fn nothing_of_the_nodes_own_is_reached_by_a_public_address() {
        let input = rules(&compile(&[place(200)], &networks()), "input");
        assert_eq!((input.len(), &input[0][0]["match"]["right"]), (1, &json!("203.0.113.200")));
        assert_eq!(input[0][3], drop());
    }

    #[test]
    fn nft_itself_accepts_the_rules() {
        for parts in [compile(&[place(200), place(201)], &networks()), removal()] {
            crate::plumbing::say::accepted(&parts);
        }
    }
}
