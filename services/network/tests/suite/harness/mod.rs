//! A network service on a real NATS server, and somebody who asks it.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{collections::BTreeMap, future::Future, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{runtime::Runtime, task::JoinHandle};
use watari_chassis::{Bus, BusSettings, CallError, Context, config::Common};
use watari_contracts::{
    Request, Service,
    network::{AllocatePort, CreateNetwork, GetNetwork, NetworkView},
};
use watari_model::{ProjectName, Refusal, Timestamp, network::Kind, network::Port, vm};
use watari_network::{Settings, serve};
use watari_testkit::{NatsServer, eventually_some};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// One instance of the service, in a runtime of its own so that it can die as a process does.
pub(crate) struct Running {
    pub(crate) ctx: Context,
    work: JoinHandle<()>,
    runtime: Runtime,
}

impl Running {
    pub(crate) async fn start(nats: &NatsServer, settings: Settings) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let common = common(nats);
        let made = runtime.spawn(async move { Context::new(Service::Network, &common).await.unwrap() });
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

    /// Ends it as a power cut does: whatever it was about to do is not done, and its lease stays.
    pub(crate) fn kill(self) {
        self.runtime.shutdown_background();
    }
}

pub(crate) fn common(nats: &NatsServer) -> Common {
    let mut common = Common::embedded().unwrap();
    common.bus.urls = vec![nats.url()];
    common.lease.ttl_ms = 600;
    common
}

pub(crate) fn settings() -> Settings {
    Settings::embedded().unwrap()
}

pub(crate) async fn somebody(nats: &NatsServer) -> Bus {
    Bus::connect(&BusSettings { urls: vec![nats.url()], ..BusSettings::default() }).await.unwrap()
}

/// Asks until there is an answer: while nobody leads there is none.
pub(crate) async fn ask<R: Request + Clone>(bus: &Bus, request: R) -> Result<R::Reply, Refusal> {
    eventually_some(R::SUBJECT, PATIENCE, || async {
        match bus.request_within(&request, Duration::from_secs(5)).await {
            Ok(reply) => Some(Ok(reply)),
            Err(CallError::Refused(body)) if ["bus.no-answer", "bus.not-primary"].contains(&&*body.code) => None,
            Err(CallError::Refused(body)) => Some(Err(body.refusal)),
            Err(_) => None,
        }
    })
    .await
}

pub(crate) fn lab(range: &str) -> CreateNetwork {
    CreateNetwork {
        request_id: Some("r1".to_owned()),
        name: "campus".parse().unwrap(),
        kind: Kind::Provider,
        cidr: "203.0.113.0/24".to_owned(),
        range: range.to_owned(),
        excluded: Vec::new(),
        gateway: None,
        dns: Vec::new(),
        routes: Vec::new(),
        segment: None,
        vlan: None,
        mtu: None,
        public: false,
        ipv6: None,
    }
}

pub(crate) fn lab_with(gateway: Option<std::net::Ipv4Addr>, range: &str) -> CreateNetwork {
    CreateNetwork { gateway, ..lab(range) }
}

pub(crate) fn wide(cidr: &str, range: &str) -> CreateNetwork {
    CreateNetwork { cidr: cidr.to_owned(), ..lab(range) }
}

pub(crate) fn wants(n: u32) -> AllocatePort {
    let (network, vm) = ("campus".parse().unwrap(), format!("vm{n}").parse().unwrap());
    AllocatePort { network, vm, vm_uuid: format!("uuid-{n}"), address: None }
}

pub(crate) async fn campus(bus: &Bus) -> NetworkView {
    ask(bus, GetNetwork { name: "campus".parse().unwrap() }).await.unwrap()
}

/// A request whose body is any JSON at all.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct AnyCreate(pub(crate) Value);

impl Request for AnyCreate {
    const SUBJECT: &'static str = CreateNetwork::SUBJECT;
    const OWNER: Service = Service::Network;
    const ABOUT: &'static str = "";
    type Reply = NetworkView;
}

/// The document of a server that has this port.
pub(crate) fn server_of(port: &Port, at: Timestamp) -> vm::Vm {
    vm::Vm {
        v: 1,
        name: port.vm.clone(),
        uuid: port.vm_uuid.clone(),
        project: ProjectName::default(),
        spec: vm::Spec {
            vcpus: 1,
            memory_mib: 64,
            disk_gib: 1,
            base: vm::Base {
                image: "mini".parse().unwrap(),
                sha256: "0".repeat(64),
                format: watari_model::image::Format::Raw,
                firmware: Default::default(),
            },
            nics: vec![vm::Nic {
                network: port.network.clone(),
                segment: "campus".parse().unwrap(),
                mac: port.mac.clone(),
                address: port.address,
                fixed: false,
                address6: port.address6,
            }],
            node_labels: BTreeMap::new(),
            groups: Vec::new(),
            firewalls: Vec::new(),
            probes: Vec::new(),
            after: Vec::new(),
            evacuate: vm::Evacuate::Live,
            priority: 0,
            restart: vm::Restart::Always,
            on_isolation: watari_model::isolation::OnIsolation::Keep,
            restart_from_copy_seconds: None,
            max_downtime_seconds: None,
            display: false,
            first_boot: watari_model::vm::FirstBoot::default(),
        },
        desired: vm::Desired::Running,
        force_off: false,
        keep_disk: false,
        booted: false,
        home_site: "myodaiji".parse().unwrap(),
        state: vm::State::Pending,
        grant: None,
        crossing: None,
        leftovers: Vec::new(),
        fault: None,
        pending: None,
        reboots: vm::Reboots::default(),
        preseed: None,
        snapshots: watari_model::vm::Snapshots::default(),
        halt: None,
        guarded: None,
        unseen: None,
        restored: None,
        migrations: 0,
        requests: Vec::new(),
        created_at: at,
        changed_at: at,
    }
}

pub(crate) async fn together<T: Send + 'static>(
    work: impl Iterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let tasks: Vec<_> = work.map(tokio::spawn).collect();
    let mut done = Vec::new();
    for task in tasks {
        done.push(task.await.unwrap());
    }
    done
}
