//! On hosts that have no folder of the cluster: they fetch what is another one for them from the front end that has it.
//! The configuration of a NATS server, so that a host which has joined is known to all within seconds; certificates, which
//! are renewed there in time and shown from then on; and settings, which name the other servers and count when what reads
//! them is started again. Nodes are many, and ask rarely.
//!
//! ```text
//!  ask each other NATS server ──▶ nobody has the folder: as it is, and again
//!         ▲                   └─▶ the same as here: nothing        ─┐
//!         │                   └─▶ another: put in its place, `watari-nats` has it read
//!         └──────────────────── after a while ◀─────────────────────┘
//! ```
//!
//! Nothing in it is secret, so that this host proves nothing but its address; that whoever answers is a front end of
//! this cluster is proven by its certificate.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    time::Duration,
};

use serde::Deserialize;
use tokio::time::sleep;
use watari_contracts::enrol::{HostFile, PORT, Part};
use watari_model::NodeName;

use super::{certificate, desk::Desk, token::Mark};
use crate::{
    failure::Failure,
    join::talk::Front,
    out,
    setup::{
        self, AUTHORITY, LAUNCHER, NATS, REVOKED,
        cluster::at,
        files::{Overlay, Readers},
        founding,
        kit::{CERTIFICATE, Kit},
        settings,
    },
    texts::faults::Fault,
};

/// How often a host of NATS asks.
const PAUSE: Duration = Duration::from_secs(5);
/// How often a node asks.
const PAUSE_OF_NODE: Duration = Duration::from_secs(900);
/// By what a node knows the servers.
const AGENT: &str = "etc/watari/node-agent.toml";

/// Follows until this host has the cluster's folder itself.
///
/// # Errors
/// [`Failure`] if this is neither a host of NATS nor a node.
pub(super) async fn run(desk: &Desk, root: &Path, given: Option<&str>) -> Result<(), Failure> {
    let mut root = Overlay::at(root.to_owned());
    let none = || Fault::NoCluster { path: desk.dir().display().to_string() };
    let mut told = String::new();
    while desk.description()?.is_none() {
        // Another server may have come since.
        let (servers, part) = servers(&root)?.ok_or_else(none)?;
        let fronts = given.map_or_else(|| servers.fronts(), |front| vec![front.to_owned()]);
        let said = match fetched(&mut root, part, &servers, &fronts).await {
            Ok(said) => said,
            // As long as it stays the same, once is enough.
            Err(failure) => failure.code().to_owned(),
        };
        if said != told {
            out::say(&said);
            told = said;
        }
        sleep(if part == Part::Node { PAUSE_OF_NODE } else { PAUSE }).await;
    }
    Ok(())
}

/// The servers that this host knows, and what it is itself.
fn servers(root: &Overlay) -> Result<Option<(Servers, Part)>, Fault> {
    if let Some(launcher) = root.read(LAUNCHER)? {
        // A witness has some of what a front end has, and is given no more than that.
        return Ok(Servers::of(&launcher).map(|servers| (servers, Part::Frontend)));
    }
    let agent = root.read(AGENT)?;
    Ok(agent.and_then(|agent| Servers::of_node(&agent)).map(|servers| (servers, Part::Node)))
}

/// Fetches what is another one than here; what there is to say about it.
async fn fetched(root: &mut Overlay, part: Part, known: &Servers, fronts: &[String]) -> Result<String, Failure> {
    let Servers { host: here, own, .. } = known;
    let missing =
        || Fault::File { path: root.path(AUTHORITY).display().to_string(), detail: "no certificate".to_owned() };
    let authority = root.read(AUTHORITY)?.and_then(|pem| Mark::of_pem(&pem)).ok_or_else(missing)?;
    let mut last = None;
    for front in fronts {
        let front = Front::new(front.clone(), *own, authority)?;
        let mut said = Vec::new();
        // First, and whatever becomes of the rest: who has joined waits for it, and an earlier version has no more.
        if part != Part::Node {
            match front.nats().await {
                Ok(file) => {
                    let another = taken(root, here, &file)?;
                    said.extend(another.then(|| "the NATS server's configuration is another one".to_owned()));
                }
                Err(failure) => {
                    last = Some(failure);
                    continue;
                }
            }
        }
        match front.settings().await {
            Ok(files) => said.extend(set(root, here, part, *own, &files)?),
            Err(failure) if part == Part::Node => {
                last = Some(failure);
                continue;
            }
            Err(failure) => said.push(failure.code().to_owned()),
        }
        return Ok(said.join("\n"));
    }
    last.map_or(Ok(String::new()), Err)
}

