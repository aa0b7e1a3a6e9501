//! The border of overlay networks, in a table of our own: out by the node's own addresses, nothing in
//! that nobody asked for, nothing from one network to another, and of the node itself only DHCP, DNS
//! and echoes. IPv6 is treated alike, translated too (NAT66), since no router of the campus knows these networks; it gets out
//! where its network tells its servers a gateway and the node has an IPv6 address of its own (`super::forwarding`).

use std::{io, net::Ipv4Addr};

use ipnet::IpNet;
use serde_json::{Value, json};

use super::{BRIDGE_PREFIX, Spec, forwarding::Forwarding};
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
/// Where clouds tell their servers of themselves by IPv6: two that do so at another address than a link's own.
const CLOUDS6: [&str; 2] = ["fd00:ec2::254", "fd20:ce::254"];

/// What the borders are laid from, beside the networks.
pub(super) struct Node {
    pub(super) tunnel: Option<Ipv4Addr>,
    /// The operator's bridges, on which servers of provider networks are.
    pub(super) bridges: Vec<String>,
    /// The TCP port of the listener for the metadata address.
    pub(super) metadata_port: Option<u16>,
}

/// Lays the rules for these networks, or takes all of them away with the last. `by_ipv6` says whether that is passed on.
///
/// # Errors
/// nft's complaint; the kernel's switch cannot be turned.
pub(super) async fn lay(networks: &[&Spec], node: &Node, forwarding: &Forwarding, by_ipv6: bool) -> io::Result<()> {
    // Off before, on afterwards: without the rules, and with a switch on, the node would pass on anything.
    if networks.is_empty() {
        forwarding.stop()?;
        return nft::apply(&removal()).await;
    }
    if !by_ipv6 {
        forwarding.stop_ipv6()?;
    }
    nft::apply(&ruleset(networks, node, &forwarding.only_ours(by_ipv6)?)).await?;
    forwarding.start(by_ipv6)
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

/// The whole table, replaced in one transaction. A node that passed nothing on before, by the protocols `only_ours`, passes on
/// for our bridges only.
fn ruleset(networks: &[&Spec], node: &Node, only_ours: &[&str]) -> Value {
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
    let translated = || json!({"match": {"op": "in", "left": {"ct": {"key": "status"}}, "right": "dnat"}});
    // Whoever asks for another's public address comes in by it, as from outside.
    table.rule("forward", vec![from_ours(), to_ours(), translated(), accept()]);
    table.rule("forward", vec![from_ours(), to_ours(), drop()]);
    // Of a cloud in which this node may be a server itself.
    let theirs = is(field("ip", "daddr"), json!(metadata::ADDRESS));
    let theirs6 = is(field("ip6", "daddr"), json!({"set": CLOUDS6}));
    for theirs in [theirs, theirs6] {
        table.rule("forward", vec![from_ours(), theirs, drop()]);
    }
    if let Some(tunnel) = node.tunnel {
        // Who could send to tunnels could send into every network.
        table.rule("forward", vec![from_ours(), port("udp", super::VXLAN_PORT), drop()]);
        table.rule("forward", vec![from_ours(), is(field("ip", "daddr"), json!(tunnel)), drop()]);
    }
    for spec in networks.iter().filter(|spec| spec.leads_out6()) {
        let out = [is(meta("iifname"), spec.bridge())].into_iter().chain(source6(spec)).chain([accept()]);
        table.rule("forward", out.collect());
    }
    table.rule("forward", vec![from_ours(), family("ipv6"), drop()]);
    table.rule("forward", vec![to_ours(), state(&["established", "related"]), accept()]);
    table.rule("forward", vec![to_ours(), translated(), accept()]);
    table.rule("forward", vec![to_ours(), drop()]);
    for protocol in only_ours {
        others(&mut table, protocol, &node.bridges);
    }
    for spec in networks {
        let source = is(field("ip", "saddr"), prefix(spec.subnet.into()));
        let sources6 = source6(spec).filter(|_| spec.leads_out6());
        for source in [source].into_iter().chain(sources6) {
            let outside = is_not(meta("oifname"), any_of_ours());
            table.rule("postrouting", vec![source, outside, json!({"masquerade": null})]);
        }
    }
    json!({"nftables": table.finish()})
}

/// Nothing else was passed on here before by that protocol, but within bridges.
fn others(table: &mut Table, protocol: &str, bridges: &[String]) {
    let ways = ["iifname", "oifname"];
    let mut rule = |[from, to]: [Value; 2], verdict: Value| {
        table.rule("forward", vec![family(protocol), from, to, verdict]);
    };
    for bridge in bridges {
        rule(ways.map(|key| is(meta(key), bridge.as_str())), accept());
    }
    // From VLAN to VLAN another table stands in the way.
    rule(ways.map(|key| is(meta(key), format!("{}*", vlan::BRIDGE_PREFIX))), accept());
    rule(ways.map(|key| is_not(meta(key), any_of_ours())), drop());
}

fn family(protocol: &str) -> Value {
    is(meta("nfproto"), protocol)
}

/// From a server's own address of the network's IPv6 side, if that has one.
fn source6(spec: &Spec) -> Option<Value> {
    Some(is(field("ip6", "saddr"), prefix(spec.ipv6.as_ref()?.cidr.into())))
}

fn prefix(subnet: IpNet) -> Value {
    json!({"prefix": {"addr": subnet.network(), "len": subnet.prefix_len()}})
}

#[cfg(test)]
mod tests {
    use watari_model::network::{Ipv6, Overlay};

    use super::*;
    use crate::plumbing::say::accepted;

    /// The rules for one network, with their counts of what is looked for.
    fn rules(gateway6: Option<&str>, only_ours: &[&str], sought: &[&str]) -> Vec<usize> {
        let gateway = gateway6.map(|text| text.parse().unwrap());
        let spec = Spec {
            network: "lab".parse().unwrap(),
            overlay: Overlay { vni: 4_096, mtu: 1_450 },
            subnet: "10.1.0.0/24".parse().unwrap(),
            gateway: [10, 1, 0, 1].into(),
            ipv6: Some(Ipv6 { cidr: "fd00:1::/64".parse().unwrap(), gateway, dns: Vec::new() }),
        };
        let bridges = vec!["br-campus".to_owned()];
        let node = Node { tunnel: Some([192, 0, 2, 1].into()), bridges, metadata_port: Some(8_775) };
        let whole = ruleset(&[&spec], &node, only_ours);
        accepted(whole["nftables"].as_array().unwrap());
        let text = whole.to_string();
        sought.iter().map(|sought| text.matches(sought).count()).collect()
    }

    #[test]
    fn ipv6_is_let_out_and_translated_where_the_node_is_the_gateway_that_servers_are_told() {
        let sought = [r#""fd00:1::""#, "masquerade"];
        assert_eq!(rules(Some("fd00:1::a01:1"), &["ipv4", "ipv6"], &sought), [2, 2], "let out, and translated");
        assert_eq!(rules(None, &["ipv4", "ipv6"], &sought), [0, 1], "of a network that was made before");
        assert_eq!(rules(Some("fd00:1::1"), &["ipv4", "ipv6"], &sought), [0, 1], "nobody has that address");
    }

    #[test]
    fn whoever_passed_on_before_goes_on_with_it() {
        let sought = ["br-campus", r#""right":"ipv4""#];
        let of = |only_ours: &[&str]| rules(None, only_ours, &sought);
        assert_eq!((of(&["ipv4", "ipv6"]), of(&["ipv6"]), of(&[])), (vec![4, 3], vec![2, 0], vec![0, 0]));
    }
}
