//! The book of networks and addresses: the two mirrored buckets and the index over them.

mod addresses;
mod allocate;
mod networks;
mod release;
mod strangers;

use std::{
    hash::{BuildHasher, Hash},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use prometheus::{IntGauge, IntGaugeVec, Opts};
use tokio::sync::{OnceCell, RwLock};
use watari_chassis::{Context, Mirror, Stopped, WriteError, clock, prometheus};
use watari_contracts::Service;
use watari_model::{Refusal, address::PublicAddress, network::Network, network::Port, node::Node, vm::Vm};

use crate::{
    index::{Index, Owner, Usage},
    metric_names::{ADDRESSES_FREE, ADDRESSES_USED, PORTS_ORPHANED, PORTS_ORPHANED_ALARM},
    settings::Addresses,
};

/// How long an unacknowledged write may still arrive: longer than any request of this process
/// waits, and a re-list of the mirror apart.
const DOUBT_MS: u64 = 60_000;
/// Owners whose requests wait for each other are told apart by a hash into so many turns.
const TURNS: usize = 256;

/// The one place where networks and ports are written.
pub(crate) struct Book {
    pub(super) networks: Mirror<Network>,
    pub(super) ports: Mirror<Port>,
    pub(super) addresses: Mirror<PublicAddress>,
    /// The nodes, once the monitor has made its bucket.
    pub(super) nodes: OnceLock<Mirror<Node>>,
    /// The servers, once the scheduler has made its bucket.
    pub(super) vms: OnceCell<Mirror<Vm>>,
    pub(super) settings: Addresses,
    index: Mutex<Built>,
    /// Drawing holds it for reading; what looks at several documents before it writes one
    /// (making or deleting a network, a fixed address) holds it for writing.
    gate: RwLock<()>,
    /// One owner's requests are handled in turn, so that a repeated one gets the first one's port.
    turns: Vec<tokio::sync::Mutex<()>>,
    hasher: std::hash::RandomState,
    metrics: Metrics,
}

/// The index, and for which epoch it was built.
#[derive(Default)]
struct Built {
    index: Index,
    epoch: Option<u64>,
    at: u64,
}

pub(crate) struct Metrics {
    used: IntGaugeVec,
    free: IntGaugeVec,
    pub(crate) orphans: IntGauge,
    pub(crate) alarm: IntGauge,
}

impl Book {
    pub(crate) fn new(
        ctx: &Context,
        networks: Mirror<Network>,
        ports: Mirror<Port>,
        addresses: Mirror<PublicAddress>,
        settings: Addresses,
    ) -> Result<Self, prometheus::Error> {
        Ok(Self {
            networks,
            ports,
            addresses,
            nodes: OnceLock::new(),
            vms: OnceCell::new(),
            settings,
            index: Mutex::default(),
            gate: RwLock::default(),
            turns: (0..TURNS).map(|_| tokio::sync::Mutex::default()).collect(),
            hasher: std::hash::RandomState::new(),
            metrics: Metrics::register(&ctx.metrics)?,
        })
    }

    /// Waits until everything is here that this service has stored.
    pub(crate) async fn catch_up(&self) {
        tokio::join!(self.networks.catch_up(), self.ports.catch_up(), self.addresses.catch_up());
    }

    pub(crate) fn networks(&self) -> &Mirror<Network> {
        &self.networks
    }

    pub(crate) fn ports(&self) -> &Mirror<Port> {
        &self.ports
    }

    pub(crate) fn addresses(&self) -> &Mirror<PublicAddress> {
        &self.addresses
    }

    /// The servers: one copy for the whole process, as soon as the scheduler has made its bucket, for which nobody waits
    /// at the start.
    pub(crate) async fn servers(&self, ctx: &Context) -> Result<Mirror<Vm>, Stopped> {
        self.vms.get_or_try_init(|| Mirror::of_another(ctx)).await.cloned()
    }

    /// Says who the nodes are, which are not ours to ask for at the start.
    pub(crate) fn learn_nodes(&self, nodes: Mirror<Node>) {
        // Only the first who says it counts; there is one.
        let _ = self.nodes.set(nodes);
    }

    pub(crate) fn settings(&self) -> &Addresses {
        &self.settings
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The index as of the tenure `epoch`. A standby does not keep it up to date, so that it is
    /// built anew when a tenure begins.
    fn index(&self, epoch: Option<u64>) -> MutexGuard<'_, Built> {
        let mut built = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        if built.epoch != epoch || epoch.is_none() {
            self.rebuild_into(&mut built, epoch);
        }
        built
    }

    /// Builds the index anew from the mirrors, and shows it.
    pub(crate) fn rebuild(&self, epoch: u64) {
        let mut built = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        self.rebuild_into(&mut built, Some(epoch));
        self.metrics.used.reset();
        self.metrics.free.reset();
        for network in self.networks.snapshot().values().map(|entry| &entry.value) {
            let usage = self.usage(&built.index, network);
            let show = |gauge: &IntGaugeVec, n| {
                gauge.with_label_values(&[network.name.as_str()]).set(i64::try_from(n).unwrap_or(i64::MAX))
            };
            show(&self.metrics.used, usage.used);
            show(&self.metrics.free, usage.free);
        }
    }

    /// How a network's addresses stand. Of one for public addresses the index knows nothing.
    fn usage(&self, index: &Index, network: &Network) -> Usage {
        if !network.public {
            return index.usage(&network.name);
        }
        let addresses = self.addresses.snapshot();
        let held = || addresses.values().map(|entry| &entry.value).filter(|held| held.network == network.name);
        let drawn = held().filter(|held| !network.excludes(held.address)).count() as u64;
        Usage { used: held().count() as u64, free: network.drawable().saturating_sub(drawn) }
    }

    /// The snapshots are taken while the index is locked: whatever was settled before stands in
    /// the mirror by then, and whatever is settled later is added to what is built here.
    fn rebuild_into(&self, built: &mut Built, epoch: Option<u64>) {
        let now = clock::boot_millis();
        let (networks, ports) = (self.networks.snapshot(), self.ports.snapshot());
        let doubted_before = now.saturating_sub(DOUBT_MS);
        built.index.rebuild(networks.values().map(|e| &e.value), ports.values().map(|e| &e.value), doubted_before);
        (built.epoch, built.at) = (epoch, now);
    }

    async fn turn_of(&self, owner: &Owner) -> tokio::sync::MutexGuard<'_, ()> {
        let hash = self.hasher.hash_one(HashOf(owner)) as usize;
        self.turns[hash % TURNS].lock().await
    }
}

