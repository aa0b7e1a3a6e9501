//! Disks that outlive their servers, with a real QEMU.

use watari_contracts::agent::{DiskUse, Domain, DropDisk, Grow, KeepDisk, Remove, Server, Start};
use watari_model::{ProjectName, Refusal, vm::Growth};
use watari_node_agent::hypervisor::{DiskFormat, disk};

use crate::{failed, layers::freeze, order, remove, scene::scene, start, stop};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_disk_outlives_its_server_and_another_begins_with_all_of_its_layers() {
    let scene = scene().await;
    let agent = scene.agent("keeps").await;
    let (first, layout) = (scene.server("keeps"), agent.agent.node().layout.clone());
    let told = |agent: &crate::scene::TestAgent| agent.agent.node().kept.told();
    agent.done(start(scene, "keeps", 1, DiskUse::MayCreate)).await;
    agent.done(freeze("keeps", "freeze", 1, 0)).await;
    let grow = Grow { order: order("grow"), vm: first.name.clone(), generation: 1, growth: Growth::DiskGib(2) };
    agent.done(grow).await;
    let project: ProjectName = "research".parse().unwrap();
    let keep = KeepDisk { base: first.base.clone(), disk_gib: first.disk_gib, project: project.clone() };
    let gone = Remove { keep_disk: Some(keep.clone()), ..remove(scene, "keeps", 1) };
    let fact = agent.done(gone).await.fact;
    assert_eq!(fact.domain, Domain::Absent);
    let kept = told(&agent).remove(&first.uuid).expect("it is told that the disk is here");
    // Its document had not heard yet that it grew.
    assert_eq!((kept.vm.as_str(), &kept.base, kept.disk_gib), ("keeps", &first.base, first.disk_gib + 1));
    assert_eq!(kept.project, Some(project), "with which it is still counted");
    assert!(kept.size_bytes > 0 && layout.layer(&first.uuid, 0).exists() && layout.layer(&first.uuid, 1).exists());

    // Whatever order comes late, and whoever looks at it after a restart: it stays.
    agent.done(Remove { order: order("late"), ..remove(scene, "keeps", 1) }).await;
    let agent = agent.restart().await;
    assert_eq!(told(&agent).get(&first.uuid), Some(&kept));

    let second = Server { uuid: "0b5c1d7e-2222-4222-8333-444455556666".to_owned(), disk_gib: 2, ..first.clone() };
    let begin = |operation: &str, generation: u64, kept: &str| Start {
        order: order(operation),
        server: second.clone(),
        kept: Some(kept.to_owned()),
        ..start(scene, "keeps", generation, DiskUse::MayCreate)
    };
    let answer = agent.ended(begin("nothing", 1, "0b5c1d7e-3333-4222-8333-444455556666")).await;
    assert!(matches!(failed(&answer), Refusal::DiskUnknown { .. }), "{answer:?}");
    assert!(!layout.layer(&second.uuid, 0).exists(), "nothing is made in the place of what is not there");
    let fact = agent.done(begin("begin", 2, &first.uuid)).await.fact;
    assert_eq!((fact.domain, fact.stack.top, fact.stack.layers.len()), (Domain::Running, 1, 1));
    assert!(told(&agent).is_empty() && !layout.layer(&first.uuid, 0).exists());
    let info = disk::info(&layout.layer(&second.uuid, 1), DiskFormat::Qcow2).await.unwrap();
    assert_eq!((info.virtual_bytes, info.backing), (2 << 30, Some(layout.layer(&second.uuid, 0))));
    let below = disk::info(&layout.layer(&second.uuid, 0), DiskFormat::Qcow2).await.unwrap();
    assert_eq!(below.backing, Some(layout.image(&first.base.sha256, first.base.format)));

    agent.done(stop("keeps", 2)).await;
    // Asked for once more, it has what it wants already.
    agent.done(begin("again", 3, &first.uuid)).await;
    let gone = Remove { uuid: second.uuid.clone(), keep_disk: Some(keep), ..remove(scene, "keeps", 3) };
    agent.done(gone).await;
    assert!(told(&agent).contains_key(&second.uuid));
    let drop = || DropDisk { order: order("drop"), uuid: second.uuid.clone() };
    agent.agent.drop_disk(drop()).await.unwrap();
    assert!(told(&agent).is_empty() && !layout.layer(&second.uuid, 0).exists());
    agent.agent.drop_disk(drop()).await.unwrap();
}
