//! What outages become.

use proptest::prelude::*;
use time::OffsetDateTime;

use super::*;

fn changes() -> impl Strategy<Value = Change> {
    prop_oneof![
        Just(Change::BeginAsked),
        Just(Change::Lapsed),
        (0_u64..9).prop_map(|ms| {
            let from = Timestamp(OffsetDateTime::UNIX_EPOCH).plus_millis(ms);
            Change::Rescheduled(Window { from, until: from.plus_millis(1) })
        }),
        Just(Change::RisksSeen {
            at_risk: vec![Left { vm: "mail".parse().unwrap(), fault: Refusal::PolicyStays { vm: "mail".to_owned() } }],
            warned: vec![Left {
                vm: "web".parse().unwrap(),
                fault: Refusal::NotRunning { vm: "web".to_owned(), state: "stopped".to_owned() }
            }],
        }),
        Just(Change::Emptied(Vec::new())),
        Just(Change::Halted(vec![Halted {
            vm: "web".parse().unwrap(),
            way: Way::ShutDown,
            fault: Refusal::NoTime { vm: "web".to_owned(), detail: crate::Said::both("1") },
        }])),
        Just(Change::EvacuateAsked),
        Just(Change::ReturnAsked),
        Just(Change::Home(Vec::new())),
        Just(Change::CancelAsked),
        Just(Change::HandoverBegun("yamate".parse().unwrap())),
        Just(Change::HandoverEnded("yamate".parse().unwrap(), None)),
        any::<bool>().prop_map(Change::ShutDownWished),
        Just(Change::Darkened(vec![Darkened {
            node: "m1".parse().unwrap(),
            boot_id: None,
            stage: dark::Stage::Off,
            at: Timestamp(OffsetDateTime::UNIX_EPOCH),
        }])),
        Just(Change::PauseAsked),
        Just(Change::ResumeAsked),
    ]
}

#[test]
fn who_did_not_leave_is_still_known_when_servers_come_home() {
    let at = Timestamp(OffsetDateTime::UNIX_EPOCH);
    let (id, scope) = ("myodaiji-1".parse().unwrap(), Scope::Site("myodaiji".parse().unwrap()));
    let mut outage = Outage::begun(id, scope, "r".to_owned(), at);
    let fault = Refusal::PolicyStays { vm: "mail".to_owned() };
    let left = vec![Left { vm: "mail".parse().unwrap(), fault }];
    outage.apply(Change::Emptied(left.clone()), at).unwrap();
    outage.apply(Change::ReturnAsked, at).unwrap();
    assert_eq!((&outage.stayed, outage.left.len()), (&left, 0));
    outage.apply(Change::EvacuateAsked, at).unwrap();
    assert!(outage.stayed.is_empty(), "it is another way out");
}

#[test]
fn a_way_that_is_turned_round_or_called_off_has_an_end_and_a_return_by_itself_no_way_out() {
    let at = |ms| Timestamp(OffsetDateTime::UNIX_EPOCH).plus_millis(ms);
    let id: OutageId = "myodaiji-1".parse().unwrap();
    let scope = Scope::Site("myodaiji".parse().unwrap());
    let way = |began, ended: Option<u64>| Some(Leg { began_at: at(began), ended_at: ended.map(at) });
    let mut outage = Outage::begun(id.clone(), scope.clone(), "r".to_owned(), at(0));
    outage.apply(Change::ReturnAsked, at(1)).unwrap();
    assert_eq!((outage.out, outage.home), (way(0, Some(1)), way(1, None)));
    outage.apply(Change::EvacuateAsked, at(2)).unwrap();
    assert_eq!((outage.out, outage.home), (way(2, None), way(1, Some(2))));
    outage.apply(Change::Emptied(Vec::new()), at(3)).unwrap();
    outage.apply(Change::ReturnAsked, at(4)).unwrap();
    outage.apply(Change::CancelAsked, at(5)).unwrap();
    assert_eq!((outage.out, outage.home), (way(2, Some(3)), way(4, Some(5))));

    let mut alone = Outage::returning(id, scope, "r".to_owned(), at(6));
    assert_eq!((alone.state, alone.out, alone.home), (State::Returning, None, way(6, None)));
    alone.apply(Change::CancelAsked, at(7)).unwrap();
    assert_eq!((alone.out, alone.home), (None, way(6, Some(7))));
}

