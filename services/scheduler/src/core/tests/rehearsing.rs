//! Rehearsals of the simulated campus: against what then happens there, and as logs over simulated time.

mod lab;

use std::sync::Arc;

use watari_contracts::{Service, frontend::Standing};
use watari_model::{
    NodeName, VmName,
    migration::{Measured, Migration, State as Moved},
    node::Weight,
    outage::{Outage, Scope, Window},
    vm::{Change, Evacuate, Way},
};
use watari_testkit::Dice;

use super::{
    documents::{self, at, name, put},
    faults::CALM,
    sim::{Broken, Event, MINUTE, Sim},
    wishes::Wish,
};
use crate::{
    core::{Control, ControlSight},
    rehearsal::{Account, Budget, Fate, Known, Makespan, Troubles, What, Wish as Rehearsal, makespan, rehearse},
};

/// From the most to the least worth; each takes 32 seconds.
const SERVERS: &[(&str, u64)] = &[("mail", 128), ("web", 128), ("batch", 128), ("old", 128)];
const LINK: u64 = 4 << 20;

/// The campus when its servers run.
fn campus(servers: &[(&str, u64)]) -> Sim {
    let mut sim = Sim::new(1, servers, CALM, Broken::Nothing);
    sim.link = LINK;
    for ((vm, _), priority) in servers.iter().zip([90, 60, 30, 0]) {
        sim.amend(vm, |vm| vm.spec.priority = priority);
    }
    sim.run(4_000);
    sim
}

fn go(sim: &Sim, wish: Rehearsal, budget: Budget) -> Account {
    rehearse(sim.snapshot(), &sim.rules, wish, budget, at(sim.now)).unwrap()
}

/// An evacuation that begins now, whose power goes in so many milliseconds, with nodes that fail.
fn sudden(sim: &Sim, time_ms: Option<u64>, fails: &[(&str, u64)]) -> Account {
    let fails = fails.iter().map(|(node, ms)| (name(node), *ms)).collect();
    let what = What::Sudden("myodaiji".parse().unwrap(), time_ms);
    go(
        sim,
        Rehearsal { what, link: Some(LINK), troubles: Troubles { fails, ..Troubles::default() } },
        Budget::default(),
    )
}

/// Milliseconds after the beginning.
fn after(account: &Account, at: Option<watari_model::Timestamp>) -> Option<u64> {
    at.map(|at| at.millis_since(account.begins))
}

/// One line for each server, in tens of seconds after the beginning.
fn log(account: &Account) -> Vec<String> {
    let tens = |at| after(account, at).map_or("never".to_owned(), |ms| format!("{} s", (ms + 5_000) / 10_000 * 10));
    let line = |server: &crate::rehearsal::Server| {
        let (vm, why) = (&server.vm, server.why.as_ref().map_or("", |why| why.code()));
        match server.fate {
            Fate::Live => format!("{vm} crosses from {} to {}", tens(server.begins), tens(server.ends)),
            Fate::Halted(Way::Suspend) => format!("{vm} is suspended: {why}"),
            Fate::Halted(Way::ShutDown) => format!("{vm} is shut down: {why}"),
            Fate::Off => format!("{vm} is off"),
            Fate::Left => format!("{vm} is left: {why}"),
        }
    };
    account.servers.iter().map(line).collect()
}

fn fates(account: &Account) -> Vec<(&str, Fate)> {
    account.servers.iter().map(|server| (server.vm.as_str(), server.fate)).collect()
}

