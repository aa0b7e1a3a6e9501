//! What the scheduler answers: servers, migrations, sites, draining, outages, keys and projects.

mod console;
mod dark;
mod disks;
mod keys;
mod migrations;
mod outages;
mod projects;
mod rehearsal;
mod screen;
mod sites;
mod snapshots;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU32,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watari_model::{
    DiskName, FirewallName, HostName, ImageName, KeyName, MigrationId, NetworkName, NodeName, ProjectName, SiteName,
    Timestamp, VmName,
    frontend::Primacy,
    isolation::OnIsolation,
    node,
    refusal::{Refusal, Rendered},
    userdata, vm,
};

use crate::{Request, Service, agent::Brought, wire::requests};

pub use console::{ConsoleView, VmConsole};
pub use dark::{DarkNode, DarkPlan, NodesDark, ShutDownNodes};
pub use disks::{DeleteDisk, DiskPage, DiskView, GetDisk, ListDisks};
pub use keys::{AddKey, DeleteKey, GetKey, KeyPage, KeyView, ListKeys};
pub use migrations::{CancelMigration, GetMigration, ListMigrations, MigrationPage, MigrationPlace, MigrationView};
pub use outages::{
    CancelOutage, Confidence, ControlMoved, CriticalPath, DrainNode, EvacuateSite, GetOutage, HaltedVm, HandedOver,
    LegName, ListOutages, Moved, MovedSince, NotMoved, OnBattery, OutagePage, OutagePlan, OutageView, PauseOutage,
    Phase, PlanOutage, PlannedMove, RescheduleOutage, ResumeOutage, ReturnSite, ScheduleOutage, StartOutage,
    StillThere, WithdrawOutage,
};
pub use projects::{CreateProject, DeleteProject, GetProject, ListProjects, ProjectPage, ProjectView, SetProject};
pub use rehearsal::{
    FailingNode, Known, Leaving, Rehearsal, RehearseOutage, RehearsedFall, RehearsedLink, RehearsedServer,
};
pub use screen::{Screenshot, VmScreenshot};
pub use sites::{ListSites, PromoteFrontEnd, SitePage, SiteView, TellPower};
pub use snapshots::{CreateSnapshot, DeleteSnapshot, RevertSnapshot};

/// Make a server and, unless told otherwise, start it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateVm {
    /// Names this request, so that it may be repeated.
    #[serde(default)]
    pub request_id: Option<String>,
    /// The server's name.
    pub name: VmName,
    /// The image under its disk.
    pub image: ImageName,
    /// The project that it is counted with; `default` if left out.
    #[serde(default, skip_serializing_if = "ProjectName::is_default")]
    pub project: ProjectName,
    /// Its networks, in the order of its network cards.
    #[serde(default)]
    pub networks: Vec<WantedNic>,
    /// Where it belongs; without it the scheduler chooses.
    #[serde(default)]
    pub site: Option<SiteName>,
    /// Virtual CPUs, 1 to 256.
    #[serde(default = "one")]
    pub vcpus: u32,
    /// Memory in MiB, from 32.
    #[serde(default = "default_memory")]
    pub memory_mib: u64,
    /// Disk in GiB, from 1.
    #[serde(default = "default_disk")]
    pub disk_gib: u64,
    /// A kept disk to begin with in place of a new one, on the node where it is. It stands on `image`, and never
    /// becomes smaller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskName>,
    /// Labels that a node must carry.
    #[serde(default)]
    pub node_labels: BTreeMap<String, String>,
    /// Groups it belongs to.
    #[serde(default)]
    pub groups: Vec<vm::Membership>,
    /// Firewall groups that guard it; without one it is open.
    #[serde(default)]
    pub firewalls: Vec<FirewallName>,
    /// How it is asked from outside while an outage is under way, each once, at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<vm::Probe>,
    /// The servers on which it depends, at most 16: it leaves, comes home and is started after them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<VmName>,
    /// What it does when its site is evacuated.
    #[serde(default)]
    pub evacuate: vm::Evacuate,
    /// Servers with a higher number leave and are started first, 0 to 100.
    #[serde(default)]
    pub priority: u8,
    /// Whether it is started again when it went off by itself, or with its node.
    #[serde(default)]
    pub restart: vm::Restart,
    /// What it does when its node is cut off from everybody.
    #[serde(default, skip_serializing_if = "OnIsolation::is_usual")]
    pub on_isolation: OnIsolation,
    /// When its node is lost it is started from a copy of its disk elsewhere that lacks no more than what was written in
    /// so many seconds; never if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_from_copy_seconds: Option<NonZeroU32>,
    /// How long it may stand still at the end of a live migration that would not end otherwise, in seconds, up to 60;
    /// never if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_downtime_seconds: Option<NonZeroU32>,
    /// Whether it has a display, of which pictures can be taken. Nobody can type at it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub display: bool,
    /// What it calls itself; its name if left out.
    #[serde(default)]
    pub hostname: Option<HostName>,
    /// Public keys with which one may log in.
    #[serde(default)]
    pub keys: Vec<KeyName>,
    /// What cloud-init is to do on the first boot, at most 64 KiB. It is never shown again.
    #[serde(default)]
    pub user_data: Option<userdata::Text>,
    /// Whether it is started.
    #[serde(default = "yes")]
    pub start: bool,
}

