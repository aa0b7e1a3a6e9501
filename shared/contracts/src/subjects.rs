//! Every subject that is not a constant of its message.
//!
//! | kind | subject |
//! | --- | --- |
//! | request | `watari.v1.<noun>.<verb>`, a constant of each [`crate::Request`] |
//! | request between services | `watari.service.<noun>.<verb>`, likewise |
//! | command | `watari.agent.<node>.<verb>` |
//! | fact | `watari.fact.<site>.<node>` |
//! | inventory | `watari.inventory.<site>.<node>` |
//! | beat | `watari.beat.<site>.<node>` |
//! | event | `watari.event.<bucket>.<key>`, republished by the bucket itself |
//! | standing | `watari.standing`, answered by every service process |
//! | probes | `watari.probes`, answered by every monitor |
//! | candidate | `watari.candidate.<service>` |
//! | duty of a NATS server | `watari.nats.<host>`, in the system account |
//! | capacity event | `watari.capacity.<site>.<node>` |

use watari_model::{NodeName, SiteName};

/// All requests of operators.
pub const REQUESTS: &str = "watari.v1.>";
/// All requests between services.
pub const SERVICE_REQUESTS: &str = "watari.service.>";
/// All events.
pub const EVENTS: &str = "watari.event.>";
/// All beats.
pub const BEATS: &str = "watari.beat.*.*";
/// All facts.
pub const FACTS: &str = "watari.fact.*.*";
/// All inventories.
pub const INVENTORIES: &str = "watari.inventory.*.*";
/// All capacity events.
pub const CAPACITIES: &str = "watari.capacity.*.*";
/// All commands to all agents.
pub const COMMANDS: &str = "watari.agent.>";

/// One command to one agent.
#[must_use]
pub fn command(node: &NodeName, verb: &str) -> String {
    format!("watari.agent.{node}.{verb}")
}

/// All commands to one agent.
#[must_use]
pub fn commands(node: &NodeName) -> String {
    format!("watari.agent.{node}.>")
}

/// One node's facts.
#[must_use]
pub fn fact(site: &SiteName, node: &NodeName) -> String {
    format!("watari.fact.{site}.{node}")
}

/// One node's inventory.
#[must_use]
pub fn inventory(site: &SiteName, node: &NodeName) -> String {
    format!("watari.inventory.{site}.{node}")
}

/// One node's beat.
#[must_use]
pub fn beat(site: &SiteName, node: &NodeName) -> String {
    format!("watari.beat.{site}.{node}")
}

/// One node's capacity events.
#[must_use]
pub fn capacity(site: &SiteName, node: &NodeName) -> String {
    format!("watari.capacity.{site}.{node}")
}

/// The events of one bucket's key.
#[must_use]
pub fn event(bucket: &str, key: &str) -> String {
    format!("watari.event.{bucket}.{key}")
}
