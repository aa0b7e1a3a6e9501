//! Shutting down the nodes of a site that is empty, and what became of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watari_model::{NodeName, OutageId, Timestamp};

use super::Fault;

/// Have the nodes of an outage's site shut down, one after another, each once it is seen to be empty; and switched on
/// again before anybody comes home. Asked again, what failed is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShutDownNodes {
    /// Which outage.
    pub id: OutageId,
    /// That they are to be left on instead. Who is off already comes home all the same.
    #[serde(default)]
    pub withdraw: bool,
    /// Only say what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

/// How the nodes of an outage's site would be shut down, or are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodesDark {
    /// The outage.
    pub outage: OutageId,
    /// Whether they are to be shut down.
    pub wished: bool,
    /// In their order.
    pub nodes: Vec<DarkPlan>,
}

/// One node's turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DarkPlan {
    /// The node.
    pub node: NodeName,
    /// The program that its agent runs, with its arguments; none if that is not configured.
    pub agent: Vec<String>,
    /// The programs that the monitor runs if its agent cannot shut it down, in their order.
    pub off: Vec<Vec<String>>,
    /// Those by which it is switched on again; none if nothing can.
    pub on: Vec<Vec<String>>,
    /// Why it would not be shut down.
    pub why: Option<Fault>,
}

/// One node of a site that goes dark, as far as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DarkNode {
    /// The node.
    pub node: NodeName,
    /// `waiting`, `going off`, `off`, `not shut down`, `starting`, `back` or `missing`.
    pub state: String,
    /// Since when; none of one whose turn has not come.
    pub since: Option<Timestamp>,
    /// What is the matter, or what it still waits for.
    pub why: Option<Fault>,
}
