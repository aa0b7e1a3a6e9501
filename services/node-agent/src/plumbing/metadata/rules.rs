//! The rules that lead servers' questions for the metadata address to this node, and nobody else's: the
//! tables `bridge watari-metadata` and `inet watari-metadata`, replaced together.
//!
//! ```text
//! from a tap, to the address (bridge prerouting) ── for the bridge, whoever's MAC it has ─▶ this node
//! to this node (inet prerouting)                 ── another address and port             ─▶ the listener
//! to this node, not from a tap (bridge input)    ── to the address or the listener       ─▶ dropped
//! from this node, not to a tap (bridge output)   ── from the address or the listener     ─▶ dropped
//! ```
//!
//! The node gets no address by this, answers no ARP for one, and says nothing of it on the segment: what is
//! asked on the wire is not answered, and what is answered does not reach the wire, whatever neighbours claim.
//! The tables are others than those that hold guests to their identity, so that a kernel that does not
//! take these takes those.

use std::{collections::BTreeMap, io};

use serde_json::{Value, json};

use super::Bridge;
use crate::{
    metadata::{ADDRESS, PORT},
    plumbing::{
        guard::Card,
        nft,
        say::{Table, count, drop, field, is, is_not, meta, ours, rewrite},
    },
};

const TABLE: &str = "watari-metadata";
const ENTRANCE: &str = "to-node";
/// Of the two tables.
const FAMILIES: [&str; 2] = ["bridge", "inet"];
/// The MAC of the bridge that a tap is plugged into.
const BRIDGE_OF: &str = "bridge-of";
/// The bridges that have servers.
const BRIDGES: &str = "bridges";

/// After the rules that hold guests to their identity (-310), before bridge netfilter (0).
const EARLY: i32 = -305;
/// Where destinations are translated.
const TRANSLATION: i32 = -100;

/// All of it for these cards; with no bridge, what takes all of it away.
pub(super) fn compile<'a>(
    cards: impl Iterator<Item = &'a Card>,
    bridges: &BTreeMap<String, Bridge>,
    port: u16,
) -> Vec<Value> {
    let [mut frames, mut packets] = FAMILIES.map(|family| Table::anew(family, TABLE));
    if bridges.is_empty() {
        return [frames.finish_and_delete(), packets.finish_and_delete()].concat();
    }
    let bridge_of = cards.filter_map(|card| Some(json!([card.tap, bridges.get(&card.bridge)?.mac])));
    frames.lookup(BRIDGE_OF, &["ifname"], "ether_addr", bridge_of.collect());
    to_node(&mut frames);
    apart(&mut frames, ("input", "iifname"), ("daddr", "dport"), port);
    apart(&mut frames, ("output", "oifname"), ("saddr", "sport"), port);

    packets.set(BRIDGES, &["ifname"], bridges.keys().map(|bridge| json!(bridge)).collect());
    packets.translation(ENTRANCE, "prerouting", TRANSLATION);
    let asked = vec![is(meta("iifname"), format!("@{BRIDGES}")), is(field("ip", "daddr"), address())];
    let led = vec![is(field("tcp", "dport"), PORT), json!({"redirect": {"port": port}})];
    packets.rule(ENTRANCE, [asked, led].concat());
    [frames.finish(), packets.finish()].concat()
}

/// Whether both tables stand.
pub(super) async fn stand() -> io::Result<bool> {
    let [frames, packets] = FAMILIES.map(|family| nft::stands(family, TABLE, ENTRANCE));
    let (frames, packets) = tokio::try_join!(frames, packets)?;
    Ok(frames && packets)
}

fn address() -> Value {
    json!(ADDRESS)
}

/// A gateway of the segment would be sent the question: the bridge itself is to have it.
fn to_node(frames: &mut Table) {
    frames.hook(ENTRANCE, "prerouting", EARLY);
    let from_guest = vec![is(meta("iifname"), ours()), is(field("ether", "type"), "ip")];
    let asked = vec![is(field("ip", "daddr"), address()), is(field("tcp", "dport"), PORT)];
    let bridge = json!({"map": {"key": meta("iifname"), "data": format!("@{BRIDGE_OF}")}});
    let taken = vec![rewrite(field("ether", "daddr"), bridge), rewrite(meta("pkttype"), "host")];
    frames.rule(ENTRANCE, [from_guest, asked, taken].concat());
}

/// Nothing of it between this node and ports that are not ours.
fn apart(frames: &mut Table, (hook, device): (&str, &str), (end, port_end): (&str, &str), port: u16) {
    frames.hook(hook, hook, EARLY);
    for kept in [is(field("ip", end), address()), is(field("tcp", port_end), port)] {
        let of_others = vec![is_not(meta(device), ours()), is(field("ether", "type"), "ip")];
        frames.rule(hook, [of_others, vec![kept, count(), drop()]].concat());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plumbing::guard::Guarded;

    fn card(n: u8, bridge: &str) -> Card {
        Card {
            tap: format!("wt{n}"),
            bridge: bridge.to_owned(),
            mac: format!("52:57:cb:00:71:{n:02x}"),
            addresses: vec![[203, 0, 113, n].into()],
            guarded: Guarded::Open,
            arrived_until: None,
        }
    }

    fn bridges() -> BTreeMap<String, Bridge> {
        let bridge = Bridge { index: 7, mac: "02:00:00:00:00:07".to_owned() };
        [("br-t".to_owned(), bridge)].into()
    }

    #[test]
    fn a_tap_leads_to_its_own_bridge_and_one_whose_bridge_is_gone_nowhere() {
        let rules = compile([card(1, "br-t"), card(2, "br-gone")].iter(), &bridges(), 16_925);
        let map = rules.iter().find(|part| part["add"]["map"]["name"] == BRIDGE_OF).unwrap();
        assert_eq!(map["add"]["map"]["elem"], json!([["wt1", "02:00:00:00:00:07"]]));
    }

    #[test]
    fn without_a_bridge_nothing_is_left() {
        let rules = compile(std::iter::empty(), &BTreeMap::new(), 16_925);
        assert!(rules.iter().all(|part| part["add"]["chain"].is_null() && part["add"]["rule"].is_null()));
        assert_eq!(rules.last().unwrap()["delete"]["table"]["name"], TABLE);
    }

    #[test]
    fn nft_itself_accepts_the_rules() {
        for bridges in [bridges(), BTreeMap::new()] {
            crate::plumbing::say::accepted(&compile([card(1, "br-t")].iter(), &bridges, 16_925));
        }
    }
}
