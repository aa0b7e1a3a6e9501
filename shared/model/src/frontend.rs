//! Front ends: where the control plane is to be led from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Document, SiteName, Timestamp};

/// The wish that the services lead from one site. It is a wish and no proof: who leads is said by
/// the leases alone. A holder elsewhere gives way to a standby there that is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Primacy {
    /// The document's version.
    pub v: u32,
    /// From where the services are to lead now.
    pub site: SiteName,
    /// From where they lead when nothing is the matter: the site that an operator named last.
    pub home: SiteName,
    /// The request that was the last to change it.
    #[serde(default)]
    pub request_id: Option<String>,
    /// When it last changed.
    pub changed_at: Timestamp,
}

impl Primacy {
    /// There is one such document.
    pub const KEY: &'static str = "primary";
}

impl Document for Primacy {
    const BUCKET: &'static str = "frontends";
    fn key(&self) -> String {
        Self::KEY.to_owned()
    }
}
