//! A hundred thousand servers listed: a filtered page, all of them page by page, and services that start with them, after an
//! orderly end and after a kill.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::ensure;
use serde::Serialize;
use watari_contracts::scheduler::ListVms;

use super::{
    FLAT_MIB, Measured,
    herd::Herd,
    plan,
    stage::{LEASE, LOOK, READY, Stage, Started, own_resident_mib},
    standing::Standing,
};
use crate::bench::{
    Bound,
    latency::{Latency, Taken},
};

/// A service is ready within so much time of its start; it leads then, unless the lease of one that was killed is waited for.
const RESTART: Duration = Duration::from_secs(2);
/// Samples in each beat of a node, for the monitor.
const SAMPLES: usize = 10;
/// How many changes the monitor has written into its history since it was started.
const WRITTEN: &str = "watari_history_changes_total";

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
    /// What the monitor had in its history when it was ended.
    history_changes: f64,
    restarts: BTreeMap<&'static str, Restart>,
    /// Until the scheduler that was started after a kill answers with a server.
    answers_seconds: f64,
}

/// All servers, a thousand a page.
#[derive(Clone, Copy, Debug, Serialize)]
struct Whole {
    servers_a_second: f64,
    scheduler: Memory,
    client: Memory,
}

/// Resident memory while all are listed.
#[derive(Clone, Copy, Debug, Serialize)]
struct Memory {
    before_mib: f64,
    /// Of what there was after each page.
    most_mib: f64,
}

impl Memory {
    fn before(mib: f64) -> Self {
        Self { before_mib: mib, most_mib: mib }
    }

    fn see(&mut self, mib: f64) {
        self.most_mib = self.most_mib.max(mib);
    }

    fn grown_mib(&self) -> f64 {
        self.most_mib - self.before_mib
    }
}

/// A service that is started again.
#[derive(Clone, Copy, Debug, Serialize)]
struct Restart {
    /// After an orderly end: until it leads and says so.
    ended_leads_seconds: f64,
    /// After a kill: until it has read everything and stands by, and until it leads.
    killed_ready_seconds: f64,
    killed_leads_seconds: f64,
    resident_mib: f64,
}

impl Restart {
    fn bounds(&self, service: &str) -> [Bound; 3] {
        let most = RESTART.as_secs_f64();
        let bound = |what: &str, measured, most| Bound::most(format!("lists: {service}'s {what}"), measured, most);
        [
            bound("ended_leads_seconds", self.ended_leads_seconds, most),
            bound("killed_ready_seconds", self.killed_ready_seconds, most),
            bound("killed_leads_seconds", self.killed_leads_seconds, most + LEASE.as_secs_f64()),
        ]
    }
}

/// Measures.
pub(super) async fn run(stage: &mut Stage, plan: plan::Listed) -> anyhow::Result<Measured> {
    let standing = Standing::with(stage, plan.nodes, plan.servers).await?;
    let first = whole(stage, plan.servers).await?;
    let again = whole(stage, plan.servers).await?;
    stage.tell("all were listed twice");
    let mut taken = [Taken::none()?, Taken::none()?, Taken::none()?];
    for turn in 0..plan.requests {
        let begun = Instant::now();
        stage.ctx.bus.request(&standing.page(turn)).await?;
        taken[turn % 3].take(begun)?;
    }
    let [by_node, by_site, by_state] = taken.map(|taken| taken.latency());
    // One after another, so that none starts while another is still busy with what it found.
    let mut restarts = BTreeMap::new();
    let scheduler = restart(stage, "scheduler").await?;
    let answers_seconds = scheduler.killed_leads_seconds + standing.known(stage).await?.as_secs_f64();
    restarts.insert("scheduler", scheduler);
    stage.start("network").await?;
    restarts.insert("network", restart(stage, "network").await?);
    stage.start("monitor").await?;
    let _herd = Herd::start(stage, &standing.places, SAMPLES).await?;
    let history_changes = written(stage, plan.servers).await?;
    restarts.insert("monitor", restart(stage, "monitor").await?);
    let listing = Listing {
        nodes: plan.nodes,
        servers: plan.servers,
        by_node,
        by_site,
        by_state,
        first,
        again,
        history_changes,
        restarts,
        answers_seconds,
    };
    Measured::of(&listing, listing.bounds())
}

