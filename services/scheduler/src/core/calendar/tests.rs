//! A day of an inspection, hour by hour.

use watari_model::{
    Refusal, Timestamp,
    migration::{Measured, Migration, State as Moved},
    node,
    outage::{Change, Left, Outage, Scope, State as Leg, Window},
    site::Supply,
};

use super::decide;
use crate::core::{
    CalendarRules, Rules,
    tests::{
        campus::{Campus, SECOND},
        documents::{at, migration, name, put},
    },
};

const FROM: u64 = 100_000;
const UNTIL: u64 = 130_000;

/// The power of Myodaiji will be off; the rules say a thousand seconds ahead.
fn inspected(returns: bool) -> Campus {
    let calendar = CalendarRules { lead_ms: 1_000 * SECOND, returns, ..CalendarRules::default() };
    let mut campus = Campus::new(Rules { calendar, ..Rules::default() });
    let window = Window { from: second(FROM), until: second(UNTIL) };
    let scope = Scope::Site("myodaiji".parse().unwrap());
    let outage =
        Outage::scheduled("myodaiji-1".parse().unwrap(), scope, window, "inspection".into(), "r".into(), at(0));
    put(&mut campus.docs.outages, &mut campus.docs.revision, outage, 0);
    campus
}

fn second(second: u64) -> Timestamp {
    at(second * SECOND)
}

fn becomes(state: Leg) -> Vec<(String, Leg)> {
    vec![("myodaiji-1".to_owned(), state)]
}

#[test]
fn it_begins_in_time_and_ends_when_the_time_is_over_and_every_node_is_back() {
    let mut campus = inspected(true);
    assert_eq!(campus.decided(decide, FROM - 1_001), []);
    assert_eq!(campus.decided(decide, FROM - 1_000), becomes(Leg::Evacuating));
    assert_eq!(campus.decided(decide, FROM - 999), []);
    campus.end(Leg::Evacuated);
    assert_eq!(campus.decided(decide, UNTIL - 1), []);
    campus.node_is("m1", node::State::Lost);
    let alarm = vec![("alarm/outage/myodaiji-1".to_owned(), Leg::Cancelled)];
    assert_eq!(campus.decided(decide, UNTIL), alarm, "the inspection takes longer");
    campus.node_is("m1", node::State::Ready);
    assert_eq!(campus.decided(decide, UNTIL + 600), becomes(Leg::Returning));
    assert_eq!(campus.decided(decide, UNTIL + 601), []);
}

#[test]
fn where_a_person_is_asked_first_one_that_is_due_is_told_of_until_it_is_begun() {
    let mut campus = inspected(true);
    campus.rules.calendar.begins = false;
    let due = vec![("alarm/outage/myodaiji-1".to_owned(), Leg::Cancelled)];
    assert_eq!(campus.decided(decide, FROM - 1_001), []);
    assert_eq!(campus.decided(decide, FROM - 1_000), due);
    campus.asked(Change::BeginAsked, FROM - 900);
    assert_eq!(campus.decided(decide, FROM - 899), []);
    let mut campus = inspected(true);
    campus.rules.calendar.begins = false;
    assert_eq!(campus.decided(decide, UNTIL), becomes(Leg::Cancelled), "nobody began it");
}

#[test]
fn what_is_proposed_needs_no_answer_once_the_site_is_emptied_by_another_word() {
    let mut campus = inspected(true);
    let (id, scope) = ("myodaiji-2".parse().unwrap(), Scope::Site("myodaiji".parse().unwrap()));
    let hot = Outage::proposed(id, scope, "RoomTooHot".into(), "alert/c4/1".into(), at(0));
    put(&mut campus.docs.outages, &mut campus.docs.revision, hot, 0);
    assert_eq!(campus.decided(decide, FROM - 2_000), [], "it waits");
    campus.end(Leg::Returning);
    assert_eq!(campus.decided(decide, FROM - 1_999), [], "it is not what was asked for that servers come home");
    campus.end(Leg::Evacuating);
    assert_eq!(campus.decided(decide, FROM - 1_998), [("myodaiji-2".to_owned(), Leg::Cancelled)]);
    assert_eq!(campus.decided(decide, FROM - 1_997), []);
}

#[test]
fn nobody_comes_home_to_a_battery() {
    let mut campus = inspected(true);
    assert_eq!(campus.decided(decide, FROM), becomes(Leg::Evacuating));
    campus.end(Leg::Evacuated);
    campus.told(Supply::Battery, None, UNTIL - 10);
    let alarm = vec![("alarm/outage/myodaiji-1".to_owned(), Leg::Cancelled)];
    assert_eq!(campus.decided(decide, UNTIL), alarm);
    campus.told(Supply::Mains, None, UNTIL + 10);
    assert_eq!(campus.decided(decide, UNTIL + 11), becomes(Leg::Returning));
}

