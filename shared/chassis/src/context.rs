//! What every part of a process shares: its bus, its metrics, and the two phases of its end.
//!
//! ```text
//!   running ──shutdown──► draining ──all work done, or the bound is over──► closing ──► ended
//!             (no new work; tasks finish)                (the lease is released, /metrics ends)
//! ```

use std::{future::Future, sync::Arc, time::Duration};

use futures_util::FutureExt;
use prometheus::Registry;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use watari_contracts::Service;

use crate::{
    Bus, StartError,
    config::{Common, Limits},
    metrics::{self, Metrics},
    process::Process,
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
    metrics: Metrics,
    tasks: TaskTracker,
    closing: CancellationToken,
    closers: TaskTracker,
    failed: CancellationToken,
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
    /// if the settings say so.
    pub async fn new(service: Service, settings: &Common) -> Result<Self, StartError> {
        let bus = Bus::connect(&settings.bus()).await?;
        let registry = Registry::new();
        let instance: Arc<str> = instance(service, &settings.bus.identity).into();
        let metrics = Metrics::register(&registry)?;
        bus.register(&registry)?;
        registry.register(Box::new(Process::new()?))?;
        metrics::register_build(&registry, service.name(), &instance)?;
        let inner = Inner {
            service,
            lease_ttl: Duration::from_millis(settings.lease.ttl_ms),
            metrics,
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            closers: TaskTracker::new(),
            failed: CancellationToken::new(),
        };
        Ok(Self {
            bus,
            metrics: registry,
            shutdown: CancellationToken::new(),
            ready: Ready::starting(),
            instance,
            limits: settings.limits.clone(),
            inner: Arc::new(inner),
        })
    }

    /// Which service this is.
    #[must_use]
    pub fn service(&self) -> Service {
        self.inner.service
    }

    /// How long a lease holds without renewal, by the configuration.
    #[must_use]
    pub fn lease_ttl(&self) -> Duration {
        self.inner.lease_ttl
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
fn instance(service: Service, identity: &str) -> String {
    let place = if identity.is_empty() {
        format!("{}.{}", service.name(), rustix::system::uname().nodename().to_string_lossy())
    } else {
        identity.to_owned()
    };
    format!("{place}.{}", crate::bus::unique())
}
