use proptest::prelude::*;

use super::*;

const TTL: Millis = 4000;

fn record(revision: Revision, holder: &str, epoch: Option<u64>) -> Option<Record> {
    Some(Record { revision, holder: Some(holder.to_owned()), epoch, successor: None })
}

fn primary(now: Millis) -> Core {
    let mut core = Core::new("me".into(), TTL, now);
    core.on_read(None, now, now);
    assert_eq!(core.step(now), Step::Write { expected: 0, epoch: None });
    core.on_written(Outcome::Acknowledged(7), now, now);
    assert_eq!(core.leadership(), Leadership::Primary { epoch: 7 });
    core
}

#[test]
fn a_lease_that_nobody_holds_is_taken_at_once() {
    primary(0);
    let mut core = Core::new("me".into(), TTL, 0);
    core.on_read(Some(Record { revision: 9, holder: None, epoch: Some(3), successor: None }), 0, 1);
    assert_eq!(core.step(1), Step::Write { expected: 9, epoch: None });
}

#[test]
fn renewals_keep_the_epoch_and_name_the_last_revision() {
    let mut core = primary(0);
    assert_eq!(core.step(1000), Step::Wait { until: TTL / 3 });
    assert_eq!(core.step(1400), Step::Write { expected: 7, epoch: Some(7) });
    core.on_written(Outcome::Acknowledged(12), 1400, 1410);
    assert_eq!(core.step(2900), Step::Write { expected: 12, epoch: Some(7) });
    assert_eq!(core.leadership(), Leadership::Primary { epoch: 7 });
}

#[test]
fn a_holder_of_which_a_node_says_that_it_was_replaced_asks_the_lease_at_once_and_believes_nothing_else() {
    let mut core = primary(0);
    core.doubted(500);
    assert_eq!(core.step(500), Step::Write { expected: 7, epoch: Some(7) });
    core.on_written(Outcome::Acknowledged(8), 500, 505);
    assert_eq!(core.leadership(), Leadership::Primary { epoch: 7 }, "the node was wrong");
    core.doubted(506);
    assert_eq!(
        core.step(506),
        Step::Wait { until: 700 },
        "who says it all the time does not make it write all the time"
    );
    assert_eq!(core.step(700), Step::Write { expected: 8, epoch: Some(7) });
    core.on_written(Outcome::Conflict, 700, 705);
    assert_eq!(core.step(705), Step::Read);
    core.on_read(record(9, "other", None), 705, 710);
    assert_eq!(core.leadership(), Leadership::Standby { leader: Some("other".into()) }, "the node was right");
}

#[test]
fn a_holder_that_is_not_sure_of_its_lease_does_not_look_more_often_for_what_nodes_say() {
    let mut core = primary(0);
    core.doubted(500);
    assert_eq!(core.step(500), Step::Write { expected: 7, epoch: Some(7) });
    core.on_written(Outcome::Unknown, 500, 505);
    core.doubted(506);
    assert_eq!(core.step(506), Step::Wait { until: 705 });
    assert_eq!(core.step(705), Step::Read);
}

#[test]
fn a_standby_waits_until_the_same_revision_stood_for_longer_than_the_ttl_between_two_readings() {
    let mut core = Core::new("me".into(), TTL, 0);
    core.on_read(record(5, "other", Some(5)), 0, 100);
    core.on_read(record(5, "other", Some(5)), 4100, 4200);
    assert!(matches!(core.step(4200), Step::Wait { .. }), "only 4000 ms passed between the readings");
    core.on_read_failed(4600);
    core.on_read(record(5, "other", Some(5)), 4700, 4710);
    assert_eq!(core.step(4710), Step::Write { expected: 5, epoch: None });
}

#[test]
fn a_renewal_that_is_seen_begins_the_wait_anew() {
    let mut core = Core::new("me".into(), TTL, 0);
    core.on_read(record(5, "other", Some(5)), 0, 0);
    core.on_read(record(6, "other", Some(5)), 3900, 3900);
    core.on_read(record(6, "other", Some(5)), 7900, 7900);
    assert!(matches!(core.step(7900), Step::Wait { .. }));
    assert_eq!(core.leadership(), Leadership::Standby { leader: Some("other".into()) });
}

