//! An outage gone through beforehand, in simulated time: nothing real is touched.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watari_model::{NodeName, OutageId, SiteName, Timestamp, VmName};

use super::{Fault, NotMoved};

/// Go through an outage in simulated time, there and back, with everything as it is now. Nothing happens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RehearseOutage {
    /// An outage of a site that is not over; or else `site`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outage: Option<OutageId>,
    /// A site whose evacuation begins now; or else `outage`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<SiteName>,
    /// With `site`: in how many seconds its power goes, at most a week.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// How much the link between sites carries, in megabits a second, 1 to 1,000,000; without it what it was
    /// measured to carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_mbit: Option<u64>,
    /// Nodes that lose power on the way, at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fail: Vec<FailingNode>,
}

/// A node that loses power in a rehearsal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FailingNode {
    /// Which.
    pub node: NodeName,
    /// How many seconds after the evacuation has begun, at most a week.
    pub after_seconds: u64,
}

/// How a rehearsal went. The field names are stable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rehearsal {
    /// The site.
    pub site: SiteName,
    /// The outage that was gone through; none if one was imagined.
    pub outage: Option<OutageId>,
    /// When the evacuation began, if it is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_at: Option<Timestamp>,
    /// When the evacuation begins; of one that is under way, from when on it is gone through.
    pub begins_at: Timestamp,
    /// When the power goes; none if nothing says so.
    pub power_off_at: Option<Timestamp>,
    /// When nobody runs there any more but those that are at risk; none if that does not come to pass.
    pub empty_at: Option<Timestamp>,
    /// When the outage is evacuated, the front end's part included; none if that does not come to pass.
    pub evacuated_at: Option<Timestamp>,
    /// Whether the site is evacuated when the power goes and nobody is at risk; none if nothing says when it goes.
    pub in_time: Option<bool>,
    /// When the return begins.
    pub returns_at: Option<Timestamp>,
    /// When everybody that can come home is home; none if that does not come to pass.
    pub home_at: Option<Timestamp>,
    /// What becomes of each server, in the order in which they leave; not all, if there are many.
    pub servers: Vec<RehearsedServer>,
    /// How many more servers there are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub not_listed: u64,
    /// Who still runs there when the power goes, or for good if nothing says when it goes; not all, if there are many.
    pub at_risk: Vec<VmName>,
    /// Who goes down with a node that fails, wherever that is; not all, if there are many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub went_down: Vec<RehearsedFall>,
    /// Who does not come home, and why; not all, if there are many.
    pub stays_away: Vec<NotMoved>,
    /// What the link was taken to carry.
    pub link: RehearsedLink,
    /// All moments are true to so many milliseconds: where there are many servers, time goes in larger steps.
    pub step_ms: u64,
    /// When this was looked at.
    pub at: Timestamp,
}

/// A server that goes down with its node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RehearsedFall {
    /// The server.
    pub vm: VmName,
    /// The node that loses power.
    pub node: NodeName,
    /// When.
    pub at: Timestamp,
}

/// What the link was taken to carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RehearsedLink {
    /// Bytes a second.
    pub bytes_per_second: u64,
    /// How that is known.
    pub known: Known,
}

/// How a rehearsal knows a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Known {
    /// By the last migrations between sites.
    Measured,
    /// By whoever asked.
    Given,
    /// Not at all: a gigabit a second is taken.
    Assumed,
    /// By the last disks that were sent ahead to another site: it carries at least so much.
    SentAhead,
}

/// What becomes of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Leaving {
    /// It crosses without stopping.
    Live,
    /// It is saved to disk, and goes on when the outage is over.
    Suspended,
    /// It is shut down, and started when the outage is over.
    ShutDown,
    /// It is off already, and stays where its disk is.
    Off,
    /// It is left behind.
    Left,
}

impl Leaving {
    /// The word shown to people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Suspended => "suspended",
            Self::ShutDown => "shut down",
            Self::Off => "off",
            Self::Left => "left behind",
        }
    }
}

/// One server of a rehearsal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RehearsedServer {
    /// The server.
    pub vm: VmName,
    /// What becomes of it.
    pub way: Leaving,
    /// Where it is before.
    pub from: NodeName,
    /// Where it goes, if it crosses.
    pub to: Option<NodeName>,
    /// When it begins to leave, or to go off.
    pub begins_at: Option<Timestamp>,
    /// When it runs at the other site, or is off.
    pub ends_at: Option<Timestamp>,
    /// When it runs at its own site again.
    pub home_at: Option<Timestamp>,
    /// Bytes that travel on the way out.
    pub bytes: u64,
    /// Whether that is reckoned from what travelled the last time; else from the size of its memory.
    pub measured: bool,
    /// Why it does not cross.
    pub why: Option<Fault>,
}

pub(super) const fn is_zero(value: &u64) -> bool {
    *value == 0
}
