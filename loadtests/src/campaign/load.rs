//! A steady load of requests that write, and what of it is there afterwards.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{anyhow, ensure};
use tokio::sync::watch;
use watari_chassis::Bus;
use watari_contracts::{
    Service,
    scheduler::{AddKey, DeleteKey, ListKeys},
};
use watari_model::KeyName;

use super::HEALING;
use crate::{
    lab::Lab,
    requests::{self, Waits},
};

/// Between two requests.
const EVERY: Duration = Duration::from_millis(100);
/// How long looking for what was made, and clearing it away, may take for each question.
const LOOKING: Duration = Duration::from_secs(10);
/// How often what was made is looked for.
const LOOKS: usize = 3;
/// What is written: the cheapest document that a request makes. Nothing runs by it.
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMxdAgfcDWihODsMd0E+dEcsAxR7LJqwDhyGhI6p5rCh load@example.jp";

/// A client that writes.
pub(super) struct Load {
    stop: watch::Sender<bool>,
    acknowledged: Arc<AtomicUsize>,
    client: JoinHandle<anyhow::Result<Wrote>>,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Wrote {
    /// How many requests were acknowledged.
    pub(super) acknowledged: usize,
    /// How they were answered.
    pub(super) waits: Waits,
    /// How the service answered that was asked beside each, if one was.
    pub(super) beside: Waits,
    /// What was acknowledged and is not there.
    pub(super) lost: Vec<String>,
}

impl Load {
    /// Begins to write, under names that begin with `run`. If a service is given, it is asked beside each write. A write
    /// counts when both are answered, so that none does while that service is silent.
    pub(super) fn start(lab: &Lab, run: &str, beside: Option<Service>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let (counter, run) = (Arc::clone(&acknowledged), run.to_owned());
        let client = requests::at_client(lab, async move |bus| write(&bus, &run, beside, &counter, stopped).await);
        Self { stop, acknowledged, client }
    }

    /// How many requests have been acknowledged so far.
    fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until so many more requests are acknowledged.
    pub(super) fn until_answered(&self, more: usize) -> anyhow::Result<()> {
        let (wanted, deadline) = (self.acknowledged() + more, Instant::now() + HEALING);
        while self.acknowledged() < wanted {
            ensure!(!self.client.is_finished(), "the client has ended");
            ensure!(Instant::now() < deadline, "requests were not answered within {} s", HEALING.as_secs());
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Ends it, and looks for everything that was acknowledged.
    pub(super) fn end(self) -> anyhow::Result<Wrote> {
        let _ = self.stop.send(true);
        self.client.join().map_err(|_| anyhow!("the client panicked"))?
    }
}

async fn write(
    bus: &Bus,
    run: &str,
    beside: Option<Service>,
    acknowledged: &AtomicUsize,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<Wrote> {
    let (mut waits, mut waits_beside) = (Waits::default(), Waits::default());
    let (mut there, mut unsure) = (Vec::new(), Vec::new());
    while !*stop.borrow() {
        let name: KeyName = format!("load-{run}-{}", waits.requests).parse()?;
        let add = AddKey { request_id: Some(name.to_string()), name: name.clone(), public_key: KEY.to_owned() };
        let asking = async {
            if let Some(service) = beside {
                waits_beside.ask_service(bus, service).await;
            }
        };
        let (added, ()) = tokio::join!(waits.ask(bus, &add), asking);
        if added {
            acknowledged.fetch_add(1, Ordering::Relaxed);
            there.push(name);
        } else {
            unsure.push(name);
        }
        tokio::time::sleep(EVERY).await;
    }
    let lost = missing(bus, &there).await?;
    let acknowledged = there.len();
    // What is left is told by its name, and is no harm.
    for name in there.into_iter().chain(unsure) {
        let _ = bus.request_patiently(&DeleteKey { name }, LOOKING).await;
    }
    Ok(Wrote { acknowledged, waits, beside: waits_beside, lost })
}

/// What is not listed. A service that has just begun to lead may still be answered for by the one before.
async fn missing(bus: &Bus, wanted: &[KeyName]) -> anyhow::Result<Vec<String>> {
    let mut lost = Vec::new();
    for _ in 0..LOOKS {
        let there = listed(bus).await?;
        lost = wanted.iter().filter(|name| !there.contains(*name)).map(ToString::to_string).collect();
        if lost.is_empty() {
            break;
        }
        tokio::time::sleep(EVERY).await;
    }
    Ok(lost)
}

async fn listed(bus: &Bus) -> anyhow::Result<BTreeSet<KeyName>> {
    let (mut there, mut after) = (BTreeSet::new(), None);
    loop {
        let page = bus.request_patiently(&ListKeys { after, limit: None }, LOOKING).await?;
        there.extend(page.keys.into_iter().map(|key| key.name));
        after = page.next;
        if after.is_none() {
            return Ok(there);
        }
    }
}