#[test]
fn a_rehearsal_says_within_a_tenth_what_then_happens_there_and_back() {
    let mut sim = campus(SERVERS);
    let foreseen = sudden(&sim, None, &[]);
    let began = sim.now;
    sim.after(0, Event::Operator(Wish::Evacuate("myodaiji")));
    sim.run(began + 5 * MINUTE);
    sim.assert_sound();
    let out = sim.docs.outages["myodaiji-1"].value.out.unwrap();
    let took = out.ended_at.unwrap().millis_since(at(began));
    let said = after(&foreseen, foreseen.evacuated).unwrap();
    assert!(said.abs_diff(took) * 10 <= took, "{said} ms were foreseen, and it took {took}");
    assert_eq!(sim.docs.migrations.len(), SERVERS.len());
    for migration in sim.docs.migrations.values().map(|entry| &entry.value) {
        let server = foreseen.servers.iter().find(|server| server.vm == migration.vm).unwrap();
        let (done, said) = (migration.changed_at.millis_since(at(began)), after(&foreseen, server.ends).unwrap());
        assert!(said.abs_diff(done) * 10 <= took, "{}: {said} ms, and it took {done}", server.vm);
        assert_eq!((&server.from, server.to.as_ref()), (&migration.from, Some(&migration.to)), "the same plan");
    }

    sim.after(0, Event::Operator(Wish::Return("myodaiji")));
    sim.run(sim.now + 5 * MINUTE);
    let home = sim.docs.outages["myodaiji-1"].value.home.unwrap();
    let took = home.ended_at.unwrap().millis_since(home.began_at);
    let said = foreseen.home.unwrap().millis_since(foreseen.returns.unwrap());
    assert!(said.abs_diff(took) * 10 <= took, "{said} ms were foreseen, and it took {took}");
    assert!(foreseen.stays_away.is_empty() && foreseen.servers.iter().all(|server| server.home.is_some()));

    // By now it is known what travels, and how fast.
    let what = What::Sudden("myodaiji".parse().unwrap(), None);
    let known = go(&sim, Rehearsal { what, link: None, troubles: Troubles::default() }, Budget::default());
    assert_eq!(known.known, Known::Measured);
    assert!(known.servers.iter().all(|server| server.measured), "{known:#?}");
}

#[test]
fn what_a_node_has_measured_of_a_server_that_never_moved_makes_its_crossing_longer() {
    let sim = campus(&SERVERS[..1]);
    let leaves_after = |weight: Option<Weight>| {
        let mut snap = sim.snapshot();
        let host = snap.vms["mail"].value.node().unwrap().clone();
        let there = Arc::clone(&snap.nodes[host.as_str()]);
        let (mut node, mut counter) = (there.value.clone(), there.revision);
        node.inventory.weights.extend(weight.map(|weight| ("mail".parse().unwrap(), weight)));
        assert!(put(&mut snap.nodes, &mut counter, node, there.revision));
        let what = What::Sudden("myodaiji".parse().unwrap(), None);
        let wish = Rehearsal { what, link: Some(LINK), troubles: Troubles::default() };
        let account = rehearse(snap, &sim.rules, wish, Budget::default(), at(sim.now)).unwrap();
        after(&account, account.servers[0].ends).unwrap()
    };
    let plain = leaves_after(None);
    let weight = |disk_bytes, dirty| Weight { disk_bytes, dirty_bytes_per_second: Some(dirty) };
    let with = |disk_bytes, dirty| leaves_after(Some(weight(disk_bytes, dirty))) - plain;
    let takes = |bytes: u64| bytes * 1_000 / LINK;
    assert!(with(64 << 20, 0).abs_diff(takes(64 << 20)) < 1_000, "its disk travels as well");
    assert!(with(0, LINK / 2).abs_diff(takes(128 << 20)) < 1_000, "half of what is sent is sent again");
}

#[test]
fn an_image_that_the_other_campus_lacks_is_fetched_before_the_first_server_that_stands_on_it_crosses() {
    let sim = campus(&SERVERS[..1]);
    let leaves_after = |sites: &[&str]| {
        let mut snap = sim.snapshot();
        put(&mut snap.images, &mut 1, documents::image(sites), 0);
        let what = What::Sudden("myodaiji".parse().unwrap(), None);
        let wish = Rehearsal { what, link: Some(LINK), troubles: Troubles::default() };
        let account = rehearse(snap, &sim.rules, wish, Budget::default(), at(sim.now)).unwrap();
        (after(&account, account.servers[0].ends).unwrap(), account.servers[0].fate)
    };
    let ((near, _), (far, fate)) = (leaves_after(&["myodaiji", "yamate"]), leaves_after(&["myodaiji"]));
    let takes = (64 << 20) * 1_000 / LINK;
    assert_eq!(fate, Fate::Live);
    assert!((far - near).abs_diff(takes) < 1_000, "{near} ms, or {far} ms with 64 MiB more");
}

#[test]
fn of_an_evacuation_that_is_under_way_it_is_told_when_it_began() {
    let mut sim = campus(SERVERS);
    assert_eq!(sudden(&sim, None, &[]).began, None);
    sim.after(0, Event::Operator(Wish::Evacuate("myodaiji")));
    sim.run(sim.now + 20_000);
    let began = sim.docs.outages["myodaiji-1"].value.out.unwrap().began_at;
    let account = sudden(&sim, None, &[]);
    assert_eq!((account.began, account.begins), (Some(began), at(sim.now)));
}