impl Listing {
    fn bounds(&self) -> Vec<Bound> {
        let mut bounds = vec![
            Bound::most("lists: by_node.p99_ms", self.by_node.p99_ms, 5.0),
            Bound::most("lists: by_site.p99_ms", self.by_site.p99_ms, 5.0),
            Bound::most("lists: by_state.p99_ms", self.by_state.p99_ms, 5.0),
            Bound::least("lists: first.servers_a_second", self.first.servers_a_second, 200_000.0),
            Bound::least("lists: again.servers_a_second", self.again.servers_a_second, 200_000.0),
        ];
        for (which, whole) in [("first", &self.first), ("again", &self.again)] {
            for (whose, memory) in [("scheduler", &whole.scheduler), ("client", &whole.client)] {
                bounds.push(Bound::most(
                    format!("lists: {which}, {whose}'s growth in MiB"),
                    memory.grown_mib(),
                    FLAT_MIB,
                ));
            }
        }
        bounds.extend(self.restarts.iter().flat_map(|(service, restart)| restart.bounds(service)));
        bounds
    }
}

/// Goes through all servers, keeping none.
async fn whole(stage: &Stage, servers: usize) -> anyhow::Result<Whole> {
    let mut scheduler = Memory::before(stage.resident_mib("scheduler")?);
    let mut client = Memory::before(own_resident_mib()?);
    // Without what it takes to look at memory.
    let (mut asking, mut found, mut after) = (Duration::ZERO, 0, None);
    loop {
        let begun = Instant::now();
        let page = stage.ctx.bus.request(&ListVms { after, limit: Some(1_000), ..ListVms::default() }).await?;
        asking += begun.elapsed();
        scheduler.see(stage.resident_mib("scheduler")?);
        client.see(own_resident_mib()?);
        found += page.vms.len();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    ensure!(found == servers, "{found} servers are listed of {servers}");
    #[allow(clippy::cast_precision_loss, reason = "a number of servers")]
    let servers_a_second = found as f64 / asking.as_secs_f64();
    Ok(Whole { servers_a_second, scheduler, client })
}

/// Ends a service in order and starts it, kills it and starts it.
async fn restart(stage: &mut Stage, service: &'static str) -> anyhow::Result<Restart> {
    stage.stop(service).await?;
    let Started { leads: ended, .. } = stage.start(service).await?;
    stage.kill(service).await?;
    let killed = stage.start(service).await?;
    Ok(Restart {
        ended_leads_seconds: ended.as_secs_f64(),
        killed_ready_seconds: killed.ready.as_secs_f64(),
        killed_leads_seconds: killed.leads.as_secs_f64(),
        resident_mib: stage.resident_mib(service)?,
    })
}

/// Waits until the history has all servers; how many changes there are in it. What it lacks after a while is told by that.
async fn written(stage: &Stage, servers: usize) -> anyhow::Result<f64> {
    #[allow(clippy::cast_precision_loss, reason = "a number of servers")]
    let all = servers as f64;
    let begun = Instant::now();
    loop {
        let changes = stage.scrape("monitor").await?.total(WRITTEN);
        if changes >= all || begun.elapsed() > READY {
            stage.tell(format!("the history has {changes} changes"));
            return Ok(changes);
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_rises_during_one_page_has_grown() {
        let mut memory = Memory::before(100.0);
        for mib in [101.0, 180.0, 90.0] {
            memory.see(mib);
        }
        assert_eq!((memory.before_mib, memory.grown_mib()), (100.0, 80.0));
    }

    #[test]
    fn only_who_was_killed_may_wait_for_a_lease() {
        let restart = |ended_leads_seconds, killed_ready_seconds, killed_leads_seconds| {
            let resident_mib = 100.0;
            Restart { ended_leads_seconds, killed_ready_seconds, killed_leads_seconds, resident_mib }
        };
        let kept = |restart: Restart| restart.bounds("network").map(|bound| bound.is_kept());
        assert_eq!(kept(restart(2.0, 2.0, 6.0)), [true, true, true]);
        assert_eq!(kept(restart(2.1, 2.1, 6.1)), [false, false, false]);
    }
}
