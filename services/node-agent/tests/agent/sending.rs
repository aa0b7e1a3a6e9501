//! A sending that is broken off: whatever it was at, what is told of it says that nothing travels.

use watari_contracts::agent::{Abort, DiskUse, Domain, Phase, Progress, Send};

use crate::{order, remove, scene::scene, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sending_that_is_broken_off_before_anything_has_travelled_is_over() {
    let scene = scene().await;
    let agent = scene.agent("early").await;
    agent.done(start(scene, "early", 1, DiskUse::MayCreate)).await;
    // At once, and ever later; nobody listens at that address.
    for round in 0..8 {
        let migration: watari_model::MigrationId = format!("early-{round}").parse().unwrap();
        let send = Send {
            order: order(&format!("send-{round}")),
            migration: migration.clone(),
            vm: "early".parse().unwrap(),
            generation: 1,
            to: "y1".parse().unwrap(),
            address: "127.0.0.1".to_owned(),
            bandwidth_mib: 0,
            downtime_ms: 0,
            top: 0,
            disk_gib: None,
            max_downtime_seconds: None,
        };
        let abort = Abort {
            order: order(&format!("abort-{round}")),
            migration: migration.clone(),
            vm: "early".parse().unwrap(),
        };
        let later = async {
            for _ in 0..round {
                agent.observe("early").await;
            }
            agent.done(abort).await
        };
        // Whether libvirt was called, and complained, or not any more: the order is over.
        let (_, broken_off) = tokio::join!(biased; agent.ended(send), later);
        assert_eq!(broken_off.progress, Progress::Done);
        let fact = agent.observe("early").await;
        assert_eq!(fact.domain, Domain::Running);
        let passage = fact.passage.filter(|passage| passage.migration == migration);
        assert_eq!(passage.map(|passage| passage.phase), Some(Phase::Ended), "round {round}");
    }
    agent.done(remove(scene, "early", 1)).await;
}
