//! The hypervisor: everything libvirt, QEMU and qemu-img, and the only place of it.
//!
//! [`Hypervisor`] is a cheap handle with an async face. libvirt's calls block, so each runs on
//! the blocking pool within a bound; a migration has a thread and a connection of its own.
//! libvirtd may die, freeze and return: calls meanwhile fail with a retryable error, guests run
//! on, and [`Event::Connected`] tells when to look again.
//!
//! Nothing here decides. What may run where is the grant's business; this module acts and
//! reports, and keeps three things apart that libvirt blurs: what libvirt *says* of a domain
//! ([`DomainState`]), whether its QEMU process *lives* ([`QemuProcess`]), and what a call *returned*.

mod backup;
mod config;
mod connection;
pub mod console;
pub mod copy;
pub mod courier;
mod cut;
pub mod disk;
mod domain_xml;
mod error;
mod events;
mod ffi;
mod freeze;
mod grow;
pub mod inventory;
mod lifecycle;
mod migrate;
pub mod probe;
mod process;
mod pull;
pub mod save;
mod screen;
mod spec;
mod state;
mod stats;
mod terminal;
mod volume;
mod witness;

use std::sync::{Arc, atomic::AtomicU64};
use std::time::Duration;

use tokio::sync::{Semaphore, broadcast};
use virt::connect::Connect;
use virt::domain::Domain;
use watari_chassis::telemetry::trace;

pub use backup::Frozen;
pub use config::Config;
pub use domain_xml::{DomainRecord, build, parse};
pub use error::{Error, Kind, Result};
pub use events::{Change, CloseReason, Event, Resume, Start, Stop, Suspend};
pub use freeze::Guest;
pub use grow::{MEMORY_STEP_MIB, Memory, Vcpus};
pub use inventory::{HostCpu, Inventory};
pub use lifecycle::{DomainSummary, StartMode};
pub use migrate::{JobKind, JobPurpose, JobStats, Migration, Persist};
pub use process::{ProcessId, QemuProcess};
pub use spec::{BackingFile, CacheMode, Cpu, Disk, DiskFormat, DomainSpec, Firmware, Grant, Nic, VirtType};
pub use state::{DomainState, PauseReason, StopReason};
pub use stats::{BlockStats, DomainStats, NetStats};
pub use terminal::{Take, Terminal};
pub use volume::Volume;
pub use witness::{Incoming, Witness};

use connection::Connection;

/// Memories that are saved, or read again, at a time: more would share one disk, and each take longer.
const SAVES_IN_FLIGHT: usize = 2;
/// Pictures of screens that are in hand at a time: each is tens of megabytes until it is packed, whoever asks for how many.
const PICTURES_IN_FLIGHT: usize = 2;

/// A handle to this node's hypervisor; clones share one connection.
#[derive(Clone)]
pub struct Hypervisor {
    config: Arc<Config>,
    connection: Arc<Connection>,
    calls: Arc<Semaphore>,
    migrations: Arc<Semaphore>,
    saves: Arc<Semaphore>,
    pictures: Arc<Semaphore>,
    /// The memory that is being saved now, in MiB.
    saving_mib: Arc<AtomicU64>,
}

impl Hypervisor {
    /// Starts keeping a connection to `config.uri` and returns at once: libvirtd may be absent now
    /// and come later. Fails only if the process cannot start the threads.
    ///
    /// # Errors
    /// The event loop or the keeper could not be started.
    pub fn connect(config: Config) -> Result<Self> {
        Ok(Self {
            connection: Connection::start(&config)?,
            calls: Arc::new(Semaphore::new(config.calls_in_flight)),
            migrations: Arc::new(Semaphore::new(config.migrations_in_flight)),
            saves: Arc::new(Semaphore::new(SAVES_IN_FLIGHT)),
            pictures: Arc::new(Semaphore::new(PICTURES_IN_FLIGHT)),
            saving_mib: Arc::default(),
            config: Arc::new(config),
        })
    }

    /// Waits until libvirt answers. Give it a bound of your own.
    pub async fn ready(&self) {
        self.connection.up().await;
    }

    /// Events from now on. A slow receiver loses the oldest and is told so; it then lists again.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.connection.subscribe()
    }

    /// Runs one blocking call, within the bound on calls in flight.
    async fn call<T: Send + 'static>(
        &self,
        act: &'static str,
        body: impl FnOnce(&Connect) -> std::result::Result<T, virt::error::Error> + Send + 'static,
    ) -> Result<T> {
        let permit = Arc::clone(&self.calls).acquire_owned().await;
        let link = self.connection.link()?;
        blocking(act, move || {
            let _permit = permit;
            body(&link.connect).map_err(|source| failure(act, &link.connect, source))
        })
        .await
    }

    /// As [`Self::call`], on the domain of that name.
    async fn on_domain<T: Send + 'static>(
        &self,
        act: &'static str,
        name: &str,
        body: impl FnOnce(&Domain) -> std::result::Result<T, virt::error::Error> + Send + 'static,
    ) -> Result<T> {
        let name = name.to_owned();
        self.call(act, move |connect| body(&connect.lookup_domain_by_name(&name)?)).await
    }
}

/// Runs blocking work on tokio's pool. It cannot be cancelled: dropping the future leaves it running.
async fn blocking<T: Send + 'static>(
    act: &'static str,
    body: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = trace::step(trace::recorded(), act, "hypervisor", tokio::task::spawn_blocking(body)).await;
    done.unwrap_or_else(|panic| {
        Err(Error::Io { act, path: "blocking task".into(), source: std::io::Error::other(panic) })
    })
}

/// Waits for a call no longer than that. The call itself goes on, for as long as libvirt or QEMU hangs.
async fn within<T>(act: &'static str, after: Duration, call: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(after, call).await.unwrap_or_else(|_| Err(Error::Timeout { act, after }))
}

/// How long something may take that has an amount to work through: so many seconds at least, and one more for each so
/// much of it.
pub(crate) fn in_proportion((least, each): (u64, u64), amount: u64) -> Duration {
    Duration::from_secs(least.saturating_add(amount / each))
}

/// libvirt's codes do not say that the connection broke (it may be an "internal error"), but the connection does.
fn failure(act: &'static str, connect: &Connect, source: virt::error::Error) -> Error {
    if connect.is_alive().unwrap_or(false) {
        Error::Libvirt { act, source }
    } else {
        Error::ConnectionLost { act, source }
    }
}
