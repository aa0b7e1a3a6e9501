use watari_contracts::scheduler::LegName;

use super::*;
use crate::outage::ical::{place::tests::site, read::read};

const SUMMER: &str = "2027-05-01T00:00:00Z";

fn at(text: &str) -> Timestamp {
    serde_json::from_value(text.into()).unwrap()
}

/// A day of July, from eight to five in Okazaki.
fn day(day: u8) -> Window {
    Window { from: at(&format!("2027-07-{:02}T23:00:00Z", day - 1)), until: at(&format!("2027-07-{day:02}T08:00:00Z")) }
}

fn event(uid: &str, on: u8, more: &str) -> String {
    let times = format!("DTSTART;TZID=Asia/Tokyo:202707{on:02}T080000\nDTEND;TZID=Asia/Tokyo:202707{on:02}T170000");
    format!("BEGIN:VEVENT\nUID:{uid}\nLOCATION:Myodaiji\nSUMMARY:inspection\n{times}\n{more}END:VEVENT\n")
}

fn outage(id: &str, state: State, window: Window, request_id: &str) -> OutageView {
    OutageView {
        battery: None,
        nodes: Vec::new(),
        still_there: Vec::new(),
        moved_since: Vec::new(),
        id: id.parse().unwrap(),
        scope: Scope::Site("myodaiji".parse().unwrap()),
        state,
        phase: None,
        paused_at: None,
        window: Some(window),
        note: String::new(),
        begins_at: None,
        plan: None,
        at_risk: Vec::new(),
        warned: Vec::new(),
        out: None,
        home: None,
        leg: LegName::Out,
        moved: Vec::new(),
        moving: Vec::new(),
        waiting: Vec::new(),
        awaited: Vec::new(),
        failed: Vec::new(),
        stayed: Vec::new(),
        halted: Vec::new(),
        off: Vec::new(),
        makespan_ms: 0,
        control: None,
        handovers: Vec::new(),
        request_id: request_id.to_owned(),
        created_at: at(SUMMER),
        changed_at: at(SUMMER),
    }
}

fn of(events: &str, outages: &[OutageView], site_named: Option<&str>, matching: Option<&str>, now: &str) -> Vec<Step> {
    let calendar = read(&format!("BEGIN:VCALENDAR\n{events}END:VCALENDAR\n")).unwrap();
    let sites = [site("myodaiji", "明大寺"), site("yamate", "山手")];
    let named = site_named.map(|name| name.parse().unwrap());
    let wanted = Wanted { site: named.as_ref(), matching, zone: TimeZone::UTC };
    let known = Known { outages, sites: &sites, now: at(now) };
    decide(&calendar.events, &wanted, &known).into_iter().map(|decided| decided.step).collect()
}

fn steps(events: &str, outages: &[OutageView]) -> Vec<Step> {
    of(events, outages, None, None, SUMMER)
}

fn scheduled(steps: &[Step]) -> &ScheduleOutage {
    match steps {
        [Step::Schedule(request)] => request,
        other => panic!("{other:?}"),
    }
}

