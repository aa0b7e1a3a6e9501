//! Servers are made as fast as they come to run: asked for, given addresses, placed, started by agents that do so at
//! once, and written down as running. Scheduler, network service and monitor are the real ones, and every write is on the
//! disk before it is acknowledged.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use anyhow::{Context as _, ensure};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::{Semaphore, mpsc};
use watari_chassis::{Bus, Messages, Mirror};
use watari_contracts::scheduler::CreateVm;
use watari_model::{
    node::{Node, State as NodeState},
    vm::State,
};

use super::{
    Measured,
    agents::Agents,
    beats::{count, until},
    documents::{places, store_ground},
    herd::Herd,
    plan,
    stage::{READY, Stage, of_services, since},
};
use crate::bench::{
    Bound,
    latency::{Latency, Taken},
};

/// Samples in each beat of a node.
const SAMPLES: usize = 10;

#[derive(Clone, Debug, Serialize)]
struct Created {
    nodes: usize,
    servers: usize,
    networks: usize,
    at_once: usize,
    refused: usize,
    a_second: f64,
    /// Until the request was answered.
    accepted: Latency,
    /// Until the server was written down as running.
    running: Latency,
    /// Processor time a server, beats and facts included, of all services together.
    cpu_ms_each: f64,
    /// The same of each program.
    cpu_ms_each_by_program: BTreeMap<&'static str, f64>,
}

/// What an event says of a server, as far as it matters here.
#[derive(Deserialize)]
pub(super) struct Told {
    name: String,
    pub(super) state: State,
}

/// When each server was asked for that does not run yet.
type Asked = Arc<Mutex<HashMap<String, Instant>>>;

/// Measures.
pub(super) async fn run(stage: &mut Stage, plan: plan::Creations) -> anyhow::Result<Measured> {
    let networks = plan.servers.div_ceil(plan.on_a_network);
    store_ground(&stage.ctx, networks).await?;
    let places = places(plan.nodes)?;
    stage.start("monitor").await?;
    let _agents = Agents::start(stage, &places).await?;
    let _herd = Herd::start(stage, &places, SAMPLES).await?;
    stage.start("network").await?;
    stage.start("scheduler").await?;
    let nodes = Mirror::<Node>::of_another(&stage.ctx).await?;
    until("all nodes are ready", || count(&nodes, NodeState::Ready) == plan.nodes).await?;
    stage.tell(format!("all nodes are ready; {} servers are made", plan.servers));

    let (asking, hearing) = (stage.bus().await?, stage.bus().await?);
    let events = hearing.subscribe("watari.event.vms.>").await?;
    let (before, begun) = (stage.cpu()?, Instant::now());
    let made = create(&asking, events, plan, networks).await?;
    let (elapsed, used) = (begun.elapsed(), since(&before, &stage.cpu()?));
    ensure!(made.refused < plan.servers, "every creation was refused: {}", made.why.unwrap_or_default());
    #[allow(clippy::cast_precision_loss, reason = "a number of servers")]
    let running = (plan.servers - made.refused) as f64;
    let created = Created {
        nodes: plan.nodes,
        servers: plan.servers,
        networks,
        at_once: plan.at_once,
        refused: made.refused,
        a_second: running / elapsed.as_secs_f64(),
        accepted: made.accepted.latency(),
        running: made.running.latency(),
        cpu_ms_each: of_services(&used) * 1_000.0 / running,
        cpu_ms_each_by_program: used.iter().map(|(program, used)| (*program, used * 1_000.0 / running)).collect(),
    };
    if let Some(why) = made.why {
        eprintln!("creations were refused, such as: {why}");
    }
    Measured::of(&created, created.bounds())
}

impl Created {
    fn bounds(&self) -> Vec<Bound> {
        #[allow(clippy::cast_precision_loss, reason = "a number of servers")]
        let refused = self.refused as f64;
        vec![
            Bound::least("creations: a_second", self.a_second, 500.0),
            Bound::most("creations: cpu_ms_each", self.cpu_ms_each, 2.0),
            Bound::most("creations: refused", refused, 0.0),
        ]
    }
}

/// What came of the requests.
struct Made {
    accepted: Taken,
    running: Taken,
    refused: usize,
    /// Why the last of those that were refused was.
    why: Option<String>,
}

