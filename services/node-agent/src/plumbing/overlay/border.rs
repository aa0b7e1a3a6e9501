//! The border of overlay networks, in a table of our own: out by the node's own addresses, nothing in
//! that nobody asked for, nothing from one network to another, and of the node itself only DHCP, DNS
//! and echoes.

use std::{fs, io, net::Ipv4Addr, path::Path};

use serde_json::{Value, json};

use super::{BRIDGE_PREFIX, Spec};
use crate::{metadata, plumbing::nft};

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
    let table = json!({"family": FAMILY, "name": TABLE});
    // Added first, so that deleting it cannot fail; all of it is one transaction.
    json!({"nftables": [{"add": {"table": table}}, {"delete": {"table": table}}]})
}

fn equals(left: Value, right: Value) -> Value {
    json!({"match": {"op": "==", "left": left, "right": right}})
}

fn differs(left: Value, right: Value) -> Value {
    json!({"match": {"op": "!=", "left": left, "right": right}})
}

fn meta(key: &str) -> Value {
    json!({"meta": {"key": key}})
}

fn any_of_ours() -> Value {
    json!(format!("{BRIDGE_PREFIX}*"))
}

fn state(states: &[&str]) -> Value {
    json!({"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": states}})
}

fn chain(name: &str, kind: &str, hook: &str, priority: i32) -> Value {
    json!({"add": {"chain": {
        "family": FAMILY, "table": TABLE, "name": name,
        "type": kind, "hook": hook, "prio": priority, "policy": "accept",
    }}})
}

fn rule(chain: &str, what: Vec<Value>) -> Value {
    json!({"add": {"rule": {"family": FAMILY, "table": TABLE, "chain": chain, "expr": what}}})
}

/// The whole table, replaced in one transaction.
fn ruleset(networks: &[&Spec], node: &Node, only_ours: bool) -> Value {
    let table = json!({"family": FAMILY, "name": TABLE});
    let mut all = vec![
        json!({"add": {"table": table}}),
        json!({"delete": {"table": table}}),
        json!({"add": {"table": table}}),
        chain("input", "filter", "input", 0),
        chain("forward", "filter", "forward", 0),
        chain("postrouting", "nat", "postrouting", 100),
    ];
    let from_ours = || equals(meta("iifname"), any_of_ours());
    let to_ours = || equals(meta("oifname"), any_of_ours());
    let accept = || json!({"accept": null});
    let drop = || json!({"drop": null});
    let port =
        |protocol: &str, port: u16| equals(json!({"payload": {"protocol": protocol, "field": "dport"}}), json!(port));
    // Of the node itself.
    let services = [port("udp", 67), port("udp", 53), port("tcp", 53)];
    for service in services.into_iter().chain(node.metadata_port.map(|metadata| port("tcp", metadata))) {
        all.push(rule("input", vec![from_ours(), service, accept()]));
    }
    let echo = equals(json!({"payload": {"protocol": "icmp", "field": "type"}}), json!("echo-request"));
    for spec in networks {
        // Its own gateway, not another network's, which is an address of this node as well.
        let gateway = equals(json!({"payload": {"protocol": "ip", "field": "daddr"}}), json!(spec.gateway));
        let from = equals(meta("iifname"), json!(spec.bridge()));
        all.push(rule("input", vec![from, gateway, echo.clone(), accept()]));
    }
    all.push(rule("input", vec![from_ours(), state(&["established", "related"]), accept()]));
    all.push(rule("input", vec![from_ours(), drop()]));
    // Through the node. Frames within a bridge come by here where bridge netfilter is on.
    for spec in networks {
        let within = |key| equals(meta(key), json!(spec.bridge()));
        all.push(rule("forward", vec![within("iifname"), within("oifname"), accept()]));
    }
    all.push(rule("forward", vec![from_ours(), to_ours(), drop()]));
    // Of a cloud in which this node may be a server itself.
    let theirs = equals(json!({"payload": {"protocol": "ip", "field": "daddr"}}), json!(metadata::ADDRESS));
    all.push(rule("forward", vec![from_ours(), theirs, drop()]));
    if let Some(tunnel) = node.tunnel {
        // Who could send to tunnels could send into every network.
        let port = port("udp", super::VXLAN_PORT);
        all.push(rule("forward", vec![from_ours(), port, drop()]));
        let itself = equals(json!({"payload": {"protocol": "ip", "field": "daddr"}}), json!(tunnel));
        all.push(rule("forward", vec![from_ours(), itself, drop()]));
    }
    all.push(rule("forward", vec![to_ours(), state(&["established", "related"]), accept()]));
    let translated = json!({"match": {"op": "in", "left": {"ct": {"key": "status"}}, "right": "dnat"}});
    all.push(rule("forward", vec![to_ours(), translated, accept()]));
    all.push(rule("forward", vec![to_ours(), drop()]));
    if only_ours {
        // Nothing else was passed on here before, but within bridges.
        for bridge in &node.bridges {
            let within = |key| equals(meta(key), json!(bridge));
            all.push(rule("forward", vec![within("iifname"), within("oifname"), accept()]));
        }
        let neither = ["iifname", "oifname"].map(|key| differs(meta(key), any_of_ours()));
        all.push(rule("forward", neither.into_iter().chain([drop()]).collect()));
    }
    for spec in networks {
        let source = equals(json!({"payload": {"protocol": "ip", "field": "saddr"}}), prefix(spec));
        all.push(rule(
            "postrouting",
            vec![source, differs(meta("oifname"), any_of_ours()), json!({"masquerade": null})],
        ));
    }
    json!({"nftables": all})
}

fn prefix(spec: &Spec) -> Value {
    json!({"prefix": {"addr": spec.subnet.network(), "len": spec.subnet.prefix_len()}})
}
