//! On the other hosts of NATS, which have no folder of the cluster: they fetch their own configuration from the one
//! that has it, so that a host which has joined is known to all within seconds. Their services' settings come as well,
//! and count when those are started again.
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

use super::{desk::Desk, token::Mark};
use crate::{
    failure::Failure,
    join::talk::Front,
    out,
    setup::{
        self, AUTHORITY, LAUNCHER, NATS,
        cluster::at,
        files::{Overlay, Readers},
        kit::Kit,
    },
    texts::faults::Fault,
};

/// How often it is asked.
const PAUSE: Duration = Duration::from_secs(5);

/// Follows until this host has the cluster's folder itself.
///
/// # Errors
/// [`Failure`] if this is no host of NATS.
pub(super) async fn run(desk: &Desk, here: &NodeName, root: &Path, given: Option<&str>) -> Result<(), Failure> {
    let mut root = Overlay::at(root.to_owned());
    let none = || Fault::NoCluster { path: desk.dir().display().to_string() };
    let mut told = String::new();
    while desk.description()?.is_none() {
        // Another server may have come since.
        let servers = Servers::of(&root.read(LAUNCHER)?.ok_or_else(none)?).ok_or_else(none)?;
        let fronts = given.map_or_else(|| servers.fronts(), |front| vec![front.to_owned()]);
        let said = match fetched(&mut root, here, servers.own, &fronts).await {
            Ok(said) => said,
            // As long as it stays the same, once is enough.
            Err(failure) => failure.code().to_owned(),
        };
        if said != told {
            out::say(&said);
            told = said;
        }
        sleep(PAUSE).await;
    }
    Ok(())
}

/// Fetches what is another one than here; what there is to say about it.
async fn fetched(root: &mut Overlay, here: &NodeName, own: IpAddr, fronts: &[String]) -> Result<String, Failure> {
    let missing =
        || Fault::File { path: root.path(AUTHORITY).display().to_string(), detail: "no certificate".to_owned() };
    let authority = root.read(AUTHORITY)?.and_then(|pem| Mark::of_pem(&pem)).ok_or_else(missing)?;
    let mut last = None;
    for front in fronts {
        let front = Front::new(front.clone(), own, authority)?;
        match front.nats().await {
            Ok(file) => {
                let mut said = Vec::new();
                if taken(root, here, &file)? {
                    said.push("the NATS server's configuration is another one".to_owned());
                }
                said.extend(set(root, here, &front.settings().await?)?);
                return Ok(said.join("\n"));
            }
            Err(failure) => last = Some(failure),
        }
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

/// Takes settings of what this host has.
fn set(root: &mut Overlay, here: &NodeName, files: &[HostFile]) -> Result<Vec<String>, Fault> {
    let mut said = Vec::new();
    for file in files {
        if !Kit::of(Part::Frontend).settings().any(|path| path == file.path) || !is_for(here, file) {
            return Err(Fault::JoinFiles { path: file.path.clone() });
        }
        said.extend(setup::renewed(root, &file.path, &file.text)?);
    }
    Ok(said)
}

fn is_for(here: &NodeName, file: &HostFile) -> bool {
    file.text.starts_with(&format!("# Made by `watari setup` for {here};"))
}

/// The addresses of the NATS servers, as this host's launcher knows them: its own is the last.
#[derive(Debug, PartialEq, Eq)]
struct Servers {
    own: IpAddr,
    others: Vec<IpAddr>,
}

impl Servers {
    fn of(launcher: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Launcher {
            bus: Bus,
        }
        #[derive(Deserialize)]
        struct Bus {
            urls: Vec<String>,
        }
        let urls = toml::from_str::<Launcher>(launcher).ok()?.bus.urls;
        let address = |url: &String| Some(url.strip_prefix("tls://")?.parse::<SocketAddr>().ok()?.ip());
        let mut others = urls.iter().map(address).collect::<Option<Vec<_>>>()?;
        Some(Self { own: others.pop()?, others })
    }

    /// Where one of them may have the folder.
    fn fronts(&self) -> Vec<String> {
        self.others.iter().map(|address| at(*address, PORT)).collect()
    }
}

#[cfg(test)]
mod tests {
    use watari_testkit::TempDir;

    use super::*;
    use crate::setup::{cluster::Cluster, settings::of_launcher};

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
        assert_eq!(Servers::of("[bus]\nurls = []"), None);
        assert_eq!(Servers::of("[bus]\nurls = [\"nats://192.0.2.1:4222\"]"), None);
    }

    #[test]
    fn settings_that_nobody_has_changed_follow_and_others_stay() {
        let (dir, here) = (TempDir::new(), "g".parse().unwrap());
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
        assert!(set(&mut root, &here, &one).unwrap().is_empty());
        assert!(root.read(LAUNCHER).unwrap().is_none(), "what a host does not have it does not get");
        root.put(LAUNCHER, Readers::All, &one[0].text).unwrap();
        assert!(set(&mut root, &here, &one).unwrap().is_empty());
        assert_eq!(set(&mut root, &here, &two).unwrap().len(), 1);
        assert_eq!(root.read(LAUNCHER).unwrap().unwrap(), two[0].text);
        let edited = format!("{}# ours\n", two[0].text);
        root.put(LAUNCHER, Readers::All, &edited).unwrap();
        assert_eq!(set(&mut root, &here, &one).unwrap().len(), 1);
        assert_eq!(root.read(LAUNCHER).unwrap().unwrap(), edited);
        for path in ["etc/passwd", "etc/watari/node-agent.toml"] {
            assert!(set(&mut root, &here, &[HostFile { path: path.to_owned(), text: one[0].text.clone() }]).is_err());
        }
        assert!(set(&mut root, &"f".parse().unwrap(), &one).is_err(), "another host's");
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
