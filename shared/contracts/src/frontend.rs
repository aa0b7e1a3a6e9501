//! What every service process tells of itself, and how one gives way to another.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watari_model::{SiteName, Timestamp, frontend::Primacy, image::ObjectStore};

use crate::Service;

/// Asked of all service processes at once; each answers with its [`Standing`].
pub const STANDING: &str = "watari.standing";
/// All announcements of standbys.
pub const CANDIDATES: &str = "watari.candidate.*";

/// Where a service's standbys announce that they are ready to lead.
#[must_use]
pub fn candidates(service: Service) -> String {
    format!("watari.candidate.{}", service.name())
}

/// How do you stand? Every service process answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AskStanding {}

/// One service process. The field names are stable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Standing {
    /// Its service.
    pub service: Service,
    /// The process, new at each start.
    pub instance: String,
    /// Where it stands, if its configuration says so.
    pub site: Option<SiteName>,
    /// Whether it leads.
    pub leads: bool,
    /// The epoch of its tenure, if it leads.
    pub epoch: Option<u64>,
    /// Who leads, by what it knows, if it does not.
    pub leader: Option<String>,
    /// The NATS server that it is connected to.
    pub nats: String,
    /// How far it has followed each bucket that it follows: the newest write that it has seen.
    pub followed: BTreeMap<String, u64>,
    /// The wish that it knows of.
    pub wish: Option<Primacy>,
    /// What the NATS servers say of themselves, if it is the scheduler that leads and looks after them.
    pub quorum: Option<Quorum>,
    /// How its object store stands, if it is an image service that has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreStanding>,
    /// Its version.
    pub version: String,
}

/// How the object store of an image service stands, by the service's last look: it writes an object, reads it back,
/// removes it, and lists what is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoreStanding {
    /// Which.
    pub store: ObjectStore,
    /// What went wrong, in the words of the store or of the connection; none if nothing did.
    pub fault: Option<String>,
    /// Since when it stands so.
    pub since: Timestamp,
}

/// The NATS servers and their majority, by the word of the one that leads them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Quorum {
    /// The server that leads; none while there is no majority.
    pub leader: Option<String>,
    /// How many voters must be there.
    pub needed: u32,
    /// All that are or should be voters, by host.
    pub servers: Vec<Voter>,
    /// Servers with a vote of which the settings know no host. As long as there are any, nobody's vote is taken away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<String>,
}

/// One NATS server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Voter {
    /// Its host.
    pub host: String,
    /// Where the host stands; none for a witness that stands nowhere of ours.
    pub site: Option<SiteName>,
    /// Its present name: the host's, with a number once it has begun anew. None if it is not known.
    pub name: Option<String>,
    /// Whether it has a vote.
    pub votes: bool,
    /// Whether it answers.
    pub online: bool,
    /// Whether it has everything that was written.
    pub current: bool,
}

/// The stream under one bucket, by the word of its leader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StreamView {
    /// The bucket.
    pub bucket: String,
    /// How many copies there should be.
    pub replicas: usize,
    /// The server that leads it; none while it has no majority, or with a single server.
    pub leader: Option<String>,
    /// The other servers that hold it.
    pub followers: Vec<Follower>,
    /// The number of its newest write.
    pub last: u64,
}

/// A copy of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Follower {
    /// The server.
    pub name: String,
    /// Whether it has everything.
    pub current: bool,
    /// Whether it is away.
    #[serde(default)]
    pub offline: bool,
    /// How many writes it lacks.
    #[serde(default)]
    pub lag: u64,
}

/// A standby says that it is ready to lead from the site that is wished for. Repeated until it
/// leads: the holder gives way to one that it has just heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Candidate {
    /// Its service.
    pub service: Service,
    /// The process.
    pub instance: String,
    /// Where it stands.
    pub site: SiteName,
}

/// What a host's NATS server is to do. Repeated for as long as it is meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NatsOrder {
    /// The host.
    pub host: String,
    /// What.
    pub duty: Duty,
}

/// What a NATS server can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Duty {
    /// Be a server of the cluster; one that was taken out of it begins anew.
    Serve,
    /// Stop, so that nobody is connected to it when the power goes.
    Retire,
    /// Run in company: an operator has said that all others are lost, and it is to be made a majority by itself.
    Alone,
}

/// Where the NATS server of `host` is told its duty, in the system account.
#[must_use]
pub fn nats_orders(host: &str) -> String {
    format!("watari.nats.{host}")
}
