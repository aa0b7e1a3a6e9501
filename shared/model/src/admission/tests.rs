use proptest::prelude::*;

use super::*;

fn grant(node: &str, generation: u64) -> Grant {
    Grant { node: node.parse().unwrap(), generation }
}

/// An order as data, so that proptest can make sequences of them.
#[derive(Clone, Debug)]
enum Said {
    Run { node: bool, generation: u64, operation: u8 },
    Reboot(u64),
    Grow(u64),
    Send(u64),
    Quit(u64),
    Receive(u64),
    Discard(u64),
    Clear(u64),
}

fn said() -> impl Strategy<Value = Said> {
    let generation = 1..8_u64;
    prop_oneof![
        3 => (any::<bool>(), generation.clone(), 0..3_u8)
            .prop_map(|(node, generation, operation)| Said::Run { node, generation, operation }),
        1 => generation.clone().prop_map(Said::Reboot),
        1 => generation.clone().prop_map(Said::Grow),
        1 => generation.clone().prop_map(Said::Send),
        1 => generation.clone().prop_map(Said::Quit),
        1 => generation.clone().prop_map(Said::Receive),
        1 => generation.clone().prop_map(Said::Discard),
        1 => generation.prop_map(Said::Clear),
    ]
}

fn put(seen: &Seen, said: &Said) -> Result<Seen, Refusal> {
    let me: NodeName = "m1".parse().unwrap();
    match said {
        Said::Run { node, generation, operation } => {
            let grant = grant(if *node { "m1" } else { "y1" }, *generation);
            seen.admit(&me, Ask::Run { grant: &grant, operation: &operation.to_string() })
        }
        Said::Reboot(g) => seen.admit(&me, Ask::Reboot(*g)),
        Said::Grow(g) => seen.admit(&me, Ask::Grow(*g)),
        Said::Send(g) => seen.admit(&me, Ask::Send(*g)),
        Said::Quit(g) => seen.admit(&me, Ask::Quit(*g)),
        Said::Receive(g) => seen.admit(&me, Ask::Receive(*g)),
        Said::Discard(g) => seen.admit(&me, Ask::Discard(*g)),
        Said::Clear(g) => seen.admit(&me, Ask::Clear(*g)),
    }
}

fn generation(said: &Said) -> u64 {
    match said {
        Said::Run { generation, .. } => *generation,
        Said::Reboot(g) | Said::Grow(g) | Said::Send(g) | Said::Quit(g) => *g,
        Said::Receive(g) | Said::Discard(g) | Said::Clear(g) => *g,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn whatever_is_ordered_no_two_grants_are_honoured_out_of_order(orders in prop::collection::vec(said(), 0..40)) {
        let mut seen = Seen::default();
        let mut newest = 0;
        // The grant honoured last, and whether only reboots came since.
        let mut honoured: Option<(u64, u8)> = None;
        for order in orders {
            let Ok(next) = put(&seen, &order) else { continue };
            if let Said::Run { node, generation, operation } = &order {
                prop_assert!(*node, "a grant to another node was honoured");
                let again = honoured == Some((*generation, *operation)) && *generation == newest;
                prop_assert!(*generation > newest || again, "{generation} was honoured after {newest}");
                honoured = Some((*generation, *operation));
            } else if !matches!(order, Said::Reboot(_) | Said::Grow(_)) {
                honoured = None;
            }
            newest = newest.max(generation(&order));
            prop_assert_eq!(next.generation, newest);
            prop_assert!(next.granted <= next.generation && next.granted >= seen.granted);
            seen = next;
        }
    }

    #[test]
    fn a_server_granted_here_is_never_cleared_away_by_an_older_order(orders in prop::collection::vec(said(), 0..40)) {
        let mut seen = Seen::default();
        for order in orders {
            let taken = put(&seen, &order);
            match order {
                Said::Discard(g) => prop_assert_eq!(taken.is_ok(), g > seen.granted),
                Said::Clear(g) => prop_assert_eq!(taken.is_ok(), g >= seen.granted),
                Said::Send(g) | Said::Reboot(g) => {
                    prop_assert!(taken.is_err() || (g == seen.granted && g == seen.generation), "sent without a grant");
                }
                Said::Receive(g) => prop_assert!(taken.is_err() || g > seen.granted, "a node would receive its own server"),
                _ => {}
            }
            seen = taken.unwrap_or(seen);
        }
    }
}

#[test]
fn a_start_may_be_repeated_until_the_server_is_stopped_and_then_needs_a_new_grant() {
    let me: NodeName = "m1".parse().unwrap();
    let first = grant("m1", 1);
    let run = Ask::Run { grant: &first, operation: "start-mail-1" };
    let seen = Seen::default().admit(&me, run).unwrap();
    assert_eq!(seen.admit(&me, run).unwrap(), seen);
    let other = Ask::Run { grant: &first, operation: "another" };
    assert!(matches!(seen.admit(&me, other), Err(Refusal::Stale { .. })));
    let stopped = seen.admit(&me, Ask::Quit(1)).unwrap();
    assert!(matches!(stopped.admit(&me, run), Err(Refusal::Stale { .. })), "a late start after a stop");
    let second = grant("m1", 2);
    assert!(stopped.admit(&me, Ask::Run { grant: &second, operation: "start-mail-2" }).is_ok());
}

#[test]
fn a_target_is_granted_after_it_received_and_then_keeps_its_server() {
    let me: NodeName = "y1".parse().unwrap();
    let seen = Seen::default().admit(&me, Ask::Receive(4)).unwrap();
    assert!(!seen.is_granted());
    let to_me = grant("y1", 5);
    let seen = seen.admit(&me, Ask::Run { grant: &to_me, operation: "resume" }).unwrap();
    assert!(seen.is_granted());
    for late in [Ask::Discard(4), Ask::Clear(4), Ask::Quit(4), Ask::Reboot(4), Ask::Receive(4), Ask::Receive(5)] {
        assert!(matches!(seen.admit(&me, late), Err(Refusal::Stale { .. })), "{late:?}");
    }
}

#[test]
fn a_disk_is_kept_under_the_newest_generation_also_if_only_a_stop_came_under_it() {
    let (me, first) = ("m1".parse().unwrap(), grant("m1", 1));
    assert!(Seen::default().admit(&me, Ask::Keep(0)).is_err(), "it never ran here");
    let seen = Seen::default().admit(&me, Ask::Run { grant: &first, operation: "start-mail-1" }).unwrap();
    assert_eq!(seen.admit(&me, Ask::Keep(1)), Ok(seen.clone()));
    let stopped = seen.admit(&me, Ask::Quit(2)).unwrap();
    assert!(stopped.admit(&me, Ask::Freeze(2)).is_err() && stopped.admit(&me, Ask::Keep(2)).is_ok());
    assert!(stopped.admit(&me, Ask::Keep(1)).is_err(), "it is an old order");
    let prepared = Seen::default().admit(&me, Ask::Receive(4)).unwrap();
    assert!(prepared.admit(&me, Ask::Keep(4)).is_err(), "it is another node's");
}

#[test]
fn who_was_succeeded_is_not_heeded_and_the_highest_epoch_is_kept() {
    assert_eq!(heed(3, 3), Ok(3));
    assert_eq!(heed(3, 5), Ok(5));
    assert!(matches!(heed(5, 3), Err(Refusal::Stale { what, .. }) if what == "epoch"));
}
