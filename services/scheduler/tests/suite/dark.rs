//! Nodes that are shut down with their site, and come back before anybody does.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use crate::support::{Cloud, SOON};
use watari_chassis::Server;
use watari_contracts::{
    Service,
    monitor::{NodePower, PowerNode, PowerWish},
    scheduler::{EvacuateSite, GetOutage, OutageView, ReturnSite, ShutDownNodes},
};
use watari_model::{
    OutageId, Refusal,
    node::{self, Host, fencing::Act},
    outage::State,
};
use watari_testkit::{eventually, eventually_some};

/// The nodes' power controllers, as the monitor has them.
#[derive(Clone, Default)]
struct Controllers {
    off: Arc<Mutex<BTreeSet<String>>>,
    told: Arc<Mutex<Vec<String>>>,
}

impl Controllers {
    fn serve(&self, cloud: &Cloud) {
        let of = self.clone();
        let server = Server::new(&cloud.ctx, Service::Monitor).endpoint(move |_, asked: PowerNode| {
            let controllers = of.clone();
            async move { Ok::<NodePower, Refusal>(controllers.answer(asked)) }
        });
        cloud.ctx.spawn("power", async move { server.serve_always().await.unwrap() });
    }

    fn answer(&self, asked: PowerNode) -> NodePower {
        let name = asked.name.to_string();
        let mut says = None;
        if !asked.dry_run {
            match asked.wish {
                PowerWish::Status => says = Some(if self.is_off(&name) { Act::Off } else { Act::On }),
                PowerWish::Off => self.note("off", &name),
                PowerWish::On => self.note("on", &name),
            }
        }
        NodePower { name: asked.name, commands: vec![vec!["pdu".to_owned(), name]], says, begun: None }
    }

    fn note(&self, what: &str, name: &str) {
        self.told.lock().unwrap().push(format!("{what} {name}"));
    }

    fn is_off(&self, name: &str) -> bool {
        self.off.lock().unwrap().contains(name)
    }

    fn falls(&self, name: &str) {
        self.off.lock().unwrap().insert(name.to_owned());
    }

    async fn until(&self, what: &str) {
        let told = || async { self.told.lock().unwrap().iter().any(|told| told == what) };
        eventually(what, SOON, told).await;
    }
}

/// What the monitor makes of a node.
async fn becomes(cloud: &Cloud, name: &str, state: node::State, boot_id: &str) {
    let write = || async {
        let entry = cloud.nodes.get(name)?;
        let mut node = entry.value.clone();
        node.state = state;
        node.inventory.host = Host { boot_id: Some(boot_id.to_owned()), shut_down: Vec::new(), uefi: false };
        cloud.nodes.update(&node, entry.revision).await.ok()
    };
    eventually_some("the node is as it is", SOON, write).await;
}

async fn until(cloud: &Cloud, id: &OutageId, what: &str, holds: impl Fn(&OutageView) -> bool) -> OutageView {
    let request = GetOutage { id: id.clone() };
    let look = || async {
        let outage = cloud.ctx.bus.request(&request).await.ok()?;
        holds(&outage).then_some(outage)
    };
    eventually_some(what, SOON, look).await
}

fn is(view: &OutageView, node: &str, state: &str) -> bool {
    view.nodes.iter().any(|one| one.node.as_str() == node && one.state == state)
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_of_an_empty_site_go_off_one_by_one_under_whoever_leads_and_are_back_before_the_return_is_over() {
    let mut cloud = Cloud::start().await;
    let controllers = Controllers::default();
    controllers.serve(&cloud);
    for name in ["m1", "m2"] {
        becomes(&cloud, name, node::State::Ready, "first").await;
    }
    cloud.fleet.cannot_shut_down("m2");
    let evacuate = EvacuateSite { request_id: None, site: "myodaiji".parse().unwrap(), propose: None };
    let id = cloud.ask(&evacuate).await.unwrap().id;
    let wish = ShutDownNodes { id: id.clone(), withdraw: false, dry_run: false };
    let dry = cloud.ask(&ShutDownNodes { dry_run: true, ..wish.clone() }).await.unwrap();
    assert!(!dry.wished && dry.nodes.iter().map(|plan| plan.node.as_str()).eq(["m1", "m2"]), "{dry:?}");
    assert_eq!((dry.nodes[0].off.len(), &dry.nodes[0].why), (1, &None), "{dry:?}");
    assert!(!cloud.fleet.is_shut_down("m1"), "a dry run does nothing");

    assert!(cloud.ask(&wish).await.unwrap().wished);
    eventually("m1 is told", SOON, || async { cloud.fleet.is_shut_down("m1") }).await;
    cloud.kill_scheduler();
    cloud.start_scheduler().await;
    let waits = until(&cloud, &id, "m1 goes off", |view| is(view, "m1", "going off")).await;
    assert!(is(&waits, "m2", "waiting") && waits.state == State::Evacuated, "one after another: {waits:?}");
    controllers.falls("m1");
    becomes(&cloud, "m1", node::State::Lost, "first").await;
    until(&cloud, &id, "m1 is off", |view| is(view, "m1", "off")).await;
    controllers.until("off m2").await;
    controllers.falls("m2");
    becomes(&cloud, "m2", node::State::Lost, "first").await;
    let dark = until(&cloud, &id, "m2 is off", |view| is(view, "m2", "off")).await;
    assert_eq!(dark.state, State::Evacuated);

    cloud.ask(&ReturnSite { request_id: None, site: "myodaiji".parse().unwrap() }).await.unwrap();
    controllers.until("on m1").await;
    controllers.until("on m2").await;
    becomes(&cloud, "m1", node::State::Ready, "second").await;
    let waits = until(&cloud, &id, "m1 is back", |view| is(view, "m1", "back")).await;
    assert!(waits.state == State::Returning && waits.awaited.iter().any(|node| node.as_str() == "m2"), "{waits:?}");
    becomes(&cloud, "m2", node::State::Ready, "second").await;
    let home = until(&cloud, &id, "everybody is home", |view| view.state == State::Completed).await;
    assert!(is(&home, "m1", "back") && is(&home, "m2", "back"), "{home:?}");
    assert_eq!(cloud.ask(&wish).await.unwrap_err().code(), "outage.no-shut-down");
}
