//! How a further host comes into a cluster: what `watari join` says to the front end, and what it is
//! answered. Over HTTPS, since a host that is not in yet has no identity on the bus.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET` [`GREETING`] | 200 and a [`Greeting`] |
//! | `POST` [`HOSTS`], an [`EnrolHost`] as the body | 200 and an [`Enrolled`]; the same again may be repeated |
//! | `GET` [`NATS`], from the address of a NATS server | 200 and a [`HostFile`], its configuration |
//! | `GET` [`SETTINGS`], from the address of any host | 200 and a list of [`HostFile`], its certificate and the settings of its processes |
//!
//! Everything else is answered with a [`Fault`](crate::scheduler::Fault): 400 what makes no sense, 403 what
//! the token does not permit, 409 what does not go together with the cluster, 500 what broke.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};
use watari_model::{NodeName, SiteName, Timestamp};

/// Where a front end listens for hosts that want to join (TCP).
pub const PORT: u16 = 8445;
/// Where it says who it is.
pub const GREETING: &str = "/v1/cluster";
/// Where hosts are enrolled.
pub const HOSTS: &str = "/v1/hosts";
/// Where a NATS server's host fetches its configuration.
pub const NATS: &str = "/v1/nats";
/// Where a host fetches its certificate, and the settings of its processes, which name the servers.
pub const SETTINGS: &str = "/v1/settings";
/// The longest body of a request, in bytes.
pub const MOST_BYTES: usize = 64 * 1024;

/// As what a host joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// It runs servers.
    Node,
    /// It runs the services and NATS.
    Frontend,
    /// It runs NATS only.
    Witness,
}

impl Part {
    /// The word for it, on the command line too.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Frontend => "frontend",
            Self::Witness => "witness",
        }
    }
}

/// Who a front end is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// The cluster.
    pub cluster: SiteName,
    /// Its clock.
    pub now: Timestamp,
}

/// A host wants to join. Nothing in it is secret but the token; private keys stay where they were made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolHost {
    /// The token, as it was printed.
    pub token: String,
    /// As what.
    pub part: Part,
    /// Its host name.
    pub name: NodeName,
    /// Where it stands; none if the token says so or there is one site only.
    #[serde(default)]
    pub site: Option<SiteName>,
    /// Its address for management and migration, from which this must come.
    pub address: IpAddr,
    /// Its bridge into the campus's network, if that has another name than usual.
    #[serde(default)]
    pub bridge: Option<String>,
    /// The public half of its key on the bus: a node's agent's, and else that of what starts its NATS server.
    pub nkey: String,
    /// Those of its other processes, by what they are called (front ends).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<String, String>,
    /// The request for its certificate (PKCS #10, PEM). Only the key in it counts.
    pub request: String,
}

/// A file of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFile {
    /// Its path from the host's root on, without a slash in front.
    pub path: String,
    /// What is in it.
    pub text: String,
}

/// The host is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// The cluster.
    pub cluster: SiteName,
    /// Where the host stands; a witness may stand nowhere of ours.
    #[serde(default)]
    pub site: Option<SiteName>,
    /// Everything that it needs but its private keys.
    pub files: Vec<HostFile>,
    /// Other NATS servers, which know the host once they have fetched their new configuration.
    pub elsewhere: Vec<NodeName>,
}
