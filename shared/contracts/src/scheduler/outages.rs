//! Emptying a site or a node, bringing servers home, and the reports of that.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watari_model::{NodeName, OutageId, SiteName, Timestamp, VmName, outage, refusal::Rendered, vm};

use super::{DarkNode, Fault, MigrationView, rehearsal::is_zero};

/// Empty a site, live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvacuateSite {
    /// Names this request, so that it may be repeated.
    #[serde(default)]
    pub request_id: Option<String>,
    /// Which.
    pub site: SiteName,
    /// If this is given, nobody leaves: the outage is proposed, for this reason, and waits for an operator to start it. One line of
    /// at most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub propose: Option<String>,
}

/// What a request proposed ([`EvacuateSite::propose`]) is over: the outage is withdrawn unless others ask for it as well. One that
/// has begun goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WithdrawOutage {
    /// Of which site.
    pub site: SiteName,
    /// The request that proposed it. Where that is named `CAUSE/SINCE`, in seconds since 1970, what the same cause proposed
    /// before is over as well.
    pub request_id: String,
}

/// Bring a site's servers home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReturnSite {
    /// Names this request, so that it may be repeated.
    #[serde(default)]
    pub request_id: Option<String>,
    /// Which.
    pub site: SiteName,
}

/// Empty one node, live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DrainNode {
    /// Names this request, so that it may be repeated.
    #[serde(default)]
    pub request_id: Option<String>,
    /// Which.
    pub node: NodeName,
}

/// Show one outage with its report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetOutage {
    /// Which.
    pub id: OutageId,
}

/// List outages, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListOutages {}

/// Outages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutagePage {
    /// Newest first.
    pub outages: Vec<OutageView>,
}

/// Call an outage off: the site or node receives servers again; servers stay where they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelOutage {
    /// Which.
    pub id: OutageId,
}

/// Say beforehand that a site's power will be off. It is emptied in time and brought home afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleOutage {
    /// Names this request, so that it may be repeated.
    #[serde(default)]
    pub request_id: Option<String>,
    /// Which.
    pub site: SiteName,
    /// The power is off from this moment on; later than now.
    pub from: Timestamp,
    /// Until this one; later than `from`, by at most a year.
    pub until: Timestamp,
    /// What it is for, in one line of at most 200 characters.
    #[serde(default)]
    pub note: String,
}

/// Move a scheduled outage to another time. Its name stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RescheduleOutage {
    /// Which.
    pub id: OutageId,
    /// The power is off from this moment on; later than now.
    pub from: Timestamp,
    /// Until this one; later than `from`, by at most a year.
    pub until: Timestamp,
}

/// Begin a scheduled outage without waiting for its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartOutage {
    /// Which.
    pub id: OutageId,
}

/// Begin no further migration of an evacuation or a return until it is resumed. Those whose copy runs go on
/// to their end, as does a change of front ends that has begun; its site or node still receives nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseOutage {
    /// Which.
    pub id: OutageId,
}

/// Go on with what was paused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeOutage {
    /// Which.
    pub id: OutageId,
}

/// What would happen if a site were evacuated now. Nothing happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanOutage {
    /// Which.
    pub site: SiteName,
    /// What if it had so many seconds, at most a week; else what a battery leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
}

/// What an evacuation would come to. The field names are stable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutagePlan {
    /// The site.
    pub site: SiteName,
    /// Who would move, in the order in which they would begin: one that waits for others is overtaken meanwhile.
    pub moves: Vec<PlannedMove>,
    /// Who is moving already, also if that is on the way home, or starts at the moment and would move then.
    pub waiting: Vec<VmName>,
    /// Those of them that start at the moment.
    #[serde(default)]
    pub starting: Vec<VmName>,
    /// Those of them that move to where it goes dark, and would have to leave again: that is not in the estimate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arriving: Vec<VmName>,
    /// Who could not move, and why.
    pub failed: Vec<NotMoved>,
    /// Who is off and would stay where its disk is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub off: Vec<VmName>,
    /// Of a hundred servers that have to leave, so many would: 100 only if all would. An older scheduler does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<u64>,
    /// What would travel, in bytes, that of who is moving already or starts included.
    pub bytes: u64,
    /// Bytes a second, by the last migrations between sites; none if there were none.
    pub bytes_per_second: Option<u64>,
    /// Milliseconds that each move takes besides, whatever it carries, by the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed_ms: Option<u64>,
    /// Milliseconds that all moves would take, those that are under way included: for each what it takes in any case, and the
    /// bytes at that rate.
    pub estimated_ms: Option<u64>,
    /// How far that is to be trusted; none if there is no estimate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Confidence>,
    /// What decides when the last server has arrived; none if nobody moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critical_path: Option<CriticalPath>,
    /// Milliseconds until the power goes, that this was planned for; none if neither a battery nor a scheduled loss of power bounds
    /// it, and none was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_ms: Option<u64>,
    /// Who would not leave in that time, and go off before the power does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub halts: Vec<HaltedVm>,
    /// For an outage that is scheduled: who could leave, and would not have arrived elsewhere when the power goes. Where nothing
    /// is known of the link it is taken to be a gigabit. Nobody where such servers go off before: those are in `halts`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late: Vec<VmName>,
    /// When this was looked at.
    pub at: Timestamp,
}

