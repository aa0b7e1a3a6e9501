//! How the first server of a cluster becomes a cluster by itself: the configuration of the two servers with which
//! `watari-nats` begins. They are reached on their own host alone, so that nobody stores anything meanwhile.
//!
//! ```text
//!  founder (the host's server) ◀── route ── midwife: two votes, a leader ──▶ the midwife's vote is taken away, it goes
//! ```

use watari_contracts::permissions::{Account, Role};

use super::{
    cluster::{Cluster, Host},
    identity::Identity,
    nats::{quoted, users},
};

/// The configuration of the server that stays.
pub const FOUNDER: &str = "etc/nats/founder.conf";
/// The configuration of the server that goes.
pub const MIDWIFE: &str = "etc/nats/midwife.conf";
/// Where the one that stays is reached meanwhile.
pub const URL: &str = "tls://127.0.0.1:4223";

/// The configurations of both, in that order. `pins` are as for any server.
#[must_use]
pub fn configs(cluster: &Cluster, host: &Host, identities: &[Identity], pins: &[String]) -> [String; 2] {
    [
        config(cluster, host, identities, pins, ["127.0.0.1:4223", "127.0.0.1:6223"]),
        config(cluster, host, identities, pins, ["127.0.0.1:-1", "127.0.0.1:-1"]),
    ]
}

fn config(
    cluster: &Cluster,
    host: &Host,
    identities: &[Identity],
    pins: &[String],
    [listen, cluster_listen]: [&str; 2],
) -> String {
    let mut out = format!(
        r#"# Made by `watari setup` for {name}; changes are lost when it runs again.
# Used once, before the server is there for others.
server_name: $WATARI_NATS_NAME
listen: "{listen}"

tls {{
  cert_file: "/etc/watari/tls/host.crt"
  key_file: "/etc/watari/tls/host.key"
  timeout: 5
}}

jetstream {{
  store_dir: $WATARI_NATS_STORE
  sync_interval: always
  max_memory_store: 16MB
  max_file_store: 64MB
}}

cluster {{
  name: "{of}"
  listen: "{cluster_listen}"
  no_advertise: true
  tls {{
    cert_file: "/etc/watari/tls/host.crt"
    key_file: "/etc/watari/tls/host.key"
    ca_file: "/etc/watari/tls/ca.crt"
    verify: true
    pinned_certs: [{pins}]
    timeout: 5
  }}
  # The founder's own: a server without any route takes itself for no cluster.
  routes: ["tls://127.0.0.1:6223"]
}}

accounts {{
  CLOUD {{
    jetstream: enabled
  }}
  SYS {{
    users: [
"#,
        name = host.name,
        of = cluster.name,
        pins = quoted(pins),
    );
    // What starts the server takes the vote away here, and has no such right on the cluster that comes of it.
    let launcher = format!("nats.{}", host.name);
    let keeper = identities.iter().filter(|identity| identity.name == launcher);
    let keeper: Vec<Identity> =
        keeper.map(|identity| Identity { role: Some(Role::KeeperOfServers), ..identity.clone() }).collect();
    users(&mut out, &keeper, Account::System);
    out.push_str("    ]\n  }\n}\nsystem_account: SYS\n");
    out
}
