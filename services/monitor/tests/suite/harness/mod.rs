//! A monitor on a real NATS server with a real SQLite file, agents that only say what they are
//! told to, and somebody who asks.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{runtime::Runtime, task::JoinHandle};
use watari_chassis::{Bus, BusSettings, CallError, Context, Server, clock, codec, config::Common};
use watari_contracts::{
    Request, Service,
    agent::TakeInventory,
    beat::{Beat, Sample, VERSION},
    monitor::{Event, GetNode, ListEvents, NodeView},
    subjects,
};
use watari_model::{
    NodeName, Refusal, SiteName,
    node::{Health, Inventory, Protection, State, Virtualisation},
};
use watari_monitor::{Settings, serve};
use watari_testkit::{NatsServer, eventually, eventually_some};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// One instance of the monitor, in a runtime of its own so that it can die as a process does.
pub(crate) struct Running {
    pub(crate) ctx: Context,
    work: JoinHandle<()>,
    runtime: Runtime,
}

impl Running {
    pub(crate) async fn start(nats: &NatsServer, settings: Settings) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let common = common(nats);
        let made = runtime.spawn(async move { Context::new(Service::Monitor, &common).await.unwrap() });
        let ctx = made.await.unwrap();
        let work = runtime.spawn({
            let ctx = ctx.clone();
            async move { serve(ctx, settings).await.unwrap() }
        });
        Self { ctx, work, runtime }
    }

    /// Ends it as SIGTERM does.
    pub(crate) async fn stop(self) {
        self.ctx.shutdown.cancel();
        self.work.await.unwrap();
        let _ = self.ctx.drain().await;
        self.runtime.shutdown_background();
    }

    /// Ends it as a power cut does: its lease stays.
    pub(crate) fn kill(self) {
        self.runtime.shutdown_background();
    }

    /// The sum of a metric over all its labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let families = self.ctx.metrics.gather();
        let family = families.iter().find(|f| f.name() == name);
        let value =
            |m: &watari_chassis::prometheus::proto::Metric| m.get_counter().get_value() + m.get_gauge().get_value();
        family.map_or(0.0, |f| f.get_metric().iter().map(value).sum())
    }
}

pub(crate) fn common(nats: &NatsServer) -> Common {
    let mut common = Common::embedded().unwrap();
    common.bus.urls = vec![nats.url()];
    common.lease.ttl_ms = 600;
    common
}

/// Short limits, but long enough for a busy machine's beats.
pub(crate) fn settings(folder: &Path) -> Settings {
    let mut settings = Settings::embedded().unwrap();
    settings.nodes.suspect_after_ms = 1_000;
    settings.nodes.lost_after_ms = 2_500;
    settings.nodes.look_ms = 50;
    settings.history.path = folder.join("history.db");
    settings.history.retry_seconds = 1;
    settings
}

pub(crate) async fn somebody(nats: &NatsServer) -> Bus {
    Bus::connect(&BusSettings { urls: vec![nats.url()], ..BusSettings::default() }).await.unwrap()
}

/// Asks until there is an answer: while nobody leads there is none.
pub(crate) async fn ask<R: Request + Clone>(bus: &Bus, request: R) -> Result<R::Reply, Refusal> {
    eventually_some(R::SUBJECT, PATIENCE, || async {
        match bus.request_within(&request, Duration::from_secs(5)).await {
            Ok(reply) => Some(Ok(reply)),
            Err(CallError::Refused(body)) if body.code == "bus.not-primary" => None,
            Err(CallError::Refused(body)) => Some(Err(body.refusal)),
            Err(_) => None,
        }
    })
    .await
}

pub(crate) async fn node(bus: &Bus, name: &str) -> Option<NodeView> {
    ask(bus, GetNode { name: name.parse().unwrap() }).await.ok()
}

/// Waits until the node is in this state.
pub(crate) async fn becomes(bus: &Bus, name: &str, state: State) {
    let what = format!("{name} becomes {}", state.word());
    eventually(&what, PATIENCE, || async { node(bus, name).await.is_some_and(|n| n.state == state) }).await;
}

pub(crate) async fn events(bus: &Bus, bucket: &str) -> Vec<Event> {
    let request = ListEvents { bucket: Some(bucket.to_owned()), limit: Some(1_000), ..ListEvents::default() };
    // The history is opened beside everything else.
    eventually_some("the history is there", PATIENCE, || async { ask(bus, request.clone()).await.ok() }).await.events
}

