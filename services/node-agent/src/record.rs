//! What the agent remembers of one server, across its own restarts.

use serde::{Deserialize, Serialize};
use watari_contracts::agent::{Phase, Server, Stack, Transfer};
use watari_model::{MigrationId, NodeName, VmName, admission::Seen, image::Consistency, isolation::OnIsolation};

/// One server, as the journal keeps it. A server that was removed stays as a tombstone, so that a
/// late order cannot bring it back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its name; a later server may have it too.
    pub vm: VmName,
    /// Its UUID, for life.
    pub uuid: String,
    /// Its grants.
    pub seen: Seen,
    /// What it is made of, by the last order that said so.
    pub server: Option<Server>,
    /// Its disk here.
    pub disk: Disk,
    /// The disk's layers, and which of them is written to.
    #[serde(default)]
    pub stack: Stack,
    /// Whether the layer after the one written to may have taken its place: it is being frozen.
    #[serde(default)]
    pub freezing: bool,
    /// The moment that this freezing keeps, if it is for that.
    #[serde(default)]
    pub marking: Option<Marking>,
    /// The layer that the disk goes back to. Until that is done nothing of the disk is deleted, and what is new is
    /// worthless.
    #[serde(default)]
    pub reverting: Option<u32>,
    /// Which layer takes in older ones: it is the one written to, or was when that was begun. Until it is frozen and
    /// written through, all of them are kept, and the merge can be taken back.
    #[serde(default)]
    pub merging: Option<u32>,
    /// Layers that were merged and that nothing stands on any more: their files are to go.
    #[serde(default)]
    pub dropped: Vec<u32>,
    /// The migration it takes part in.
    pub passage: Option<Crossing>,
    /// Whether this node's DHCP answers it.
    pub wired: bool,
    /// How far its last start is.
    #[serde(default)]
    pub launch: Launch,
    /// Under which generation it was stopped, or asked to, because the node was cut off; not its users' wish.
    #[serde(default)]
    pub isolated: Option<u64>,
    /// Whether it is being removed, or was.
    pub removal: Removal,
    /// Orders among records of one name: the newest is the one that the name means.
    pub chosen: u64,
}

/// A moment that is to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marking {
    /// The number under which it was ordered.
    pub number: u64,
    /// What it holds if the guest does not help.
    pub consistency: Consistency,
}

/// What the file of a server's disk is, if there is one. Written down before the file is touched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Disk {
    /// None that the agent knows of.
    None,
    /// It is being made from the image; if it exists, it is complete and was never used.
    Making,
    /// The server's own.
    Whole,
    /// What a migration makes; worthless until the server is resumed on it.
    Copy {
        /// Which migration.
        migration: MigrationId,
        /// Under which generation the source ran.
        generation: u64,
    },
    /// What was left when the server went to another node.
    Leftover {
        /// The last generation under which it was used here.
        generation: u64,
    },
}

/// How far a start is, as its guest may notice. QEMU begins with its processors standing still, and they are let go when all
/// else is ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Launch {
    /// None is under way, and an order that may make a guest stand still has come since the last one.
    #[default]
    Idle,
    /// Its domain, if there is one, has run nothing. Written down before there is one.
    Held,
    /// It may go on, and perhaps has. Written down before it may.
    Released,
}

/// How far a removal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Removal {
    /// It is not asked for.
    No,
    /// It is under way; whatever is left is to go.
    Begun,
    /// Nothing is left.
    Done,
}

/// Which end of a migration this node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The server leaves.
    Source,
    /// It arrives.
    Target,
}

/// This node's part in a migration. Moments are milliseconds on the boot clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crossing {
    /// The migration.
    pub migration: MigrationId,
    /// Our end.
    pub side: Side,
    /// The other end.
    pub peer: NodeName,
    /// How far it is here.
    pub phase: Phase,
    /// What has travelled.
    pub transfer: Option<Transfer>,
    /// What libvirt complained of.
    pub complaint: Option<String>,
    /// For how many seconds nothing had got across when the copy was broken off for that.
    #[serde(default)]
    pub stalled_seconds: Option<u64>,
    /// When the source's processors stopped, if they have.
    pub stopped_at: Option<u64>,
    /// When the copy was complete at the target.
    pub arrived_at: Option<u64>,
    /// How long the copy stood, once resumed.
    pub paused_ms: Option<u64>,
    /// Whether the guest answers at its address: before it left, or since it was resumed.
    #[serde(default)]
    pub answers: Option<bool>,
}

impl Record {
    /// A server of which nothing is known yet.
    #[must_use]
    pub fn new(vm: VmName, uuid: String) -> Self {
        Self {
            vm,
            uuid,
            seen: Seen::default(),
            server: None,
            disk: Disk::None,
            stack: Stack::default(),
            freezing: false,
            marking: None,
            reverting: None,
            merging: None,
            dropped: Vec::new(),
            passage: None,
            wired: false,
            launch: Launch::Idle,
            isolated: None,
            removal: Removal::No,
            chosen: 0,
        }
    }

    /// Every layer of its disk that may have a file here: one that it goes over to and those to go as well.
    #[must_use]
    pub fn files(&self) -> Vec<u32> {
        let frozen = self.stack.layers.iter().map(|layer| layer.index);
        let next = (self.freezing || self.reverting.is_some()).then(|| self.stack.top.saturating_add(1));
        frozen.chain([self.stack.top]).chain(next).chain(self.dropped.iter().copied()).collect()
    }

    /// Forgets what was under way with its disk: that disk is no more.
    pub fn clear_layers(&mut self) {
        self.stack = Stack::default();
        self.freezing = false;
        self.marking = None;
        self.reverting = None;
        self.merging = None;
        self.dropped.clear();
    }

    /// Whether it needs a lease of the node's to run here, now or when it has arrived.
    #[must_use]
    pub fn needs_lease(&self) -> bool {
        let policy = self.server.as_ref().map(|server| server.on_isolation);
        // What a server left behind is none any more.
        policy == Some(OnIsolation::Stop) && !self.is_tombstone() && !matches!(self.disk, Disk::Leftover { .. })
    }

    /// Whether this is only the memory of a removed server.
    #[must_use]
    pub fn is_tombstone(&self) -> bool {
        self.removal == Removal::Done
    }
}

impl Crossing {
    /// The beginning of this node's part.
    #[must_use]
    pub fn new(migration: MigrationId, side: Side, peer: NodeName, phase: Phase) -> Self {
        Self {
            migration,
            side,
            peer,
            phase,
            transfer: None,
            complaint: None,
            stalled_seconds: None,
            stopped_at: None,
            arrived_at: None,
            paused_ms: None,
            answers: None,
        }
    }
}
