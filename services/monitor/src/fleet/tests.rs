use std::collections::BTreeSet;

use proptest::prelude::*;
use watari_model::node::{Limits, State};

use super::{
    capacity::{Room, Told, Whole, is_due},
    listening::{Ears, Listening},
    *,
};
use crate::settings::Settings;

const LIMITS: Limits = Limits { suspect_after_ms: 3_000, lost_after_ms: 10_000 };

fn beat(node: &str, site: &str, instance: u64, seq: u64) -> Beat {
    Beat {
        node: node.to_owned(),
        site: site.to_owned(),
        seq,
        instance,
        at_ms: 0,
        hypervisor_answers: true,
        vcpus_used: 1,
        memory_used_mib: 64,
        disk_free_gib: 10,
        load_centi: 0,
        servers: Vec::new(),
    }
}

const ALL: Folded = news(true, true);

const fn news(state: bool, inventory: bool) -> Folded {
    Folded::News(News { state, inventory })
}

fn fleet() -> Fleet {
    Fleet::new(3, LIMITS)
}

fn fold(fleet: &mut Fleet, beat: &Beat, now: u64) -> Folded {
    fleet.fold(&beat.site, &beat.node, beat, now)
}

#[test]
fn a_beat_must_be_what_its_subject_says() {
    let mut fleet = fleet();
    let m1 = beat("m1", "myodaiji", 1, 1);
    assert_eq!(fleet.fold("myodaiji", "m2", &m1, 0), Folded::Refused(Doubtful::Names));
    assert_eq!(fleet.fold("yamate", "m1", &m1, 0), Folded::Refused(Doubtful::Names));
    for name in ["", "M1", "m 1", "<x>", &"a".repeat(64)] {
        assert_eq!(fold(&mut fleet, &beat(name, "myodaiji", 1, 1), 0), Folded::Refused(Doubtful::NotAName), "{name}");
        assert_eq!(fold(&mut fleet, &beat("m1", name, 1, 1), 0), Folded::Refused(Doubtful::NotAName), "{name}");
    }
    assert!(fleet.get("m1").is_none());
}

#[test]
fn a_clock_is_ahead_or_behind_by_the_last_beat_that_was_believed() {
    let mut fleet = fleet();
    fold(&mut fleet, &beat("m1", "myodaiji", 1, 1), 0);
    let ahead = |fleet: &Fleet| fleet.get("m1").unwrap().clock_ahead_ms;
    assert_eq!(ahead(&fleet), None);
    for (theirs, ours, by) in [(1_500, 1_000, 500), (1_000, 1_012, -12), (7, 7, 0), (u64::MAX, 0, i64::MAX)] {
        fleet.clock("m1", theirs, ours);
        assert_eq!(ahead(&fleet), Some(by));
    }
    fleet.clock("m9", 1, 2);
    assert!(fleet.get("m9").is_none(), "nobody is made up");
}

#[test]
fn more_nodes_than_are_allowed_are_not_followed() {
    let mut fleet = fleet();
    for n in 0..3 {
        assert_eq!(fold(&mut fleet, &beat(&format!("m{n}"), "myodaiji", 1, 1), 0), news(false, true));
    }
    assert_eq!(fold(&mut fleet, &beat("m9", "myodaiji", 1, 1), 0), Folded::Refused(Doubtful::TooMany));
}

