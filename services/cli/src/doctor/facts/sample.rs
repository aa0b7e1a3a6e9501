//! A healthy cluster of two sites, from the samples of the contracts, for checks to be tried on.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use time::macros::datetime;
use watari_contracts::{
    Service,
    frontend::{Follower, Quorum, StreamView, Voter},
    image::ImageView,
    monitor::{FencingView, HealthPage, NodeHealth, UpsView},
    network::NetworkView,
    scheduler::{OutagePlan, OutageView, SitePage, VmView},
};
use watari_model::{
    Timestamp,
    node::{
        Enforcement, Health, Protection,
        health::{Bridge, Certificate, Link, RevocationList},
    },
    outage::{Scope, State},
    site::Supply,
    vm,
};

use super::{ACTIVE, Facts};
use crate::{
    doctor::host::{
        Host,
        around::{Around, Peer},
    },
    frontend::status::{Instance, ServiceStatus, Status},
};

/// The moment at which the cluster is looked at.
pub(in crate::doctor) const NOW: Timestamp = Timestamp(datetime!(2026-11-28 09:00 UTC));

macro_rules! golden {
    ($name:literal) => {
        first(include_str!(concat!("../../../../../shared/contracts/tests/golden/", $name)))
    };
}

fn first<T: DeserializeOwned>(text: &str) -> T {
    let samples: Vec<T> = serde_json::from_str(text).unwrap();
    samples.into_iter().next().unwrap()
}

fn node(name: &str, site: &str) -> NodeHealth {
    let page: HealthPage = golden!("reply.HealthPage.json");
    let mut one = page.nodes.into_iter().next().unwrap();
    one.node.name = name.parse().unwrap();
    one.node.site = site.parse().unwrap();
    one.node.cordoned = false;
    one.node.fencing = FencingView { configured: true, last: None };
    one.node.protection = Protection { identity: Enforcement::Enforced, firewall: Enforcement::Enforced, wanted: true };
    let bridge = Bridge {
        segment: "campus".parse().unwrap(),
        name: "br0".to_owned(),
        link: Link::Up,
        addressed_ports: Vec::new(),
    };
    let path = "/etc/pki/libvirt/servercert.pem".to_owned();
    let not_after = Some(NOW.plus_millis(365 * 86_400_000));
    one.health = Some(Health {
        bridges: vec![bridge],
        certificates: vec![Certificate { path, not_after }],
        revocation_lists: vec![RevocationList { path: "/etc/pki/CA/cacrl.pem".to_owned(), updated_at: None }],
        missing_programs: Vec::new(),
        fsync_ms: Some(4),
        files_free_percent: Some(95),
    });
    one
}

fn control() -> Status {
    let instance = |service: Service, host: &str, site: &str, epoch| Instance {
        instance: format!("{}.{host}.1", service.name()),
        site: site.parse().ok(),
        epoch,
        nats: host.to_owned(),
        lag: 0,
        store: None,
        version: "0.1.0".to_owned(),
    };
    let service = |service: Service| ServiceStatus {
        service,
        leader: Some(instance(service, "m-front", "myodaiji", Some(7))),
        standbys: vec![instance(service, "y-front", "yamate", None)],
    };
    let follower = |name: &str| Follower { name: name.to_owned(), current: true, offline: false, lag: 0 };
    let stream = |bucket: &str| StreamView {
        bucket: bucket.to_owned(),
        replicas: 3,
        leader: Some("m-front".to_owned()),
        followers: vec![follower("y-front"), follower("witness")],
        last: 12,
    };
    let voter = |host: &str, site: &str| Voter {
        host: host.to_owned(),
        site: site.parse().ok(),
        name: Some(host.to_owned()),
        votes: true,
        online: true,
        current: true,
    };
    let servers = vec![voter("m-front", "myodaiji"), voter("y-front", "yamate"), voter("witness", "")];
    Status {
        wish: None,
        services: Service::OF_FRONT.into_iter().map(service).collect(),
        streams: ["vms", "nodes", "images"].into_iter().map(stream).collect(),
        quorum: Some(Quorum { leader: Some("m-front".to_owned()), needed: 2, servers, others: Vec::new() }),
    }
}

/// An outage that has been so for a moment only.
pub(in crate::doctor) fn outage(scope: Scope, state: State) -> OutageView {
    let mut outage: OutageView = golden!("reply.OutageView.json");
    (outage.scope, outage.state, outage.changed_at) = (scope, state, NOW);
    (outage.paused_at, outage.window) = (None, None);
    outage.at_risk.clear();
    outage
}

/// What would become of a site of which one server stays by its own policy.
pub(in crate::doctor) fn plan_with_one_left() -> OutagePlan {
    golden!("reply.OutagePlan.json")
}

/// A server on m1 that is to run and has just come into this state.
pub(in crate::doctor) fn server(name: &str, state: vm::State) -> VmView {
    let mut server: VmView = golden!("reply.VmView.json");
    (server.name, server.state, server.desired) = (name.parse().unwrap(), state, vm::Desired::Running);
    (server.node, server.fault, server.changed_at) = (Some("m1".parse().unwrap()), None, NOW);
    server
}

/// A host on which the doctor is called and nothing is wrong.
pub(in crate::doctor) fn host() -> Host {
    Host::well("m1".parse().unwrap())
}

/// What that host sees of another node, which is as it should be.
pub(in crate::doctor) fn around() -> Around {
    let peer = Peer {
        node: "y1".parse().unwrap(),
        address: "192.0.2.21".to_owned(),
        unnamed: false,
        closed: Vec::new(),
        narrow: None,
        rtt_ms: Some(1),
    };
    Around { host: host().name, peers: vec![peer], strangers: BTreeMap::new() }
}

/// A cluster in which nothing is wrong.
pub(in crate::doctor) fn healthy() -> Facts {
    let mut page: SitePage = golden!("reply.SitePage.json");
    for site in &mut page.sites {
        (site.state, site.outage) = (ACTIVE.to_owned(), None);
        if let Some(power) = &mut site.power {
            (power.supply, power.seconds_left) = (Supply::Mains, None);
        }
    }
    let image: ImageView = golden!("reply.ImageView.json");
    let networks: Vec<NetworkView> =
        serde_json::from_str(include_str!("../../../../../shared/contracts/tests/golden/reply.NetworkView.json"))
            .unwrap();
    let mut plan = plan_with_one_left();
    plan.failed.clear();
    Facts {
        nodes: vec![node("m1", "myodaiji"), node("y1", "yamate")],
        sites: page.sites,
        plans: vec![plan],
        images: vec![image],
        networks,
        upses: vec![UpsView { site: "myodaiji".parse().unwrap(), name: "ups1@192.0.2.7".to_owned(), answers: true }],
        control: Some(control()),
        ..Facts::none(NOW)
    }
}
