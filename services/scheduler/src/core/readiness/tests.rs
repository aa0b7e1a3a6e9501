//! An inspection of Myodaiji, seen from the day on which it is scheduled.

use watari_model::{
    node::Weight,
    site::Supply,
    vm::{self, Desired},
};

use super::*;
use crate::core::{
    forecast::forecast_within,
    tests::{
        campus::{Campus, SECOND},
        documents::{at, image, network, nic, put, vm as server},
    },
};

const FROM: u64 = 1_000_000;

fn scheduled() -> Campus {
    let mut campus = Campus::new(Rules::default());
    let window = Window { from: at(FROM * SECOND), until: at((FROM + 100) * SECOND) };
    let scope = Scope::Site("myodaiji".parse().unwrap());
    let outage = Outage::scheduled("myodaiji-1".parse().unwrap(), scope, window, String::new(), "r".to_owned(), at(0));
    put(&mut campus.docs.outages, &mut campus.docs.revision, outage, 0);
    campus
}

fn add(campus: &mut Campus, name: &str, memory_mib: u64, change: impl FnOnce(&mut Vm)) {
    let mut vm = server(name, memory_mib);
    vm.apply(vm::Change::Granted("m1".parse().unwrap()), at(0)).unwrap();
    vm.apply(vm::Change::SeenRunning, at(0)).unwrap();
    change(&mut vm);
    put(&mut campus.docs.vms, &mut campus.docs.revision, vm, 0);
}

fn shrink(campus: &mut Campus, node: &str, memory_mib: u64) {
    let there = campus.docs.nodes[node].clone();
    let mut smaller = there.value.clone();
    smaller.inventory.memory_mib = memory_mib;
    assert!(put(&mut campus.docs.nodes, &mut campus.docs.revision, smaller, there.revision));
}

fn outlook(campus: &Campus) -> Outlook {
    outlooks(&campus.snapshot(), &campus.rules, at(0)).pop().unwrap()
}

/// Who is at risk or warned of and why, by the document that is to be written; it is written.
fn told(campus: &mut Campus) -> Option<Vec<(String, &'static str)>> {
    let news = outlook(campus).news()?;
    let Change::RisksSeen { at_risk, warned } = &news else { panic!("{news:?}") };
    let told = at_risk.iter().chain(warned).map(|left| (left.vm.to_string(), left.fault.code())).collect();
    campus.asked(news, 1);
    Some(told)
}

#[test]
fn servers_are_counted_by_what_would_become_of_them() {
    let mut campus = scheduled();
    add(&mut campus, "large", 4_096, |_| {});
    add(&mut campus, "old", 64, |vm| vm.spec.evacuate = Evacuate::Stay);
    add(&mut campus, "off", 64, |vm| {
        vm.desired = Desired::Stopped;
        vm.state = vm::State::Stopped;
    });
    let seen = outlook(&campus);
    // Yamate has 4,096 MiB: the largest is placed first, and mail finds no room beside it.
    assert_eq!(seen.fates, Fates { leaving: 1, staying: 1, by_policy: 1, off: 1 }, "{seen:?}");
    assert_eq!(seen.reasons, BTreeMap::from([("placement.no-room", 1)]), "who wants to stay, or is off, is no case");
    assert_eq!((seen.site.as_str(), seen.estimated_ms), ("myodaiji", None));
    assert_eq!(seen.begins_at, at((FROM - 3_600) * SECOND));
}

#[test]
fn one_that_stands_still_could_not_leave_and_its_reason_is_told() {
    let mut campus = scheduled();
    let fault = vm::Standstill::IoError.refusal(&"still".parse().unwrap(), &"m1".parse().unwrap());
    add(&mut campus, "still", 64, |vm| vm.fault = Some(fault));
    let seen = outlook(&campus);
    assert_eq!((seen.fates.leaving, seen.fates.staying), (1, 1), "{seen:?}");
    assert_eq!(seen.reasons, BTreeMap::from([("vm.stands-still", 1)]));
    assert_eq!(told(&mut campus), Some(vec![("still".to_owned(), "vm.stands-still")]));
}

#[test]
fn who_is_at_risk_is_told_once_and_again_when_who_or_why_changes() {
    let mut campus = scheduled();
    assert_eq!(told(&mut campus), None, "everybody could leave");
    add(&mut campus, "old", 64, |vm| vm.spec.evacuate = Evacuate::Stay);
    let stays = ("old".to_owned(), "outage.policy-stays");
    assert_eq!(told(&mut campus), Some(vec![stays.clone()]));
    assert_eq!(told(&mut campus), None);
    campus.node_is("y1", watari_model::node::State::Lost);
    let mail = ("mail".to_owned(), "placement.no-room");
    assert_eq!(told(&mut campus), Some(vec![mail, stays.clone()]));
    campus.node_is("y1", watari_model::node::State::Suspect);
    assert_eq!(told(&mut campus), None, "other words for the same reason are no news");
    campus.node_is("y1", watari_model::node::State::Ready);
    assert_eq!(told(&mut campus), Some(vec![stays]));
}

