//! The scheduler: places servers, moves them live, empties sites and brings their servers home.
//!
//! ```text
//!  requests ──▶ inbound ──▶ documents ──▶ core::decide ──▶ doing ──▶ orders to agents, documents
//!                              ▲   ▲           ▲                            │
//!                              │   └───────────┼────────────────────────────┘
//!                    facts of agents ──────────┘
//! ```
//!
//! [`core`] is pure and knows no clock. The rest of the crate feeds it and does what it says.

pub mod core;
mod doing;
mod facts;
mod inbound;
mod keeping;
mod leases;
mod metric_names;
mod outlook;
mod rehearsal;
mod settings;
mod stores;
mod tenure;
mod views;
mod ways;

use std::{error::Error, sync::Arc};

use tokio::time::Instant;
use watari_chassis::{Context, Lease, Server, Wake, clock, looper};
use watari_contracts::Service;

pub use rehearsal::{Makespan, Troubles, makespan};
pub use settings::{DEFAULTS, Settings};

/// Runs the scheduler until the process is told to stop.
///
/// # Errors
/// What keeps it from starting; later faults are logged and tried again.
pub async fn run(ctx: Context, settings: Settings) -> Result<(), Box<dyn Error + Send + Sync>> {
    let wake = Wake::new();
    let metrics = doing::Metrics::register(&ctx.metrics)?;
    let memory = Arc::new(doing::Memory::default());
    if ctx.site().is_some() {
        memory.saw_control(core::Control::Unseen);
    }
    let (ask, askings) = tokio::sync::mpsc::channel(leases::WAITING);
    facts::follow(&ctx, &memory, &wake, ask).await?;
    let stores = stores::Stores::open(&ctx).await?;
    stores.wake(&wake);
    let wish = Some(stores.frontends.clone());
    let leadership = Lease::campaign_following(&ctx, Service::Scheduler, ctx.lease_ttl(), wish).await?;

    let (rules, bounds) = (Arc::new(settings.rules()), settings.bounds());
    let executor = doing::Executor {
        ctx: ctx.clone(),
        stores,
        memory,
        metrics,
        leadership: leadership.clone(),
        wake: wake.clone(),
        bounds,
    };
    ctx.spawn("leases", leases::grant(executor.clone(), askings));
    let desk = inbound::Desk::new(executor.clone(), Arc::clone(&rules), &settings);
    let server = desk.endpoints(Server::new(&ctx, Service::Scheduler));

    let tenure = tenure::Tenure::new(executor.clone(), settings.sites.clone());
    let turn = |epoch| {
        let (executor, rules, tenure) = (executor.clone(), Arc::clone(&rules), tenure.clone());
        async move {
            if tenure.begin(epoch).await? && executor.leads(epoch) {
                let begun = Instant::now();
                let crosses = {
                    let snap = executor.snapshot(epoch);
                    let timer = executor.metrics.decide.start_timer();
                    let actions = core::decide(&snap, &rules, clock::now());
                    timer.observe_duration();
                    executor.metrics.count(&snap);
                    executor.start(actions);
                    snap.crosses()
                };
                // A server that crosses stands still until the turn that gives its grant to the target.
                if !crosses {
                    looper::rest(begun, 1).await;
                }
            }
            Ok::<(), watari_chassis::WriteError>(())
        }
    };
    let looping = looper::run_as_primary(&ctx, "scheduler", leadership, wake, settings.tick(), turn);
    let keeping = keeping::keep(executor.clone(), settings.clone(), tenure.leadership());
    let outlook = outlook::keep_looking(executor.clone(), Arc::clone(&rules), tenure.leadership(), settings.outlook());
    let ways = ways::keep_measuring(executor.clone(), tenure.leadership(), settings.tick(), settings.measure_ms());
    let (served, (), (), (), ()) = tokio::join!(server.serve(tenure.leadership()), looping, keeping, outlook, ways);
    Ok(served?)
}
