//! Fencing: the power of a node that is lost is cut through its power controller, and only when the controller
//! has said afterwards that it is off is that as good as an operator's word ([`Off`]).
//!
//! ```text
//!            due                  the controller says off
//!  (lost) ─────────▶ Begun ─────────────────────────────────▶ Done, and the node is off
//!    │                │  ▲
//!    │                │  └── after a pause ────────┐
//!    │                └── anything else ────────▶ Failed
//!    └─ too many silent at once ─▶ Withheld ── fewer are ──▶ Begun
//! ```
//!
//! What is stored stands before what is done: who finds *Begun* and does not do it itself knows nothing of what
//! came of it, and begins anew, which does no harm. A result counts only for the loss for which it was begun: a
//! node that was heard in between is not off because it once was.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Node, Off, State};
use crate::{
    NodeName, Refusal, SiteName, Timestamp,
    outage::{self, Outage},
};

/// What a power controller is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Cut the power.
    Off,
    /// Switch it on.
    On,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Outcome {
    /// It is under way, or who did it is gone.
    Begun,
    /// The power controller says that it is so.
    Done,
    /// It does not say so.
    Failed {
        /// Why not, as far as is known.
        why: Refusal,
    },
    /// Nothing was done.
    Withheld {
        /// Why not.
        why: Refusal,
    },
}

/// What was done with a node's power last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fencing {
    /// What was wanted.
    pub act: Act,
    /// Who wanted it, as they call themselves; [`BY_ITSELF`] for the monitor.
    pub by: String,
    /// When it was begun. It also tells one try from another.
    pub at: Timestamp,
    /// Since when the node was lost then; none if it was not.
    #[serde(default)]
    pub lost_at: Option<Timestamp>,
    /// The how manieth try it is, from 1.
    pub tries: u32,
    /// What came of it.
    pub outcome: Outcome,
    /// When that was known.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
}

/// What the monitor calls itself.
pub const BY_ITSELF: &str = "fencing";

impl Fencing {
    /// What is begun or withheld now, for the loss in which the node is, if it is lost.
    #[must_use]
    pub fn of(node: &Node, act: Act, by: String, tries: u32, outcome: Outcome, now: Timestamp) -> Self {
        let lost_at = (node.state == State::Lost).then_some(node.changed_at);
        Self { act, by, at: now, lost_at, tries, outcome, ended_at: None }
    }

    /// Whether it is about the loss in which the node is.
    #[must_use]
    pub fn concerns(&self, node: &Node) -> bool {
        node.state == State::Lost && self.lost_at == Some(node.changed_at)
    }

    fn began(&self, other: &Self) -> bool {
        self.outcome == Outcome::Begun && (self.act, self.at, &self.by) == (other.act, other.at, &other.by)
    }
}

impl Node {
    /// Notes what is done with its power. What is overtaken changes nothing: a beginning for a loss that is over,
    /// and the end of something else than what was begun last.
    pub(super) fn fenced(&mut self, told: Fencing) {
        let concerns = told.concerns(self);
        match told.outcome {
            Outcome::Begun | Outcome::Withheld { .. } if told.lost_at.is_some() && !concerns => return,
            Outcome::Begun | Outcome::Withheld { .. } => {}
            Outcome::Done | Outcome::Failed { .. } => {
                if !self.fencing.as_ref().is_some_and(|begun| begun.began(&told)) {
                    return;
                }
            }
        }
        if concerns && told.outcome == Outcome::Done && told.act == Act::Off && self.off.is_none() {
            let at = told.ended_at.unwrap_or(told.at);
            self.off = Some(Off { by: told.by.clone(), at, for_good: false });
        }
        self.fencing = Some(told);
    }
}

/// Within which bounds nodes are fenced, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// For how long a node must have been lost: others that fall silent with it are seen by then.
    pub wait_ms: u64,
    /// The pause after the first try that failed; twice as long after each further one.
    pub pause_ms: u64,
    /// The longest such pause.
    pub most_pause_ms: u64,
    /// How long a node may take to be heard after it was switched on.
    pub boot_ms: u64,
}

impl Rules {
    fn pause_after(self, tries: u32) -> u64 {
        let factor = 1_u64.checked_shl(tries.saturating_sub(1)).unwrap_or(u64::MAX);
        self.pause_ms.saturating_mul(factor).min(self.most_pause_ms)
    }
}

