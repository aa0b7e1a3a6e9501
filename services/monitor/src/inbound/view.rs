//! A node as people see it: its document, and the latest beat.

use watari_contracts::monitor::{FencingView, NodeHealth, NodeView};
use watari_model::node::{Inventory, Node};

use crate::{fleet::Heard, settings::fencing::is_configured, watch::Watch};

/// What is written down of a node together with what was heard of it last.
pub(super) fn view(watch: &Watch, node: &Node) -> NodeView {
    together(watch, node, heard(watch, node).as_ref())
}

fn heard(watch: &Watch, node: &Node) -> Option<Heard> {
    watch.fleet().get(node.name.as_str()).cloned()
}

fn together(watch: &Watch, node: &Node, heard: Option<&Heard>) -> NodeView {
    let Inventory {
        vcpus,
        memory_mib,
        disk_gib,
        cpu_model,
        libvirt,
        qemu,
        agent,
        virtualisation,
        segments,
        segment_mtus,
        vlans,
        protection,
        labels,
        host,
        ..
    } = &node.inventory;
    NodeView {
        name: node.name.clone(),
        site: node.site.clone(),
        state: node.state,
        cordoned: node.cordoned,
        off: node.off.clone(),
        fencing: FencingView { configured: is_configured(&watch.settings.fencing, node), last: node.fencing.clone() },
        vcpus_total: *vcpus,
        vcpus_used: heard.map_or(0, |h| h.vcpus_used),
        memory_mib_total: *memory_mib,
        memory_mib_used: heard.map_or(0, |h| h.memory_used_mib),
        disk_gib_total: *disk_gib,
        disk_gib_free: heard.and_then(|h| h.disk_free_gib).unwrap_or(*disk_gib),
        vms: heard.map_or(0, |h| h.servers),
        silent_ms: watch.silent_ms(heard.map(|h| h.at)),
        virtualisation: *virtualisation,
        cpu_model: cpu_model.clone(),
        libvirt: libvirt.clone(),
        qemu: qemu.clone(),
        agent: agent.clone(),
        uefi: host.uefi,
        segments: segments.clone(),
        segment_mtus: segment_mtus.clone(),
        vlans: vlans.clone(),
        protection: protection.clone(),
        labels: labels.clone(),
        strains: node.strains.clone(),
        changed_at: node.changed_at,
    }
}

/// The same with everything that says whether it is well.
pub(super) fn health(watch: &Watch, node: &Node) -> NodeHealth {
    let heard = heard(watch, node);
    NodeHealth {
        node: together(watch, node, heard.as_ref()),
        cpu_features: node.inventory.cpu_features.clone(),
        tunnel: node.inventory.tunnel,
        migration_address: node.inventory.migration_address.clone(),
        clock_ahead_ms: heard.and_then(|heard| heard.clock_ahead_ms),
        health: node.inventory.health.clone(),
    }
}
