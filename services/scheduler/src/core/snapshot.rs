//! What is decided upon: the documents, what agents were last heard to say, and what is in hand.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use watari_chassis::{Entry, Snapshot as Docs};
use watari_contracts::{
    agent::{Domain, NodeFacts, Passage, Progress, VmFact},
    monitor::CapacityChanged,
};
use watari_model::{
    MigrationId, NodeName, Refusal, SiteName, VmName, frontend::Primacy, image::Image, isolation::Ledger,
    migration::Migration, network::Network, network::Port, node, node::Node, outage::Outage, site::Site,
    userdata::UserData, vm::Vm,
};

use super::Action;

/// One moment. Nothing in it changes while it is decided upon.
#[derive(Clone, Default)]
pub struct Snapshot {
    /// The epoch of this tenure, carried by every order.
    pub epoch: u64,
    /// Servers, by name.
    pub vms: Docs<Vm>,
    /// Migrations, by name.
    pub migrations: Docs<Migration>,
    /// Outages, by name.
    pub outages: Docs<Outage>,
    /// Sites, by name.
    pub sites: Docs<Site>,
    /// Servers' user-data, by UUID.
    pub userdata: Docs<UserData>,
    /// Nodes, by name; the monitor's.
    pub nodes: Docs<Node>,
    /// Networks, by name; the network service's.
    pub networks: Docs<Network>,
    /// Images, by name; the image service's.
    pub images: Docs<Image>,
    /// What each node's agent last said.
    pub heard: BTreeMap<NodeName, Heard>,
    /// What the monitor last told of each node's load; of most nothing, unless one of their site is overloaded.
    pub loads: BTreeMap<NodeName, Load>,
    /// The last known part of each node in each migration; it outlives the agent's own memory.
    pub passages: HashMap<(NodeName, MigrationId), Passage>,
    /// Answers to what was ordered and asked, by the action's key.
    pub answers: HashMap<String, Answer>,
    /// What is being done, by key.
    pub busy: HashMap<String, Arc<Action>>,
    /// How often a server had to be started again lately.
    pub restarts: HashMap<VmName, Restarts>,
    /// From where the services are to lead; one document or none.
    pub frontends: Docs<Primacy>,
    /// What is known of the control plane.
    pub control: super::Control,
    /// Which leases were granted in this tenure.
    pub ledger: Ledger,
    /// The moment on the boot clock in milliseconds, by which the ledger counts.
    pub boot_ms: u64,
}

/// What an agent last said, by itself or in answers.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Its facts.
    pub facts: Arc<NodeFacts>,
    /// How long ago anything came from it.
    pub age_ms: u64,
}

/// What the monitor last told of a node's load.
#[derive(Clone, Debug)]
pub struct Load {
    /// What it told.
    pub told: Arc<CapacityChanged>,
    /// How long ago.
    pub age_ms: u64,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// How often the operation had failed before; each try has a name of its own.
    pub attempt: u32,
    /// What came.
    pub outcome: Outcome,
    /// How long ago.
    pub age_ms: u64,
    /// Whether the node was heard since.
    pub news: bool,
}

/// What came of an order or a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An agent's answer to an order.
    Order(Progress, VmFact),
    /// A fresh look at one server.
    Seen(VmFact),
    /// A fresh look at both sides of a migration.
    Both(Both),
    /// Done, by somebody who is no agent.
    Done,
    /// A server's port, from the network service.
    Port(Box<Port>),
    /// What a node's power controller says of it.
    Power(node::fencing::Act),
    /// Refused for good.
    Refused(Refusal),
    /// No answer, or one that says "later": what was done is not known.
    Silent(Refusal),
}

/// What both sides of a migration said when they were asked together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Both {
    /// What was known of the copying when they were asked: what became known since says nothing
    /// about these answers.
    pub copy: super::crossing::Copy,
    /// The source's answer, if it came.
    pub source: Option<VmFact>,
    /// The target's answer, if it came.
    pub target: Option<VmFact>,
    /// Whose silence an operator has explained.
    pub off: Off,
}

/// The sides of a migration whose nodes are off, by an operator's word: where nothing is heard, nothing runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Off {
    /// The source's.
    pub source: bool,
    /// The target's.
    pub target: bool,
}

impl Off {
    /// What both say.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self { source: self.source && other.source, target: self.target && other.target }
    }
}