const fn one() -> u32 {
    1
}
const fn default_memory() -> u64 {
    192
}
const fn default_disk() -> u64 {
    2
}
const fn yes() -> bool {
    true
}

/// One network card that is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedNic {
    /// The network.
    pub network: NetworkName,
    /// A fixed address; without it one is drawn.
    #[serde(default)]
    pub address: Option<Ipv4Addr>,
}

/// Show one server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetVm {
    /// Which.
    pub name: VmName,
}

/// List servers, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListVms {
    /// Only those now at this site.
    #[serde(default)]
    pub site: Option<SiteName>,
    /// Only those on this node.
    #[serde(default)]
    pub node: Option<NodeName>,
    /// Only those in this state.
    #[serde(default)]
    pub state: Option<vm::State>,
    /// Only those of this project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectName>,
    /// Only those of which this is the matter, by the code of the refusal that is kept with them. A scheduler of before
    /// gives all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Only those after this name: the `next` of the page before.
    #[serde(default)]
    pub after: Option<VmName>,
    /// At most so many, 1 to 1,000; 500 if left out.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// One page of servers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VmPage {
    /// The servers.
    pub vms: Vec<VmView>,
    /// Give this as `after` for the next page; none after the last.
    pub next: Option<VmName>,
}

/// Start a stopped server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartVm {
    /// Names this request, so that it may be repeated.
    #[serde(default)]
    pub request_id: Option<String>,
    /// Which.
    pub name: VmName,
    /// Whether to give up the copy that it was to be started from and never ran on, for the disk that it had before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub discard_copy: bool,
}

/// Shut a server down; its disk and address stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StopVm {
    /// Names this request, so that it may be repeated.
    #[serde(default)]
    pub request_id: Option<String>,
    /// Which.
    pub name: VmName,
    /// Off at once, instead of asking the guest.
    #[serde(default)]
    pub force: bool,
}

/// Reboot a running server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RebootVm {
    /// Names this request, so that it may be repeated.
    #[serde(default)]
    pub request_id: Option<String>,
    /// Which.
    pub name: VmName,
    /// Reset at once, instead of asking the guest.
    #[serde(default)]
    pub force: bool,
}

/// Change a server's size: at once if it is off. The disk and the virtual CPUs of one that runs grow at once where
/// they can; all else is so from its next start or reboot on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResizeVm {
    /// Names this request, so that it may be repeated.
    #[serde(default)]
    pub request_id: Option<String>,
    /// Which.
    pub name: VmName,
    /// Virtual CPUs; as before if left out.
    #[serde(default)]
    pub vcpus: Option<u32>,
    /// Memory in MiB; as before if left out.
    #[serde(default)]
    pub memory_mib: Option<u64>,
    /// Disk in GiB, never less than it is; as before if left out.
    #[serde(default)]
    pub disk_gib: Option<u64>,
}

