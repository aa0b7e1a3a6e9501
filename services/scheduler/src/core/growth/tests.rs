//! What is ordered of a server that is to grow, and what is told of it.

use std::{collections::BTreeMap, sync::Arc};

use watari_contracts::agent::NodeFacts;
use watari_model::{Said, migration::Migration, vm::Size};

use super::*;
use crate::core::{
    Action, Rules,
    snapshot::{Answer, Heard},
    tests::documents::{Documents, at, facts, migration, name, node, put, runs, vm},
};

const DISK: Growth = Growth::DiskGib(3);
const VCPUS: Growth = Growth::Vcpus(2);
const MEMORY: Growth = Growth::MemoryMib(256);

/// Mail runs on m1 and is to have another processor, more memory and a larger disk.
fn mail() -> Vm {
    let mut mail = vm("mail", 128);
    let size = Size { vcpus: 2, memory_mib: 256, disk_gib: 3 };
    for change in [Change::Granted(name("m1")), Change::SeenRunning, Change::Resized(size)] {
        mail.apply(change, at(0)).unwrap();
    }
    mail
}

fn snapshot(mail: &Vm, migrations: &[Migration], answers: &[(Growth, Outcome)]) -> Snapshot {
    let (mut docs, mut counter) = (Documents::default(), 0);
    put(&mut docs.nodes, &mut counter, node("m1", "myodaiji", 4096), 0);
    put(&mut docs.vms, &mut counter, mail.clone(), 0);
    for migration in migrations {
        put(&mut docs.migrations, &mut counter, migration.clone(), 0);
    }
    let vms = BTreeMap::from([(mail.name.clone(), runs(mail))]);
    let heard = Heard { facts: Arc::new(NodeFacts { vms, ..facts("m1", "myodaiji") }), age_ms: 0 };
    let grant = mail.grant.as_ref().unwrap();
    let answers = answers.iter().map(|(growth, outcome)| {
        let answer = Answer { attempt: 0, outcome: outcome.clone(), age_ms: 0, news: false };
        (naming::at(&operation(mail, grant, *growth), &grant.node), answer)
    });
    Snapshot {
        epoch: 1,
        vms: docs.vms,
        migrations: docs.migrations,
        nodes: docs.nodes,
        heard: BTreeMap::from([(name("m1"), heard)]),
        answers: answers.collect(),
        ..Snapshot::default()
    }
}

fn decided(snap: &Snapshot) -> Vec<Action> {
    let rules = Rules::default();
    let mut turn = Turn::new(snap, &rules, at(1_000));
    decide(&mut turn, &snap.vms["mail"]);
    turn.actions
}

fn answered(mail: &Vm, progress: Progress) -> Outcome {
    Outcome::Order(progress, runs(mail))
}

/// The one thing that is ordered to grow.
fn ordered(actions: &[Action]) -> Growth {
    match actions {
        [Action::Order { order: Order::Grow(grow), .. }] => grow.growth,
        other => panic!("{other:?}"),
    }
}

