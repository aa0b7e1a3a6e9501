//! The node agent: drives one node's libvirt, disks and DHCP by the orders of services, and
//! reports what it sees.
//!
//! ```text
//! inbound ─▶ agent ─▶ actor (one a server) ─▶ store (journal, fsync) ─▶ hypervisor · images · plumbing
//!             ├──▶ saving (copies of disks) ─▶ hypervisor · images
//!             ├──▶ layers (disks sent ahead) ─▶ hypervisor
//!             ├──▶ consoles (whose they are, what they said) ─▶ hypervisor
//!             └──▶ isolation (the lease; stops servers without one) ─▶ hypervisor
//! bus ◀── facts · beats · stock ◀── events of libvirt, ends of operations · weights (what would travel)
//! ```
//!
//! It starts and resumes a server only under a grant newer than any it has seen, never of its own
//! accord; its own death or restart touches no guest.

pub mod actor;
pub mod agent;
pub mod beats;
pub mod blueprint;
pub mod consoles;
pub mod counts;
pub mod facts;
pub mod health;
pub mod hypervisor;
pub mod images;
pub mod inbound;
pub mod isolation;
pub mod kept;
pub mod layers;
pub mod layout;
pub mod machine;
mod metadata;
pub mod metric_names;
pub mod node;
mod picture;
pub mod plans;
pub mod plumbing;
pub mod record;
mod resolver;
pub mod room;
pub mod saving;
pub mod seed;
pub mod settings;
pub mod shut_down;
pub mod stock;
pub mod store;
mod trim;
pub mod uefi;
pub mod weights;
pub mod work;

use std::{io, sync::Arc, time::Duration};

use watari_chassis::{BusError, Context};

use agent::Agent;
use consoles::Consoles;
use counts::Counts;
use facts::Facts;
use health::Examiner;
use hypervisor::{CacheMode, Hypervisor, disk, probe};
use images::{Images, TrustError};
use isolation::{Lessee, Sentinel};
use kept::KeptDisks;
use layers::Couriers;
use layout::Layout;
use machine::Machine;
use node::Node;
use plans::Plans;
use plumbing::Plumbing;
use room::Room;
use saving::Saves;
pub use settings::{DEFAULTS, Settings};
use store::{Journal, JournalError};
pub use trim::one_arena;
use weights::Weights;

