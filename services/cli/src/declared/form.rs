//! Servers as they are written down: YAML, JSON or TOML, in the words of `watari vm create`.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    path::Path,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use watari_contracts::{
    address::AddressView,
    scheduler::{CreateVm, VmView},
};
use watari_model::{
    FirewallName, HostName, ImageName, KeyName, ProjectName, Refusal, Said, SiteName, VmName,
    isolation::OnIsolation,
    size,
    vm::{Desired, Evacuate, Membership, Probe, Restart, Size},
};

use super::faulty;
use crate::{failure::Failure, format, input, texts::faults::Fault, vm};

/// What is larger was hardly written by hand, nor by an export.
const MOST_BYTES: usize = 1 << 20;
const MOST_SERVERS: usize = 1_000;
/// As `watari vm create --priority` takes it.
const MOST_PRIORITY: u8 = 100;

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
    /// Of a server that is there it may be left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) image: Option<ImageName>,
    /// `NETWORK` or `NETWORK=ADDRESS` each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) networks: Option<Vec<String>>,
    /// `NETWORK=ADDRESS` each: what leads to the server's port on an overlay network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) public_addresses: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) site: Option<SiteName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) project: Option<ProjectName>,
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
    /// The servers on which it depends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<Vec<VmName>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) evacuate: Option<Evacuate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) priority: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) restart: Option<Restart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) on_isolation: Option<OnIsolation>,
    /// In seconds, 0 for never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) restart_from_copy: Option<u32>,
    /// In seconds, 0 for never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_downtime: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) display: Option<bool>,
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

/// The request that makes a server of an image; it has no name yet.
pub(super) type Draft = Box<dyn FnOnce(ImageName) -> CreateVm>;

/// A server as it was written and the request that makes it.
pub(super) struct Declared {
    pub(super) server: Server,
    pub(super) draft: Draft,
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
        return Err(Fault::ServersTooMany { path: shown(path) }.into());
    }
    let servers = parse::<File>(path, text).map_err(|detail| fault(path, text, detail))?.servers;
    if servers.len() > MOST_SERVERS {
        return Err(Fault::ServersTooMany { path: shown(path) }.into());
    }
    if let Some(server) = twice(&servers) {
        return Err(Fault::ServersTwice { path: shown(path), server: server.to_string() }.into());
    }
    let folder = Path::new(path).parent().unwrap_or(Path::new(""));
    servers.into_iter().map(|server| Ok(Declared { draft: server.draft(folder)?, server })).collect()
}

/// Standard input has a name as well.
pub(super) fn shown(path: &str) -> String {
    if path == "-" { "stdin".to_owned() } else { path.to_owned() }
}

/// Why a text declares no servers, if a parser says `detail` of it.
fn fault(path: &str, text: &str, detail: String) -> Fault {
    let known = match parse::<serde_json::Value>(path, text) {
        Ok(value) => faulty::found(&shown(path), &value),
        Err(_) if text.trim().is_empty() => Some(Fault::ServersShape { path: shown(path) }),
        Err(_) => None,
    };
    known.unwrap_or_else(|| Fault::ServersSyntax { path: shown(path), detail })
}

