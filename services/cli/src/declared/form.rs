//! Servers as they are written down: YAML, JSON or TOML, in the words of `watari vm create`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde::{Deserialize, Serialize};
use watari_contracts::scheduler::{CreateVm, VmView};
use watari_model::{
    FirewallName, HostName, ImageName, KeyName, Refusal, SiteName, VmName,
    isolation::OnIsolation,
    size,
    vm::{Desired, Evacuate, Membership, Probe, Restart, Size},
};

use crate::{failure::Failure, input, texts::faults::Fault, vm};

/// What is larger was hardly written by hand, nor by an export.
const MOST_BYTES: usize = 1 << 20;
const MOST_SERVERS: usize = 1_000;

/// A whole file. The field names are stable.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// Its servers, each named once.
    pub(crate) servers: Vec<Server>,
}

/// One server. What is left out stays as it is, and is the usual for a new one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Server {
    pub(crate) name: VmName,
    pub(super) image: ImageName,
    /// `NETWORK` or `NETWORK=ADDRESS` each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) networks: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) site: Option<SiteName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) vcpus: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) memory: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) disk: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) node_labels: Option<BTreeMap<String, String>>,
    /// `GROUP:together` or `GROUP:apart` each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) groups: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) firewalls: Option<Vec<FirewallName>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) probes: Option<Vec<Probe>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) evacuate: Option<Evacuate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) priority: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) restart: Option<Restart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) on_isolation: Option<OnIsolation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) keys: Option<Vec<KeyName>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hostname: Option<HostName>,
    /// A file's name, from where this one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user_data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) running: Option<bool>,
}

/// A server as it was written and the request that makes it, which has no name yet.
pub(super) struct Declared {
    pub(super) server: Server,
    pub(super) request: CreateVm,
}

/// The servers of a file.
///
/// # Errors
/// As [`checked`], or that the file cannot be read.
pub(super) fn read(path: &str) -> Result<Vec<Declared>, Failure> {
    // Room for one byte more, so that a file that is too long is refused as such.
    checked(path, &input::text(path, MOST_BYTES + 1)?)
}

/// The servers of a file's text, each checked as far as that needs nobody.
///
/// # Errors
/// [`Failure`] that names the file, or the server and what is wrong with it.
pub(super) fn checked(path: &str, text: &str) -> Result<Vec<Declared>, Failure> {
    if text.len() > MOST_BYTES {
        return Err(Fault::ServersTooMany { path: path.to_owned() }.into());
    }
    let servers = parse(path, text).map_err(|detail| Fault::ServersSyntax { path: path.to_owned(), detail })?.servers;
    if servers.len() > MOST_SERVERS {
        return Err(Fault::ServersTooMany { path: path.to_owned() }.into());
    }
    if let Some(server) = twice(&servers) {
        return Err(Fault::ServersTwice { path: path.to_owned(), server: server.to_string() }.into());
    }
    let folder = Path::new(path).parent().unwrap_or(Path::new(""));
    servers.into_iter().map(|server| Ok(Declared { request: server.request(folder)?, server })).collect()
}

fn parse(path: &str, text: &str) -> Result<File, String> {
    match Path::new(path).extension().and_then(|extension| extension.to_str()) {
        Some("toml") => toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned()),
        Some("json") => serde_json::from_str(text).map_err(|error| error.to_string()),
        // JSON is YAML as well.
        _ => serde_saphyr::from_str(text).map_err(|error| error.to_string()),
    }
}

fn twice(servers: &[Server]) -> Option<&VmName> {
    let mut names = BTreeSet::new();
    servers.iter().map(|server| &server.name).find(|name| !names.insert(*name))
}

impl Server {
    /// The request that makes it; files are named from `folder` on.
    fn request(&self, folder: &Path) -> Result<CreateVm, Failure> {
        let field = |name: &str| format!("{}: {name}", self.name);
        let sized = |name: &str, text: Option<&String>, parse: fn(&str, &str) -> Result<u64, Refusal>, usual: u64| {
            text.map_or(Ok(usual), |text| parse(&field(name), text).map_err(Failure::mistyped))
        };
        let networks = self.networks.iter().flatten().map(|text| vm::nic(&field("networks"), text));
        let groups = self.groups.iter().flatten().map(|text| vm::group(&field("groups"), text));
        let user_data = self.user_data.as_ref().map(|file| vm::user_data(&folder.join(file).to_string_lossy()));
        Ok(CreateVm {
            request_id: None,
            name: self.name.clone(),
            image: self.image.clone(),
            networks: networks.collect::<Result<_, _>>()?,
            site: self.site.clone(),
            vcpus: self.vcpus.unwrap_or(1),
            memory_mib: sized("memory", self.memory.as_ref(), size::parse_mib, 192)?,
            disk_gib: sized("disk", self.disk.as_ref(), size::parse_gib, 2)?,
            disk: None,
            node_labels: self.node_labels.clone().unwrap_or_default(),
            groups: groups.collect::<Result<_, _>>()?,
            firewalls: self.firewalls.clone().unwrap_or_default(),
            probes: self.probes.clone().unwrap_or_default(),
            evacuate: self.evacuate.unwrap_or_default(),
            priority: self.priority.unwrap_or_default(),
            restart: self.restart.unwrap_or_default(),
            on_isolation: self.on_isolation.unwrap_or_default(),
            hostname: self.hostname.clone(),
            keys: self.keys.clone().unwrap_or_default(),
            user_data: user_data.transpose()?,
            start: self.running.unwrap_or(true),
        })
    }
}

