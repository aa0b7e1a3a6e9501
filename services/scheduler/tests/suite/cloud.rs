//! The scheduler on a real bus, with simulated agents: what an operator does and sees.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::support::{
    Cloud, SOON, create,
    fleet::{MOST_MIB, PLACES},
};
use watari_chassis::clock;
use watari_contracts::{
    agent::{Domain, OffReason},
    scheduler::{
        CancelMigration, CancelOutage, CreateVm, DeleteVm, DrainNode, EvacuateSite, GetMigration, GetOutage, GetVm,
        LegName, ListMigrations, ListOutages, ListSites, ListVms, MigrateVm, OutageView, PlanOutage, RebootVm,
        RehearseOutage, ResizeVm, ReturnSite, ScheduleOutage, StartOutage, StartVm, StopVm, VmConsoleLog,
    },
};
use watari_model::{
    Refusal,
    firewall::Firewall,
    migration, outage,
    vm::{Evacuate, Size, State, Way},
};
use watari_testkit::eventually_some;

async fn until_outage(cloud: &Cloud, id: &watari_model::OutageId, state: outage::State) -> OutageView {
    let request = GetOutage { id: id.clone() };
    let look = || async {
        let outage = cloud.ctx.bus.request(&request).await.ok()?;
        (outage.state == state).then_some(outage)
    };
    eventually_some("the outage is as wanted", SOON, look).await
}

