//! What an operator does with outages, scheduled and under way.

use std::time::Duration;

use crate::support::{Cloud, SOON, create};
use watari_chassis::clock;
use watari_contracts::{
    Request,
    scheduler::{
        CancelOutage, CreateVm, EvacuateSite, FailingNode, GetOutage, Known, Leaving, ListMigrations, ListOutages,
        ListSites, MigrationView, OutagePage, OutageView, PauseOutage, RehearseOutage, RescheduleOutage, ResumeOutage,
        ReturnSite, ScheduleOutage, StartOutage, StopVm, TellPower, WithdrawOutage,
    },
};
use watari_model::{
    OutageId, Refusal, migration,
    outage::{State, Window},
    site::Supply,
    vm::{self, Evacuate},
};
use watari_testkit::eventually_some;

async fn until(cloud: &Cloud, id: &OutageId, holds: impl Fn(&OutageView) -> bool) -> OutageView {
    let request = GetOutage { id: id.clone() };
    let look = || async {
        let outage = cloud.ctx.bus.request(&request).await.ok()?;
        holds(&outage).then_some(outage)
    };
    eventually_some("the outage is as wanted", SOON, look).await
}

async fn until_active(cloud: &Cloud, what: &str, holds: impl Fn(&[MigrationView]) -> bool) {
    let request = ListMigrations { active: true, ..ListMigrations::default() };
    let look = || async {
        let page = cloud.ctx.bus.request(&request).await.ok()?;
        holds(&page.migrations).then_some(())
    };
    eventually_some(what, SOON, look).await;
}

