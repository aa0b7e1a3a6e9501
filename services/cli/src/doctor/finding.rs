//! One thing that is wrong, and which nodes it concerns.

use serde::{Serialize, Serializer};
use watari_model::{NodeName, Said};

use crate::{
    lang::Lang,
    texts::troubles::{Severity, Told, Trouble},
};

/// A finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// What is wrong.
    pub(super) trouble: Trouble,
    /// The nodes that it concerns; none if it concerns the cluster as a whole.
    pub(super) nodes: Vec<NodeName>,
}

impl Finding {
    /// Of the cluster.
    pub(super) const fn of(trouble: Trouble) -> Self {
        Self { trouble, nodes: Vec::new() }
    }

    /// Of one node.
    pub(super) fn on(node: &NodeName, trouble: Trouble) -> Self {
        Self { trouble, nodes: vec![node.clone()] }
    }

    /// Whether somebody who asks about one node wants to know it. What could not be looked at might have
    /// concerned the node.
    pub(super) fn concerns(&self, node: &NodeName) -> bool {
        self.nodes.contains(node) || matches!(self.trouble, Trouble::Unasked { .. })
    }
}

/// The field names are stable.
impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown<'a> {
            severity: Severity,
            code: &'a str,
            nodes: &'a [NodeName],
            #[serde(flatten)]
            told: Told,
            ja: Told,
        }
        let shown = Shown {
            severity: self.trouble.severity(),
            code: self.trouble.code(),
            nodes: &self.nodes,
            told: self.trouble.told(Lang::En),
            ja: self.trouble.told(Lang::Ja),
        };
        shown.serialize(serializer)
    }
}

/// What reads the same in both languages: a name, a number, another program's words.
pub(super) fn said(text: impl ToString) -> Said {
    Said::both(text.to_string())
}
