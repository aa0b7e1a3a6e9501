//! One line for people about each change of a document: what was, what is, and where.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde_json::Value;
use watari_contracts::history::changed_fields;
use watari_model::{
    Refusal, VmName,
    address::PublicAddress,
    firewall::{Firewall, Rule},
    image::Image,
    key::Key,
    migration::{Migration, Reason},
    network::{Network, Port},
    node::{
        Fencing, Inventory, Node, Strain, Weight,
        fencing::{Act, Outcome},
    },
    outage::{Dark, Handover, Left, Outage, Scope},
    project::Project,
    site::Site,
    vm::{Desired, Opening, Outcome as Went, Size, Snapshots, Vm, Way},
};

/// Says what a change of the document `key` of `bucket` was. A document that this version cannot
/// read is still told to have changed.
pub(crate) fn summarise(bucket: &str, key: &str, before: Option<&str>, after: Option<&str>) -> String {
    let what = match bucket {
        "vms" => told(before, after, vm),
        "migrations" => told(before, after, migration),
        "outages" => told(before, after, outage),
        "images" => told(before, after, image),
        "networks" => told(before, after, network),
        "ports" => told(before, after, port),
        "addresses" => told(before, after, address),
        "firewalls" => told(before, after, firewall),
        "nodes" => told(before, after, node),
        "sites" => told(before, after, site),
        "keys" => told(before, after, public_key),
        "projects" => told(before, after, project),
        _ => told(before, after, |_: Option<&Value>, _| None),
    };
    format!("{key}: {what}")
}

/// Says that a backup has put a document back: what differs from before was done by nobody.
pub(crate) fn restored(key: &str) -> String {
    format!("{key}: restored from a backup")
}

/// Reads both forms and asks `line` about them; what it has no word for is told in general.
fn told<T: DeserializeOwned>(
    before: Option<&str>,
    after: Option<&str>,
    line: impl Fn(Option<&T>, Option<&T>) -> Option<String>,
) -> String {
    let read = |text: Option<&str>| text.and_then(|t| serde_json::from_str::<T>(t).ok());
    let general = || match (before, after) {
        (_, None) => "deleted".to_owned(),
        (None, Some(_)) => "created".to_owned(),
        (Some(before), Some(after)) => {
            let value = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
            with("updated".to_owned(), changed_fields(&value(before), &value(after)))
        }
    };
    line(read(before).as_ref(), read(after).as_ref()).unwrap_or_else(general)
}

fn arrow(from: &str, to: &str) -> Option<String> {
    (from != to).then(|| format!("{from} → {to}"))
}

fn with(line: String, note: Option<String>) -> String {
    match note {
        Some(note) => format!("{line} ({note})"),
        None => line,
    }
}

fn code(fault: Option<&Refusal>) -> Option<String> {
    fault.map(|fault| fault.code().to_owned())
}

