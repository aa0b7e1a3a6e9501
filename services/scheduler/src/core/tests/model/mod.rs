//! The protocols, checked state by state: a server that crosses between two nodes, with whatever can go wrong on the
//! way. Where the simulation beside this tries many long stories of many servers, this tries *all* short ones of one.
//!
//! What is real: which changes the server's document takes (`Vm::apply`), what an agent admits under which grant
//! (`Seen::admit`) and whom it obeys (`heed`), what two answers mean (`verdict`) and whether the document still allows
//! the switch-over (`may_switch`). What is made small: [`world`] says what is remembered, [`books`] when the scheduler
//! acts, [`agents`] what agents and libvirt do. It is made small towards the worse:
//!
//! * An order that was ever warranted may come at any time, any number of times, or never, and from any scheduler that
//!   ever led. That covers delays, losses, repetitions and leaders that do not know yet that they lead no more.
//! * Answers may be as old as they like when they are judged.
//! * A fault is a power cut, a connection that breaks at any point of the copying, with each of libvirt's outcomes, an
//!   agent that dies between writing an order down and doing it, or a new leader. How many there are is bounded, and
//!   how many migrations.
//!
//! Left out: more than one server, what disks are made of, room, outages, and nodes that are cut off for good ([`lease`] has
//! those). Who leads, and that at most one does, is checked where it is decided, in the chassis.

mod agents;
mod books;
mod calm;
mod lease;
mod world;

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model, Property};

use world::{Ahead, HOME, Order, Place, Verb, World};

/// How the protocol may be broken, to see that the model notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    Nothing,
    /// The copy runs when it arrives, without a grant.
    ArrivesRunning,
    /// The target alone is believed.
    AsksOnlyTarget,
    /// That the source is gone is enough, whether or not the copy is whole.
    TakesAnyCopy,
    /// Agents start and resume what they are told to, whatever they have seen.
    HeedsNoGrant,
    /// Agents obey whoever sends.
    IgnoresEpochs,
    /// Agents do not keep what they have seen.
    ForgetsAtCrash,
    /// That a node says nothing is enough to start the server from its copy.
    TakesSilence,
    /// A server goes back from a copy before that is cleared away.
    GoesBackAtOnce,
}

/// How the carrying out of an order ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Done,
    /// The agent dies when it has written down that it took the order.
    CutOff,
}

/// What becomes of the source when the connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Luck {
    RunsOn,
    Stands,
    Ends,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Begin,
    Deliver { order: Order, epoch: u64, ending: Ending },
    Flow,
    Snap(Luck),
    Look(Place),
    Judge,
    Abandon,
    Wake,
    End,
    Restart,
    TakeCopy,
    DiscardCopy,
    GoBack,
    SeenRunning,
    Forget,
    Lead,
    CutPower(Place),
    RestorePower(Place),
    RestartAgent(Place),
}

/// What is checked.
#[derive(Clone, Copy, Debug)]
struct Protocol {
    broken: Broken,
    faults: u8,
    migrations: u64,
    /// Whether the leadership may change.
    leaders: bool,
    /// Whether each moment is also followed until the server runs again.
    calm: bool,
    /// Whether a copy of its disk was sent ahead, and the server accepts what a start from that loses.
    copies: bool,
}

const ONE_NODE: &str = "at most one node runs the server";
const OBEDIENT: &str = "no agent does what a scheduler orders that it knows to be succeeded";
const KEPT: &str = "the node that may run it has its newest disk";
const GOES_ON: &str = "the server runs once faults stop";
const MOVED: &str = "it has moved, and runs there";
const STAYED: &str = "a migration has come to nothing, and it runs at home";

impl Protocol {
    const fn new(faults: u8, migrations: u64) -> Self {
        Self { broken: Broken::Nothing, faults, migrations, leaders: false, calm: false, copies: false }
    }

