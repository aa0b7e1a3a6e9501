//! A steady load of requests that write, and what of it is there afterwards.

mod made;

use std::{
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
use watari_contracts::Service;

use self::made::{Kind, Made};
use super::HEALING;
use crate::{
    lab::Lab,
    requests::{self, Waits},
};

/// Between two requests.
const EVERY: Duration = Duration::from_millis(100);
/// How often what was made is looked for.
const LOOKS: usize = 3;

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
    /// How they were answered, but for those to the service of `beside`.
    pub(super) waits: Waits,
    /// How the service answered that was asked beside each, if one was: all that was asked of it.
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
    let (mut others, mut own, mut lists) = (Waits::default(), Waits::default(), Waits::default());
    let (mut made, mut number) = (Made::default(), 0);
    while !*stop.borrow() {
        let (kind, name) = (Kind::of(number), format!("load-{run}-{number}"));
        let waits = if beside == Some(kind.service()) { &mut own } else { &mut others };
        let asking = async {
            if let Some(service) = beside {
                lists.ask_service(bus, service).await;
            }
        };
        let (answered, ()) = tokio::join!(made.ask(bus, kind, &name, waits), asking);
        acknowledged.fetch_add(usize::from(answered?), Ordering::Relaxed);
        number += 1;
        tokio::time::sleep(EVERY).await;
    }
    let lost = lost(bus, &made).await?;
    let acknowledged = made.acknowledged();
    made.clear(bus).await;
    Ok(Wrote { acknowledged, waits: others, beside: lists.with(own), lost })
}

/// What is not there. A service that has just begun to lead may still be answered for by the one before.
async fn lost(bus: &Bus, made: &Made) -> anyhow::Result<Vec<String>> {
    let mut lost = Vec::new();
    for _ in 0..LOOKS {
        lost = made.lost(bus).await?;
        if lost.is_empty() {
            break;
        }
        tokio::time::sleep(EVERY).await;
    }
    Ok(lost)
}
