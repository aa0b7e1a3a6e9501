//! A hundred thousand servers listed: a filtered page, all of them page by page, and a scheduler that starts with them.

use std::time::Instant;

use anyhow::ensure;
use serde::Serialize;
use watari_contracts::scheduler::ListVms;

use super::{
    Measured, plan,
    stage::{Stage, own_resident_mib},
    standing::Standing,
};
use crate::bench::{
    Bound,
    latency::{Latency, Taken},
};

/// By so much memory may differ after all were listed once more. Allocators keep what they had.
const FLAT_MIB: f64 = 16.0;

#[derive(Clone, Debug, Serialize)]
struct Listing {
    nodes: usize,
    servers: usize,
    by_node: Latency,
    by_site: Latency,
    by_state: Latency,
    /// All servers for the first time, and once more when the scheduler has put their views together before.
    first: Whole,
    again: Whole,
    restart: Restart,
}

/// All servers, a thousand a page.
#[derive(Clone, Copy, Debug, Serialize)]
struct Whole {
    servers_a_second: f64,
    scheduler_resident_mib: f64,
    client_resident_mib: f64,
}

/// A scheduler that is ended in order and started again.
#[derive(Clone, Copy, Debug, Serialize)]
struct Restart {
    /// Until it leads and says so.
    ready_seconds: f64,
    /// Until it answers with a server.
    answers_seconds: f64,
    resident_mib: f64,
}

/// Measures.
pub(super) async fn run(stage: &mut Stage, plan: plan::Listed) -> anyhow::Result<Measured> {
    let standing = Standing::with(stage, plan.nodes, plan.servers).await?;
    let first = whole(stage, plan.servers).await?;
    let again = whole(stage, plan.servers).await?;
    let mut taken = [Taken::none()?, Taken::none()?, Taken::none()?];
    for turn in 0..plan.requests {
        let begun = Instant::now();
        stage.ctx.bus.request(&standing.page(turn)).await?;
        taken[turn % 3].take(begun)?;
    }
    let [by_node, by_site, by_state] = taken.map(|taken| taken.latency());
    stage.stop("scheduler").await?;
    let ready = stage.start("scheduler").await?;
    let answers = ready + standing.known(stage).await?;
    let restart = Restart {
        ready_seconds: ready.as_secs_f64(),
        answers_seconds: answers.as_secs_f64(),
        resident_mib: stage.resident_mib("scheduler")?,
    };
    let (nodes, servers) = (plan.nodes, plan.servers);
    let listing = Listing { nodes, servers, by_node, by_site, by_state, first, again, restart };
    Measured::of(&listing, listing.bounds())
}

impl Listing {
    fn bounds(&self) -> Vec<Bound> {
        let grown = |of: fn(&Whole) -> f64| of(&self.again) - of(&self.first);
        vec![
            Bound::most("lists: by_node.p99_ms", self.by_node.p99_ms, 5.0),
            Bound::most("lists: by_site.p99_ms", self.by_site.p99_ms, 5.0),
            Bound::most("lists: by_state.p99_ms", self.by_state.p99_ms, 5.0),
            Bound::least("lists: first.servers_a_second", self.first.servers_a_second, 200_000.0),
            Bound::least("lists: again.servers_a_second", self.again.servers_a_second, 200_000.0),
            Bound::most("lists: scheduler's growth in MiB", grown(|whole| whole.scheduler_resident_mib), FLAT_MIB),
            Bound::most("lists: client's growth in MiB", grown(|whole| whole.client_resident_mib), FLAT_MIB),
            Bound::most("lists: restart.ready_seconds", self.restart.ready_seconds, 2.0),
        ]
    }
}

/// Goes through all servers, keeping none.
async fn whole(stage: &Stage, servers: usize) -> anyhow::Result<Whole> {
    let (begun, mut found, mut after) = (Instant::now(), 0, None);
    loop {
        let page = stage.ctx.bus.request(&ListVms { after, limit: Some(1_000), ..ListVms::default() }).await?;
        found += page.vms.len();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let elapsed = begun.elapsed();
    ensure!(found == servers, "{found} servers are listed of {servers}");
    #[allow(clippy::cast_precision_loss, reason = "a number of servers")]
    let servers_a_second = found as f64 / elapsed.as_secs_f64();
    Ok(Whole {
        servers_a_second,
        scheduler_resident_mib: stage.resident_mib("scheduler")?,
        client_resident_mib: own_resident_mib()?,
    })
}
