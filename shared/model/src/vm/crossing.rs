//! What a server's document says of its migration, and of what it left elsewhere.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{MigrationId, NodeName, Timestamp};

/// The migration a server is in, noted in its own document: this is also the reservation of its
/// memory, CPUs and disk at the target (invariant 4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Crossing {
    /// The migration's document.
    pub id: MigrationId,
    /// Where it goes.
    pub to: NodeName,
    /// Whether the grant has been given to the target already.
    pub switched: bool,
    /// Whether it was given up: from then on the target never gets the grant. Written here, and
    /// not only in the migration, so that one compare-and-set decides between the two.
    #[serde(default)]
    pub abandoned: bool,
}

/// A copy of a server's disk that was left behind by a migration and is to be removed once the
/// server has run elsewhere for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Leftover {
    /// Where the copy is.
    pub node: NodeName,
    /// The last generation under which that node may have touched it.
    pub generation: u64,
    /// When it became a leftover.
    pub since: Timestamp,
    /// The migration that made it, for a copy that never became the server: it was given up while
    /// its node was silent.
    #[serde(default)]
    pub migration: Option<MigrationId>,
    /// Whether this was the server's disk when its node was lost, with what was written last: it is not deleted with what
    /// migrations left, but kept for an operator.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub newest: bool,
}