#[test]
fn who_hears_of_renewals_asks_only_after_a_silence_longer_than_the_ttl() {
    let heard = |revision| record(revision, "other", Some(5)).unwrap();
    let mut core = Core::new("me".into(), TTL, 0);
    core.on_read(record(5, "other", Some(5)), 0, 0);
    core.on_heard(heard(6), 1300);
    assert_eq!(core.step(1300), Step::Wait { until: 1300 + TTL + 1 });
    core.on_heard(heard(7), 2600);
    core.on_heard(heard(6), 3000);
    assert_eq!(core.step(3000), Step::Wait { until: 2600 + TTL + 1 }, "what is older is no news");
    assert_eq!(core.step(2600 + TTL + 1), Step::Read);
    core.on_read(record(7, "other", Some(5)), 2600 + TTL + 1, 2600 + TTL + 9);
    assert_eq!(core.step(2600 + TTL + 9), Step::Write { expected: 7, epoch: None });
}

#[test]
fn what_is_heard_neither_ends_a_claim_nor_a_tenure() {
    let mut core = Core::new("me".into(), TTL, 0);
    core.on_read(None, 0, 0);
    core.on_heard(record(3, "other", None).unwrap(), 1);
    assert_eq!(core.step(1), Step::Write { expected: 0, epoch: None });
    let mut leads = primary(0);
    leads.on_heard(record(20, "other", None).unwrap(), 100);
    assert_eq!(leads.leadership(), Leadership::Primary { epoch: 7 });
}

#[test]
fn a_holder_stops_by_itself_counting_from_the_sending_of_the_last_acknowledged_renewal() {
    let mut core = primary(0);
    core.on_written(Outcome::Acknowledged(8), 1500, 2900);
    assert_eq!(core.deadline(), Some(1500 + TTL - TTL / 4));
    core.on_written(Outcome::Unknown, 3000, 4400);
    assert_eq!(core.leadership(), Leadership::Primary { epoch: 7 });
    let _ = core.step(4499);
    assert_eq!(core.leadership(), Leadership::Primary { epoch: 7 });
    let _ = core.step(4500);
    assert_eq!(core.leadership(), Leadership::Standby { leader: None });
}

#[test]
fn waiting_and_patience_never_reach_beyond_the_deadline() {
    let mut core = primary(0);
    core.on_written(Outcome::Unknown, 2990, 2995);
    let Step::Wait { until } = core.step(2995) else { panic!() };
    assert!(until <= 3000 && core.patience(2995) <= 5);
}

#[test]
fn after_a_write_of_unknown_outcome_reading_tells_the_revision_but_renews_nothing() {
    let mut core = primary(0);
    core.on_written(Outcome::Unknown, 1400, 2000);
    assert_eq!(core.step(2300), Step::Read);
    // The write had been stored after all.
    core.on_read(record(9, "me", Some(7)), 2300, 2310);
    assert_eq!(core.deadline(), Some(3000), "a reading is no renewal");
    assert_eq!(core.step(2310), Step::Write { expected: 9, epoch: Some(7) });
}

#[test]
fn a_claim_whose_acknowledgement_was_lost_begins_a_tenure_only_with_the_next_write() {
    let mut core = Core::new("me".into(), TTL, 0);
    core.on_read(None, 0, 0);
    let _ = core.step(0);
    core.on_written(Outcome::Unknown, 0, 1000);
    assert_eq!(core.leadership(), Leadership::Standby { leader: None });
    core.on_read(record(3, "me", None), 2000, 2000);
    assert_eq!(core.step(2000), Step::Write { expected: 3, epoch: None });
}

#[test]
fn a_holder_that_reads_anothers_name_stands_by_unless_the_reading_is_old() {
    let mut core = primary(0);
    core.on_written(Outcome::Conflict, 1400, 1410);
    core.on_read(record(4, "before", Some(4)), 1410, 1420);
    assert_eq!(core.leadership(), Leadership::Primary { epoch: 7 }, "revision 4 is older than what was acknowledged");
    core.on_read(record(20, "after", None), 1500, 1510);
    assert_eq!(core.leadership(), Leadership::Standby { leader: Some("after".into()) });
}