async fn until_over(cloud: &Cloud, id: &watari_model::MigrationId) -> watari_contracts::scheduler::MigrationView {
    let request = GetMigration { id: id.clone() };
    let look = || async {
        let migration = cloud.ctx.bus.request(&request).await.ok()?;
        migration.state.over().then_some(migration)
    };
    eventually_some("the migration is over", SOON, look).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_made_stopped_started_rebooted_and_deleted() {
    let cloud = Cloud::start().await;
    let vm = cloud.running("mail", "myodaiji").await;
    assert_eq!((vm.site.unwrap().as_str(), vm.home_site.as_str(), vm.generation), ("myodaiji", "myodaiji", 1));
    assert_eq!(vm.addresses, ["203.0.113.100".parse::<std::net::Ipv4Addr>().unwrap()]);
    let node = vm.node.unwrap().to_string();
    assert_eq!(cloud.fleet.running("mail"), std::slice::from_ref(&node));

    let name = "mail".parse().unwrap();
    let log = cloud.ask(&VmConsoleLog { name, bytes: None }).await.unwrap();
    assert_eq!(log.text, format!("mail on {node}"));

    cloud.ask(&RebootVm { request_id: None, name: "mail".parse().unwrap(), force: true }).await.unwrap();
    eventually_some("it was rebooted", SOON, || async { (cloud.fleet.guest(&node, "mail").boots == 2).then_some(()) })
        .await;

    cloud.ask(&StopVm { request_id: None, name: "mail".parse().unwrap(), force: false }).await.unwrap();
    let stopped = cloud.until("mail", |vm| vm.state == State::Stopped).await;
    assert_eq!(stopped.node.unwrap().as_str(), node);
    assert!(cloud.fleet.guest(&node, "mail").disk, "a stopped server keeps its disk");

    cloud.ask(&StartVm { request_id: None, name: "mail".parse().unwrap(), discard_copy: false }).await.unwrap();
    let again = cloud.until("mail", |vm| vm.state == State::Running).await;
    assert_eq!((again.node.unwrap().as_str(), again.generation), (node.as_str(), 2));

    cloud.ask(&DeleteVm { request_id: None, name: "mail".parse().unwrap(), keep_disk: false }).await.unwrap();
    let gone = || async { cloud.ctx.bus.request(&GetVm { name: "mail".parse().unwrap() }).await.err() };
    eventually_some("it is gone", SOON, gone).await;
    assert!(!cloud.fleet.guest(&node, "mail").disk);
    assert!(cloud.ports.snapshot().is_empty(), "its address is free again");

    // A new server of the old name is another server.
    let reborn = cloud.running("mail", "myodaiji").await;
    assert_ne!(reborn.uuid, vm.uuid);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_shuts_itself_down_stays_down_and_one_that_crashes_is_started_again() {
    let cloud = Cloud::start().await;
    let node = cloud.running("mail", "myodaiji").await.node.unwrap().to_string();
    cloud.fleet.change(&node, "mail", |guest| guest.domain = Domain::Off(OffReason::Crashed)).await;
    let again = cloud.until("mail", |vm| vm.state == State::Running && vm.generation == 2).await;
    assert_eq!(again.node.unwrap().as_str(), node);
    cloud.fleet.change(&node, "mail", |guest| guest.domain = Domain::Off(OffReason::Shutdown)).await;
    let off = cloud.until("mail", |vm| vm.state == State::Stopped).await;
    assert_eq!(off.desired, watari_model::vm::Desired::Stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_grows_while_it_runs_and_the_rest_of_it_by_a_reboot() {
    let cloud = Cloud::start().await;
    let before = cloud.running("mail", "myodaiji").await;
    let node = before.node.clone().unwrap();
    let resize = |vcpus, memory_mib, disk_gib| ResizeVm {
        request_id: None,
        name: "mail".parse().unwrap(),
        vcpus,
        memory_mib,
        disk_gib,
    };
    cloud.ask(&resize(None, Some(MOST_MIB), None)).await.unwrap();
    let grown = cloud.until("mail", |vm| vm.memory_mib == MOST_MIB).await;
    let guest = cloud.fleet.guest(node.as_str(), "mail");
    assert_eq!((grown.pending, guest.boots, guest.size.memory_mib), (None, 1, MOST_MIB));

    let then = Size { vcpus: 2, memory_mib: MOST_MIB + 32, disk_gib: 3 };
    let asked = cloud.ask(&resize(Some(2), Some(then.memory_mib), Some(3))).await.unwrap();
    assert_eq!((asked.vcpus, asked.disk_gib, asked.pending), (before.vcpus, before.disk_gib, Some(then)));
    assert!(asked.growing);
    let grown = cloud.until("mail", |vm| !vm.growing).await;
    assert_eq!((grown.vcpus, grown.memory_mib, grown.disk_gib), (2, MOST_MIB, 3));
    assert_eq!((grown.pending, grown.fault.unwrap().code.as_str()), (Some(then), "vm.growth-waits"));
    let guest = cloud.fleet.guest(node.as_str(), "mail");
    assert_eq!((guest.boots, guest.size), (1, Size { memory_mib: MOST_MIB, ..then }), "it is not disturbed");
    let refused = cloud.ask(&resize(None, Some(4 << 20), None)).await.unwrap_err();
    assert!(matches!(refused, Refusal::NoRoomToGrow { .. }), "{refused:?}");
    assert!(matches!(cloud.ask(&resize(None, None, None)).await, Err(Refusal::Malformed { .. })));
    assert!(matches!(cloud.ask(&resize(Some(0), None, None)).await, Err(Refusal::OutOfRange { .. })));

    cloud.ask(&RebootVm { request_id: None, name: "mail".parse().unwrap(), force: false }).await.unwrap();
    let grown = cloud.until("mail", |vm| vm.state == State::Running && vm.memory_mib == then.memory_mib).await;
    assert_eq!((grown.disk_gib, grown.pending, grown.rebooting, grown.node), (3, None, false, Some(node.clone())));
    let guest = cloud.fleet.guest(node.as_str(), "mail");
    assert_eq!((guest.boots, guest.size), (2, then));
    let refused = cloud.ask(&resize(None, None, Some(2))).await.unwrap_err();
    assert!(matches!(refused, Refusal::DiskShrinks { .. }), "{refused:?}");

    // What its node cannot do while it runs waits, and is told until something else is wanted.
    let asked = cloud.ask(&resize(Some(PLACES + 1), None, None)).await.unwrap();
    assert!(asked.growing && asked.fault.is_none());
    let waits = cloud.until("mail", |vm| vm.fault.is_some()).await;
    assert_eq!(waits.fault.unwrap().code, "vm.growth-waits");
    assert_eq!((waits.vcpus, waits.growing, waits.pending.map(|then| then.vcpus)), (2, false, Some(PLACES + 1)));
    let again = cloud.ask(&resize(Some(2), None, None)).await.unwrap();
    assert_eq!((again.fault, again.pending), (None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_6_a_server_that_does_not_answer_at_its_target_was_not_moved_well() {
    let cloud = Cloud::start().await;
    cloud.running("mail", "myodaiji").await;
    cloud.fleet.answers("mail", None);
    let to =
        |node: &str| MigrateVm { request_id: None, name: "mail".parse().unwrap(), to: Some(node.parse().unwrap()) };
    let id = cloud.ask(&to("y1")).await.unwrap().id;
    // It runs there, but nothing is called a success before it is heard.
    cloud.until("mail", |vm| vm.state == State::Running && vm.generation == 2).await;
    let waiting = cloud.ask(&GetMigration { id: id.clone() }).await.unwrap();
    assert_eq!(waiting.state, migration::State::Switching);
    cloud.fleet.change("y1", "mail", |guest| guest.passage.as_mut().unwrap().answers = Some(true)).await;
    assert_eq!(until_over(&cloud, &id).await.state, migration::State::Completed);

    cloud.fleet.answers("mail", Some(false));
    let mute = until_over(&cloud, &cloud.ask(&to("m1")).await.unwrap().id).await;
    assert_eq!((mute.state, mute.fault.unwrap().code.as_str()), (migration::State::Failed, "migration.unanswering"));
    assert!(mute.measured.is_none(), "it is not among those that moved");
    // It is never started a second time for that, nor stopped.
    assert_eq!(cloud.fleet.running("mail"), ["m1"]);
    let vm = cloud.until("mail", |vm| vm.state == State::Running).await;
    assert_eq!((vm.node.unwrap().as_str(), vm.generation), ("m1", 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_6_a_completed_migration_runs_there_and_is_gone_here() {
    let cloud = Cloud::start().await;
    let from = cloud.running("mail", "myodaiji").await.node.unwrap();
    let wanted =
        MigrateVm { request_id: Some("r1".to_owned()), name: "mail".parse().unwrap(), to: Some("y1".parse().unwrap()) };
    let migration = cloud.ask(&wanted).await.unwrap();
    assert_eq!(cloud.ask(&wanted).await.unwrap().id, migration.id, "asked twice, moved once");
    let over = until_over(&cloud, &migration.id).await;
    assert_eq!(over.state, migration::State::Completed, "{over:?}");
    let measured = over.measured.unwrap();
    assert_eq!((measured.memory_bytes, measured.disk_bytes, measured.downtime_ms), (1_000, 10, 20));
    assert_eq!(cloud.fleet.running("mail"), ["y1"]);
    assert_eq!(cloud.fleet.guest("y1", "mail").boots, 1, "it was not booted anew");
    // What was left behind goes, once it has run elsewhere for a while.
    let clean = || async { (!cloud.fleet.guest(from.as_str(), "mail").disk).then_some(()) };
    eventually_some("the old disk is removed", SOON, clean).await;
    let there = MigrateVm { request_id: None, name: "mail".parse().unwrap(), to: Some("y1".parse().unwrap()) };
    assert!(matches!(cloud.ask(&there).await, Err(Refusal::AlreadyThere { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_migration_leaves_the_server_where_it_was() {
    let cloud = Cloud::start().await;
    cloud.fleet.copies_take(Duration::from_secs(2));
    let from = cloud.running("mail", "myodaiji").await.node.unwrap();
    let wanted = MigrateVm { request_id: None, name: "mail".parse().unwrap(), to: Some("y1".parse().unwrap()) };
    let id = cloud.ask(&wanted).await.unwrap().id;
    let request = GetMigration { id: id.clone() };
    let copying = || async {
        let migration = cloud.ctx.bus.request(&request).await.ok()?;
        (migration.state == migration::State::Copying).then_some(())
    };
    eventually_some("it copies", SOON, copying).await;
    cloud.ask(&CancelMigration { id: id.clone() }).await.unwrap();
    let over = until_over(&cloud, &id).await;
    assert_eq!((over.state, over.fault.unwrap().code.as_str()), (migration::State::Cancelled, "migration.cancelled"));
    assert_eq!(cloud.fleet.running("mail"), [from.to_string()]);
    assert!(!cloud.fleet.guest("y1", "mail").disk, "the target's copy is destroyed");
    let vm = cloud.until("mail", |vm| vm.state == State::Running).await;
    assert_eq!((vm.node.unwrap(), vm.generation), (from, 1));
    assert!(cloud.ask(&CancelMigration { id }).await.is_ok(), "cancelled twice is cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_is_emptied_one_copy_at_a_time_and_everybody_comes_home() {
    let cloud = Cloud::start().await;
    for name in ["mail", "web", "a", "b", "c", "d"] {
        cloud.running(name, "myodaiji").await;
    }
    let evacuate = EvacuateSite { request_id: Some("e1".to_owned()), site: "myodaiji".parse().unwrap(), propose: None };
    let outage = cloud.ask(&evacuate).await.unwrap();
    assert_eq!(outage.id.as_str(), "myodaiji-1");
    assert_eq!(cloud.ask(&evacuate).await.unwrap().id, outage.id, "asked twice, begun once");
    let refused = CreateVm { site: Some("myodaiji".parse().unwrap()), ..create("late") };
    assert!(matches!(cloud.ask(&refused).await, Err(Refusal::SiteDraining { .. })), "invariant 5");

    let emptied = until_outage(&cloud, &outage.id, outage::State::Evacuated).await;
    assert_eq!((emptied.moved.len(), emptied.failed.len(), emptied.moving.len()), (6, 0, 0), "{emptied:?}");
    assert_eq!(emptied.leg, LegName::Out);
    assert_eq!(cloud.fleet.most_copying(), 1);
    let sites = cloud.ask(&ListSites {}).await.unwrap().sites;
    assert_eq!((sites[0].state.as_str(), sites[0].vms, sites[0].vms_home), ("evacuated", 0, 6));

    let home = cloud.ask(&ReturnSite { request_id: None, site: "myodaiji".parse().unwrap() }).await.unwrap();
    assert_eq!((home.id.clone(), home.leg), (outage.id.clone(), LegName::Home));
    let done = until_outage(&cloud, &outage.id, outage::State::Completed).await;
    assert_eq!((done.moved.len(), done.failed.len()), (6, 0), "{done:?}");
    for name in ["mail", "web", "a", "b", "c", "d"] {
        let vm = cloud.vm(name).await;
        assert_eq!((vm.site.unwrap().as_str(), vm.state), ("myodaiji", State::Running));
        assert_eq!(cloud.fleet.guest(vm.node.unwrap().as_str(), name).boots, 1, "invariant 2: {name} never stopped");
    }
    let again = ReturnSite { request_id: None, site: "myodaiji".parse().unwrap() };
    assert!(matches!(cloud.ask(&again).await, Err(Refusal::NothingToReturn { .. })));
    assert_eq!(cloud.fleet.pauses().len(), 12, "each crossing tells what it added to QEMU's downtime");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_what_the_evacuation_then_does_and_changes_nothing() {
    let cloud = Cloud::start().await;
    for name in ["mail", "web", "a"] {
        cloud.running(name, "myodaiji").await;
    }
    let stays = CreateVm { evacuate: Evacuate::Stay, ..create("old") };
    cloud.ask(&CreateVm { site: Some("myodaiji".parse().unwrap()), ..stays }).await.unwrap();
    cloud.until("old", |vm| vm.state == State::Running).await;

    let wanted = PlanOutage { site: "myodaiji".parse().unwrap(), seconds: None };
    let plan = cloud.ask(&wanted).await.unwrap();
    assert_eq!((plan.moves.len(), plan.failed.len(), plan.waiting.len()), (3, 1, 0), "{plan:?}");
    assert_eq!((plan.failed[0].vm.as_str(), plan.failed[0].code.as_str()), ("old", "outage.policy-stays"));
    assert_eq!((plan.estimated_ms, plan.bytes_per_second), (None, None), "nothing has moved yet");
    assert!(plan.moves.iter().all(|m| !m.measured && m.bytes > 0 && m.to.as_str().starts_with('y')));
    let none = cloud.ask(&PlanOutage { seconds: Some(0), ..wanted.clone() }).await.unwrap();
    assert_eq!((none.moves.len(), none.halts.len(), none.failed.len()), (0, 3, 1), "{none:?}");
    assert!(none.halts.iter().all(|h| h.way == Way::ShutDown && h.why.code == "outage.no-time"), "{none:?}");
    let long = PlanOutage { seconds: Some(8 * 86_400), ..wanted.clone() };
    assert_eq!(cloud.ask(&long).await.unwrap_err().code(), "request.out-of-range");
    let outages = cloud.ask(&ListOutages {}).await.unwrap().outages;
    assert!(outages.is_empty(), "looking begins nothing");

    let site = wanted.site.clone();
    let outage = cloud.ask(&EvacuateSite { request_id: None, site: site.clone(), propose: None }).await.unwrap();
    let emptied = until_outage(&cloud, &outage.id, outage::State::Evacuated).await;
    let planned: BTreeMap<_, _> = plan.moves.iter().map(|m| (&m.vm, &m.to)).collect();
    let done: BTreeMap<_, _> = emptied.moved.iter().map(|m| (&m.vm, &m.to)).collect();
    assert_eq!(planned, done);
    assert_eq!(emptied.failed.len(), 1);

    cloud.ask(&ReturnSite { request_id: None, site }).await.unwrap();
    until_outage(&cloud, &outage.id, outage::State::Completed).await;
    let known = cloud.ask(&wanted).await.unwrap();
    assert!(known.moves.iter().all(|m| m.measured && m.bytes == 1_010), "{known:?}");
    assert!(known.bytes_per_second.is_some() && known.estimated_ms.is_some());
    let unknown = PlanOutage { site: "nowhere".parse().unwrap(), seconds: None };
    assert!(matches!(cloud.ask(&unknown).await, Err(Refusal::SiteUnknown { .. })));
}

fn scheduled(site: &str, from: u64, until: u64) -> ScheduleOutage {
    let at = |seconds: u64| clock::now().plus_millis(seconds * 1_000);
    let (from, until) = (at(from), at(until));
    ScheduleOutage { request_id: None, site: site.parse().unwrap(), from, until, note: "inspection".to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_outage_changes_nothing_until_it_begins_and_may_be_started_or_called_off() {
    let cloud = Cloud::start().await;
    cloud.running("mail", "myodaiji").await;
    let wanted = ScheduleOutage { request_id: Some("r1".to_owned()), ..scheduled("myodaiji", 90_000, 99_000) };
    let view = cloud.ask(&wanted).await.unwrap();
    let window = view.window.unwrap();
    assert_eq!((view.state, view.note.as_str()), (outage::State::Scheduled, "inspection"));
    assert_eq!(view.plan.as_ref().unwrap().moves[0].vm.as_str(), "mail");
    assert_eq!(view.begins_at, Some(window.from.minus_millis(3_600_000)), "an hour ahead, by the defaults");
    assert_eq!(cloud.ask(&wanted).await.unwrap().id, view.id, "a repeated request is one outage");
    let sites = cloud.ask(&ListSites {}).await.unwrap().sites;
    assert!(sites.iter().all(|site| site.outage.is_none()), "nothing has begun: {sites:?}");
    cloud.running("web", "myodaiji").await;

    let called_off = cloud.ask(&CancelOutage { id: view.id.clone() }).await.unwrap();
    assert_eq!(called_off.state, outage::State::Cancelled);
    let over = cloud.ask(&StartOutage { id: view.id.clone() }).await.unwrap_err();
    assert_eq!(over.code(), "outage.over");
    assert!(over.english().remedy.contains("watari site evacuate myodaiji"), "{over:?}");
    let again = RehearseOutage { outage: Some(view.id.clone()), ..RehearseOutage::default() };
    let over = cloud.ask(&again).await.unwrap_err();
    assert_eq!(over.code(), "outage.not-rehearsed");
    assert!(over.english().remedy.contains("watari outage rehearse --site myodaiji"), "{over:?}");

    let second = cloud.ask(&scheduled("myodaiji", 90_000, 99_000)).await.unwrap();
    assert_ne!(second.id, view.id);
    cloud.ask(&StartOutage { id: second.id.clone() }).await.unwrap();
    let emptied = until_outage(&cloud, &second.id, outage::State::Evacuated).await;
    assert_eq!((emptied.moved.len(), emptied.window), (2, second.window), "it is still known when the power goes");
    assert_eq!(cloud.ask(&StartOutage { id: second.id.clone() }).await.unwrap().id, second.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_that_cannot_be_is_not_scheduled() {
    let cloud = Cloud::start().await;
    cloud.ask(&scheduled("myodaiji", 10_000, 20_000)).await.unwrap();
    let year = 366 * 86_400;
    let long = ScheduleOutage { note: "x".repeat(201), ..scheduled("yamate", 30_000, 40_000) };
    let lines = ScheduleOutage { note: "a\nb".to_owned(), ..scheduled("yamate", 30_000, 40_000) };
    for (wrong, code) in [
        (scheduled("yamate", 0, 40_000), "request.out-of-range"),
        (scheduled("yamate", 3 * year, 3 * year + 1), "request.out-of-range"),
        (scheduled("yamate", 40_000, 40_000), "request.out-of-range"),
        (scheduled("yamate", 40_000, 40_000 + year + 60), "request.out-of-range"),
        (long, "request.out-of-range"),
        (lines, "request.out-of-range"),
        (scheduled("nowhere", 30_000, 40_000), "site.unknown"),
        (scheduled("myodaiji", 19_000, 30_000), "outage.overlaps"),
        (scheduled("yamate", 19_000, 30_000), "outage.everywhere"),
    ] {
        let refused = cloud.ask(&wrong).await.unwrap_err();
        assert_eq!(refused.code(), code, "{wrong:?}");
    }
    let outages = cloud.ask(&ListOutages {}).await.unwrap().outages;
    assert_eq!(outages.len(), 1, "what is refused changes nothing");
    cloud.ask(&scheduled("yamate", 20_000, 30_000)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_10_one_failure_stops_one_servers_move_and_another_target_is_tried() {
    let cloud = Cloud::start().await;
    for name in ["mail", "web"] {
        cloud.running(name, "myodaiji").await;
    }
    cloud.fleet.close("y1");
    let outage =
        cloud.ask(&EvacuateSite { request_id: None, site: "myodaiji".parse().unwrap(), propose: None }).await.unwrap();
    let emptied = until_outage(&cloud, &outage.id, outage::State::Evacuated).await;
    assert_eq!((emptied.moved.len(), emptied.failed.len()), (2, 0), "{emptied:?}");
    assert!(emptied.moved.iter().all(|moved| moved.to.as_str() == "y2"));
    let all = cloud.ask(&ListMigrations::default()).await.unwrap().migrations;
    assert!(all.iter().any(|m| m.state == migration::State::Failed), "y1 was tried and refused: {all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_node_sends_its_servers_to_its_own_site_first() {
    let cloud = Cloud::start().await;
    let node = cloud.running("mail", "myodaiji").await.node.unwrap();
    let outage = cloud.ask(&DrainNode { request_id: None, node: node.clone() }).await.unwrap();
    let emptied = until_outage(&cloud, &outage.id, outage::State::Evacuated).await;
    assert_eq!(emptied.moved.len(), 1);
    let vm = cloud.vm("mail").await;
    assert_eq!(vm.site.unwrap().as_str(), "myodaiji");
    assert_ne!(vm.node.unwrap(), node);
}

/// An evacuation of `mail`, `web` and `a`, the first of which is being copied.
async fn half_way(cloud: &Cloud) -> OutageView {
    for name in ["mail", "web", "a"] {
        cloud.running(name, "myodaiji").await;
    }
    cloud.fleet.copies_take(Duration::from_millis(700));
    let outage =
        cloud.ask(&EvacuateSite { request_id: None, site: "myodaiji".parse().unwrap(), propose: None }).await.unwrap();
    let request = ListMigrations { active: true, ..ListMigrations::default() };
    let copying = || async {
        let page = cloud.ctx.bus.request(&request).await.ok()?;
        page.migrations.iter().any(|m| m.state == migration::State::Copying).then_some(())
    };
    eventually_some("something copies", SOON, copying).await;
    outage
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_10_another_scheduler_goes_on_with_an_evacuation() {
    let mut cloud = Cloud::start().await;
    let outage = half_way(&cloud).await;
    cloud.kill_scheduler();
    cloud.start_scheduler().await;
    let emptied = until_outage(&cloud, &outage.id, outage::State::Evacuated).await;
    assert_eq!((emptied.moved.len(), emptied.failed.len()), (3, 0), "{emptied:?}");
    for name in ["mail", "web", "a"] {
        assert_eq!(cloud.fleet.running(name).len(), 1);
        assert_eq!(cloud.fleet.guest(&cloud.fleet.running(name)[0], name).boots, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_8_an_evacuation_survives_the_death_of_the_bus() {
    let mut cloud = Cloud::start().await;
    let outage = half_way(&cloud).await;
    cloud.nats.restart();
    let emptied = until_outage(&cloud, &outage.id, outage::State::Evacuated).await;
    assert_eq!((emptied.moved.len(), emptied.failed.len()), (3, 0), "{emptied:?}");
    for name in ["mail", "web", "a"] {
        let nodes = cloud.fleet.running(name);
        assert_eq!((nodes.len(), cloud.fleet.guest(&nodes[0], name).boots), (1, 1), "{name} never stopped");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_3_a_repeated_request_changes_nothing_and_a_misused_one_is_refused() {
    let cloud = Cloud::start().await;
    let ask = CreateVm { request_id: Some("r1".to_owned()), ..create("mail") };
    let first = cloud.ask(&ask).await.unwrap();
    let second = cloud.ask(&ask).await.unwrap();
    assert_eq!((first.uuid.clone(), first.addresses.clone()), (second.uuid, second.addresses));
    let other = CreateVm { memory_mib: 256, ..ask.clone() };
    assert!(matches!(cloud.ask(&other).await, Err(Refusal::RequestIdReused { .. })));
    let nameless = CreateVm { request_id: None, ..ask };
    assert!(matches!(cloud.ask(&nameless).await, Err(Refusal::VmExists { .. })));
    assert_eq!(cloud.ports.snapshot().len(), 1, "one address was drawn");
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_3_every_wish_may_be_repeated() {
    let cloud = Cloud::start().await;
    let node = cloud.running("mail", "myodaiji").await.node.unwrap();
    let (name, id) = (|| "mail".parse().unwrap(), |id: &str| Some(id.to_owned()));
    let boots = || cloud.fleet.guest(node.as_str(), "mail").boots;

    let resize = ResizeVm { request_id: id("r1"), name: name(), vcpus: None, memory_mib: Some(224), disk_gib: None };
    assert_eq!(cloud.ask(&resize).await.unwrap().pending, cloud.ask(&resize).await.unwrap().pending);
    let reboot = RebootVm { request_id: id("r2"), name: name(), force: true };
    cloud.ask(&reboot).await.unwrap();
    cloud.until("mail", |vm| vm.state == State::Running && vm.memory_mib == 224 && !vm.rebooting).await;
    // Repeated when it is long done: it is not done again.
    assert!(!cloud.ask(&reboot).await.unwrap().rebooting);
    assert_eq!(boots(), 2);

    let stop = StopVm { request_id: id("r3"), name: name(), force: true };
    cloud.ask(&stop).await.unwrap();
    cloud.until("mail", |vm| vm.state == State::Stopped).await;
    let start = StartVm { request_id: id("r4"), name: name(), discard_copy: false };
    cloud.ask(&start).await.unwrap();
    cloud.until("mail", |vm| vm.state == State::Running).await;
    assert_eq!(cloud.ask(&stop).await.unwrap().state, State::Running, "an old wish is no new one");
    assert_eq!(cloud.ask(&start).await.unwrap().state, State::Running);
    assert_eq!(boots(), 3);

    let evacuate = EvacuateSite { request_id: id("r5"), site: "myodaiji".parse().unwrap(), propose: None };
    let outage = cloud.ask(&evacuate).await.unwrap();
    until_outage(&cloud, &outage.id, outage::State::Evacuated).await;
    let back = ReturnSite { request_id: id("r6"), site: "myodaiji".parse().unwrap() };
    cloud.ask(&back).await.unwrap();
    until_outage(&cloud, &outage.id, outage::State::Completed).await;
    assert_eq!(cloud.ask(&evacuate).await.unwrap().state, outage::State::Completed, "it does not leave again");
    let vm = cloud.vm("mail").await;
    assert_eq!((vm.site.unwrap().as_str(), vm.state), ("myodaiji", State::Running));
    let delete = DeleteVm { request_id: id("r7"), name: name(), keep_disk: false };
    cloud.ask(&delete).await.unwrap();
    assert!(matches!(cloud.ask(&delete).await, Ok(_) | Err(Refusal::VmUnknown { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_names_firewall_groups_that_exist_each_once() {
    let cloud = Cloud::start().await;
    let named = |groups: &[&str]| CreateVm {
        firewalls: groups.iter().map(|group| group.parse().unwrap()).collect(),
        ..create("mail")
    };
    let refused = cloud.ask(&named(&["smtp"])).await;
    assert!(matches!(refused, Err(Refusal::FirewallUnknown { firewall }) if firewall == "smtp"));
    let (v, request_id, now) = (1, String::new(), watari_chassis::clock::now());
    let name = "smtp".parse().unwrap();
    let group = Firewall { v, name, rules: Vec::new(), request_id, created_at: now, changed_at: now };
    cloud.firewalls.create(&group).await.unwrap();
    assert!(matches!(cloud.ask(&named(&["smtp", "smtp"])).await, Err(Refusal::Repeated { .. })));
    assert_eq!(cloud.ask(&named(&["smtp"])).await.unwrap().firewalls, ["smtp".parse().unwrap()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_creations_of_one_name_at_once_make_one_server() {
    let cloud = Cloud::start().await;
    let ask = |n: usize| CreateVm { request_id: Some(format!("r{n}")), ..create("mail") };
    let asks: Vec<_> = (0..8).map(ask).collect();
    let results = futures_util::future::join_all(asks.iter().map(|ask| cloud.ask(ask))).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(results.iter().flat_map(|r| r.as_ref().err()).all(|r| matches!(r, Refusal::VmExists { .. })));
    assert_eq!(cloud.ports.snapshot().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_9_nonsense_is_refused_by_name_and_stores_nothing() {
    let cloud = Cloud::start().await;
    type Spoil = fn(&mut CreateVm);
    let wrong: &[(&str, Spoil)] = &[
        ("request.out-of-range", |c| c.vcpus = 0),
        ("request.out-of-range", |c| c.memory_mib = 31),
        ("request.out-of-range", |c| c.memory_mib = u64::MAX),
        ("request.out-of-range", |c| c.disk_gib = 0),
        ("request.out-of-range", |c| c.priority = 101),
        ("request.out-of-range", |c| c.request_id = Some(String::new())),
        ("request.out-of-range", |c| c.request_id = Some("x".repeat(500))),
        ("request.repeated", |c| c.networks = vec![c.networks[0].clone(), c.networks[0].clone()]),
        ("request.out-of-range", |c| c.node_labels = [("a b".to_owned(), "x".to_owned())].into()),
        ("image.unknown", |c| c.image = "nothing".parse().unwrap()),
        ("image.disk-too-small", |c| c.disk_gib = 1),
        ("network.unknown", |c| c.networks[0].network = "nowhere".parse().unwrap()),
        ("site.unknown", |c| c.site = Some("atlantis".parse().unwrap())),
    ];
    for (code, spoil) in wrong {
        let mut ask = create("mail");
        spoil(&mut ask);
        let refusal = cloud.ask(&ask).await.unwrap_err();
        assert_eq!(refusal.code(), *code, "{refusal}");
    }
    assert!(cloud.ask(&ListVms::default()).await.unwrap().vms.is_empty());
    assert!(cloud.ports.snapshot().is_empty());
    let nobody = GetVm { name: "nobody".parse().unwrap() };
    assert!(matches!(cloud.ask(&nobody).await, Err(Refusal::VmUnknown { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_paged_by_name() {
    let cloud = Cloud::start().await;
    let names: Vec<String> = (0..25).map(|n| format!("vm{n:02}")).collect();
    let asks: Vec<_> = names.iter().map(|name| CreateVm { memory_mib: 32, ..create(name) }).collect();
    for result in futures_util::future::join_all(asks.iter().map(|ask| cloud.ask(ask))).await {
        result.unwrap();
    }
    let (mut found, mut after, begun) = (Vec::new(), None, Instant::now());
    loop {
        let page = cloud.ask(&ListVms { after, limit: Some(10), ..ListVms::default() }).await.unwrap();
        found.extend(page.vms.iter().map(|vm| vm.name.to_string()));
        after = page.next;
        if after.is_none() || begun.elapsed() > SOON {
            break;
        }
    }
    assert_eq!(found, names);
    for name in &names {
        cloud.until(name, |vm| vm.node.is_some()).await;
    }
    let mut on_nodes = Vec::new();
    for node in ["m1", "m2", "y1", "y2"] {
        let mut ask = ListVms { node: Some(node.parse().unwrap()), limit: Some(2), ..ListVms::default() };
        loop {
            let page = cloud.ask(&ask).await.unwrap();
            assert!(page.vms.iter().all(|vm| vm.node == ask.node), "{node}: {:?}", page.vms);
            on_nodes.extend(page.vms.into_iter().map(|vm| vm.name.to_string()));
            ask.after = page.next;
            if ask.after.is_none() || begun.elapsed() > SOON {
                break;
            }
        }
    }
    on_nodes.sort();
    assert_eq!(on_nodes, names, "each is on one node and is found there");
    let wrong = ListVms { limit: Some(0), ..ListVms::default() };
    assert!(matches!(cloud.ask(&wrong).await, Err(Refusal::OutOfRange { .. })));
}
