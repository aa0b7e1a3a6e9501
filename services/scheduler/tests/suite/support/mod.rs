//! A whole cloud on a test's bus: the real scheduler, simulated agents, and stand-ins for the
//! services that own what the scheduler reads.

#![allow(missing_docs, unreachable_pub, reason = "its items are for the other files of this program")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by unwrapping")]

pub mod fleet;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use watari_chassis::{Bucket, Context, Mirror, Server, clock, config::Common};
use watari_contracts::{
    Request, Service,
    network::{AllocatePort, Allocated, ReleasePorts, Released},
    scheduler::{CreateVm, GetVm, VmView},
};
use watari_model::{
    Refusal,
    firewall::Firewall,
    image::{Format, Image, State as ImageState, Stored},
    network::{Kind, Network, Port, Range},
    node::{self, Inventory, Node, Protection, Virtualisation},
    vm::State,
};
use watari_scheduler::{DEFAULTS, Settings};
use watari_testkit::{NatsServer, eventually_some};

use fleet::Fleet;

/// Longer than anything in these tests takes, even on a loaded machine.
pub const SOON: Duration = Duration::from_secs(60);

/// Everything of one test.
pub struct Cloud {
    pub nats: NatsServer,
    /// A client, and the owner of what others own.
    pub ctx: Context,
    pub fleet: Fleet,
    pub nodes: Mirror<Node>,
    pub ports: Mirror<Port>,
    pub firewalls: Mirror<Firewall>,
    schedulers: Vec<Option<tokio::runtime::Runtime>>,
}

pub async fn context(service: Service, url: &str) -> Context {
    context_at(service, url, "").await
}

/// A process that stands at a site.
pub async fn context_at(service: Service, url: &str, site: &str) -> Context {
    let mut settings = Common::at([url]).unwrap();
    settings.lease.ttl_ms = 1_500;
    settings.lease.site = site.to_owned();
    Context::new(service, &settings).await.unwrap()
}

pub fn node(name: &str, site: &str, memory_mib: u64) -> Node {
    let now = clock::now();
    Node {
        v: 1,
        name: name.parse().unwrap(),
        site: site.parse().unwrap(),
        state: node::State::Ready,
        cordoned: false,
        off: None,
        fencing: None,
        strains: Default::default(),
        inventory: Inventory {
            vcpus: 8,
            memory_mib,
            disk_gib: 100,
            cpu_model: "qemu64".to_owned(),
            cpu_features: Vec::new(),
            libvirt: "11.3.0".to_owned(),
            qemu: "10.0.2".to_owned(),
            agent: "0.1.0".to_owned(),
            virtualisation: Virtualisation::Qemu,
            migration_address: format!("{name}.test"),
            segments: BTreeMap::from([("campus".parse().unwrap(), "br0".to_owned())]),
            segment_mtus: BTreeMap::from([("campus".parse().unwrap(), 1_500)]),
            vlans: None,
            protection: Protection::default(),
            labels: BTreeMap::new(),
            tunnel: None,
            health: None,
            host: node::Host::default(),
            images: Default::default(),
            disks: Default::default(),
            weights: Default::default(),
            carried: Default::default(),
        },
        first_seen_at: now,
        changed_at: now,
    }
}

fn image() -> Image {
    let now = clock::now();
    Image {
        v: 1,
        name: "mini".parse().unwrap(),
        state: ImageState::Ready,
        about: Default::default(),
        stored: Some(Stored {
            sha256: "0".repeat(64),
            format: Format::Qcow2,
            size_bytes: 1 << 20,
            virtual_size_bytes: 2 << 30,
        }),
        announced: None,
        asked_by: None,
        saved_from: None,
        copies: ["myodaiji", "yamate"].map(|site| (site.parse().unwrap(), now)).into(),
        kept: BTreeMap::new(),
        fault: None,
        request_id: "i".to_owned(),
        created_at: now,
        changed_at: now,
    }
}

fn network() -> Network {
    Network {
        v: 1,
        name: "campus".parse().unwrap(),
        kind: Kind::Provider,
        segment: "campus".parse().unwrap(),
        vlan: None,
        mtu: None,
        public: false,
        overlay: None,
        cidr: "203.0.113.0/24".parse().unwrap(),
        range: Range { first: "203.0.113.100".parse().unwrap(), last: "203.0.113.199".parse().unwrap() },
        excluded: Vec::new(),
        gateway: None,
        dns: Vec::new(),
        routes: Vec::new(),
        strangers: Vec::new(),
        ipv6: None,
        request_id: "n".to_owned(),
        created_at: clock::now(),
    }
}

impl Cloud {
    /// Two sites of two nodes each, an image, a network, and one scheduler that leads.
    pub async fn start() -> Self {
        Self::start_with(&[("m1", "myodaiji"), ("m2", "myodaiji"), ("y1", "yamate"), ("y2", "yamate")]).await
    }

    pub async fn start_with(nodes: &[(&str, &str)]) -> Self {
        let nats = NatsServer::start();
        let ctx = context(Service::Network, &nats.url()).await;
        let (known, images, networks, ports) = tokio::try_join!(
            Mirror::open(&ctx),
            Bucket::<Image>::open(&ctx),
            Bucket::<Network>::open(&ctx),
            Mirror::open(&ctx)
        )
        .unwrap();
        let firewalls = Mirror::open(&ctx).await.unwrap();
        images.create(&image()).await.unwrap();
        networks.create(&network()).await.unwrap();
        serve_ports(&ctx, &ports);
        let fleet = Fleet::new(&ctx);
        for (name, site) in nodes {
            known.create(&node(name, site, 4_096)).await.unwrap();
            fleet.add(name, site).await;
        }
        let mut cloud = Self { nats, ctx, fleet, nodes: known, ports, firewalls, schedulers: Vec::new() };
        cloud.start_scheduler().await;
        cloud
    }

