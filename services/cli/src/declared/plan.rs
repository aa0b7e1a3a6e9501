//! What is to be done about each declared server, beside what is there. Pure.

use std::{collections::BTreeMap, net::IpAddr, num::NonZeroU32};

use serde::Serialize;
use sha2::{Digest, Sha256};
use watari_contracts::{
    address::{AddressView, AssociateAddress, DisassociateAddress},
    scheduler::{CreateVm, EditVm, ResizeVm, StartVm, StopVm, VmView, WantedNic},
};
use watari_model::{Refusal, VmName, userdata, vm::Desired};

use super::{
    after::Depends,
    form::{self, Declared, Server, gib, later, mib},
};
use crate::{
    format::hex,
    out::{joined, or_dash},
    vm,
};

/// What is done about a server, or would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Action {
    Create,
    Change,
    Unchanged,
    /// Something differs that no request changes: the server is left alone altogether.
    Fixed,
    Refused,
}

/// One thing that is otherwise than declared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Difference {
    /// As the file calls it.
    pub(super) field: &'static str,
    pub(super) is: String,
    pub(super) wanted: String,
    /// Whether no request changes it.
    pub(super) fixed: bool,
}

/// One request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Associate(AssociateAddress),
    Disassociate(DisassociateAddress),
    Create(Box<CreateVm>),
    Resize(ResizeVm),
    Edit(EditVm),
    Start(StartVm),
    Stop(StopVm),
}

/// What is decided about one server.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) name: VmName,
    pub(super) action: Action,
    pub(super) differences: Vec<Difference>,
    pub(super) steps: Vec<Step>,
    /// Why it cannot depend on what it is to depend on.
    pub(super) fault: Option<Refusal>,
}

impl Decided {
    /// The servers on which it is to depend from now on.
    pub(super) fn after(&self) -> &[VmName] {
        let after = self.steps.iter().find_map(|step| match step {
            Step::Create(wanted) => Some(wanted.after.as_slice()),
            Step::Edit(edit) => edit.after.as_deref(),
            _ => None,
        });
        after.unwrap_or_default()
    }
}

/// Decides about each, behind those on which it depends, else as they were: one that depends on what is not there yet is
/// refused. `id` names this run, and with the server and the verb each request, so that it may be repeated.
///
/// # Errors
/// The first server that would have to be made, and of no image.
pub(super) fn decide(
    mut declared: Vec<Declared>,
    there: &[VmView],
    leading: &[AddressView],
    id: &str,
) -> Result<Vec<Decided>, VmName> {
    let depends = Depends::of(declared.iter().map(|one| &one.server), there);
    let faults = declared.iter().filter_map(|one| Some((one.server.name.clone(), depends.fault(&one.server)?)));
    let (mut faults, depths): (BTreeMap<VmName, Refusal>, _) = (faults.collect(), depends.depths());
    // What leads back to itself is refused.
    declared.sort_by_key(|one| depths.get(&one.server.name).copied().unwrap_or(usize::MAX));
    let there: BTreeMap<&VmName, &VmView> = there.iter().map(|vm| (&vm.name, vm)).collect();
    let one = |Declared { server, draft }: Declared| -> Result<Decided, VmName> {
        let there = there.get(&server.name).copied();
        let image = server.image.clone().or_else(|| there.map(|vm| vm.image.clone()));
        let wanted = draft(image.ok_or_else(|| server.name.clone())?);
        let led = there.map(|vm| form::public(leading, vm)).unwrap_or_default();
        let differences = differences(&server, &wanted, there, &led);
        let action = match there {
            None => Action::Create,
            Some(_) if differences.is_empty() => Action::Unchanged,
            Some(_) if differences.iter().any(|difference| difference.fixed) => Action::Fixed,
            Some(_) => Action::Change,
        };
        let mut steps = steps(&wanted, action, &differences, id);
        if matches!(action, Action::Create | Action::Change)
            && let Some(public) = &server.public_addresses
        {
            steps.extend(led_anew(&server.name, &led, public));
        }
        let decided = Decided { name: server.name, action, differences, steps, fault: None };
        let fault = faults.remove(&decided.name).filter(|_| !decided.after().is_empty());
        Ok(Decided { fault, ..decided })
    };
    declared.into_iter().map(one).collect()
}

/// What an edit changes.
const EDITED: [&str; 9] = [
    "evacuate",
    "priority",
    "restart",
    "on_isolation",
    "restart_from_copy",
    "max_downtime",
    "probes",
    "after",
    "project",
];

