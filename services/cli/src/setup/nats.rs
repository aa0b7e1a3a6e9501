//! The configuration of each NATS server.

use std::{collections::BTreeSet, fmt::Write, slice};

use watari_contracts::{
    permissions::{Account, Answers, Crossing, Permissions, Role, SHARED, detour},
    subjects,
};
use watari_model::NodeName;

use super::{
    cluster::{Cluster, Host, at},
    identity::Identity,
};

/// How it begins; the host's name follows.
const MADE_FOR: &str = "# Made by `watari setup` for ";

/// A server's configuration. `pins` are the fingerprints of all NATS servers' keys: a certificate
/// of the authority alone does not make a host a server of the cluster.
#[must_use]
pub fn config(cluster: &Cluster, host: &Host, identities: &[Identity], pins: &[String]) -> String {
    let mut out = format!(
        r#"{MADE_FOR}{name}; changes are lost when it runs again.
# `watari-nats` starts the server and gives both: one that was taken out of the cluster begins anew,
# under another name and with an empty store.
server_name: $WATARI_NATS_NAME
listen: "{listen}"
# For people and Prometheus on this host; everything else is encrypted.
http: "127.0.0.1:8222"
max_payload: 1MB
ping_interval: "10s"
ping_max: 2

tls {{
  cert_file: "/etc/watari/tls/host.crt"
  key_file: "/etc/watari/tls/host.key"
  timeout: 5
}}

jetstream {{
  store_dir: $WATARI_NATS_STORE
  # What was acknowledged survives a power cut.
  sync_interval: always
  max_memory_store: 64MB
  max_file_store: 4GB
}}
"#,
        name = host.name,
        listen = at(host.address, 4222),
    );
    if cluster.grows || cluster.nats_servers().count() > 1 {
        routes(&mut out, cluster, host, pins);
    }
    accounts(&mut out, identities);
    out
}

/// The host for whose server a configuration was made.
#[must_use]
pub fn host(config: &str) -> Option<NodeName> {
    config.strip_prefix(MADE_FOR)?.split(';').next()?.parse().ok()
}

/// Whether a server's configuration knows this identity, and gives it other permissions than [`config`] would: it was made by
/// another version.
#[must_use]
pub fn is_outdated(config: &str, identity: &Identity) -> bool {
    let Some(role) = &identity.role else { return false };
    let mut wanted = String::new();
    users(&mut wanted, slice::from_ref(identity), &role.account());
    config.contains(&identity.public) && !config.contains(&wanted)
}