#[test]
fn it_does_not_begin_while_nobody_could_be_received() {
    let mut campus = inspected(true);
    campus.node_is("y1", node::State::Lost);
    let alarm = vec![("alarm/outage/myodaiji-1".to_owned(), Leg::Cancelled)];
    assert_eq!(campus.decided(decide, FROM - 1_000), alarm);
    campus.node_is("y1", node::State::Ready);
    assert_eq!(campus.decided(decide, FROM - 900), becomes(Leg::Evacuating));
}

#[test]
fn whoever_could_not_leave_is_an_alarm_until_the_power_goes() {
    let mut campus = inspected(true);
    assert_eq!(campus.decided(decide, FROM - 1_000), becomes(Leg::Evacuating));
    let there = campus.docs.outages["myodaiji-1"].clone();
    let fault = Refusal::PolicyStays { vm: "mail".to_owned() };
    let left = vec![Left { vm: "mail".parse().unwrap(), fault }];
    let emptied = Outage { state: Leg::Evacuated, left, ..there.value.clone() };
    put(&mut campus.docs.outages, &mut campus.docs.revision, emptied, there.revision);
    let alarm = vec![("alarm/outage/myodaiji-1".to_owned(), Leg::Cancelled)];
    assert_eq!(campus.decided(decide, FROM - 1), alarm);
    assert_eq!(campus.decided(decide, FROM), []);
}

#[test]
fn a_pause_that_lasts_until_the_evacuation_is_due_is_an_alarm() {
    let mut campus = inspected(true);
    campus.asked(Change::BeginAsked, FROM - 5_000);
    campus.asked(Change::PauseAsked, FROM - 4_000);
    assert_eq!(campus.decided(decide, FROM - 1_001), []);
    assert_eq!(campus.decided(decide, FROM - 1_000), [("alarm/outage/myodaiji-1".to_owned(), Leg::Cancelled)]);
    campus.asked(Change::ResumeAsked, FROM - 900);
    assert_eq!(campus.decided(decide, FROM - 899), []);
}

#[test]
fn a_node_that_stays_away_is_not_waited_for_once_it_is_cordoned() {
    let mut campus = inspected(true);
    assert_eq!(campus.decided(decide, FROM), becomes(Leg::Evacuating));
    campus.end(Leg::Evacuated);
    campus.node_is("m1", node::State::Lost);
    let there = campus.docs.nodes["m1"].clone();
    let cordoned = node::Node { cordoned: true, ..there.value.clone() };
    put(&mut campus.docs.nodes, &mut campus.docs.revision, cordoned, there.revision);
    assert_eq!(campus.decided(decide, UNTIL), becomes(Leg::Returning));
}

#[test]
fn who_is_slow_begins_sooner() {
    let mut campus = inspected(true);
    // What travelled the last time took 800 seconds; twice that is longer than the rules' thousand.
    let measured = Measured { total_ms: 800 * SECOND, memory_bytes: 1 << 20, ..Measured::default() };
    let before = Migration {
        from: name("y1"),
        to: name("m1"),
        state: Moved::Completed,
        measured: Some(measured),
        ..migration("mail")
    };
    put(&mut campus.docs.migrations, &mut campus.docs.revision, before, 0);
    assert_eq!(campus.decided(decide, FROM - 1_601), []);
    assert_eq!(campus.decided(decide, FROM - 1_600), becomes(Leg::Evacuating));
}

#[test]
fn it_begins_late_rather_than_never_and_lapses_when_its_time_is_over() {
    let mut late = inspected(true);
    assert_eq!(late.decided(decide, UNTIL - 1), becomes(Leg::Evacuating));
    let mut over = inspected(true);
    assert_eq!(over.decided(decide, UNTIL), becomes(Leg::Cancelled));
}

#[test]
fn an_operators_own_outage_comes_first() {
    let mut campus = inspected(true);
    let scope = Scope::Site("myodaiji".parse().unwrap());
    let own = Outage::begun("myodaiji-2".parse().unwrap(), scope, "r2".to_owned(), at(0));
    put(&mut campus.docs.outages, &mut campus.docs.revision, own, 0);
    let alarm = vec![("alarm/outage/myodaiji-1".to_owned(), Leg::Cancelled)];
    assert_eq!(campus.decided(decide, FROM), alarm);
    let there = campus.docs.outages["myodaiji-2"].clone();
    let ended = Outage { state: Leg::Completed, ..there.value.clone() };
    put(&mut campus.docs.outages, &mut campus.docs.revision, ended, there.revision);
    assert_eq!(campus.decided(decide, FROM + 1), becomes(Leg::Evacuating));
}

#[test]
fn the_end_is_left_to_an_operator_where_the_rules_say_so() {
    let mut campus = inspected(false);
    assert_eq!(campus.decided(decide, FROM), becomes(Leg::Evacuating));
    campus.end(Leg::Evacuated);
    assert_eq!(campus.decided(decide, UNTIL + 1_000), []);
}