/// The seconds of a policy, 0 for never.
fn seconds(most: Option<NonZeroU32>) -> String {
    most.map_or(0, NonZeroU32::get).to_string()
}

/// Everything that was written down and is otherwise; of a server that is not there, everything.
fn differences(given: &Server, wanted: &CreateVm, there: Option<&VmView>, led: &[String]) -> Vec<Difference> {
    let is = |text: fn(&VmView) -> String| there.map_or_else(|| "-".to_owned(), text);
    let all = [
        ("image", true, is(|vm| vm.image.to_string()), wanted.image.to_string()),
        ("networks", given.networks.is_some(), is(|vm| joined(form::networks(vm))), networks(wanted, there)),
        (
            "public_addresses",
            given.public_addresses.is_some(),
            sorted(led),
            sorted(given.public_addresses.iter().flatten()),
        ),
        ("site", given.site.is_some(), is(|vm| vm.home_site.to_string()), or_dash(wanted.site.as_ref())),
        ("project", given.project.is_some(), is(|vm| vm.project.to_string()), wanted.project.to_string()),
        ("vcpus", given.vcpus.is_some(), is(|vm| later(vm).vcpus.to_string()), wanted.vcpus.to_string()),
        ("memory", given.memory.is_some(), is(|vm| mib(later(vm).memory_mib)), mib(wanted.memory_mib)),
        ("disk", given.disk.is_some(), is(|vm| gib(later(vm).disk_gib)), gib(wanted.disk_gib)),
        ("node_labels", given.node_labels.is_some(), is(|vm| labels(&vm.node_labels)), labels(&wanted.node_labels)),
        (
            "groups",
            given.groups.is_some(),
            is(|vm| sorted(vm.groups.iter().map(form::group))),
            sorted(wanted.groups.iter().map(form::group)),
        ),
        ("firewalls", given.firewalls.is_some(), is(|vm| sorted(&vm.firewalls)), sorted(&wanted.firewalls)),
        ("probes", given.probes.is_some(), is(|vm| sorted(&vm.probes)), sorted(&wanted.probes)),
        ("after", given.after.is_some(), is(|vm| sorted(&vm.after)), sorted(&wanted.after)),
        (
            "evacuate",
            given.evacuate.is_some(),
            is(|vm| vm::evacuate(vm.evacuate).to_owned()),
            vm::evacuate(wanted.evacuate).to_owned(),
        ),
        ("priority", given.priority.is_some(), is(|vm| vm.priority.to_string()), wanted.priority.to_string()),
        ("restart", given.restart.is_some(), is(|vm| vm.restart.word().to_owned()), wanted.restart.word().to_owned()),
        (
            "on_isolation",
            given.on_isolation.is_some(),
            is(|vm| vm.on_isolation.word().to_owned()),
            wanted.on_isolation.word().to_owned(),
        ),
        (
            "restart_from_copy",
            given.restart_from_copy.is_some(),
            is(|vm| seconds(vm.restart_from_copy_seconds)),
            seconds(wanted.restart_from_copy_seconds),
        ),
        (
            "max_downtime",
            given.max_downtime.is_some(),
            is(|vm| seconds(vm.max_downtime_seconds)),
            seconds(wanted.max_downtime_seconds),
        ),
        ("display", given.display.is_some(), is(|vm| vm.display.to_string()), wanted.display.to_string()),
        ("keys", given.keys.is_some(), is(|vm| sorted(&vm.keys)), sorted(&wanted.keys)),
        ("hostname", given.hostname.is_some(), is(|vm| vm.hostname.to_string()), or_dash(wanted.hostname.as_ref())),
        (
            "user_data",
            given.user_data.is_some(),
            is(|vm| or_dash(vm.user_data.as_ref().map(|told| &told.sha256))),
            or_dash(wanted.user_data.as_ref().map(digest)),
        ),
        (
            "running",
            given.running.is_some(),
            is(|vm| (vm.desired == Desired::Running).to_string()),
            wanted.start.to_string(),
        ),
    ];
    let fixed = |field: &str| match (field, there) {
        (_, None) | ("vcpus" | "memory" | "evacuate" | "priority" | "restart" | "on_isolation" | "running", _) => false,
        // One that is to grow may have grown already.
        ("disk", Some(vm)) => wanted.disk_gib < vm.disk_gib.max(later(vm).disk_gib),
        ("probes" | "after" | "project" | "public_addresses" | "restart_from_copy" | "max_downtime", _) => false,
        _ => true,
    };
    let differing = all.into_iter().filter(|(_, given, is, wanted)| *given && is != wanted);
    let mut found: Vec<Difference> =
        differing.map(|(field, _, is, wanted)| Difference { field, is, wanted, fixed: fixed(field) }).collect();
    // It will be another server: this one is on its way out.
    if there.is_some_and(|vm| vm.desired == Desired::Deleted) {
        found.push(Difference { field: "state", is: "deleting".to_owned(), wanted: "-".to_owned(), fixed: true });
    }
    found
}

