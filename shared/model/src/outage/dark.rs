//! The nodes of a site that goes dark on purpose: each is shut down once it is seen to be empty, one after another,
//! and is switched on and looked at before anybody comes home.
//!
//! ```text
//!         its turn             seen off          the power is back          heard anew, and well
//!  (left) ────────▶ GoingOff ───────────▶ Off ────────────────────▶ Starting ───────────────────▶ Back
//!                       │                                             ▲    │
//!                       └─ refused, or not in time ─▶ Failed ─────────┘    └─ not in time ─▶ Missing
//! ```
//!
//! What is to be done stands in the outage's document before it is done, so that whoever leads next goes on with it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{NodeName, Refusal, Timestamp};

/// What becomes of the nodes of a site that goes dark.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Dark {
    /// Whether they are to be shut down.
    pub wished: bool,
    /// Those of which it has begun, in the order in which it did.
    #[serde(default)]
    pub nodes: Vec<Darkened>,
}

/// One node that is shut down, or was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Darkened {
    /// Which.
    pub node: NodeName,
    /// What names the start of its machine that is to end; none if that was not known.
    #[serde(default)]
    pub boot_id: Option<String>,
    /// How far it is.
    pub stage: Stage,
    /// Since when.
    pub at: Timestamp,
}

/// By what a node is shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Hand {
    /// Its own agent, with the program that its settings name.
    Agent,
    /// Its power controller.
    Controller,
}

/// How far a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Stage {
    /// It is told to shut down.
    GoingOff {
        /// By what.
        by: Hand,
    },
    /// Its power controller says that it is off; or it has none, and is not heard any more.
    Off,
    /// It was not shut down, or is not known to be off.
    Failed {
        /// Why not.
        why: Refusal,
    },
    /// The power is back, and it is waited for.
    Starting {
        /// What it still lacks, as far as that is known.
        #[serde(default)]
        lacks: Option<Refusal>,
    },
    /// It was heard after a new start, and is well.
    Back,
    /// It did not come in time. Nobody waits for it any more.
    Missing {
        /// What it lacked.
        why: Refusal,
    },
}

impl Stage {
    /// The word shown to people.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::GoingOff { .. } => "going off",
            Self::Off => "off",
            Self::Failed { .. } => "not shut down",
            Self::Starting { .. } => "starting",
            Self::Back => "back",
            Self::Missing { .. } => "missing",
        }
    }

    /// What is the matter with it, if anything is.
    #[must_use]
    pub const fn fault(&self) -> Option<&Refusal> {
        match self {
            Self::Failed { why } | Self::Missing { why } => Some(why),
            Self::Starting { lacks } => lacks.as_ref(),
            Self::GoingOff { .. } | Self::Off | Self::Back => None,
        }
    }

    /// Whether it is off, or will be.
    #[must_use]
    pub const fn is_dark(&self) -> bool {
        matches!(self, Self::GoingOff { .. } | Self::Off)
    }

    /// Whether a return has to wait for it.
    #[must_use]
    pub const fn is_awaited(&self) -> bool {
        self.is_dark() || matches!(self, Self::Starting { .. })
    }
}

impl Dark {
    /// What is wished is wished from now on; what failed before is tried again.
    #[must_use]
    pub fn wish(before: Option<Self>, wished: bool) -> Self {
        let mut dark = before.unwrap_or_default();
        dark.wished = wished;
        if wished {
            dark.nodes.retain(|one| !matches!(one.stage, Stage::Failed { .. }));
        }
        dark
    }

    /// The site is emptied once more: who is not off has its turn again, and who was on its way up goes down again.
    pub fn again(&mut self, now: Timestamp) {
        self.nodes.retain(|one| one.stage.is_awaited());
        for one in &mut self.nodes {
            if matches!(one.stage, Stage::Starting { .. }) {
                (one.stage, one.at) = (Stage::GoingOff { by: Hand::Agent }, now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;

    fn one(node: &str, stage: Stage) -> Darkened {
        let at = Timestamp(OffsetDateTime::UNIX_EPOCH);
        Darkened { node: node.parse().unwrap(), boot_id: None, stage, at }
    }

    fn failed() -> Stage {
        Stage::Failed { why: Refusal::ShutDownMissing { node: "m2".to_owned() } }
    }

    #[test]
    fn who_wishes_it_again_has_what_failed_tried_again_and_nothing_else() {
        let dark = Dark { wished: true, nodes: vec![one("m1", Stage::Off), one("m2", failed())] };
        let again = Dark::wish(Some(dark.clone()), true);
        assert_eq!(again.nodes, [one("m1", Stage::Off)]);
        let withdrawn = Dark::wish(Some(dark.clone()), false);
        assert_eq!((withdrawn.wished, &withdrawn.nodes), (false, &dark.nodes), "who is off comes home all the same");
        assert_eq!(Dark::wish(None, false), Dark::default(), "that it is not wished is a word as well");
    }

    #[test]
    fn a_site_that_is_emptied_once_more_keeps_who_is_off() {
        let starting = Stage::Starting { lacks: None };
        let mut dark = Dark {
            wished: true,
            nodes: vec![one("m1", Stage::Off), one("m2", failed()), one("m3", Stage::Back), one("m4", starting)],
        };
        let now = Timestamp(OffsetDateTime::UNIX_EPOCH).plus_millis(1);
        dark.again(now);
        let down = Darkened { at: now, ..one("m4", Stage::GoingOff { by: Hand::Agent }) };
        assert_eq!(dark.nodes, [one("m1", Stage::Off), down]);
    }
}
