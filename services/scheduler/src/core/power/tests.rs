//! A site on battery, minute by minute.

use watari_model::{
    outage::{Change, Outage, Scope, State as Leg},
    site::Supply,
};

use super::decide;
use crate::core::{
    PowerRules, Rules, Trigger,
    tests::{
        campus::Campus,
        documents::{at, put},
    },
};

const ACTS: PowerRules =
    PowerRules { on_battery: Trigger::Act, battery_ms: 60_000, low_ms: 300_000, returns: true, mains_ms: 120_000 };

fn under(power: PowerRules) -> Campus {
    Campus::new(Rules { power, ..Rules::default() })
}

fn began(state: Leg) -> Vec<(String, Leg)> {
    vec![("myodaiji-1".to_owned(), state)]
}

#[test]
fn a_flicker_moves_nobody_and_a_lasting_loss_empties_the_site_once() {
    let mut campus = under(ACTS);
    campus.told(Supply::Battery, None, 10);
    assert_eq!(campus.decided(decide, 69), []);
    campus.told(Supply::Mains, None, 69);
    assert_eq!(campus.decided(decide, 300), []);
    campus.told(Supply::Battery, None, 400);
    // Said again and again, as a UPS does.
    campus.told(Supply::Battery, Some(900), 450);
    assert_eq!(campus.decided(decide, 459), []);
    assert_eq!(campus.decided(decide, 460), began(Leg::Evacuating));
    assert_eq!(campus.decided(decide, 461), [], "it has begun");
    campus.end(Leg::Evacuated);
    campus.told(Supply::Mains, None, 800);
    assert_eq!(campus.decided(decide, 919), []);
    assert_eq!(campus.decided(decide, 920), began(Leg::Returning));
    assert_eq!(campus.decided(decide, 921), []);
    campus.told(Supply::Battery, Some(100), 925);
    assert_eq!(campus.decided(decide, 925), began(Leg::Evacuating), "it turns round");
}

#[test]
fn a_low_battery_is_not_waited_for() {
    let mut campus = under(ACTS);
    campus.told(Supply::Battery, Some(301), 10);
    assert_eq!(campus.decided(decide, 10), []);
    campus.told(Supply::Battery, Some(300), 11);
    assert_eq!(campus.decided(decide, 11), began(Leg::Evacuating));

    let mut campus = under(ACTS);
    campus.told(Supply::Battery, Some(310), 10);
    assert_eq!(campus.decided(decide, 19), []);
    assert_eq!(campus.decided(decide, 20), began(Leg::Evacuating), "it runs down though nobody says so again");
}

#[test]
fn what_an_operator_called_off_is_not_begun_again_and_his_own_outage_is_left_alone() {
    let mut campus = under(ACTS);
    campus.told(Supply::Battery, None, 10);
    assert_eq!(campus.decided(decide, 70), began(Leg::Evacuating));
    campus.end(Leg::Cancelled);
    assert_eq!(campus.decided(decide, 80), []);
    campus.told(Supply::Mains, None, 90);
    campus.told(Supply::Battery, None, 100);
    assert_eq!(campus.decided(decide, 160).len(), 1, "another loss is another outage");

    let mut campus = under(ACTS);
    let own = Outage::begun(
        "myodaiji-1".parse().unwrap(),
        watari_model::outage::Scope::Site("myodaiji".parse().unwrap()),
        "r1".to_owned(),
        at(0),
    );
    put(&mut campus.docs.outages, &mut campus.docs.revision, own, 0);
    campus.end(Leg::Evacuated);
    campus.told(Supply::Mains, None, 10);
    assert_eq!(campus.decided(decide, 1_000), []);
}

#[test]
fn a_pause_from_before_the_power_failed_ends_and_one_from_after_it_is_an_alarm() {
    let mut campus = under(ACTS);
    campus.told(Supply::Battery, None, 10);
    assert_eq!(campus.decided(decide, 70), began(Leg::Evacuating));
    campus.asked(Change::PauseAsked, 80);
    assert_eq!(campus.decided(decide, 81), [("alarm/power/myodaiji".to_owned(), Leg::Cancelled)]);
    campus.told(Supply::Mains, None, 90);
    assert_eq!(campus.decided(decide, 1_000), [], "nobody comes home through a pause");
    campus.told(Supply::Battery, None, 1_010);
    assert_eq!(campus.decided(decide, 1_069), []);
    assert_eq!(campus.decided(decide, 1_070), began(Leg::Evacuating));
    assert_eq!(campus.docs.outages["myodaiji-1"].value.paused_at, None, "it goes on");
}

#[test]
fn nothing_is_done_unless_the_rules_say_so_nor_without_a_refuge_or_a_server() {
    let mut campus = under(PowerRules { on_battery: Trigger::Tell, returns: false, ..ACTS });
    campus.told(Supply::Battery, Some(1), 10);
    assert_eq!(campus.decided(decide, 1_000), []);

    let mut campus = under(ACTS);
    campus.node_is("y1", watari_model::node::State::Lost);
    campus.told(Supply::Battery, Some(1), 10);
    assert_eq!(campus.decided(decide, 10), [("alarm/power/myodaiji".to_owned(), Leg::Cancelled)]);

    let mut campus = under(ACTS);
    campus.docs.vms = std::sync::Arc::default();
    campus.told(Supply::Battery, Some(1), 10);
    assert_eq!(campus.decided(decide, 10), []);
}