/// The wanted networks. An address that nobody asked for is the one that the server has there.
fn networks(wanted: &CreateVm, there: Option<&VmView>) -> String {
    let has = |n: usize, network: &str| {
        let vm = there.filter(|vm| vm.networks.get(n).is_some_and(|is| is.as_str() == network))?;
        vm.addresses.get(n).copied()
    };
    joined(wanted.networks.iter().enumerate().map(|(n, nic)| {
        let address = nic.address.map(IpAddr::V4).or_else(|| has(n, nic.network.as_str()));
        format!("{}{}", nic.network, address.map(|address| format!("={address}")).unwrap_or_default())
    }))
}

fn labels(labels: &BTreeMap<String, String>) -> String {
    joined(labels.iter().map(|(key, value)| format!("{key}={value}")))
}

/// What has no order, in one.
fn sorted<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let mut items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    items.sort();
    items.dedup();
    joined(items)
}

fn digest(text: &userdata::Text) -> String {
    hex(&Sha256::digest(text.0.as_bytes()))
}

/// What leads there no more goes first, since a port takes one.
fn led_anew(vm: &VmName, led: &[String], wanted: &[String]) -> Vec<Step> {
    let parsed = |texts: &[String], but: &[String]| -> Vec<WantedNic> {
        texts
            .iter()
            .filter(|text| !but.contains(text))
            .filter_map(|text| vm::nic("public_addresses", text).ok())
            .collect()
    };
    let cut = parsed(led, wanted).into_iter().filter_map(|nic| nic.address);
    let cut = cut.map(|address| Step::Disassociate(DisassociateAddress { address }));
    let new = parsed(wanted, led).into_iter().filter_map(|WantedNic { network, address }| {
        Some(Step::Associate(AssociateAddress { address: address?, vm: vm.clone(), network: Some(network) }))
    });
    cut.chain(new).collect()
}

/// A size comes before a start, which makes it true; and what becomes of a server is said before it goes off.
fn steps(wanted: &CreateVm, action: Action, differences: &[Difference], id: &str) -> Vec<Step> {
    let name = &wanted.name;
    let request_id = |verb: &str| Some(format!("{id}-{name}-{verb}"));
    let differs = |field: &str| differences.iter().any(|difference| difference.field == field);
    match action {
        Action::Unchanged | Action::Fixed | Action::Refused => return Vec::new(),
        Action::Create => {
            let request = CreateVm { request_id: request_id("create"), ..wanted.clone() };
            return vec![Step::Create(Box::new(request))];
        }
        Action::Change => {}
    }
    let mut steps = Vec::new();
    if ["vcpus", "memory", "disk"].into_iter().any(differs) {
        steps.push(Step::Resize(ResizeVm {
            request_id: request_id("resize"),
            name: name.clone(),
            vcpus: differs("vcpus").then_some(wanted.vcpus),
            memory_mib: differs("memory").then_some(wanted.memory_mib),
            disk_gib: differs("disk").then_some(wanted.disk_gib),
        }));
    }
    if EDITED.into_iter().any(differs) {
        steps.push(Step::Edit(EditVm {
            request_id: request_id("edit"),
            name: name.clone(),
            project: differs("project").then(|| wanted.project.clone()),
            probes: differs("probes").then(|| wanted.probes.clone()),
            after: differs("after").then(|| wanted.after.clone()),
            restart: differs("restart").then_some(wanted.restart),
            priority: differs("priority").then_some(wanted.priority),
            evacuate: differs("evacuate").then_some(wanted.evacuate),
            on_isolation: differs("on_isolation").then_some(wanted.on_isolation),
            restart_from_copy_seconds: differs("restart_from_copy")
                .then(|| wanted.restart_from_copy_seconds.map_or(0, NonZeroU32::get)),
            max_downtime_seconds: differs("max_downtime")
                .then(|| wanted.max_downtime_seconds.map_or(0, NonZeroU32::get)),
        }));
    }
    if differs("project") {
        // It grows where it goes: the project that it leaves may have nothing left.
        steps.reverse();
    }
    if differs("running") {
        steps.push(if wanted.start {
            Step::Start(StartVm { request_id: request_id("start"), name: name.clone(), discard_copy: false })
        } else {
            Step::Stop(StopVm { request_id: request_id("stop"), name: name.clone(), force: false })
        });
    }
    steps
}

