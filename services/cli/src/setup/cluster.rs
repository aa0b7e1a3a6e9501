//! The description of a cluster, as an operator writes it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::IpAddr,
    path::Path,
};

use serde::Deserialize;
use watari_model::{KeyName, NodeName, ProjectName, SegmentName, SiteName};

use crate::texts::faults::Fault;

/// The bridge that a node has for the campus segment if the description names none.
pub const CAMPUS: (&str, &str) = ("campus", "br-campus");

/// A cluster: its sites and its hosts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// Its name, a DNS label.
    pub name: SiteName,
    /// Whether its NATS was a cluster from its first server on, so that front ends and a witness may join one by one.
    /// `watari init` says so; a server that began alone would lose what it holds.
    #[serde(default)]
    pub grows: bool,
    /// Whether Prometheus reaches the hosts' metrics at their own addresses: in plain text and by whoever gets there, so that
    /// something else must guard the network. Otherwise each host tells them to itself alone.
    #[serde(default)]
    pub scraped: bool,
    /// Its sites.
    #[serde(rename = "site", default)]
    pub sites: Vec<Site>,
    /// Its hosts.
    #[serde(rename = "host", default)]
    pub hosts: Vec<Host>,
    /// People with keys of their own, beside those that all administrators, operators and viewers share.
    #[serde(rename = "person", default)]
    pub people: Vec<Person>,
}

/// Somebody with a key of their own, by which the history names them and which goes when they do.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// What the key is called.
    pub name: KeyName,
    /// What they may do.
    pub role: Work,
    /// The project whose servers alone an operator may change.
    pub project: Option<ProjectName>,
}

/// How much somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Work {
    /// Everything that can be asked for.
    Administrator,
    /// Everyday work.
    Operator,
    /// Looking.
    Viewer,
}

/// Names of keys that every cluster has.
const SHARED: [&str; 4] = ["admin", "administrator", "operator", "viewer"];

/// A campus.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// Its name.
    pub name: SiteName,
    /// What people call it; its name if left out.
    pub title: Option<String>,
}

/// What a host is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// NATS and the services.
    Front,
    /// libvirt and the agent.
    Node,
    /// NATS only, so that either front end with it is a majority.
    Witness,
    /// Where operators type `watari`.
    Client,
}

impl Role {
    /// The word in descriptions, certificates and summaries.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Front => "front",
            Self::Node => "node",
            Self::Witness => "witness",
            Self::Client => "client",
        }
    }

    /// Whether it runs a NATS server.
    #[must_use]
    pub const fn has_nats(self) -> bool {
        matches!(self, Self::Front | Self::Witness)
    }
}

/// A machine.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Its host name.
    pub name: NodeName,
    /// What it is for.
    pub role: Role,
    /// Where it stands; front ends and nodes must say.
    pub site: Option<SiteName>,
    /// Its address for management and migration.
    pub address: IpAddr,
    /// Which segment is which bridge (nodes).
    #[serde(default)]
    pub segments: BTreeMap<SegmentName, String>,
    /// Processors that servers may use; all of them if left out (nodes).
    pub vcpus: Option<u32>,
    /// Memory that servers may use; what the host can spare if left out (nodes).
    pub memory_mib: Option<u64>,
    /// Labels for placement (nodes).
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