fn routes(out: &mut String, cluster: &Cluster, host: &Host, pins: &[String]) {
    let _ = write!(
        out,
        r#"
cluster {{
  name: "{}"
  listen: "{}"
  tls {{
    cert_file: "/etc/watari/tls/host.crt"
    key_file: "/etc/watari/tls/host.key"
    ca_file: "/etc/watari/tls/ca.crt"
    verify: true
    pinned_certs: [{}]
    timeout: 5
  }}
  routes: [
"#,
        cluster.name,
        at(host.address, 6222),
        quoted(pins),
    );
    // A server without any route takes itself for no cluster; a lone one has that to itself.
    let alone = cluster.nats_servers().count() == 1;
    for other in cluster.nats_servers().filter(|other| alone || other.name != host.name) {
        let _ = writeln!(out, "    \"tls://{}\" # {}", at(other.address, 6222), other.name);
    }
    out.push_str("  ]\n}\n");
}

fn accounts(out: &mut String, identities: &[Identity]) {
    let people = of_people(identities);
    let names = people.iter().map(Account::name).collect::<Vec<_>>().join(", ");
    out.push_str("\naccounts {\n  # Services and agents.\n  CLOUD {\n    jetstream: enabled\n    exports: [\n");
    for (subject, how) in SHARED {
        let offer = match how {
            Crossing::Ask => format!("service: \"{subject}\""),
            Crossing::AskAll => format!("service: \"{subject}\", response_type: stream"),
            Crossing::Listen => format!("stream: \"{subject}\""),
        };
        let _ = writeln!(out, "      {{{offer}, accounts: [{names}]}}");
    }
    out.push_str("    ]\n    users: [\n");
    users(out, identities, &Account::Cloud);
    out.push_str("    ]\n  }\n  # People: no bucket, service or agent hears them but through these doors.\n");
    for account in &people {
        doors(out, account, identities);
    }
    out.push_str("  # NATS' own administration.\n  SYS {\n    users: [\n");
    users(out, identities, &Account::System);
    for identity in identities.iter().filter(|i| i.role.is_none()) {
        let _ = writeln!(out, "      {{nkey: \"{}\"}} # {}", identity.public, identity.name);
    }
    out.push_str("    ]\n  }\n}\nsystem_account: SYS\n");
}

/// The accounts in which there are people, each once.
fn of_people(identities: &[Identity]) -> BTreeSet<Account> {
    let roles = identities.iter().filter_map(|identity| identity.role.as_ref());
    roles.filter(|role| role.is_persons()).map(Role::account).collect()
}

/// An account from which people ask, and by which services know what may be asked from there.
fn doors(out: &mut String, account: &Account, identities: &[Identity]) {
    let _ = writeln!(out, "  {} {{\n    imports: [", account.name());
    for (subject, how) in SHARED {
        let kind = match how {
            Crossing::Ask | Crossing::AskAll => "service",
            Crossing::Listen => "stream",
        };
        let to = detour(subject).map(|to| format!(", to: \"{to}\"")).unwrap_or_default();
        // Services are told by the server who asks: the history says who did what.
        let share = if *subject == subjects::REQUESTS { ", share: true" } else { "" };
        let _ = writeln!(out, "      {{{kind}: {{account: CLOUD, subject: \"{subject}\"}}{to}{share}}}");
    }
    out.push_str("    ]\n    mappings: {\n");
    for (subject, to) in SHARED.iter().filter_map(|(subject, _)| Some((subject, detour(subject)?))) {
        let _ = writeln!(out, "      \"{subject}\": \"{}\"", numbered(&to));
    }
    out.push_str("    }\n");
    out.push_str("    users: [\n");
    users(out, identities, account);
    out.push_str("    ]\n  }\n");
}

/// A subject as the destination of a mapping: its wildcards by number.
fn numbered(subject: &str) -> String {
    let mut count = 0;
    let tokens = subject.split('.').map(|token| match token {
        "*" => {
            count += 1;
            format!("{{{{wildcard({count})}}}}")
        }
        token => token.to_owned(),
    });
    tokens.collect::<Vec<_>>().join(".")
}

pub(super) fn users(out: &mut String, identities: &[Identity], account: &Account) {
    for identity in identities {
        let Some(role) = identity.role.as_ref().filter(|r| r.account() == *account) else { continue };
        let Permissions { publish, publish_not, subscribe, answers } = role.permissions(&identity.inbox_name());
        let answers = match answers {
            Answers::Once => "\n          allow_responses: {max: 1, expires: \"2m\"}",
            Answers::Never => "",
        };
        let denied = if publish_not.is_empty() { String::new() } else { format!(", deny: [{}]", quoted(&publish_not)) };
        let _ = write!(
            out,
            "      # {}\n      {{\n        nkey: \"{}\"\n        permissions {{\n          publish: {{allow: [{}]{denied}}}\n          subscribe: {{allow: [{}]}}{answers}\n        }}\n      }}\n",
            identity.name,
            identity.public,
            quoted(&publish),
            quoted(&subscribe),
        );
    }
}

/// Subjects, names and digests need no escapes: they hold neither quotes nor backslashes.
pub(super) fn quoted(items: &[String]) -> String {
    items.iter().map(|item| format!("\"{item}\"")).collect::<Vec<_>>().join(", ")
}