    /// The moment after a step, if the step is possible and changes anything.
    fn after(&self, before: &World, step: Step) -> Option<World> {
        let mut world = before.clone();
        let scene = &mut world;
        let possible = match step {
            Step::Begin => self.begin(scene),
            Step::Deliver { order, epoch, ending } => self.deliver(scene, order, epoch, ending),
            Step::Flow => self.flow(scene),
            Step::Snap(luck) => self.snap(scene, luck),
            Step::Look(at) => self.look(scene, at),
            Step::Judge => self.judge(scene),
            Step::Abandon => self.abandon(scene),
            Step::Wake => self.wake(scene),
            Step::End => self.end(scene),
            Step::Restart => self.restart(scene),
            Step::TakeCopy => self.take_copy(scene),
            Step::DiscardCopy => self.discard_copy(scene),
            Step::GoBack => self.go_back(scene),
            Step::SeenRunning => self.seen_running(scene),
            Step::Forget => self.forget(scene),
            Step::Lead => self.lead(scene),
            Step::CutPower(at) => self.cut_power(scene, at),
            Step::RestorePower(at) => self.restore_power(scene, at),
            Step::RestartAgent(at) => self.restart_agent(scene, at),
        };
        possible?;
        world.follow();
        (world != *before).then_some(world)
    }

    /// Another scheduler leads; the one before may linger.
    fn lead(&self, world: &mut World) -> Option<()> {
        world.faults = world.faults.checked_sub(1)?;
        world.epoch += 1;
        Some(())
    }

    /// The orders that may come now.
    fn deliveries(&self, world: &World, steps: &mut Vec<Step>) {
        for order in world.orders.iter().filter(|order| world.guests[order.at].up) {
            let guest = &world.guests[order.at];
            let known = guest.done.contains(order) && self.broken != Broken::HeedsNoGrant;
            let lowest = if self.broken == Broken::IgnoresEpochs { 1 } else { guest.epoch.max(1) };
            for epoch in lowest..=world.epoch {
                // What is known changes nothing, unless it is news who leads.
                if !known || epoch > guest.epoch {
                    steps.push(Step::Deliver { order: *order, epoch, ending: Ending::Done });
                }
                // Nothing is written down of these two that the doing of them does not say as well.
                if !known && world.faults > 0 && !matches!(order.verb, Verb::Send | Verb::Abort) {
                    steps.push(Step::Deliver { order: *order, epoch, ending: Ending::CutOff });
                }
            }
        }
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let ahead = if self.copies { Ahead::Lies } else { Ahead::Nothing };
        vec![World { ahead, ..World::new(self.faults) }]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        match world.doc.crossing {
            None if world.doc.copy.is_some() => {
                steps.extend([Step::DiscardCopy, Step::GoBack, Step::Restart, Step::SeenRunning]);
            }
            None => steps.extend([Step::Begin, Step::Restart, Step::TakeCopy, Step::SeenRunning, Step::Forget]),
            Some(way) if way.switched || way.abandoned => steps.extend([Step::Wake, Step::End]),
            Some(_) => steps.extend([Step::Look(0), Step::Look(1), Step::Judge, Step::Abandon]),
        }
        if world.flow.is_some() {
            let breaks = [Luck::RunsOn, Luck::Stands, Luck::Ends].map(Step::Snap);
            steps.push(Step::Flow);
            steps.extend(breaks);
        }
        self.deliveries(world, steps);
        for at in [0_usize, 1] {
            if !world.guests[at].up {
                steps.push(Step::RestorePower(at));
            } else if world.faults > 0 {
                steps.push(Step::CutPower(at));
            }
            if self.broken == Broken::ForgetsAtCrash {
                steps.push(Step::RestartAgent(at));
            }
        }
        if self.leaders && world.epoch == 1 && world.faults > 0 {
            steps.push(Step::Lead);
        }
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        self.after(world, step)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::<Self>::always(ONE_NODE, |_, world| world.running() <= 1),
            Property::<Self>::always(OBEDIENT, |_, world| !world.disobeyed),
            Property::<Self>::always(KEPT, |_, world| world.newest[world.doc.at] || world.goes_back()),
            Property::<Self>::sometimes(MOVED, |_, world| world.doc.at != HOME && world.is_settled()),
            Property::<Self>::sometimes(STAYED, |_, world| {
                world.doc.at == HOME && world.migrations > 0 && world.is_settled()
            }),
        ];
        if self.calm {
            properties.push(Property::<Self>::always(GOES_ON, Protocol::comes_to_rest));
        }
        properties
    }
}

/// A bound, which the environment may move.
fn bound(name: &str, usual: usize) -> usize {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(usual)
}

