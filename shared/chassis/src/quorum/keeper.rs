//! Looking after NATS, by two connections of their own: one in the services' account for the streams,
//! one in the system account for the servers.

use std::{path::PathBuf, time::Duration};

use futures_util::future::join_all;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::time::timeout;
use watari_contracts::{
    frontend::{Duty, NatsOrder, Quorum, StreamView, nats_orders},
    permissions::SERVERS,
};
use watari_model::{NodeName, SiteName};

use super::{names::peer, servers, streams::Fault};
use crate::{Bus, BusError, Context, Patience, run::chain};

/// Servers answer within milliseconds, on a busy machine within a few hundred; one that is frozen does
/// not hold up the others for long.
pub(super) const PATIENCE: Patience = Patience { total: Duration::from_millis(900), quiet: Duration::from_millis(300) };

/// A host that runs a NATS server.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct NatsHost {
    /// Its name, also that of its first server.
    pub name: NodeName,
    /// Where it stands; none for a witness that stands nowhere of ours.
    #[serde(default)]
    pub site: Option<SiteName>,
}

/// The seeds of both connections, and the names that go with them.
#[derive(Clone, Debug)]
pub struct KeeperKeys {
    /// In the services' account: seed file and identity.
    pub streams: (PathBuf, String),
    /// In the system account: seed file and identity.
    pub servers: (PathBuf, String),
}

/// Whether a server has a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// It has, by the word of the one that leads.
    Member,
    /// It has the only one, by its own word: nobody can be given another but by it.
    Only,
    /// It has none, by the word of the one that leads.
    Stranger,
    /// Nobody leads, as far as is known.
    Unknown,
}

/// Asks the servers whether the one called `name` has a vote. `bus` is a connection to the system
/// account. Nothing is known if nobody leads, or the question did not leave.
pub async fn membership(bus: &Bus, name: &str) -> Membership {
    // Every host asks this by day and night, and only the word of the one that leads counts: the others are spared
    // answers, and an inbox that is made known to all of them.
    let leader_only = json!({"leader_only": true});
    let asked = asked::<servers::Answer>(bus, SERVERS.to_owned(), &leader_only);
    match timeout(PATIENCE.total, asked).await {
        Ok(Ok(answer)) => servers::membership(&[answer], name),
        Ok(Err(_)) | Err(_) => Membership::Unknown,
    }
}

/// Who has a vote and who is there, each by the id under which it votes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Electorate {
    /// Those that have a vote, by the word of the one that leads; nobody while nobody leads.
    pub voters: Vec<String>,
    /// Those that answer.
    pub present: Vec<String>,
}

impl Electorate {
    /// Whether the server called `name` has a vote.
    #[must_use]
    pub fn votes(&self, name: &str) -> bool {
        self.voters.contains(&peer(name))
    }
}

/// Asks the servers who has a vote. `bus` is a connection to the system account.
///
/// # Errors
/// [`BusError`] if the question did not leave.
pub async fn electorate(bus: &Bus) -> Result<Electorate, BusError> {
    Ok(servers::electorate(&bus.gather(SERVERS, &json!({}), PATIENCE).await?))
}

/// Both connections. Cloning shares them.
#[derive(Clone)]
pub struct Keeper {
    streams: Bus,
    servers: Bus,
    hosts: Vec<NatsHost>,
}

impl Keeper {
    /// Connects as `ctx` is connected, but as others.
    ///
    /// # Errors
    /// [`BusError`]; a bus that is not there is waited for.
    pub async fn connect(ctx: &Context, keys: &KeeperKeys, hosts: Vec<NatsHost>) -> Result<Self, BusError> {
        let connect = async |(nkey, identity): &(PathBuf, String)| {
            let mut settings = ctx.bus.settings().clone();
            settings.nkey = (!nkey.as_os_str().is_empty()).then(|| nkey.clone());
            settings.identity = identity.clone();
            Bus::connect(&settings).await
        };
        let streams = connect(&keys.streams).await?;
        Ok(Self { streams, servers: connect(&keys.servers).await?, hosts })
    }