struct HashOf<'a>(&'a Owner);

impl Hash for HashOf<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Metrics {
    fn register(registry: &prometheus::Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            used: IntGaugeVec::new(Opts::new(ADDRESSES_USED, "Addresses in use."), &["network"])?,
            free: IntGaugeVec::new(Opts::new(ADDRESSES_FREE, "Addresses of the range that are left."), &["network"])?,
            orphans: IntGauge::new(PORTS_ORPHANED, "Ports whose server is gone.")?,
            alarm: IntGauge::new(PORTS_ORPHANED_ALARM, "1 while too many ports have lost their servers at once.")?,
        };
        registry.register(Box::new(metrics.used.clone()))?;
        registry.register(Box::new(metrics.free.clone()))?;
        registry.register(Box::new(metrics.orphans.clone()))?;
        registry.register(Box::new(metrics.alarm.clone()))?;
        Ok(metrics)
    }
}

/// A document was not written, since another leads, or nobody knows whether it was.
pub(crate) fn unwritten(bucket: &str, error: &WriteError) -> Refusal {
    tracing::warn!(%error, "a document of the bucket {bucket} was not written");
    error.refusal(Service::Network, &format!("the bucket {bucket}"))
}

/// The bucket cannot be read, or takes nothing.
fn no_answer(what: &str, error: &dyn std::fmt::Display) -> Refusal {
    tracing::warn!(%error, "the bucket {what} did not answer");
    Refusal::NoAnswer { who: format!("the bucket {what}") }
}