/// What the history says of a bucket, line by line, once it says `last`.
pub(crate) async fn told(bus: &Bus, bucket: &str, last: &str) -> Vec<String> {
    let lines = || async {
        let lines: Vec<String> = events(bus, bucket).await.into_iter().map(|e| e.summary).collect();
        lines.last().is_some_and(|line| line == last).then_some(lines)
    };
    eventually_some(last, PATIENCE, lines).await
}

/// A node's agent, as far as the monitor hears it.
pub(crate) struct Agent {
    pub(crate) ctx: Context,
    pub(crate) site: SiteName,
    pub(crate) node: NodeName,
    pub(crate) speaks: Arc<AtomicBool>,
    pub(crate) answers: Arc<AtomicBool>,
    pub(crate) memory_used_mib: Arc<AtomicU64>,
}

impl Agent {
    /// Begins to beat ten times a second, and answers when its inventory is wanted.
    pub(crate) async fn start(nats: &NatsServer, site: &str, node: &str) -> Self {
        let ctx = Context::new(Service::NodeAgent, &common(nats)).await.unwrap();
        let agent = Self {
            ctx: ctx.clone(),
            site: site.parse().unwrap(),
            node: node.parse().unwrap(),
            speaks: Arc::new(AtomicBool::new(true)),
            answers: Arc::new(AtomicBool::new(true)),
            memory_used_mib: Arc::new(AtomicU64::new(512)),
        };
        let server = Server::new(&ctx, Service::NodeAgent)
            .commands(&agent.node)
            .command::<TakeInventory, _, _>(|_, _| async { Ok(inventory()) })
            .done();
        tokio::spawn(async move { server.serve_always().await.unwrap() });
        agent.beat_on();
        agent
    }

    fn beat_on(&self) {
        let (speaks, answers, used) = (self.speaks.clone(), self.answers.clone(), self.memory_used_mib.clone());
        let (ctx, subject) = (self.ctx.clone(), subjects::beat(&self.site, &self.node));
        let mut beat = beat(self.site.as_str(), self.node.as_str());
        tokio::spawn(async move {
            let mut every = tokio::time::interval(Duration::from_millis(100));
            loop {
                every.tick().await;
                beat.seq += 1;
                beat.hypervisor_answers = answers.load(Ordering::Relaxed);
                beat.memory_used_mib = used.load(Ordering::Relaxed);
                if speaks.load(Ordering::Relaxed) {
                    let _ = ctx.bus.publish_beat(&subject, codec::encode(VERSION, &beat).unwrap()).await;
                }
            }
        });
    }

    pub(crate) fn speak(&self, speaks: bool) {
        self.speaks.store(speaks, Ordering::Relaxed);
    }
}

pub(crate) fn beat(site: &str, node: &str) -> Beat {
    let sample = Sample {
        vm: "mail".to_owned(),
        cpu_ns: 1,
        rss_mib: 200,
        disk_read: 0,
        disk_written: 0,
        net_received: 0,
        net_sent: 0,
    };
    Beat {
        node: node.to_owned(),
        site: site.to_owned(),
        seq: 0,
        instance: clock::boot_millis(),
        at_ms: u64::try_from(clock::now().0.unix_timestamp()).unwrap() * 1000,
        hypervisor_answers: true,
        vcpus_used: 2,
        memory_used_mib: 512,
        disk_free_gib: 90,
        load_centi: 12,
        servers: vec![sample],
    }
}

pub(crate) fn inventory() -> Inventory {
    Inventory {
        vcpus: 8,
        memory_mib: 16_384,
        disk_gib: 100,
        cpu_model: "EPYC-Rome".to_owned(),
        cpu_features: vec!["aes".to_owned()],
        libvirt: "11.3.0".to_owned(),
        qemu: "10.0.2".to_owned(),
        agent: "0.1.0".to_owned(),
        virtualisation: Virtualisation::Qemu,
        migration_address: "192.0.2.11".to_owned(),
        segments: BTreeMap::from([("campus".parse().unwrap(), "br0".to_owned())]),
        segment_mtus: BTreeMap::new(),
        vlans: None,
        protection: Protection::default(),
        labels: BTreeMap::new(),
        tunnel: None,
        health: Some(Health { fsync_ms: Some(3), ..Health::default() }),
        host: watari_model::node::Host::default(),
        images: Default::default(),
        disks: Default::default(),
        weights: Default::default(),
        carried: Default::default(),
    }
}