/// Why nothing is done.
fn why(steps: &[Step]) -> &str {
    match steps {
        [Step::Skip(why) | Step::Unclear(why)] => &why.en,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_new_event_is_scheduled_and_importing_it_twice_changes_nothing() {
    let new = steps(&event("a@example", 10, ""), &[]);
    let request = scheduled(&new);
    assert_eq!((request.site.as_str(), request.note.as_str()), ("myodaiji", "inspection"));
    assert_eq!(Window { from: request.from, until: request.until }, day(10));
    let name = request.request_id.clone().unwrap();
    assert!(name.starts_with("ical/") && name.len() <= 128, "{name}");
    for state in [State::Scheduled, State::Evacuating, State::Evacuated, State::Completed] {
        let there = [outage("myodaiji-7", state, day(10), &name)];
        assert_eq!(
            steps(&event("a@example", 10, ""), &there),
            [Step::Keep("myodaiji-7".parse().unwrap())],
            "{state:?}"
        );
    }
    let other = steps(&event("b@example", 10, ""), &[]);
    assert_ne!(scheduled(&other).request_id, Some(name), "another event is another request");
}

#[test]
fn an_event_that_is_moved_moves_its_outage_and_one_that_is_called_off_ends_it() {
    let name = scheduled(&steps(&event("a", 10, ""), &[])).request_id.clone().unwrap();
    let there = [outage("myodaiji-7", State::Scheduled, day(10), &name)];
    let (id, window) = (|| "myodaiji-7".parse().unwrap(), day(12));
    let moved = RescheduleOutage { id: id(), from: window.from, until: window.until };
    assert_eq!(steps(&event("a", 12, ""), &there), [Step::Move(moved)]);
    let off = event("a", 10, "STATUS:CANCELLED\n");
    assert_eq!(steps(&off, &there), [Step::Cancel(CancelOutage { id: id() })]);
    assert_eq!(why(&steps(&off, &[])), "it was called off, and is not known here");
    let timeless = "BEGIN:VEVENT\nUID:a\nLOCATION:Myodaiji\nSTATUS:CANCELLED\nEND:VEVENT\n";
    assert_eq!(steps(timeless, &there), [Step::Cancel(CancelOutage { id: id() })]);
    let begun = [outage("myodaiji-7", State::Evacuating, day(10), &name)];
    assert!(why(&steps(&off, &begun)).contains("under way"));
    assert_eq!(steps(&event("a", 12, ""), &begun), [Step::Keep(id())], "its time has come");
    let over = [outage("myodaiji-7", State::Cancelled, day(10), &name)];
    assert_eq!(steps(&off, &over), [Step::Keep(id())]);
    assert!(why(&steps(&event("a", 10, ""), &over)).contains("called off here as myodaiji-7"));
    let anew = steps(&event("a", 12, ""), &over);
    assert_ne!(scheduled(&anew).request_id, Some(name), "at another time it is another request");
}

#[test]
fn an_event_that_recurs_is_scheduled_anew_once_it_is_over_and_not_before() {
    let yearly = event("a", 10, "RRULE:FREQ=YEARLY\n");
    let first = scheduled(&steps(&yearly, &[])).request_id.clone().unwrap();
    let then = |state, now: &str| of(&yearly, &[outage("myodaiji-7", state, day(10), &first)], None, None, now);
    let id = || "myodaiji-7".parse().unwrap();
    assert_eq!(then(State::Scheduled, SUMMER), [Step::Keep(id())]);
    let after = "2027-07-11T00:00:00Z";
    assert_eq!(then(State::Evacuated, after), [Step::Keep(id())], "it has not come home yet");
    let anew = then(State::Completed, after);
    assert_eq!(scheduled(&anew).from, at("2028-07-09T23:00:00Z"));
    assert_ne!(scheduled(&anew).request_id, Some(first));
    // One of its times is moved to another day, and that may stand before what it is an exception of.
    let moved = event("a", 12, "RECURRENCE-ID:20280709T230000Z\n");
    for events in [format!("{yearly}{moved}"), format!("{moved}{yearly}")] {
        assert!(matches!(steps(&events, &[])[..], [Step::Unclear(_), Step::Unclear(_)]), "{events}");
    }
}

#[test]
fn what_was_exported_or_scheduled_by_hand_is_known_again() {
    let there = [outage("myodaiji-7", State::Scheduled, day(10), "by hand")];
    let id = || "myodaiji-7".parse().unwrap();
    assert_eq!(steps(&event("myodaiji-7", 10, ""), &there), [Step::Keep(id())]);
    assert!(matches!(steps(&event("myodaiji-7", 12, ""), &there)[..], [Step::Move(_)]));
    assert_eq!(steps(&event("a", 10, ""), &there), [Step::Keep(id())]);
    let another = event("a", 10, "STATUS:CANCELLED\n");
    assert_eq!(why(&steps(&another, &there)), "it was called off, and is not known here");
    // Milliseconds have no place in a calendar.
    let shifted = Window { from: day(10).from.plus_millis(250), ..day(10) };
    let there = [outage("myodaiji-7", State::Scheduled, shifted, "by hand")];
    assert_eq!(steps(&event("myodaiji-7", 10, ""), &there), [Step::Keep(id())]);
}

#[test]
fn what_is_not_for_us_or_cannot_be_is_left_with_its_reason() {
    for (events, reason) in [
        (event("", 10, ""), "no UID"),
        (event("a", 10, "RRULE:FREQ=HOURLY\n"), "recurs"),
        (event("a", 10, "RRULE:FREQ=YEARLY\nEXDATE:20270709T230000Z\n"), "with exceptions"),
        (event("a", 10, "STATUS:TENTATIVE\n"), "tentative"),
        (event("a", 10, "LOCATION:hall 5\n"), "names no site"),
        (event("a", 10, "LOCATION:明大寺と山手\n"), "several sites"),
        (event("a", 10, "DTEND:20270101T000000Z\n"), "ends before"),
    ] {
        assert!(why(&steps(&events, &[])).contains(reason), "{events}");
    }
    let (past, during) = ("2027-07-10T09:00:00Z", "2027-07-10T01:00:00Z");
    assert_eq!(why(&of(&event("a", 10, ""), &[], None, None, past)), "it is past");
    assert!(why(&of(&event("a", 10, ""), &[], None, None, during)).contains("has begun"));
    let lapsed = [outage("myodaiji-7", State::Cancelled, day(10), "r")];
    assert_eq!(why(&of(&event("myodaiji-7", 10, ""), &lapsed, None, None, past)), "it is past");
    let twice = steps(&format!("{}{}", event("a", 10, ""), event("a", 12, "")), &[]);
    assert!(matches!(twice[..], [Step::Schedule(_), Step::Unclear(_)]), "{twice:?}");
}

#[test]
fn what_is_about_a_site_and_cannot_be_understood_is_no_mere_matter_of_others() {
    for (events, ours) in [
        (event("", 10, ""), true),
        (event("a", 10, "RRULE:FREQ=HOURLY\n"), true),
        (event("a", 10, "RRULE:FREQ=WEEKLY\nLOCATION:hall 5\nSUMMARY:seminar\n"), false),
        (event("a", 10, "LOCATION:明大寺と山手\n"), true),
        (event("a", 10, "DTEND:20270101T000000Z\n"), true),
        (event("a", 10, "STATUS:TENTATIVE\n"), false),
    ] {
        let steps = steps(&events, &[]);
        assert_eq!(matches!(steps[..], [Step::Unclear(_)]), ours, "{events}: {steps:?}");
        assert!(ours || matches!(steps[..], [Step::Skip(_)]), "{events}: {steps:?}");
    }
}

#[test]
fn a_site_may_be_named_for_events_that_name_none_and_words_may_be_asked_for() {
    let nowhere = event("a", 10, "LOCATION:\nCATEGORIES:停電\n");
    let named = of(&nowhere, &[], Some("yamate"), None, SUMMER);
    assert_eq!(scheduled(&named).site.as_str(), "yamate");
    let elsewhere = of(&event("a", 10, ""), &[], Some("yamate"), None, SUMMER);
    assert_eq!(why(&elsewhere), "it is about site myodaiji");
    let both = of(&event("a", 10, "LOCATION:明大寺と山手\n"), &[], Some("yamate"), None, SUMMER);
    assert_eq!(scheduled(&both).site.as_str(), "yamate");
    for (word, found) in [("停電", true), ("Inspection", true), ("seminar", false)] {
        let steps = of(&nowhere, &[], Some("yamate"), Some(word), SUMMER);
        assert_eq!(matches!(steps[..], [Step::Schedule(_)]), found, "{word}: {steps:?}");
        assert!(found || steps.is_empty(), "of others nothing is told: {steps:?}");
    }
}

#[test]
fn an_event_that_goes_to_another_site_is_not_scheduled_there_beside_the_old_one() {
    let name = scheduled(&steps(&event("a", 10, ""), &[])).request_id.clone().unwrap();
    let at_yamate = event("a", 10, "LOCATION:Yamate\n");
    let there = [outage("myodaiji-7", State::Scheduled, day(10), &name)];
    assert!(why(&steps(&at_yamate, &there)).contains("another site as myodaiji-7"));
    let over = [outage("myodaiji-7", State::Cancelled, day(10), &name)];
    let anew = steps(&at_yamate, &over);
    assert_eq!(scheduled(&anew).site.as_str(), "yamate");
    assert_ne!(scheduled(&anew).request_id, Some(name));
}