#[test]
fn where_a_person_is_asked_first_an_outage_is_proposed_and_withdrawn_when_the_mains_are_back() {
    let mut campus = under(PowerRules { on_battery: Trigger::Ask, returns: false, ..ACTS });
    let reminded = [("alarm/power/myodaiji".to_owned(), Leg::Cancelled)];
    campus.told(Supply::Battery, None, 10);
    assert_eq!(campus.decided(decide, 69), [], "it may be a flicker");
    assert_eq!(campus.decided(decide, 70), began(Leg::Scheduled));
    assert!(campus.docs.outages["myodaiji-1"].value.is_proposed());
    assert_eq!(campus.decided(decide, 71), reminded);
    campus.told(Supply::Mains, None, 80);
    assert_eq!(campus.decided(decide, 199), []);
    assert_eq!(campus.decided(decide, 200), began(Leg::Cancelled));
    assert_eq!(campus.decided(decide, 201), []);

    // Begun by an operator it is like any other.
    campus.told(Supply::Battery, Some(200), 300);
    assert_eq!(campus.decided(decide, 300), [("myodaiji-2".to_owned(), Leg::Scheduled)]);
    let there = campus.docs.outages["myodaiji-2"].clone();
    let mut outage = there.value.clone();
    outage.apply(Change::BeginAsked, at(301_000)).unwrap();
    put(&mut campus.docs.outages, &mut campus.docs.revision, outage, there.revision);
    assert_eq!(campus.decided(decide, 302), []);
    campus.rules.power.returns = true;
    campus.told(Supply::Mains, None, 400);
    assert_eq!(campus.decided(decide, 520), [("myodaiji-2".to_owned(), Leg::Returning)]);
}

#[test]
fn what_is_called_off_is_not_proposed_again_for_the_same_battery() {
    let mut campus = under(PowerRules { on_battery: Trigger::Ask, ..ACTS });
    campus.told(Supply::Battery, None, 10);
    assert_eq!(campus.decided(decide, 70), began(Leg::Scheduled));
    campus.asked(Change::CancelAsked, 71);
    assert_eq!(campus.decided(decide, 72), []);
}

#[test]
fn one_question_at_a_time_is_asked_about_a_site() {
    let asks = PowerRules { on_battery: Trigger::Ask, ..ACTS };
    let reminded = [("alarm/power/myodaiji".to_owned(), Leg::Cancelled)];
    let mut campus = under(asks);
    campus.told(Supply::Battery, None, 10);
    assert_eq!(campus.decided(decide, 70), began(Leg::Scheduled));
    campus.told(Supply::Mains, None, 80);
    campus.told(Supply::Battery, None, 90);
    assert_eq!(campus.decided(decide, 149), [], "it may be a flicker");
    assert_eq!(campus.decided(decide, 150), reminded);

    // What an alert has proposed is answered by the same word, and waits on when the mains are back.
    let mut campus = under(asks);
    let (id, scope) = ("myodaiji-1".parse().unwrap(), Scope::Site("myodaiji".parse().unwrap()));
    let hot = Outage::proposed(id, scope, "RoomTooHot".to_owned(), "alert/c4/1".to_owned(), at(0));
    put(&mut campus.docs.outages, &mut campus.docs.revision, hot, 0);
    campus.told(Supply::Battery, None, 10);
    assert_eq!(campus.decided(decide, 70), reminded);
    campus.told(Supply::Mains, None, 80);
    assert_eq!(campus.decided(decide, 200), []);
}

#[test]
fn what_an_alert_asks_as_well_waits_on_when_the_mains_are_back_and_is_for_a_person_to_bring_home() {
    let heat = || Change::AlsoAsked("alert/c4/75".to_owned());
    let mut campus = under(PowerRules { on_battery: Trigger::Ask, ..ACTS });
    campus.told(Supply::Battery, None, 10);
    assert_eq!(campus.decided(decide, 70), began(Leg::Scheduled));
    campus.asked(heat(), 75);
    campus.told(Supply::Mains, None, 80);
    assert_eq!(campus.decided(decide, 200), began(Leg::Scheduled), "the battery does not ask any more");
    assert_eq!(campus.docs.outages["myodaiji-1"].value.askers(), ["alert/c4/75"]);
    assert_eq!(campus.decided(decide, 201), []);
    campus.asked(Change::Unasked("alert/c4/75".to_owned()), 210);
    assert_eq!(campus.docs.outages["myodaiji-1"].value.state, Leg::Cancelled);

    let mut campus = under(PowerRules { on_battery: Trigger::Ask, ..ACTS });
    campus.told(Supply::Battery, None, 10);
    assert_eq!(campus.decided(decide, 70), began(Leg::Scheduled));
    campus.asked(heat(), 75);
    campus.asked(Change::BeginAsked, 76);
    campus.told(Supply::Mains, None, 80);
    assert_eq!(campus.decided(decide, 1_000), [], "the room may still be hot");
}