/// With what a node could be fenced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// With nothing: no command is configured.
    Missing,
    /// With its command.
    Ready,
    /// Something is being done with its power.
    Busy,
    /// It is dark on purpose, or cordoned, and left alone.
    Spared,
}

/// One node, as it is at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// Its document.
    pub node: &'a Node,
    /// Whether nothing is heard of it.
    pub silent: bool,
    /// With what it could be fenced.
    pub means: Means,
}

/// What is to be done about one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Its power is cut, for the how manieth time.
    Cut {
        /// From 1.
        tries: u32,
    },
    /// It is not, and this is why: to be written down.
    Withhold(Refusal),
}

/// Whether a node is dark on purpose: all have left it, or its site, and it may lose its power.
#[must_use]
pub fn is_spared<'o>(node: &Node, mut outages: impl Iterator<Item = &'o Outage>) -> bool {
    outages.any(|outage| {
        outage.scope.covers(node) && matches!(outage.state, outage::State::Evacuated | outage::State::Returning)
    })
}

/// Whether so many of a site's nodes are silent that it is taken for the network: more than one and more than a
/// third, or the only one.
#[must_use]
pub const fn is_network(silent: usize, nodes: usize) -> bool {
    (silent > 1 || nodes == 1) && silent.saturating_mul(3) > nodes
}

/// What is to be done now about the nodes that are lost; `cases` are all nodes there are.
///
/// If it is the network ([`is_network`]), nobody of that site is fenced. Who is known to be off, or is dark on purpose, counts neither way.
#[must_use]
pub fn due(cases: &[Case<'_>], now: Timestamp, rules: Rules) -> Vec<(NodeName, Step)> {
    let mut sites: BTreeMap<&SiteName, Count> = BTreeMap::new();
    for case in cases.iter().filter(|case| case.node.off.is_none() && case.means != Means::Spared) {
        let count = sites.entry(&case.node.site).or_default();
        count.nodes += 1;
        if case.silent {
            count.silent += 1;
        } else {
            count.last_back = count.last_back.max(Some(case.node.changed_at));
        }
    }
    let counted = |case: &Case<'_>| sites.get(&case.node.site).copied().unwrap_or_default();
    let named = |case: &Case<'_>| Some((case.node.name.clone(), of_one(case, counted(case), now, rules)?));
    cases.iter().filter_map(named).collect()
}

/// A site's nodes.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    silent: usize,
    nodes: usize,
    /// When something last changed about one that is heard, such as that it came back.
    last_back: Option<Timestamp>,
}

/// What is to be done about one node of a site.
fn of_one(case: &Case<'_>, count: Count, now: Timestamp, rules: Rules) -> Option<Step> {
    let (node, Count { silent, nodes, last_back }) = (case.node, count);
    let lost = node.state == State::Lost && case.silent && node.off.is_none();
    if !lost || case.means != Means::Ready || now.millis_since(node.changed_at) < rules.wait_ms {
        return None;
    }
    let told = node.fencing.as_ref().filter(|told| told.concerns(node));
    if is_network(silent, nodes) {
        let known = told.is_some_and(|told| matches!(told.outcome, Outcome::Withheld { .. }));
        let (site, silent, nodes) = (node.site.to_string(), silent.to_string(), nodes.to_string());
        return (!known).then_some(Step::Withhold(Refusal::FencingWithheld { site, silent, nodes }));
    }
    let Some(told) = told else { return Some(Step::Cut { tries: 1 }) };
    let since = now.millis_since(told.ended_at.unwrap_or(told.at));
    match (told.act, &told.outcome) {
        // It was switched on, and is given the time to say so.
        (Act::On, _) => (since >= rules.boot_ms).then_some(Step::Cut { tries: 1 }),
        (Act::Off, Outcome::Failed { .. }) => {
            (since >= rules.pause_after(told.tries)).then(|| Step::Cut { tries: told.tries.saturating_add(1) })
        }
        // Others are back that were silent with it: it has as long as they had.
        (Act::Off, Outcome::Withheld { .. }) if last_back.is_some_and(|at| now.millis_since(at) < rules.wait_ms) => {
            None
        }
        (Act::Off, Outcome::Begun | Outcome::Done | Outcome::Withheld { .. }) => {
            Some(Step::Cut { tries: told.tries.max(1) })
        }
    }
}

#[cfg(test)]
mod tests;
