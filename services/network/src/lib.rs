//! The network service: networks, and the ports that servers have on them.
//!
//! ```text
//!   requests ──▶ inbound ──▶ book ──▶ buckets networks, ports, addresses (compare-and-set)
//!                             │ ▲
//!      wanted, pool, index, strangers (pure)   sweep: ports without a server go back; marks of strangers end
//!
//!   buckets vms, nodes, networks, ports, addresses, firewalls ──▶ plan (pure) ──▶ plan::push ──▶ every node's agent
//!
//!   requests ──▶ firewalls ──▶ bucket firewalls
//! ```
//!
//! That two servers never have one address rests on the ports' keys alone (network and address)
//! and on the bucket's compare-and-set; everything in memory only makes it quick.

mod book;
mod firewalls;
mod inbound;
mod index;
mod metric_names;
mod orphans;
mod plan;
mod pool;
pub mod settings;
mod strangers;
mod sweep;
mod wanted;

pub use settings::Settings;

use std::sync::Arc;

use watari_chassis::{BusError, Context, Lease, Mirror, Stopped, prometheus};
use watari_contracts::Service;
use watari_model::{address::PublicAddress, network::Network, network::Port};

use book::Book;
use firewalls::Firewalls;

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
    let networks = Mirror::<Network>::open(ctx).await?;
    let ports = Mirror::<Port>::open(ctx).await?;
    let addresses = Mirror::<PublicAddress>::open(ctx).await?;
    let book = Arc::new(Book::new(ctx, networks, ports, addresses, settings.addresses)?);
    let firewalls = Arc::new(Firewalls::open(ctx, settings.firewalls).await?);
    let (stored, groups) = (Arc::clone(&book), Arc::clone(&firewalls));
    let leadership =
        Lease::beginning_with(ctx, Lease::campaign(ctx, Service::Network, ctx.lease_ttl()).await?, move || {
            let (stored, groups) = (Arc::clone(&stored), Arc::clone(&groups));
            async move {
                tokio::join!(stored.catch_up(), groups.groups().catch_up());
            }
        });
    ctx.spawn("index", sweep::index(ctx.clone(), Arc::clone(&book), leadership.clone()));
    ctx.spawn("orphans", sweep::orphans(ctx.clone(), Arc::clone(&book), leadership.clone()));
    ctx.spawn("strangers", sweep::strangers(ctx.clone(), Arc::clone(&book), leadership.clone()));
    let plans =
        plan::push::run(ctx.clone(), Arc::clone(&book), Arc::clone(&firewalls), settings.plans, leadership.clone());
    ctx.spawn("plans", plans);
    let (learning, knowing, of) = (Arc::clone(&firewalls), Arc::clone(&book), ctx.clone());
    ctx.spawn("firewalls", async move {
        if let Ok(vms) = knowing.servers(&of).await {
            learning.learn_servers(vms);
        }
    });
    firewalls::server(inbound::server(ctx, &book), &firewalls).serve(leadership).await?;
    Ok(())
}
