//! Servers as they are seen from outside while an outage is under way.

use std::{future::Future, time::Duration};

use crate::harness::{PATIENCE, Running, common, settings, somebody};
use tokio::{net::TcpListener, task::JoinHandle};
use watari_chassis::{Bucket, Bus, Context, Patience, clock};
use watari_contracts::{
    Service,
    probe::{AskSeen, SEEN, Seen, Unasked, Watched},
};
use watari_model::{
    address::{PublicAddress, Target},
    network::Network,
    outage::{Outage, Scope, State},
    vm::{Desired, Vm},
};
use watari_monitor::Settings;
use watari_testkit::{NatsServer, TempDir, eventually_some};

/// Takes every connection until it is aborted.
async fn listen(port: u16) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let taking = tokio::spawn(async move {
        loop {
            let _ = listener.accept().await;
        }
    });
    (port, taking)
}

/// As often as makes a test short.
fn often(dir: &TempDir) -> Settings {
    let mut settings = settings(dir.path());
    settings.probes.every_ms = 100;
    settings.probes.answer_ms = 3_000;
    settings
}

async fn seen(bus: &Bus) -> Vec<Seen> {
    let patience = Patience { total: Duration::from_secs(2), quiet: Duration::from_millis(200) };
    bus.gather(SEEN, &AskSeen { outage: "myodaiji-1".parse().unwrap() }, patience).await.unwrap()
}

/// Waits until the one probe is seen as is wanted.
async fn becomes(bus: &Bus, what: &str, wanted: impl Fn(&Watched) -> bool) -> Watched {
    let look = || async {
        let watched = seen(bus).await.into_iter().next()?.watched.into_iter().next()?;
        wanted(&watched).then_some(watched)
    };
    until(what, look).await
}

async fn until<T, F: Future<Output = Option<T>>>(what: &str, look: impl FnMut() -> F) -> T {
    eventually_some(what, PATIENCE, look).await
}

/// The documents of others that a monitor looks at.
struct Stores {
    vms: Bucket<Vm>,
    outages: Bucket<Outage>,
    networks: Bucket<Network>,
    addresses: Bucket<PublicAddress>,
}

impl Stores {
    async fn open(nats: &NatsServer) -> Self {
        let scheduler = Context::new(Service::Scheduler, &common(nats)).await.unwrap();
        let network = Context::new(Service::Network, &common(nats)).await.unwrap();
        Self {
            vms: Bucket::open(&scheduler).await.unwrap(),
            outages: Bucket::open(&scheduler).await.unwrap(),
            networks: Bucket::open(&network).await.unwrap(),
            addresses: Bucket::open(&network).await.unwrap(),
        }
    }
}

/// One that is to answer at a port.
fn server(port: u16) -> Vm {
    let golden = include_str!("../../../../shared/contracts/tests/golden/document.vms.json");
    let mut vm = serde_json::from_str::<Vec<Vm>>(golden).unwrap().swap_remove(0);
    vm.spec.probes = vec![format!("tcp:{port}").parse().unwrap()];
    vm.desired = Desired::Running;
    vm
}