/// Tries everything within the bounds, or until enough is found; which properties were decided, and by which steps.
fn explore<M>(what: &str, model: M, enough: HasDiscoveries, most: usize) -> Vec<(&'static str, Vec<M::Action>)>
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + PartialEq + std::hash::Hash + Send + Sync + 'static,
    M::Action: Clone + PartialEq,
{
    let builder = model.checker().finish_when(enough).target_state_count(most);
    let checker = builder.spawn_bfs().join();
    let (distinct, tried, depth) = (checker.unique_state_count(), checker.state_count(), checker.max_depth());
    let all = if tried < most { "all of them" } else { "and no more" };
    println!("{what}: {distinct} moments by {tried} steps, {depth} deep, {all}");
    checker.discoveries().into_iter().map(|(name, path)| (name, path.into_actions())).collect()
}

/// More than it takes to find what is there to be found.
const ENOUGH_STEPS: usize = 500_000;

/// How many steps are tried, of which many lead to the same moments.
fn steps() -> usize {
    bound("WATARI_MODEL_STEPS", 100_000)
}

/// Everything holds.
#[track_caller]
fn assert_holds(protocol: Protocol) {
    let what = format!("{} faults, {} migrations", protocol.faults, protocol.migrations);
    let found = explore(&what, protocol, HasDiscoveries::AnyFailures, steps());
    let broken: Vec<_> = found.iter().filter(|(name, _)| ![MOVED, STAYED].contains(name)).collect();
    assert!(broken.is_empty(), "{what}: {broken:#?}");
}

#[test]
fn a_server_runs_on_one_node_and_is_never_lost_whatever_is_lost_late_or_repeated() {
    let faults = u8::try_from(bound("WATARI_MODEL_FAULTS", 1)).unwrap();
    let migrations = u64::try_from(bound("WATARI_MODEL_MIGRATIONS", 1)).unwrap();
    assert_holds(Protocol { leaders: true, ..Protocol::new(faults, migrations) });
}

#[test]
fn a_server_that_goes_there_and_back_runs_on_one_node_though_old_orders_come_late() {
    assert_holds(Protocol::new(0, 2));
}

#[test]
fn a_server_that_is_started_from_a_copy_runs_on_one_node_though_the_lost_one_comes_back() {
    for migrations in [0, 1] {
        assert_holds(Protocol { copies: true, leaders: true, ..Protocol::new(1, migrations) });
    }
}

#[test]
fn whatever_has_happened_the_server_runs_once_faults_stop() {
    assert_holds(Protocol { calm: true, ..Protocol::new(1, 1) });
}

#[test]
fn a_server_can_move_and_a_migration_can_come_to_nothing() {
    let wanted = BTreeSet::from([MOVED, STAYED]);
    let found = explore("no fault", Protocol::new(0, 1), HasDiscoveries::AllOf(wanted.clone()), ENOUGH_STEPS);
    let possible: BTreeSet<_> = found.iter().map(|(name, _)| *name).collect();
    assert_eq!(possible, wanted, "the model does less than it is to show");
}

#[test]
fn each_rule_that_is_switched_off_is_missed() {
    let cases = [
        (Broken::ArrivesRunning, 0, ONE_NODE),
        (Broken::AsksOnlyTarget, 0, ONE_NODE),
        (Broken::TakesAnyCopy, 1, KEPT),
        (Broken::HeedsNoGrant, 0, ONE_NODE),
        (Broken::IgnoresEpochs, 1, OBEDIENT),
        (Broken::ForgetsAtCrash, 1, ONE_NODE),
        (Broken::TakesSilence, 0, ONE_NODE),
        (Broken::GoesBackAtOnce, 1, ONE_NODE),
    ];
    for (broken, faults, property) in cases {
        let leaders = broken == Broken::IgnoresEpochs;
        let copies = matches!(broken, Broken::TakesSilence | Broken::GoesBackAtOnce);
        let protocol = Protocol { broken, leaders, copies, ..Protocol::new(faults, u64::from(!copies)) };
        let enough = HasDiscoveries::AnyOf([property].into());
        let found = explore(&format!("{broken:?}"), protocol, enough, ENOUGH_STEPS);
        let story = found.iter().find(|(name, _)| *name == property);
        assert!(story.is_some(), "{broken:?} breaks nothing: the model proves nothing");
    }
}