#[test]
fn a_lease_given_up_for_another_is_left_to_it_and_free_for_all_when_it_does_not_come() {
    let given = || Some(Record { revision: 9, holder: None, epoch: Some(3), successor: Some("other".into()) });
    let mut core = Core::new("me".into(), TTL, 0);
    core.on_read(given(), 0, 1);
    core.on_read(given(), 2000, 2001);
    assert!(matches!(core.step(2001), Step::Wait { .. }));
    core.on_read(given(), 2600, 2601);
    assert_eq!(core.step(2601), Step::Write { expected: 9, epoch: None });
    let mut named = Core::new("other".into(), TTL, 0);
    named.on_read(given(), 0, 1);
    assert_eq!(named.step(1), Step::Write { expected: 9, epoch: None });
}

#[test]
fn who_gave_way_neither_leads_nor_claims_before_it_has_read_again() {
    let mut core = primary(0);
    core.gave_way(100);
    assert_eq!(core.leadership(), Leadership::Standby { leader: None });
    assert_eq!(core.step(600), Step::Read);
}

#[test]
fn a_failed_claim_is_read_again_before_the_next() {
    let mut core = Core::new("me".into(), TTL, 0);
    core.on_read(None, 0, 0);
    core.on_written(Outcome::Conflict, 0, 10);
    assert_eq!(core.step(1000), Step::Read);
}

/// Some processes with clocks of their own, one store, and a network that loses and delays.
struct World {
    now: Millis,
    random: u64,
    store: Option<Record>,
    writes: Revision,
    nodes: Vec<Node>,
    /// Writes on their way whose senders have given up.
    late: Vec<(Millis, usize, Step)>,
    /// News of writes on their way.
    news: Vec<(Millis, usize, Record)>,
    losses_percent: u64,
}

struct Node {
    name: String,
    core: Core,
    /// Parts of a thousand by which its clock runs fast or slow, and where it began.
    drift: i64,
    offset: i64,
    pending: Option<Pending>,
    cut_until: Millis,
}

struct Pending {
    step: Step,
    sent: Millis,
    gives_up: Millis,
    reaches: Option<Millis>,
    returns: Option<Millis>,
    result: Option<Result<Option<Record>, Outcome>>,
}

