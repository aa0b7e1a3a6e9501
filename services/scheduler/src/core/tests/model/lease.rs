//! A node that may be cut off at any moment, and the lease under which it runs a server that is to stop then: both
//! sides' real code ([`Lease`], [`Ledger`]), with clocks that are wrong by as much as is allowed, messages that are lost
//! or late, and a scheduler that leads without knowing that it no longer does.

use std::collections::BTreeSet;

use stateright::{HasDiscoveries, Model, Property};
use watari_model::isolation::{DRIFT_PERCENT, LAG_MS, Lease, Ledger, Terms};

use super::{ENOUGH_STEPS, explore, steps, world::name};

/// Short, so that all ends within few moments of [`TICK_MS`] each.
const TERMS: Terms = Terms { lease_ms: 2_000, stop_ms: 1_000 };
const TICK_MS: u64 = 1_000;
const MOST_TICKS: u64 = 9;
/// How much later an asking may be heard. What is older only makes a lease shorter.
const MOST_LATE: u64 = 2;
const MOST_GRANTS: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    Nothing,
    /// The lease counts from when its grant came.
    CountsFromArrival,
    /// Who begins to lead does not wait for what others have granted.
    ConcludesAtOnce,
    /// The node stops nothing.
    GuardSleeps,
}

/// Whose clock is fast; the other's is slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fast {
    Node,
    Scheduler,
}

#[derive(Clone, Copy, Debug)]
struct Isolation {
    broken: Broken,
    fast: Fast,
}

/// A moment. The node asks for a lease in each, and is heard then, later or never.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Scene {
    now: u64,
    lease: Lease,
    runs: bool,
    ledger: Ledger,
    /// When the scheduler that leads began to, if another led before.
    began: Option<u64>,
    /// Which askings were granted; each grant may come whenever later.
    granted: BTreeSet<u64>,
    elsewhere: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Tick,
    /// The scheduler that leads hears what was asked at that moment.
    Hear(u64),
    /// So does the one before it.
    HearLate(u64),
    Arrive(u64),
    Lead,
    /// The server is run elsewhere, since it must have been stopped.
    Conclude,
}

const STOPPED_FIRST: &str = "it runs elsewhere only after its own node has stopped it";
const ELSEWHERE: &str = "it runs elsewhere";

impl Isolation {
    fn clock(self, owner: Fast, ticks: u64) -> u64 {
        let percent = if self.fast == owner { 100 + DRIFT_PERCENT } else { 100 - DRIFT_PERCENT };
        ticks * TICK_MS * percent / 100
    }

    fn on_node(self, ticks: u64) -> u64 {
        self.clock(Fast::Node, ticks)
    }

    fn on_scheduler(self, ticks: u64) -> u64 {
        self.clock(Fast::Scheduler, ticks)
    }
}

impl Model for Isolation {
    type State = Scene;
    type Action = Step;

    fn init_states(&self) -> Vec<Scene> {
        let mut ledger = Ledger::begin(0, TERMS);
        assert!(ledger.grant(&name(0), TERMS, 0));
        let lease = Lease::Never.granted(0, TERMS);
        let granted = BTreeSet::new();
        vec![Scene { now: 0, lease, runs: true, ledger, began: None, granted, elsewhere: false }]
    }

    fn actions(&self, scene: &Scene, steps: &mut Vec<Step>) {
        // What was stopped does not run there again.
        if scene.elsewhere && !scene.runs {
            return;
        }
        if scene.now < MOST_TICKS {
            steps.push(Step::Tick);
        }
        let asked = scene.now.saturating_sub(MOST_LATE)..=scene.now;
        // Whoever is heard is not run elsewhere, and whoever is run elsewhere gets no lease.
        if !scene.elsewhere && scene.granted.len() < MOST_GRANTS {
            steps.extend(asked.clone().map(Step::Hear));
        }
        let lingers = scene.began.is_some_and(|began| (scene.now - began) * TICK_MS < LAG_MS);
        if lingers && scene.granted.len() < MOST_GRANTS {
            steps.extend(asked.map(Step::HearLate));
        }
        steps.extend(scene.granted.iter().copied().map(Step::Arrive));
        if scene.began.is_none() {
            steps.push(Step::Lead);
        }
        steps.push(Step::Conclude);
    }

    fn next_state(&self, before: &Scene, step: Step) -> Option<Scene> {
        let mut scene = before.clone();
        match step {
            Step::Tick => {
                scene.now += 1;
                let by = scene.lease.stopped_by().filter(|_| self.broken != Broken::GuardSleeps);
                // As late as it promises, and not earlier.
                scene.runs &= by.is_none_or(|by| self.on_node(scene.now) < by);
            }
            Step::Hear(asked) => {
                let now = self.on_scheduler(scene.now);
                if !scene.ledger.grant(&name(0), TERMS, now) {
                    return None;
                }
                scene.granted.insert(asked);
            }
            Step::HearLate(asked) => {
                scene.granted.insert(asked);
            }
            Step::Arrive(asked) => {
                let counts_from = if self.broken == Broken::CountsFromArrival { scene.now } else { asked };
                scene.lease = scene.lease.granted(self.on_node(counts_from), TERMS);
            }
            Step::Lead => {
                scene.began = Some(scene.now);
                let since = if self.broken == Broken::ConcludesAtOnce { 0 } else { self.on_scheduler(scene.now) };
                scene.ledger = Ledger::begin(since, TERMS);
            }
            Step::Conclude => scene.elsewhere |= scene.ledger.is_over(&name(0), self.on_scheduler(scene.now)),
        }
        (scene != *before).then_some(scene)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::<Self>::always(STOPPED_FIRST, |_, scene| !(scene.elsewhere && scene.runs)),
            Property::<Self>::sometimes(ELSEWHERE, |_, scene| scene.elsewhere),
        ]
    }
}

#[test]
fn a_server_that_stops_when_it_is_cut_off_runs_elsewhere_only_after_its_own_node_has_stopped_it() {
    for fast in [Fast::Node, Fast::Scheduler] {
        let model = Isolation { broken: Broken::Nothing, fast };
        let found = explore(&format!("a lease, {fast:?} fast"), model, HasDiscoveries::AnyFailures, steps());
        let broken: Vec<_> = found.iter().filter(|(name, _)| *name != ELSEWHERE).collect();
        assert!(broken.is_empty(), "{broken:#?}");
    }
}

#[test]
fn a_server_that_its_node_has_stopped_can_run_elsewhere() {
    let model = Isolation { broken: Broken::Nothing, fast: Fast::Node };
    let found = explore("a lease that ends", model, HasDiscoveries::AnyOf([ELSEWHERE].into()), ENOUGH_STEPS);
    assert!(found.iter().any(|(name, _)| *name == ELSEWHERE), "the model does less than it is to show");
}

#[test]
fn each_rule_of_a_lease_that_is_switched_off_is_missed() {
    for broken in [Broken::CountsFromArrival, Broken::ConcludesAtOnce, Broken::GuardSleeps] {
        let model = Isolation { broken, fast: Fast::Scheduler };
        let enough = HasDiscoveries::AnyOf([STOPPED_FIRST].into());
        let found = explore(&format!("{broken:?}"), model, enough, ENOUGH_STEPS);
        let story = found.iter().find(|(name, _)| *name == STOPPED_FIRST);
        assert!(story.is_some(), "{broken:?} breaks nothing: the model proves nothing");
    }
}
