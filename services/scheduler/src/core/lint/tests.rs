//! Plans of random worlds stand the check, and no plan does that was changed for the worse.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;
use watari_chassis::Entry;
use watari_model::{
    NodeName, Refusal, VmName,
    migration::{Measured, Migration, Reason, State as Moved},
    node::{self, Node, Virtualisation, Weight},
    outage::{Outage, Scope},
    vm::{Change, Company, Membership, Vm},
};

use super::{Answer, SECOND_CHOICES, checked, is_too_soon, never_at_once, too_early, too_fast};
use crate::core::{
    Action, Rules, Snapshot, evacuation,
    forecast::forecast,
    tests::documents::{self, Documents, at, name, put},
    turn::Turn,
    weight::{self, Own},
};

fn outage() -> Outage {
    let (id, scope) = ("myodaiji-1".parse().unwrap(), Scope::Site("myodaiji".parse().unwrap()));
    Outage::begun(id, scope, String::new(), at(0))
}

/// A server that runs on a node.
fn on(node: &str, vm: &str, memory_mib: u64) -> Vm {
    let mut vm = documents::vm(vm, memory_mib);
    vm.apply(Change::Granted(name(node)), at(0)).unwrap();
    vm.apply(Change::SeenRunning, at(0)).unwrap();
    vm
}

fn apart(mut vm: Vm, group: &str) -> Vm {
    vm.spec.groups.push(Membership { group: group.parse().unwrap(), company: Company::Apart });
    vm
}

fn world(nodes: Vec<Node>, vms: Vec<Vm>) -> Snapshot {
    let (mut docs, mut counter) = (Documents::default(), 0);
    for site in ["myodaiji", "yamate"] {
        put(&mut docs.sites, &mut counter, documents::site(site), 0);
    }
    for node in nodes {
        put(&mut docs.nodes, &mut counter, node, 0);
    }
    for vm in vms {
        put(&mut docs.vms, &mut counter, vm, 0);
    }
    put(&mut docs.outages, &mut counter, outage(), 0);
    let Documents { vms, sites, nodes, outages, .. } = docs;
    Snapshot { vms, sites, nodes, outages, ..Snapshot::default() }
}

/// Two nodes at each campus, of a GiB each.
fn campus(vms: Vec<Vm>) -> Snapshot {
    let node = |(name, site)| documents::node(name, site, 1_024);
    world([("m1", "myodaiji"), ("m2", "myodaiji"), ("y1", "yamate"), ("y2", "yamate")].map(node).into(), vms)
}

fn edit_node(snap: &mut Snapshot, node: &str, edit: impl FnOnce(&mut Node)) {
    let mut value = snap.nodes[node].value.clone();
    edit(&mut value);
    let entry = Entry { value, revision: 9, created: at(0) };
    Arc::make_mut(&mut snap.nodes).insert(node.to_owned(), Arc::new(entry));
}

/// What the alarms about plans say.
fn alarms(turn: &Turn<'_>) -> String {
    let text = |action: &Action| match action {
        Action::Alarm { key, text } if key == "alarm/plan/myodaiji-1" => Some(text.clone()),
        _ => None,
    };
    turn.actions.iter().filter_map(text).collect()
}

/// What becomes of a proposal if there is no second choice: the alarm, and the answers.
fn after_check(snap: &Snapshot, servers: &[&str], proposal: Vec<Answer>) -> (String, Vec<Result<NodeName, Refusal>>) {
    let rules = Rules::default();
    let mut turn = Turn::new(snap, &rules, at(0));
    let servers: Vec<&Vm> = servers.iter().map(|vm| &snap.vms[*vm].value).collect();
    let answers = checked(&mut turn, &outage(), Reason::Evacuation, &servers, proposal, &|_| false);
    assert_eq!(answers.len(), servers.len(), "everybody has an answer");
    (alarms(&turn), answers)
}

fn to(index: usize, node: &str) -> Answer {
    (index, Ok(name(node)))
}

/// Has the second of two servers flawed by that word, and the first one go.
#[track_caller]
fn second_is(word: &str, snap: &Snapshot, proposal: Vec<Answer>) {
    let (alarm, answers) = after_check(snap, &["a", "b"], proposal);
    assert!(alarm.starts_with("outage.plan-flawed: 1 ") && alarm.contains(&format!("b ({word})")), "{alarm}");
    assert_eq!(answers[0], Ok(name("y1")));
    let why = answers[1].clone().unwrap_err();
    assert_eq!(why.code(), "outage.plan-flawed");
    assert!(why.english().cause.contains(word) && why.japanese().cause.contains(word), "{why}");
}

