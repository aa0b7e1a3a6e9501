//! A backup of a real bus, and a bus that has lost everything filled from it.

use std::{
    collections::BTreeMap,
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use crate::support::{
    Cloud, Ran, Server, sample,
    stub::{Answer::Reply, Stub},
    wire::Verdict,
};
use watari_chassis::{Bucket, Context, LeaseDocument, Shape, config::Common};
use watari_contracts::{
    Service,
    agent::{Domain, NodeFacts, OffReason, Stack, VmFact},
};
use watari_model::{
    Document, Timestamp,
    address::PublicAddress,
    firewall::Firewall,
    frontend::Primacy,
    image::Image,
    key::Key,
    migration::Migration,
    network::{Network, Port},
    node::Node,
    outage::Outage,
    project::Project,
    site::Site,
    userdata::UserData,
    vm::{Grant, State, Vm},
};
use watari_testkit::free_port;

fn first<T: Document>() -> T {
    serde_json::from_value(sample(&format!("document.{}.json", T::BUCKET))).unwrap()
}

/// It runs on m1 under its fifth grant.
fn mail() -> Vm {
    let mut vm: Vm = first();
    (vm.state, vm.crossing) = (State::Running, None);
    vm.grant = Some(Grant { node: "m1".parse().unwrap(), generation: 5 });
    vm.leftovers.clear();
    vm
}

async fn context(cloud: &Cloud, service: Service) -> Context {
    let mut common = Common::at([cloud.url()]).unwrap();
    let identity = format!("{}.m-front", service.name());
    (common.bus.nkey, common.bus.ca) = (cloud.files.seed_file(&identity), cloud.files.authority());
    common.bus.identity = identity;
    Context::new(service, &common).await.unwrap()
}

/// The buckets as their services make them.
struct Buckets {
    vms: Bucket<Vm>,
    migrations: Bucket<Migration>,
    outages: Bucket<Outage>,
    sites: Bucket<Site>,
    keys: Bucket<Key>,
    projects: Bucket<Project>,
    userdata: Bucket<UserData>,
    frontends: Bucket<Primacy>,
    images: Bucket<Image>,
    networks: Bucket<Network>,
    ports: Bucket<Port>,
    addresses: Bucket<PublicAddress>,
    firewalls: Bucket<Firewall>,
    nodes: Bucket<Node>,
    leases: Bucket<LeaseDocument>,
}

impl Buckets {
    async fn open(cloud: &Cloud) -> Self {
        let scheduler = context(cloud, Service::Scheduler).await;
        let (image, network) = (context(cloud, Service::Image).await, context(cloud, Service::Network).await);
        let monitor = context(cloud, Service::Monitor).await;
        let shape = Shape { history: 1, revisions_from_time: true };
        Self {
            vms: Bucket::open(&scheduler).await.unwrap(),
            migrations: Bucket::open(&scheduler).await.unwrap(),
            outages: Bucket::open(&scheduler).await.unwrap(),
            sites: Bucket::open(&scheduler).await.unwrap(),
            keys: Bucket::open(&scheduler).await.unwrap(),
            projects: Bucket::open(&scheduler).await.unwrap(),
            userdata: Bucket::open(&scheduler).await.unwrap(),
            frontends: Bucket::open(&scheduler).await.unwrap(),
            images: Bucket::open(&image).await.unwrap(),
            networks: Bucket::open(&network).await.unwrap(),
            ports: Bucket::open(&network).await.unwrap(),
            addresses: Bucket::open(&network).await.unwrap(),
            firewalls: Bucket::open(&network).await.unwrap(),
            nodes: Bucket::open(&monitor).await.unwrap(),
            leases: Bucket::open_as(&scheduler, shape).await.unwrap(),
        }
    }

    /// One document of each kind; the node is cordoned.
    async fn fill(&self) {
        self.vms.create(&mail()).await.unwrap();
        let migration = Migration { state: watari_model::migration::State::Completed, ..first() };
        self.migrations.create(&migration).await.unwrap();
        self.outages.create(&first()).await.unwrap();
        self.sites.create(&first()).await.unwrap();
        self.keys.create(&first()).await.unwrap();
        self.projects.create(&first()).await.unwrap();
        self.userdata.create(&first()).await.unwrap();
        self.frontends.create(&first()).await.unwrap();
        self.images.create(&first()).await.unwrap();
        self.networks.create(&first()).await.unwrap();
        self.ports.create(&first()).await.unwrap();
        self.addresses.create(&first()).await.unwrap();
        self.firewalls.create(&first()).await.unwrap();
        self.nodes.create(&Node { cordoned: true, ..first() }).await.unwrap();
    }
}

/// Two agents that say what they see, again and again. Dropped, they end.
struct Agents {
    epoch: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Agents {
    /// The server has left m1 for y1 since.
    fn speak(cloud: &Cloud) -> Self {
        let (epoch, stop) = (Arc::new(AtomicU64::new(1)), Arc::new(AtomicBool::new(false)));
        let (seen, ended) = (Arc::clone(&epoch), Arc::clone(&stop));
        let mut clients = [
            ("m1", "myodaiji", cloud.client("node-agent.m1"), Domain::Off(OffReason::Migrated), 5),
            ("y1", "yamate", cloud.client("node-agent.y1"), Domain::Running, 6),
        ];
        let thread = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                for (node, site, client, domain, generation) in &mut clients {
                    let facts = facts(node, site, *domain, *generation, seen.load(Ordering::Relaxed));
                    let subject = format!("watari.fact.{site}.{node}");
                    let told = client.publish(&subject, None, &serde_json::to_string(&facts).unwrap());
                    assert_eq!(told, Verdict::Allowed);
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        Self { epoch, stop, thread: Some(thread) }
    }
}

impl Drop for Agents {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn facts(node: &str, site: &str, domain: Domain, generation: u64, epoch: u64) -> NodeFacts {
    let vm = mail();
    let uuid = Some(vm.uuid);
    let fact = VmFact {
        vm: vm.name.clone(),
        uuid,
        domain,
        generation,
        granted: true,
        disk: true,
        stack: Stack::default(),
        still: None,
        passage: None,
    };
    NodeFacts {
        node: node.parse().unwrap(),
        site: site.parse().unwrap(),
        instance: "1".to_owned(),
        seq: 1,
        epoch,
        hypervisor_answers: true,
        at: Timestamp(time::OffsetDateTime::UNIX_EPOCH),
        vms: [(vm.name, fact)].into(),
        layers: BTreeMap::new(),
        guard: None,
    }
}

fn backup(cloud: &Cloud, words: &[&str]) -> Ran {
    let words = [&["-o", "json", "--lang", "en", "backup"], words].concat();
    Ran::of(cloud.command("backup.m-front", &words).output().unwrap())
}

#[track_caller]
fn refused(ran: &Ran, code: &str) {
    assert!(ran.status != 0 && ran.err.contains(&format!("error[{code}]")), "{ran:?}");
}

/// The same cluster, whose NATS has lost all that it had stored.
fn lose_everything(cloud: Cloud) -> Cloud {
    let Cloud { server, files } = cloud;
    drop(server);
    fs::remove_dir_all(files.path("m-front.store")).unwrap();
    let port = free_port();
    let ports = [("127.0.0.1:4222".to_owned(), format!("127.0.0.1:{port}"))];
    Cloud { server: Server::start(&files, "m-front", port, &ports), files }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_lost_is_put_back_and_what_has_moved_since_is_taken_for_where_it_is() {
    let cloud = Cloud::start();
    let buckets = Buckets::open(&cloud).await;
    buckets.fill().await;
    let path = cloud.files.path("backup");
    let file = path.to_str().unwrap();

    let made = backup(&cloud, &["create", file]);
    assert_eq!(made.status, 0, "{made:?}");
    let documents = made.json()["documents"].as_object().unwrap().clone();
    assert!(documents.len() == 14 && documents.values().all(|count| count == 1), "{documents:?}");
    refused(&backup(&cloud, &["create", file]), "file.exists");
    // An operator may not, and learns it before anything has to be waited for.
    for words in [&["backup", "create", "/nonexistent/b"][..], &["backup", "restore", file, "--yes"]] {
        let (began, ran) = (std::time::Instant::now(), cloud.run(words));
        refused(&ran, "backup.not-permitted");
        assert!(ran.err.contains("front end") && began.elapsed() < Duration::from_secs(10), "{ran:?}");
    }

    assert_eq!(backup(&cloud, &["verify", file]).status, 0);
    assert!(cloud.run(&["backup", "verify", file]).out.contains("The file is whole"));
    for (path, code) in [("/nonexistent", "file.unknown"), ("/etc/passwd", "backup.not-one")] {
        let ran = backup(&cloud, &["verify", path]);
        refused(&ran, code);
        assert_eq!(ran.status, 2, "{path}");
    }
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let copy = cloud.files.path("copy");
    fs::write(&copy, bytes).unwrap();
    refused(&backup(&cloud, &["verify", copy.to_str().unwrap()]), "backup.damaged");

    // Onto what is there, or beside services, nothing is restored.
    {
        let _agents = Agents::speak(&cloud);
        refused(&backup(&cloud, &["restore", file, "--yes"]), "backup.not-empty");
        let stub =
            Stub::start(&cloud, "image.m-front", &["watari.standing"], |_, _| Reply(sample("frontend.Standing.json")));
        refused(&backup(&cloud, &["restore", file, "--yes"]), "backup.services-run");
        drop(stub);
    }

    let cloud = lose_everything(cloud);
    refused(&backup(&cloud, &["restore", file, "--yes"]), "backup.no-bucket");
    let buckets = Buckets::open(&cloud).await;
    // The monitor has run for a while, and has heard the node.
    buckets.nodes.create(&Node { cordoned: false, ..first() }).await.unwrap();
    let agents = Agents::speak(&cloud);
    agents.epoch.store(u64::MAX / 4, Ordering::Relaxed);
    refused(&backup(&cloud, &["restore", file, "--yes"]), "backup.epoch-behind");
    agents.epoch.store(1, Ordering::Relaxed);

    // A second time changes nothing.
    for _ in 0..2 {
        let restored = backup(&cloud, &["restore", file, "--yes"]);
        assert_eq!(restored.status, 0, "{restored:?}");
        let told = restored.json();
        let server = &told["servers"][0];
        assert_eq!((server["finding"].as_str(), server["node"].as_str()), (Some("moved"), Some("y1")));
    }
    let vm = buckets.vms.get(mail().name.as_str()).await.unwrap().unwrap().value;
    assert_eq!(vm.grant, Some(Grant { node: "y1".parse().unwrap(), generation: 6 }));
    assert_eq!((vm.state, vm.uuid), (State::Running, mail().uuid));
    let node = buckets.nodes.get("m1").await.unwrap().unwrap().value;
    assert!(node.cordoned, "an operator's word is kept");
    let text: UserData = first();
    assert_eq!(buckets.userdata.get(&text.key()).await.unwrap().unwrap().value, text);
    assert!(buckets.leases.get("scheduler").await.unwrap().is_none(), "nobody leads by a backup");
    assert!(buckets.migrations.get(&first::<Migration>().key()).await.unwrap().is_some());
}
