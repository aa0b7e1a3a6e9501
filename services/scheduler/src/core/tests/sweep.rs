//! Every action of every operation, one after another: it fails, the scheduler dies before it or after it, the agent
//! that has it in hand does, or it is done twice. In the end all is as when nothing happens.

use watari_model::{
    NodeName, VmName,
    migration::State as Moved,
    vm::{Change, Desired, Size, State},
};

use super::{
    copies::copy_elsewhere,
    documents::{self, at},
    faults::CALM,
    orders::Doom,
    sim::{Broken, Event, MINUTE, Sim},
    wishes::Wish,
};

/// What becomes of one action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// It comes to nothing: a write is refused, a question not answered, and what is ordered cannot be done.
    Fails,
    /// The scheduler dies before it begins it.
    DiesBefore,
    /// The scheduler dies when it is done.
    DiesAfter,
    /// The agent dies before it carries it out.
    AgentDiesBefore,
    /// The agent dies when it has carried it out.
    AgentDiesAfter,
    /// It is done twice.
    Twice,
}

impl Mishap {
    const ALL: [Self; 6] =
        [Self::Fails, Self::DiesBefore, Self::DiesAfter, Self::AgentDiesBefore, Self::AgentDiesAfter, Self::Twice];

    /// What that is for the agent.
    pub(crate) const fn doom(self) -> Option<Doom> {
        match self {
            Self::Fails => Some(Doom::Fails),
            Self::AgentDiesBefore => Some(Doom::DiesBefore),
            Self::AgentDiesAfter => Some(Doom::DiesAfter),
            Self::DiesBefore | Self::DiesAfter | Self::Twice => None,
        }
    }

    /// Whether the operation itself may end as one that failed, if nobody is to try it again.
    const fn may_fail(self) -> bool {
        self.doom().is_some()
    }
}

/// Which action it befalls, counted from the operation's beginning; its key once it has.
pub(crate) struct Aim {
    pub(crate) at: u64,
    pub(crate) mishap: Mishap,
    pub(crate) hit: Option<String>,
}

/// An operation of many steps.
struct Operation {
    name: &'static str,
    prepare: fn(&mut Sim),
    begin: fn(&mut Sim),
    /// Whether it is done.
    is_done: fn(&Sim) -> bool,
    /// Whether one that fails is left at that, with everything as before.
    once: bool,
}

const OPERATIONS: [Operation; 13] = [
    Operation {
        name: "create",
        prepare: nothing,
        begin: |sim| assert!(sim.put_vm(documents::vm("late", 64), 0)),
        is_done: |sim| sim.document(&"late".parse().unwrap()).is_some_and(|vm| vm.state == State::Running),
        once: false,
    },
    Operation { name: "stop", prepare: nothing, begin: stop, is_done: |sim| mail(sim) == State::Stopped, once: false },
    Operation {
        name: "start",
        prepare: |sim| {
            stop(sim);
            sim.run(sim.now + 10_000);
            sim.stopped.clear();
            sim.hurt(&name());
        },
        begin: |sim| sim.amend("mail", |vm| vm.desired = Desired::Running),
        is_done: |sim| mail(sim) == State::Running,
        once: false,
    },
    Operation {
        name: "reboot",
        prepare: nothing,
        begin: |sim| sim.amend("mail", |vm| vm.reboots.asked += 1),
        is_done: |sim| sim.document(&name()).is_some_and(|vm| vm.reboots.done == 1),
        once: false,
    },
    Operation {
        name: "resize",
        prepare: nothing,
        begin: |sim| {
            let (now, size) = (at(sim.now), Size { vcpus: 2, memory_mib: 192, disk_gib: 5 });
            sim.amend("mail", |vm| vm.apply(Change::Resized(size), now).unwrap());
        },
        is_done: |sim| sim.document(&name()).is_some_and(|vm| vm.pending.is_none() && vm.spec.disk_gib == 5),
        once: true,
    },
    Operation {
        name: "delete",
        prepare: nothing,
        begin: |sim| sim.amend("mail", |vm| vm.desired = Desired::Deleted),
        is_done: |sim| sim.document(&name()).is_none(),
        once: false,
    },
    Operation {
        name: "delete what is off",
        prepare: |sim| {
            stop(sim);
            sim.run(sim.now + 10_000);
        },
        begin: |sim| sim.amend("mail", |vm| vm.desired = Desired::Deleted),
        is_done: |sim| sim.document(&name()).is_none(),
        once: false,
    },
    Operation {
        name: "migrate",
        prepare: nothing,
        begin: |sim| sim.after(0, Event::Operator(Wish::Migrate(name()))),
        is_done: |sim| ended(sim, |state| state == Moved::Completed),
        once: true,
    },
    Operation {
        name: "migrate, and call it off",
        prepare: nothing,
        begin: |sim| {
            sim.after(0, Event::Operator(Wish::Migrate(name())));
            sim.after(300, Event::Operator(Wish::Cancel));
        },
        is_done: |sim| ended(sim, Moved::over),
        once: false,
    },
    Operation {
        name: "evacuate",
        prepare: nothing,
        begin: |sim| sim.after(0, Event::Operator(Wish::Evacuate("myodaiji"))),
        is_done: |sim| all_are_at(sim, "yamate"),
        once: false,
    },
    Operation {
        name: "return",
        prepare: |sim| {
            sim.after(0, Event::Operator(Wish::Evacuate("myodaiji")));
            sim.run(sim.now + MINUTE);
        },
        begin: |sim| sim.after(0, Event::Operator(Wish::Return("myodaiji"))),
        is_done: |sim| all_are_at(sim, "myodaiji"),
        once: false,
    },
    Operation {
        name: "start from a copy",
        prepare: |sim| drop(lose(sim)),
        begin: |sim| {
            let lost = sim.document(&name()).unwrap().node().unwrap().clone();
            sim.say_off(&lost, false);
            // What it has of the server is set aside then.
            sim.after(MINUTE, Event::Mend(lost));
        },
        is_done: |sim| mail(sim) == State::Running && is_restored(sim),
        once: false,
    },
    Operation {
        name: "give a copy up that does not start",
        prepare: |sim| {
            let (lost, elsewhere) = lose(sim);
            sim.hosts.get_mut(&elsewhere).unwrap().spoilt = true;
            sim.say_off(&lost, false);
            sim.run(sim.now + 20_000);
            sim.mend(&lost);
            sim.run(sim.now + 20_000);
        },
        begin: |sim| {
            let now = at(sim.now);
            sim.amend("mail", |vm| vm.apply(Change::CopyDiscarded, now).unwrap());
        },
        is_done: |sim| mail(sim) == State::Running && !is_restored(sim),
        once: false,
    },
];