fn two() -> Vec<Vm> {
    vec![on("m1", "a", 600), on("m1", "b", 600)]
}

#[test]
fn what_is_sound_is_left_as_it_is() {
    let snap = campus(two());
    let (alarm, answers) = after_check(&snap, &["a", "b"], vec![to(1, "y2"), to(0, "y1")]);
    assert_eq!((alarm.as_str(), answers), ("", vec![Ok(name("y1")), Ok(name("y2"))]));
    // A reason is an answer, too.
    let why = Refusal::PolicyStays { vm: "b".to_owned() };
    let (alarm, answers) = after_check(&snap, &["a", "b"], vec![to(0, "y1"), (1, Err(why.clone()))]);
    assert_eq!((alarm.as_str(), answers), ("", vec![Ok(name("y1")), Err(why)]));
}

#[test]
fn a_server_that_is_named_twice_goes_once_and_one_that_is_forgotten_stays_with_a_reason() {
    let snap = campus(two());
    let (alarm, answers) = after_check(&snap, &["a", "b"], vec![to(0, "y1"), to(0, "y2"), to(1, "y2")]);
    assert!(alarm.contains("a (twice)"), "{alarm}");
    assert_eq!(answers, [Ok(name("y1")), Ok(name("y2"))]);
    second_is("forgotten", &snap, vec![to(0, "y1")]);
}

#[test]
fn a_target_must_be_there_receive_servers_and_be_elsewhere() {
    let mut snap = campus(two());
    second_is("unknown-node", &snap, vec![to(0, "y1"), to(1, "y9")]);
    second_is("astray", &snap, vec![to(0, "y1"), to(1, "m2")]);
    edit_node(&mut snap, "y2", |node| node.cordoned = true);
    second_is("closed-node", &snap, vec![to(0, "y1"), to(1, "y2")]);
    edit_node(&mut snap, "y2", |node| (node.cordoned, node.state) = (false, node::State::Suspect));
    second_is("closed-node", &snap, vec![to(0, "y1"), to(1, "y2")]);
}

#[test]
fn a_node_promises_no_more_than_it_may_whoever_is_there_already_or_on_the_way() {
    second_is("room", &campus(two()), vec![to(0, "y1"), to(1, "y1")]);
    let standing = campus([two(), vec![on("y2", "c", 500)]].concat());
    second_is("room", &standing, vec![to(0, "y1"), to(1, "y2")]);
    // Its document does not say yet that it comes.
    let mut coming = campus([two(), vec![on("m2", "c", 500)]].concat());
    let queued = watari_model::migration::Migration { to: name("y2"), from: name("m2"), ..documents::migration("c") };
    let action = Action::NewMigration(Box::new(queued));
    coming.busy.insert(action.key(), Arc::new(action));
    second_is("room", &coming, vec![to(0, "y1"), to(1, "y2")]);
    let disk = |vm: Vm| Vm { spec: watari_model::vm::Spec { disk_gib: 101, memory_mib: 64, ..vm.spec.clone() }, ..vm };
    second_is("room", &campus(two().into_iter().map(disk).collect()), vec![to(0, "y1"), to(1, "y1")]);
}

#[test]
fn who_keeps_apart_is_beside_nobody_of_its_group() {
    let small = |vm: &str| apart(on("m1", vm, 64), "mx");
    second_is("apart", &campus(vec![small("a"), small("b")]), vec![to(0, "y1"), to(1, "y1")]);
    let standing = campus(vec![small("a"), small("b"), apart(on("y2", "c", 64), "mx")]);
    second_is("apart", &standing, vec![to(0, "y1"), to(1, "y2")]);
}