#[test]
fn a_beat_is_news_until_state_and_inventory_are_written_down() {
    let mut fleet = fleet();
    let name: NodeName = "m1".parse().unwrap();
    assert_eq!(fold(&mut fleet, &beat("m1", "myodaiji", 7, 1), 0), news(false, true), "no document yet");
    assert_eq!(fleet.due_for_asking(0, 500, 10), [(name.clone(), 7)]);
    assert_eq!(fleet.due_for_asking(499, 500, 10), [], "asked a moment ago");
    assert_eq!(fleet.due_for_asking(500, 500, 10), [(name.clone(), 7)]);
    fleet.inventoried(&name, 7);
    fleet.get_mut("m1").unwrap().documented(State::Suspect);
    assert_eq!(fold(&mut fleet, &beat("m1", "myodaiji", 7, 2), 0), news(true, false));
    fleet.get_mut("m1").unwrap().documented(State::Ready);
    assert_eq!(fold(&mut fleet, &beat("m1", "myodaiji", 7, 3), 0), Folded::Known);
    assert_eq!(fleet.due_for_asking(9_000, 500, 10), []);
    let mute = Beat { hypervisor_answers: false, ..beat("m1", "myodaiji", 7, 4) };
    assert_eq!(fold(&mut fleet, &mute, 0), news(true, false));
    let restarted = Beat { hypervisor_answers: false, ..beat("m1", "myodaiji", 8, 1) };
    assert_eq!(fold(&mut fleet, &restarted, 0), ALL);
    assert_eq!(fleet.due_for_asking(LIMITS.suspect_after_ms, 500, 10), [], "who is silent is not asked");
    assert_eq!(fleet.due_for_asking(2_000, 500, 10), [(name, 8)]);
    fleet.begin();
    assert_eq!(fleet.due_for_asking(2_000, 500, 10).len(), 1, "a new tenure takes all inventories anew");
}

#[test]
fn a_new_tenure_counts_anew_for_how_long_a_node_is_strained() {
    let mut fleet = fleet();
    fold(&mut fleet, &beat("m1", "myodaiji", 1, 1), 0);
    let limits = Settings::embedded().unwrap().pressure;
    let full = Used { memory: Some(1_000), ..Used::default() };
    let judge = |fleet: &mut Fleet, now: u64| {
        fleet.get_mut("m1").unwrap().otherwise.judge(&BTreeSet::new(), full, now, &limits)
    };
    assert_eq!(judge(&mut fleet, 0), BTreeSet::new());
    // Somebody else led meanwhile, and it may have been calm.
    fleet.begin();
    let later = limits.enter_seconds * 1_000;
    assert_eq!(judge(&mut fleet, later), BTreeSet::new());
    assert_eq!(judge(&mut fleet, 2 * later), BTreeSet::from([node::Strain::MemoryNearlyFull]));
}

#[test]
fn an_old_beat_and_one_from_another_campus_are_refused() {
    let mut fleet = fleet();
    fold(&mut fleet, &beat("m1", "myodaiji", 1, 5), 0);
    assert_eq!(fold(&mut fleet, &beat("m1", "myodaiji", 1, 5), 1), Folded::Refused(Doubtful::Old));
    let elsewhere = beat("m1", "yamate", 2, 1);
    assert_eq!(fold(&mut fleet, &elsewhere, 9_999), Folded::Refused(Doubtful::TwoSites));
    assert_eq!(fold(&mut fleet, &elsewhere, 10_000), news(false, true), "carried over while it was off");
    assert_eq!(fleet.get("m1").unwrap().site.as_str(), "yamate");
    let (site, node) = ("myodaiji".parse().unwrap(), "m1".parse().unwrap());
    assert_eq!(fleet.sent_inventory(&site, &node, 10_001), Err(Doubtful::TwoSites));
}

fn ears(now: u64) -> Ears {
    Ears { now, epoch: 1, doubt: 0, connected: true }
}

#[test]
fn a_node_not_heard_since_the_tenure_began_is_left_as_it_is_for_the_grace() {
    let mut listening = Listening::default();
    assert!(listening.look(ears(100_000), LIMITS));
    let mut fleet = fleet();
    fold(&mut fleet, &beat("m1", "myodaiji", 1, 1), 99_000);
    let before = fleet.get("m1");
    for now in [100_000, 105_000, 109_999] {
        assert_eq!((listening.judge(before, now, LIMITS), listening.judge(None, now, LIMITS)), (None, None));
    }
    assert_eq!(listening.judge(before, 110_000, LIMITS), Some(State::Lost));
    fold(&mut fleet, &beat("m1", "myodaiji", 1, 2), 100_001);
    let heard = fleet.get("m1");
    assert_eq!(listening.judge(heard, 100_002, LIMITS), Some(State::Ready));
    assert_eq!(listening.judge(heard, 103_001, LIMITS), Some(State::Suspect));
    assert_eq!(listening.judge(heard, 110_001, LIMITS), Some(State::Lost));
}

