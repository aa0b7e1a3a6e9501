//! What the server says (`/varz` and `/jsz`), and what of it is told.

use std::collections::BTreeMap;

use serde::Deserialize;

/// `/varz`.
#[derive(Debug, Deserialize)]
pub(super) struct Server {
    server_name: String,
    #[serde(default)]
    connections: u64,
    #[serde(default)]
    slow_consumers: u64,
}

/// `/jsz`.
#[derive(Debug, Deserialize)]
pub(super) struct Jetstream {
    #[serde(default)]
    memory: u64,
    #[serde(default)]
    storage: u64,
    #[serde(default)]
    config: Limits,
    meta_cluster: Option<Group>,
    #[serde(default)]
    account_details: Vec<Account>,
}

/// Less than none is no limit, which is told as none.
#[derive(Debug, Default, Deserialize)]
struct Limits {
    #[serde(default)]
    max_memory: i64,
    #[serde(default)]
    max_storage: i64,
}

#[derive(Debug, Deserialize)]
struct Account {
    #[serde(default)]
    stream_detail: Vec<Stream>,
}

#[derive(Debug, Deserialize)]
struct Stream {
    name: String,
    cluster: Option<Group>,
}

/// Servers that keep something together.
#[derive(Debug, Deserialize)]
struct Group {
    #[serde(default)]
    leader: String,
    #[serde(default)]
    replicas: Vec<Replica>,
}

#[derive(Debug, Deserialize)]
struct Replica {
    #[serde(default)]
    current: bool,
    #[serde(default)]
    offline: bool,
    #[serde(default)]
    lag: u64,
}

/// How much is kept, and how much may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) bytes: u64,
    pub(super) limit: u64,
}

/// What is told of a server.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sight {
    pub(super) connections: u64,
    pub(super) slow_consumers: u64,
    pub(super) file: Kept,
    pub(super) memory: Kept,
    pub(super) has_leader: bool,
    pub(super) leads: bool,
    /// By state; only the one that leads knows.
    pub(super) voters: Option<[(&'static str, u64); 3]>,
    /// By stream that this server leads.
    pub(super) lags: BTreeMap<String, u64>,
    pub(super) leaderless: u64,
}

impl Sight {
    pub(super) fn of(server: &Server, jetstream: &Jetstream) -> Self {
        let own = server.server_name.as_str();
        let meta = jetstream.meta_cluster.as_ref();
        let leads = meta.is_none_or(|meta| meta.leader == own);
        let streams = || jetstream.account_details.iter().flat_map(|account| &account.stream_detail);
        // A server without a cluster leads whatever it has.
        let leader = |stream: &Stream| match (&stream.cluster, meta) {
            (Some(group), Some(_)) => group.leader.clone(),
            _ => own.to_owned(),
        };
        let furthest = |stream: &Stream| {
            let replicas = stream.cluster.iter().flat_map(|group| &group.replicas);
            replicas.map(|replica| replica.lag).max().unwrap_or(0)
        };
        let limit = |bytes: i64| u64::try_from(bytes).unwrap_or(0);
        let led = streams().filter(|stream| leader(stream) == own);
        Self {
            connections: server.connections,
            slow_consumers: server.slow_consumers,
            file: Kept { bytes: jetstream.storage, limit: limit(jetstream.config.max_storage) },
            memory: Kept { bytes: jetstream.memory, limit: limit(jetstream.config.max_memory) },
            has_leader: meta.is_none_or(|meta| !meta.leader.is_empty()),
            leads,
            voters: meta.filter(|_| leads).map(voters),
            lags: led.map(|stream| (stream.name.clone(), furthest(stream))).collect(),
            leaderless: streams().filter(|stream| leader(stream).is_empty()).count() as u64,
        }
    }
}

/// The others by how they stand, and the one that leads, which is among the current ones.
fn voters(meta: &Group) -> [(&'static str, u64); 3] {
    let count = |which: fn(&Replica) -> bool| meta.replicas.iter().filter(|replica| which(replica)).count() as u64;
    [
        ("current", 1 + count(|r| r.current && !r.offline)),
        ("behind", count(|r| !r.current && !r.offline)),
        ("offline", count(|r| r.offline)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(name: &str, leader: &str, stream: &str) -> Sight {
        let varz = format!(r#"{{"server_name":"{name}","connections":7,"slow_consumers":2,"mem":1}}"#);
        let jsz = format!(
            r#"{{"memory":1,"storage":44,"config":{{"max_memory":64,"max_storage":1024}},
                "meta_cluster":{{"name":"c","leader":"{leader}","replicas":[{{"name":"s1","current":true,"active":1}},
                    {{"name":"s3","current":false,"offline":true,"lag":9}}],"cluster_size":3}},
                "account_details":[{{"name":"CLOUD","stream_detail":[{stream}]}}]}}"#
        );
        Sight::of(&serde_json::from_str(&varz).unwrap(), &serde_json::from_str(&jsz).unwrap())
    }

    const STREAM: &str = r#"{"name":"KV_vms","cluster":{"leader":"s1","replicas":[{"current":true},{"current":false,"lag":5}]},"state":{}}"#;

    #[test]
    fn who_leads_says_how_the_voters_stand_and_nobody_else() {
        let seen = sight("s2", "s2", STREAM);
        assert_eq!((seen.connections, seen.slow_consumers, seen.has_leader, seen.leads), (7, 2, true, true));
        assert_eq!(seen.voters, Some([("current", 2), ("behind", 0), ("offline", 1)]));
        assert_eq!(seen.file, Kept { bytes: 44, limit: 1024 });
        // Another leads the stream and says how far behind its copies are.
        assert!(seen.lags.is_empty());
        let other = sight("s1", "s2", STREAM);
        assert_eq!((other.has_leader, other.leads, other.voters), (true, false, None));
        assert_eq!(other.lags, BTreeMap::from([("KV_vms".to_owned(), 5)]));
    }

    #[test]
    fn without_a_majority_nobody_leads_the_servers_nor_their_streams() {
        let seen = sight("s1", "", &STREAM.replace("\"s1\"", "\"\""));
        assert_eq!((seen.has_leader, seen.leads, seen.leaderless), (false, false, 1));
        let missing = STREAM.replace("\"leader\":\"s1\",", "");
        assert_eq!(sight("s1", "", &missing).leaderless, 1);
    }

    #[test]
    fn a_single_server_leads_whatever_it_has() {
        let jsz = r#"{"account_details":[{"stream_detail":[{"name":"KV_vms"},{"name":"KV_nodes","cluster":{"leader":"x"}}]}]}"#;
        let varz = serde_json::from_str(r#"{"server_name":"s1"}"#).unwrap();
        let seen = Sight::of(&varz, &serde_json::from_str(jsz).unwrap());
        assert_eq!((seen.has_leader, seen.leads, seen.voters, seen.lags.len()), (true, true, None, 2));
    }
}