    /// The same connections, for the servers on these hosts.
    #[must_use]
    pub fn among(&self, hosts: Vec<NatsHost>) -> Self {
        Self { hosts, ..self.clone() }
    }

    /// The servers and their majority.
    ///
    /// # Errors
    /// [`BusError`] if the question did not leave.
    pub async fn quorum(&self) -> Result<Quorum, BusError> {
        Ok(servers::quorum(&self.servers.gather(SERVERS, &json!({}), PATIENCE).await?, &self.hosts))
    }

    /// The streams under these buckets; one that does not answer is left out.
    pub async fn streams(&self, buckets: impl Iterator<Item = &str>) -> Vec<StreamView> {
        let asked = buckets.map(|bucket| self.streams.stream(bucket));
        join_all(asked).await.into_iter().filter_map(Result::ok).collect()
    }

    /// Has `server` lead a bucket's stream.
    ///
    /// # Errors
    /// A sentence.
    pub async fn lead_stream(&self, bucket: &str, server: &str) -> Result<(), String> {
        let subject = format!("$JS.API.STREAM.LEADER.STEPDOWN.KV_{bucket}");
        led(ordered(&self.streams, subject, &json!({"placement": {"preferred": server}})).await)
    }

    /// Has `server` lead the servers.
    ///
    /// # Errors
    /// A sentence.
    pub async fn lead_servers(&self, server: &str) -> Result<(), String> {
        let subject = "$JS.API.META.LEADER.STEPDOWN".to_owned();
        led(ordered(&self.servers, subject, &json!({"placement": {"preferred": server}})).await)
    }

    /// Keeps so many copies of a bucket. Fewer are those of its leader.
    ///
    /// # Errors
    /// A sentence.
    pub async fn scale(&self, bucket: &str, copies: usize) -> Result<(), String> {
        let subject = format!("$JS.API.STREAM.INFO.KV_{bucket}");
        let info: Value = asked(&self.streams, subject, &json!({})).await?;
        let mut config = info.get("config").cloned().ok_or("the stream has no settings")?;
        config["num_replicas"] = json!(copies);
        ordered(&self.streams, format!("$JS.API.STREAM.UPDATE.KV_{bucket}"), &config).await
    }

    /// Takes away a server's vote. Whether a majority of the others is there is the caller's to see to.
    ///
    /// # Errors
    /// A sentence.
    pub async fn remove(&self, server: &str) -> Result<(), String> {
        // Its id as well: one that leads since a server fell silent does not know that one's name.
        let order = json!({"peer": server, "peer_id": peer(server)});
        ordered(&self.servers, "$JS.API.SERVER.REMOVE".to_owned(), &order).await
    }

    /// Tells a host what its server is to do.
    ///
    /// # Errors
    /// A sentence.
    pub async fn tell(&self, host: &str, duty: Duty) -> Result<(), String> {
        let order = NatsOrder { host: host.to_owned(), duty };
        self.servers.publish_json(&nats_orders(host), &order).await.map_err(|e| chain(&e))
    }
}

/// Who leads already does as it is told. The servers refuse it with the code of any placement they
/// cannot fulfil (10005), so only the sentence tells (seen with nats-server 2.15.1).
pub(super) fn led(answer: Result<(), String>) -> Result<(), String> {
    answer.or_else(|refusal| if refusal.ends_with("is already leader") { Ok(()) } else { Err(refusal) })
}

async fn asked<A: DeserializeOwned>(bus: &Bus, subject: String, question: &Value) -> Result<A, String> {
    let payload = serde_json::to_vec(question).map_err(|e| e.to_string())?;
    let asking = bus.client().request(subject, payload.into());
    let answer = timeout(bus.settings().request_timeout, asking).await;
    let answer = answer.map_err(|_| "no answer in time".to_owned())?.map_err(|e| chain(&e))?;
    serde_json::from_slice(&answer.payload).map_err(|e| e.to_string())
}

pub(super) async fn ordered(bus: &Bus, subject: String, order: &Value) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Done {
        error: Option<Fault>,
    }
    let done: Done = asked(bus, subject, order).await?;
    done.error.map_or(Ok(()), |fault| Err(fault.description))
}
