use time::OffsetDateTime;

use super::*;
use crate::{
    node::{Change, tests::inventory},
    outage::Scope,
};

const RULES: Rules = Rules { wait_ms: 20_000, pause_ms: 30_000, most_pause_ms: 100_000, boot_ms: 600_000 };

fn at(ms: u64) -> Timestamp {
    Timestamp(OffsetDateTime::UNIX_EPOCH).plus_millis(ms)
}

/// A node of a site that is lost since the first second.
fn lost(name: &str, site: &str) -> Node {
    let mut node = Node::new(name.parse().unwrap(), site.parse().unwrap(), inventory(1), at(0));
    node.apply(Change::Judged(State::Lost), at(1_000));
    node
}

fn ready(name: &str, site: &str) -> Node {
    let mut node = lost(name, site);
    node.apply(Change::Judged(State::Ready), at(1_000));
    node
}

fn told(node: &Node, act: Act, outcome: Outcome, ms: u64) -> Fencing {
    Fencing::of(node, act, BY_ITSELF.to_owned(), 1, outcome, at(ms))
}

fn ended(begun: &Fencing, outcome: Outcome, ms: u64) -> Fencing {
    Fencing { outcome, ended_at: Some(at(ms)), ..begun.clone() }
}

fn failed() -> Outcome {
    Outcome::Failed { why: Refusal::NodeNotOff { node: "m1".to_owned() } }
}

fn apply(node: &mut Node, told: &Fencing) {
    node.apply(Change::Fenced(Box::new(told.clone())), at(50_000));
}

fn steps(nodes: &[Node], now: u64) -> Vec<(String, Step)> {
    let case = |node| Case { node, silent: node.state != State::Ready, means: Means::Ready };
    let cases: Vec<Case<'_>> = nodes.iter().map(case).collect();
    due(&cases, at(now), RULES).into_iter().map(|(name, step)| (name.to_string(), step)).collect()
}

fn cut(name: &str, tries: u32) -> (String, Step) {
    (name.to_owned(), Step::Cut { tries })
}

#[test]
fn only_a_node_whose_controller_says_so_in_the_loss_for_which_it_was_asked_is_off() {
    let mut node = lost("m1", "myodaiji");
    let begun = told(&node, Act::Off, Outcome::Begun, 30_000);
    apply(&mut node, &ended(&begun, Outcome::Done, 31_000));
    assert_eq!((&node.off, &node.fencing), (&None, &None), "nobody had begun it");

    apply(&mut node, &begun);
    apply(&mut node, &ended(&begun, failed(), 31_000));
    assert_eq!(node.off, None, "a failure proves nothing");

    let again = told(&node, Act::Off, Outcome::Begun, 40_000);
    apply(&mut node, &again);
    apply(&mut node, &ended(&begun, Outcome::Done, 41_000));
    assert_eq!((&node.off, node.fencing.as_ref()), (&None, Some(&again)), "a late answer to an older question");
    apply(&mut node, &ended(&again, Outcome::Done, 42_000));
    assert_eq!(node.off.as_ref().map(|off| (off.by.as_str(), off.at)), Some(("fencing", at(42_000))));
    node.apply(Change::Judged(State::Ready), at(60_000));
    assert_eq!(node.off, None, "it is heard");
}

#[test]
fn a_node_that_was_heard_in_between_is_not_off_because_it_once_was() {
    let mut node = lost("m1", "myodaiji");
    let begun = told(&node, Act::Off, Outcome::Begun, 30_000);
    apply(&mut node, &begun);
    node.apply(Change::Judged(State::Ready), at(31_000));
    node.apply(Change::Judged(State::Lost), at(45_000));
    apply(&mut node, &ended(&begun, Outcome::Done, 46_000));
    assert_eq!(node.off, None);
    // And what was to be begun for that loss is not begun for this one.
    let late = Fencing { at: at(47_000), ..begun };
    apply(&mut node, &late);
    assert_ne!(node.fencing.as_ref(), Some(&late));
}

#[test]
fn that_a_node_was_switched_on_or_off_while_it_was_heard_says_nothing_of_it_once_it_is_lost() {
    for act in [Act::Off, Act::On] {
        let mut node = ready("m1", "myodaiji");
        let begun = told(&node, act, Outcome::Begun, 5_000);
        apply(&mut node, &begun);
        node.apply(Change::Judged(State::Lost), at(9_000));
        let done = ended(&begun, Outcome::Done, 10_000);
        apply(&mut node, &done);
        assert_eq!((&node.off, node.fencing.as_ref()), (&None, Some(&done)), "{act:?}");
    }
}

