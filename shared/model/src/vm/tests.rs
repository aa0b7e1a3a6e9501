use proptest::prelude::*;
use time::OffsetDateTime;

use super::*;

pub(super) fn vm() -> Vm {
    let at = Timestamp(OffsetDateTime::UNIX_EPOCH);
    Vm {
        v: 1,
        name: "mail".parse().unwrap(),
        uuid: "00000000-0000-4000-8000-000000000001".to_owned(),
        project: ProjectName::default(),
        spec: Spec {
            vcpus: 1,
            memory_mib: 192,
            disk_gib: 2,
            base: Base {
                image: "mini".parse().unwrap(),
                sha256: "0".repeat(64),
                format: crate::image::Format::Qcow2,
                firmware: Default::default(),
            },
            nics: Vec::new(),
            node_labels: std::collections::BTreeMap::new(),
            groups: Vec::new(),
            firewalls: Vec::new(),
            probes: Vec::new(),
            after: Vec::new(),
            evacuate: Evacuate::Live,
            priority: 0,
            restart: Restart::Always,
            on_isolation: OnIsolation::Keep,
            restart_from_copy_seconds: None,
            max_downtime_seconds: None,
            display: false,
            first_boot: FirstBoot::default(),
        },
        desired: Desired::Running,
        force_off: false,
        keep_disk: false,
        booted: false,
        home_site: "myodaiji".parse().unwrap(),
        state: State::Pending,
        grant: None,
        crossing: None,
        leftovers: Vec::new(),
        fault: None,
        pending: None,
        reboots: Reboots::default(),
        preseed: None,
        snapshots: Snapshots::default(),
        halt: None,
        guarded: None,
        unseen: None,
        restored: None,
        migrations: 0,
        requests: Vec::new(),
        created_at: at,
        changed_at: at,
    }
}

fn changes() -> impl Strategy<Value = Change> {
    let node = prop_oneof![Just("m1"), Just("m2"), Just("y1")].prop_map(|n| n.parse::<NodeName>().unwrap());
    prop_oneof![
        node.clone().prop_map(Change::Granted),
        Just(Change::GrantedCopy),
        Just(Change::CopyDiscarded),
        Just(Change::GrantedBack),
        Just(Change::SeenRunning),
        Just(Change::SeenOff),
        Just(Change::SeenSaved),
        Just(Change::StartAsked),
        Just(Change::StopAsked),
        node.prop_map(|to| Change::MigrationBegan { id: "mail-1".parse().unwrap(), to }),
        Just(Change::Switched),
        Just(Change::Abandoned),
        Just(Change::Regranted),
        Just(Change::LeftBehind("y2".parse().unwrap())),
        Just(Change::MigrationEnded),
        Just(Change::Broke(Refusal::VmUnknown { vm: "mail".to_owned() })),
        (1_u32..4).prop_map(|vcpus| Change::Resized(Size { vcpus, memory_mib: 192, disk_gib: 2 })),
        (1_u32..4).prop_map(|vcpus| Change::Grown(Growth::Vcpus(vcpus))),
        (190_u64..194).prop_map(|mib| Change::Grown(Growth::MemoryMib(mib))),
        Just(Change::DeleteAsked),
    ]
}