fn taken(root: &mut Overlay, here: &NodeName, file: &HostFile) -> Result<bool, Fault> {
    // A server that reads another host's, or none, does not start any more.
    if file.path != NATS || !is_for(here, file) {
        return Err(Fault::JoinFiles { path: NATS.to_owned() });
    }
    let before = root.counts.written;
    root.put(NATS, Readers::All, &file.text)?;
    Ok(root.counts.written > before)
}

/// Takes settings and a certificate of what this host has. A front end of an earlier version gets by this what its
/// settings name since.
fn set(root: &mut Overlay, here: &NodeName, part: Part, own: IpAddr, files: &[HostFile]) -> Result<Vec<String>, Fault> {
    let kit = Kit::of(part);
    let (mut said, before) = (Vec::new(), root.counts.written);
    for file in files.iter().filter(|file| file.path == REVOKED) {
        said.extend(certificate::revoked(root, kit, &file.text)?);
    }
    // What has libvirt read both again (`watari-revoked.path`) hears of nothing that changes while libvirt does. So a node takes
    // another list by itself, and its certificate when it asks the next time.
    let waits = part == Part::Node && root.counts.written > before;
    for file in files.iter().filter(|file| file.path != REVOKED) {
        if file.path == CERTIFICATE {
            if !waits {
                said.extend(certificate::renewed(root, kit, own, &file.text)?);
            }
            continue;
        }
        if file.path == founding::COMPANY && part == Part::Frontend && is_for(here, file) {
            root.put(&file.path, Readers::All, &file.text)?;
            continue;
        }
        let known = kit.settings().any(|path| path == file.path);
        if !known || !is_for(here, file) || !settings::sets_what_is_made(&file.text) {
            return Err(Fault::JoinFiles { path: file.path.clone() });
        }
        said.extend(setup::renewed(root, &file.path, &file.text)?);
    }
    Ok(said)
}

fn is_for(here: &NodeName, file: &HostFile) -> bool {
    file.text.starts_with(&format!("# Made by `watari setup` for {here};"))
}

/// The addresses of the NATS servers, as this host knows them.
#[derive(Debug, PartialEq, Eq)]
struct Servers {
    /// What this host is called in the cluster, whatever it calls itself.
    host: NodeName,
    own: IpAddr,
    others: Vec<IpAddr>,
}

impl Servers {
    /// As a launcher knows them: its own is the last.
    fn of(launcher: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Launcher {
            host: NodeName,
            bus: Bus,
        }
        #[derive(Deserialize)]
        struct Bus {
            urls: Vec<String>,
        }
        let Launcher { host, bus } = toml::from_str(launcher).ok()?;
        let mut others = addresses(&bus.urls)?;
        Some(Self { host, own: others.pop()?, others })
    }

    /// As a node's agent knows them; it is none of them itself.
    fn of_node(agent: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Agent {
            node: NodeName,
            bus: Bus,
            migration_address: IpAddr,
        }
        #[derive(Deserialize)]
        struct Bus {
            urls: Vec<String>,
        }
        let agent = toml::from_str::<Agent>(agent).ok()?;
        Some(Self { host: agent.node, own: agent.migration_address, others: addresses(&agent.bus.urls)? })
    }

    /// Where one of them may have the folder.
    fn fronts(&self) -> Vec<String> {
        self.others.iter().map(|address| at(*address, PORT)).collect()
    }
}

fn addresses(urls: &[String]) -> Option<Vec<IpAddr>> {
    let address = |url: &String| Some(url.strip_prefix("tls://")?.parse::<SocketAddr>().ok()?.ip());
    urls.iter().map(address).collect()
}