impl World {
    fn new(seed: u64, drifts: &[i64]) -> Self {
        let node = |(n, drift): (usize, &i64)| {
            let name = format!("n{n}");
            let offset = 10_000 * i64::try_from(n + 1).unwrap();
            let core = Core::new(name.clone(), TTL, u64::try_from(offset).unwrap());
            Node { name, core, drift: *drift, offset, pending: None, cut_until: 0 }
        };
        let nodes = drifts.iter().enumerate().map(node).collect();
        Self {
            now: 0,
            random: seed | 1,
            store: None,
            writes: 0,
            nodes,
            late: Vec::new(),
            news: Vec::new(),
            losses_percent: 0,
        }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    fn tick(&mut self, losses_percent: u64) {
        self.now += 1;
        self.losses_percent = losses_percent;
        let (due, later) = std::mem::take(&mut self.late).into_iter().partition(|(at, ..)| *at <= self.now);
        self.late = later;
        let due: Vec<(Millis, usize, Step)> = due;
        for (_, n, step) in due {
            let _ = self.apply(n, &step);
        }
        for n in 0..self.nodes.len() {
            let clock = {
                let node = &self.nodes[n];
                let t = i64::try_from(self.now).unwrap();
                u64::try_from(node.offset + t + t * node.drift / 1000).unwrap()
            };
            self.tell_news(n, clock);
            self.deliver(n, clock);
            if self.nodes[n].pending.is_none() {
                self.begin(n, clock, losses_percent);
            }
        }
        let leading = self.nodes.iter().filter(|n| n.core.leadership().epoch().is_some()).count();
        assert!(leading <= 1, "{leading} lead at {}", self.now);
    }

    fn begin(&mut self, n: usize, clock: Millis, losses_percent: u64) {
        let step = self.nodes[n].core.step(clock);
        if matches!(step, Step::Wait { .. }) {
            return;
        }
        let cut = self.now < self.nodes[n].cut_until;
        let arrives = |world: &mut Self, from: Millis| {
            let lost = cut || world.random(100) < losses_percent;
            let delay =
                1 + if losses_percent > 0 && world.random(100) < 30 { world.random(1_500) } else { world.random(20) };
            (!lost).then_some(from + delay)
        };
        let reaches = arrives(self, self.now);
        let returns = reaches.and_then(|at| arrives(self, at));
        let gives_up = clock + self.nodes[n].core.patience(clock);
        self.nodes[n].pending = Some(Pending { step, sent: clock, gives_up, reaches, returns, result: None });
    }

    fn deliver(&mut self, n: usize, clock: Millis) {
        let Some(mut pending) = self.nodes[n].pending.take() else { return };
        if pending.reaches == Some(self.now) {
            pending.result = Some(self.apply(n, &pending.step));
        }
        // What has left is on its way, even if its sender gives up: it is stored when it arrives.
        if clock >= pending.gives_up && pending.reaches.is_some_and(|at| at > self.now) {
            let at = pending.reaches.unwrap_or_default();
            self.late.push((at, n, pending.step.clone()));
        }
        let core = &mut self.nodes[n].core;
        let arrived = pending.returns.filter(|at| *at <= self.now).and_then(|_| pending.result.clone());
        match (&pending.step, arrived) {
            (_, None) if clock < pending.gives_up => self.nodes[n].pending = Some(pending),
            (Step::Read, Some(Ok(record))) => core.on_read(record, pending.sent, clock),
            (Step::Read, _) => core.on_read_failed(clock),
            (_, Some(Err(outcome))) => core.on_written(outcome, pending.sent, clock),
            (_, _) => core.on_written(Outcome::Unknown, pending.sent, clock),
        }
    }

    /// News of a write goes out to everybody: some is lost, some is late.
    fn spread(&mut self, record: &Record) {
        for n in 0..self.nodes.len() {
            let cut = self.now < self.nodes[n].cut_until;
            if !cut && self.random(100) >= self.losses_percent {
                let at = self.now + 1 + self.random(if self.losses_percent > 0 { 3_000 } else { 20 });
                self.news.push((at, n, record.clone()));
            }
        }
    }

    fn tell_news(&mut self, to: usize, clock: Millis) {
        let now = self.now;
        let core = &mut self.nodes[to].core;
        self.news.retain(|(at, n, record)| {
            let due = *n == to && *at <= now;
            if due {
                core.on_heard(record.clone(), clock);
            }
            !due
        });
    }

    fn apply(&mut self, n: usize, step: &Step) -> Result<Option<Record>, Outcome> {
        match step {
            Step::Write { expected, epoch } => {
                if self.store.as_ref().map_or(0, |r| r.revision) != *expected {
                    return Err(Outcome::Conflict);
                }
                self.writes += 1;
                let holder = Some(self.nodes[n].name.clone());
                let record = Record { revision: self.writes, holder, epoch: *epoch, successor: None };
                self.store = Some(record.clone());
                self.spread(&record);
                Err(Outcome::Acknowledged(self.writes))
            }
            _ => Ok(self.store.clone()),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn never_do_two_lead_and_epochs_only_grow_and_calm_brings_a_leader(
        seed in any::<u64>(),
        drifts in proptest::collection::vec(-50_i64..50, 2..4),
        losses in prop_oneof![1_u64..5, 5_u64..60],
        cuts in proptest::collection::vec((0_usize..4, 1_000_u64..9_000), 0..12),
    ) {
        let mut world = World::new(seed, &drifts);
        let mut highest = 0;
        let mut tenure = None;
        for (n, length) in cuts.into_iter().chain([(0, 0)]) {
            // Whoever leads is cut off most often, since that is what matters.
            let leader = world.nodes.iter().position(|node| node.core.leadership().epoch().is_some());
            let n = leader.filter(|_| n > 0).unwrap_or(n % world.nodes.len());
            world.nodes[n].cut_until = world.now + length;
            for _ in 0..4_000 + length {
                world.tick(losses);
                let leads = world.nodes.iter().find_map(|node| node.core.leadership().epoch().map(|e| (node.name.clone(), e)));
                if leads.is_some() && leads != tenure {
                    let epoch = leads.as_ref().map_or(0, |(_, epoch)| *epoch);
                    prop_assert!(epoch > highest, "epoch {epoch} after {highest}");
                    highest = epoch;
                    tenure = leads;
                }
            }
        }
        for _ in 0..30_000 {
            world.tick(0);
        }
        prop_assert!(world.nodes.iter().any(|node| node.core.leadership().epoch().is_some()), "nobody leads");
    }
}
