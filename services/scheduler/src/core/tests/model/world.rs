//! What the model remembers: the least that tells two of its moments apart, and how that is put before the real
//! decisions and taken from them again.

use std::collections::BTreeSet;

use watari_contracts::agent::{Domain, OffReason, Passage, Phase, Stack, VmFact};
use watari_model::{
    MigrationId, NodeName,
    admission::Seen,
    vm::{Change, Copied, Crossing, Grant, Leftover, Preseed, Restored, Seeded, State, Vm},
};

use crate::core::{naming, tests::documents};

/// One of the two nodes, each at a site of its own.
pub(super) type Place = usize;
/// Where the server is at first.
pub(super) const HOME: Place = 0;
const NAMES: [&str; 2] = ["m1", "y1"];

pub(super) fn name(place: Place) -> NodeName {
    documents::name(NAMES[place])
}

fn place(name: &NodeName) -> Place {
    usize::from(*name != self::name(HOME))
}

pub(super) fn id(number: u64) -> MigrationId {
    format!("mail-{number}").parse().unwrap()
}

/// The server's process on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Process {
    None,
    Incoming,
    Paused,
    Running,
}

/// The server's disk on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Disk {
    None,
    Whole,
    /// What a migration makes, by its number.
    Copy(u64),
    Leftover,
}

/// What is ordered of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Verb {
    Start,
    Receive,
    Send,
    Abort,
    Discard,
    Resume,
    Release,
    Remove,
}

/// An order. That it has no epoch is because any scheduler may send it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Order {
    pub(super) verb: Verb,
    pub(super) at: Place,
    /// The migration's number, 0 if it is of none.
    pub(super) migration: u64,
    pub(super) generation: u64,
}

/// The server on a node: what is there, and what the agent's journal has of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Guest {
    pub(super) up: bool,
    pub(super) process: Process,
    pub(super) disk: Disk,
    pub(super) passage: Option<(u64, Phase)>,
    pub(super) seen: Seen,
    pub(super) epoch: u64,
    /// Migrations that were broken off.
    pub(super) closed: BTreeSet<u64>,
    /// Operations that were carried out: what is repeated of them is known.
    pub(super) done: BTreeSet<Order>,
    /// The highest epoch that it ever obeyed, whatever its journal says.
    pub(super) obeyed: u64,
}

impl Guest {
    pub(super) fn nothing() -> Self {
        Self {
            up: true,
            process: Process::None,
            disk: Disk::None,
            passage: None,
            seen: Seen::default(),
            epoch: 1,
            closed: BTreeSet::new(),
            done: BTreeSet::new(),
            obeyed: 1,
        }
    }

    /// Whether an order of that migration was carried out, under whichever generation.
    pub(super) fn has_done(&self, verb: Verb, migration: u64) -> bool {
        self.done.iter().any(|order| order.verb == verb && order.migration == migration)
    }

    /// Whether it is here by that grant.
    pub(super) fn is_granted(&self, generation: u64) -> bool {
        self.seen.is_granted() && self.seen.granted == generation
    }

    pub(super) fn says(&self) -> Fact {
        let domain = match self.process {
            Process::Running => Domain::Running,
            Process::Paused => Domain::Paused,
            Process::Incoming => Domain::Incoming,
            Process::None if self.disk == Disk::Whole => Domain::Off(OffReason::Unknown),
            Process::None => Domain::Absent,
        };
        Fact { domain, passage: self.passage }
    }
}

/// What an agent said of the server, at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Fact {
    domain: Domain,
    passage: Option<(u64, Phase)>,
}

impl Fact {
    fn full(self) -> VmFact {
        let passage = self.passage.map(|(number, phase)| Passage::new(id(number), phase));
        VmFact {
            vm: "mail".parse().unwrap(),
            uuid: None,
            domain: self.domain,
            generation: 1,
            granted: true,
            disk: true,
            passage,
            stack: Stack::default(),
            still: None,
        }
    }

    pub(super) fn is_paused(self) -> bool {
        self.domain == Domain::Paused
    }

    pub(super) fn is_off(self) -> bool {
        self.domain.is_off()
    }
}

/// What the scheduler knows of one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Word {
    /// No answer came.
    #[default]
    Silence,
    /// The agent's.
    Said(Fact),
    /// An operator's, or the power controller's: the node is off. It was true when it was said.
    Off,
}

impl Word {
    pub(super) fn fact(self) -> Option<VmFact> {
        match self {
            Self::Said(fact) => Some(fact.full()),
            Self::Silence | Self::Off => None,
        }
    }
}

/// What whoever decides about a switch-over has in hand. Each word may be of another time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Hand {
    pub(super) words: [Word; 2],
    /// Whether the order to send, or to break off, was answered for good.
    pub(super) over: bool,
}

/// How far libvirt's migration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    Copying,
    /// The source stands still.
    Stopped,
    /// The copy is whole, and paused.
    Arrived,
}

/// A migration as libvirt does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Flow {
    pub(super) migration: u64,
    pub(super) from: Place,
    pub(super) to: Place,
    pub(super) stage: Stage,
    /// The target is gone: it can only end, somehow.
    pub(super) dead: bool,
}

/// The crossing in the server's document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Way {
    pub(super) id: u64,
    pub(super) to: Place,
    pub(super) switched: bool,
    pub(super) abandoned: bool,
}

/// The server's document, as far as the protocol goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Doc {
    pub(super) state: State,
    pub(super) at: Place,
    pub(super) generation: u64,
    pub(super) crossing: Option<Way>,
    /// Old copies, with the last generation that they were used under.
    pub(super) left: Vec<(Place, u64)>,
    /// Whether a copy was given up, while it was granted one that it was not seen running on.
    pub(super) copy: Option<bool>,
}

