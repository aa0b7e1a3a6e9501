//! Moments of servers' disks that have a name, with a real QEMU.

use watari_contracts::agent::{DiskUse, Domain, Mark, Named, RevertDisk, TakeSnapshot};
use watari_model::{Refusal, image::Consistency};
use watari_node_agent::{
    hypervisor::{BackingFile, DiskFormat, disk},
    record::Marking,
};

use crate::{
    assert_stale, failed,
    layers::{freeze, indices, layer_path, qemu_io, record, stands_on, writes_to},
    order, remove,
    scene::scene,
    start, stop,
};

fn named(numbers: &[u64]) -> Named {
    Named { newest: 9, numbers: numbers.to_vec(), layers: Vec::new() }
}

pub(crate) fn take(vm: &str, generation: u64, number: u64) -> TakeSnapshot {
    let numbers: Vec<u64> = (1..=number).collect();
    TakeSnapshot {
        order: order(&format!("take-{vm}-{number}")),
        vm: vm.parse().unwrap(),
        generation,
        number,
        named: named(&numbers),
    }
}

pub(crate) fn revert(vm: &str, operation: &str, generation: u64, layer: u32) -> RevertDisk {
    RevertDisk { order: order(operation), vm: vm.parse().unwrap(), generation, layer }
}

fn kept(marks: &[Mark]) -> Vec<(u64, u32)> {
    marks.iter().map(|mark| (mark.number, mark.layer)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_goes_back_to_what_it_was_when_it_was_kept_running_or_off() {
    let scene = scene().await;
    let agent = scene.agent("moment").await;
    let path = |index| layer_path(scene, &agent, "moment", index);
    agent.done(start(scene, "moment", 1, DiskUse::MayCreate)).await;
    agent.done(stop("moment", 1)).await;
    qemu_io(&path(0), "write -P 1 32M 1M");
    agent.done(start(scene, "moment", 2, DiskUse::Existing)).await;
    let fact = agent.done(take("moment", 2, 1)).await.fact;
    assert_eq!((indices(&fact.stack), kept(&fact.stack.marks)), ((vec![0], 1), vec![(1, 0)]));
    assert!(writes_to(scene, &agent, "moment", 1).await);
    // No agent of its own is in this guest.
    assert_eq!((fact.domain, fact.stack.marks[0].consistency), (Domain::Running, Consistency::Crash));
    let again = TakeSnapshot { order: order("again"), ..take("moment", 2, 1) };
    assert_eq!(agent.done(again).await.fact.stack, fact.stack, "a number is taken once");
    let answer = agent.ended(revert("moment", "alive", 2, 0)).await;
    assert!(matches!(failed(&answer), Refusal::AgentState { .. }), "{answer:?}");

    agent.done(stop("moment", 2)).await;
    qemu_io(&path(1), "write -P 2 32M 1M");
    let fact = agent.done(take("moment", 2, 2)).await.fact;
    assert_eq!((indices(&fact.stack), kept(&fact.stack.marks)), ((vec![0, 1], 2), vec![(1, 0), (2, 1)]));
    assert!(matches!(fact.domain, Domain::Off(_)) && fact.disk, "{fact:?}");
    assert_eq!(stands_on(scene, &agent, "moment", 2).await, Some(path(1)));
    qemu_io(&path(2), "write -P 3 32M 1M");
    let answer = agent.ended(revert("moment", "nowhere", 2, 7)).await;
    assert!(matches!(failed(&answer), Refusal::SnapshotLayerMissing { .. }), "{answer:?}");

    let fact = agent.done(revert("moment", "second", 2, 1)).await.fact;
    assert_eq!((indices(&fact.stack), kept(&fact.stack.marks)), ((vec![0, 1], 3), vec![(1, 0), (2, 1)]));
    qemu_io(&path(3), "read -P 2 32M 1M");
    let fact = agent.done(revert("moment", "first", 2, 0)).await.fact;
    assert_eq!((indices(&fact.stack), kept(&fact.stack.marks)), ((vec![0], 4), vec![(1, 0)]));
    qemu_io(&path(4), "read -P 1 32M 1M");
    for index in 1..4 {
        assert!(!path(index).exists(), "layer {index} is left");
    }
    let fact = agent.done(start(scene, "moment", 3, DiskUse::Existing)).await.fact;
    assert_eq!((indices(&fact.stack), fact.domain), ((vec![0], 4), Domain::Running));
    assert!(writes_to(scene, &agent, "moment", 4).await);
    assert_stale(agent.order(revert("moment", "late", 2, 0)).await);
    agent.done(remove(scene, "moment", 3)).await;
    assert!(!path(0).exists() && !path(4).exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_kept_is_not_merged_with_what_came_later_until_its_name_is_forgotten() {
    let scene = scene().await;
    let agent = scene.agent("apart").await;
    agent.done(start(scene, "apart", 1, DiskUse::MayCreate)).await;
    agent.done(freeze("apart", "first", 1, 0)).await;
    agent.done(take("apart", 1, 1)).await;
    let frozen = |operation: &str, numbers: &[u64]| {
        let mut order = freeze("apart", operation, 1, 0);
        order.named = named(numbers);
        order
    };
    for operation in ["second", "third", "fourth"] {
        agent.done(frozen(operation, &[1])).await;
    }
    let fact = agent.done(frozen("fifth", &[1])).await.fact;
    assert_eq!((indices(&fact.stack), kept(&fact.stack.marks)), ((vec![0, 1, 5], 6), vec![(1, 1)]));

    // An order of before the name was given does not know of it.
    for operation in ["sixth", "seventh"] {
        agent.done(freeze("apart", operation, 1, 0)).await;
    }
    let fact = agent.done(freeze("apart", "eighth", 1, 0)).await.fact;
    assert_eq!(indices(&fact.stack), (vec![0, 1, 8], 9));
    for operation in ["ninth", "tenth"] {
        agent.done(frozen(operation, &[])).await;
    }
    let fact = agent.done(frozen("eleventh", &[])).await.fact;
    assert_eq!(indices(&fact.stack), (vec![11], 12), "nobody needs it any more");
    agent.done(remove(scene, "apart", 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_agent_left_in_the_middle_is_finished_or_taken_back_by_the_next() {
    let scene = scene().await;
    let agent = scene.agent("broken").await;
    agent.done(start(scene, "broken", 1, DiskUse::MayCreate)).await;
    // Written down, and not begun.
    let mut begun = record(&agent, "broken").await;
    let marking = Marking { number: 1, consistency: Consistency::Crash };
    (begun.freezing, begun.marking) = (true, Some(marking));
    agent.agent.node().journal.save(&begun).await.unwrap();
    let agent = agent.restart().await;
    let fact = agent.done(take("broken", 1, 1)).await.fact;
    assert_eq!((indices(&fact.stack), kept(&fact.stack.marks)), ((vec![0], 1), vec![(1, 0)]));
    assert!(writes_to(scene, &agent, "broken", 1).await);

    // The layer is made and not written down: what was written is still there.
    agent.done(stop("broken", 1)).await;
    qemu_io(&layer_path(scene, &agent, "broken", 1), "write -P 2 32M 1M");
    let mut begun = record(&agent, "broken").await;
    begun.reverting = Some(0);
    agent.agent.node().journal.save(&begun).await.unwrap();
    let lowest = BackingFile { path: layer_path(scene, &agent, "broken", 0), format: DiskFormat::Qcow2 };
    disk::create_overlay(&layer_path(scene, &agent, "broken", 2), &lowest, 1 << 30).await.unwrap();
    let agent = agent.restart().await;
    let fact = agent.done(start(scene, "broken", 2, DiskUse::Existing)).await.fact;
    assert_eq!(indices(&fact.stack), (vec![0], 1));
    assert!(!layer_path(scene, &agent, "broken", 2).exists());
    agent.done(stop("broken", 2)).await;
    qemu_io(&layer_path(scene, &agent, "broken", 1), "read -P 2 32M 1M");

    // Done, and the files that are to go are left.
    let before = record(&agent, "broken").await;
    agent.done(revert("broken", "back", 2, 0)).await;
    let mut begun = record(&agent, "broken").await;
    begun.dropped = vec![before.stack.top];
    agent.agent.node().journal.save(&begun).await.unwrap();
    std::fs::write(layer_path(scene, &agent, "broken", 1), "left").unwrap();
    let agent = agent.restart().await;
    let fact = agent.done(start(scene, "broken", 3, DiskUse::Existing)).await.fact;
    assert_eq!(indices(&fact.stack), (vec![0], 2));
    assert!(!layer_path(scene, &agent, "broken", 1).exists());
    agent.done(remove(scene, "broken", 3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_journal_does_not_take_what_was_kept_of_a_server_that_is_off_for_its_disk() {
    let scene = scene().await;
    let agent = scene.agent("forgot").await;
    agent.done(start(scene, "forgot", 1, DiskUse::MayCreate)).await;
    agent.done(stop("forgot", 1)).await;
    agent.done(take("forgot", 1, 1)).await;
    let agent = agent.restart_without_journal().await;
    let fact = agent.until("forgot", |fact| fact.granted).await;
    assert_eq!(indices(&fact.stack), (vec![0], 1));
    agent.done(remove(scene, "forgot", 1)).await;
}