/// What became of one request.
enum Answered {
    Accepted(Instant),
    Refused(String),
}

async fn create(bus: &Bus, mut events: Messages, plan: plan::Creations, networks: usize) -> anyhow::Result<Made> {
    let (asked, places) = (Asked::default(), Arc::new(Semaphore::new(plan.at_once)));
    let (tell, mut answers) = mpsc::unbounded_channel();
    let requests = (0..plan.servers).map(|number| request(number, networks)).collect::<anyhow::Result<Vec<_>>>()?;
    let asking = tokio::spawn(ask_all(bus.clone(), requests, Arc::clone(&asked), Arc::clone(&places), tell));
    let mut made = Made { accepted: Taken::none()?, running: Taken::none()?, refused: 0, why: None };
    let (mut runs, mut open) = (0, true);
    while runs + made.refused < plan.servers || open {
        let next = async {
            tokio::select! {
                answer = answers.recv(), if open => Next::Answer(answer),
                event = events.next() => Next::Event(event.map(|event| event.payload.to_vec())),
            }
        };
        match tokio::time::timeout(READY, next).await.context("no server comes to run any more")? {
            Next::Answer(Some(Answered::Accepted(begun))) => made.accepted.take(begun)?,
            Next::Answer(Some(Answered::Refused(why))) => {
                made.refused += 1;
                made.why = Some(why);
                places.add_permits(1);
            }
            Next::Answer(None) => open = false,
            Next::Event(event) => {
                let told: Told = serde_json::from_slice(&event.context("the events ended")?)?;
                let begun = if told.state == State::Running { take(&asked, &told.name) } else { None };
                if let Some(begun) = begun {
                    made.running.take(begun)?;
                    runs += 1;
                    places.add_permits(1);
                }
            }
        }
    }
    asking.await??;
    Ok(made)
}

/// What is heard next: of a request, or of a document.
enum Next {
    Answer(Option<Answered>),
    Event(Option<Vec<u8>>),
}

fn take(asked: &Asked, name: &str) -> Option<Instant> {
    asked.lock().unwrap_or_else(PoisonError::into_inner).remove(name)
}

/// Asks for all servers, each when there is a place for it among those that do not run yet.
async fn ask_all(
    bus: Bus,
    requests: Vec<CreateVm>,
    asked: Asked,
    places: Arc<Semaphore>,
    tell: mpsc::UnboundedSender<Answered>,
) -> anyhow::Result<()> {
    for request in requests {
        // It is free again when the server runs, or was refused.
        places.acquire().await?.forget();
        let (bus, asked, tell) = (bus.clone(), Arc::clone(&asked), tell.clone());
        tokio::spawn(async move {
            let (name, begun) = (request.name.to_string(), Instant::now());
            asked.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), begun);
            let answer = match bus.request_within(&request, READY).await {
                Ok(_) => Answered::Accepted(begun),
                // One that runs all the same was counted as running, not as refused.
                Err(error) if take(&asked, &name).is_some() => Answered::Refused(error.to_string()),
                Err(_) => return,
            };
            // Whoever counts them has given up.
            let _ = tell.send(answer);
        });
    }
    Ok(())
}

/// A server as a person makes one who leaves the campus to the scheduler.
fn request(number: usize, networks: usize) -> anyhow::Result<CreateVm> {
    Ok(serde_json::from_value(json!({
        "request_id": format!("fleet-{number}"),
        "name": format!("server-{number:06}"),
        "image": "mini",
        "networks": [{"network": format!("net-{}", number % networks)}],
        "disk_gib": 2,
    }))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_that_are_asked_for_differ_in_name_and_network() {
        let (one, other) = (request(0, 4).unwrap(), request(5, 4).unwrap());
        assert_ne!(one.name, other.name);
        assert_eq!(other.networks[0].network.as_str(), "net-1");
        assert!(one.start && one.site.is_none());
    }

    #[test]
    fn what_an_event_says_of_a_server_is_read_from_its_document() {
        let samples = include_str!("../../../../shared/contracts/tests/golden/document.vms.json");
        let told: Vec<Told> = serde_json::from_str(samples).unwrap();
        assert_eq!((told[0].name.as_str(), told[0].state), ("mail", State::Migrating));
    }
}