fn parse<T: DeserializeOwned>(path: &str, text: &str) -> Result<T, String> {
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
    fn draft(&self, folder: &Path) -> Result<Draft, Failure> {
        let field = |name: &str| format!("{}: {name}", self.name);
        let sized = |name: &str, text: Option<&String>, parse: fn(&str, &str) -> Result<u64, Refusal>, usual: u64| {
            text.map_or(Ok(usual), |text| parse(&field(name), text).map_err(Failure::mistyped))
        };
        let networks = self.networks.iter().flatten().map(|text| vm::nic(&field("networks"), text));
        for text in self.public_addresses.iter().flatten() {
            if vm::nic(&field("public_addresses"), text)?.address.is_none() {
                let allowed = Said::both("NETWORK=ADDRESS");
                return Err(input::out_of_range(&field("public_addresses"), allowed, text));
            }
        }
        let groups = self.groups.iter().flatten().map(|text| vm::group(&field("groups"), text));
        let user_data = self.user_data.as_ref().map(|file| vm::user_data(&folder.join(file).to_string_lossy()));
        if let Some(priority) = self.priority.filter(|priority| *priority > MOST_PRIORITY) {
            let allowed = Said::new("a number from 0 to 100", "0 から 100 の数");
            return Err(input::out_of_range(&field("priority"), allowed, &priority.to_string()));
        }
        let networks: Vec<_> = networks.collect::<Result<_, _>>()?;
        let groups: Vec<_> = groups.collect::<Result<_, _>>()?;
        let memory_mib = sized("memory", self.memory.as_ref(), size::parse_memory, 192)?;
        let disk_gib = sized("disk", self.disk.as_ref(), size::parse_disk, 2)?;
        let vcpus = self.vcpus.map_or(Ok(1), |vcpus| size::parse_vcpus(&field("vcpus"), &vcpus.to_string()));
        let vcpus = vcpus.map_err(Failure::mistyped)?;
        let (user_data, given) = (user_data.transpose()?, self.clone());
        Ok(Box::new(move |image: ImageName| CreateVm {
            request_id: None,
            name: given.name,
            image,
            project: given.project.unwrap_or_default(),
            networks,
            site: given.site,
            vcpus,
            memory_mib,
            disk_gib,
            disk: None,
            node_labels: given.node_labels.unwrap_or_default(),
            groups,
            firewalls: given.firewalls.unwrap_or_default(),
            probes: given.probes.unwrap_or_default(),
            after: given.after.unwrap_or_default(),
            evacuate: given.evacuate.unwrap_or_default(),
            priority: given.priority.unwrap_or_default(),
            restart: given.restart.unwrap_or_default(),
            on_isolation: given.on_isolation.unwrap_or_default(),
            restart_from_copy_seconds: given.restart_from_copy.and_then(NonZeroU32::new),
            max_downtime_seconds: given.max_downtime.and_then(NonZeroU32::new),
            display: given.display.unwrap_or_default(),
            hostname: given.hostname,
            keys: given.keys.unwrap_or_default(),
            user_data,
            start: given.running.unwrap_or(true),
        }))
    }
}

impl From<&VmView> for Server {
    /// All that a new server would not have anyway, and all that can be changed, so that what was written down once can
    /// be had again; but for user-data, which nobody is shown.
    fn from(vm: &VmView) -> Self {
        let size = later(vm);
        Self {
            name: vm.name.clone(),
            image: Some(vm.image.clone()),
            networks: some(networks(vm)),
            public_addresses: None,
            site: Some(vm.home_site.clone()),
            project: Some(vm.project.clone()),
            vcpus: Some(size.vcpus),
            memory: Some(mib(size.memory_mib)),
            disk: Some(gib(size.disk_gib)),
            node_labels: Some(vm.node_labels.clone()).filter(|labels| !labels.is_empty()),
            groups: some(vm.groups.iter().map(group).collect()),
            firewalls: some(vm.firewalls.clone()),
            probes: Some(vm.probes.clone()),
            after: Some(vm.after.clone()),
            evacuate: Some(vm.evacuate),
            priority: Some(vm.priority),
            restart: Some(vm.restart),
            on_isolation: Some(vm.on_isolation),
            restart_from_copy: Some(vm.restart_from_copy_seconds.map_or(0, NonZeroU32::get)),
            max_downtime: Some(vm.max_downtime_seconds.map_or(0, NonZeroU32::get)),
            display: Some(vm.display).filter(|display| *display),
            keys: some(vm.keys.clone()),
            hostname: Some(vm.hostname.clone()).filter(|name| name.as_str() != vm.name.as_str()),
            user_data: None,
            running: Some(vm.desired == Desired::Running),
        }
    }
}