/// On what an estimate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Confidence {
    /// Of so many of the moves it is known what travelled the last time.
    pub measured: u64,
    /// How many moves there are.
    pub moves: u64,
    /// Milliseconds that all of it would take if the link were as fast as in the fastest group of the last migrations; none
    /// if there were too few of them.
    pub least_ms: Option<u64>,
    /// The same for the slowest group.
    pub most_ms: Option<u64>,
}

/// A chain of moves, of which each makes way for the next: it leaves the link to it, or the next depends on it. Who shortens
/// one of them, by a disk that is sent ahead or less memory, has all of it end sooner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CriticalPath {
    /// The servers at its end, at most 16, in the order in which they begin.
    pub vms: Vec<VmName>,
    /// How many moves are in it; where nobody depends on others that is all that share the link.
    pub count: u64,
}

/// A server that has no time to leave, and is off, or goes off, until the outage is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HaltedVm {
    /// The server.
    pub vm: VmName,
    /// How it goes off.
    pub way: vm::Way,
    /// How far it is now; none if it is no longer there.
    pub state: Option<vm::State>,
    /// Why it did not leave.
    pub why: Fault,
}

/// One move of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedMove {
    /// The server.
    pub vm: VmName,
    /// From where.
    pub from: NodeName,
    /// To where.
    pub to: NodeName,
    /// What would travel, in bytes: what travelled the last time, or else the size of its memory; and what is not there
    /// that its disk stands on.
    pub bytes: u64,
    /// How much of that is its base image, if the site where it goes lacks it: it goes with the first server that needs it
    /// on a node.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub base_bytes: u64,
    /// Whether the rest is what travelled the last time.
    pub measured: bool,
    /// Milliseconds that it would take.
    pub estimated_ms: Option<u64>,
    /// What should be done before it leaves, though it could.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Fault>,
    /// The servers on which it depends and that travel as well: it waits until they have arrived, or are left.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<VmName>,
}

/// An outage with the report of its last leg. The field names are stable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutageView {
    /// Its name.
    pub id: OutageId,
    /// What goes dark.
    pub scope: outage::Scope,
    /// How far it is.
    pub state: outage::State,
    /// What is to be said of that besides, as things are; none mostly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Since when nothing more of it begins; none if it is not paused.
    #[serde(default)]
    pub paused_at: Option<Timestamp>,
    /// When the power will be off, if that is known.
    #[serde(default)]
    pub window: Option<outage::Window>,
    /// What it is for, in its maker's words.
    #[serde(default)]
    pub note: String,
    /// For one that is scheduled: when its evacuation begins, as it looks now.
    #[serde(default)]
    pub begins_at: Option<Timestamp>,
    /// For one that is scheduled, where it is shown alone: what its evacuation would come to now.
    #[serde(default)]
    pub plan: Option<OutagePlan>,
    /// For one that is scheduled: who would be lost with the power, and why, as it was when who or why last
    /// changed; not all, if there are many.
    #[serde(default)]
    pub at_risk: Vec<NotMoved>,
    /// For one that is scheduled: who could leave, and what is to be said of that, as of the same look.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warned: Vec<NotMoved>,
    /// When the way out began, and when the last server had left; none before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out: Option<outage::Leg>,
    /// The same of the way home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<outage::Leg>,
    /// Which way the report below is about.
    pub leg: LegName,
    /// Servers that have moved.
    pub moved: Vec<Moved>,
    /// Servers that are moving or in the queue.
    pub moving: Vec<MigrationView>,
    /// Servers that are still to move and are not in the queue yet: those for whose arrival they wait
    /// ([`VmView::after`](super::VmView::after)) are on their way, mostly.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<VmName>,
    /// Nodes that a return waits for, since they are not ready yet.
    #[serde(default)]
    pub awaited: Vec<NodeName>,
    /// Servers that did not move, and why.
    pub failed: Vec<NotMoved>,
    /// Servers that did not leave on the way out, and why, once the report is about the way home.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stayed: Vec<NotMoved>,
    /// Servers that had no time to leave: suspended or shut down instead, until the outage is over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub halted: Vec<HaltedVm>,
    /// While it is evacuated: servers that run where it goes dark all the same, by their own documents.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub still_there: Vec<StillThere>,
    /// While it is evacuated: servers that are elsewhere by now than this report says, which is that of its end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moved_since: Vec<MovedSince>,
    /// From the start of the leg to its last server; so far, if it is not over.
    pub makespan_ms: u64,
    /// Servers that are off and stay where their disks are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub off: Vec<VmName>,
    /// What became of the control plane; none if the leg has nothing to do with it, or not yet.
    pub control: Option<ControlMoved>,
    /// How the control plane moved on each way, the last one that is told above included, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub handovers: Vec<HandedOver>,
    /// How the time compares, while a site is emptied that is on battery.
    #[serde(default)]
    pub battery: Option<OnBattery>,
    /// The site's nodes, if they are shut down once they are empty, in the order of their turns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<DarkNode>,
    /// The request that made it; empty if that had no name.
    #[serde(default)]
    pub request_id: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its state, or the time that it is scheduled for, last changed.
    pub changed_at: Timestamp,
}

