//! The border of overlay networks, in a table of our own: out by the node's own addresses, nothing in
//! that nobody asked for, nothing from one network to another, and of the node itself only DHCP, DNS
//! and echoes. IPv6 stays within its network: a node that passes it on heeds no routers any more, and so might
//! lose its own way out, and translating it would need a global address that most nodes' do not have.

use std::{fs, io, net::Ipv4Addr, path::Path};

use serde_json::{Value, json};

use super::{BRIDGE_PREFIX, Spec};
use crate::{
    metadata,
    plumbing::{
        nft,
        say::{Table, accept, drop, field, is, is_not, meta},
        vlan,
    },
};

const FAMILY: &str = "inet";
const TABLE: &str = "watari-overlay";
const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";

/// What the borders are laid from, beside the networks.
pub(super) struct Node {
    pub(super) tunnel: Option<Ipv4Addr>,
    /// The operator's bridges, on which servers of provider networks are.
    pub(super) bridges: Vec<String>,
    /// The TCP port of the listener for the metadata address.
    pub(super) metadata_port: Option<u16>,
}

/// Lays the rules for these networks, or takes all of them away with the last.
///
/// # Errors
/// nft's complaint; the kernel's switch cannot be turned.
pub(super) async fn lay(networks: &[&Spec], node: &Node, mark: &Path) -> io::Result<()> {
    if networks.is_empty() {
        // The switch first: without the rules, and with it on, the node would pass on anything.
        stop_forwarding(mark)?;
        return nft::apply(&removal()).await;
    }
    let switched_by_us = mark.exists() || fs::read_to_string(FORWARDING)?.trim() == "0";
    nft::apply(&ruleset(networks, node, switched_by_us)).await?;
    forward(mark)
}

/// A node that passed nothing on before passes on for our bridges only; the rules see to that.
fn forward(mark: &Path) -> io::Result<()> {
    if fs::read_to_string(FORWARDING)?.trim() == "0" {
        fs::write(mark, "switched on for overlay networks\n")?;
        tracing::info!("net.ipv4.ip_forward is switched on for overlay networks, and guarded for everything else");
        fs::write(FORWARDING, "1")?;
    }
    Ok(())
}

fn stop_forwarding(mark: &Path) -> io::Result<()> {
    if mark.exists() {
        fs::write(FORWARDING, "0")?;
        fs::remove_file(mark)?;
    }
    Ok(())
}

fn removal() -> Value {
    json!({"nftables": Table::anew(FAMILY, TABLE).finish_and_delete()})
}

fn any_of_ours() -> String {
    format!("{BRIDGE_PREFIX}*")
}

fn state(states: &[&str]) -> Value {
    json!({"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": states}})
}

/// The whole table, replaced in one transaction.
fn ruleset(networks: &[&Spec], node: &Node, only_ours: bool) -> Value {
    let mut table = Table::anew(FAMILY, TABLE);
    table.hook("input", "input", 0);
    table.hook("forward", "forward", 0);
    table.translation("postrouting", "postrouting", 100);
    let from_ours = || is(meta("iifname"), any_of_ours());
    let to_ours = || is(meta("oifname"), any_of_ours());
    let port = |protocol: &str, port: u16| is(field(protocol, "dport"), port);
    // Of the node itself.
    let services = [port("udp", 67), port("udp", 547), port("udp", 53), port("tcp", 53)];
    for service in services.into_iter().chain(node.metadata_port.map(|metadata| port("tcp", metadata))) {
        table.rule("input", vec![from_ours(), service, accept()]);
    }
    let echo = is(field("icmp", "type"), "echo-request");
    for spec in networks {
        // Its own gateway, not another network's, which is an address of this node as well.
        let gateway = is(field("ip", "daddr"), json!(spec.gateway));
        let from = is(meta("iifname"), spec.bridge());
        table.rule("input", vec![from.clone(), gateway, echo.clone(), accept()]);
        if let Some(own) = spec.own6() {
            let own = is(field("ip6", "daddr"), json!(own.addr()));
            table.rule("input", vec![from, own, is(field("icmpv6", "type"), "echo-request"), accept()]);
        }
    }
    // Without these it is no neighbour.
    let neighbours = json!({"set": ["nd-router-solicit", "nd-neighbor-solicit", "nd-neighbor-advert"]});
    table.rule("input", vec![from_ours(), is(field("icmpv6", "type"), neighbours), accept()]);
    table.rule("input", vec![from_ours(), state(&["established", "related"]), accept()]);
    table.rule("input", vec![from_ours(), drop()]);
    // Through the node. Frames within a bridge come by here where bridge netfilter is on.
    for spec in networks {
        let within = |key| is(meta(key), spec.bridge());
        table.rule("forward", vec![within("iifname"), within("oifname"), accept()]);
    }
    let ipv6 = is(meta("nfproto"), "ipv6");
    table.rule("forward", vec![from_ours(), ipv6, drop()]);
    let translated = || json!({"match": {"op": "in", "left": {"ct": {"key": "status"}}, "right": "dnat"}});
    // Whoever asks for another's public address comes in by it, as from outside.
    table.rule("forward", vec![from_ours(), to_ours(), translated(), accept()]);
    table.rule("forward", vec![from_ours(), to_ours(), drop()]);
    // Of a cloud in which this node may be a server itself.
    let theirs = is(field("ip", "daddr"), json!(metadata::ADDRESS));
    table.rule("forward", vec![from_ours(), theirs, drop()]);
    if let Some(tunnel) = node.tunnel {
        // Who could send to tunnels could send into every network.
        table.rule("forward", vec![from_ours(), port("udp", super::VXLAN_PORT), drop()]);
        table.rule("forward", vec![from_ours(), is(field("ip", "daddr"), json!(tunnel)), drop()]);
    }
    table.rule("forward", vec![to_ours(), state(&["established", "related"]), accept()]);
    table.rule("forward", vec![to_ours(), translated(), accept()]);
    table.rule("forward", vec![to_ours(), drop()]);
    if only_ours {
        // Nothing else was passed on here before, but within bridges.
        for bridge in &node.bridges {
            let within = |key| is(meta(key), bridge.as_str());
            table.rule("forward", vec![within("iifname"), within("oifname"), accept()]);
        }
        // From VLAN to VLAN another table stands in the way.
        let tagged = ["iifname", "oifname"].map(|key| is(meta(key), format!("{}*", vlan::BRIDGE_PREFIX)));
        table.rule("forward", tagged.into_iter().chain([accept()]).collect());
        let neither = ["iifname", "oifname"].map(|key| is_not(meta(key), any_of_ours()));
        table.rule("forward", neither.into_iter().chain([drop()]).collect());
    }
    for spec in networks {
        let source = is(field("ip", "saddr"), prefix(spec));
        let outside = is_not(meta("oifname"), any_of_ours());
        table.rule("postrouting", vec![source, outside, json!({"masquerade": null})]);
    }
    json!({"nftables": table.finish()})
}

fn prefix(spec: &Spec) -> Value {
    json!({"prefix": {"addr": spec.subnet.network(), "len": spec.subnet.prefix_len()}})
}
