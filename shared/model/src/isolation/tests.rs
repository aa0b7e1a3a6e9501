use proptest::prelude::*;

use super::*;

/// A clock that is up to a percent wrong, in parts per million.
#[derive(Clone, Copy, Debug)]
struct Clock {
    wrong_by: i64,
    began: u64,
}

impl Clock {
    fn reads(self, true_ms: u64) -> u64 {
        let rate = u64::try_from(1_000_000 + self.wrong_by).unwrap();
        self.began + true_ms * rate / 1_000_000
    }
}

/// What happens next, after so many milliseconds.
#[derive(Clone, Debug)]
enum Happening {
    /// The agent asks; each way takes so long, or the message is lost.
    Asks { there: Option<u64>, back: Option<u64> },
    /// Another scheduler begins to lead, on a machine with another clock.
    AnotherLeads(Clock),
    /// The agent starts again with other settings, and with the lease that it has kept.
    AgentRestarts(Terms),
}

/// What is on its way.
#[derive(Clone, Debug)]
enum Message {
    Asking { instance: u32, asked_at: u64, terms: Terms, back: Option<u64> },
    Grant { instance: u32, asked_at: u64, terms: Terms },
}

struct World {
    now: u64,
    node: Clock,
    leader: Clock,
    lease: Lease,
    terms: Terms,
    instance: u32,
    ledger: Ledger,
    messages: Vec<(u64, Message)>,
}

fn m1() -> NodeName {
    "m1".parse().unwrap()
}

impl World {
    fn new(node: Clock, leader: Clock, terms: Terms) -> Self {
        let ledger = Ledger::begin(leader.reads(0), Terms::MOST);
        Self { now: 0, node, leader, lease: Lease::Never, terms, instance: 1, ledger, messages: Vec::new() }
    }

    fn happens(&mut self, happening: Happening) {
        match happening {
            Happening::Asks { there: Some(there), back } => {
                let (instance, asked_at) = (self.instance, self.node.reads(self.now));
                let asking = Message::Asking { instance, asked_at, terms: self.terms, back };
                self.messages.push((self.now + there, asking));
            }
            Happening::Asks { there: None, .. } => {}
            Happening::AnotherLeads(clock) => {
                self.leader = clock;
                self.ledger = Ledger::begin(clock.reads(self.now), Terms::MOST);
            }
            Happening::AgentRestarts(terms) => {
                self.instance += 1;
                self.terms = terms;
            }
        }
    }

    /// Delivers what arrives until `until`; what is to hold is looked at in each moment.
    fn pass(&mut self, until: u64) -> Result<(), TestCaseError> {
        while let Some(next) = self.messages.iter().map(|(at, _)| *at).filter(|at| *at <= until).min() {
            self.now = next;
            let place = self.messages.iter().position(|(at, _)| *at == next).unwrap();
            match self.messages.swap_remove(place).1 {
                Message::Asking { instance, asked_at, terms, back } => {
                    // The grant is noted whether or not it arrives.
                    let may = self.ledger.grant(&m1(), terms, self.leader.reads(self.now));
                    if let (true, Some(back)) = (may, back) {
                        self.messages.push((self.now + back, Message::Grant { instance, asked_at, terms }));
                    }
                }
                // What another start of the agent asked for is not its own.
                Message::Grant { instance, asked_at, terms } if instance == self.instance => {
                    self.lease = self.lease.granted(asked_at, terms);
                }
                Message::Grant { .. } => {}
            }
            self.holds()?;
        }
        self.now = until;
        self.holds()
    }

    fn holds(&self) -> Result<(), TestCaseError> {
        let over = self.ledger.is_over(&m1(), self.leader.reads(self.now));
        let (at, by) = (self.node.reads(self.now), self.lease.stopped_by());
        prop_assert!(!over || by.is_none_or(|by| at >= by), "said to be stopped at {at}, and is only by {by:?}");
        Ok(())
    }
}

fn clocks() -> impl Strategy<Value = Clock> {
    (-10_000_i64..=10_000, 0_u64..1_000_000_000).prop_map(|(wrong_by, began)| Clock { wrong_by, began })
}

fn terms() -> impl Strategy<Value = Terms> {
    let (lease, stop) = (4_000..=Terms::MOST.lease_ms, 4_000..=Terms::MOST.stop_ms);
    (lease, stop).prop_map(|(lease_ms, stop_ms)| Terms { lease_ms, stop_ms })
}