fn vm(before: Option<&Vm>, after: Option<&Vm>) -> Option<String> {
    let vm = after?;
    let place = || vm.node().map(|node| format!("on {node}"));
    let Some(old) = before else {
        let spec = &vm.spec;
        return Some(format!(
            "created, {} ({} vCPU, {} MiB, {} GiB, home {})",
            vm.state.word(),
            spec.vcpus,
            spec.memory_mib,
            spec.disk_gib,
            vm.home_site
        ));
    };
    if let Some(line) = arrow(old.state.word(), vm.state.word()) {
        let note = match (&vm.crossing, vm.node()) {
            (Some(crossing), Some(node)) => Some(format!("{node} → {}", crossing.to)),
            _ => code(vm.fault.as_ref()).or_else(place),
        };
        return Some(with(line, note));
    }
    if old.grant != vm.grant {
        let grant = vm.grant.as_ref();
        return Some(grant.map_or("granted to nobody".to_owned(), |g| {
            format!("granted to {} (generation {})", g.node, g.generation)
        }));
    }
    if old.desired != vm.desired {
        let wanted = match vm.desired {
            Desired::Running => "running",
            Desired::Stopped => "stopped",
            Desired::Deleted => "gone",
        };
        return Some(format!("wanted {wanted}"));
    }
    let size = |size: Size| format!("{} vCPU, {} MiB, {} GiB", size.vcpus, size.memory_mib, size.disk_gib);
    if old.spec.size() != vm.spec.size() {
        return Some(format!("resized to {}", size(vm.spec.size())));
    }
    if old.pending != vm.pending {
        let pending = vm.pending.map(|then| format!("to be {} from its next start on", size(then)));
        return Some(pending.unwrap_or_else(|| "to stay as large as it is".to_owned()));
    }
    if old.reboots.asked != vm.reboots.asked {
        return Some("reboot asked for".to_owned());
    }
    if old.reboots.done != vm.reboots.done {
        return Some("rebooted".to_owned());
    }
    if let Some(copy) = old.leftovers.iter().find(|copy| !vm.leftovers.contains(copy)) {
        return Some(format!("old copy on {} removed", copy.node));
    }
    if old.snapshots != vm.snapshots {
        return snapshots(&old.snapshots, &vm.snapshots);
    }
    if old.halt != vm.halt {
        let halt = vm.halt.as_ref().map(|halt| match halt.way {
            Way::Suspend => format!("no time to leave, to be suspended ({})", halt.outage),
            Way::ShutDown => format!("no time to leave, to be shut down ({})", halt.outage),
        });
        return Some(halt.unwrap_or_else(|| "free to run again".to_owned()));
    }
    if old.fault != vm.fault {
        return Some(code(vm.fault.as_ref()).map_or("fault cleared".to_owned(), |code| format!("fault: {code}")));
    }
    console(old, vm)
}

/// That somebody came to its console, or wanted to, if nothing else is new.
fn console(old: &Vm, new: &Vm) -> Option<String> {
    if old.spec != new.spec {
        return None;
    }
    let opening = new.requests.iter().filter(|request| !old.requests.contains(request)).find_map(Opening::of)?;
    let line = match opening {
        Opening::First => "console asked for",
        Opening::Forced => "console asked for by force",
        Opening::Again => "console asked for again",
    };
    Some(line.to_owned())
}

/// That its disk goes back, or which name came, was taken or went.
fn snapshots(old: &Snapshots, new: &Snapshots) -> Option<String> {
    if let Some(revert) = new.revert.as_ref().filter(|revert| old.revert.as_ref() != Some(revert)) {
        return Some(match &revert.outcome {
            Went::UnderWay => format!("to go back to snapshot {}", revert.to),
            Went::Done => format!("went back to snapshot {}", revert.to),
            Went::Failed(why) => format!("did not go back to snapshot {} ({})", revert.to, why.code()),
        });
    }
    let taken = |all: &Snapshots| -> Vec<u64> {
        all.list.iter().filter(|snapshot| snapshot.taken.is_some()).map(|snapshot| snapshot.number).collect()
    };
    let before = taken(old);
    if let Some(new) = new.list.iter().find(|new| new.taken.is_some() && !before.contains(&new.number)) {
        return Some(format!("snapshot {} taken", new.name));
    }
    if let Some(new) = new.list.iter().find(|new| old.list.iter().all(|old| old.number != new.number)) {
        return Some(format!("snapshot {} asked for", new.name));
    }
    let gone = old.list.iter().find(|old| new.list.iter().all(|new| new.number != old.number));
    gone.map(|gone| format!("snapshot {} deleted", gone.name))
}

fn migration(before: Option<&Migration>, after: Option<&Migration>) -> Option<String> {
    let migration = after?;
    let way = format!("{} → {}", migration.from, migration.to);
    let Some(old) = before else {
        let why = if migration.reason == Reason::Relief {
            format!(", {} is overloaded", migration.from)
        } else {
            String::new()
        };
        return Some(format!("{} ({way}{why})", migration.state.word()));
    };
    if let Some(line) = arrow(old.state.word(), migration.state.word()) {
        let measured = migration
            .measured
            .map(|m| format!("{way}, {} ms, standstill {} ms", m.total_ms, m.downtime_ms + m.pause_ms));
        return Some(with(line, measured.or_else(|| code(migration.fault.as_ref()))));
    }
    (migration.cancel_asked && !old.cancel_asked).then(|| "cancellation asked for".to_owned())
}

