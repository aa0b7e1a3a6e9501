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
//! Likewise what is asked there for names, where somebody is to ask for them.
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
    resolver,
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

/// What is asked for at the address: the protocol, the port that is asked, and the listener's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Service {
    protocol: &'static str,
    asked: u16,
    led: u16,
}

/// Who a server is, at that listener's port, and names, if anybody asks for them.
pub(super) fn services(facts: u16, names: Option<u16>) -> Vec<Service> {
    let named = |led| ["udp", "tcp"].map(|protocol| Service { protocol, asked: resolver::PORT, led });
    let facts = Service { protocol: "tcp", asked: PORT, led: facts };
    std::iter::once(facts).chain(names.into_iter().flat_map(named)).collect()
}

/// All of it for these cards; with no bridge, what takes all of it away.
pub(super) fn compile<'a>(
    cards: impl Iterator<Item = &'a Card>,
    bridges: &BTreeMap<String, Bridge>,
    services: &[Service],
) -> Vec<Value> {
    let [mut frames, mut packets] = FAMILIES.map(|family| Table::anew(family, TABLE));
    if bridges.is_empty() {
        return [frames.finish_and_delete(), packets.finish_and_delete()].concat();
    }
    let bridge_of = cards.filter_map(|card| Some(json!([card.tap, bridges.get(&card.bridge)?.mac])));
    frames.lookup(BRIDGE_OF, &["ifname"], "ether_addr", bridge_of.collect());
    to_node(&mut frames, services);
    apart(&mut frames, ("input", "iifname"), ("daddr", "dport"), services);
    apart(&mut frames, ("output", "oifname"), ("saddr", "sport"), services);

    packets.set(BRIDGES, &["ifname"], bridges.keys().map(|bridge| json!(bridge)).collect());
    packets.translation(ENTRANCE, "prerouting", TRANSLATION);
    for Service { protocol, asked, led } in services {
        let to_address = vec![is(meta("iifname"), format!("@{BRIDGES}")), is(field("ip", "daddr"), address())];
        let led = vec![is(field(protocol, "dport"), *asked), json!({"redirect": {"port": led}})];
        packets.rule(ENTRANCE, [to_address, led].concat());
    }
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
fn to_node(frames: &mut Table, services: &[Service]) {
    frames.hook(ENTRANCE, "prerouting", EARLY);
    for service in services {
        let from_guest = vec![is(meta("iifname"), ours()), is(field("ether", "type"), "ip")];
        let asked = vec![is(field("ip", "daddr"), address()), is(field(service.protocol, "dport"), service.asked)];
        let bridge = json!({"map": {"key": meta("iifname"), "data": format!("@{BRIDGE_OF}")}});
        let taken = vec![rewrite(field("ether", "daddr"), bridge), rewrite(meta("pkttype"), "host")];
        frames.rule(ENTRANCE, [from_guest, asked, taken].concat());
    }
}

/// Nothing of it between this node and ports that are not ours.
fn apart(frames: &mut Table, (hook, device): (&str, &str), (end, port_end): (&str, &str), services: &[Service]) {
    frames.hook(hook, hook, EARLY);
    let listeners = services.iter().map(|service| is(field(service.protocol, port_end), service.led));
    for kept in std::iter::once(is(field("ip", end), address())).chain(listeners) {
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
        let rules = compile([card(1, "br-t"), card(2, "br-gone")].iter(), &bridges(), &services(16_925, None));
        let map = rules.iter().find(|part| part["add"]["map"]["name"] == BRIDGE_OF).unwrap();
        assert_eq!(map["add"]["map"]["elem"], json!([["wt1", "02:00:00:00:00:07"]]));
    }

    #[test]
    fn nobody_is_led_to_the_names_where_nobody_asks_for_them() {
        let led = |names| {
            let rules = compile([card(1, "br-t")].iter(), &bridges(), &services(16_925, names));
            let redirects = rules.iter().filter(|part| part["add"]["rule"]["expr"][3].get("redirect").is_some());
            redirects.map(|part| part["add"]["rule"]["expr"][3]["redirect"]["port"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(led(None), [json!(16_925)]);
        assert_eq!(led(Some(16_926)), [json!(16_925), json!(16_926), json!(16_926)]);
    }

    #[test]
    fn without_a_bridge_nothing_is_left() {
        let rules = compile(std::iter::empty(), &BTreeMap::new(), &services(16_925, None));
        assert!(rules.iter().all(|part| part["add"]["chain"].is_null() && part["add"]["rule"].is_null()));
        assert_eq!(rules.last().unwrap()["delete"]["table"]["name"], TABLE);
    }

    #[test]
    fn nft_itself_accepts_the_rules() {
        for bridges in [bridges(), BTreeMap::new()] {
            for names in [None, Some(16_926)] {
                crate::plumbing::say::accepted(&compile([card(1, "br-t")].iter(), &bridges, &services(16_925, names)));
            }
        }
    }
}