#[test]
fn a_guest_goes_only_where_its_processor_networks_image_and_means_are() {
    let mut snap = campus(two());
    edit_node(&mut snap, "y2", |node| node.inventory.virtualisation = Virtualisation::Kvm);
    second_is("processor", &snap, vec![to(0, "y1"), to(1, "y2")]);

    let network = documents::network("staff");
    let mut vms = two();
    vms[1].spec.nics.push(documents::nic(&network, 100));
    let mut snap = campus(vms);
    let entry = Entry { value: network, revision: 1, created: at(0) };
    snap.networks = Arc::new(BTreeMap::from([("staff".to_owned(), Arc::new(entry))]));
    assert!(after_check(&snap, &["a", "b"], vec![to(0, "y1"), to(1, "y2")]).1[1].is_ok());
    edit_node(&mut snap, "y2", |node| node.inventory.segments.clear());
    second_is("network", &snap, vec![to(0, "y1"), to(1, "y2")]);

    let mut snap = campus(two());
    let entry = Entry { value: documents::image(&[]), revision: 1, created: at(0) };
    snap.images = Arc::new(BTreeMap::from([("mini".to_owned(), Arc::new(entry))]));
    edit_node(&mut snap, "y1", |node| node.inventory.images = ["0".repeat(64)].into());
    second_is("image", &snap, vec![to(0, "y1"), to(1, "y2")]);

    let mut vms = two();
    vms[1].spec.node_labels.insert("disk".to_owned(), "ssd".to_owned());
    second_is("means", &campus(vms), vec![to(0, "y1"), to(1, "y2")]);

    let mut snap = campus(two());
    edit_node(&mut snap, "y2", |node| node.inventory.protection.wanted = true);
    second_is("means", &snap, vec![to(0, "y1"), to(1, "y2")]);
}

#[test]
fn one_whose_target_is_flawed_goes_to_another_if_there_is_one() {
    let (snap, rules) = (campus(two()), Rules::default());
    let mut turn = Turn::new(&snap, &rules, at(0));
    let servers = [&snap.vms["a"].value, &snap.vms["b"].value];
    let candidates = |node: &Node| node.site.as_str() == "yamate";
    let proposal = [to(0, "y1"), to(1, "y1")];
    let answers = checked(&mut turn, &outage(), Reason::Evacuation, &servers, proposal, &candidates);
    assert_eq!(answers, [Ok(name("y1")), Ok(name("y2"))]);
    assert!(alarms(&turn).contains("b (room)"), "it is told all the same: {}", alarms(&turn));
}

#[test]
fn however_many_moves_are_flawed_another_node_is_looked_for_only_so_often() {
    let names: Vec<String> = (0..SECOND_CHOICES + 4).map(|number| format!("v{number}")).collect();
    let mut snap = campus(names.iter().map(|vm| on("m1", vm, 1)).collect());
    edit_node(&mut snap, "y1", |node| (node.inventory.vcpus, node.inventory.disk_gib) = (1_000, 10_000));
    let rules = Rules::default();
    let mut turn = Turn::new(&snap, &rules, at(0));
    let servers: Vec<&Vm> = names.iter().map(|vm| &snap.vms[vm].value).collect();
    let proposal = (0..servers.len()).map(|index| to(index, "m2"));
    let candidates = |node: &Node| node.name.as_str() == "y1";
    let answers = checked(&mut turn, &outage(), Reason::Evacuation, &servers, proposal, &candidates);
    let (others, stay) = answers.split_at(SECOND_CHOICES);
    assert!(others.iter().all(|answer| *answer == Ok(name("y1"))));
    assert!(stay.iter().all(|answer| answer.as_ref().is_err_and(|why| why.code() == "outage.plan-flawed")));
}

/// Servers on m1 of which each depends on the next one named beside it.
fn chain(chain: &[(&str, &str)]) -> Snapshot {
    let vm = |(vm, after): &(&str, &str)| {
        let mut vm = on("m1", vm, 64);
        vm.spec.after = vec![after.parse().unwrap()];
        vm
    };
    campus(chain.iter().map(vm).chain([on("m1", "db", 64)]).collect())
}

#[test]
fn who_depends_on_others_begins_after_them_unless_that_leads_in_a_circle() {
    let early = |snap: &Snapshot, order: &[&str]| -> Vec<String> {
        let order: Vec<&Vm> = order.iter().map(|vm| &snap.vms[*vm].value).collect();
        too_early(snap, &order).into_iter().map(|(vm, flaw)| format!("{} {}", vm.name, flaw.word())).collect()
    };
    let snap = chain(&[("web", "db"), ("proxy", "web")]);
    assert_eq!(early(&snap, &["db", "web", "proxy"]), [""; 0]);
    assert_eq!(early(&snap, &["web", "db", "proxy"]), ["web order"]);
    assert_eq!(early(&snap, &["proxy", "web"]), ["proxy order"], "one that does not travel is not waited for");
    let circle = chain(&[("x", "y"), ("y", "x"), ("behind", "x")]);
    assert_eq!(early(&circle, &["behind", "x", "y"]), [""; 0], "nobody heeds it until it is mended");
}

