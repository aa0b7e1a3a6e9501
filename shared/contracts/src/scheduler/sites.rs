//! Sites: what they are at, where their power comes from, and from which one the services lead.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watari_model::{OutageId, SiteName, Timestamp, site};

/// List sites.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListSites {}

/// Sites.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SitePage {
    /// By name.
    pub sites: Vec<SiteView>,
}

/// A site as people and programs see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SiteView {
    /// Its name.
    pub name: SiteName,
    /// What people call it.
    pub title: String,
    /// `active`, or what its outage is: `evacuating`, `evacuated`, `returning`.
    pub state: String,
    /// The outage that is not over.
    pub outage: Option<OutageId>,
    /// Since when nothing more of that begins; none if it is not paused.
    #[serde(default)]
    pub paused_at: Option<Timestamp>,
    /// Its power; none if nobody has said anything of it.
    #[serde(default)]
    pub power: Option<site::Power>,
    /// How many nodes it has.
    pub nodes: u32,
    /// How many of them are ready.
    pub nodes_ready: u32,
    /// How many servers are there now.
    pub vms: u32,
    /// How many servers belong there.
    pub vms_home: u32,
}

/// Say where a site's power comes from: for whoever watches its UPS. Saying the same again is safe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TellPower {
    /// Which site.
    pub site: SiteName,
    /// Where it comes from now.
    pub supply: site::Supply,
    /// For how many seconds the battery will last, if that is known.
    #[serde(default)]
    pub seconds_left: Option<u64>,
}

/// Have the services lead from a site. What is asked is stored and answered; standbys there that
/// are ready then take over one by one, each at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromoteFrontEnd {
    /// Names this request, so that it may be repeated.
    #[serde(default)]
    pub request_id: Option<String>,
    /// From where.
    pub site: SiteName,
}