fn outage(vm: &Vm) -> Outage {
    Outage::begun("myodaiji-1".parse().unwrap(), Scope::Site(vm.home_site.clone()), "r".to_owned(), clock::now())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_on_an_overlay_network_is_asked_at_its_public_address_and_without_one_not_at_all() {
    let (nats, dir) = (NatsServer::start(), TempDir::new());
    let bus = somebody(&nats).await;
    let Stores { vms, outages, networks, addresses } = Stores::open(&nats).await;
    let (port, taking) = listen(0).await;
    let golden = include_str!("../../../../shared/contracts/tests/golden/document.networks.json");
    let lab = serde_json::from_str::<Vec<Network>>(golden).unwrap().swap_remove(1);
    networks.create(&lab).await.unwrap();
    let mut vm = server(port);
    (vm.spec.nics[0].network, vm.spec.nics[0].address) = (lab.name.clone(), [10, 1, 0, 10].into());
    vms.create(&vm).await.unwrap();
    outages.create(&outage(&vm)).await.unwrap();

    let monitor = Running::start(&nats, often(&dir)).await;
    let left = becomes(&bus, "it is said not to be asked", |watched| watched.unasked.is_some()).await;
    assert_eq!((left.asked, left.gaps, left.unasked), (0, 0, Some(Unasked::NoWay)), "{left:?}");
    let golden = include_str!("../../../../shared/contracts/tests/golden/document.addresses.json");
    let public = serde_json::from_str::<Vec<PublicAddress>>(golden).unwrap().swap_remove(0);
    let leads_to =
        Target { vm: vm.name.clone(), vm_uuid: vm.uuid.clone(), network: lab.name, address: [10, 1, 0, 10].into() };
    let public = PublicAddress { address: [127, 0, 0, 1].into(), leads_to: Some(leads_to), ..public };
    addresses.create(&public).await.unwrap();
    let asked = becomes(&bus, "it is asked", |watched| watched.asked > 2).await;
    assert_eq!((asked.failed, asked.unasked, asked.address), (0, None, public.address), "{asked:?}");
    monitor.stop().await;
    taking.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_watched_through_silence_and_a_restart_of_who_watches() {
    let (nats, dir) = (NatsServer::start(), TempDir::new());
    let bus = somebody(&nats).await;
    let Stores { vms, outages, .. } = Stores::open(&nats).await;
    let (port, taking) = listen(0).await;
    let mut vm = server(port);
    vm.spec.nics[0].address = [127, 0, 0, 1].into();
    vms.create(&vm).await.unwrap();
    let outage = outage(&vm);
    let begun = outages.create(&outage).await.unwrap();

    let first = Running::start(&nats, often(&dir)).await;
    let well = becomes(&bus, "it answers", |watched| watched.asked > 2).await;
    assert_eq!((well.failed, well.gaps, well.pauses), (0, 0, 0), "{well:?}");
    assert_eq!((well.vm, well.probe), (vm.name.clone(), vm.spec.probes[0].clone()));
    taking.abort();
    becomes(&bus, "it is silent", |watched| watched.failed > 1).await;
    let (_, taking) = listen(port).await;
    let again =
        becomes(&bus, "it answers again", |watched| watched.longest.iter().any(|gap| gap.until.is_some())).await;
    assert!(again.longest_gap_ms > 0 && again.answered(), "{again:?}");
    assert!(first.metric("watari_probe_longest_gap_seconds") > 0.0 && first.metric("watari_probe_answers_total") > 2.0);
    first.stop().await;

    let second = Running::start(&nats, often(&dir)).await;
    let resumed = becomes(&bus, "it is watched again", |watched| watched.pauses == 1).await;
    assert!(resumed.asked > again.asked && resumed.failed >= again.failed && resumed.from == again.from, "{resumed:?}");
    let over = Outage { state: State::Completed, ..outage };
    outages.update(&over, begun).await.unwrap();
    // Once it is over its book is closed, and a later front end tells it as it was.
    second.stop().await;
    let third = Running::start(&nats, often(&dir)).await;
    let told = becomes(&bus, "it is still told", |watched| watched.asked >= resumed.asked).await;
    assert_eq!((told.pauses, told.from), (1, again.from));
    third.stop().await;
    taking.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_outage_that_nobody_watched_nothing_is_told() {
    let (nats, dir) = (NatsServer::start(), TempDir::new());
    let bus = somebody(&nats).await;
    let monitor = Running::start(&nats, often(&dir)).await;
    let look = || async { seen(&bus).await.into_iter().next().filter(|seen| seen.fault.is_none()) };
    let nothing = until("the history is there", look).await;
    assert_eq!((nothing.watched.len(), nothing.left_out), (0, 0));
    assert!(nothing.instance.starts_with("monitor."), "{nothing:?}");
    monitor.stop().await;
}