#[test]
fn a_lost_node_is_fenced_after_a_while_and_again_after_ever_longer_pauses() {
    let others = || [ready("m2", "myodaiji"), ready("m3", "myodaiji")];
    let now = |node: &Node, ms| steps(&[std::slice::from_ref(node), &others()].concat(), ms);
    let mut node = lost("m1", "myodaiji");
    assert_eq!(now(&node, 20_999), []);
    assert_eq!(now(&node, 21_000), [cut("m1", 1)]);

    let mut begun = told(&node, Act::Off, Outcome::Begun, 21_000);
    apply(&mut node, &begun);
    assert_eq!(now(&node, 21_001), [cut("m1", 1)], "whoever began it is gone");
    for (tries, pause) in [(1, 30_000), (2, 60_000), (3, 100_000), (40, 100_000), (u32::MAX, 100_000)] {
        begun.tries = tries;
        apply(&mut node, &begun);
        apply(&mut node, &ended(&begun, failed(), 22_000));
        assert_eq!(now(&node, 22_000 + pause - 1), [], "{tries}");
        assert_eq!(now(&node, 22_000 + pause), [cut("m1", tries.saturating_add(1))]);
    }
}

#[test]
fn a_node_that_was_switched_on_is_given_its_time() {
    let mut node = lost("m1", "myodaiji");
    let begun = told(&node, Act::On, Outcome::Begun, 30_000);
    apply(&mut node, &begun);
    apply(&mut node, &ended(&begun, Outcome::Done, 31_000));
    assert_eq!(node.off, None);
    let nodes = [node, ready("m2", "myodaiji")];
    assert_eq!(steps(&nodes, 630_999), []);
    assert_eq!(steps(&nodes, 631_000), [cut("m1", 1)]);
}

#[test]
fn more_than_one_and_more_than_a_third_at_once_or_the_only_one_is_the_network_and_said_once() {
    let site = |lost_ones: usize, all: usize| -> Vec<Node> {
        let node = |n: usize| if n < lost_ones { lost(&format!("m{n}"), "m") } else { ready(&format!("m{n}"), "m") };
        (0..all).map(node).chain([ready("y1", "y"), ready("y2", "y")]).collect()
    };
    for (lost_ones, all, fenced) in
        [(1, 1, false), (1, 2, true), (2, 2, false), (2, 5, false), (2, 6, true), (3, 9, true), (4, 9, false)]
    {
        let steps = steps(&site(lost_ones, all), 60_000);
        assert_eq!(steps.len(), lost_ones);
        assert!(steps.iter().all(|(_, step)| matches!(step, Step::Cut { .. }) == fenced), "{lost_ones} of {all}");
    }
    let mut nodes = site(2, 4);
    for node in &mut nodes[..2] {
        let why = Refusal::FencingWithheld { site: "m".into(), silent: "2".into(), nodes: "4".into() };
        let withheld = told(node, Act::Off, Outcome::Withheld { why }, 60_000);
        apply(node, &withheld);
    }
    assert_eq!(steps(&nodes, 70_000), [], "it has been said");
    // One of them is back, so that it was the network: the other may need a moment longer.
    let mut others = nodes.clone();
    others[0].apply(Change::Judged(State::Ready), at(70_000));
    assert_eq!(steps(&others, 70_000 + RULES.wait_ms - 1), []);
    assert_eq!(steps(&others, 70_000 + RULES.wait_ms), [cut("m1", 1)]);
    // One of them is off, by an operator's word; what is left is no network.
    nodes[0].apply(Change::ConfirmedOff(Off { by: "sato".into(), at: at(70_000), for_good: false }), at(70_000));
    assert_eq!(steps(&nodes, 70_000), [cut("m1", 1)]);
}

#[test]
fn nobody_is_fenced_without_means_or_while_it_is_heard_or_dark_on_purpose() {
    let (node, other, third) = (lost("m1", "m"), lost("m2", "m"), ready("m3", "m"));
    let beside = Case { node: &third, silent: false, means: Means::Ready };
    let one = |silent, means| due(&[Case { node: &node, silent, means }, beside], at(60_000), RULES).len();
    assert_eq!(one(true, Means::Ready), 1);
    assert_eq!(one(false, Means::Ready), 0, "its document is not the newest news");
    assert_eq!([Means::Missing, Means::Busy, Means::Spared].map(|means| one(true, means)), [0; 3]);
    // Who is dark on purpose makes no network of it.
    let cases = [
        Case { node: &node, silent: true, means: Means::Ready },
        Case { node: &other, silent: true, means: Means::Spared },
        beside,
    ];
    let due = due(&cases, at(60_000), RULES);
    assert!(matches!(due.as_slice(), [(name, Step::Cut { tries: 1 })] if name.as_str() == "m1"), "{due:?}");
}

#[test]
fn who_was_left_by_all_is_spared_and_who_is_being_left_is_not() {
    let (m1, y1) = (lost("m1", "myodaiji"), lost("y1", "yamate"));
    for scope in [Scope::Site("myodaiji".parse().unwrap()), Scope::Node("m1".parse().unwrap())] {
        let mut outage = Outage::begun("myodaiji-1".parse().unwrap(), scope, String::new(), at(0));
        assert!(!is_spared(&m1, [&outage].into_iter()), "its servers are still there");
        outage.state = outage::State::Evacuated;
        assert!(is_spared(&m1, [&outage].into_iter()));
        assert!(!is_spared(&y1, [&outage].into_iter()), "it stands elsewhere");
        outage.state = outage::State::Completed;
        assert!(!is_spared(&m1, [&outage].into_iter()));
    }
}