impl Doc {
    /// The real document.
    pub(super) fn vm(&self) -> Vm {
        let mut vm = documents::vm("mail", 192);
        vm.state = self.state;
        vm.booted = true;
        vm.grant = Some(Grant { node: name(self.at), generation: self.generation });
        vm.crossing = self.crossing.map(|way| Crossing {
            id: id(way.id),
            to: name(way.to),
            switched: way.switched,
            abandoned: way.abandoned,
        });
        let leftover = |(at, generation): &(Place, u64)| Leftover {
            node: name(*at),
            generation: *generation,
            since: documents::at(0),
            migration: None,
            newest: self.copy.is_some() && *at == HOME,
        };
        vm.restored = self.copy.map(|discarded| Restored {
            from: name(HOME),
            generation: self.generation,
            at: documents::at(0),
            lost_seconds: 0,
            stack: Some(Stack::default()),
            discarded,
        });
        vm.leftovers = self.left.iter().map(leftover).collect();
        vm
    }

    fn of(vm: &Vm) -> Self {
        let way = |crossing: &Crossing| Way {
            id: naming::number(crossing.id.as_str()),
            to: place(&crossing.to),
            switched: crossing.switched,
            abandoned: crossing.abandoned,
        };
        Self {
            state: vm.state,
            at: vm.node().map_or(HOME, place),
            generation: vm.generation(),
            crossing: vm.crossing.as_ref().map(way),
            left: vm.leftovers.iter().map(|left| (place(&left.node), left.generation)).collect(),
            copy: vm.restored.as_ref().filter(|restored| restored.stack.is_some()).map(|restored| restored.discarded),
        }
    }

    /// The document after these changes, if it takes them.
    pub(super) fn changed(&self, changes: impl IntoIterator<Item = Change>) -> Option<Self> {
        Self::after(self.vm(), changes)
    }

    /// The same of a server whose copy lies at the node that is not its home.
    pub(super) fn with_copy(&self, changes: impl IntoIterator<Item = Change>) -> Option<Self> {
        let (mut vm, node, at) = (self.vm(), name(1 - HOME), documents::at(0));
        let copy = Some(Copied { as_of: at, stack: Stack::default() });
        let (to, done) = (Some(node.clone()), Some(Seeded { number: 1, node, at, bytes: 0, copy }));
        vm.preseed = Some(Preseed { number: 1, to, asked_at: at, done, fault: None, cancelled: false });
        Self::after(vm, changes)
    }

    fn after(mut vm: Vm, changes: impl IntoIterator<Item = Change>) -> Option<Self> {
        for change in changes {
            vm.apply(change, documents::at(0)).ok()?;
        }
        Some(Self::of(&vm))
    }
}

/// A copy of its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Ahead {
    Nothing,
    Lies,
    /// It is to become the server's disk, and counts as that.
    Granted,
}

/// A moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) doc: Doc,
    /// Every order that was ever warranted. Each may come at any time, any number of times, or never.
    pub(super) orders: BTreeSet<Order>,
    pub(super) guests: [Guest; 2],
    pub(super) flow: Option<Flow>,
    pub(super) hand: Hand,
    /// The scheduler's that leads; those before it may not know yet that they do not.
    pub(super) epoch: u64,
    pub(super) migrations: u64,
    /// How many faults may still happen.
    pub(super) faults: u8,
    /// What was sent ahead of it to the node that is not its home.
    pub(super) ahead: Ahead,
    /// The last migration whose copy became whole.
    pub(super) whole: u64,
    /// Where the newest disk is: on both sides while the copy is whole and neither runs.
    pub(super) newest: [bool; 2],
    /// Whether an agent has done what a scheduler ordered that it knew to be succeeded.
    pub(super) disobeyed: bool,
}

impl World {
    /// The server runs at home.
    pub(super) fn new(faults: u8) -> Self {
        let start = Order { verb: Verb::Start, at: HOME, migration: 0, generation: 1 };
        let doc = Doc { state: State::Running, at: HOME, generation: 1, crossing: None, left: Vec::new(), copy: None };
        let home = Guest {
            process: Process::Running,
            disk: Disk::Whole,
            seen: Seen { generation: 1, granted: 1, operation: Some(start.operation()) },
            done: [start].into(),
            ..Guest::nothing()
        };
        Self {
            doc,
            orders: [start].into(),
            guests: [home, Guest::nothing()],
            flow: None,
            hand: Hand::default(),
            epoch: 1,
            migrations: 0,
            faults,
            ahead: Ahead::Nothing,
            whole: 0,
            newest: [true, false],
            disobeyed: false,
        }
    }

    /// On how many nodes it runs.
    pub(super) fn running(&self) -> usize {
        self.guests.iter().filter(|guest| guest.process == Process::Running).count()
    }

    /// Whether it is off until what there is of a copy that was given up is cleared away.
    pub(super) fn goes_back(&self) -> bool {
        self.doc.copy == Some(true)
    }

    /// Whether all is well: it runs where its document says, and nothing is under way.
    pub(super) fn is_settled(&self) -> bool {
        let there = self.guests[self.doc.at].process == Process::Running;
        self.doc.state == State::Running && self.doc.crossing.is_none() && there && self.running() == 1
    }
}

impl Order {
    /// What it is called: by its server's generation where that tells it from others.
    pub(super) fn operation(self) -> String {
        format!("{:?}-{}", self.verb, self.generation)
    }
}
