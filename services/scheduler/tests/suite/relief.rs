//! What the monitor tells of an overloaded node moves a server, where that is wanted.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{Cloud, SOON};
use watari_chassis::clock;
use watari_contracts::{
    monitor::{CapacityChanged, Processors},
    scheduler::ListMigrations,
    subjects,
};
use watari_model::{
    NodeName,
    migration::Reason,
    node::{State, Strain},
};
use watari_testkit::{eventually, eventually_some};

fn told(node: &NodeName, used_milli: u64, busy: &[(&str, u64)]) -> CapacityChanged {
    CapacityChanged {
        node: node.clone(),
        site: "myodaiji".parse().unwrap(),
        state: State::Ready,
        memory_free_mib: 1_024,
        disk_free_gib: 50,
        processors: Some(Processors { total_milli: 8_000, used_milli, calm_milli: 6_000 }),
        busy: busy.iter().map(|(vm, milli)| (vm.parse().unwrap(), *milli)).collect::<BTreeMap<_, _>>(),
        at: clock::now(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_leaves_an_overloaded_node_for_a_calm_one_of_its_site_and_stays_there() {
    let cloud = Cloud::start().await;
    let from = cloud.running("mail", "myodaiji").await.node.unwrap();
    let other: NodeName = if from.as_str() == "m1" { "m2" } else { "m1" }.parse().unwrap();
    eventually_some("the node is overloaded", SOON, || async {
        let entry = cloud.nodes.get(from.as_str())?;
        let mut node = entry.value.clone();
        node.strains = BTreeSet::from([Strain::Overloaded]);
        cloud.nodes.update(&node, entry.revision).await.ok()
    })
    .await;
    let events = [told(&from, 7_500, &[("mail", 1_800)]), told(&other, 400, &[])];
    // An event may come before the scheduler hears; the monitor tells it again too.
    eventually("it has moved", SOON, || async {
        for event in &events {
            let subject = subjects::capacity(&event.site, &event.node);
            cloud.ctx.bus.publish_json(&subject, event).await.unwrap();
        }
        cloud.vm("mail").await.node.as_ref() == Some(&other)
    })
    .await;
    let page = cloud.ask(&ListMigrations::default()).await.unwrap();
    let moves: Vec<_> = page.migrations.iter().map(|m| (m.reason, m.from.clone(), m.to.clone())).collect();
    assert_eq!(moves, [(Reason::Relief, from, other)]);
}