/// A server that runs where it goes dark, though that is evacuated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StillThere {
    /// The server.
    pub vm: VmName,
    /// The node that runs it.
    pub node: NodeName,
    /// How far it is.
    pub state: vm::State,
    /// Since when.
    pub since: Timestamp,
    /// Why it never left; none if it was started there later, or came back.
    pub why: Option<Fault>,
}

/// A server that is elsewhere than its outage's report says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MovedSince {
    /// The server.
    pub vm: VmName,
    /// Where it is now; none if it is no longer there.
    pub node: Option<NodeName>,
}

/// The time that a site's battery leaves, and the time that is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OnBattery {
    /// Seconds that it still lasts, by what was said last; none if that was not said.
    pub seconds_left: Option<u64>,
    /// Milliseconds in which the servers that are still there would leave, by what travelled the last times;
    /// none if nothing did.
    pub needed_ms: Option<u64>,
}

/// How the control plane moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ControlMoved {
    /// From where it is led, or should be.
    pub to: SiteName,
    /// Whether it is led from there; not while it is on its way, nor if there is a fault.
    pub moved: bool,
    /// Milliseconds that it took; so far, if it is not over.
    pub took_ms: u64,
    /// Why it was given up.
    pub fault: Option<Fault>,
}

/// How and when the control plane moved on one way of an outage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HandedOver {
    /// To where.
    pub to: SiteName,
    /// When its turn had come.
    pub began_at: Timestamp,
    /// When it was led from there, or was given up; none while it goes on.
    pub ended_at: Option<Timestamp>,
    /// Why it was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

/// What an outage may be in beside its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It is scheduled, and disks are being sent ahead for it.
    Preparing,
    /// It is evacuated, and all nodes of the site are off, or silent.
    Dark,
    /// Its way is over, and somebody who was to move did not.
    Failed,
}

/// The two ways of an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LegName {
    /// Leaving.
    Out,
    /// Coming home.
    Home,
}

/// A server that has moved. Times in milliseconds, sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Moved {
    /// The server.
    pub vm: VmName,
    /// From where.
    pub from: NodeName,
    /// To where.
    pub to: NodeName,
    /// From the start of copying to the server seen running at the target.
    pub total_ms: u64,
    /// How long it stood still: QEMU's downtime and the protocol's pause together.
    pub downtime_ms: u64,
    /// The protocol's share of the downtime.
    pub pause_ms: u64,
    /// Memory that travelled.
    pub memory_bytes: u64,
    /// Disk that travelled.
    pub disk_bytes: u64,
}

/// A server that did not move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotMoved {
    /// The server.
    pub vm: VmName,
    /// The stable code.
    pub code: String,
    /// Why.
    pub cause: String,
    /// What to do.
    pub remedy: String,
    /// The same in Japanese.
    pub ja: Rendered,
}