#[test]
fn each_hand_over_that_ended_is_still_known_afterwards_and_few_are_kept() {
    let at = |ms| Timestamp(OffsetDateTime::UNIX_EPOCH).plus_millis(ms);
    let (id, scope) = ("myodaiji-1".parse().unwrap(), Scope::Site("myodaiji".parse().unwrap()));
    let mut outage = Outage::begun(id, scope, "r".to_owned(), at(0));
    let site = |name: &str| name.parse::<SiteName>().unwrap();
    outage.apply(Change::HandoverBegun(site("yamate")), at(1)).unwrap();
    outage.apply(Change::HandoverEnded(site("yamate"), None), at(2)).unwrap();
    outage.apply(Change::ReturnAsked, at(3)).unwrap();
    let [there] = outage.handovers.as_slice() else { panic!("{:?}", outage.handovers) };
    assert_eq!((&there.to, there.began_at, there.ended_at), (&site("yamate"), at(1), Some(at(2))));
    assert!(outage.control.is_none(), "the way home has a hand-over of its own");
    outage.apply(Change::HandoverBegun(site("myodaiji")), at(4)).unwrap();
    outage.apply(Change::EvacuateAsked, at(5)).unwrap();
    assert_eq!(outage.handovers.len(), 1, "one that was broken off came to nothing");
    for _ in 0..MOST_HANDOVERS {
        outage.apply(Change::HandoverEnded(site("yamate"), None), at(6)).unwrap();
        outage.apply(Change::ReturnAsked, at(7)).unwrap();
        outage.apply(Change::EvacuateAsked, at(8)).unwrap();
    }
    assert_eq!(outage.handovers.len(), MOST_HANDOVERS);
    assert!(outage.handovers.iter().all(|kept| kept.ended_at == Some(at(6))), "the oldest goes first");
}

#[test]
fn what_is_proposed_begins_or_lapses_and_is_scheduled_once_it_has_a_time() {
    let at = Timestamp(OffsetDateTime::UNIX_EPOCH);
    let (id, scope) = ("myodaiji-1".parse().unwrap(), Scope::Site("myodaiji".parse().unwrap()));
    let proposed = Outage::proposed(id, scope, "RoomTooHot".to_owned(), "r".to_owned(), at);
    assert!(proposed.is_proposed() && !proposed.state.drains() && proposed.out.is_none());
    let after = |change| {
        let mut outage = proposed.clone();
        outage.apply(change, at).unwrap();
        (outage.state, outage.is_proposed(), outage.out.is_some())
    };
    assert_eq!(after(Change::BeginAsked), (State::Evacuating, false, true));
    assert_eq!(after(Change::Lapsed), (State::Cancelled, false, false));
    assert_eq!(after(Change::CancelAsked), (State::Cancelled, false, false));
    let window = Window { from: at.plus_millis(1), until: at.plus_millis(2) };
    assert_eq!(after(Change::Rescheduled(window)), (State::Scheduled, false, false));
}

proptest! {
    #[test]
    fn no_sequence_of_changes_leaves_the_table(
        sequence in prop::collection::vec(changes(), 0..20), is_scheduled in any::<bool>(),
    ) {
        let at = Timestamp(OffsetDateTime::UNIX_EPOCH);
        let (id, scope) = ("myodaiji-1".parse().unwrap(), Scope::Site("myodaiji".parse().unwrap()));
        let window = Window { from: at.plus_millis(1), until: at.plus_millis(2) };
        let mut outage = if is_scheduled {
            Outage::scheduled(id, scope, window, String::new(), "r".to_owned(), at)
        } else {
            Outage::begun(id, scope, "r".to_owned(), at)
        };
        for change in sequence {
            let before = outage.clone();
            let begins_or_ends = matches!(
                change,
                Change::Emptied(_) | Change::Home(_) | Change::HandoverBegun(_) | Change::Darkened(_)
            );
            if outage.apply(change, at).is_err() {
                prop_assert_eq!(&outage, &before);
            } else {
                prop_assert!(before.paused_at.is_none() || !begins_or_ends, "a pause holds");
            }
            prop_assert!(outage.paused_at.is_none() || outage.state.is_under_way());
            prop_assert!(outage.paused_at.is_none() || outage.state == before.state, "another state is not paused");
            let ended = |leg: &Option<Leg>| leg.is_some_and(|l| l.ended_at.is_some());
            prop_assert!(outage.state != State::Evacuated || ended(&outage.out));
            let scheduled = |outage: &Outage| outage.state == State::Scheduled;
            prop_assert!(!scheduled(&outage) || scheduled(&before), "nothing leads back to the calendar");
            prop_assert!(scheduled(&outage) || outage.at_risk.is_empty() && outage.warned.is_empty());
            let told = outage.state.drains() || outage.halted == before.halted;
            prop_assert!(told && (outage.out.is_some() || outage.halted.is_empty()));
            prop_assert!(scheduled(&before) || outage.window.is_none() || outage.window == before.window);
            prop_assert!(!(outage.state.is_open() && outage.state.is_over()));
            prop_assert!(outage.state != State::Completed || ended(&outage.home));
            let goes_on = |leg: &Option<Leg>| leg.is_some_and(|leg| leg.ended_at.is_none());
            prop_assert_eq!(goes_on(&outage.out), outage.state == State::Evacuating);
            prop_assert_eq!(goes_on(&outage.home), outage.state == State::Returning);
            let nodes = outage.dark.iter().flat_map(|dark| &dark.nodes).count();
            prop_assert!(outage.out.is_some() || nodes == 0, "nobody goes off before it has begun");
            prop_assert!(outage.state.drains() == matches!(outage.state, State::Evacuating | State::Evacuated));
        }
    }
}
