//! What every part of a process shares: its bus, its metrics, and the two phases of its end.
//!
//! ```text
//!   running ──shutdown──► draining ──all work done, or the bound is over──► closing ──► ended
//!             (no new work; tasks finish)                (the lease is released, /metrics ends)
//! ```

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;
use prometheus::Registry;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use watari_contracts::{
    Service,
    frontend::{Quorum, StoreStanding},
};
use watari_model::SiteName;

use crate::{
    Bus, BusSettings, Initial, Options, StartError, Validate, clock,
    config::{self, Common, ConfigError, Limits, Loaded},
    metrics::{self, Metrics},
    pulse::{Pulse, Pulses},
    ready::{Readiness, Ready},
};

/// Cheap to clone; every clone is the same process.
#[derive(Clone)]
pub struct Context {
    /// The connection to NATS.
    pub bus: Bus,
    /// Where metrics are registered to be seen at `/metrics`.
    pub metrics: Registry,
    /// Cancelled when the process is to stop taking work.
    pub shutdown: CancellationToken,
    /// What `/ready` says.
    pub ready: Ready,
    /// This process among all others, new at each start.
    pub instance: Arc<str>,
    /// How much the process takes on.
    pub limits: Limits,
    inner: Arc<Inner>,
}

struct Inner {
    service: Service,
    lease_ttl: Duration,
    /// Nothing in a process that competes for no lease.
    leads_until: OnceLock<AtomicU64>,
    site: Option<SiteName>,
    followed: Followed,
    in_hand: watch::Sender<usize>,
    quorum: watch::Sender<Option<Quorum>>,
    object_store: watch::Sender<Option<StoreStanding>>,
    metrics: Metrics,
    pulses: Pulses,
    tasks: TaskTracker,
    closing: CancellationToken,
    closers: TaskTracker,
    failed: CancellationToken,
    /// The embedded settings, and where others lie over them.
    settings: OnceLock<(String, Options)>,
}

/// The newest write seen of each mirrored bucket.
#[derive(Default)]
pub(crate) struct Followed(Mutex<BTreeMap<String, u64>>);

impl Followed {
    pub(crate) fn reached(&self, bucket: &str, revision: u64) {
        let mut followed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = followed.entry(bucket.to_owned()).or_default();
        *newest = revision.max(*newest);
    }