/// Change what becomes of a server when it has to leave or goes off. It holds at once, running or not, but for what it
/// does when its node is cut off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EditVm {
    /// Names this request, so that it may be repeated.
    #[serde(default)]
    pub request_id: Option<String>,
    /// Which.
    pub name: VmName,
    /// The project that it is counted with from now on; as before if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectName>,
    /// How it is asked from outside, instead of all there were; as before if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<Vec<vm::Probe>>,
    /// The servers on which it depends, instead of all there were; as before if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Vec<VmName>>,
    /// Whether it is started again when it went off by itself, or with its node; as before if left out.
    #[serde(default)]
    pub restart: Option<vm::Restart>,
    /// 0 to 100; as before if left out.
    #[serde(default)]
    pub priority: Option<u8>,
    /// What it does when its site is evacuated; as before if left out.
    #[serde(default)]
    pub evacuate: Option<vm::Evacuate>,
    /// What it does when its node is cut off from everybody, from its next start, reboot or migration on; as before if
    /// left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_isolation: Option<OnIsolation>,
    /// When its node is lost it is started from a copy of its disk elsewhere that lacks no more than what was written in
    /// so many seconds, 0 for never; as before if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_from_copy_seconds: Option<u32>,
    /// How long it may stand still at the end of a live migration that would not end otherwise, in seconds, up to 60;
    /// 0 for never; as before if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_downtime_seconds: Option<u32>,
}

/// Remove a server with its disk and addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteVm {
    /// Names this request, so that it may be repeated.
    #[serde(default)]
    pub request_id: Option<String>,
    /// Which.
    pub name: VmName,
    /// Whether its disk stays on its node, for another server to begin with. If it runs it is shut down first.
    #[serde(default)]
    pub keep_disk: bool,
}

/// Move a running server to another node, live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MigrateVm {
    /// Names this request, so that it may be repeated.
    #[serde(default)]
    pub request_id: Option<String>,
    /// Which.
    pub name: VmName,
    /// To where; without it the scheduler chooses.
    #[serde(default)]
    pub to: Option<NodeName>,
}

/// Send a running server's disk ahead to another node, while it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PreseedVm {
    /// Names this request, so that it may be repeated.
    #[serde(default)]
    pub request_id: Option<String>,
    /// Which.
    pub name: VmName,
    /// To where; without it the scheduler chooses.
    #[serde(default)]
    pub to: Option<NodeName>,
    /// Takes back what was asked for and is not done yet, instead.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancel: bool,
}

/// Read the end of a server's serial console log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VmConsoleLog {
    /// Which.
    pub name: VmName,
    /// At most so many bytes, up to 128 KiB; 16 KiB if left out.
    #[serde(default)]
    pub bytes: Option<u64>,
}

/// A server's console log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConsoleLog {
    /// The server.
    pub name: VmName,
    /// The node it was read on: a migration begins a new log.
    pub node: NodeName,
    /// The text.
    pub text: String,
}