impl Cluster {
    /// Reads and checks a description.
    ///
    /// # Errors
    /// [`Fault`] naming what is wrong with the file.
    pub fn read(path: &Path) -> Result<Self, Fault> {
        let shown = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|e| Fault::unread(&shown, &e))?;
        Self::parse(&text, &shown)
    }

    /// Checks a description that was read from `shown`.
    ///
    /// # Errors
    /// As [`Cluster::read`].
    pub fn parse(text: &str, shown: &str) -> Result<Self, Fault> {
        let path = || shown.to_owned();
        let mut cluster: Self = toml::from_str(text)
            .map_err(|e| Fault::ClusterSyntax { path: path(), detail: e.to_string().trim_end().to_owned() })?;
        cluster.check().map_err(|detail| Fault::ClusterUnsound { path: path(), detail })?;
        for node in cluster.hosts.iter_mut().filter(|h| h.role == Role::Node && h.segments.is_empty()) {
            if let Ok(segment) = CAMPUS.0.parse() {
                node.segments.insert(segment, CAMPUS.1.to_owned());
            }
        }
        Ok(cluster)
    }

    /// The host of this name.
    #[must_use]
    pub fn host(&self, name: &NodeName) -> Option<&Host> {
        self.hosts.iter().find(|host| host.name == *name)
    }

    /// The hosts of a role.
    pub fn of_role(&self, role: Role) -> impl Iterator<Item = &Host> {
        self.hosts.iter().filter(move |h| h.role == role)
    }

    /// The hosts that run a NATS server, front ends first.
    pub fn nats_servers(&self) -> impl Iterator<Item = &Host> {
        self.of_role(Role::Front).chain(self.of_role(Role::Witness))
    }

    /// Copies of each bucket when all is well. Of two servers neither is a majority alone; but one can be left with
    /// everything before the other's campus goes dark, if it has a copy.
    #[must_use]
    pub fn copies(&self) -> u8 {
        match self.nats_servers().count() {
            0 | 1 => 1,
            2 => 2,
            3 | 4 => 3,
            _ => 5,
        }
    }

    /// Whether `host` has the NATS server that makes a cluster of itself, to which the others come.
    #[must_use]
    pub fn founds(&self, host: &Host) -> bool {
        self.grows && self.nats_servers().next().is_some_and(|first| first.name == host.name)
    }

    /// Whether the NATS server of `host` may be the only one with a vote, when the others' campus goes dark.
    #[must_use]
    pub fn may_be_left_alone(&self, host: &Host) -> bool {
        host.role == Role::Front && (self.grows || self.nats_servers().count() > 1)
    }

    /// Whether `host` has a NATS server that came into a cluster which was there before.
    #[must_use]
    pub fn joins(&self, host: &Host) -> bool {
        self.grows && host.role.has_nats() && self.nats_servers().next().is_some_and(|first| first.name != host.name)
    }

    /// The NATS servers as `host` should try them: itself, its own site's, the other front ends,
    /// the witness.
    #[must_use]
    pub fn urls_for(&self, host: &Host) -> Vec<String> {
        let mut servers: Vec<&Host> = self.nats_servers().collect();
        servers.sort_by_key(|s| (s.name != host.name, s.role == Role::Witness, s.site != host.site));
        servers.into_iter().map(|s| format!("tls://{}", at(s.address, 4222))).collect()
    }

    fn check_people(&self) -> Result<(), String> {
        let mut names = BTreeSet::from(SHARED);
        for Person { name, role, project } in &self.people {
            if !names.insert(name.as_str()) {
                return Err(format!("person {name} stands twice, or has the name of a key that every cluster has"));
            }
            if project.is_some() && *role != Work::Operator {
                return Err(format!("person {name} is no operator: project does not apply"));
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        let mut names = BTreeSet::new();
        let mut addresses = BTreeSet::new();
        let mut sites = BTreeSet::new();
        for site in &self.sites {
            if !sites.insert(&site.name) {
                return Err(format!("site {} stands twice", site.name));
            }
        }
        for host in &self.hosts {
            let name = &host.name;
            if !names.insert(name) {
                return Err(format!("host {name} stands twice"));
            }
            if !addresses.insert(host.address) {
                return Err(format!("address {} of host {name} belongs to another host", host.address));
            }
            match (&host.site, host.role) {
                (None, Role::Front | Role::Node) => {
                    return Err(format!("host {name} is a {} and needs a site", host.role.word()));
                }
                (Some(site), _) if !sites.contains(site) => {
                    return Err(format!("host {name} stands at unknown site {site}"));
                }
                _ => {}
            }
            if host.role != Role::Node
                && (host.vcpus.is_some() || host.memory_mib.is_some() || !host.segments.is_empty())
            {
                return Err(format!("host {name} is no node: vcpus, memory_mib and segments do not apply"));
            }
        }
        self.check_people()?;
        if self.of_role(Role::Front).next().is_none() {
            return Err("it has no host of role front".to_owned());
        }
        match self.nats_servers().count() {
            1 | 2 | 3 | 5 => Ok(()),
            // On the way to the next odd number.
            4 if self.grows => Ok(()),
            n => Err(format!(
                "front ends and witnesses are {n} together, and may be 1, 2, 3 or 5: add or remove a witness"
            )),
        }
    }
}

/// `ADDRESS:PORT`, with brackets where IPv6 wants them.
#[must_use]
pub fn at(address: IpAddr, port: u16) -> String {
    std::net::SocketAddr::new(address, port).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<(), String> {
        toml::from_str::<Cluster>(text).map_err(|e| e.to_string())?.check()
    }

    const ONE: &str = "name='c'\n[[site]]\nname='a'\n[[host]]\nname='f'\nrole='front'\nsite='a'\naddress='192.0.2.1'\n";

    #[test]
    fn one_two_and_three_servers_are_a_cluster_and_four_are_none() {
        checked(ONE).unwrap();
        let two = format!("{ONE}[[host]]\nname='g'\nrole='front'\nsite='a'\naddress='192.0.2.2'\n");
        checked(&two).unwrap();
        let three = format!("{two}[[host]]\nname='w'\nrole='witness'\naddress='192.0.2.3'\n");
        checked(&three).unwrap();
        let four = format!("{three}[[host]]\nname='x'\nrole='witness'\naddress='192.0.2.4'\n");
        assert!(checked(&four).unwrap_err().contains("witness"));
    }

    #[test]
    fn a_cluster_that_grows_may_have_two_servers_on_its_way_to_three() {
        let read = |text: &str| {
            let cluster: Cluster = toml::from_str(text).unwrap();
            cluster.check().unwrap();
            cluster
        };
        let one = read(&format!("grows=true\n{ONE}"));
        assert!(one.founds(&one.hosts[0]) && !one.joins(&one.hosts[0]) && one.copies() == 1);
        let two = format!("grows=true\n{ONE}[[host]]\nname='g'\nrole='front'\nsite='a'\naddress='192.0.2.2'\n");
        let three = format!("{two}[[host]]\nname='w'\nrole='witness'\naddress='192.0.2.3'\n");
        for (text, copies) in [(&two, 2), (&three, 3)] {
            let cluster = read(text);
            assert_eq!(cluster.copies(), copies);
            for (n, host) in cluster.hosts.iter().enumerate() {
                assert!(cluster.founds(host) == (n == 0) && cluster.joins(host) == (n > 0), "{}", host.name);
            }
        }
        let alone = read(ONE);
        assert!(!alone.founds(&alone.hosts[0]) && !alone.joins(&alone.hosts[0]));
    }

    #[test]
    fn what_cannot_work_is_told() {
        let node = |rest: &str| checked(&format!("{ONE}[[host]]\nname='n'\nrole='node'\n{rest}"));
        node("site='a'\naddress='192.0.2.9'\nvcpus=4\nsegments={campus='br0'}\n").unwrap();
        for (rest, part) in [
            ("address='192.0.2.9'\n", "needs a site"),
            ("site='b'\naddress='192.0.2.9'\n", "unknown site b"),
            ("site='a'\naddress='192.0.2.1'\n", "belongs to another"),
            ("site='a'\naddress='here'\n", "address"),
            ("site='a'\naddress='192.0.2.9'\ncolour='red'\n", "colour"),
        ] {
            let told = node(rest).unwrap_err();
            assert!(told.contains(part), "{told}");
        }
        assert!(checked("name='c'\n").unwrap_err().contains("front"));
        let people = |rest: &str| checked(&format!("{ONE}[[person]]\nname='sato'\n{rest}"));
        people("role='operator'\nproject='research'\n[[person]]\nname='suzuki'\nrole='viewer'\n").unwrap();
        for (rest, part) in [
            ("role='viewer'\nproject='research'\n", "no operator"),
            ("role='operator'\n[[person]]\nname='sato'\nrole='viewer'\n", "stands twice"),
            ("role='operator'\n[[person]]\nname='viewer'\nrole='viewer'\n", "every cluster has"),
            ("role='root'\n", "root"),
            ("", "role"),
        ] {
            let told = people(rest).unwrap_err();
            assert!(told.contains(part), "{told}");
        }
        assert!(checked(&ONE.replace("'f'", "'f;rm'")).unwrap_err().contains("not a name"));
    }
}
