//! The beat: each second, what the node's servers use, for whoever counts.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
    time::Duration,
};

use tokio::time::MissedTickBehavior;
use watari_chassis::{Bus, CancellationToken, Pulse, clock, codec};
use watari_contracts::{
    beat::{Beat, Sample, VERSION},
    subjects,
};

use crate::{
    hypervisor::{DomainState, DomainStats, inventory},
    node::Node,
};

/// Beats until shutdown. A beat that cannot be sent is lost.
pub async fn run(node: &Arc<Node>, bus: &Bus, shutdown: &CancellationToken, pulse: &Pulse) {
    let subject = subjects::beat(&node.site, &node.name);
    let instance = RandomState::new().build_hasher().finish();
    let interval = Duration::from_millis(node.settings.intervals.beat_ms);
    let mut tick = tokio::time::interval(interval);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut seq = 0;
    loop {
        pulse.rests();
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = tick.tick() => {}
        }
        pulse.begins();
        seq += 1;
        let beat = take(node, instance, seq).await;
        let sent = async {
            let bytes = codec::encode(VERSION, &beat).map_err(|error| error.to_string())?;
            bus.publish_beat(&subject, bytes).await.map_err(|error| error.to_string())
        };
        match tokio::time::timeout(interval, sent).await {
            Ok(Err(error)) => tracing::debug!(error, "a beat is lost"),
            Err(_) => tracing::debug!("a beat is lost: the bus takes none"),
            Ok(Ok(())) => {}
        }
    }
}

async fn take(node: &Arc<Node>, instance: u64, seq: u64) -> Beat {
    let stats = tokio::time::timeout(node.settings.bounds.libvirt_answer(), node.hypervisor.stats()).await;
    let stats = match stats {
        Ok(Ok(stats)) => Some(stats),
        Ok(Err(_)) | Err(_) => None,
    };
    node.facts.set_answers(stats.is_some());
    let stats = stats.unwrap_or_default();
    for domain in &stats {
        node.room.resident(&domain.name, domain.memory_rss_kib / 1024);
    }
    let running = || stats.iter().filter(|domain| domain.state != DomainState::Absent);
    // What base images take that nobody needs is as good as free.
    let droppable = node.images.droppable_bytes();
    let free = inventory::disk_space(&node.layout.disks()).await;
    let free = free.map_or(0, |(_, free)| free.saturating_add(droppable) >> 30);
    Beat {
        node: node.name.to_string(),
        site: node.site.to_string(),
        seq,
        instance,
        at_ms: u64::try_from(clock::now().0.unix_timestamp_nanos() / 1_000_000).unwrap_or(0),
        hypervisor_answers: node.facts.answers(),
        vcpus_used: running().map(|d| u32::try_from(d.vcpus).unwrap_or(u32::MAX)).fold(0, u32::saturating_add),
        memory_used_mib: running().map(|d| d.memory_actual_kib / 1024).sum(),
        disk_free_gib: free.saturating_sub(node.settings.capacity.reserve_disk_gib),
        load_centi: load().await,
        servers: running().map(sample).collect(),
    }
}

fn sample(domain: &DomainStats) -> Sample {
    Sample {
        vm: domain.name.clone(),
        cpu_ns: domain.cpu_ns,
        rss_mib: domain.memory_rss_kib / 1024,
        disk_read: domain.blocks.iter().map(|b| b.read_bytes).sum(),
        disk_written: domain.blocks.iter().map(|b| b.written_bytes).sum(),
        net_received: domain.nets.iter().map(|n| n.received_bytes).sum(),
        net_sent: domain.nets.iter().map(|n| n.sent_bytes).sum(),
    }
}

/// The kernel's load average over a minute, in hundredths.
async fn load() -> u32 {
    let text = tokio::fs::read_to_string("/proc/loadavg").await.unwrap_or_default();
    let digits = text.split_whitespace().next().unwrap_or_default().replace('.', "");
    digits.parse().unwrap_or(0)
}