/// The document that is written, and nothing else.
fn written(actions: &[Action]) -> &Vm {
    match actions {
        [Action::StoreVm { vm, .. }] => vm,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_disk_grows_then_the_processors_then_the_memory() {
    let mail = mail();
    assert_eq!(ordered(&decided(&snapshot(&mail, &[], &[]))), DISK);
    let grown = decided(&snapshot(&mail, &[], &[(DISK, answered(&mail, Progress::Done))]));
    let mail = written(&grown).clone();
    assert_eq!((mail.spec.disk_gib, mail.spec.vcpus), (3, 1));
    assert_eq!(ordered(&decided(&snapshot(&mail, &[], &[]))), VCPUS);
    let grown = decided(&snapshot(&mail, &[], &[(VCPUS, answered(&mail, Progress::Done))]));
    let mail = written(&grown).clone();
    assert_eq!((mail.spec.vcpus, mail.pending.map(|then| then.memory_mib)), (2, Some(256)));
    assert_eq!(ordered(&decided(&snapshot(&mail, &[], &[]))), MEMORY);
    let grown = decided(&snapshot(&mail, &[], &[(MEMORY, answered(&mail, Progress::Done))]));
    let mail = written(&grown).clone();
    assert_eq!((mail.spec.memory_mib, mail.pending), (256, None));
    assert_eq!(decided(&snapshot(&mail, &[], &[])), [], "all of it is so");
}

#[test]
fn what_cannot_grow_now_is_told_once_and_keeps_no_other_part_from_growing() {
    let mail = mail();
    let busy = Refusal::Hypervisor { node: "m1".to_owned(), detail: "no".to_owned() };
    let failed = (DISK, answered(&mail, Progress::Failed(busy)));
    assert_eq!(ordered(&decided(&snapshot(&mail, &[], std::slice::from_ref(&failed)))), VCPUS);
    let never = Refusal::GrowthWaits { vm: "mail".to_owned(), detail: Said::both("1") };
    let not_taken = Refusal::MemoryNotTaken { vm: "mail".to_owned() };
    let memory = (MEMORY, answered(&mail, Progress::Failed(not_taken)));
    let all = [failed, (VCPUS, answered(&mail, Progress::Failed(never))), memory];
    let told = decided(&snapshot(&mail, &[], &all));
    let mail = written(&told).clone();
    assert!(mail.growth_waits() && mail.pending.is_some() && !mail.grows_now(), "{:?}", mail.fault);
    assert_eq!(decided(&snapshot(&mail, &[], &all)), [], "it is known");
}

#[test]
fn a_guest_that_takes_no_memory_is_told_of_and_asked_again_later() {
    let mut mail = mail();
    for growth in [DISK, VCPUS] {
        mail.apply(Change::Grown(growth), at(0)).unwrap();
    }
    let refused = || Progress::Failed(Refusal::MemoryNotTaken { vm: "mail".to_owned() });
    let told = decided(&snapshot(&mail, &[], &[(MEMORY, answered(&mail, refused()))]));
    let waits = written(&told).clone();
    assert!(waits.growth_waits() && waits.growing().eq([MEMORY]), "{:?}", waits.fault);
    let mut later = snapshot(&waits, &[], &[(MEMORY, answered(&waits, refused()))]);
    for answer in later.answers.values_mut() {
        answer.age_ms = 60_000;
    }
    assert_eq!(ordered(&decided(&later)), MEMORY);
}

#[test]
fn what_is_kept_free_for_memory_stays_while_a_guest_may_have_taken_it() {
    let mail = mail();
    let takes = |answers: &[(Growth, Outcome)]| takes_memory(&snapshot(&mail, &[], answers), &mail);
    let refused = Refusal::MemoryNotTaken { vm: "mail".to_owned() };
    assert!(takes(&[(MEMORY, answered(&mail, Progress::Working))]));
    assert!(takes(&[(MEMORY, answered(&mail, Progress::Done))]));
    assert!(!takes(&[(MEMORY, answered(&mail, Progress::Failed(refused)))]));
    assert!(!takes(&[(DISK, answered(&mail, Progress::Working))]));
}

#[test]
fn nothing_begins_to_grow_before_a_move_and_what_has_begun_is_waited_for() {
    let mail = mail();
    let queued = [migration("mail")];
    let holds = |snap: &Snapshot| holds_up(&Turn::new(snap, &Rules::default(), at(1_000)), &mail);
    let free = snapshot(&mail, &queued, &[]);
    assert_eq!((decided(&free), holds(&free)), (vec![], false));
    // An agent that is too old for the order never answers.
    let nobody = Refusal::NoAnswer { who: "m1".to_owned() };
    let silent = snapshot(&mail, &queued, &[(DISK, Outcome::Silent(nobody))]);
    assert_eq!((decided(&silent), holds(&silent)), (vec![], false));
    let begun = snapshot(&mail, &queued, &[(DISK, answered(&mail, Progress::Working))]);
    assert!(holds(&begun));
    let done = snapshot(&mail, &queued, &[(DISK, answered(&mail, Progress::Done))]);
    assert!(holds(&done) && written(&decided(&done)).spec.disk_gib == 3, "the target must know");
}