impl From<&VmView> for Server {
    /// All that a new server would not have anyway, but for user-data, which nobody is shown.
    fn from(vm: &VmView) -> Self {
        let size = later(vm);
        Self {
            name: vm.name.clone(),
            image: vm.image.clone(),
            networks: some(networks(vm)),
            site: Some(vm.home_site.clone()),
            vcpus: Some(size.vcpus),
            memory: Some(mib(size.memory_mib)),
            disk: Some(gib(size.disk_gib)),
            node_labels: Some(vm.node_labels.clone()).filter(|labels| !labels.is_empty()),
            groups: some(vm.groups.iter().map(group).collect()),
            firewalls: some(vm.firewalls.clone()),
            probes: some(vm.probes.clone()),
            evacuate: Some(vm.evacuate).filter(|evacuate| *evacuate != Evacuate::default()),
            priority: Some(vm.priority).filter(|priority| *priority > 0),
            restart: Some(vm.restart).filter(|restart| !restart.is_usual()),
            on_isolation: Some(vm.on_isolation).filter(|policy| !policy.is_usual()),
            keys: some(vm.keys.clone()),
            hostname: Some(vm.hostname.clone()).filter(|name| name.as_str() != vm.name.as_str()),
            user_data: None,
            running: (vm.desired == Desired::Stopped).then_some(false),
        }
    }
}

fn some<T>(items: Vec<T>) -> Option<Vec<T>> {
    Some(items).filter(|items| !items.is_empty())
}

/// How large a server will be from its next start on.
pub(super) fn later(vm: &VmView) -> Size {
    vm.pending.unwrap_or(Size { vcpus: vm.vcpus, memory_mib: vm.memory_mib, disk_gib: vm.disk_gib })
}

/// A server's networks, each with its address there as soon as it has one.
pub(super) fn networks(vm: &VmView) -> Vec<String> {
    let address = |n: usize| vm.addresses.get(n).map(|address| format!("={address}")).unwrap_or_default();
    vm.networks.iter().enumerate().map(|(n, network)| format!("{network}{}", address(n))).collect()
}

/// `GROUP:apart`.
pub(super) fn group(of: &Membership) -> String {
    format!("{}:{}", of.group, vm::company(of.company))
}

pub(super) fn mib(mib: u64) -> String {
    format!("{mib}MiB")
}

pub(super) fn gib(gib: u64) -> String {
    format!("{gib}GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "servers:\n  - name: web\n    image: mini\n    networks: [campus=203.0.113.7, lab]\n    memory: 1GiB\n    groups: [front:apart]\n";

    fn requests(path: &str, text: &str) -> Vec<CreateVm> {
        let servers = parse(path, text).unwrap_or_else(|e| panic!("{path}: {e}")).servers;
        servers.iter().map(|server| server.request(Path::new("")).unwrap()).collect()
    }

    #[test]
    fn the_three_forms_say_the_same() {
        let json = r#"{"servers": [{"name": "web", "image": "mini", "networks": ["campus=203.0.113.7", "lab"],
            "memory": "1GiB", "groups": ["front:apart"]}]}"#;
        let toml = "[[servers]]\nname = \"web\"\nimage = \"mini\"\nnetworks = [\"campus=203.0.113.7\", \"lab\"]\n\
            memory = \"1GiB\"\ngroups = [\"front:apart\"]\n";
        let yaml = requests("servers.yaml", YAML);
        assert_eq!((yaml[0].memory_mib, yaml[0].networks.len(), yaml[0].groups.len()), (1024, 2, 1));
        for (path, text) in [("a.json", json), ("a.toml", toml), ("-", json), ("-", YAML), ("a.yml", YAML)] {
            assert_eq!(requests(path, text), yaml, "{path}");
        }
    }

    #[test]
    fn what_is_left_out_is_what_the_service_takes_for_usual() {
        let usual: CreateVm = serde_json::from_str(r#"{"name": "web", "image": "mini"}"#).unwrap();
        assert_eq!(requests("-", "servers: [{name: web, image: mini}]"), [usual]);
    }

    #[test]
    fn what_is_no_such_file_or_no_such_server_is_refused() {
        for text in [
            "",
            "[]",
            "servers: 3",
            "servers: [{name: web}]",
            "servers: [{name: we.b, image: mini}]",
            "servers: [{name: web, image: mini, colour: blue}]",
            "servers: [{name: web, image: mini, evacuate: perhaps}]",
        ] {
            assert!(parse("-", text).is_err(), "{text}");
        }
        for server in ["memory: '192'", "disk: 0GiB", "networks: [campus=here]", "groups: [front:near]"] {
            let file = parse("-", &format!("servers: [{{name: web, image: mini, {server}}}]")).unwrap();
            let refused = file.servers[0].request(Path::new("")).unwrap_err();
            assert_eq!(refused.exit(), crate::failure::USAGE, "{server}");
        }
        let file = parse("-", "servers: [{name: a, image: i}, {name: b, image: i}, {name: a, image: j}]").unwrap();
        assert_eq!(twice(&file.servers).map(VmName::as_str), Some("a"));
    }

    #[test]
    fn what_is_written_down_is_read_as_it_was() {
        let golden = include_str!("../../../../shared/contracts/tests/golden/reply.VmView.json");
        let views: Vec<VmView> = serde_json::from_str(golden).unwrap();
        let file = File { servers: views.iter().map(Server::from).collect() };
        let yaml = serde_saphyr::to_string(&file).unwrap();
        assert_eq!(parse("-", &yaml).unwrap().servers, file.servers, "{yaml}");
        assert_eq!(parse("a.toml", &toml::to_string(&file).unwrap()).unwrap().servers, file.servers);
        assert!(
            yaml.contains("campus=203.0.113.100") && yaml.contains("front:apart") && yaml.contains("rack: a3"),
            "{yaml}"
        );
        assert_eq!((file.servers[1].running, file.servers[1].memory.as_deref()), (Some(false), Some("512MiB")));
    }
}