#[test]
fn a_rehearsal_touches_nothing_and_says_the_same_twice() {
    let sim = campus(SERVERS);
    let before = sim.snapshot();
    let first = sudden(&sim, Some(190_000), &[("y1", 40_000)]);
    assert_eq!(format!("{first:?}"), format!("{:?}", sudden(&sim, Some(190_000), &[("y1", 40_000)])));
    let now = sim.snapshot();
    assert_eq!((before.vms, before.outages, before.migrations), (now.vms, now.outages, now.migrations));
}

#[test]
fn one_after_another_they_cross_in_the_order_of_their_worth() {
    let account = sudden(&campus(SERVERS), None, &[]);
    let wanted = [
        "mail crosses from 0 s to 30 s",
        "web crosses from 30 s to 60 s",
        "batch crosses from 60 s to 100 s",
        "old crosses from 100 s to 130 s",
    ];
    assert_eq!(log(&account), wanted);
    assert_eq!((account.in_time, account.at_risk.len(), account.known), (None, 0, Known::Given));
}

#[test]
fn one_that_depends_on_another_waits_for_it_and_the_link_does_not_stand_empty_for_that() {
    let mut sim = campus(SERVERS);
    let plain = sudden(&sim, None, &[]);
    sim.amend("mail", |vm| vm.spec.after = vec!["old".parse().unwrap()]);
    let waiting = sudden(&sim, None, &[]);
    let of = |vm: &str| waiting.servers.iter().find(|server| server.vm.as_str() == vm).unwrap();
    assert!(of("mail").begins >= of("old").ends && of("old").begins < of("web").begins, "{:#?}", log(&waiting));
    let all = |account: &Account| after(account, account.evacuated).unwrap();
    assert!(all(&waiting) * 10 <= all(&plain) * 11, "{} ms, and {} without", all(&waiting), all(&plain));
}

#[test]
fn over_a_slow_link_it_takes_so_much_longer() {
    let sim = campus(SERVERS);
    let what = What::Sudden("myodaiji".parse().unwrap(), None);
    let account = go(&sim, Rehearsal { what, link: Some(LINK / 4), troubles: Troubles::default() }, Budget::default());
    assert_eq!(log(&account).last().unwrap(), "old crosses from 380 s to 510 s");
}

#[test]
fn with_too_little_time_the_worthiest_cross_and_the_others_are_suspended_and_go_on_afterwards() {
    let account = sudden(&campus(SERVERS), Some(190_000), &[]);
    let suspended = Fate::Halted(Way::Suspend);
    let wanted = [("mail", Fate::Live), ("web", Fate::Live), ("batch", suspended), ("old", suspended)];
    assert_eq!(fates(&account), wanted, "{account:#?}");
    assert_eq!((account.in_time, account.at_risk.len()), (Some(true), 0), "{account:#?}");
    assert!(account.servers.iter().all(|server| server.home.is_some()), "{account:#?}");
}

#[test]
fn an_evacuation_takes_little_longer_than_its_bytes_need_on_the_link() {
    let sim = campus(SERVERS);
    let site = "myodaiji".parse().unwrap();
    let span = makespan(sim.snapshot(), &sim.rules, &site, Troubles::default(), at(sim.now)).unwrap();
    let Makespan { took_ms, bound_ms, crossed, stayed } = span;
    assert_eq!((crossed, stayed), (SERVERS.len(), 0));
    assert!(bound_ms > 0 && (bound_ms..bound_ms + 3_000).contains(&took_ms), "{span:?}");
}

/// Has a server run on a node.
fn settled(sim: &mut Sim, vm: &str, memory_mib: u64, node: &str) {
    let mut vm = documents::vm(vm, memory_mib);
    vm.apply(Change::Granted(name(node)), at(0)).unwrap();
    vm.apply(Change::SeenRunning, at(0)).unwrap();
    assert!(sim.put_vm(vm, 0));
}

