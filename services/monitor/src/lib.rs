//! The monitor: what is heard of the nodes, and what happened.
//!
//! ```text
//!   beats ───────▶ fleet ──▶ judge ──▶ bucket nodes, capacity events
//!   inventories ─────┘         ▲
//!   events ──────▶ history (SQL)        requests ──▶ inbound
//!   upsd ────────▶ ups ──▶ the scheduler ◀── alerts ◀── Alertmanager
//!   nodes that are lost ──▶ fencing ──▶ power controllers
//!   outages ─────▶ probes ──▶ servers, and what came of it ──▶ history
//! ```
//!
//! Both instances hear, keep a history and ask the UPSes and the servers; only the primary writes documents and answers.

mod alerts;
mod backups;
mod beats;
mod documents;
mod fencing;
mod fleet;
mod history;
mod inbound;
mod inventories;
mod judge;
mod metric_names;
mod metrics;
mod probes;
pub mod settings;
mod ups;
mod usage;
mod watch;

pub use settings::Settings;

use std::{io, net::SocketAddr, sync::Arc};

use tokio::sync::OnceCell;
use watari_chassis::{BusError, Context, Lease, Mirror, Stopped, prometheus};
use watari_contracts::{Service, subjects};
use watari_model::node::Node;

use history::History;
use watch::Watch;

/// Why the service ends before it is told to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is told to, while it waits for the bus.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The bus refuses a subscription.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// Two metrics have one name.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
    /// The address for alerts.
    #[error("cannot listen for alerts on {address}: {source}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The settings were not checked.
    #[error("{0}")]
    Settings(String),
}

/// Runs the service until the process is told to stop.
///
/// # Errors
/// [`Error`], if it cannot go on.
pub async fn serve(ctx: Context, settings: Settings) -> Result<(), Error> {
    match run(&ctx, settings).await {
        // To be told to stop while waiting is no fault.
        Err(Error::Stopped(Stopped)) => Ok(()),
        ended => ended,
    }
}

async fn run(ctx: &Context, settings: Settings) -> Result<(), Error> {
    let history = History::new(ctx)?;
    let place = history::Place::of(&settings.history).map_err(Error::Settings)?;
    ctx.spawn("history", history::keep(ctx.clone(), Arc::clone(&history), place, settings.history.clone()));
    backups::watch(ctx, &settings.backups)?;
    let roll = ups::watch(ctx, &settings)?;
    if let Some(address) = settings.alerts.address().map_err(Error::Settings)? {
        alerts::take(ctx, address, settings.alerts.clone()).await?;
    }
    let nodes = Mirror::<Node>::open(ctx).await?;
    let told = probes::Told::register(&ctx.metrics)?;
    // Followed once, by whoever is the first to need them: the scheduler may not have made their bucket yet.
    let outages = Arc::new(OnceCell::new());
    probes::watch(ctx, &history, settings.probes, nodes.clone(), Arc::clone(&outages), told).await?;
    let watch = Watch::new(ctx, nodes, settings)?;
    let stored = Arc::clone(&watch);
    let leadership =
        Lease::beginning_with(ctx, Lease::campaign(ctx, Service::Monitor, ctx.lease_ttl()).await?, move || {
            let stored = Arc::clone(&stored);
            async move { stored.nodes.catch_up().await }
        });
    let beats = ctx.bus.subscribe(subjects::BEATS).await?;
    let inventories = ctx.bus.subscribe(subjects::INVENTORIES).await?;
    ctx.spawn("beats", beats::hear(Arc::clone(&watch), beats));
    ctx.spawn("inventories", inventories::hear(Arc::clone(&watch), inventories, leadership.clone()));
    ctx.spawn("asking", inventories::ask(Arc::clone(&watch), leadership.clone()));
    ctx.spawn("judge", judge::judge(Arc::clone(&watch), leadership.clone()));
    let desk = fencing::Desk::new(&watch, leadership.clone());
    ctx.spawn("fencing", fencing::fence(Arc::clone(&desk), outages));
    inbound::server(&watch, &history, &roll, &desk).serve(leadership).await?;
    Ok(())
}
