//! The control plane moves from one front end to the other under a steady stream of requests.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::support::{Cloud, SOON, context_at, create};
use watari_chassis::{Bus, Context, Lease, Patience};
use watari_contracts::{
    Request, Service,
    frontend::{AskStanding, STANDING, Standing},
    scheduler::{CreateVm, EvacuateSite, GetOutage, ListSites, ListVms, OutageView, PromoteFrontEnd, ReturnSite},
};
use watari_model::{Refusal, SiteName, outage::State};
use watari_testkit::{eventually, eventually_some};

const SITES: [&str; 2] = ["myodaiji", "yamate"];

fn site(name: &str) -> SiteName {
    name.parse().unwrap()
}

/// The scheduler twice, and the other services as far as their leases go.
async fn two_front_ends() -> (Cloud, Vec<Context>) {
    let mut cloud = Cloud::start().await;
    for at in SITES {
        cloud.start_scheduler_at(at).await;
    }
    // The one that began before its site was known.
    cloud.kill_scheduler();
    let mut others = Vec::new();
    for at in SITES {
        for service in [Service::Image, Service::Network, Service::Monitor] {
            let ctx = context_at(service, &cloud.nats.url(), at).await;
            drop(Lease::campaign(&ctx, service, ctx.lease_ttl()).await.unwrap());
            others.push(ctx);
        }
    }
    // Nobody has said so: it is their home by the configuration.
    all_lead_from(&cloud, "myodaiji").await;
    (cloud, others)
}

async fn standings(cloud: &Cloud) -> Vec<Standing> {
    let patience = Patience { total: Duration::from_secs(1), quiet: Duration::from_millis(100) };
    cloud.ctx.bus.gather(STANDING, &AskStanding {}, patience).await.unwrap()
}

async fn all_lead_from(cloud: &Cloud, at: &str) {
    eventually("all four services lead from there", SOON, || async {
        let all = standings(cloud).await;
        let led: BTreeSet<Service> =
            all.iter().filter(|s| s.leads && s.site == Some(site(at))).map(|s| s.service).collect();
        led.len() == 4 && all.iter().filter(|s| s.leads).count() == 4
    })
    .await;
}