#[cfg(test)]
mod tests {
    use watari_model::{
        ProjectName,
        isolation::OnIsolation,
        vm::{Evacuate, Restart, Size},
    };

    use super::*;

    fn views() -> Vec<VmView> {
        let golden = include_str!("../../../../shared/contracts/tests/golden/reply.VmView.json");
        let mut views: Vec<VmView> = serde_json::from_str(golden).unwrap();
        views[1].name = "web".parse().unwrap();
        views
    }

    fn decided(yaml: &str) -> Decided {
        let declared = form::checked("-", yaml).unwrap();
        let mut all = decide(declared, &views(), &leading(), "run").unwrap();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    /// Mail has a public address.
    fn leading() -> Vec<AddressView> {
        let golden = include_str!("../../../../shared/contracts/tests/golden/reply.AddressView.json");
        let mut leading: Vec<AddressView> = serde_json::from_str(golden).unwrap();
        leading.retain(|one| one.leads_to.is_some());
        leading.truncate(1);
        if let Some(target) = leading.first_mut().and_then(|one| one.leads_to.as_mut()) {
            target.vm_uuid = views()[0].uuid.clone();
        }
        leading
    }

    fn told(decided: &Decided) -> Vec<(&str, &str, &str)> {
        decided.differences.iter().map(|d| (d.field, d.is.as_str(), d.wanted.as_str())).collect()
    }

    #[test]
    fn what_was_exported_is_unchanged() {
        let servers: Vec<form::Server> = views().iter().map(Into::into).collect();
        let yaml = serde_saphyr::to_string(&form::File { servers }).unwrap();
        for decided in decide(form::checked("-", &yaml).unwrap(), &views(), &[], "run").unwrap() {
            assert_eq!((decided.action, told(&decided)), (Action::Unchanged, vec![]));
            assert!(decided.steps.is_empty());
        }
    }

    #[test]
    fn a_server_that_is_not_there_is_made_under_a_name_that_may_be_repeated() {
        let new = decided("servers: [{name: db, image: mini, networks: [campus], memory: 1GiB}]");
        assert_eq!(new.action, Action::Create);
        assert_eq!(told(&new), [("image", "-", "mini"), ("networks", "-", "campus"), ("memory", "-", "1024MiB")]);
        let [Step::Create(request)] = &new.steps[..] else { panic!("{:?}", new.steps) };
        assert_eq!((request.request_id.as_deref(), request.memory_mib), (Some("run-db-create"), 1024));
    }

    #[test]
    fn what_is_left_out_stays_as_it_is() {
        for text in ["servers: [{name: mail, image: mini}]", "servers: [{name: mail}]"] {
            assert_eq!(decided(text).action, Action::Unchanged, "{text}");
        }
        let new = decide(form::checked("-", "servers: [{name: mail}, {name: mial}]").unwrap(), &views(), &[], "run");
        assert_eq!(new.err().unwrap().as_str(), "mial", "of no image none is made");
        let same = "servers: [{name: mail, image: mini, networks: [campus], disk: 2048MiB, firewalls: [mail]}]";
        assert_eq!(decided(same).action, Action::Unchanged, "an address that is not asked for is the one it has");
    }

    #[test]
    fn size_and_whether_it_runs_are_changed_the_size_first() {
        let larger = decided("servers: [{name: mail, image: mini, memory: 512MiB, vcpus: 1, running: false}]");
        assert_eq!(larger.action, Action::Change);
        assert_eq!(told(&larger), [("memory", "192MiB", "512MiB"), ("running", "true", "false")]);
        let [Step::Resize(resize), Step::Stop(stop)] = &larger.steps[..] else { panic!("{:?}", larger.steps) };
        assert_eq!((resize.vcpus, resize.memory_mib, resize.disk_gib), (None, Some(512), None));
        assert_eq!(stop.request_id.as_deref(), Some("run-mail-stop"));
        let started = decided("servers: [{name: web, image: mini, running: true, memory: 512MiB}]");
        assert!(matches!(&started.steps[..], [Step::Start(_)]), "what comes true later is no difference: {started:?}");
    }

    #[test]
    fn what_becomes_of_a_server_is_changed_after_its_size_and_before_it_stops() {
        let text = "image: mini, memory: 512MiB, priority: 90, evacuate: stay, restart: never, running: false";
        let edited = decided(&format!("servers: [{{name: mail, {text}}}]"));
        assert_eq!(edited.action, Action::Change);
        let [Step::Resize(_), Step::Edit(edit), Step::Stop(_)] = &edited.steps[..] else {
            panic!("{:?}", edited.steps)
        };
        assert_eq!(edit.request_id.as_deref(), Some("run-mail-edit"));
        assert_eq!(
            (edit.priority, edit.evacuate, edit.restart),
            (Some(90), Some(Evacuate::Stay), Some(Restart::Never))
        );
        let cut = decided("servers: [{name: mail, image: mini, on_isolation: stop}]");
        assert_eq!(told(&cut), [("on_isolation", "keep", "stop")]);
        assert!(matches!(&cut.steps[..], [Step::Edit(edit)] if edit.on_isolation == Some(OnIsolation::Stop)));
        let loses = decided("servers: [{name: mail, image: mini, restart_from_copy: 600}]");
        assert_eq!(told(&loses), [("restart_from_copy", "0", "600")]);
        assert!(matches!(&loses.steps[..], [Step::Edit(edit)] if edit.restart_from_copy_seconds == Some(600)));
        let stands = decided("servers: [{name: mail, image: mini, max_downtime: 20}]");
        assert_eq!(told(&stands), [("max_downtime", "0", "20")]);
        assert!(matches!(&stands.steps[..], [Step::Edit(edit)] if edit.max_downtime_seconds == Some(20)));
        let one = decided("servers: [{name: mail, image: mini, priority: 50, evacuate: live, restart: never}]");
        assert_eq!(told(&one), [("restart", "always", "never")]);
        let [Step::Edit(edit)] = &one.steps[..] else { panic!("{:?}", one.steps) };
        assert_eq!((edit.priority, edit.evacuate, edit.restart), (None, None, Some(Restart::Never)));
        let probed = decided("servers: [{name: mail, image: mini, probes: ['smtp:25']}]");
        assert_eq!(told(&probed), [("probes", "-", "smtp:25")]);
        let [Step::Edit(edit)] = probed.steps.as_slice() else { panic!("{probed:?}") };
        assert_eq!(edit.probes.as_ref().map(Vec::len), Some(1));
    }

    #[test]
    fn each_comes_behind_those_of_the_file_on_which_it_depends() {
        let yaml = "servers: [{name: www, image: i, after: [app]}, {name: one, image: i},
            {name: app, image: i, after: [db, mail]}, {name: db, image: i}]";
        let names = |yaml: &str| -> Vec<String> {
            let all = decide(form::checked("-", yaml).unwrap(), &views(), &[], "run").unwrap();
            all.iter().map(|decided| decided.name.to_string()).collect()
        };
        assert_eq!(names(yaml), ["one", "db", "app", "www"]);
        let circle = "servers: [{name: a, image: i, after: [b]}, {name: b, image: i, after: [a]}, {name: c, image: i}]";
        assert_eq!(names(circle), ["c", "a", "b"], "the two are refused");
        let edited = decided("servers: [{name: mail, image: mini, after: [db]}]");
        assert_eq!(told(&edited), [("after", "-", "db")]);
        assert!(matches!(edited.steps.as_slice(), [Step::Edit(edit)] if edit.after.as_ref().map(Vec::len) == Some(1)));
    }