impl Server {
    /// The same with what leads to it, which the server's own document does not say.
    pub(crate) fn led_to_by(self, leading: &[AddressView], vm: &VmView) -> Self {
        Self { public_addresses: some(public(leading, vm)), ..self }
    }
}

/// What leads to a server, each with the network of the port.
pub(super) fn public(leading: &[AddressView], vm: &VmView) -> Vec<String> {
    let to = |one: &AddressView| {
        let target = one.leads_to.as_ref().filter(|target| target.vm_uuid == vm.uuid)?;
        Some(format!("{}={}", target.network, one.address))
    };
    leading.iter().filter_map(to).collect()
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
    let (number, unit) = format::in_unit(mib);
    format!("{number}{unit}")
}

pub(super) fn gib(gib: u64) -> String {
    format!("{gib}GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "servers:\n  - name: web\n    image: mini\n    networks: [campus=203.0.113.7, lab]\n    memory: 1GiB\n    groups: [front:apart]\n";

    fn requests(path: &str, text: &str) -> Vec<CreateVm> {
        let servers = parse::<File>(path, text).unwrap_or_else(|e| panic!("{path}: {e}")).servers;
        let request = |server: Server| server.draft(Path::new("")).map(|draft| draft(server.image.unwrap())).unwrap();
        servers.into_iter().map(request).collect()
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
            "servers: [{image: mini}]",
            "servers: [{name: we.b, image: mini}]",
            "servers: [{name: web, image: mini, colour: blue}]",
            "servers: [{name: web, image: mini, evacuate: perhaps}]",
        ] {
            let refused = checked("-", text).err().unwrap();
            assert!(refused.code().starts_with("apply.") && refused.code() != "apply.syntax", "{text}: {refused:?}");
        }
        assert_eq!(checked("-", "servers: [").err().unwrap().code(), "apply.syntax");
        for server in [
            "memory: '192'",
            "disk: 0GiB",
            "networks: [campus=here]",
            "public_addresses: [lab]",
            "groups: [front:near]",
            "priority: 101",
        ] {
            let file: File = parse("-", &format!("servers: [{{name: web, image: mini, {server}}}]")).unwrap();
            let refused = file.servers[0].draft(Path::new("")).err().unwrap();
            assert_eq!(refused.exit(), crate::failure::USAGE, "{server}");
        }
        let file: File =
            parse("-", "servers: [{name: a, image: i}, {name: b, image: i}, {name: a, image: j}]").unwrap();
        assert_eq!(twice(&file.servers).map(VmName::as_str), Some("a"));
    }

    #[test]
    fn what_is_written_down_is_read_as_it_was() {
        let golden = include_str!("../../../../shared/contracts/tests/golden/reply.VmView.json");
        let views: Vec<VmView> = serde_json::from_str(golden).unwrap();
        let file = File { servers: views.iter().map(Server::from).collect() };
        let yaml = serde_saphyr::to_string(&file).unwrap();
        assert_eq!(parse::<File>("-", &yaml).unwrap().servers, file.servers, "{yaml}");
        assert_eq!(parse::<File>("a.toml", &toml::to_string(&file).unwrap()).unwrap().servers, file.servers);
        assert!(
            yaml.contains("campus=203.0.113.100") && yaml.contains("front:apart") && yaml.contains("rack: a3"),
            "{yaml}"
        );
        assert_eq!((file.servers[1].running, file.servers[1].memory.as_deref()), (Some(false), Some("512MiB")));
        for item in [
            "evacuate:",
            "priority:",
            "restart:",
            "on_isolation:",
            "restart_from_copy:",
            "max_downtime:",
            "probes:",
            "after:",
            "project:",
            "running:",
        ] {
            assert_eq!(yaml.matches(item).count(), views.len(), "{item} comes back by being written: {yaml}");
        }
    }
}
