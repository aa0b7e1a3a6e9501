//! The loop that judges: every node's state by what is heard of it, and its capacity by what it
//! says. It looks at everything each time; most looks change nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream};
use tokio::{sync::watch::Receiver, time::Instant};
use watari_chassis::{Leadership, clock, looper};
use watari_contracts::{
    monitor::{CapacityChanged, Processors},
    subjects,
};
use watari_model::{
    NodeName, SiteName, VmName,
    node::{Node, State, Strain},
};

use crate::{
    documents,
    fleet::{
        Heard,
        capacity::{Room, Told, Whole, is_due},
        listening::Ears,
        strain::Otherwise,
    },
    settings::pressure::Pressure,
    watch::Watch,
};

/// Looks are at least so far apart, however many beats call for one.
const APART: Duration = Duration::from_millis(50);
/// So many documents are written at a time when a whole site changes.
const AT_A_TIME: usize = 32;

/// Judges while this process leads.
pub(crate) async fn judge(watch: Arc<Watch>, leadership: Receiver<Leadership>) {
    let (ctx, wake) = (watch.ctx.clone(), watch.judge.clone());
    let tick = Duration::from_millis(watch.settings.nodes.look_ms);
    let (doubt, connected) = (ctx.bus.doubt(), ctx.bus.connected());
    let (mut tenure, mut next) = (None, Instant::now());
    looper::run_as_primary(&ctx, "judge", leadership, wake, tick, |epoch| {
        if tenure.replace(epoch) != Some(epoch) {
            watch.fleet().begin();
            watch.ask.wake();
        }
        let (watch, doubt, connected) = (Arc::clone(&watch), doubt.clone(), connected.clone());
        let apart = looper::apart(&mut next, APART);
        async move {
            apart.await;
            let (doubt, connected) = (*doubt.borrow(), *connected.borrow());
            step(&watch, Ears { now: clock::boot_millis(), epoch, doubt, connected }).await;
            Ok::<(), Infallible>(())
        }
    })
    .await;
}

async fn step(watch: &Watch, ears: Ears) {
    let changes = changes(watch, ears);
    stream::iter(changes)
        .for_each_concurrent(AT_A_TIME, |(name, state)| async move {
            let written = documents::state(watch, &name, state).await;
            watch.metrics.wrote("state", &name, &written);
            looper::goes_on();
        })
        .await;
    stream::iter(strains(watch, ears.now))
        .for_each_concurrent(AT_A_TIME, |(name, strains)| async move {
            let written = documents::strained(watch, &name, strains).await;
            watch.metrics.wrote("strain", &name, &written);
            looper::goes_on();
        })
        .await;
    for (site, node, told, load) in tell(watch, ears.now) {
        let event = CapacityChanged {
            node: node.clone(),
            site: site.clone(),
            state: told.room.state,
            memory_free_mib: told.room.memory_free_mib,
            disk_free_gib: told.room.disk_free_gib,
            processors: load.processors,
            busy: load.busy,
            at: clock::now(),
        };
        match watch.ctx.bus.publish_json(&subjects::capacity(&site, &node), &event).await {
            Ok(()) => {
                watch.metrics.capacities.inc();
                if let Some(heard) = watch.fleet().get_mut(node.as_str()) {
                    heard.told = Some(told);
                }
            }
            Err(error) => tracing::debug!(%node, %error, "the capacity was not told; it is told at the next look"),
        }
    }
}

/// The nodes whose documents say something else than what is heard.
fn changes(watch: &Watch, ears: Ears) -> Vec<(NodeName, State)> {
    let limits = watch.settings.nodes.limits();
    let nodes = watch.nodes.snapshot();
    let mut listening = watch.listening();
    if !listening.look(ears, limits) {
        return Vec::new();
    }
    let mut fleet = watch.fleet();
    let mut changes = Vec::new();
    for (name, entry) in nodes.iter() {
        let node = &entry.value;
        let seen = listening.judge(fleet.get(name), ears.now, limits);
        if let Some(heard) = fleet.get_mut(name) {
            heard.documented(node.state);
        }
        if let Some(state) = seen.filter(|state| *state != node.state) {
            changes.push((node.name.clone(), state));
        }
    }
    changes
}

/// The nodes that are strained otherwise than their documents say. Of one that is not ready, or not
/// heard, nothing is concluded, nor of how long it has been so before.
fn strains(watch: &Watch, now: u64) -> Vec<(NodeName, BTreeSet<Strain>)> {
    let nodes = watch.nodes.snapshot();
    let mut fleet = watch.fleet();
    let mut changes = Vec::new();
    for (name, entry) in nodes.iter() {
        let node = &entry.value;
        let Some(heard) = fleet.get_mut(name) else { continue };
        let silent_ms = now.saturating_sub(heard.at);
        if node.state != State::Ready || silent_ms >= watch.settings.nodes.suspect_after_ms {
            heard.otherwise = Otherwise::default();
            continue;
        }
        let used = heard.used(&node.inventory);
        let strains = heard.otherwise.judge(&node.strains, used, now, &watch.settings.pressure);
        if strains != node.strains {
            changes.push((node.name.clone(), strains));
        }
    }
    changes
}

/// How busy a node is.
#[derive(Default)]
struct Load {
    processors: Option<Processors>,
    busy: BTreeMap<VmName, u64>,
}

impl Load {
    fn of(node: &Node, heard: &Heard, pressure: &Pressure) -> Self {
        let total_milli = u64::from(node.inventory.vcpus) * 1_000;
        let calm_milli = total_milli * pressure.processors.leave / 100;
        let processors = heard.busy_milli().map(|used_milli| Processors { total_milli, used_milli, calm_milli });
        let servers = heard.busy_servers().filter(|_| node.strains.contains(&Strain::Overloaded));
        Self { processors, busy: servers.filter_map(|(vm, busy)| Some((vm.parse().ok()?, busy))).collect() }
    }
}

/// The nodes whose capacity is to be told now.
fn tell(watch: &Watch, now: u64) -> Vec<(SiteName, NodeName, Told, Load)> {
    let nodes = watch.nodes.snapshot();
    let hot = |node: &&Node| node.state == State::Ready && node.strains.contains(&Strain::Overloaded);
    let sites: BTreeSet<&SiteName> = nodes.values().map(|entry| &entry.value).filter(hot).map(|n| &n.site).collect();
    let fleet = watch.fleet();
    let steps = watch.settings.capacity;
    let mut due = Vec::new();
    for (name, entry) in nodes.iter() {
        let Node { site, state, inventory, .. } = &entry.value;
        let Some((heard, disk_free_gib)) = fleet.get(name).and_then(|h| Some((h, h.disk_free_gib?))) else { continue };
        let memory_free_mib = inventory.memory_mib.saturating_sub(heard.memory_used_mib);
        let room = Room { state: *state, memory_free_mib, disk_free_gib };
        let whole = Whole { memory_mib: inventory.memory_mib, disk_gib: inventory.disk_gib };
        let again =
            sites.contains(site) && heard.told.is_some_and(|told| now.saturating_sub(told.at) >= steps.again_ms);
        if again || is_due(heard.told.as_ref(), room, whole, now, steps) {
            let load = Load::of(&entry.value, heard, &watch.settings.pressure);
            due.push((site.clone(), entry.value.name.clone(), Told { room, at: now }, load));
        }
    }
    due
}
