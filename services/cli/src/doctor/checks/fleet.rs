//! What nodes have to have in common, so that servers can move between them.

use std::collections::BTreeMap;

use watari_contracts::monitor::{NodeHealth, NodeView};
use watari_model::{
    NodeName, SegmentName,
    network::{ENCAPSULATION, Overlay},
    node::Processor,
};

use super::joined;
use crate::{
    doctor::{
        facts::Facts,
        finding::{Finding, said},
    },
    texts::troubles::Trouble,
};

type Version = fn(&NodeView) -> &String;

/// What differs in its version from node to node.
pub(super) fn versions(facts: &Facts) -> Vec<Finding> {
    let programs: [(&str, Version); 3] =
        [("libvirt", |node| &node.libvirt), ("QEMU", |node| &node.qemu), ("watari-agent", |node| &node.agent)];
    programs.into_iter().filter_map(|(program, version)| differing(facts, program, version)).collect()
}

fn differing(facts: &Facts, program: &str, version: Version) -> Option<Finding> {
    let mut by_version: BTreeMap<&String, Vec<&NodeName>> = BTreeMap::new();
    for NodeHealth { node, .. } in facts.heard() {
        by_version.entry(version(node)).or_default().push(&node.name);
    }
    let several = by_version.len() > 1;
    let list = |(version, nodes): (&&String, &Vec<&NodeName>)| {
        let nodes: Vec<&str> = nodes.iter().map(|name| name.as_str()).collect();
        format!("{version} ({})", nodes.join(" "))
    };
    several.then(|| Finding {
        trouble: Trouble::VersionsDiffer { program: said(program), versions: joined(by_version.iter().map(list)) },
        nodes: by_version.values().flatten().map(|name| (*name).clone()).collect(),
    })
}

/// Whose servers no node of another site could take over.
pub(super) fn processors(facts: &Facts) -> Vec<Finding> {
    let alone = |one: &&NodeHealth| {
        let mut others = facts.heard().filter(|other| other.node.site != one.node.site).peekable();
        others.peek().is_some() && !others.any(|other| processor(other).takes_over(processor(one)).is_ok())
    };
    let trouble = |node: &NodeView| Trouble::ProcessorAlone { node: said(&node.name), model: said(&node.cpu_model) };
    facts.heard().filter(alone).map(|one| Finding::on(&one.node.name, trouble(&one.node))).collect()
}

fn processor(one: &NodeHealth) -> Processor<'_> {
    let NodeView { virtualisation, cpu_model, .. } = &one.node;
    Processor { virtualisation: *virtualisation, model: cpu_model, features: &one.cpu_features }
}

/// Nodes that cannot carry an overlay network's packets: of each the one that needs most.
pub(super) fn tunnels(facts: &Facts) -> Vec<Finding> {
    let overlays = facts.networks.iter().filter_map(|network| Some((network, network.overlay.as_ref()?)));
    let Some((network, Overlay { mtu, .. })) = overlays.max_by_key(|(_, overlay)| overlay.mtu) else {
        return Vec::new();
    };
    let needed = mtu.saturating_add(ENCAPSULATION);
    let found = facts.heard().filter_map(|one| {
        let (node, found) = (&one.node.name, one.tunnel.map_or(0, |tunnel| tunnel.mtu));
        let small = || Trouble::TunnelSmall {
            node: said(node),
            network: said(&network.name),
            needed: said(needed),
            found: said(found),
        };
        (found < needed).then(|| Finding::on(node, small()))
    });
    found.collect()
}

/// Bridges that cannot carry the packets of a network of their segment: of each network that needs most.
pub(super) fn bridges(facts: &Facts) -> Vec<Finding> {
    let found = facts.heard().flat_map(|one| one.node.segments.iter().filter_map(move |on| too_small(facts, one, on)));
    found.collect()
}

fn too_small(facts: &Facts, one: &NodeHealth, (segment, bridge): (&SegmentName, &String)) -> Option<Finding> {
    let (node, found) = (&one.node.name, *one.node.segment_mtus.get(segment)?);
    let on_it = facts.networks.iter().filter(|network| network.segment == *segment);
    let (needed, network) = on_it.filter_map(|network| Some((network.mtu?, &network.name))).max()?;
    let trouble = || Trouble::BridgeSmall {
        node: said(node),
        bridge: said(bridge),
        network: said(network),
        needed: said(needed),
        found: said(found),
    };
    (found < needed).then(|| Finding::on(node, trouble()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{checks::tests::codes, facts::sample::healthy};

    #[test]
    fn versions_that_differ_are_named_with_the_nodes_that_have_them() {
        let mut facts = healthy();
        facts.nodes[1].node.qemu = "7.2.0".to_owned();
        let found = versions(&facts);
        assert_eq!((codes(&found), found[0].nodes.len()), (vec!["node.versions-differ"], facts.nodes.len()));
    }

    #[test]
    fn a_processor_that_only_one_site_has_is_named() {
        let mut facts = healthy();
        facts.nodes[0].cpu_features.push("amx".to_owned());
        let found = processors(&facts);
        assert_eq!((codes(&found), &found[0].nodes[0]), (vec!["node.processor"], &facts.nodes[0].node.name));
        // Without another site there is nothing to compare with.
        facts.nodes.truncate(1);
        assert_eq!(processors(&facts), []);
    }

    #[test]
    fn a_tunnel_that_is_too_small_or_missing_is_named() {
        let mut facts = healthy();
        facts.nodes[0].tunnel.as_mut().unwrap().mtu = 1_499;
        facts.nodes[1].tunnel = None;
        assert_eq!(codes(&tunnels(&facts)), ["network.tunnel", "network.tunnel"]);
        facts.networks.retain(|network| network.overlay.is_none());
        assert_eq!(tunnels(&facts), [], "nobody needs one");
    }

    #[test]
    fn a_bridge_that_is_too_small_for_a_network_of_its_segment_is_named() {
        let mut facts = healthy();
        let segment: SegmentName = "campus".parse().unwrap();
        let needed = facts.networks.iter().filter_map(|network| network.mtu).max().unwrap();
        assert_eq!(bridges(&facts), [], "nodes that do not say");
        facts.nodes[0].node.segment_mtus = [(segment.clone(), needed - 1)].into();
        facts.nodes[1].node.segment_mtus = [(segment, needed)].into();
        let found = bridges(&facts);
        assert_eq!((codes(&found), &found[0].nodes[0]), (vec!["bridge.mtu"], &facts.nodes[0].node.name));
    }
}