    pub(crate) fn all(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Whether everything in hand was finished within the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Drained {
    /// Everything was.
    Fully,
    /// Some tasks were left; they end with the process.
    Partly {
        /// How many.
        left: usize,
    },
}

impl Context {
    /// Connects to the bus and prepares the metrics. It opens no listener and catches no signal:
    /// that is [`crate::run`]'s part, and tests have neither.
    ///
    /// # Errors
    /// [`StartError`], each with a remedy. A bus that is not there yet is waited for, not an error,
    /// if the settings say so; a node's agent goes on without.
    pub async fn new(service: Service, settings: &Common) -> Result<Self, StartError> {
        let bus = match (service, settings.bus()) {
            (Service::NodeAgent, bus) if bus.initial == Initial::Wait => BusSettings { initial: Initial::GoOn, ..bus },
            (_, bus) => bus,
        };
        let bus = Bus::connect(&bus).await?;
        let registry = Registry::new();
        let instance: Arc<str> = instance(service.name(), &settings.bus.identity).into();
        let metrics = Metrics::register(&registry)?;
        bus.register(&registry)?;
        metrics::register_process(&registry, service.name(), &instance)?;
        let inner = Inner {
            service,
            lease_ttl: Duration::from_millis(settings.lease.ttl_ms),
            leads_until: OnceLock::new(),
            site: settings.lease.site.parse().ok(),
            followed: Followed::default(),
            in_hand: watch::Sender::new(0),
            quorum: watch::Sender::new(None),
            object_store: watch::Sender::new(None),
            metrics,
            pulses: Pulses::default(),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            closers: TaskTracker::new(),
            failed: CancellationToken::new(),
            settings: OnceLock::new(),
        };
        let shutdown = CancellationToken::new();
        let ctx = Self {
            bus,
            metrics: registry,
            shutdown: shutdown.clone(),
            ready: Ready::starting(),
            instance,
            limits: settings.limits.clone(),
            inner: Arc::new(inner),
        };
        ctx.spawn("home", crate::bus::go_home(ctx.bus.clone(), shutdown));
        Ok(ctx)
    }

    /// Which service this is.
    #[must_use]
    pub fn service(&self) -> Service {
        self.inner.service
    }

    /// Remembers where the settings were read.
    pub(crate) fn set_settings(&self, defaults_toml: &str, options: &Options) {
        let _ = self.inner.settings.set((defaults_toml.to_owned(), options.clone()));
    }

    /// Reads the settings again: another file may be there by now. None where they were not read, as in tests.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn settings_now<T: DeserializeOwned + Validate>(&self) -> Result<Option<Loaded<T>>, ConfigError> {
        let Some((defaults, options)) = self.inner.settings.get() else { return Ok(None) };
        config::load_all(self.inner.service.name(), defaults, options).map(Some)
    }

    /// How long a lease holds without renewal, by the configuration.
    #[must_use]
    pub fn lease_ttl(&self) -> Duration {
        self.inner.lease_ttl
    }

    /// Whether this process may change anything: its lease holds by the boot clock, or it has never competed for one, such
    /// as an agent. A process that stood still knows by this that it leads no more before anybody has told it.
    #[must_use]
    pub fn may_act(&self) -> bool {
        self.inner.leads_until.get().is_none_or(|until| clock::boot_millis() < until.load(Ordering::Acquire))
    }

    /// Until when this process leads if its lease is not renewed, in milliseconds on the boot clock; 0 if it does not. From
    /// the first word on it needs a lease to change anything.
    pub(crate) fn set_leads_until(&self, moment: u64) {
        self.inner.leads_until.get_or_init(AtomicU64::default).store(moment, Ordering::Release);
    }

    /// Where this process stands, if the configuration says so.
    #[must_use]
    pub fn site(&self) -> Option<&SiteName> {
        self.inner.site.as_ref()
    }

    /// How many copies of each bucket there are to be, by the configuration.
    #[must_use]
    pub fn copies(&self) -> usize {
        self.bus.settings().replicas
    }

    /// How far each bucket that this process mirrors has been followed.
    pub(crate) fn followed(&self) -> &Followed {
        &self.inner.followed
    }

    /// What is known of the NATS servers, told to whoever asks this process how it stands.
    #[must_use]
    pub fn quorum(&self) -> &watch::Sender<Option<Quorum>> {
        &self.inner.quorum
    }

    /// How this process's object store stands, if it has one: told in the same way, and by `/ready`.
    #[must_use]
    pub fn object_store(&self) -> &watch::Sender<Option<StoreStanding>> {
        &self.inner.object_store
    }

    /// How many requests are being handled that may change something.
    pub(crate) fn in_hand(&self) -> &watch::Sender<usize> {
        &self.inner.in_hand
    }

    /// For a loop that is not [`crate::looper`]'s: it says with this when a turn begins and when it rests,
    /// and the watchdog of whoever supervises the process bites when a turn does not end.
    #[must_use]
    pub fn pulse(&self, name: &'static str) -> Pulse {
        self.inner.pulses.new_loop(name)
    }

    pub(crate) fn pulses(&self) -> &Pulses {
        &self.inner.pulses
    }

    /// Runs `work` beside the rest. Draining waits for it, so it must end soon after
    /// [`Context::shutdown`]. If it panics the process stops: what a supervisor restarts is better
    /// than a process that has silently lost a part.
    pub fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        self.inner.tasks.spawn(self.guarded(name, work));
    }

    /// The same for what must outlive draining: it ends at [`Context::closing`].
    pub(crate) fn spawn_closer(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        self.inner.closers.spawn(self.guarded(name, work));
    }

    fn guarded(
        &self,
        name: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (shutdown, failed) = (self.shutdown.clone(), self.inner.failed.clone());
        async move {
            if std::panic::AssertUnwindSafe(work).catch_unwind().await.is_err() {
                tracing::error!(task = name, "a part of the process panicked; the process stops");
                failed.cancel();
                shutdown.cancel();
            }
        }
    }

    pub(crate) fn closing(&self) -> &CancellationToken {
        &self.inner.closing
    }

    pub(crate) fn counts(&self) -> &Metrics {
        &self.inner.metrics
    }

    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.inner.tasks
    }

    /// Whether a part has panicked.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.inner.failed.is_cancelled()
    }

    /// Ends the process's work: no new work, then waits for what is in hand within
    /// `limits.drain_seconds`, then gives up the lease.
    pub async fn drain(&self) -> Drained {
        let bound = Duration::from_secs(self.limits.drain_seconds);
        self.ready.set(Readiness::Draining);
        self.shutdown.cancel();
        self.inner.tasks.close();
        let finished = tokio::time::timeout(bound, self.inner.tasks.wait()).await.is_ok();
        let left = if finished { 0 } else { self.inner.tasks.len() };
        self.inner.closing.cancel();
        self.inner.closers.close();
        let closed = tokio::time::timeout(Duration::from_secs(2), self.inner.closers.wait()).await.is_ok();
        self.bus.flush(Duration::from_secs(1)).await;
        let left = left + if closed { 0 } else { self.inner.closers.len() };
        if left == 0 { Drained::Fully } else { Drained::Partly { left } }
    }
}

/// A name that people can place and that no other start of any process has.
#[must_use]
pub fn instance(service: &str, identity: &str) -> String {
    let place = if identity.is_empty() {
        format!("{service}.{}", rustix::system::uname().nodename().to_string_lossy())
    } else {
        identity.to_owned()
    };
    format!("{place}.{}", crate::bus::unique())
}