fn outage(before: Option<&Outage>, after: Option<&Outage>) -> Option<String> {
    let outage = after?;
    let left = outage.left.iter().filter(|left| !left.is_off()).count();
    let left = (left > 0).then(|| format!("{left} not moved"));
    let Some(old) = before else {
        let what = match &outage.scope {
            Scope::Site(site) => format!("site {site}"),
            Scope::Node(node) => format!("node {node}"),
        };
        return Some(format!("{} {what}", outage.state.word()));
    };
    if let Some(line) = arrow(old.state.word(), outage.state.word()) {
        return Some(with(line, left));
    }
    match (old.paused_at, outage.paused_at) {
        (None, Some(_)) => Some("paused".to_owned()),
        (Some(_), None) => Some("resumed".to_owned()),
        _ if old.window != outage.window => Some("moved to another time".to_owned()),
        _ if old.asked_by != outage.asked_by => Some(format!("asked for by {}", outage.askers().join(", "))),
        _ if old.at_risk != outage.at_risk => Some(at_risk(&outage.at_risk)),
        _ if old.warned != outage.warned => Some(warned(&outage.warned)),
        _ if old.halted != outage.halted => Some(format!("{} have no time to leave", outage.halted.len())),
        _ if old.dark != outage.dark => Some(dark(old.dark.as_ref(), outage.dark.as_ref())),
        _ if old.control != outage.control => outage.control.as_ref().map(control),
        _ => None,
    }
}

/// How far the control plane is on its way.
fn control(handover: &Handover) -> String {
    let Handover { to, ended_at, fault, .. } = handover;
    match (ended_at, fault) {
        (None, _) => format!("services going over to {to}"),
        (Some(_), None) => format!("services led from {to}"),
        (Some(_), Some(_)) => with(format!("services not led from {to}"), code(fault.as_ref())),
    }
}

/// Which nodes are shut down, or are back.
fn dark(old: Option<&Dark>, dark: Option<&Dark>) -> String {
    let nodes = |dark: Option<&Dark>| dark.map(|dark| dark.nodes.clone()).unwrap_or_default();
    let (before, now) = (nodes(old), nodes(dark));
    let mut news = now.iter().filter(|one| !before.contains(one));
    if let Some(first) = news.next() {
        let word = first.stage.word();
        // Power comes back to all at once: those of whom the same is to be told stand in one line.
        let others = news.filter(|one| one.stage.word() == word).map(|one| one.node.to_string());
        let names: Vec<String> = std::iter::once(first.node.to_string()).chain(others).collect();
        return with(format!("node {} {word}", names.join(", ")), code(first.stage.fault()));
    }
    let wished = dark.is_some_and(|dark| dark.wished);
    if wished { "its nodes are to be shut down" } else { "its nodes are not to be shut down" }.to_owned()
}

/// So many are named in one line.
const TOLD: usize = 5;

/// Who could not leave, as things are, and the code of why; of many only how many.
fn at_risk(left: &[Left]) -> String {
    match left.len() {
        0 => "every server that runs could leave".to_owned(),
        1..=TOLD => format!("could not leave now: {}", named(left)),
        more => format!("{more} servers could not leave now"),
    }
}

/// Who could, and the code of what is to be said of that; of many only how many.
fn warned(left: &[Left]) -> String {
    match left.len() {
        0 => "no warnings any more".to_owned(),
        1..=TOLD => format!("could leave with a warning: {}", named(left)),
        more => format!("{more} servers could leave with a warning"),
    }
}