/// How often a server was started again, and when last.
#[derive(Clone, Copy, Debug, Default)]
pub struct Restarts {
    /// How often in a row.
    pub count: u32,
    /// Milliseconds since the last time.
    pub age_ms: u64,
}

/// What is known of one server on one node.
#[derive(Clone, Copy, Debug)]
pub enum Sight<'a> {
    /// The node is not heard, or its hypervisor does not answer.
    Silent,
    /// The node is heard and has nothing of the server.
    Nothing,
    /// The node is heard and says this.
    Seen(&'a VmFact),
}

impl Sight<'_> {
    /// What the hypervisor says; `None` if it is not known.
    #[must_use]
    pub fn domain(self) -> Option<Domain> {
        match self {
            Self::Silent => None,
            Self::Nothing => Some(Domain::Absent),
            Self::Seen(fact) => known(fact),
        }
    }

    /// Whether no process of it lives there, as far as is known.
    #[must_use]
    pub fn off(self) -> bool {
        self.domain().is_some_and(Domain::is_off)
    }

    /// Whether it runs there under `generation`, granted to that node.
    #[must_use]
    pub fn runs_under(self, generation: u64) -> bool {
        match self {
            Self::Seen(fact) => fact.domain == Domain::Running && fact.granted && fact.generation == generation,
            _ => false,
        }
    }
}

/// The domain of a fact, unless the hypervisor did not answer.
#[must_use]
pub fn known(fact: &VmFact) -> Option<Domain> {
    (fact.domain != Domain::Unknown).then_some(fact.domain)
}

impl Snapshot {
    /// From where the services are to lead, if anybody has said so.
    #[must_use]
    pub fn primacy(&self) -> Option<&Entry<Primacy>> {
        self.frontends.get(Primacy::KEY).map(AsRef::as_ref)
    }

    /// At which site a node is, if it is known.
    pub(crate) fn site_of(&self, node: &NodeName) -> Option<&SiteName> {
        self.nodes.get(node.as_str()).map(|entry| &entry.value.site)
    }

    /// Whether a server is on its way to another node.
    pub(crate) fn crosses(&self) -> bool {
        self.vms.values().any(|entry| entry.value.crossing.is_some())
    }

    /// All servers, by their UUIDs.
    pub(crate) fn owners(&self) -> HashMap<&str, &Vm> {
        self.vms.values().map(|entry| (entry.value.uuid.as_str(), &entry.value)).collect()
    }

    /// What a node last said, if that was within `silent_ms`.
    pub(crate) fn heard_within(&self, node: &NodeName, silent_ms: u64) -> Option<&Heard> {
        self.heard.get(node).filter(|heard| heard.age_ms <= silent_ms)
    }

    /// What is known of `vm` on `node`, if it was heard within `silent_ms`.
    #[must_use]
    pub fn sight(&self, node: &NodeName, vm: &VmName, silent_ms: u64) -> Sight<'_> {
        match self.heard_within(node, silent_ms) {
            Some(heard) if heard.facts.hypervisor_answers => {
                heard.facts.vms.get(vm).map_or(Sight::Nothing, Sight::Seen)
            }
            _ => Sight::Silent,
        }
    }

    /// Whether a migration belongs to an outage that is paused: what of it does not travel yet, stays.
    #[must_use]
    pub fn is_paused(&self, migration: &Migration) -> bool {
        let outage = migration.outage.as_ref().and_then(|id| self.outages.get(id.as_str()));
        outage.is_some_and(|entry| entry.value.paused_at.is_some())
    }

    /// The word that a node is off, an operator's or its power controller's, unless it is heard all the same.
    #[must_use]
    pub fn off(&self, node: &NodeName, silent_ms: u64) -> Option<&node::Off> {
        let known = &self.nodes.get(node.as_str())?.value;
        let off = known.off.as_ref().filter(|_| known.state == node::State::Lost)?;
        self.heard_within(node, silent_ms).is_none().then_some(off)
    }

    /// Whether a node cannot be reckoned with: unknown, lost, or suspect and not heard.
    #[must_use]
    pub fn unreachable(&self, node: &NodeName, silent_ms: u64) -> bool {
        match self.nodes.get(node.as_str()).map(|entry| entry.value.state) {
            None | Some(node::State::Lost) => true,
            Some(node::State::Suspect) => self.heard_within(node, silent_ms).is_none(),
            Some(node::State::Ready) => false,
        }
    }
}