#[cfg(test)]
mod tests {
    use watari_testkit::TempDir;

    use super::*;
    use crate::setup::{
        authority::{self, Authority, Renewal},
        cluster::Cluster,
        kit::KEY,
        settings::of_launcher,
    };

    #[test]
    fn the_other_servers_are_those_that_the_launcher_knows() {
        let host = |name: &str, role: &str, n: u8| {
            format!("[[host]]\nname='{name}'\nrole='{role}'\nsite='a'\naddress='192.0.2.{n}'\n")
        };
        let text = format!(
            "name='c'\n[[site]]\nname='a'\n{}{}{}",
            host("f", "front", 1),
            host("g", "front", 2),
            host("w", "witness", 3)
        );
        let cluster = Cluster::parse(&text, "test").unwrap();
        let servers = Servers::of(&of_launcher(&cluster, &cluster.hosts[1])).unwrap();
        assert_eq!(servers.own.to_string(), "192.0.2.2");
        assert_eq!(servers.fronts(), ["192.0.2.1:8445", "192.0.2.3:8445"]);
        let agent = "node = 'm1'\nmigration_address = '192.0.2.9'\n[bus]\nurls = ['tls://192.0.2.1:4222', 'tls://[2001:db8::1]:4222']\n";
        let servers = Servers::of_node(agent).unwrap();
        assert_eq!((servers.host.as_str(), servers.own.to_string().as_str()), ("m1", "192.0.2.9"));
        assert_eq!(servers.fronts(), ["192.0.2.1:8445", "[2001:db8::1]:8445"]);
        assert_eq!(Servers::of("host = 'f'\n[bus]\nurls = []"), None);
        assert_eq!(Servers::of("host = 'f'\n[bus]\nurls = [\"nats://192.0.2.1:4222\"]"), None);
    }

    #[test]
    fn settings_that_nobody_has_changed_follow_and_others_stay() {
        let (dir, here) = (TempDir::new(), "g".parse().unwrap());
        let own = IpAddr::from([192, 0, 2, 2]);
        let mut root = Overlay::at(dir.path().to_owned());
        let host =
            |name: &str, n: u8| format!("[[host]]\nname='{name}'\nrole='front'\nsite='a'\naddress='192.0.2.{n}'\n");
        let made = |hosts: &[(&str, u8)]| {
            let hosts: String = hosts.iter().map(|(name, n)| host(name, *n)).collect();
            let cluster =
                Cluster::parse(&format!("name='c'\ngrows=true\n[[site]]\nname='a'\n{hosts}"), "test").unwrap();
            let text = of_launcher(&cluster, cluster.host(&here).unwrap());
            [HostFile { path: LAUNCHER.to_owned(), text }]
        };
        let (one, two) = (made(&[("f", 1), ("g", 2)]), made(&[("f", 1), ("g", 2), ("h", 3)]));
        assert!(set(&mut root, &here, Part::Frontend, own, &one).unwrap().is_empty());
        assert!(root.read(LAUNCHER).unwrap().is_none(), "what a host does not have it does not get");
        root.put(LAUNCHER, Readers::All, &one[0].text).unwrap();
        assert!(set(&mut root, &here, Part::Frontend, own, &one).unwrap().is_empty());
        assert_eq!(set(&mut root, &here, Part::Frontend, own, &two).unwrap().len(), 1);
        assert_eq!(root.read(LAUNCHER).unwrap().unwrap(), two[0].text);
        let edited = format!("{}# ours\n", two[0].text);
        root.put(LAUNCHER, Readers::All, &edited).unwrap();
        assert_eq!(set(&mut root, &here, Part::Frontend, own, &one).unwrap().len(), 1);
        assert_eq!(root.read(LAUNCHER).unwrap().unwrap(), edited);
        for path in ["etc/passwd", "etc/watari/node-agent.toml"] {
            let file = HostFile { path: path.to_owned(), text: one[0].text.clone() };
            assert!(set(&mut root, &here, Part::Frontend, own, &[file]).is_err(), "{path}");
        }
        assert!(set(&mut root, &"f".parse().unwrap(), Part::Frontend, own, &one).is_err(), "another host's");
    }

