//! `watari setup`: everything that the hosts of a cluster need, as files. The lab and a real
//! installation use this same code.
//!
//! ```text
//!  cluster.toml ──▶ DIR/ca/        authority, hosts' certificates as issued
//!                   DIR/nkeys/     the seed of every identity
//!                   DIR/hosts/H/   what belongs into the root of host H
//!                   DIR/prometheus/targets/   where Prometheus finds them all, if the description lets it
//!                   DIR/journal.jsonl   who had which keys and files made, and when
//! ```
//!
//! A second run finds what the first made, adds what is missing, renews what is nearly over and
//! changes nothing else. `DIR/ca` and `DIR/nkeys` are the cluster's secrets: they belong on no host.

pub mod authority;
pub mod cluster;
pub mod files;
pub mod founding;
pub mod identity;
pub mod journal;
pub mod kit;
pub mod libvirt;
pub mod nats;
mod prometheus;
pub mod settings;

use std::path::{Path, PathBuf};

use clap::Args;
use watari_contracts::Service;
use watari_model::Timestamp;

use authority::{Authority, Issued, Renewal};
use cluster::{Cluster, Host, Role};
use files::{Counts, Overlay, Readers};
use identity::Identity;
use journal::{Act, Entry};
use kit::Kit;

use crate::{
    failure::Failure,
    lang::Lang,
    out,
    texts::{
        faults::Fault,
        joining,
        words::{self, Word},
    },
};

/// Everything that a node has below its root, its secrets aside: what a host that joins is handed.
pub const OF_NODE: [&str; 12] = [
    "etc/watari/tls/ca.crt",
    "etc/watari/tls/host.crt",
    "etc/watari/node-agent.toml",
    "etc/libvirt/libvirtd.conf",
    "etc/libvirt/qemu.conf",
    "etc/systemd/system/libvirtd-tls.socket.d/watari-address.conf",
    "etc/pki/CA/cacert.pem",
    "etc/pki/libvirt/servercert.pem",
    "etc/pki/libvirt/clientcert.pem",
    "etc/pki/qemu/ca-cert.pem",
    "etc/pki/qemu/server-cert.pem",
    "etc/pki/qemu/client-cert.pem",
];
/// Where a node has the key of its certificate: for the agent, libvirt and QEMU.
pub const KEYS_OF_NODE: [&str; 5] = [
    "etc/watari/tls/host.key",
    "etc/pki/libvirt/private/serverkey.pem",
    "etc/pki/libvirt/private/clientkey.pem",
    "etc/pki/qemu/server-key.pem",
    "etc/pki/qemu/client-key.pem",
];
/// Where a node has the seed of its agent.
pub const SEED_OF_NODE: &str = "etc/watari/nkeys/node-agent.nk";
/// Where a host has the certificate of its cluster's authority.
pub const AUTHORITY: &str = "etc/watari/tls/ca.crt";
/// What a front end or witness has, and a node has not: how its NATS server is started, and where the others are.
pub const LAUNCHER: &str = "etc/watari/nats.toml";
/// Where a host has the list of certificates that count no more, once there is one.
pub const REVOKED: &str = "etc/watari/tls/revoked.pem";
/// Where it has the configuration of its NATS server.
pub const NATS: &str = "etc/nats/nats.conf";