/// Asks as clients do, repeating what was not answered, and says how long it took.
async fn patiently<R: Request>(bus: &Bus, request: &R) -> Duration {
    let begun = Instant::now();
    loop {
        match bus.request_within(request, Duration::from_millis(400)).await {
            Ok(_) => return begun.elapsed(),
            Err(error) => {
                assert!(error.retryable() && begun.elapsed() < SOON, "{error}");
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
        }
    }
}

/// Reads and writes until told to stop; the longest wait, and the servers that were acknowledged.
async fn load(bus: Bus, stop: Arc<AtomicBool>) -> (Duration, Vec<String>) {
    let (mut longest, mut made) = (Duration::ZERO, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        longest = longest.max(patiently(&bus, &ListSites {}).await);
        // There are a hundred addresses.
        if made.len() == 90 {
            continue;
        }
        let name = format!("s{}", made.len());
        let request = CreateVm { request_id: Some(format!("r-{name}")), start: false, ..create(&name) };
        longest = longest.max(patiently(&bus, &request).await);
        made.push(name);
    }
    (longest, made)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_makes_no_request_wait_for_a_second_and_loses_none() {
    let (cloud, _others) = two_front_ends().await;
    let stop = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn(load(cloud.ctx.bus.clone(), Arc::clone(&stop)));
    for at in ["yamate", "myodaiji", "yamate"] {
        let before: Vec<Standing> = standings(&cloud).await;
        let epoch = before.iter().filter(|s| s.service == Service::Scheduler).find_map(|s| s.epoch);
        let wished = cloud.ask(&PromoteFrontEnd { request_id: None, site: site(at) }).await.unwrap();
        assert_eq!((wished.site.as_str(), wished.home.as_str()), (at, at));
        all_lead_from(&cloud, at).await;
        let after = standings(&cloud).await;
        let leader = after.iter().find(|s| s.service == Service::Scheduler && s.leads).unwrap();
        assert!(leader.epoch >= epoch, "epochs only grow");
        assert_eq!(leader.wish.as_ref().map(|w| w.site.clone()), Some(site(at)));
    }
    stop.store(true, Ordering::Relaxed);
    let (longest, made) = load.await.unwrap();
    println!("{} requests, longest wait {longest:?}", made.len() * 2);
    assert!(longest < Duration::from_secs(1), "a request waited {longest:?}");
    assert!(made.len() > 10, "only {} servers were made", made.len());
    let mut known = BTreeSet::new();
    let mut page = ListVms { limit: Some(1_000), ..ListVms::default() };
    loop {
        let vms = cloud.ask(&page).await.unwrap();
        known.extend(vms.vms.into_iter().map(|vm| vm.name.to_string()));
        page.after = vms.next;
        if page.after.is_none() {
            break;
        }
    }
    let lost: Vec<_> = made.iter().filter(|name| !known.contains(*name)).collect();
    assert!(lost.is_empty(), "acknowledged and gone: {lost:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_promoted_where_no_standby_is() {
    let (cloud, others) = two_front_ends().await;
    let image = others.iter().find(|c| c.service() == Service::Image && c.site() == Some(&site("yamate"))).unwrap();
    let _ = image.drain().await;
    let refused = cloud.ask(&PromoteFrontEnd { request_id: None, site: site("yamate") }).await.unwrap_err();
    assert_eq!(refused, Refusal::NoStandby { site: "yamate".to_owned(), services: "image".to_owned() });
    let unknown = cloud.ask(&PromoteFrontEnd { request_id: None, site: site("nowhere") }).await.unwrap_err();
    assert_eq!(unknown.code(), "site.unknown");
}

async fn until(cloud: &Cloud, begun: &OutageView, state: State) -> OutageView {
    let request = GetOutage { id: begun.id.clone() };
    let look = || async {
        let outage = cloud.ctx.bus.request(&request).await.ok()?;
        (outage.state == state).then_some(outage)
    };
    eventually_some("the outage is as wanted", SOON, look).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evacuation_ends_with_the_control_plane_elsewhere_and_a_return_brings_it_home() {
    let (cloud, _others) = two_front_ends().await;
    cloud.running("mail", "myodaiji").await;

    let begun = cloud.ask(&EvacuateSite { request_id: None, site: site("myodaiji"), propose: None }).await.unwrap();
    let away = until(&cloud, &begun, State::Evacuated).await;
    let control = away.control.expect("the report says what became of the control plane");
    assert!(control.moved && control.to == site("yamate") && control.fault.is_none(), "{control:?}");
    assert_eq!(away.moved.len(), 1);
    all_lead_from(&cloud, "yamate").await;

    let begun = cloud.ask(&ReturnSite { request_id: None, site: site("myodaiji") }).await.unwrap();
    let home = until(&cloud, &begun, State::Completed).await;
    let control = home.control.expect("the report says that it is home");
    assert!(control.moved && control.to == site("myodaiji"), "{control:?}");
    all_lead_from(&cloud, "myodaiji").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evacuation_without_another_front_end_says_so() {
    let (cloud, others) = two_front_ends().await;
    for ctx in others.iter().filter(|c| c.site() == Some(&site("yamate"))) {
        let _ = ctx.drain().await;
    }
    // What the scheduler has seen may be of before; then it waits for Yamate as long as it may.
    let begun = cloud.ask(&EvacuateSite { request_id: None, site: site("myodaiji"), propose: None }).await.unwrap();
    let away = until(&cloud, &begun, State::Evacuated).await;
    let control = away.control.unwrap();
    let code = control.fault.map(|fault| fault.code).unwrap_or_default();
    assert!(["frontend.nowhere", "frontend.not-moved"].contains(&code.as_str()), "{code}");
    assert!(!control.moved);
}