const fn nothing(_: &mut Sim) {}

fn name() -> VmName {
    "mail".parse().unwrap()
}

fn mail(sim: &Sim) -> State {
    sim.document(&name()).unwrap().state
}

fn stop(sim: &mut Sim) {
    sim.stopped.insert(name());
    sim.amend("mail", |vm| vm.desired = Desired::Stopped);
}

/// `mail` has a copy elsewhere, and its node is lost; which these are.
fn lose(sim: &mut Sim) -> (NodeName, NodeName) {
    let (from, to) = copy_elsewhere(sim, 3_600);
    sim.run(sim.now + 2_000);
    sim.darken(&from);
    sim.run(sim.now + 15_000);
    (from, to)
}

fn is_restored(sim: &Sim) -> bool {
    sim.document(&name()).unwrap().restored.is_some()
}

fn ended(sim: &Sim, how: fn(Moved) -> bool) -> bool {
    let mut all = sim.docs.migrations.values().map(|entry| entry.value.state);
    all.len() == 1 && all.all(how)
}

fn all_are_at(sim: &Sim, site: &str) -> bool {
    let at = |node| sim.docs.nodes[node].value.site.as_str();
    sim.docs.vms.values().all(|entry| entry.value.node().is_some_and(|node| at(node.as_str()) == site))
}

/// Goes through an operation, in which that befalls one action.
fn go_through(operation: &Operation, aim: Option<Aim>) -> Sim {
    let mut sim = Sim::new(1, &[("mail", 192), ("web", 128)], CALM, Broken::Nothing);
    sim.run(5_000);
    (operation.prepare)(&mut sim);
    (sim.begun, sim.aim) = (0, aim);
    (operation.begin)(&mut sim);
    let most = sim.now + 3 * MINUTE;
    while sim.violation.is_none() && sim.now < most && !(operation.is_done)(&sim) {
        sim.run(sim.now + 1_000);
    }
    sim.rest();
    if sim.violation.is_none() {
        sim.check_end();
    }
    sim
}

#[test]
fn every_step_of_every_operation_fails_dies_and_is_repeated_and_the_end_is_as_good() {
    let mut tried = 0;
    for operation in &OPERATIONS {
        let quiet = go_through(operation, None);
        quiet.assert_sound();
        assert!((operation.is_done)(&quiet) && quiet.begun > 1, "{}:\n{}", operation.name, quiet.story());
        for at in 1..=quiet.begun {
            for mishap in Mishap::ALL {
                let sim = go_through(operation, Some(Aim { at, mishap, hit: None }));
                let hit = sim.aim.as_ref().and_then(|aim| aim.hit.clone()).expect("it was not reached");
                let what = format!("{}, action {at} ({hit}) {mishap:?}", operation.name);
                assert_eq!(sim.violation, None, "{what}:\n{}", sim.story());
                let done = (operation.is_done)(&sim) || (operation.once && mishap.may_fail());
                let boots = sim.truth.iter().all(|(vm, truth)| truth.boots == quiet.truth[vm].boots);
                assert!(done && boots, "{what}:\n{}", sim.story());
                tried += 1;
            }
        }
    }
    println!("{tried} ways");
    assert!(tried > 500, "only {tried} ways");
}