/// Make keys, certificates and configuration for the hosts of a cluster, as files
#[derive(Debug, Args)]
#[command(after_long_help = "\
Example of a cluster's description:

  name = \"lab\"

  [[site]]
  name = \"myodaiji\"
  title = \"明大寺\"

  [[host]]
  name = \"m-front\"
  role = \"front\"              # front, node, witness or client
  site = \"myodaiji\"
  address = \"10.88.0.2\"       # for management and migration

  [[host]]
  name = \"m1\"
  role = \"node\"
  site = \"myodaiji\"
  address = \"10.88.0.11\"
  segments = { campus = \"br-campus\" }   # as if it said nothing
  vcpus = 32                  # optional, as are memory_mib and labels

DIR/hosts/HOST is then what belongs into the root of HOST, as root's and without touching the folders
that are there:

  watari setup --cluster cluster.toml --out cluster
  tar -C cluster/hosts/m1 -c etc | \\
    ssh root@m1 tar -C / -x --no-same-owner --no-overwrite-dir

DIR/ca and DIR/nkeys are the cluster's secrets. Keep them, off the hosts: the next run needs them.")]
pub struct Setup {
    /// The description of the cluster (TOML; see the example below)
    #[arg(long, value_name = "FILE")]
    cluster: PathBuf,
    /// Where the files go
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Give every host a new key and certificate, and revoke the old ones; the authority and the identities stay
    #[arg(long)]
    force: bool,
}

impl Setup {
    /// Makes everything and says what was made.
    ///
    /// # Errors
    /// [`Failure`] if the description is unsound or files cannot be written.
    pub fn run(&self, lang: Lang) -> Result<String, Failure> {
        let cluster = Cluster::read(&self.cluster)?;
        let renewal = if self.force { Renewal::All } else { Renewal::WhenNeeded };
        let made = make(&cluster, &self.out, renewal)?;
        Ok(summary(lang, &cluster, &self.out, &made))
    }
}

/// What was done for one host.
pub struct Made {
    counts: Counts,
    identities: Vec<String>,
}

/// Makes the files below `out`, for each host in the order of the description.
///
/// # Errors
/// [`Fault`] if something cannot be made or written.
pub fn make(cluster: &Cluster, out: &Path, renewal: Renewal) -> Result<Vec<Made>, Fault> {
    let now = watari_chassis::clock::now();
    let mut store = Overlay::at(out.join("ca"));
    let mut seeds = Overlay::at(out.join("nkeys"));
    let overlay = |host: &Host| Overlay::at(out.join("hosts").join(host.name.as_str()));
    let authority = Authority::open(&mut store, cluster, now)?;
    let before = journal::keys(&seeds.path(""));
    let identities = identity::of_cluster(&mut seeds, cluster)?;
    note(out, now, Act::KeysMade, journal::keys(&seeds.path("")).difference(&before).cloned().collect())?;
    let mut issued = Vec::new();
    for host in &cluster.hosts {
        issued.push(match host.role {
            Role::Client => None,
            _ => Some(authority.issue(&mut store, host, renewal, now)?),
        });
    }
    let revoked = authority.list(&mut store, now)?;
    let pins: Vec<String> = cluster
        .hosts
        .iter()
        .zip(&issued)
        .filter(|(host, _)| host.role.has_nats())
        .filter_map(|(_, issued)| issued.as_ref().map(|i| i.fingerprint.clone()))
        .collect();
    let mut made = Vec::new();
    for (host, issued) in cluster.hosts.iter().zip(&issued) {
        let mut overlay = overlay(host);
        let identities_here = identity::hand_out(&mut seeds, &mut overlay, host)?;
        if let Some(issued) = issued {
            certificates(&mut overlay, &authority, issued)?;
        }
        if let (Some(list), Some(part)) = (&revoked, kit::part(host.role)) {
            for path in Kit::of(part).lists().iter().chain([&REVOKED]) {
                overlay.put(path, Readers::All, list)?;
            }
        }
        configuration(&mut overlay, cluster, host, &authority, issued.as_ref(), &identities, &pins)?;
        made.push(Made { counts: overlay.counts, identities: identities_here });
    }
    let others = cluster.hosts.iter().zip(&made).filter(|(_, made)| made.counts.written > 0);
    note(out, now, Act::FilesMade, others.map(|(host, _)| host.name.to_string()).collect())?;
    if cluster.scraped {
        let mut discovery = Overlay::at(out.join("prometheus/targets"));
        for (name, text) in prometheus::targets(cluster) {
            discovery.put(name, Readers::All, &text)?;
        }
    }
    Ok(made)
}

/// Writes down what was made, if anything was.
fn note(out: &Path, now: Timestamp, act: Act, made: Vec<String>) -> Result<(), Fault> {
    if made.is_empty() { Ok(()) } else { journal::add(out, &Entry::of_here(now, act, made)) }
}

/// Puts a file to its place below a host's root. Configuration (.toml) that somebody has changed stays, and that is told:
/// people set in it what no description knows, as how nodes are switched off, or whom to alert.
pub(crate) fn placed(root: &mut Overlay, path: &str, readers: Readers, text: &str, lang: Lang) -> Result<(), Fault> {
    let stays = |old: String| !settings::is_the_same(&old, text) && !settings::is_as_made(&old);
    if kit::is_settings(path) && root.read(path)?.is_some_and(stays) {
        root.counts.kept += 1;
        out::say(&joining::stays(lang, &root.path(path).display().to_string()));
        return Ok(());
    }
    root.put(path, readers, text)
}

/// Gives settings that are there their newer form, unless somebody has changed them since they were made. What there is
/// to say about it, in a journal.
pub(crate) fn renewed(root: &mut Overlay, path: &str, text: &str) -> Result<Option<String>, Fault> {
    let Some(old) = root.read(path)?.filter(|old| !settings::is_the_same(old, text)) else { return Ok(None) };
    if !settings::is_as_made(&old) {
        return Ok(Some(format!("{path} has been edited and stays; what it should be is in the cluster's folder")));
    }
    root.put(path, Readers::All, text)?;
    Ok(Some(format!("{path} is another one; it counts once what reads it is started again")))
}

fn certificates(overlay: &mut Overlay, authority: &Authority, issued: &Issued) -> Result<(), Fault> {
    overlay.put(AUTHORITY, Readers::All, &authority.certificate)?;
    overlay.put("etc/watari/tls/host.crt", Readers::All, &issued.certificate)?;
    key(overlay, issued, "etc/watari/tls/host.key")
}

/// A copy of the host's private key, unless it keeps that itself.
fn key(overlay: &mut Overlay, issued: &Issued, path: &str) -> Result<(), Fault> {
    issued.key.as_ref().map_or(Ok(()), |key| overlay.put(path, Readers::Owner, key))
}

fn configuration(
    overlay: &mut Overlay,
    cluster: &Cluster,
    host: &Host,
    authority: &Authority,
    issued: Option<&Issued>,
    identities: &[Identity],
    pins: &[String],
) -> Result<(), Fault> {
    if host.role.has_nats() {
        overlay.put(NATS, Readers::All, &nats::config(cluster, host, identities, pins))?;
        overlay.put(LAUNCHER, Readers::All, &settings::of_launcher(cluster, host))?;
        if cluster.founds(host) {
            let configs = founding::configs(cluster, host, identities, pins);
            for (path, text) in [founding::FOUNDER, founding::MIDWIFE].into_iter().zip(&configs) {
                overlay.put(path, Readers::All, text)?;
            }
        }
        if cluster.may_be_left_alone(host) {
            let company = founding::company(cluster, host, identities, pins);
            overlay.put(founding::COMPANY, Readers::All, &company)?;
        }
    }
    match (host.role, issued) {
        (Role::Front, _) => {
            for service in Service::OF_FRONT {
                let path = format!("etc/watari/{}.toml", service.name());
                overlay.put(&path, Readers::All, &settings::of(cluster, host, service, identities))?;
            }
            overlay.put("etc/watari/backup.toml", Readers::All, &settings::of_backup(cluster, host))?;
        }
        (Role::Node, Some(issued)) => {
            overlay.put(
                "etc/watari/node-agent.toml",
                Readers::All,
                &settings::of(cluster, host, Service::NodeAgent, identities),
            )?;
            overlay.put("etc/libvirt/libvirtd.conf", Readers::All, &libvirt::libvirtd(cluster, host))?;
            overlay.put("etc/libvirt/qemu.conf", Readers::All, &libvirt::qemu(host))?;
            let socket = "etc/systemd/system/libvirtd-tls.socket.d/watari-address.conf";
            overlay.put(socket, Readers::All, &libvirt::socket(host))?;
            for path in ["etc/pki/CA/cacert.pem", "etc/pki/qemu/ca-cert.pem"] {
                overlay.put(path, Readers::All, &authority.certificate)?;
            }
            for kind in ["server", "client"] {
                overlay.put(&format!("etc/pki/libvirt/{kind}cert.pem"), Readers::All, &issued.certificate)?;
                key(overlay, issued, &format!("etc/pki/libvirt/private/{kind}key.pem"))?;
                overlay.put(&format!("etc/pki/qemu/{kind}-cert.pem"), Readers::All, &issued.certificate)?;
                key(overlay, issued, &format!("etc/pki/qemu/{kind}-key.pem"))?;
            }
        }
        (Role::Client, _) => {
            overlay.put("etc/watari/ca.crt", Readers::All, &authority.certificate)?;
            overlay.put("etc/watari/cli.toml", Readers::All, &settings::of_command(cluster, host))?;
        }
        (Role::Node | Role::Witness, _) => {}
    }
    Ok(())
}

fn summary(lang: Lang, cluster: &Cluster, out: &Path, made: &[Made]) -> String {
    let mut lines = vec![words::setup_done(lang, cluster.name.as_str(), &out.display().to_string())];
    for (host, made) in cluster.hosts.iter().zip(made) {
        let Counts { written, kept } = made.counts;
        let name = format!("{:<12} {:<8}", host.name, host.role.word());
        lines.push(
            format!("  {name} {} {}", words::setup_files(lang, written, kept), made.identities.join(" "))
                .trim_end()
                .to_owned(),
        );
    }
    lines.push(Word::SetupSecrets.text(lang).to_owned());
    lines.join("\n")
}