#[test]
fn deafness_sleep_and_a_new_tenure_begin_the_grace_anew() {
    let broken = [
        Ears { doubt: 1, ..ears(101_000) },
        Ears { epoch: 2, ..ears(101_000) },
        Ears { connected: false, ..ears(101_000) },
        ears(103_000),
    ];
    for next in broken {
        let mut listening = Listening::default();
        listening.look(ears(100_000), LIMITS);
        assert_eq!(listening.look(next, LIMITS), next.connected);
        assert_eq!(listening.since(), next.now, "{next:?}");
    }
    let mut listening = Listening::default();
    for now in (100_000..200_000).step_by(500) {
        listening.look(ears(now), LIMITS);
    }
    assert_eq!(listening.since(), 100_000);
}

const WHOLE: Whole = Whole { memory_mib: 16_384, disk_gib: 200 };

fn room(memory_free_mib: u64, disk_free_gib: u64) -> Room {
    Room { state: State::Ready, memory_free_mib, disk_free_gib }
}

#[test]
fn capacity_is_told_for_a_change_that_matters_and_not_too_often() {
    let steps = Settings::embedded().unwrap().capacity;
    let told = Told { room: room(8_000, 100), at: 1_000 };
    let due = |room, now| is_due(Some(&told), room, WHOLE, now, steps);
    assert!(is_due(None, room(8_000, 100), WHOLE, 0, steps));
    assert!(!due(room(8_000, 100), 60_000));
    assert!(!due(room(7_937, 100), 60_000));
    assert!(due(room(7_936, 100), 60_000));
    assert!(due(room(8_064, 100), 60_000));
    assert!(due(room(8_000, 99), 60_000));
    assert!(due(Room { state: State::Suspect, ..room(8_000, 100) }, 2_000));
    assert!(!due(Room { state: State::Suspect, ..room(8_000, 100) }, 1_999));
}

proptest! {
    /// A node that beats now and then is never judged better or worse than its silence says, and
    /// never worse than suspect before `lost_after` of silence.
    #[test]
    fn states_follow_silences(silences in prop::collection::vec((1_u64..20_000, any::<bool>()), 1..40)) {
        let mut fleet = fleet();
        let mut listening = Listening::default();
        let mut now = 1_000_000;
        listening.look(ears(now), LIMITS);
        for (seq, (silence, answers)) in silences.into_iter().enumerate() {
            let beat = Beat { hypervisor_answers: answers, ..beat("m1", "myodaiji", 1, seq as u64 + 1) };
            prop_assert!(!matches!(fold(&mut fleet, &beat, now), Folded::Refused(_)));
            let until = now + silence;
            while now < until {
                now = (now + 500).min(until);
                listening.look(ears(now), LIMITS);
                let heard = fleet.get("m1");
                let state = listening.judge(heard, now, LIMITS);
                let silent = now - heard.unwrap().at;
                prop_assert_eq!(state, Some(State::after(silent, answers, LIMITS)));
                prop_assert!(state != Some(State::Lost) || silent >= LIMITS.lost_after_ms);
                prop_assert!(state != Some(State::Ready) || (answers && silent < LIMITS.suspect_after_ms));
            }
        }
    }

    /// However free memory moves, what was told last is never far from the truth for long, and
    /// nothing is told twice within the interval.
    #[test]
    fn what_was_told_stays_near_the_truth(moves in prop::collection::vec((0_u64..16_384, 0_u64..3_000), 1..60)) {
        let steps = Settings::embedded().unwrap().capacity;
        let mut told: Option<Told> = None;
        let mut now = 0;
        for (free, later) in moves {
            now += later;
            let room = room(free, 100);
            if is_due(told.as_ref(), room, WHOLE, now, steps) {
                prop_assert!(told.is_none_or(|t| now - t.at >= steps.interval_ms));
                told = Some(Told { room, at: now });
            }
            let last = told.unwrap();
            prop_assert!(now - last.at < steps.interval_ms || last.room.memory_free_mib.abs_diff(free) < steps.memory_step_mib);
        }
    }
}
