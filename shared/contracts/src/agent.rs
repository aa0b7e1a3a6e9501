//! What services order of a node's agent, and what agents report.
//!
//! An order carries the sender's epoch and an operation id. Repeating an order with the same
//! operation id does not do it twice: it asks how far it is. So the sender's loop repeats what it
//! wants until the answer is `done` or `failed`.

mod console;
mod disks;
mod facts;
mod grow;
mod host;
mod isolation;
mod screen;
mod snapshots;

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    num::NonZeroU32,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watari_model::{
    FirewallName, HostName, MigrationId, NetworkName, NodeName, Refusal, SegmentName, VmName, isolation::OnIsolation,
    key::Line, network, node::Inventory, userdata, vm,
};

pub use console::{
    Bytes, ConsoleAct, ConsoleKept, ConsolePart, KeepConsole, LONGEST_SESSION, MOST_KEPT, MOST_SHOWN, MOST_TYPED,
    NotBytes, UseConsole,
};
pub use disks::{DropDisk, KeepDisk};
pub use facts::{Domain, NodeFacts, OffReason, Passage, Phase, Transfer, VmFact};
pub use grow::Grow;
pub use host::ShutDown;
pub use isolation::{Guard, Guarded, Held, Hold};
pub use screen::{MOST_PICTURE, Picture, TakePicture};
pub use snapshots::{Named, RevertDisk, TakeSnapshot};
pub use watari_model::vm::{Layer, Mark, Stack, weight};

use crate::Command;

/// Who orders, and which order it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The sender's epoch. An agent refuses one lower than the highest it has seen.
    pub epoch: u64,
    /// Names the operation. Derived from what is to be achieved, so that another sender that
    /// wants the same names it the same.
    pub operation: String,
}

/// How far an operation is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// Accepted and under way: a fact follows when it is over.
    Working,
    /// Done.
    Done,
    /// It cannot be done, and nothing of it is left.
    Failed(Refusal),
}

/// The answer to an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Answer {
    /// How far it is.
    pub progress: Progress,
    /// What the agent now sees of the server.
    pub fact: VmFact,
    /// While a disk is being sent ahead, how much of that was brought to the other node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brought: Option<Brought>,
}

/// How much of what is sent ahead was brought to the other node by now. What lay there already is no part of it, so that
/// it tells how fast the rest goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Brought {
    /// So many bytes were brought.
    pub brought_bytes: u64,
    /// Of so many, 0 while that is not known. They become fewer where something is found there.
    pub total_bytes: u64,
}

/// A network, as far as a node needs to know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wire {
    /// The network.
    pub network: NetworkName,
    /// What it is made of.
    pub kind: network::Kind,
    /// The segment that the node binds to a bridge.
    pub segment: SegmentName,
    /// The VLAN of the segment, of a provider network that has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// The largest packet of a provider network's servers, in bytes, if it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// What only an overlay network has.
    #[serde(default)]
    pub overlay: Option<network::Overlay>,
    /// The subnet, `a.b.c.d/n`.
    pub cidr: String,
    /// The router told to servers.
    pub gateway: Option<Ipv4Addr>,
    /// The name servers told to servers.
    pub dns: Vec<Ipv4Addr>,
    /// Ways out besides the gateway's, as far as the server has addresses of their kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<network::Route>,
    /// The server's MAC on it.
    pub mac: String,
    /// The server's address on it.
    pub address: Ipv4Addr,
    /// Its IPv6 side, if the server has an address there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Ipv6Wire>,
}

/// The IPv6 side of a network, as far as a node needs to know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ipv6Wire {
    /// What the network has.
    pub network: network::Ipv6,
    /// The server's address on it.
    pub address: Ipv6Addr,
}

/// What a server is told about itself, by its seed volume and by the metadata address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Seed {
    /// What it calls itself.
    pub hostname: HostName,
    /// Who may log in, one line each as in `authorized_keys`.
    pub keys: Vec<Line>,
    /// What its operator hands to cloud-init.
    pub user_data: Option<userdata::Text>,
}

/// A server, as far as a node needs to know it to run it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Its name, also the domain's.
    pub name: VmName,
    /// Its UUID, also the domain's.
    pub uuid: String,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Disk in GiB.
    pub disk_gib: u64,
    /// The image under the disk.
    pub base: vm::Base,
    /// Its network cards, in order.
    pub wires: Vec<Wire>,
    /// What it is told about itself.
    pub seed: Seed,
    /// The firewall groups that guard it; without one it is open.
    #[serde(default)]
    pub firewalls: Vec<FirewallName>,
    /// What it does when the node is cut off from everybody.
    #[serde(default, skip_serializing_if = "OnIsolation::is_usual")]
    pub on_isolation: OnIsolation,
    /// Whether it has a video device.
    #[serde(default, skip_serializing_if = "is_false")]
    pub display: bool,
}