    #[test]
    fn a_server_that_would_depend_on_itself_or_on_one_that_is_not_there_is_known_beforehand() {
        let told = |yaml: &str| -> Vec<String> {
            let all = decide(form::checked("-", yaml).unwrap(), &views(), &[], "run").unwrap();
            let told = |decided: &Decided| match &decided.fault {
                Some(Refusal::AfterCycle { vm, chain }) => format!("{vm}: {chain}"),
                Some(refusal) => format!("{}: {}", decided.name, refusal.english().cause),
                None => decided.name.to_string(),
            };
            all.iter().map(told).collect()
        };
        let new = "{name: a, image: i, after: [b]}, {name: b, image: i, after: [a]}";
        assert_eq!(told(&format!("servers: [{new}]")), ["a: a > b > a", "b: b > a > b"], "neither is there yet");
        assert_eq!(told("servers: [{name: a, image: i, after: [mail, a]}]"), ["a: a > a"]);
        assert_eq!(told("servers: [{name: a, image: i, after: [mial]}]"), ["a: there is no server named mial"]);
        let there = "{name: mail, after: [web]}, {name: web, after: [mail]}";
        assert_eq!(told(&format!("servers: [{there}]")), ["mail: mail > web > mail", "web: web > mail > web"]);
        assert_eq!(told("servers: [{name: mail, after: [web]}, {name: web}]"), ["web", "mail"]);
    }

