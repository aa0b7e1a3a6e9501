//! `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS`: who is there, what it answers, and how it fares.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::service::{Info, PingResponse, Stats, endpoint, error};
use futures_util::{StreamExt, stream::select_all};
use serde::Serialize;
use time::OffsetDateTime;
use tokio::task::spawn_blocking;
use watari_contracts::Service;

use super::{endpoint::Endpoint, reply};
use crate::{BusError, Context, bus, clock, run::chain};

/// Several instances of a service share its requests under this name, the API's default.
pub(super) const QUEUE: &str = "q";

/// How one request ended, for the statistics.
pub(super) struct Ended {
    pub(super) took: Duration,
    pub(super) error: Option<error::Error>,
}

pub(super) struct Registry {
    name: String,
    id: String,
    about: String,
    metadata: HashMap<String, String>,
    started: OffsetDateTime,
    /// By subject. Statistics of endpoints that are not served just now are kept.
    endpoints: Mutex<BTreeMap<String, Listed>>,
}

struct Listed {
    served: bool,
    endpoint: Arc<Endpoint>,
    stats: endpoint::Stats,
}

impl Registry {
    pub(super) fn new(service: Service, ctx: &Context) -> Self {
        Self {
            name: format!("watari-{}", service.name()),
            id: bus::unique(),
            about: format!("Watari's {}", service.name()),
            metadata: HashMap::from([("instance".to_owned(), ctx.instance.to_string())]),
            started: clock::now().0,
            endpoints: Mutex::default(),
        }
    }

    fn with<A>(&self, f: impl FnOnce(&mut BTreeMap<String, Listed>) -> A) -> A {
        f(&mut self.endpoints.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn add(&self, endpoint: &Arc<Endpoint>) {
        let stats = endpoint::Stats {
            name: endpoint.name.clone(),
            subject: endpoint.subject.clone(),
            queue_group: QUEUE.to_owned(),
            ..endpoint::Stats::default()
        };
        self.with(|all| {
            let endpoint = Arc::clone(endpoint);
            let listed = all.entry(endpoint.subject.clone()).or_insert(Listed { served: true, endpoint, stats });
            listed.served = true;
        });
    }

    /// None is served any more.
    pub(super) fn clear(&self) {
        self.with(|all| all.values_mut().for_each(|listed| listed.served = false));
    }

    pub(super) fn ended(&self, subject: &str, ended: Ended) {
        self.with(|all| {
            let Some(stats) = all.get_mut(subject).map(|listed| &mut listed.stats) else { return };
            stats.requests += 1;
            stats.processing_time += ended.took;
            let mean = stats.processing_time.as_nanos() / stats.requests as u128;
            stats.average_processing_time = Duration::from_nanos(u64::try_from(mean).unwrap_or(u64::MAX));
            if let Some(error) = ended.error {
                stats.errors += 1;
                stats.last_error = Some(error);
            }
        });
    }

    fn ping(&self) -> PingResponse {
        PingResponse {
            kind: "io.nats.micro.v1.ping_response".to_owned(),
            name: self.name.clone(),
            id: self.id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            metadata: self.metadata.clone(),
        }
    }

    fn info(&self) -> Info {
        // Whoever is answered meanwhile is counted, and does not wait for schemas.
        let served: Vec<Arc<Endpoint>> =
            self.with(|all| all.values().filter(|l| l.served).map(|l| Arc::clone(&l.endpoint)).collect());
        let endpoints = served.iter().map(|endpoint| endpoint::Info {
            name: endpoint.name.clone(),
            subject: endpoint.subject.clone(),
            queue_group: QUEUE.to_owned(),
            metadata: endpoint.metadata(),
        });
        Info {
            kind: "io.nats.micro.v1.info_response".to_owned(),
            name: self.name.clone(),
            id: self.id.clone(),
            description: self.about.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            metadata: self.metadata.clone(),
            endpoints: endpoints.collect(),
        }
    }

    fn stats(&self) -> Stats {
        Stats {
            kind: "io.nats.micro.v1.stats_response".to_owned(),
            name: self.name.clone(),
            id: self.id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: self.started,
            endpoints: self.with(|all| all.values().filter(|l| l.served).map(|l| l.stats.clone()).collect()),
        }
    }

    fn answer(&self, verb: &str) -> Option<Vec<u8>> {
        fn json(value: &impl Serialize) -> Option<Vec<u8>> {
            serde_json::to_vec(value).ok()
        }
        match verb {
            "PING" => json(&self.ping()),
            "INFO" => json(&self.info()),
            "STATS" => json(&self.stats()),
            _ => None,
        }
    }
}

/// Answers `$SRV` for as long as the process runs.
pub(super) async fn answer(ctx: &Context, registry: Arc<Registry>) -> Result<(), BusError> {
    let mut subscriptions = Vec::new();
    for verb in ["PING", "INFO", "STATS"] {
        let Registry { name, id, .. } = &*registry;
        for subject in [format!("$SRV.{verb}"), format!("$SRV.{verb}.{name}"), format!("$SRV.{verb}.{name}.{id}")] {
            let subscribed = ctx.bus.client().subscribe(subject.clone()).await;
            subscriptions.push(subscribed.map_err(|e| BusError::NotSubscribed { subject, detail: chain(&e) })?);
        }
    }
    let mut asked = select_all(subscriptions);
    let (client, counts, shutdown) = (ctx.bus.client().clone(), ctx.counts().clone(), ctx.shutdown.clone());
    ctx.spawn("registry", async move {
        loop {
            let message = tokio::select! {
                message = asked.next() => message,
                () = shutdown.cancelled() => None,
            };
            let Some(message) = message else { return };
            let Some(reply) = message.reply else { continue };
            if !reply::is_inbox(&reply) {
                counts.evil_replies.inc();
                tracing::warn!(subject = %message.subject, reply = %reply, "not answered, since the reply subject is no inbox");
                continue;
            }
            let (registry, subject) = (Arc::clone(&registry), message.subject);
            // Schemas take longer than whoever answers requests beside this may be held up.
            let written =
                spawn_blocking(move || registry.answer(subject.split('.').nth(1).unwrap_or_default())).await;
            if let Ok(Some(json)) = written
                && let Err(error) = client.publish(reply, json.into()).await
            {
                tracing::debug!(%error, "not answered");
            }
        }
    });
    Ok(())
}