#[test]
fn who_writes_as_fast_as_its_copy_may_travel_leaves_and_is_warned_of_once() {
    let mut campus = scheduled();
    (campus.rules.in_flight, campus.rules.bandwidth_mib) = (1, 3);
    let writes = |campus: &mut Campus, mib: u64| {
        let there = campus.docs.nodes["m1"].clone();
        let mut node = there.value.clone();
        let weight = Weight { disk_bytes: 0, dirty_bytes_per_second: Some(mib << 20) };
        node.inventory.weights.insert("mail".parse().unwrap(), weight);
        assert!(put(&mut campus.docs.nodes, &mut campus.docs.revision, node, there.revision));
    };
    writes(&mut campus, 1);
    assert_eq!(told(&mut campus), None);
    writes(&mut campus, 4);
    let seen = outlook(&campus);
    assert_eq!((seen.fates.leaving, seen.fates.staying, seen.fates.score()), (1, 0, 100), "{seen:?}");
    assert_eq!((seen.warnings, seen.reasons), (BTreeMap::from([("outage.too-busy", 1)]), BTreeMap::new()));
    assert_eq!(told(&mut campus), Some(vec![("mail".to_owned(), "outage.too-busy")]));
    writes(&mut campus, 5);
    assert_eq!(told(&mut campus), None, "how fast exactly is no news");
    writes(&mut campus, 1);
    assert_eq!(told(&mut campus), Some(Vec::new()));
}

#[test]
fn whose_image_is_nowhere_is_at_risk_and_whose_image_is_at_home_alone_leaves_with_it() {
    let mut campus = scheduled();
    let stock = |campus: &mut Campus, sites: &[&str]| {
        let revision = campus.docs.images.get("mini").map_or(0, |there| there.revision);
        assert!(put(&mut campus.docs.images, &mut campus.docs.revision, image(sites), revision));
    };
    let warned = |campus: &Campus| {
        let snap = campus.snapshot();
        let fresh = server("fresh", 64);
        cannot_leave(&snap, &campus.rules, || Arc::new(Rooms::of(&snap, &campus.rules)), &fresh, at(0))
    };
    stock(&mut campus, &[]);
    assert_eq!(told(&mut campus), Some(vec![("mail".to_owned(), "placement.no-image")]));
    assert!(matches!(warned(&campus), Some(Refusal::CannotLeave { detail, .. }) if detail.en.contains("mini")));

    stock(&mut campus, &["myodaiji"]);
    assert_eq!(told(&mut campus), Some(vec![("mail".to_owned(), "outage.image-travels")]));
    let seen = outlook(&campus);
    assert_eq!((seen.fates.leaving, seen.fates.staying, seen.base_bytes), (1, 0, 64 << 20), "{seen:?}");
    let travels = |vm: &str| {
        let [vm, image, site, mib] = [vm, "mini", "yamate", "64"].map(str::to_owned);
        Refusal::ImageTravels { vm, image, site, mib }
    };
    assert_eq!(warned(&campus), Some(travels("fresh")));
    let plan = forecast(&campus.snapshot(), &campus.rules, &"myodaiji".parse().unwrap(), at(0)).unwrap();
    let [one] = plan.moves.as_slice() else { panic!("{plan:?}") };
    assert_eq!((one.bytes, one.base_bytes, one.measured), (192 << 20, 64 << 20, false));
    assert_eq!(one.warnings, [travels("mail")]);

    stock(&mut campus, &["myodaiji", "yamate"]);
    assert_eq!((outlook(&campus).base_bytes, warned(&campus)), (0, None));
}

#[test]
fn a_battery_of_today_says_nothing_of_an_inspection_to_come() {
    let mut campus = scheduled();
    campus.told(Supply::Battery, Some(0), 0);
    let now = forecast_within(&campus.snapshot(), &campus.rules, &"myodaiji".parse().unwrap(), None, at(0)).unwrap();
    assert_eq!((now.moves.len(), now.halts.len()), (0, 1), "{now:?}");
    let seen = outlook(&campus);
    assert_eq!((seen.fates.leaving, seen.fates.staying), (1, 0), "{seen:?}");
    assert_eq!(told(&mut campus), None);
}