    #[test]
    fn a_front_end_gets_the_configuration_of_who_keeps_it_company_and_only_its_own() {
        let (dir, here) = (TempDir::new(), "g".parse().unwrap());
        let own = IpAddr::from([192, 0, 2, 2]);
        let mut root = Overlay::at(dir.path().to_owned());
        let company = |host: &str| {
            let text = format!("# Made by `watari setup` for {host}; changes are lost when it runs again.\n");
            [HostFile { path: founding::COMPANY.to_owned(), text }]
        };
        for (part, host) in [(Part::Frontend, "f"), (Part::Witness, "g"), (Part::Node, "g")] {
            assert!(set(&mut root, &here, part, own, &company(host)).is_err(), "{host}");
        }
        assert!(root.read(founding::COMPANY).unwrap().is_none());
        assert!(set(&mut root, &here, Part::Frontend, own, &company("g")).unwrap().is_empty());
        assert_eq!(root.read(founding::COMPANY).unwrap().unwrap(), company("g")[0].text);
    }

    #[test]
    fn a_node_takes_another_list_by_itself_and_its_certificate_when_it_asks_the_next_time() {
        const CLUSTER: &str = "name='c'\n[[site]]\nname='a'\n[[host]]\nname='f'\nrole='front'\nsite='a'\naddress='192.0.2.1'\n[[host]]\nname='m'\nrole='node'\nsite='a'\naddress='192.0.2.2'\n";
        let (dir, here, now) = (TempDir::new(), TempDir::new(), watari_chassis::clock::now());
        let cluster = Cluster::parse(CLUSTER, "test").unwrap();
        let made = || {
            setup::make(&cluster, dir.path(), Renewal::WhenNeeded).unwrap();
            Overlay::at(dir.path().join("hosts/m"))
        };
        let (old, mut root) = (made(), Overlay::at(here.path().to_owned()));
        for path in [AUTHORITY, CERTIFICATE, KEY] {
            root.put(path, Readers::Owner, &old.read(path).unwrap().unwrap()).unwrap();
        }
        // Its record is gone, so that it is made anew for the same key; and somebody is expelled.
        std::fs::remove_file(dir.path().join("ca/issued/m.json")).unwrap();
        let new = made().read(CERTIFICATE).unwrap().unwrap();
        let mut ca = Overlay::at(dir.path().join("ca"));
        let authority = Authority::open(&mut ca, &cluster, now).unwrap();
        authority.revoke(&mut ca, &cluster.hosts[0].name, now).unwrap();
        let list = ca.read(authority::REVOKED).unwrap().unwrap();
        let files = [(CERTIFICATE, new), (REVOKED, list)];
        let files = files.map(|(path, text)| HostFile { path: path.to_owned(), text });
        let node = &cluster.hosts[1];
        let asks = |root: &mut Overlay| set(root, &node.name, Part::Node, node.address, &files).unwrap();
        let (first, second) = (asks(&mut root), asks(&mut root));
        assert!(matches!(&first[..], [said] if said.contains("another list")), "{first:?}");
        assert!(matches!(&second[..], [said] if said.contains("a new certificate")), "{second:?}");
        assert_eq!(asks(&mut root), Vec::<String>::new());
    }

    #[test]
    fn only_this_hosts_own_configuration_is_taken_and_once() {
        let (dir, here) = (TempDir::new(), "g".parse().unwrap());
        let mut root = Overlay::at(dir.path().to_owned());
        let file = |path: &str, host: &str| HostFile {
            path: path.to_owned(),
            text: format!("# Made by `watari setup` for {host}; changes are lost when it runs again.\n"),
        };
        for bad in [file(NATS, "f"), file("etc/passwd", "g"), HostFile { path: NATS.to_owned(), text: String::new() }] {
            assert!(taken(&mut root, &here, &bad).is_err(), "{bad:?}");
        }
        assert!(taken(&mut root, &here, &file(NATS, "g")).unwrap());
        assert!(!taken(&mut root, &here, &file(NATS, "g")).unwrap());
    }
}