    #[test]
    fn who_is_not_in_the_file_stands_between_two_that_are() {
        let mut there = views();
        let other = VmView { name: "app".parse().unwrap(), after: vec!["web".parse().unwrap()], ..there[1].clone() };
        there.push(other);
        there[1].after = vec!["mail".parse().unwrap()];
        let yaml = "servers: [{name: mail, after: [app]}, {name: web, after: []}]";
        let all = decide(form::checked("-", yaml).unwrap(), &there, &[], "run").unwrap();
        let told: Vec<_> = all.iter().map(|decided| (decided.name.as_str(), decided.fault.is_none())).collect();
        assert_eq!(told, [("web", true), ("mail", true)], "else mail would depend on itself in between");
    }

    #[test]
    fn a_server_goes_to_another_project_before_it_grows() {
        let moved = decided("servers: [{name: mail, project: research, memory: 512MiB, running: false}]");
        assert_eq!(told(&moved)[0], ("project", "default", "research"));
        let [Step::Edit(edit), Step::Resize(_), Step::Stop(_)] = &moved.steps[..] else { panic!("{:?}", moved.steps) };
        assert_eq!(edit.project.as_ref().map(ProjectName::as_str), Some("research"));
    }

    #[test]
    fn a_public_address_leads_where_the_file_says_and_the_one_before_goes_first() {
        let has = form::public(&leading(), &views()[0]).remove(0);
        assert_eq!(decided(&format!("servers: [{{name: mail, public_addresses: [{has}]}}]")).action, Action::Unchanged);
        let other = decided("servers: [{name: mail, public_addresses: [lab=203.0.113.209]}]");
        assert_eq!(told(&other), [("public_addresses", has.as_str(), "lab=203.0.113.209")]);
        let [Step::Disassociate(cut), Step::Associate(new)] = &other.steps[..] else { panic!("{:?}", other.steps) };
        assert!(has.ends_with(&format!("={}", cut.address)));
        assert_eq!((new.vm.as_str(), new.network.as_ref().map(|n| n.as_str())), ("mail", Some("lab")));
        let none = decided("servers: [{name: mail, public_addresses: []}]");
        assert!(matches!(&none.steps[..], [Step::Disassociate(_)]), "{none:?}");
        let made =
            decided("servers: [{name: db, image: mini, networks: [lab], public_addresses: [lab=203.0.113.209]}]");
        assert!(matches!(&made.steps[..], [Step::Create(_), Step::Associate(_)]), "{made:?}");
    }

    #[test]
    fn a_server_of_which_something_cannot_be_changed_is_left_alone() {
        for (field, text) in [
            ("image", "image: other, memory: 1GiB"),
            ("networks", "image: mini, networks: [lab]"),
            ("networks", "image: mini, networks: [campus=203.0.113.101]"),
            ("site", "image: mini, site: yamate"),
            ("disk", "image: mini, disk: 1GiB"),
            ("node_labels", "image: mini, node_labels: {}"),
            ("groups", "image: mini, groups: [front:together]"),
            ("firewalls", "image: mini, firewalls: []"),
            ("hostname", "image: mini, hostname: mail"),
            ("display", "image: mini, display: false"),
        ] {
            let fixed = decided(&format!("servers: [{{name: mail, {text}}}]"));
            assert_eq!((fixed.action, fixed.steps.len()), (Action::Fixed, 0), "{text}");
            assert!(fixed.differences.iter().any(|d| d.field == field && d.fixed), "{text}: {fixed:?}");
        }
    }

    #[test]
    fn a_disk_that_is_to_grow_is_not_made_smaller_any_more() {
        let mut there = views();
        there[0].pending = Some(Size { disk_gib: 4, ..later(&there[0]) });
        let declared = form::checked("-", "servers: [{name: mail, image: mini, disk: 3GiB}]").unwrap();
        let decided = decide(declared, &there, &[], "run").unwrap().remove(0);
        assert_eq!((decided.action, decided.steps.len()), (Action::Fixed, 0));
    }
}