#[test]
fn a_server_that_is_made_before_an_inspection_is_asked_whether_it_could_leave() {
    let mut campus = scheduled();
    let why = |campus: &Campus, vm: &Vm| {
        let snap = campus.snapshot();
        let rooms = || Arc::new(Rooms::of(&snap, &campus.rules));
        cannot_leave(&snap, &campus.rules, rooms, vm, at(0)).map(|why| why.code())
    };
    let (small, large) = (server("small", 64), server("large", 8_192));
    assert_eq!((why(&campus, &small), why(&campus, &large)), (None, Some("outage.cannot-leave")));
    // Beside mail, which has 128 MiB.
    shrink(&mut campus, "y1", 200);
    assert_eq!((why(&campus, &small), why(&campus, &server("crowds", 100))), (None, Some("outage.cannot-leave")));
    add(&mut campus, "old", 150, |_| {});
    let known = told(&mut campus).unwrap();
    assert_eq!(known, [("mail".to_owned(), "placement.no-room")], "{known:?}");
    assert_eq!(why(&campus, &server("tiny", 16)), None, "it changes nothing for those of whom that is known");
    let stays = Vm { spec: vm::Spec { evacuate: Evacuate::Stay, ..small.spec.clone() }, ..small };
    assert_eq!(why(&campus, &stays), Some("outage.cannot-leave"));
    let elsewhere = Vm { home_site: "yamate".parse().unwrap(), ..large.clone() };
    assert_eq!(why(&campus, &elsewhere), None, "nothing is scheduled there");
    campus.asked(Change::CancelAsked, 1);
    assert_eq!(why(&campus, &large), None);
}

#[test]
fn where_more_are_at_risk_than_an_outage_names_a_new_server_is_blamed_for_none_of_them() {
    let mut campus = scheduled();
    for number in 0..MOST_AT_RISK {
        add(&mut campus, &format!("a{number:03}"), 8, |vm| {
            vm.spec.evacuate = Evacuate::Stay;
            (vm.spec.vcpus, vm.spec.disk_gib) = (0, 0);
        });
    }
    let why = |campus: &Campus, vm: &Vm| {
        let snap = campus.snapshot();
        let rooms = || Arc::new(Rooms::of(&snap, &campus.rules));
        cannot_leave(&snap, &campus.rules, rooms, vm, at(0)).map(|why| why.code())
    };
    shrink(&mut campus, "y1", 100);
    let named = told(&mut campus).unwrap();
    assert!(named.len() == MOST_AT_RISK && named.iter().all(|(vm, _)| vm != "mail"), "{named:?}");
    assert_eq!(why(&campus, &server("tiny", 16)), None, "mail could not leave without it either");
    shrink(&mut campus, "y1", 200);
    assert_eq!(why(&campus, &server("crowds", 100)), Some("outage.cannot-leave"));
}

#[test]
fn a_server_on_no_network_is_told_of_and_one_that_is_on_one_is_not() {
    let alone = server("alone", 64);
    let why = has_no_network(&alone).unwrap();
    assert_eq!(why.code(), "vm.no-network");
    assert!(why.english().cause.contains("alone") && why.japanese().remedy.contains("--network"), "{why}");
    let (network, segment) = ("campus".parse().unwrap(), "campus".parse().unwrap());
    let (mac, address) = ("52:57:cb:00:71:64".to_owned(), [203, 0, 113, 100].into());
    let nics = vec![vm::Nic { network, segment, mac, address, fixed: false, address6: None }];
    assert_eq!(has_no_network(&Vm { spec: vm::Spec { nics, ..alone.spec.clone() }, ..alone }), None);
}

#[test]
fn an_address_that_was_asked_for_outside_the_range_is_told_of_and_one_inside_is_not() {
    let (mut snap, mut counter) = (Snapshot::default(), 0);
    put(&mut snap.networks, &mut counter, network("campus"), 0);
    let told = |number: u8, fixed: bool| {
        let mut web = server("web", 64);
        web.spec.nics = vec![vm::Nic { fixed, ..nic(&network("campus"), number) }];
        outside_ranges(&snap, &web)
    };
    let outside = told(20, true);
    assert_eq!(outside.iter().map(Refusal::code).collect::<Vec<_>>(), ["network.address-outside"]);
    for text in [outside[0].english().cause, outside[0].japanese().cause] {
        assert!(text.contains("203.0.113.20") && text.contains("203.0.113.100-203.0.113.199"), "{text}");
    }
    assert_eq!((told(120, true), told(20, false)), (Vec::new(), Vec::new()), "what was drawn was given by the network");
}