/// A server as people and programs see it. The field names are stable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VmView {
    /// Its name.
    pub name: VmName,
    /// How far it is.
    pub state: vm::State,
    /// The project that it is counted with.
    #[serde(default)]
    pub project: ProjectName,
    /// Where it is now; none while it is nowhere.
    pub site: Option<SiteName>,
    /// The node that runs it.
    pub node: Option<NodeName>,
    /// Where it belongs.
    pub home_site: SiteName,
    /// Its addresses: the IPv4 ones in the order of its network cards, then the IPv6 ones.
    pub addresses: Vec<IpAddr>,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Disk in GiB.
    pub disk_gib: u64,
    /// The image under its disk.
    pub image: ImageName,
    /// By what it boots.
    #[serde(default, skip_serializing_if = "watari_model::image::Firmware::is_usual")]
    pub firmware: watari_model::image::Firmware,
    /// What the operator wants.
    pub desired: vm::Desired,
    /// Its UUID.
    pub uuid: String,
    /// Its networks, in the order of its network cards.
    pub networks: Vec<NetworkName>,
    /// The grant's generation.
    pub generation: u64,
    /// The migration it is in.
    pub migration: Option<MigrationId>,
    /// Nodes where something of it lies that is still to be cleared away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leftovers: Vec<NodeName>,
    /// Whether a reboot was asked for that has not been seen yet.
    pub rebooting: bool,
    /// How large it will be from its next start or reboot on, if that is not how large it is.
    #[serde(default)]
    pub pending: Option<vm::Size>,
    /// Whether a part of that is about to come true while it runs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub growing: bool,
    /// Its disk sent ahead, if that was ever asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preseed: Option<vm::Preseed>,
    /// Moments of its disk that have a name, and the last going back to one.
    #[serde(default, skip_serializing_if = "vm::Snapshots::is_blank")]
    pub snapshots: vm::Snapshots,
    /// Whether its node is heard.
    pub reachable: bool,
    /// What is the matter with it.
    pub fault: Option<Fault>,
    /// In the answer to its making, or to its change: what should be known of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Fault>,
    /// Its groups.
    pub groups: Vec<vm::Membership>,
    /// The firewall groups that guard it; without one it is open.
    pub firewalls: Vec<FirewallName>,
    /// How it is asked from outside while an outage is under way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<vm::Probe>,
    /// The servers on which it depends: it leaves, comes home and is started after them.
    #[serde(default)]
    pub after: Vec<VmName>,
    /// Where one server is asked for, those that depend on it; nothing is said of that elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Vec<VmName>>,
    /// Where one server is asked for, what would travel of it, as its node has measured; nothing is said of that elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<node::Weight>,
    /// Where one server is asked for whose disk is being sent ahead, how much of that was brought by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sending: Option<Brought>,
    /// Labels that a node must carry.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_labels: BTreeMap<String, String>,
    /// What it does when its site is evacuated.
    pub evacuate: vm::Evacuate,
    /// Servers with a higher number leave and are started first.
    pub priority: u8,
    /// Whether it is started again when it went off by itself, or with its node.
    #[serde(default)]
    pub restart: vm::Restart,
    /// What it does when its node is cut off from everybody.
    #[serde(default, skip_serializing_if = "OnIsolation::is_usual")]
    pub on_isolation: OnIsolation,
    /// When its node is lost it is started from a copy of its disk elsewhere that lacks no more than what was written in
    /// so many seconds; never if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_from_copy_seconds: Option<NonZeroU32>,
    /// How long it may stand still at the end of a live migration that would not end otherwise, in seconds, up to 60;
    /// never if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_downtime_seconds: Option<NonZeroU32>,
    /// What was written in so many seconds would be lost if it were started from the copy that lies elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy_loss_seconds: Option<u64>,
    /// That it was started from a copy, its node having been lost, the last time that happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<vm::Restored>,
    /// Whether its node has said that it stops it then, and that is counted on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub guarded: bool,
    /// Whether it has a display, of which pictures can be taken.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub display: bool,
    /// What it calls itself.
    pub hostname: HostName,
    /// The public keys that it was made with.
    pub keys: Vec<KeyName>,
    /// Length and digest of its user-data.
    pub user_data: Option<userdata::Digest>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its state last changed.
    pub changed_at: Timestamp,
}

/// A refusal with its texts, inside an answer that is itself no refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// The stable code.
    pub code: String,
    /// What is the matter, in English.
    pub cause: String,
    /// What to do about it, in English.
    pub remedy: String,
    /// The same in Japanese.
    pub ja: Rendered,
}

impl From<&Refusal> for Fault {
    fn from(refusal: &Refusal) -> Self {
        let Rendered { cause, remedy } = refusal.english();
        Self { code: refusal.code().to_owned(), cause, remedy, ja: refusal.japanese() }
    }
}