/// Has a server have made its `number`th migration, which sent so many bytes of memory and of disk.
fn crossed(sim: &mut Sim, (vm, number): (&str, u64), ends: (&str, &str), took: (Option<u64>, u64), sent: (u64, u64)) {
    let ((began, total_ms), (memory_bytes, disk_bytes)) = (took, sent);
    let migration = Migration {
        id: format!("{vm}-{number}").parse().unwrap(),
        from: name(ends.0),
        to: name(ends.1),
        state: Moved::Completed,
        measured: Some(Measured { total_ms, memory_bytes, disk_bytes, ..Measured::default() }),
        copying_at: began.map(at),
        changed_at: at(began.map_or(sim.now, |began| began + total_ms)),
        ..documents::migration(vm)
    };
    let docs = &mut sim.docs;
    assert!(put(&mut docs.migrations, &mut docs.revision, migration, 0));
}

/// Has a server have crossed once, over a link of [`LINK`], and so many percent of its memory travelled twice.
fn remember(sim: &mut Sim, vm: &str, percent: u64) {
    let memory = sim.docs.vms[vm].value.spec.memory_mib << 20;
    let sent = memory + memory / 100 * percent;
    crossed(sim, (vm, 1), ("n0", "n1"), (None, sent * 1_000 / LINK), (sent, 0));
}

/// The benchmark of plans has a thousand of these.
#[test]
fn neither_a_link_cut_to_a_quarter_nor_a_target_that_fails_costs_more_than_it_has_to() {
    for seed in 0..8 {
        let mut dice = Dice::new(seed);
        let mut sim = Sim::new(1, &[], CALM, Broken::Nothing);
        let targets = ["n1", "n3", "n4"];
        for node in ["n0", "n2"] {
            sim.add_node(documents::node(node, "myodaiji", 8_000));
        }
        for node in targets {
            sim.add_node(documents::node(node, "yamate", 8_000));
        }
        for n in 0..12_u64 {
            let memory_mib = 128 + dice.below(5) * 64;
            settled(&mut sim, &format!("v{n}"), memory_mib, if n % 2 == 0 { "n0" } else { "n2" });
            remember(&mut sim, &format!("v{n}"), dice.below(11));
        }
        // It would take some 13 minutes.
        let target = targets[usize::try_from(dice.below(3)).unwrap()];
        let fails = vec![(name(target), dice.below(800_000))];
        let slows = Some((dice.below(800_000), LINK / 4));
        let site = "myodaiji".parse().unwrap();
        let troubles = Troubles { fails, slows };
        let span = makespan(sim.snapshot(), &sim.rules, &site, troubles.clone(), at(sim.now)).unwrap();
        assert_eq!((span.crossed, span.stayed), (12, 0), "{seed}: {troubles:?}");
        let asked = span.bound_ms / 10 * 11;
        assert!((span.bound_ms / 20 * 19..=asked).contains(&span.took_ms), "{seed}: {span:?}, {troubles:?}");
    }
}

#[test]
fn with_hardly_any_time_nobody_crosses_and_nobody_is_lost() {
    let account = sudden(&campus(SERVERS), Some(30_000), &[]);
    assert!(fates(&account).iter().all(|(_, fate)| *fate == Fate::Halted(Way::Suspend)), "{account:#?}");
    assert_eq!((account.in_time, account.at_risk.len()), (Some(true), 0), "{account:#?}");
}

#[test]
fn of_whom_there_is_no_time_to_shut_down_it_is_not_said_that_it_is_off_in_time() {
    // No disk takes what is to be saved in the second that there is for it, and a guest takes longer to shut down.
    let account = sudden(&campus(SERVERS), Some(6_000), &[]);
    assert!(fates(&account).iter().all(|(_, fate)| *fate == Fate::Halted(Way::ShutDown)), "{account:#?}");
    assert_eq!((account.in_time, account.at_risk.len()), (Some(false), SERVERS.len()), "{account:#?}");
    for server in &account.servers {
        assert!(after(&account, server.ends).unwrap() > 6_000, "{account:#?}");
        let why = server.why.as_ref().unwrap().english();
        assert!(why.cause.contains("after the power has gone"), "{why:?}");
    }
}

#[test]
fn who_finds_no_room_is_left_and_is_at_risk() {
    let mut sim = campus(&[("a", 600), ("b", 600)]);
    let entry = sim.docs.nodes["y2"].clone();
    let cordoned = watari_model::node::Node { cordoned: true, ..entry.value.clone() };
    let docs = &mut sim.docs;
    assert!(put(&mut docs.nodes, &mut docs.revision, cordoned, entry.revision));
    let account = sudden(&sim, None, &[]);
    assert_eq!(fates(&account), [("a", Fate::Live), ("b", Fate::Left)], "{account:#?}");
    assert_eq!(account.servers[1].why.as_ref().unwrap().code(), "placement.no-room");
    assert_eq!(account.at_risk, ["b".parse::<VmName>().unwrap()]);
    assert!(account.home.is_some(), "who did leave comes home");
}