/// Start a server under a grant to this node. The disk is made if there is none, else kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// Who orders.
    pub order: Order,
    /// The right to run it.
    pub grant: vm::Grant,
    /// What to run.
    pub server: Server,
    /// Whether the disk may be made anew. `existing` keeps a server from being started from
    /// nothing when its disk should be here and is not.
    pub disk: DiskUse,
    /// The kept disk that becomes its disk if it has none yet, by the UUID of the server that it was of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
    /// The frozen layers that are kept here and become its disk if it has none yet: its node was lost, and that they
    /// lack what was written since is accepted. Nothing stands on their `top` yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy: Option<Stack>,
}

/// Where a server's disk comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DiskUse {
    /// The server's first start: make it from the image if it is not there.
    MayCreate,
    /// It must be there.
    Existing,
}

/// Shut a server down, or force it off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// Who orders.
    pub order: Order,
    /// The server.
    pub vm: VmName,
    /// The grant's generation.
    pub generation: u64,
    /// Off at once, instead of asking the guest.
    pub force: bool,
}

/// Stop a server with its memory saved on this node: its next start here goes on from that. It may start nowhere
/// else, as its disk is here; whatever removes the domain, or forces it off, drops the memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Suspend {
    /// Who orders.
    pub order: Order,
    /// The server.
    pub vm: VmName,
    /// The grant's generation.
    pub generation: u64,
}

/// Reboot a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reboot {
    /// Who orders.
    pub order: Order,
    /// The server.
    pub vm: VmName,
    /// The grant's generation.
    pub generation: u64,
    /// Reset at once, instead of asking the guest.
    pub force: bool,
}

/// Remove everything this node has of a server: domain, disk, network. Refused if the node has
/// seen a grant to itself that is newer than `generation`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// Who orders.
    pub order: Order,
    /// The server.
    pub vm: VmName,
    /// Its UUID: another server of the same name is not touched.
    pub uuid: String,
    /// The newest grant that this order knows of.
    pub generation: u64,
    /// Whether the frozen layers of its disk are kept, for the server to come back to.
    #[serde(default, skip_serializing_if = "is_false")]
    pub keep_layers: bool,
    /// Whether it is refused while a process of the server lives: it was deleted, and whoever started it again
    /// knows why.
    #[serde(default, skip_serializing_if = "is_false")]
    pub spare_running: bool,
    /// Whether its disk stays, for another server to begin with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_disk: Option<KeepDisk>,
}

/// Prepare to receive a server: fetch the image, make the empty disk, the network, check room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Receive {
    /// Who orders.
    pub order: Order,
    /// The migration.
    pub migration: MigrationId,
    /// The generation under which the source runs it.
    pub generation: u64,
    /// From where.
    pub from: NodeName,
    /// What will arrive.
    pub server: Server,
    /// What its disk stands on beyond its image. All of it must be here already; nothing of it travels.
    #[serde(default, skip_serializing_if = "Stack::is_plain")]
    pub stack: Stack,
}

/// Send a server to another node, where it arrives paused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Send {
    /// Who orders.
    pub order: Order,
    /// The migration.
    pub migration: MigrationId,
    /// The server.
    pub vm: VmName,
    /// The generation under which this node runs it.
    pub generation: u64,
    /// To where.
    pub to: NodeName,
    /// The target's address for migrations.
    pub address: String,
    /// At most this many MiB each second; 0 is without bound.
    pub bandwidth_mib: u64,
    /// The pause that QEMU may plan for, in milliseconds; 0 is QEMU's own.
    pub downtime_ms: u64,
    /// The layer that the target is prepared for. Another one here, and nothing is sent.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub top: u32,
    /// How large a disk the target is prepared for, in GiB, if this one may have grown. A larger one here, and nothing
    /// is sent: QEMU would leave out what does not fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_gib: Option<u64>,
    /// The pause that may be planned for, in seconds, if the copy does not come to an end within `downtime_ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_downtime_seconds: Option<NonZeroU32>,
}

/// Freeze the disk of a running server as it is now: from then on it writes to a new layer, and what
/// is frozen can be sent ahead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Freeze {
    /// Who orders.
    pub order: Order,
    /// The server.
    pub vm: VmName,
    /// The grant's generation.
    pub generation: u64,
    /// A newest layer that has less in it than this many MiB is left as it is. With 0 all that was written is frozen, or
    /// the order fails.
    pub least_mib: u64,
    /// What the layers may not be merged across.
    #[serde(default, skip_serializing_if = "Named::is_blank")]
    pub named: Named,
}

/// Send the frozen layers of a server's disk ahead to a node that lacks them. It is repeated until it
/// is done; one that is not repeated ends by itself, and is gone on with where it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SendAhead {
    /// Who orders.
    pub order: Order,
    /// The server.
    pub vm: VmName,
    /// Its UUID.
    pub uuid: String,
    /// The grant's generation.
    pub generation: u64,
    /// The target's address for migrations.
    pub address: String,
    /// At most this many MiB each second; 0 is without bound.
    pub bandwidth_mib: u64,
    /// Whether a migration waits for it; else it gives way to all of them.
    #[serde(default)]
    pub urgent: bool,
}

/// Send some bytes to another node, where they are thrown away, to see how fast the way there is. That is told with the
/// inventory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MeasureWay {
    /// Who orders.
    pub order: Order,
    /// The other node's address for migrations.
    pub address: String,
}