requests! {
    Scheduler, "Every subject the scheduler answers.";
    CreateVm "watari.v1.vm.create" => VmView, "Make a server and start it.";
    GetVm "watari.v1.vm.get" => VmView, "Show one server.";
    ListVms "watari.v1.vm.list" => VmPage, "List servers.";
    StartVm "watari.v1.vm.start" => VmView, "Start a stopped server.";
    StopVm "watari.v1.vm.stop" => VmView, "Shut a server down; its disk and address stay.";
    RebootVm "watari.v1.vm.reboot" => VmView, "Reboot a running server.";
    ResizeVm "watari.v1.vm.resize" => VmView, "Change a server's size, at once where it can be, else from its next start.";
    EditVm "watari.v1.vm.edit" => VmView, "Change what becomes of a server when it has to leave or goes off.";
    DeleteVm "watari.v1.vm.delete" => VmView, "Remove a server with its disk and addresses.";
    MigrateVm "watari.v1.vm.migrate" => MigrationView, "Move a running server to another node, live.";
    PreseedVm "watari.v1.vm.preseed" => VmView, "Send a running server's disk ahead to another node.";
    CreateSnapshot "watari.v1.snapshot.create" => VmView, "Give a server's disk as it is now a name, to go back to.";
    RevertSnapshot "watari.v1.snapshot.revert" => VmView, "Put a stopped server's disk back to a snapshot.";
    DeleteSnapshot "watari.v1.snapshot.delete" => VmView, "Forget a snapshot; the disk stays as it is.";
    VmConsole "watari.v1.vm.console" => ConsoleView, "Use a running server's serial console: open it, type, follow what it says, close it.";
    VmConsoleLog "watari.v1.vm.console-log" => ConsoleLog, "Read the end of a server's serial console log.";
    VmScreenshot "watari.v1.vm.screenshot" => Screenshot, "Take a picture of what the display of a running server shows.";
    ListMigrations "watari.v1.migration.list" => MigrationPage, "List migrations, newest first.";
    GetMigration "watari.v1.migration.get" => MigrationView, "Show one migration.";
    CancelMigration "watari.v1.migration.cancel" => MigrationView, "Cancel a migration that has not switched over.";
    ListSites "watari.v1.site.list" => SitePage, "List sites.";
    EvacuateSite "watari.v1.site.evacuate" => OutageView, "Empty a site, live.";
    ReturnSite "watari.v1.site.return" => OutageView, "Bring a site's servers home.";
    TellPower "watari.v1.site.power" => SiteView, "Say where a site's power comes from." TOLD;
    PromoteFrontEnd "watari.v1.frontend.promote" => Primacy, "Have the services lead from a site.";
    DrainNode "watari.v1.node.drain" => OutageView, "Empty one node, live.";
    GetOutage "watari.v1.outage.get" => OutageView, "Show one outage with its report.";
    ListOutages "watari.v1.outage.list" => OutagePage, "List outages, newest first.";
    PlanOutage "watari.v1.outage.plan" => OutagePlan, "What would happen if a site were evacuated now.";
    RehearseOutage "watari.v1.outage.rehearse" => Rehearsal, "Go through an outage in simulated time.";
    ScheduleOutage "watari.v1.outage.schedule" => OutageView, "Say beforehand that a site's power will be off.";
    RescheduleOutage "watari.v1.outage.reschedule" => OutageView, "Move a scheduled outage to another time.";
    StartOutage "watari.v1.outage.start" => OutageView, "Begin a scheduled outage without waiting for its time.";
    PauseOutage "watari.v1.outage.pause" => OutageView, "Begin no further migration of an outage for now.";
    ResumeOutage "watari.v1.outage.resume" => OutageView, "Go on with an outage that was paused.";
    ShutDownNodes "watari.v1.outage.shut-down" => NodesDark, "Have the nodes of an empty site shut down.";
    WithdrawOutage "watari.v1.outage.withdraw" => OutagePage, "Withdraw what was proposed, once its cause is over.";
    CancelOutage "watari.v1.outage.cancel" => OutageView, "Call an outage off.";
    GetDisk "watari.v1.disk.get" => DiskView, "Show one kept disk.";
    ListDisks "watari.v1.disk.list" => DiskPage, "List the disks of deleted servers that were kept.";
    DeleteDisk "watari.v1.disk.delete" => DiskView, "Delete a kept disk that no server begins with.";
    AddKey "watari.v1.key.add" => KeyView, "Keep a public SSH key under a name.";
    GetKey "watari.v1.key.get" => KeyView, "Show one key.";
    ListKeys "watari.v1.key.list" => KeyPage, "List keys.";
    DeleteKey "watari.v1.key.delete" => KeyView, "Forget a key; servers made with it keep it.";
    CreateProject "watari.v1.project.create" => ProjectView, "Make a project, whose servers are counted together and bounded.";
    GetProject "watari.v1.project.get" => ProjectView, "Show one project.";
    ListProjects "watari.v1.project.list" => ProjectPage, "List projects.";
    SetProject "watari.v1.project.set" => ProjectView, "Change how much a project may have.";
    DeleteProject "watari.v1.project.delete" => ProjectView, "Forget a project that has no servers and no kept disks.";
}
