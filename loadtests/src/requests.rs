//! Asking the services as patient clients do, and noticing how long that takes.

use std::{
    path::{Path, PathBuf},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use watari_chassis::{Bus, BusSettings, CallError, Listening, clock};
use watari_contracts::{
    Request, Service, image::ListImages, monitor::ListNodes, network::ListNetworks, scheduler::ListSites,
};

use crate::lab::Lab;

/// One try. A service answers within a few milliseconds, or not at all.
const ONE_TRY: Duration = Duration::from_millis(250);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(25);
/// Who waits longer than this says so, with the moment and what came of each try.
const TOLD: Duration = Duration::from_millis(200);
/// Who waits longer gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came of the requests. The field names are stable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waits {
    /// Asked.
    pub requests: u64,
    /// Not answered, however patiently.
    pub failed: u64,
    /// The longest time from asking to the answer, all tries together.
    pub longest_ms: u64,
    /// Requests that needed more than one try.
    pub repeated: u64,
}

/// What came of the tries that brought no answer.
#[derive(Default)]
struct Faults {
    /// Nobody listened: between two leaders.
    unheard: u32,
    /// No answer within the try's time.
    silent: u32,
    /// Somebody answered that it cannot, as one that leads no more.
    refused: u32,
    /// The connection broke, or was not there.
    broken: u32,
}

impl Faults {
    fn note(&mut self, error: &CallError) {
        let count = match error {
            CallError::NoAnswer { listening: Listening::Nobody, .. } => &mut self.unheard,
            CallError::NoAnswer { listening: Listening::Perhaps, .. } => &mut self.silent,
            CallError::Refused(_) => &mut self.refused,
            CallError::Bus { .. } => &mut self.broken,
        };
        *count += 1;
    }
}

#[derive(Deserialize)]
struct Settings {
    nats: Vec<String>,
    nkey: PathBuf,
    ca: PathBuf,
}

/// Connects as the operator of a client host does, whose settings are in `file`. `place` says where
/// a file of that host is, for whoever looks from outside.
///
/// # Errors
/// When they cannot be read or nobody is there.
pub async fn connect(file: &Path, place: impl Fn(PathBuf) -> PathBuf) -> anyhow::Result<Bus> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let Settings { nats, nkey, ca } = toml::from_str(&text)?;
    let (nkey, ca) = (place(nkey), place(ca));
    let settings = BusSettings { urls: nats, nkey: Some(nkey), ca: Some(ca), ..BusSettings::default() };
    Ok(Bus::connect(&settings).await?)
}

/// Asks one service after the other until `stop`.
pub async fn keep_asking(bus: Bus, every: Duration, mut stop: watch::Receiver<bool>) -> Waits {
    let mut waits = Waits::default();
    let mut pace = tokio::time::interval(every);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for service in Service::OF_FRONT.into_iter().cycle() {
        tokio::select! {
            _ = pace.tick() => {}
            _ = stop.wait_for(|stop| *stop) => break,
        }
        waits.ask_service(&bus, service).await;
    }
    waits
}

/// Does `work` with an operator's connection from the lab's client, in a thread of its own.
pub fn at_client<T: Send + 'static>(
    lab: &Lab,
    work: impl AsyncFnOnce(Bus) -> anyhow::Result<T> + Send + 'static,
) -> JoinHandle<anyhow::Result<T>> {
    let lab = lab.clone();
    thread::spawn(move || {
        lab.enter_network("client")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let file = lab.file("client", "/etc/watari/cli.toml");
            let place = |path: PathBuf| lab.file("client", &path.display().to_string());
            work(connect(&file, place).await?).await
        })
    })
}

impl Waits {
    /// Both together.
    #[must_use]
    pub(crate) fn with(self, more: Self) -> Self {
        Self {
            requests: self.requests + more.requests,
            failed: self.failed + more.failed,
            longest_ms: self.longest_ms.max(more.longest_ms),
            repeated: self.repeated + more.repeated,
        }
    }

    /// Asks a service for what it lists, as [`Self::ask`] does. Only its leader answers.
    pub async fn ask_service(&mut self, bus: &Bus, service: Service) -> bool {
        match service {
            Service::Scheduler => self.ask(bus, &ListSites {}).await,
            Service::Image => self.ask(bus, &ListImages {}).await,
            Service::Network => self.ask(bus, &ListNetworks {}).await,
            Service::Monitor => self.ask(bus, &ListNodes::default()).await,
            // Agents are ordered, not asked, and none leads.
            Service::NodeAgent => false,
        }
    }

    /// Asks until there is an answer; whether there was one.
    pub async fn ask<R: Request>(&mut self, bus: &Bus, request: &R) -> bool {
        let begun = Instant::now();
        let (began, mut tries, mut faults) = (clock::now(), 0_u64, Faults::default());
        self.requests += 1;
        let answered = loop {
            tries += 1;
            let mut connected = bus.connected();
            let answer = tokio::select! {
                answer = bus.request_within(request, ONE_TRY) => match answer {
                    Ok(_) => true,
                    Err(error) => {
                        faults.note(&error);
                        false
                    }
                },
                // What was asked over a connection that broke is asked again over the next.
                _ = connected.wait_for(|up| !*up) => {
                    faults.broken += 1;
                    false
                }
            };
            if answer || begun.elapsed() > PATIENCE {
                break answer;
            }
            tokio::time::sleep(PAUSE).await;
        };
        self.failed += u64::from(!answered);
        self.repeated += u64::from(tries > 1);
        let waited = begun.elapsed();
        if waited > TOLD {
            let (subject, began, ended) = (R::SUBJECT, began.0.time(), clock::now().0.time());
            let (waited, Faults { unheard, silent, refused, broken }) = (waited.as_millis(), faults);
            eprintln!(
                "{subject} waited {waited} ms, from {began} to {ended} UTC: {tries} tries, {unheard} heard by nobody, \
                 {silent} not answered, {refused} refused, {broken} over a broken connection"
            );
        }
        let took = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        if took > self.longest_ms {
            self.longest_ms = took;
        }
        answered
    }
}