fn happenings() -> impl Strategy<Value = Vec<(u64, Happening)>> {
    let way = || prop::option::weighted(0.8, prop_oneof![0_u64..20, 0_u64..400_000]);
    let one = prop_oneof![
        6 => (way(), way()).prop_map(|(there, back)| Happening::Asks { there, back }),
        1 => clocks().prop_map(Happening::AnotherLeads),
        1 => terms().prop_map(Happening::AgentRestarts),
    ];
    prop::collection::vec((prop_oneof![0_u64..5_000, 0_u64..400_000], one), 1..40)
}

proptest! {
    #[test]
    fn nobody_counts_on_a_server_to_be_stopped_before_its_node_has_stopped_it(
        node in clocks(), leader in clocks(), terms in terms(), happenings in happenings(),
    ) {
        let mut world = World::new(node, leader, terms);
        for (pause, happening) in happenings {
            let until = world.now + pause;
            world.pass(until)?;
            world.happens(happening);
        }
        // A silence at the end, looked at second by second: the moment comes, and not too early.
        for _ in 0..800 {
            let until = world.now + 1_000;
            world.pass(until)?;
        }
        prop_assert!(world.ledger.is_over(&m1(), world.leader.reads(world.now)), "the moment never comes");
    }
}

#[test]
fn a_shorter_wait_by_the_drift_alone_would_be_too_short() {
    // The node's clock is a percent slow and the scheduler's a percent fast: the inequality is tight.
    let (slow, fast) = (Clock { wrong_by: -10_000, began: 0 }, Clock { wrong_by: 10_000, began: 0 });
    let terms = Terms::MOST;
    let both = terms.lease_ms + terms.stop_ms;
    let naive = (0_u64..).step_by(10).find(|now| fast.reads(*now) >= both).unwrap();
    assert!(slow.reads(naive) < both, "the node would still be at it");
    let waited = (0_u64..).step_by(10).find(|now| fast.reads(*now) >= terms.wait_ms()).unwrap();
    assert!(slow.reads(waited) >= both);
}

#[test]
fn a_server_runs_on_until_the_lease_ends_is_asked_then_and_forced_off_in_the_second_half() {
    let terms = Terms { lease_ms: 10_000, stop_ms: 4_000 };
    assert_eq!(Lease::Never.duty(u64::MAX), Duty::RunOn, "nobody counts on what was never promised");
    let lease = Lease::Never.granted(1_000, terms);
    let at = [10_999, 11_000, 12_999, 13_000, u64::MAX].map(|now| lease.duty(now));
    assert_eq!(at, [Duty::RunOn, Duty::ShutDown, Duty::ShutDown, Duty::ForceOff, Duty::ForceOff]);
    assert_eq!(lease.granted(500, terms), lease, "an older grant that comes late changes nothing");
    assert_eq!(lease.granted(12_500, terms).duty(13_000), Duty::RunOn, "it is heard again");
}

#[test]
fn a_watchdog_is_kicked_only_while_it_still_bites_in_time_or_has_nothing_left_to_do() {
    let lease = Lease::Never.granted(0, Terms { lease_ms: 10_000, stop_ms: 4_000 });
    let kicked = |now, stopped| lease.may_kick(now, 3_000, stopped);
    assert_eq!([kicked(0, false), kicked(11_000, false), kicked(11_001, false)], [true, true, false]);
    assert!(kicked(20_000, true) && Lease::Never.may_kick(u64::MAX, 3_000, false));
}

#[test]
fn who_does_not_lead_or_is_asked_for_too_much_proves_nothing() {
    assert!(!Ledger::default().is_over(&m1(), u64::MAX - 1));
    let mut ledger = Ledger::begin(5, Terms::MOST);
    assert!(!ledger.grant(&m1(), Terms { lease_ms: Terms::MOST.lease_ms + 1, stop_ms: 1 }, 10));
    let wait = Terms::MOST.wait_ms();
    assert!(!ledger.is_over(&m1(), 4 + wait) && ledger.is_over(&m1(), 5 + wait));
    let (short, later) = (Terms { lease_ms: 1_000, stop_ms: 1_000 }, 2 * wait);
    assert!(ledger.grant(&m1(), short, later));
    assert!(!ledger.is_over(&m1(), later + short.wait_ms() - 1) && ledger.is_over(&m1(), later + short.wait_ms()));
}