proptest! {
    #[test]
    fn no_sequence_of_changes_leaves_the_table(sequence in prop::collection::vec(changes(), 0..40)) {
        let mut vm = vm();
        let now = vm.created_at;
        for change in sequence {
            let before = vm.clone();
            let grown = matches!(change, Change::Grown(_));
            match vm.apply(change.clone(), now) {
                Err(_) => prop_assert_eq!(&vm, &before, "a refused change left a trace"),
                Ok(()) => {
                    prop_assert!(vm.generation() >= before.generation(), "a generation went back");
                    if vm.node() != before.node() {
                        prop_assert_eq!(vm.generation(), before.generation() + 1, "a node changed without a new grant");
                    }
                }
            }
            // What failed to start may be alive as well.
            let alive = |vm: &Vm| vm.grant.is_some() && !matches!(vm.state, State::Stopped | State::Deleting);
            prop_assert!(
                !(alive(&before) && alive(&vm)) || grown || vm.spec.size() == before.spec.size(),
                "it changed its size while alive"
            );
            let shrank = vm.spec.vcpus < before.spec.vcpus || vm.spec.memory_mib < before.spec.memory_mib;
            prop_assert!(!grown || !shrank, "it shrank while alive");
            let off = matches!(vm.state, State::Pending | State::Stopped);
            prop_assert!(!off || vm.pending.is_none(), "it is off, and still of the old size");
            prop_assert_ne!(vm.pending, Some(vm.spec.size()));
            prop_assert_eq!(vm.crossing.is_some(), vm.state == State::Migrating);
            let granted = !matches!(vm.state, State::Pending | State::Failed | State::Deleting);
            prop_assert!(!granted || vm.grant.is_some(), "{:?} without a grant", vm.state);
            if let Some(crossing) = &vm.crossing {
                prop_assert!(!(crossing.switched && crossing.abandoned), "given up and switched over");
                prop_assert_eq!(Some(&crossing.to) == vm.node(), crossing.switched);
            }
        }
    }
}

#[test]
fn a_migration_moves_the_grant_once_and_remembers_the_copy_left_behind() {
    let mut vm = vm();
    let now = vm.created_at;
    vm.apply(Change::Granted("m1".parse().unwrap()), now).unwrap();
    vm.apply(Change::SeenRunning, now).unwrap();
    vm.apply(Change::MigrationBegan { id: "mail-1".parse().unwrap(), to: "y1".parse().unwrap() }, now).unwrap();
    assert_eq!(vm.reserves_on().map(NodeName::as_str).collect::<Vec<_>>(), ["m1", "y1"]);
    vm.apply(Change::Switched, now).unwrap();
    assert!(vm.apply(Change::Switched, now).is_err());
    vm.apply(Change::MigrationEnded, now).unwrap();
    assert_eq!((vm.node().unwrap().as_str(), vm.generation(), vm.leftovers.len()), ("y1", 2, 1));
}

#[test]
fn a_new_size_is_kept_free_for_at_once_and_comes_true_when_it_is_off() {
    let mut vm = vm();
    let now = vm.created_at;
    vm.apply(Change::Granted("m1".parse().unwrap()), now).unwrap();
    vm.apply(Change::SeenRunning, now).unwrap();
    let (old, new) = (vm.spec.size(), Size { vcpus: 4, memory_mib: 96, disk_gib: 5 });
    vm.apply(Change::Resized(new), now).unwrap();
    assert_eq!((vm.spec.size(), vm.pending), (old, Some(new)));
    assert_eq!(vm.claims(), Size { vcpus: 4, memory_mib: 192, disk_gib: 5 });
    vm.apply(Change::StopAsked, now).unwrap();
    vm.apply(Change::SeenOff, now).unwrap();
    assert_eq!((vm.spec.size(), vm.pending, vm.claims()), (new, None, new));
    // Off already: at once.
    vm.apply(Change::Resized(old), now).unwrap();
    assert_eq!((vm.spec.size(), vm.pending), (old, None));
}