    /// One more instance of the scheduler; waits until some instance answers.
    pub async fn start_scheduler(&mut self) {
        self.start_scheduler_at("").await;
    }

    /// The same for one that stands at a site.
    pub async fn start_scheduler_at(&mut self, site: &'static str) {
        self.start_scheduler_with(site, ("", "")).await;
    }

    /// The same with one setting changed.
    pub async fn start_scheduler_with(&mut self, site: &'static str, (setting, wanted): (&str, &str)) {
        let text = DEFAULTS
            .replace(setting, wanted)
            .replace("leftover_seconds = 10", "leftover_seconds = 0")
            .replace("tick_ms = 1000", "tick_ms = 100")
            .replace("\nlook_ms = 1000\nrest_look_ms = 5000", "\nlook_ms = 200\nrest_look_ms = 200")
            .replace("handover_seconds = 60", "handover_seconds = 10")
            .replace("outlook_seconds = 30", "outlook_seconds = 1")
            .replace("repeat_ms = 1000", "repeat_ms = 200")
            // Nobody is overloaded unless a test says so.
            .replace("\nsites = []", "\nsites = [\"myodaiji\"]");
        // Those that stand somewhere lead from Myodaiji unless told otherwise.
        let home = if site.is_empty() { "" } else { "myodaiji" };
        let text = text.replace("home = \"\"", &format!("home = \"{home}\""));
        let settings: Settings = toml::from_str(&text).unwrap();
        // A process of its own, as far as a test can have one: all its tasks die with its runtime.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let url = self.nats.url();
        runtime.spawn(async move {
            let ctx = context_at(Service::Scheduler, &url, site).await;
            watari_scheduler::run(ctx, settings).await.unwrap();
        });
        self.schedulers.push(Some(runtime));
        let asked = || async { self.ctx.bus.request(&watari_contracts::scheduler::ListSites {}).await.ok() };
        eventually_some("a scheduler leads", SOON, asked).await;
    }

    /// Kills the scheduler that was started first, as SIGKILL would: nothing is finished or told.
    pub fn kill_scheduler(&mut self) {
        let first = self.schedulers.iter_mut().find_map(Option::take);
        first.expect("a scheduler runs").shutdown_background();
    }

    pub async fn ask<R: Request>(&self, request: &R) -> Result<R::Reply, Refusal> {
        self.ctx.bus.request_patiently(request, SOON).await.map_err(Refusal::from)
    }

    pub async fn vm(&self, name: &str) -> VmView {
        self.ask(&GetVm { name: name.parse().unwrap() }).await.unwrap()
    }

    /// Makes a server and waits until it runs.
    pub async fn running(&self, name: &str, site: &str) -> VmView {
        let create = CreateVm { site: Some(site.parse().unwrap()), ..create(name) };
        self.ask(&create).await.unwrap();
        self.until(name, |vm| vm.state == State::Running).await
    }

    pub async fn until(&self, name: &str, holds: impl Fn(&VmView) -> bool) -> VmView {
        let name = name.parse().unwrap();
        let request = GetVm { name };
        let look = || async {
            let vm = self.ctx.bus.request(&request).await.ok()?;
            holds(&vm).then_some(vm)
        };
        eventually_some("the server is as wanted", SOON, look).await
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        // A runtime must not be dropped where it may not block.
        self.schedulers.iter_mut().filter_map(Option::take).for_each(tokio::runtime::Runtime::shutdown_background);
    }
}

pub fn create(name: &str) -> CreateVm {
    serde_json::from_value(serde_json::json!({"name": name, "image": "mini", "networks": [{"network": "campus"}]}))
        .unwrap()
}

/// The network service's part: addresses in order.
fn serve_ports(ctx: &Context, ports: &Mirror<Port>) {
    let turn = Arc::new(tokio::sync::Mutex::new(()));
    let (give, back) = (ports.clone(), ports.clone());
    let server = Server::new(ctx, Service::Network)
        .endpoint(move |_, ask: AllocatePort| {
            let (ports, turn) = (give.clone(), Arc::clone(&turn));
            async move {
                let _turn = turn.lock().await;
                let known = ports.snapshot();
                let segment = "campus".parse().unwrap();
                if let Some(port) = known.values().find(|p| p.value.vm_uuid == ask.vm_uuid && p.value.vm == ask.vm) {
                    return Ok(Allocated { port: port.value.clone(), segment });
                }
                let taken = |address: &std::net::Ipv4Addr| known.values().any(|p| p.value.address == *address);
                let Some(address) = network().range.addresses().find(|address| !taken(address)) else {
                    return Err(Refusal::RangeExhausted { network: "campus".to_owned(), size: "100".to_owned() });
                };
                let port = Port {
                    v: 1,
                    network: ask.network,
                    address,
                    address6: None,
                    mac: format!("52:54:00:00:00:{:02x}", address.octets()[3]),
                    vm: ask.vm,
                    vm_uuid: ask.vm_uuid,
                    created_at: clock::now(),
                };
                ports.create(&port).await.unwrap();
                Ok(Allocated { port, segment })
            }
        })
        .endpoint(move |_, release: ReleasePorts| {
            let ports = back.clone();
            async move {
                let mut released = 0;
                for (key, port) in ports.snapshot().iter() {
                    if port.value.vm == release.vm && port.value.vm_uuid == release.vm_uuid {
                        ports.delete(key, port.revision).await.unwrap();
                        released += 1;
                    }
                }
                Ok(Released { ports: released })
            }
        });
    ctx.spawn("ports", async move { server.serve_always().await.unwrap() });
}