#[test]
fn whose_policy_is_to_stay_is_left_with_that_reason() {
    let mut sim = campus(SERVERS);
    sim.amend("old", |vm| vm.spec.evacuate = Evacuate::Stay);
    let account = sudden(&sim, None, &[]);
    assert_eq!(log(&account).last().unwrap(), "old is left: outage.policy-stays");
    assert_eq!(account.at_risk, ["old".parse::<VmName>().unwrap()]);
}

#[test]
fn when_a_target_fails_half_way_the_others_go_elsewhere_and_the_evacuation_still_ends() {
    let account = sudden(&campus(SERVERS), None, &[("y1", 40_000)]);
    assert!(account.evacuated.is_some() && account.at_risk.is_empty(), "{account:#?}");
    let y2: NodeName = name("y2");
    for server in &account.servers {
        assert_eq!(server.fate, Fate::Live, "{account:#?}");
        let early = after(&account, server.ends).unwrap() < 40_000;
        assert!(early || server.to.as_ref() == Some(&y2), "{account:#?}");
    }
}

#[test]
fn who_has_crossed_to_a_node_that_then_fails_goes_down_with_it() {
    let sim = campus(SERVERS);
    let calm = sudden(&sim, None, &[]);
    assert!(calm.went_down.is_empty(), "{calm:#?}");
    let to = calm.servers[0].to.clone().unwrap();
    let account = sudden(&sim, None, &[(to.as_str(), 40_000)]);
    let [fall] = &account.went_down[..] else { panic!("{account:#?}") };
    assert_eq!((fall.vm.as_str(), &fall.node, after(&account, Some(fall.at))), ("mail", &to, Some(40_000)));
}

#[test]
fn who_goes_down_with_its_own_node_does_not_run_when_the_power_goes() {
    let sim = campus(SERVERS);
    let from = sudden(&sim, None, &[]).servers[0].from.clone();
    let account = sudden(&sim, Some(600_000), &[(from.as_str(), 1_000)]);
    let mail: VmName = "mail".parse().unwrap();
    assert!(account.went_down.iter().any(|fall| fall.vm == mail && fall.node == from), "{account:#?}");
    assert!(!account.at_risk.contains(&mail), "{account:#?}");
}

#[test]
fn who_goes_off_since_no_other_site_has_a_node_is_told_that_and_not_that_time_is_short() {
    let account = sudden(&campus(SERVERS), Some(190_000), &[("y1", 1_000), ("y2", 1_000)]);
    let off: Vec<_> = account.servers.iter().filter(|server| matches!(server.fate, Fate::Halted(_))).collect();
    assert!(!off.is_empty(), "{account:#?}");
    let mut codes = off.iter().map(|server| server.why.as_ref().map(watari_model::Refusal::code));
    assert!(codes.all(|code| code == Some("placement.no-room")), "{account:#?}");
}

#[test]
fn when_the_other_site_is_emptied_as_well_nobody_leaves() {
    let mut sim = campus(SERVERS);
    let scope = Scope::Site("yamate".parse().unwrap());
    let other = Outage::begun("yamate-1".parse().unwrap(), scope, String::new(), at(sim.now));
    let docs = &mut sim.docs;
    assert!(put(&mut docs.outages, &mut docs.revision, other, 0));
    let account = sudden(&sim, None, &[]);
    assert!(fates(&account).iter().all(|(_, fate)| *fate == Fate::Left), "{account:#?}");
    assert_eq!(account.at_risk.len(), SERVERS.len());
}

fn standing(service: Service, site: &str, leads: bool) -> Standing {
    Standing {
        service,
        instance: format!("{}-{site}", service.name()),
        site: Some(site.parse().unwrap()),
        leads,
        epoch: None,
        leader: None,
        nats: String::new(),
        followed: std::collections::BTreeMap::new(),
        wish: None,
        quorum: None,
        store: None,
        version: String::new(),
    }
}