#[test]
fn what_grows_while_it_runs_is_so_at_once_and_the_rest_waits_for_its_next_start() {
    let mut vm = vm();
    let now = vm.created_at;
    vm.apply(Change::Granted("m1".parse().unwrap()), now).unwrap();
    let new = Size { vcpus: 2, memory_mib: 256, disk_gib: 3 };
    assert!(vm.apply(Change::Grown(Growth::DiskGib(3)), now).is_err(), "nobody has seen it run");
    vm.apply(Change::SeenRunning, now).unwrap();
    vm.apply(Change::Resized(new), now).unwrap();
    assert_eq!(vm.growing().collect::<Vec<_>>(), [Growth::DiskGib(3), Growth::Vcpus(2), Growth::MemoryMib(256)]);
    vm.apply(Change::Grown(Growth::DiskGib(3)), now).unwrap();
    assert_eq!((vm.spec.size(), vm.pending), (Size { vcpus: 1, memory_mib: 192, disk_gib: 3 }, Some(new)));
    assert!(vm.grows_now());

    // What is in the way of one part is told until another size is asked for.
    let fault = Refusal::GrowthWaits { vm: "mail".to_owned(), detail: crate::Said::both("1") };
    vm.fault = Some(fault);
    assert!(!vm.grows_now() && vm.growing().next().is_some());
    vm.apply(Change::Resized(new), now).unwrap();
    assert_eq!((vm.fault.clone(), vm.grows_now()), (None, true));
    vm.apply(Change::Grown(Growth::Vcpus(2)), now).unwrap();
    assert_eq!((vm.pending, vm.claims(), vm.grows_now()), (Some(new), new, true), "there is its memory yet");
    vm.apply(Change::Grown(Growth::MemoryMib(256)), now).unwrap();
    assert_eq!((vm.spec.size(), vm.pending, vm.grows_now()), (new, None, false), "all of it is so");

    // Less is no growth.
    let less = Size { vcpus: 1, memory_mib: 192, disk_gib: 3 };
    vm.apply(Change::Resized(less), now).unwrap();
    assert_eq!((vm.growing().next(), vm.claims()), (None, new));
    vm.apply(Change::SeenOff, now).unwrap();
    assert_eq!((vm.spec.size(), vm.claims()), (less, less), "it is less once it is off");
}

#[test]
fn a_suspended_server_keeps_its_size_and_its_node_until_it_has_run_again() {
    let mut vm = vm();
    let now = vm.created_at;
    vm.apply(Change::Granted("m1".parse().unwrap()), now).unwrap();
    vm.apply(Change::SeenRunning, now).unwrap();
    assert!(vm.apply(Change::SeenSaved, now).is_err(), "nobody has asked for that");
    vm.apply(Change::StopAsked, now).unwrap();
    vm.apply(Change::SeenSaved, now).unwrap();
    let larger = Size { vcpus: 4, memory_mib: 96, disk_gib: 5 };
    assert!(vm.apply(Change::Resized(larger), now).is_err(), "its memory is that of the old size");
    assert_eq!(vm.reserves_on().count(), 1, "its room waits for it");
    vm.apply(Change::Granted("m1".parse().unwrap()), now).unwrap();
    assert_eq!((vm.state, vm.generation()), (State::Starting, 2));
}

#[test]
fn what_is_sent_ahead_is_taken_back_until_it_is_done_and_what_arrived_before_stays() {
    let (at, y1): (Timestamp, NodeName) = (vm().created_at, "y1".parse().unwrap());
    let mut mail = vm();
    mail.cancel_preseed(at);
    assert_eq!(mail.preseed, None, "nobody asked");
    mail.ask_preseed(Some(y1.clone()), at);
    mail.cancel_preseed(at);
    let taken_back = mail.preseed.clone().unwrap();
    assert_eq!((taken_back.is_due(), taken_back.cancelled, mail.seeded_on()), (false, true, None));
    let again = mail.clone();
    mail.cancel_preseed(at);
    assert_eq!(mail, again, "asking twice changes nothing");
    mail.ask_preseed(Some(y1.clone()), at);
    assert!(mail.preseed.as_ref().is_some_and(|preseed| preseed.is_due() && preseed.number == 2));
    let done = Seeded { number: 2, node: y1.clone(), at, bytes: 7, copy: None };
    mail.preseed.as_mut().unwrap().done = Some(done.clone());
    mail.cancel_preseed(at);
    assert!(mail.preseed.as_ref().is_some_and(|preseed| !preseed.cancelled), "it is done");
    mail.ask_preseed(Some("y2".parse().unwrap()), at);
    mail.cancel_preseed(at);
    assert_eq!((mail.seeded_on(), mail.preseed.clone().unwrap().done), (Some(&y1), Some(done)));
}
