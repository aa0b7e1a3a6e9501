//! How the first server of a cluster becomes a cluster by itself: the configuration of the two servers with which
//! `watari-nats` begins. They are reached on their own host alone, so that nobody stores anything meanwhile. And that of a
//! server which keeps another one company, wherever one may be left alone.
//!
//! ```text
//!  founder (the host's server) ◀── route ── midwife: two votes, a leader ──▶ the midwife's vote is taken away, it goes
//! ```

use watari_contracts::permissions::{Account, Role};

use super::{
    cluster::{Cluster, Host, at},
    identity::Identity,
    nats::{quoted, users},
};

/// The configuration of the server that stays.
pub const FOUNDER: &str = "etc/nats/founder.conf";
/// The configuration of the server that goes.
pub const MIDWIFE: &str = "etc/nats/midwife.conf";
/// The configuration of a server that stores nothing and keeps the host's company as long as that knows of no other, or no
/// other has a vote: a server of a cluster votes only once it has met another.
pub const COMPANY: &str = "etc/nats/company.conf";
/// Where the one that stays is reached meanwhile.
pub const URL: &str = "tls://127.0.0.1:4223";

const JETSTREAM: &str = "
jetstream {
  store_dir: $WATARI_NATS_STORE
  sync_interval: always
  max_memory_store: 16MB
  max_file_store: 64MB
}
";

/// Where those two meet, and where nobody else comes.
const MEETING: &str = "127.0.0.1:6223";
const NOWHERE: &str = "127.0.0.1:-1";

/// The configurations of the one that stays and the one that goes. `pins` are as for any server.
#[must_use]
pub fn configs(cluster: &Cluster, host: &Host, identities: &[Identity], pins: &[String]) -> [String; 2] {
    [["127.0.0.1:4223", MEETING], [NOWHERE, NOWHERE]].map(|[listen, cluster_listen]| {
        config(cluster, host, identities, pins, JETSTREAM, [listen, cluster_listen, MEETING])
    })
}

/// The configuration of the one that keeps company.
#[must_use]
pub fn company(cluster: &Cluster, host: &Host, identities: &[Identity], pins: &[String]) -> String {
    config(cluster, host, identities, pins, "", [NOWHERE, NOWHERE, &at(host.address, 6222)])
}

fn config(
    cluster: &Cluster,
    host: &Host,
    identities: &[Identity],
    pins: &[String],
    storing: &str,
    [listen, cluster_listen, route]: [&str; 3],
) -> String {
    let mut out = format!(
        r#"# Made by `watari setup` for {name}; changes are lost when it runs again.
# Used as long as the host's server is alone.
server_name: $WATARI_NATS_NAME
listen: "{listen}"

tls {{
  cert_file: "/etc/watari/tls/host.crt"
  key_file: "/etc/watari/tls/host.key"
  timeout: 5
}}
{storing}
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
  # The server's that stays, of its own too: one without any route takes itself for no cluster.
  routes: ["tls://{route}"]
}}

accounts {{
  CLOUD {{
    {jetstream}
  }}
  SYS {{
    users: [
"#,
        name = host.name,
        jetstream = if storing.is_empty() { "" } else { "jetstream: enabled" },
        of = cluster.name,
        pins = quoted(pins),
    );
    // What starts the server takes the vote away here, and has no such right on the cluster that comes of it, of which the
    // one that keeps company is a part.
    let launcher = format!("nats.{}", host.name);
    let mut own: Vec<Identity> = identities.iter().filter(|identity| identity.name == launcher).cloned().collect();
    if !storing.is_empty() {
        own.iter_mut().for_each(|identity| identity.role = Some(Role::KeeperOfServers));
    }
    users(&mut out, &own, &Account::System);
    out.push_str("    ]\n  }\n}\nsystem_account: SYS\n");
    out
}