/// What becomes of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Measuring {
    /// Whether it has begun: not while a server or its disk is being sent, or another way is measured.
    pub begun: bool,
}

/// Delete frozen layers that are kept for a server that is not here. What its disk here stands on is not touched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DropLayers {
    /// Who orders.
    pub order: Order,
    /// The server's UUID. There may be no server of it any more.
    pub uuid: String,
    /// Layers that stay; all others go, and what of them is still arriving.
    pub keep: Vec<Layer>,
}

/// Break off the sending of a server. It runs on here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Abort {
    /// Who orders.
    pub order: Order,
    /// The migration.
    pub migration: MigrationId,
    /// The server.
    pub vm: VmName,
}

/// Let a paused server run under a newer grant to this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resume {
    /// Who orders.
    pub order: Order,
    /// The server.
    pub vm: VmName,
    /// The right to run it.
    pub grant: vm::Grant,
}

/// Destroy the copy that a migration made here, and its disk. Refused if the node has seen a
/// grant to itself newer than `generation`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Discard {
    /// Who orders.
    pub order: Order,
    /// The migration.
    pub migration: MigrationId,
    /// The server.
    pub vm: VmName,
    /// The generation under which the source runs it.
    pub generation: u64,
}

/// Forget a server that now runs elsewhere: undefine the stopped domain, drop its network; its
/// disk stays until `remove`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Who orders.
    pub order: Order,
    /// The server.
    pub vm: VmName,
    /// The last generation under which this node ran it.
    pub generation: u64,
}

/// Look at one server now, asking libvirt and the kernel, not memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Observe {
    /// The server.
    pub vm: VmName,
}

/// Everything the agent sees.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObserveAll {}

/// What the node is and has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TakeInventory {}

/// The end of a server's serial console log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadConsole {
    /// The server.
    pub vm: VmName,
    /// At most this many bytes, up to 128 KiB.
    pub bytes: u64,
}

/// Part of a console log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConsoleText {
    /// The text; bytes that are no UTF-8 are replaced.
    pub text: String,
}

const fn is_false(value: &bool) -> bool {
    !*value
}

const fn is_zero(value: &u32) -> bool {
    *value == 0
}

macro_rules! commands {
    ($($command:ident $verb:literal => $reply:ty, $about:literal;)*) => {
        $(impl Command for $command {
            const VERB: &'static str = $verb;
            const ABOUT: &'static str = $about;
            type Reply = $reply;
        })*
        /// Every verb an agent knows.
        pub const VERBS: &[&str] = &[$($verb),*];
    };
}

commands! {
    Start "start" => Answer, "Start a server under a grant.";
    Stop "stop" => Answer, "Shut a server down or force it off.";
    Suspend "suspend" => Answer, "Stop a server with its memory saved on the node's disk.";
    Reboot "reboot" => Answer, "Reboot a server.";
    Remove "remove" => Answer, "Remove a server's domain, disk and network from the node.";
    Receive "receive" => Answer, "Prepare to receive a migrating server.";
    Send "send" => Answer, "Send a server to another node, where it arrives paused.";
    Abort "abort" => Answer, "Break off the sending of a server.";
    Resume "resume" => Answer, "Let a paused server run under a newer grant.";
    Grow "grow" => Answer, "Let a running server's disk, number of processors or memory grow at once.";
    Freeze "freeze" => Answer, "Freeze a running server's disk; it writes to a new layer from then on.";
    TakeSnapshot "snapshot" => Answer, "Keep a server's disk as it is now, to go back to.";
    RevertDisk "revert" => Answer, "Put the disk of a server that is off back to what it was.";
    SendAhead "send-ahead" => Answer, "Send the frozen layers of a server's disk to a node that lacks them.";
    MeasureWay "measure-way" => Measuring, "Send some bytes to another node to see how fast the way there is.";
    DropLayers "drop-layers" => NodeFacts, "Delete frozen layers that are kept for a server and are of no use.";
    DropDisk "drop-disk" => NodeFacts, "Delete a deleted server's disk that was kept.";
    Discard "discard" => Answer, "Destroy the paused copy that a migration made.";
    Release "release" => Answer, "Forget a server that now runs elsewhere.";
    ShutDown "shut-down" => NodeFacts, "Shut the node down, if nothing lives on it.";
    Hold "hold" => Held, "Hold the lease that was asked for with certain facts.";
    Observe "observe" => VmFact, "Look at one server now.";
    ObserveAll "observe-all" => NodeFacts, "Look at everything now.";
    TakeInventory "inventory" => Inventory, "Say what the node is and has.";
    ReadConsole "console" => ConsoleText, "Read the end of a server's console log.";
    TakePicture "picture" => Picture, "Take a picture of what a running server's screen shows.";
    UseConsole "use-console" => ConsolePart, "Open a server's console, type at it, follow what it says, close it.";
    KeepConsole "keep-console" => ConsoleKept, "Keep what a server wrote to its console where it ran before.";
}