const fn travels(migration: &MigrationView) -> bool {
    !matches!(migration.state, migration::State::Queued | migration::State::Preparing)
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_10_a_paused_evacuation_stands_still_and_goes_on_under_another_scheduler() {
    let mut cloud = Cloud::start().await;
    for name in ["mail", "web", "a", "b"] {
        cloud.running(name, "myodaiji").await;
    }
    cloud.fleet.copies_take(Duration::from_millis(700));
    let evacuate = EvacuateSite { request_id: None, site: "myodaiji".parse().unwrap(), propose: None };
    let id = cloud.ask(&evacuate).await.unwrap().id;
    until_active(&cloud, "something copies", |active| active.iter().any(travels)).await;
    let pause = PauseOutage { id: id.clone() };
    let paused = cloud.ask(&pause).await.unwrap();
    assert!(paused.paused_at.is_some() && paused.state == State::Evacuating, "{paused:?}");
    assert_eq!(cloud.ask(&pause).await.unwrap().paused_at, paused.paused_at, "asked twice, paused once");
    until_active(&cloud, "nothing travels any more", |active| !active.iter().any(travels)).await;
    let stands = cloud.ask(&GetOutage { id: id.clone() }).await.unwrap();
    assert!((1..4).contains(&stands.moved.len()), "{stands:?}");
    assert_eq!(cloud.ask(&evacuate).await.unwrap().paused_at, paused.paused_at, "that is no resuming");

    cloud.kill_scheduler();
    cloud.start_scheduler().await;
    let late = CreateVm { site: Some("myodaiji".parse().unwrap()), ..create("late") };
    assert!(matches!(cloud.ask(&late).await, Err(Refusal::SiteDraining { .. })), "invariant 5");
    let still = cloud.ask(&GetOutage { id: id.clone() }).await.unwrap();
    assert_eq!((still.paused_at, still.moved.len()), (paused.paused_at, stands.moved.len()), "{still:?}");

    let resume = ResumeOutage { id: id.clone() };
    assert_eq!(cloud.ask(&resume).await.unwrap().paused_at, None);
    let emptied = until(&cloud, &id, |outage| outage.state == State::Evacuated).await;
    assert_eq!((emptied.moved.len(), emptied.failed.len()), (4, 0), "{emptied:?}");
    assert_eq!(cloud.ask(&resume).await.unwrap().state, State::Evacuated, "asked twice, it is not paused");
    assert_eq!(cloud.ask(&pause).await.unwrap_err().code(), "outage.not-under-way");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_evacuation_that_is_turned_round_is_not_paused_any_more() {
    let cloud = Cloud::start().await;
    for name in ["mail", "web", "a"] {
        cloud.running(name, "myodaiji").await;
    }
    cloud.fleet.copies_take(Duration::from_millis(700));
    let site = || "myodaiji".parse().unwrap();
    let id = cloud.ask(&EvacuateSite { request_id: None, site: site(), propose: None }).await.unwrap().id;
    cloud.ask(&PauseOutage { id: id.clone() }).await.unwrap();
    let back = cloud.ask(&ReturnSite { request_id: None, site: site() }).await.unwrap();
    assert_eq!((back.state, back.paused_at), (State::Returning, None));
    until(&cloud, &id, |outage| outage.state == State::Completed).await;
    for name in ["mail", "web", "a"] {
        assert_eq!(cloud.vm(name).await.site.unwrap().as_str(), "myodaiji");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_away_without_an_outage_comes_home_by_one_that_has_no_way_out() {
    let cloud = Cloud::start().await;
    cloud.running("mail", "myodaiji").await;
    let site = || "myodaiji".parse().unwrap();
    let left = cloud.ask(&EvacuateSite { request_id: None, site: site(), propose: None }).await.unwrap().id;
    until(&cloud, &left, |outage| outage.state == State::Evacuated).await;
    cloud.ask(&CancelOutage { id: left.clone() }).await.unwrap();
    let home = cloud.ask(&ReturnSite { request_id: None, site: site() }).await.unwrap();
    assert_ne!(home.id, left);
    assert!(home.out.is_none() && home.home.is_some(), "{home:?}");
    let done = until(&cloud, &home.id, |outage| outage.state == State::Completed).await;
    assert_eq!((done.moved.len(), done.out), (1, None), "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_outage_keeps_its_name_when_it_is_moved_and_does_not_stand_in_its_own_way() {
    let cloud = Cloud::start().await;
    let now = clock::now();
    let at = |hour: u64| now.plus_millis(hour * 3_600_000);
    let schedule = |site: &str, from: u64, until: u64| ScheduleOutage {
        request_id: Some(format!("{site}/{from}")),
        site: site.parse().unwrap(),
        from: at(from),
        until: at(until),
        note: String::new(),
    };
    let made = cloud.ask(&schedule("myodaiji", 10, 20)).await.unwrap();
    assert_eq!(made.request_id, "myodaiji/10");
    let other = cloud.ask(&schedule("yamate", 40, 50)).await.unwrap();
    let id = made.id.clone();
    let to = |from: u64, until: u64| RescheduleOutage { id: id.clone(), from: at(from), until: at(until) };
    let moved = cloud.ask(&to(15, 25)).await.unwrap();
    assert_eq!((&moved.id, moved.window), (&made.id, Some(Window { from: at(15), until: at(25) })));
    assert_eq!(moved.state, State::Scheduled);
    assert_eq!(cloud.ask(&to(15, 25)).await.unwrap().changed_at, moved.changed_at, "asked twice, moved once");
    for (wrong, code) in [(to(45, 55), "outage.everywhere"), (to(0, 1), "request.out-of-range")] {
        assert_eq!(cloud.ask(&wrong).await.unwrap_err().code(), code, "{wrong:?}");
    }
    cloud.ask(&CancelOutage { id: other.id.clone() }).await.unwrap();
    cloud.ask(&to(45, 55)).await.unwrap();
    let over = RescheduleOutage { id: other.id, from: at(60), until: at(61) };
    assert_eq!(cloud.ask(&over).await.unwrap_err().code(), "outage.not-scheduled");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_could_not_leave_is_known_from_the_day_on_which_an_outage_is_scheduled() {
    let cloud = Cloud::start().await;
    cloud.running("mail", "myodaiji").await;
    let now = clock::now();
    let (from, until_then) = (now.plus_millis(90 * 86_400_000), now.plus_millis(91 * 86_400_000));
    let site = |name: &str| Some(name.parse().unwrap());
    let note = String::new();
    let wanted = ScheduleOutage { request_id: None, site: "myodaiji".parse().unwrap(), from, until: until_then, note };
    let id = cloud.ask(&wanted).await.unwrap().id;
    let old = CreateVm { site: site("myodaiji"), evacuate: Evacuate::Stay, ..create("old") };
    let made = cloud.ask(&old).await.unwrap();
    let codes: Vec<&str> = made.warnings.iter().map(|warning| warning.code.as_str()).collect();
    assert_eq!(codes, ["outage.cannot-leave"]);
    let elsewhere = CreateVm { site: site("yamate"), evacuate: Evacuate::Stay, ..create("other") };
    assert!(cloud.ask(&elsewhere).await.unwrap().warnings.is_empty());

    let seen = until(&cloud, &id, |outage| !outage.at_risk.is_empty()).await;
    let at_risk: Vec<_> = seen.at_risk.iter().map(|left| (left.vm.as_str(), left.code.as_str())).collect();
    assert_eq!(at_risk, [("old", "outage.policy-stays")]);
    assert_eq!((seen.state, seen.changed_at), (State::Scheduled, seen.created_at), "that is no change of its state");
    cloud.until("old", |vm| vm.state == vm::State::Running).await;
    cloud.ask(&StopVm { request_id: None, name: "old".parse().unwrap(), force: true }).await.unwrap();
    until(&cloud, &id, |outage| outage.at_risk.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn that_the_power_goes_before_servers_can_have_left_is_said_when_the_outage_is_scheduled() {
    let cloud = Cloud::start().await;
    cloud.ask(&CreateVm { site: "myodaiji".parse().ok(), memory_mib: 4_096, ..create("large") }).await.unwrap();
    cloud.until("large", |vm| vm.state == vm::State::Running).await;
    let now = clock::now();
    let schedule = |from_ms: u64| ScheduleOutage {
        request_id: None,
        site: "myodaiji".parse().unwrap(),
        from: now.plus_millis(from_ms),
        until: now.plus_millis(from_ms + 1_000),
        note: String::new(),
    };
    let late = |view: OutageView| view.plan.unwrap().late.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(late(cloud.ask(&schedule(86_400_000)).await.unwrap()), Vec::<String>::new());
    // 4 GiB take longer over a gigabit.
    assert_eq!(late(cloud.ask(&schedule(30_000)).await.unwrap()), ["large"], "it is scheduled all the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_is_set_so_a_server_that_could_not_leave_is_not_made_unless_it_is_to_stay() {
    let mut cloud = Cloud::start().await;
    cloud.kill_scheduler();
    cloud.start_scheduler_with("", ("cannot_leave = \"warn\"", "cannot_leave = \"refuse\"")).await;
    let large = |name: &str| CreateVm { site: "myodaiji".parse().ok(), memory_mib: 4_096, ..create(name) };
    let first = cloud.ask(&CreateVm { site: "yamate".parse().ok(), memory_mib: 4_096, ..create("first") }).await;
    assert!(first.is_ok() && cloud.ask(&CreateVm { site: "yamate".parse().ok(), ..large("second") }).await.is_ok());
    cloud.until("second", |vm| vm.state == vm::State::Running).await;
    cloud.until("first", |vm| vm.state == vm::State::Running).await;
    assert!(cloud.ask(&large("before")).await.is_ok(), "nothing is scheduled");
    let now = clock::now();
    let (from, until) = (now.plus_millis(86_400_000), now.plus_millis(2 * 86_400_000));
    let site = "myodaiji".parse().unwrap();
    cloud.ask(&ScheduleOutage { request_id: None, site, from, until, note: String::new() }).await.unwrap();
    let refused = cloud.ask(&large("after")).await.unwrap_err();
    assert_eq!(refused.code(), "outage.cannot-leave", "{refused}");
    let given_back = || async {
        let ports = cloud.ports.snapshot();
        ports.values().all(|port| port.value.vm.as_str() != "after").then_some(())
    };
    eventually_some("its address is given back", SOON, given_back).await;
    let stays = cloud.ask(&CreateVm { evacuate: Evacuate::Stay, ..large("stays") }).await.unwrap();
    assert!(stays.warnings.iter().any(|warning| warning.code == "outage.cannot-leave"), "{stays:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_goes_through_an_outage_there_and_back_and_changes_nothing() {
    let cloud = Cloud::start().await;
    for name in ["mail", "web"] {
        cloud.running(name, "myodaiji").await;
    }
    let asked = RehearseOutage { site: Some("myodaiji".parse().unwrap()), ..RehearseOutage::default() };
    let went = cloud.ask(&asked).await.unwrap();
    let there_and_back = went.servers.iter().filter(|s| s.way == Leaving::Live && s.home_at.is_some()).count();
    assert_eq!((there_and_back, went.at_risk.len(), went.link.known), (2, 0, Known::Assumed), "{went:?}");
    assert!(went.evacuated_at.is_some() && went.home_at.is_some() && went.outage.is_none(), "{went:?}");
    assert!(cloud.ask(&ListOutages {}).await.unwrap().outages.is_empty(), "nothing has begun");
    assert!(cloud.ask(&ListMigrations::default()).await.unwrap().migrations.is_empty(), "and nothing has moved");

    let both = RehearseOutage { outage: Some("myodaiji-1".parse().unwrap()), ..asked.clone() };
    assert_eq!(cloud.ask(&both).await.unwrap_err().code(), "request.out-of-range");
    let unknown = RehearseOutage { site: None, ..both };
    assert!(matches!(cloud.ask(&unknown).await, Err(Refusal::OutageUnknown { .. })));
    let fail = vec![FailingNode { node: "nowhere".parse().unwrap(), after_seconds: 1 }];
    assert!(matches!(cloud.ask(&RehearseOutage { fail, ..asked }).await, Err(Refusal::NodeUnknown { .. })));
}

/// What an alert asks for Myodaiji.
fn wish(id: &str) -> EvacuateSite {
    let (site, propose) = ("myodaiji".parse().unwrap(), Some("RoomTooHot".to_owned()));
    EvacuateSite { request_id: Some(id.to_owned()), site, propose }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_proposed_moves_nobody_until_an_operator_begins_it() {
    let cloud = Cloud::start().await;
    cloud.running("mail", "myodaiji").await;
    let proposed = cloud.ask(&wish("alert/1/1")).await.unwrap();
    assert_eq!((proposed.state, proposed.window, proposed.note.as_str()), (State::Scheduled, None, "RoomTooHot"));
    assert!(proposed.out.is_none() && proposed.begins_at.is_none(), "{proposed:?}");
    assert_eq!(proposed.plan.as_ref().map(|plan| plan.moves.len()), Some(1), "it says what would come of it");
    for id in ["alert/1/1", "alert/2/1"] {
        assert_eq!(cloud.ask(&wish(id)).await.unwrap().id, proposed.id, "{id}: it waits already");
    }
    let long = EvacuateSite { propose: Some("x".repeat(201)), ..wish("alert/3/1") };
    assert_eq!(cloud.ask(&long).await.unwrap_err().code(), "request.out-of-range");

    let cancelled = cloud.ask(&CancelOutage { id: proposed.id.clone() }).await.unwrap();
    assert_eq!(cancelled.state, State::Cancelled);
    assert_eq!(cloud.ask(&wish("alert/1/1")).await.unwrap().state, State::Cancelled, "it was answered");
    let again = cloud.ask(&wish("alert/4/1")).await.unwrap();
    assert_ne!(again.id, proposed.id);
    // Who empties the site answers what waits. Asked twice it is one, whatever was proposed before.
    let evacuate = EvacuateSite { propose: None, ..wish("e1") };
    let begun = cloud.ask(&evacuate).await.unwrap();
    assert_eq!(begun.state, State::Evacuating);
    assert_ne!(begun.id, again.id);
    assert_eq!(cloud.ask(&evacuate).await.unwrap().id, begun.id);
    until(&cloud, &again.id, |outage| outage.state == State::Cancelled).await;
    assert_eq!(cloud.ask(&wish("alert/5/1")).await.unwrap().id, begun.id, "it is under way");
    until(&cloud, &begun.id, |outage| outage.state == State::Evacuated).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_proposed_is_withdrawn_when_nobody_asks_for_it_any_more_and_what_has_begun_goes_on() {
    let cloud = Cloud::start().await;
    cloud.running("mail", "myodaiji").await;
    let over = |id: &str| WithdrawOutage { site: "myodaiji".parse().unwrap(), request_id: id.to_owned() };
    assert_eq!(cloud.ask(&over("alert/heat/1")).await.unwrap().outages, [], "nothing waits");
    let proposed = cloud.ask(&wish("alert/heat/1")).await.unwrap();
    assert_eq!(cloud.ask(&wish("alert/water/1")).await.unwrap().id, proposed.id, "it is one question");
    let states = |page: OutagePage| page.outages.iter().map(|o| (o.id.clone(), o.state)).collect::<Vec<_>>();
    let waits = states(cloud.ask(&over("alert/heat/1")).await.unwrap());
    assert_eq!(waits, [(proposed.id.clone(), State::Scheduled)], "the water is still there");
    let gone = states(cloud.ask(&over("alert/water/1")).await.unwrap());
    assert_eq!(gone, [(proposed.id.clone(), State::Cancelled)]);
    assert_eq!(cloud.ask(&over("alert/water/1")).await.unwrap().outages, [], "said twice");
    assert_eq!(cloud.ask(&wish("alert/heat/1")).await.unwrap().state, State::Cancelled, "it was told before");

    let again = cloud.ask(&wish("alert/heat/9")).await.unwrap();
    assert_ne!(again.id, proposed.id, "it is hot again");
    cloud.ask(&StartOutage { id: again.id.clone() }).await.unwrap();
    assert_eq!(cloud.ask(&over("alert/heat/9")).await.unwrap().outages, [], "an operator has begun it");
    until(&cloud, &again.id, |outage| outage.state == State::Evacuated).await;
    let nowhere = WithdrawOutage { site: "nowhere".parse().unwrap(), ..over("alert/heat/9") };
    assert!(matches!(cloud.ask(&nowhere).await, Err(Refusal::SiteUnknown { .. })));
    assert_eq!(cloud.ask(&over("")).await.unwrap_err().code(), "request.out-of-range");
}

#[tokio::test(flavor = "multi_thread")]
async fn that_a_site_is_on_battery_may_be_published_with_nobody_waiting_for_the_answer() {
    let cloud = Cloud::start().await;
    let told = TellPower { site: "myodaiji".parse().unwrap(), supply: Supply::Battery, seconds_left: Some(600) };
    let look = || async {
        // Nobody tells whether it was heard: until it is seen it is said again.
        cloud.ctx.bus.publish_json(TellPower::SUBJECT, &told).await.ok()?;
        let page = cloud.ctx.bus.request(&ListSites {}).await.ok()?;
        page.sites.into_iter().find(|site| site.name == told.site)?.power
    };
    let power = eventually_some("the site's power is known", SOON, look).await;
    assert_eq!((power.supply, power.seconds_left), (Supply::Battery, Some(600)));
}