fn named(left: &[Left]) -> String {
    let one = |left: &Left| format!("{} ({})", left.vm, left.fault.code());
    left.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn image(before: Option<&Image>, after: Option<&Image>) -> Option<String> {
    let image = after?;
    let Some(old) = before else { return Some(format!("created, {}", image.state.word())) };
    if let Some(line) = arrow(old.state.word(), image.state.word()) {
        return Some(with(line, code(image.fault.as_ref())));
    }
    let copied = image.copies.keys().find(|site| !old.copies.contains_key(*site));
    let kept = image.kept.iter().find(|(site, _)| !old.kept.contains_key(*site));
    let kept = kept.map(|(site, kept)| format!("kept for {site} in {}", kept.store.url));
    copied.map(|site| format!("copied to {site}")).or(kept)
}

fn network(before: Option<&Network>, after: Option<&Network>) -> Option<String> {
    let network = after?;
    let range = network.range;
    let Some(before) = before else {
        return Some(format!("created ({}, {}-{})", network.cidr, range.first, range.last));
    };
    // Each is marked by a write of its own; several marks may end at once.
    if let Some(one) = network.strangers.iter().find(|stranger| !before.strangers.contains(stranger)) {
        let what = one.address6.map_or_else(
            || one.address.to_string(),
            |address6| format!("{address6}, which goes with {},", one.address),
        );
        return Some(format!("{what} is used by {}, as node {} found", one.mac, one.node));
    }
    let gone = before.strangers.iter().filter(|one| network.stranger_at(one.address).is_none());
    let gone: Vec<String> = gone.map(|one| one.address.to_string()).collect();
    (!gone.is_empty()).then(|| format!("{} may be given out again", gone.join(", ")))
}

fn port(before: Option<&Port>, after: Option<&Port>) -> Option<String> {
    match (before, after) {
        (_, Some(port)) => Some(format!("{} given to {}", port.address, port.vm)),
        (Some(port), None) => Some(format!("{} given back by {}", port.address, port.vm)),
        (None, None) => None,
    }
}

fn address(before: Option<&PublicAddress>, after: Option<&PublicAddress>) -> Option<String> {
    let Some(now) = after else { return before.map(|before| format!("{} released", before.address)) };
    match (&now.leads_to, before) {
        (Some(target), _) => Some(format!("{} leads to {}", now.address, target.vm)),
        (None, Some(_)) => Some(format!("{} leads nowhere", now.address)),
        (None, None) => Some(format!("{} allocated", now.address)),
    }
}

/// Which rules came and which went; of many only how many.
fn firewall(before: Option<&Firewall>, after: Option<&Firewall>) -> Option<String> {
    let group = after?;
    let Some(old) = before else {
        let rules = if group.rules.len() == 1 { "rule" } else { "rules" };
        return Some(format!("created with {} {rules}", group.rules.len()));
    };
    let without = |some: &[Rule], others: &[Rule]| -> Vec<String> {
        some.iter().filter(|rule| !others.contains(rule)).map(ToString::to_string).collect()
    };
    let say = |word: &str, rules: Vec<String>| match rules.len() {
        0 => None,
        1..=TOLD => Some(format!("{word} {}", rules.join(", "))),
        more => Some(format!("{word} {more} rules")),
    };
    let changes =
        [say("allows", without(&group.rules, &old.rules)), say("allows no more", without(&old.rules, &group.rules))];
    let text = changes.into_iter().flatten().collect::<Vec<_>>().join("; ");
    (!text.is_empty()).then_some(text)
}

/// Of what a node has hardly any left, or enough again.
fn strains(old: &BTreeSet<Strain>, new: &BTreeSet<Strain>) -> Option<String> {
    let words = |one: &BTreeSet<Strain>, other: &BTreeSet<Strain>| {
        one.difference(other).map(|strain| strain.word()).collect::<Vec<_>>().join(", ")
    };
    match (words(new, old), words(old, new)) {
        (more, _) if !more.is_empty() => Some(more),
        (_, less) if !less.is_empty() => Some(format!("relieved, no longer {less}")),
        _ => None,
    }
}

fn node(before: Option<&Node>, after: Option<&Node>) -> Option<String> {
    let node = after?;
    let Some(old) = before else { return Some(format!("joined site {}, {}", node.site, node.state.word())) };
    if let Some(line) = arrow(old.state.word(), node.state.word()) {
        return Some(line);
    }
    if old.cordoned != node.cordoned {
        return Some(if node.cordoned { "cordoned" } else { "uncordoned" }.to_owned());
    }
    if old.off != node.off {
        return Some(match &node.off {
            Some(off) if off.for_good => format!("given up by {}", off.by),
            Some(off) => format!("said to be off by {}", off.by),
            None => "no longer said to be off".to_owned(),
        });
    }
    if let Some(told) = node.fencing.as_ref().filter(|told| old.fencing.as_ref() != Some(told)) {
        return Some(fencing(told));
    }
    if let Some(line) = strains(&old.strains, &node.strains) {
        return Some(line);
    }
    if old.site != node.site {
        return Some(format!("moved from site {} to {}", old.site, node.site));
    }
    if old.inventory == node.inventory {
        return None;
    }
    let same = Inventory { weights: old.inventory.weights.clone(), ..node.inventory.clone() };
    let figures = if old.inventory == same { weights(&old.inventory, &node.inventory) } else { None };
    Some(figures.unwrap_or_else(|| "inventory changed".to_owned()))
}

/// Of which servers it has measured anew what would travel, and what, if it is one.
fn weights(old: &Inventory, new: &Inventory) -> Option<String> {
    let news = new.weights.iter().filter(|(vm, weight)| old.weights.get(*vm) != Some(*weight));
    let news: Vec<(&VmName, &Weight)> = news.collect();
    match &news[..] {
        // Those that are not here any more are told of with themselves.
        [] => None,
        [(vm, weight)] => Some(with(format!("new figures of {vm}"), Some(figures(weight)))),
        some if some.len() <= TOLD => {
            Some(format!("new figures of {}", some.iter().map(|(vm, _)| vm.as_str()).collect::<Vec<_>>().join(", ")))
        }
        many => Some(format!("new figures of {} servers", many.len())),
    }
}

fn figures(weight: &Weight) -> String {
    let disk = weight.disk_bytes >> 20;
    match weight.dirty_bytes_per_second {
        Some(dirty) => format!("{} MiB/s of memory, {disk} MiB of disk", dirty >> 20),
        None => format!("{disk} MiB of disk"),
    }
}

/// What is done with its power, or came of it.
fn fencing(told: &Fencing) -> String {
    let what = match told.act {
        Act::Off => "power off",
        Act::On => "power on",
    };
    match &told.outcome {
        Outcome::Begun => format!("{what} begun by {}", told.by),
        Outcome::Done => format!("{what} done"),
        Outcome::Failed { why } | Outcome::Withheld { why } => with(format!("{what} not done"), code(Some(why))),
    }
}

fn site(before: Option<&Site>, after: Option<&Site>) -> Option<String> {
    let site = after?;
    match before {
        None => Some(format!("created ({})", site.title)),
        Some(old) if old.power != site.power => site.power.map(|power| {
            let left = power.seconds_left.map(|left| format!("{left} s left"));
            with(format!("on {}", power.supply.word()), left)
        }),
        Some(old) if old.remains != site.remains => Some(remains(old, site)),
        Some(old) => arrow(&old.title, &site.title).map(|line| format!("renamed {line}")),
    }
}

fn remains(old: &Site, site: &Site) -> String {
    let only = |these: &Site, those: &Site| {
        let new = these.remains.iter().filter(|there| !those.remains.contains(there));
        new.map(|there| format!("{} on {}", there.vm, there.node)).collect::<Vec<_>>().join(", ")
    };
    match (only(site, old), only(old, site)) {
        (left, _) if !left.is_empty() => format!("{left} left behind, to be cleared when the node is back"),
        (_, cleared) => format!("cleared of {cleared}"),
    }
}

fn public_key(before: Option<&Key>, after: Option<&Key>) -> Option<String> {
    let key = after?;
    before.is_none().then(|| format!("added ({} {})", key.key.algorithm(), key.key.fingerprint()))
}

fn project(before: Option<&Project>, after: Option<&Project>) -> Option<String> {
    let bounds = |project: &Project| {
        let most = |most: Option<u64>, unit: &str| most.map_or_else(|| "-".to_owned(), |most| format!("{most}{unit}"));
        let [servers, vcpus, memory, disk] = project.quota.bounds();
        let (servers, vcpus) = (most(servers, ""), most(vcpus, ""));
        let (memory, disk) = (most(memory, " MiB"), most(disk, " GiB"));
        format!("servers {servers}, vCPU {vcpus}, memory {memory}, disk {disk}")
    };
    let (before, after) = (before.map(bounds), bounds(after?));
    match before {
        None => Some(format!("created ({after})")),
        Some(before) => (before != after).then(|| format!("bounds changed ({after})")),
    }
}

#[cfg(test)]
#[path = "summary_tests.rs"]
mod tests;
