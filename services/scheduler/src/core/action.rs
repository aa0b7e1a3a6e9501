//! Everything that can be decided: data, each with a key. Two actions with one key are never in
//! hand at once.

use watari_contracts::{
    agent::{
        self, Abort, Discard, DropLayers, Freeze, Grow, Observe, Reboot, Receive, Release, Remove, Resume, RevertDisk,
        Send, SendAhead, ShutDown, Start, Stop, Suspend, TakeSnapshot,
    },
    monitor::PowerWish,
    network::ReplacePort,
};
use watari_model::{
    Document, MigrationId, NodeName, VmName, frontend::Primacy, migration::Migration, outage::Outage, site::Site,
    userdata::UserData, vm::Vm,
};

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Replace a server's document.
    StoreVm {
        /// The new one.
        vm: Box<Vm>,
        /// The write that it replaces.
        revision: u64,
        /// Whether the server is started again without an operator's asking, to be counted.
        restart: bool,
    },
    /// Delete a server's document: nothing of the server is left.
    DropVm {
        /// Which.
        name: VmName,
        /// The write that it replaces.
        revision: u64,
    },
    /// Make a migration's document.
    NewMigration(Box<Migration>),
    /// Replace a migration's document.
    StoreMigration {
        /// The new one.
        migration: Box<Migration>,
        /// The write that it replaces.
        revision: u64,
    },
    /// Forget an old migration.
    DropMigration {
        /// Which.
        id: MigrationId,
        /// The write that it replaces.
        revision: u64,
    },
    /// Make an outage's document.
    NewOutage(Box<Outage>),
    /// Replace an outage's document.
    StoreOutage {
        /// The new one.
        outage: Box<Outage>,
        /// The write that it replaces.
        revision: u64,
    },
    /// Forget an old outage.
    DropOutage {
        /// Which.
        id: watari_model::OutageId,
        /// The write that it replaces.
        revision: u64,
    },
    /// Replace a site's document.
    StoreSite {
        /// The new one.
        site: Box<Site>,
        /// The write that it replaces.
        revision: u64,
    },
    /// Delete user-data that belongs to no server any more.
    DropUserData {
        /// The server's UUID.
        uuid: String,
        /// The write that it replaces.
        revision: u64,
    },
    /// Say from where the services are to lead.
    StorePrimacy {
        /// The new wish.
        primacy: Box<Primacy>,
        /// The write that it replaces, if there is one.
        revision: Option<u64>,
    },
    /// Order something of an agent.
    Order {
        /// What is to be achieved, and where.
        key: String,
        /// How often it has failed before.
        attempt: u32,
        /// Of whom.
        node: NodeName,
        /// What.
        order: Order,
    },
    /// Have an agent look at one server now.
    Look {
        /// The question's key.
        key: String,
        /// Of whom.
        node: NodeName,
        /// What to look at.
        look: Observe,
    },
    /// Have an agent say all it sees.
    LookAtAll {
        /// Whom.
        node: NodeName,
    },
    /// Ask both sides of a migration and, if both say so, switch over and resume.
    Settle(Settle),
    /// Have an agent delete frozen layers that are of no use.
    DropLayers {
        /// What it is about, and where.
        key: String,
        /// Of whom.
        node: NodeName,
        /// Which.
        drop: DropLayers,
    },
    /// Have a node that is empty shut itself down.
    ShutDown {
        /// What it is about, and where.
        key: String,
        /// Which.
        node: NodeName,
        /// The order.
        order: ShutDown,
    },
    /// Have the monitor ask a node's power controller, or switch the node by it.
    Power {
        /// What it is about, and where.
        key: String,
        /// Which.
        node: NodeName,
        /// What is wanted.
        wish: PowerWish,
        /// In whose name.
        by: String,
    },
    /// Have an address of a server marked as a stranger's, and another given to the server.
    ReplacePort {
        /// What it is about.
        key: String,
        /// What is asked of the network service.
        replace: Box<ReplacePort>,
    },
    /// Give back a server's addresses.
    ReleasePorts {
        /// The server.
        vm: VmName,
        /// Its UUID.
        uuid: String,
    },
    /// Tell an operator; nothing is touched.
    Alarm {
        /// What it is about.
        key: String,
        /// What is the matter.
        text: String,
    },
}

/// The end of a copy: both sides are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settle {
    /// The migration.
    pub migration: MigrationId,
    /// The server.
    pub vm: VmName,
    /// Where it was.
    pub from: NodeName,
    /// Where it goes.
    pub to: NodeName,
    /// The epoch of this tenure.
    pub epoch: u64,
    /// What is known of the copying beyond the two answers.
    pub copy: super::crossing::Copy,
    /// Whose silence an operator has explained.
    pub off: super::Off,
    /// What both sides have reported unasked, if that says all: then nobody need be asked.
    pub reported: Option<Box<super::Both>>,
}