#[test]
fn of_two_of_which_one_depends_on_the_other_only_one_begins() {
    let rules = Rules::default();
    let begin = |snap: &Snapshot, vms: &[&str]| -> (Vec<VmName>, String) {
        let mut turn = Turn::new(snap, &rules, at(0));
        let mut begin: Vec<(&Vm, NodeName)> = vms.iter().map(|vm| (&snap.vms[*vm].value, name("y1"))).collect();
        never_at_once(&mut turn, &outage(), &mut begin);
        (begin.into_iter().map(|(vm, _)| vm.name.clone()).collect(), alarms(&turn))
    };
    let snap = chain(&[("web", "db"), ("proxy", "web")]);
    let (begun, alarm) = begin(&snap, &["web", "db"]);
    assert_eq!(begun, ["db".parse::<VmName>().unwrap()]);
    assert!(alarm.contains("web (order)"), "{alarm}");
    let (begun, alarm) = begin(&snap, &["proxy", "db"]);
    assert_eq!((begun.len(), alarm.as_str()), (2, ""));
}

/// Has a server have crossed with so many MiB in so many milliseconds, and a node tell how many MiB a second another writes.
fn measure(snap: &mut Snapshot, (mib, millis): (u64, u64), vm: &str, written: u64) {
    let measured = Measured { total_ms: millis, memory_bytes: mib << 20, ..Measured::default() };
    let (state, measured, copying_at) = (Moved::Completed, Some(measured), Some(at(0)));
    let value = Migration { state, measured, copying_at, changed_at: at(millis), ..documents::migration("mail") };
    let (key, entry) = (value.id.to_string(), Entry { value, revision: 9, created: at(0) });
    Arc::make_mut(&mut snap.migrations).insert(key, Arc::new(entry));
    let weight = Weight { disk_bytes: 0, dirty_bytes_per_second: Some(written << 20) };
    let node = snap.vms[vm].value.node().unwrap().to_string();
    edit_node(snap, &node, |node| node.inventory.weights.extend([(vm.parse().unwrap(), weight)]));
}

#[test]
fn who_writes_faster_than_its_copy_travels_is_told_of_and_no_time_is_shorter_than_that_of_the_bytes() {
    let mut snap = campus(two());
    // 10 MiB a second, beside five seconds of the migration's own.
    measure(&mut snap, (100, 15_000), "a", 4);
    let found = |in_flight: usize, bandwidth_mib: u64| {
        let rules = Rules { in_flight, bandwidth_mib, ..Rules::default() };
        let turn = Turn::new(&snap, &rules, at(0));
        let is_slow = |vm: &str| too_fast(&turn, &snap.vms[vm].value).is_some();
        assert!(!is_slow("b"), "nothing is known of it");
        let soonest = (0..400).map(|tenths| tenths * 100).find(|ms| !is_too_soon(&turn, 100 << 20, *ms));
        (is_slow("a"), soonest)
    };
    assert_eq!(found(1, 0), (false, Some(10_000)));
    assert_eq!(found(2, 0), (false, Some(10_000)), "together they have the whole link");
    assert_eq!(found(3, 0), (true, Some(10_000)));
    assert_eq!(found(1, 4), (true, Some(25_000)));
    assert_eq!(found(2, 5), (false, Some(10_000)));
    assert_eq!(found(3, 50), (true, Some(10_000)), "more than the link has is no share");
}

/// A server: its memory, its node, perhaps a group, its priority.
type Draft = (u64, u8, Option<u8>, u8);

/// Servers on six nodes, three of each campus; some keep apart.
fn worlds() -> impl Strategy<Value = (Vec<Node>, Vec<Vm>)> {
    let server = (32_u64..700, 0_u8..6, prop::option::weighted(0.3, 0_u8..4), 0_u8..3);
    let nodes = prop::collection::vec((256_u64..3_000, prop::bool::weighted(0.1)), 6);
    (nodes, prop::collection::vec(server, 1..30)).prop_map(|(nodes, servers)| {
        let called = |number: usize| format!("{}{}", if number < 3 { "m" } else { "y" }, number % 3);
        let node = |(number, (memory_mib, cordoned)): (usize, (u64, bool))| {
            let site = if number < 3 { "myodaiji" } else { "yamate" };
            Node { cordoned, ..documents::node(&called(number), site, memory_mib) }
        };
        let vm = |(number, (memory_mib, place, group, priority)): (usize, Draft)| {
            let mut vm = on(&called(usize::from(place)), &format!("v{number}"), memory_mib);
            vm.spec.priority = priority;
            match group {
                Some(group) => apart(vm, &format!("a{group}")),
                None => vm,
            }
        };
        (nodes.into_iter().enumerate().map(node).collect(), servers.into_iter().enumerate().map(vm).collect())
    })
}