#[test]
fn the_front_end_leaves_last_and_comes_home_last() {
    let sim = campus(SERVERS);
    let mut snap = sim.snapshot();
    let both = |service: &Service| [standing(*service, "myodaiji", true), standing(*service, "yamate", false)];
    let standings = Service::OF_FRONT.iter().flat_map(both).collect();
    snap.control = Control::Seen(Arc::new(ControlSight { standings, ..ControlSight::default() }));
    let what = What::Sudden("myodaiji".parse().unwrap(), None);
    let wish = Rehearsal { what, link: Some(LINK), troubles: Troubles::default() };
    let account = rehearse(snap, &sim.rules, wish, Budget::default(), at(sim.now)).unwrap();
    let (empty, all) = (after(&account, account.empty).unwrap(), after(&account, account.evacuated).unwrap());
    assert!((empty + 10_000..empty + 25_000).contains(&all), "{empty} and {all} ms");
    assert!(account.home.is_some(), "{account:#?}");
}

#[test]
fn a_scheduled_outage_is_gone_through_at_its_own_time_and_is_too_late_over_a_slow_link() {
    let sim = campus(SERVERS);
    let from = at(sim.now).plus_millis(90 * MINUTE);
    let window = Window { from, until: from.plus_millis(60 * MINUTE) };
    let scope = Scope::Site("myodaiji".parse().unwrap());
    let id = "myodaiji-1".parse().unwrap();
    let outage = Outage::scheduled(id, scope, window, String::new(), String::new(), at(sim.now));
    let mut snap = sim.snapshot();
    let mut counter = sim.docs.revision;
    assert!(put(&mut snap.outages, &mut counter, outage.clone(), 0));
    let with = |link: u64| {
        let what = What::Stored(Box::new(outage.clone()));
        let wish = Rehearsal { what, link: Some(link), troubles: Troubles::default() };
        rehearse(snap.clone(), &sim.rules, wish, Budget::default(), at(sim.now)).unwrap()
    };
    let account = with(LINK);
    assert_eq!(account.begins, from.minus_millis(sim.rules.calendar.lead_ms));
    assert_eq!((account.in_time, account.power_off), (Some(true), Some(from)), "{account:#?}");
    assert!(account.returns.is_some_and(|at| at >= window.until) && account.home.is_some(), "{account:#?}");
    // Nobody is stopped for the sake of an inspection: who is still there is at risk.
    let account = with(LINK / 40);
    assert_eq!(account.in_time, Some(false), "{account:#?}");
    assert!(!account.at_risk.is_empty() && fates(&account).iter().all(|(_, fate)| *fate != Fate::Off));
}

#[test]
fn in_large_steps_a_rehearsal_of_many_servers_says_the_same_within_a_tenth() {
    let mut sim = Sim::new(1, &[], CALM, Broken::Nothing);
    for (node, site) in [("n0", "myodaiji"), ("n1", "yamate"), ("n2", "myodaiji"), ("n3", "yamate")] {
        sim.add_node(documents::node(node, site, 64_000));
    }
    for n in 0..40_u64 {
        settled(&mut sim, &format!("v{n}"), 128 + n % 5 * 64, if n % 2 == 0 { "n0" } else { "n2" });
    }
    let with = |budget| {
        let what = What::Sudden("myodaiji".parse().unwrap(), None);
        go(&sim, Rehearsal { what, link: Some(LINK), troubles: Troubles::default() }, budget)
    };
    let (exact, coarse) = (with(Budget::default()), with(Budget { looks: 0, least: 300, most: 300 }));
    assert!(exact.step_ms < 1_000 && coarse.step_ms > 10_000, "{} and {}", exact.step_ms, coarse.step_ms);
    let took = |account: &Account| after(account, account.evacuated).unwrap();
    assert!(took(&exact).abs_diff(took(&coarse)) * 10 <= took(&exact), "{} and {}", took(&exact), took(&coarse));
    assert!(coarse.home.is_some() && coarse.servers.iter().all(|server| server.fate == Fate::Live));
    assert!(coarse.outage.is_none(), "one that is imagined is not stored");

    // Where each copy is bounded, a faster link is no reason for steps that are too small to come to an end.
    sim.rules.bandwidth_mib = LINK >> 20;
    let what = What::Sudden("myodaiji".parse().unwrap(), None);
    let budget = Budget { looks: 0, least: 300, most: 300 };
    let bounded = go(&sim, Rehearsal { what, link: Some(16 * LINK), troubles: Troubles::default() }, budget);
    let differs = took(&bounded).abs_diff(took(&coarse));
    assert!(bounded.home.is_some() && differs * 10 <= took(&coarse), "{} and {}", took(&bounded), took(&coarse));
}
