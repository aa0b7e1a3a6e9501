//! What the node is and has: told at the start, when it changes, and every few seconds, so that
//! whoever starts later hears it too.

use std::{sync::Arc, time::Duration};

use watari_chassis::{Bus, CancellationToken};
use watari_contracts::subjects;
use watari_model::{
    Refusal,
    node::{Inventory, Virtualisation},
};

use crate::{hypervisor::VirtType, node::Node, shut_down};

/// How often it is looked whether the bridges or the images changed.
const LOOK: Duration = Duration::from_secs(2);

/// Takes stock.
///
/// # Errors
/// libvirt does not answer.
pub async fn take(node: &Node) -> Result<Inventory, Refusal> {
    let bound = node.settings.bounds.libvirt_answer();
    let disks = node.layout.disks();
    let asked = node.hypervisor.inventory(node.virt, &disks);
    let late = || Refusal::Hypervisor { node: node.name.to_string(), detail: "it does not answer".to_owned() };
    let host = tokio::time::timeout(bound, asked).await.map_err(|_| late())?.map_err(|error| node.refuse(&error))?;
    let capacity = &node.settings.capacity;
    let given = |set: u64, found: u64| if set > 0 { set } else { found };
    let address = &node.settings.migration_address;
    Ok(Inventory {
        vcpus: if capacity.vcpus > 0 { capacity.vcpus } else { host.cpus },
        memory_mib: given(capacity.memory_mib, host.memory_total_mib.saturating_sub(capacity.reserve_memory_mib)),
        disk_gib: given(capacity.disk_gib, (host.disk_total_bytes >> 30).saturating_sub(capacity.reserve_disk_gib)),
        cpu_model: host.cpu.model,
        cpu_features: host.cpu.features.into_iter().collect(),
        libvirt: host.libvirt_version,
        qemu: host.qemu_version,
        agent: env!("CARGO_PKG_VERSION").to_owned(),
        virtualisation: match node.virt {
            VirtType::Kvm => Virtualisation::Kvm,
            VirtType::Qemu => Virtualisation::Qemu,
        },
        migration_address: if address.is_empty() { node.name.to_string() } else { address.clone() },
        segments: node.plumbing.segments(),
        segment_mtus: node.plumbing.segment_mtus(),
        vlans: node.plumbing.vlans(),
        protection: node.plumbing.protection(),
        labels: node.settings.labels.clone(),
        tunnel: node.plumbing.tunnel().await,
        health: Some(node.health.look(node).await),
        host: shut_down::host(node).await,
        images: node.images.told(),
        disks: node.kept.told(),
        weights: node.weights.told(node.settings.migration.gather()),
        carried: node.couriers.carried(),
    })
}

/// Publishes until shutdown.
pub async fn publish(node: &Arc<Node>, bus: &Bus, shutdown: &CancellationToken) {
    let subject = subjects::inventory(&node.site, &node.name);
    let interval = Duration::from_millis(node.settings.intervals.inventory_ms);
    let mut connected = bus.connected();
    let mut told: Option<(Inventory, tokio::time::Instant)> = None;
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = tick.tick() => {}
            // Somebody deleted a server, and waits to see its disk.
            () = node.kept.changed() => {}
            Ok(()) = connected.changed() => told = None,
        }
        // A bridge or image that comes or goes is seen cheaply; libvirt is asked only when there is something to tell.
        let is_told = |(last, at): &(Inventory, tokio::time::Instant)| {
            at.elapsed() < interval
                && last.segments == node.plumbing.segments()
                && last.segment_mtus == node.plumbing.segment_mtus()
                && last.vlans == node.plumbing.vlans()
                && last.protection == node.plumbing.protection()
                && last.images == node.images.told()
                && last.disks == node.kept.told()
        };
        if told.as_ref().is_some_and(is_told) {
            continue;
        }
        let Ok(stock) = take(node).await else { continue };
        match tokio::time::timeout(LOOK, bus.publish_json(&subject, &stock)).await {
            Ok(Ok(())) => told = Some((stock, tokio::time::Instant::now())),
            Ok(Err(error)) => tracing::debug!(%error, "the inventory is not told yet"),
            Err(_) => tracing::debug!("the inventory is not told yet: the bus takes nothing"),
        }
    }
}