/// The moves that are planned.
fn planned(snap: &Snapshot) -> (Vec<(String, NodeName)>, Vec<Refusal>, String) {
    let rules = Rules::default();
    let mut turn = Turn::new(snap, &rules, at(0));
    let foreseen = evacuation::foresee(&mut turn, &outage());
    let moves = foreseen.moves.into_iter().map(|(vm, to)| (vm.name.to_string(), to)).collect();
    (moves, foreseen.left.into_iter().map(|left| left.fault).collect(), alarms(&turn))
}

proptest! {
    #[test]
    fn plans_of_random_worlds_stand_the_check((nodes, servers) in worlds()) {
        let snap = world(nodes, servers);
        let (_, left, alarm) = planned(&snap);
        prop_assert_eq!(alarm, "");
        prop_assert!(left.iter().all(|why| why.code() != "outage.plan-flawed"), "{:?}", left);
    }

    #[test]
    fn plans_tell_who_is_slowed_down_and_their_times_stand_the_check(
        (nodes, servers) in worlds(), link in (1_u64..200, 1_000_u64..30_000), written in 0_u64..30,
        in_flight in 1_usize..4, bandwidth_mib in 0_u64..20,
    ) {
        let rules = Rules { in_flight, bandwidth_mib, ..Rules::default() };
        let mut snap = world(nodes, servers);
        measure(&mut snap, link, "v0", written);
        let turn = Turn::new(&snap, &rules, at(60_000));
        let vm = &snap.vms["v0"].value;
        let own = Own::of(&turn, vm, weight::last(&turn, vm));
        prop_assert!(too_fast(&turn, vm).is_none() || own.too_busy(&turn, vm).is_some(), "nothing is said of it");
        let plan = forecast(&snap, &rules, &"myodaiji".parse().unwrap(), at(60_000)).unwrap();
        prop_assert!(plan.estimated_ms().is_some(), "it is too short");
    }

    #[test]
    fn no_plan_does_that_was_changed_for_the_worse(
        (nodes, servers) in worlds(), which in any::<prop::sample::Index>(), change in 0_u8..6,
    ) {
        let mut snap = world(nodes, servers);
        let (moves, _, _) = planned(&snap);
        prop_assume!(!moves.is_empty());
        let index = which.index(moves.len());
        let (vm, target) = moves[index].clone();
        let mut proposal: Vec<Answer> =
            moves.iter().enumerate().map(|(index, (_, to))| (index, Ok(to.clone()))).collect();
        let word = match change {
            0 => {
                drop(proposal.remove(index));
                "forgotten"
            }
            1 => {
                proposal.push((index, Ok(target.clone())));
                "twice"
            }
            2 => {
                proposal[index].1 = Ok(name("m0"));
                "astray"
            }
            3 => {
                edit_node(&mut snap, target.as_str(), |node| node.cordoned = true);
                "closed-node"
            }
            4 => {
                edit_node(&mut snap, target.as_str(), |node| node.inventory.segments.clear());
                let network = documents::network("staff");
                let mut value = snap.vms[&vm].value.clone();
                value.spec.nics.push(documents::nic(&network, 100));
                let entry = Entry { value, revision: 9, created: at(0) };
                Arc::make_mut(&mut snap.vms).insert(vm.clone(), Arc::new(entry));
                "network"
            }
            _ => {
                let comes = moves.iter().filter(|(_, to)| *to == target).map(|(vm, _)| vm.as_str());
                let stands = snap.vms.values().map(|entry| &entry.value).filter(|vm| vm.node() == Some(&target));
                let held: u64 = comes.map(|vm| snap.vms[vm].value.spec.memory_mib).sum();
                let held = held + stands.map(|vm| vm.spec.memory_mib).sum::<u64>();
                edit_node(&mut snap, target.as_str(), |node| node.inventory.memory_mib = held - 1);
                "room"
            }
        };
        let names: Vec<&str> = moves.iter().map(|(vm, _)| vm.as_str()).collect();
        let (alarm, answers) = after_check(&snap, &names, proposal);
        prop_assert!(alarm.contains(&format!("({word})")), "{word} is not in: {alarm}");
        let flawed = |answer: &Result<NodeName, Refusal>| {
            answer.as_ref().is_err_and(|why| why.code() == "outage.plan-flawed")
        };
        prop_assert!(word == "twice" || answers.iter().any(flawed), "{answers:?}");
    }
}