/// Why an agent does not start.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A name in the settings.
    #[error("{0}")]
    Settings(String),
    /// Its folders.
    #[error("a folder cannot be made: {0}")]
    Folders(#[source] io::Error),
    /// The hypervisor module.
    #[error(transparent)]
    Hypervisor(#[from] hypervisor::Error),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The kernel's links.
    #[error("the kernel's network cannot be reached: {0}")]
    Links(#[source] io::Error),
    /// Certificates for images.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// Its metrics.
    #[error("two metrics have one name: {0}")]
    Metrics(#[from] watari_chassis::prometheus::Error),
    /// The bus.
    #[error(transparent)]
    Bus(#[from] BusError),
}

/// Opens every door of this node.
///
/// # Errors
/// [`AgentError`]; libvirt need not be there yet.
pub async fn open(
    settings: Settings,
    hypervisor: Hypervisor,
    counts: Counts,
    instance: String,
) -> Result<Arc<Node>, AgentError> {
    let name = settings.node_name().map_err(AgentError::Settings)?;
    let site = settings.site_name().map_err(AgentError::Settings)?;
    let layout = Layout::new(&settings.data_dir, &settings.run_dir);
    layout.make().map_err(AgentError::Folders)?;
    let journal = Journal::open(&layout.journal(), settings.bounds.operations_kept).await?;
    let lease = Lessee::open(&journal, settings.isolation.terms()).await?;
    let verdict = probe::virt_type(settings.probe(), layout.run()).await?;
    tracing::info!(virtualisation = ?verdict.virt_type, reason = verdict.reason, "how guests are run");
    let direct = disk::supports_direct_io(&layout.disks()).await?;
    let plumbing = Plumbing::open(name.clone(), layout.clone(), settings.networks.clone(), settings.tunnel_address())
        .map_err(AgentError::Links)?;
    Ok(Arc::new(Node {
        lease,
        facts: Arc::new(Facts::new(name.clone(), site.clone(), instance)),
        health: Examiner::new(&settings, layout.disk_probe()),
        images: Images::new(
            name.clone(),
            layout.clone(),
            &settings.image,
            settings.capacity.reserve_disk_gib,
            counts.images.clone(),
        )?,
        saves: Saves::new(settings.saving.at_once),
        kept: KeptDisks::default(),
        couriers: Couriers::default(),
        consoles: Consoles::default(),
        weights: Weights::default(),
        room: Room::new(name.clone(), layout.disks(), settings.capacity.reserve_disk_gib),
        cache: if direct { CacheMode::None } else { CacheMode::Writeback },
        virt: verdict.virt_type,
        name,
        site,
        settings,
        layout,
        hypervisor,
        journal,
        plumbing,
        plans: Plans::default(),
        counts,
    }))
}

fn machine_of(node: &Node) -> Machine {
    Machine {
        folders: [("disks", node.layout.disks()), ("images", node.layout.images())],
        bridges: node.settings.networks.segments.values().cloned().collect(),
        proc: "/proc".into(),
        interfaces: "/sys/class/net".into(),
    }
}

/// Runs the agent until it is told to stop.
///
/// # Errors
/// [`AgentError`].
pub async fn serve(ctx: Context, settings: Settings) -> Result<(), AgentError> {
    let config = hypervisor::Config { uri: settings.libvirt_uri.clone(), ..hypervisor::Config::default() };
    let counts = Counts::register(&ctx.metrics)?;
    let node = open(settings, Hypervisor::connect(config)?, counts, ctx.instance.to_string()).await?;
    machine::register(&ctx.metrics, machine_of(&node))?;
    let agent = Agent::restore(Arc::clone(&node)).await?;
    let mut sentinel = Sentinel::new(agent.clone());
    sentinel.tell().await;
    let (shutdown, pulse) = (ctx.shutdown.clone(), ctx.pulse("isolation"));
    ctx.spawn("isolation", async move { sentinel.run(&shutdown, &pulse).await });
    let interval = Duration::from_millis(node.settings.intervals.facts_ms);
    let (watching, shutdown, pulse) = (agent.clone(), ctx.shutdown.clone(), ctx.pulse("events"));
    ctx.spawn("events", async move { watching.watch(&shutdown, &pulse).await });
    let (facts, bus, shutdown) = (Arc::clone(&node.facts), ctx.bus.clone(), ctx.shutdown.clone());
    ctx.spawn("facts", async move { facts.publish(&bus, interval, &shutdown).await });
    let (beating, bus, shutdown, pulse) =
        (Arc::clone(&node), ctx.bus.clone(), ctx.shutdown.clone(), ctx.pulse("beats"));
    ctx.spawn("beats", async move { beats::run(&beating, &bus, &shutdown, &pulse).await });
    let (taking, bus, shutdown) = (Arc::clone(&node), ctx.bus.clone(), ctx.shutdown.clone());
    ctx.spawn("stock", async move { stock::publish(&taking, &bus, &shutdown).await });
    let (keeping, shutdown) = (Arc::clone(&node), ctx.shutdown.clone());
    ctx.spawn("layers", async move { layers::keep::run(&keeping, &shutdown).await });
    let (weighing, shutdown) = (Arc::clone(&node), ctx.shutdown.clone());
    ctx.spawn("weights", async move { weights::run(&weighing, &shutdown).await });
    let (images, shutdown) = (node.images.clone(), ctx.shutdown.clone());
    ctx.spawn("images", async move { images.keep(&shutdown).await });
    let shutdown = ctx.shutdown.clone();
    ctx.spawn("trim", async move { trim::run(&shutdown).await });
    inbound::server(&ctx, &agent).serve_always().await?;
    node.journal.close().await;
    Ok(())
}