/// An order, complete but for its wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Start under a grant.
    Start(Box<Start>),
    /// Shut down or force off.
    Stop(Stop),
    /// Stop with the memory saved.
    Suspend(Suspend),
    /// Reboot.
    Reboot(Reboot),
    /// Remove all there is.
    Remove(Remove),
    /// Prepare to receive.
    Receive(Box<Receive>),
    /// Send.
    Send(Send),
    /// Break off sending.
    Abort(Abort),
    /// Let run under a newer grant.
    Resume(Resume),
    /// Let what runs grow.
    Grow(Grow),
    /// Freeze the disk of what runs.
    Freeze(Freeze),
    /// Keep the disk as it is now.
    TakeSnapshot(TakeSnapshot),
    /// Put the disk back to what it was.
    RevertDisk(RevertDisk),
    /// Send frozen layers to another node.
    SendAhead(SendAhead),
    /// Destroy the copy of a migration that is given up.
    Discard(Discard),
    /// Forget what runs elsewhere.
    Release(Release),
}

impl Order {
    /// What every order has: who orders under which name, and about which server.
    #[must_use]
    pub fn parts(&self) -> (&agent::Order, &VmName) {
        match self {
            Self::Start(o) => (&o.order, &o.server.name),
            Self::Stop(o) => (&o.order, &o.vm),
            Self::Suspend(o) => (&o.order, &o.vm),
            Self::Reboot(o) => (&o.order, &o.vm),
            Self::Remove(o) => (&o.order, &o.vm),
            Self::Receive(o) => (&o.order, &o.server.name),
            Self::Send(o) => (&o.order, &o.vm),
            Self::Abort(o) => (&o.order, &o.vm),
            Self::Resume(o) => (&o.order, &o.vm),
            Self::Grow(o) => (&o.order, &o.vm),
            Self::Freeze(o) => (&o.order, &o.vm),
            Self::TakeSnapshot(o) => (&o.order, &o.vm),
            Self::RevertDisk(o) => (&o.order, &o.vm),
            Self::SendAhead(o) => (&o.order, &o.vm),
            Self::Discard(o) => (&o.order, &o.vm),
            Self::Release(o) => (&o.order, &o.vm),
        }
    }
}

/// The key of a document's writes.
#[must_use]
pub(crate) fn document_key<T: Document>(key: &str) -> String {
    format!("{}/{key}", T::BUCKET)
}

/// The key of a migration's settling.
#[must_use]
pub(crate) fn settle_key(id: &MigrationId) -> String {
    format!("settle/{id}")
}

/// The key of listening to a node.
#[must_use]
pub(crate) fn listen_key(node: &NodeName) -> String {
    format!("listen/{node}")
}

/// The key of giving a server's addresses back.
#[must_use]
pub(crate) fn ports_key(vm: &VmName, uuid: &str) -> String {
    format!("ports/{vm}/{uuid}")
}

impl Action {
    /// What the action is about.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::StoreVm { vm, .. } => document_key::<Vm>(vm.name.as_str()),
            Self::DropVm { name, .. } => document_key::<Vm>(name.as_str()),
            Self::NewMigration(migration) | Self::StoreMigration { migration, .. } => {
                document_key::<Migration>(migration.id.as_str())
            }
            Self::DropMigration { id, .. } => document_key::<Migration>(id.as_str()),
            Self::NewOutage(outage) | Self::StoreOutage { outage, .. } => document_key::<Outage>(outage.id.as_str()),
            Self::DropOutage { id, .. } => document_key::<Outage>(id.as_str()),
            Self::StoreSite { site, .. } => document_key::<Site>(site.name.as_str()),
            Self::DropUserData { uuid, .. } => document_key::<UserData>(uuid),
            Self::StorePrimacy { primacy, .. } => document_key::<Primacy>(&primacy.key()),
            Self::Order { key, .. }
            | Self::Look { key, .. }
            | Self::DropLayers { key, .. }
            | Self::ShutDown { key, .. }
            | Self::Power { key, .. }
            | Self::ReplacePort { key, .. }
            | Self::Alarm { key, .. } => key.clone(),
            Self::LookAtAll { node } => listen_key(node),
            Self::Settle(settle) => settle_key(&settle.migration),
            Self::ReleasePorts { vm, uuid } => ports_key(vm, uuid),
        }
    }
}
