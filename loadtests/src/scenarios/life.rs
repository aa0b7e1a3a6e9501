//! A server's life: what survives, and what a crossing changes.

use std::{
    fs,
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, ensure};
use serde_json::Value;
use watari_contracts::{agent::ConsoleAct, scheduler::VmConsole};

use super::{Stage, until};
use crate::{lab::NODES, requests, users::mail};

type Run = fn(&Stage) -> anyhow::Result<()>;

/// The UEFI variables of a server that never ran: the agents' own setting.
const NEW_VARIABLES: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";

/// A guest has booted by then, under emulation and beside another lab; alone it takes some five seconds.
const BOOTS_WITHIN: Duration = Duration::from_secs(30);

pub(super) const SCENARIOS: &[(&str, Run)] = &[
    ("a_disk_survives_stop_start_and_migration", disk_survives),
    ("a_server_grows_while_it_runs_and_its_memory_by_a_reboot_and_its_disk_outlives_it", grown),
    ("memory_grows_while_a_server_runs_where_a_node_is_told_so", memory_grown),
    ("a_reboot_boots_again_on_the_same_node_and_the_console_and_its_log_show_what_the_guest_says", reboot),
    ("a_picture_of_a_display_is_taken_at_either_end_of_a_migration", displayed),
    ("an_agent_that_restarts_finds_its_servers_and_touches_none", agent_restarts),
    ("a_libvirtd_that_restarts_stops_no_server", libvirtd_restarts),
    ("a_server_that_stands_still_on_its_node_is_told_of_and_goes_on_where_it_may", stands_still),
    ("a_cordoned_node_receives_nothing", cordoned),
    ("a_drained_node_is_empty_and_receives_nothing", drained),
    ("a_deleted_server_leaves_no_disk_domain_or_address", deleted),
];

pub(super) fn send_mail(stage: &Stage, address: &str, subject: &str) -> anyhow::Result<()> {
    stage.lab.within("client", || mail::post(address, subject))?;
    until(20, "the mail is in the mailbox", || Ok(stage.page(address, "/mbox")?.contains(subject)))
}

fn disk_survives(stage: &Stage) -> anyhow::Result<()> {
    let address = stage.address("mail")?;
    send_mail(stage, &address, "kept-over-stop")?;
    let node = stage.node_of("mail")?;
    stage.watari(&["vm", "stop", "mail", "--wait"])?;
    ensure!(stage.lab.copies("mail").is_empty(), "a stopped server has a process");
    stage.watari(&["vm", "start", "mail", "--wait"])?;
    stage.until_page(&address, 120)?;
    ensure!(stage.node_of("mail")? == node, "it started elsewhere than where its disk is");
    let boot = stage.boot_id(&address)?;
    stage.watari(&["vm", "migrate", "mail", "--to", stage.other_side("mail")?, "--wait"])?;
    ensure!(stage.boot_id(&address)? == boot, "the migration booted it");
    ensure!(stage.page(&address, "/mbox")?.contains("kept-over-stop"), "the mailbox is gone");
    ensure!(stage.address("mail")? == address, "the address changed");
    Ok(())
}

fn grown(stage: &Stage) -> anyhow::Result<()> {
    stage.create("grows", "campus", &[])?;
    let outcome = grown_once(stage).and_then(|()| outlived(stage));
    for left in ["grows", "heir"].into_iter().filter(|vm| stage.show("vm", vm).is_ok()) {
        stage.watari(&["vm", "delete", left, "--yes", "--wait"])?;
    }
    outcome
}

/// The name of the disk that was kept of a server.
fn kept_disk(stage: &Stage, vm: &str) -> anyhow::Result<Option<String>> {
    let disks = stage.watari(&["disk", "list"])?;
    let disk = disks.as_array().into_iter().flatten().find(|disk| disk["vm"] == vm);
    Ok(disk.and_then(|disk| disk["name"].as_str()).map(str::to_owned))
}

fn outlived(stage: &Stage) -> anyhow::Result<()> {
    let node = stage.node_of("grows")?;
    let keep = |vm: &str| -> anyhow::Result<String> {
        stage.watari(&["vm", "delete", vm, "--keep-disk", "--yes", "--wait"])?;
        until(30, "its disk is told of", || Ok(kept_disk(stage, vm)?.is_some()))?;
        kept_disk(stage, vm)?.context("no disk")
    };
    let disk = keep("grows")?;
    let size = ["--memory", "128MiB", "--wait"];
    let begin = ["vm", "create", "heir", "--from-disk", &disk, "--network", "campus"];
    let shown = stage.watari(&[&begin[..], &size[..]].concat())?;
    ensure!(shown["node"].as_str() == Some(&node) && shown["disk_gib"] == 3, "it is {shown}");
    let address = stage.address("heir")?;
    stage.until_page(&address, 120)?;
    ensure!(stage.page(&address, "/mbox")?.contains("before-it-grew"), "the mailbox is gone");
    let disk = keep("heir")?;
    stage.watari(&["disk", "delete", &disk, "--yes"])?;
    until(30, "the disk is gone", || Ok(kept_disk(stage, "heir")?.is_none()))?;
    stage.refused("disk.unknown", &["disk", "show", &disk])
}

fn grown_once(stage: &Stage) -> anyhow::Result<()> {
    let (address, node) = (stage.address("grows")?, stage.node_of("grows")?);
    stage.until_page(&address, 120)?;
    // Its web server is up before its mail server.
    until(60, "it takes mail", || Ok(send_mail(stage, &address, "before-it-grew").is_ok()))?;
    let boot = stage.boot_id(&address)?;
    let resize = |words: &[&str]| stage.watari(&[&["vm", "resize", "grows"], words].concat());
    let shown = resize(&["--vcpus", "2", "--memory", "160MiB", "--disk", "2GiB"])?;
    ensure!(shown["vcpus"] == 2 && shown["disk_gib"] == 2 && shown["pending"]["memory_mib"] == 160, "it is {shown}");
    is_as_large(stage, 2, 2 << 30)?;
    // What it has grown to moves with it, and it grows on where it is then.
    stage.watari(&["vm", "migrate", "grows", "--to", stage.other_side("grows")?, "--wait"])?;
    is_as_large(stage, 2, 2 << 30)?;
    ensure!(resize(&["--disk", "3GiB"])?["disk_gib"] == 3, "it does not grow where it has moved to");
    is_as_large(stage, 2, 3 << 30)?;
    ensure!(stage.boot_id(&address)? == boot && stage.node_of("grows")? != node, "it was booted anew, or not moved");
    stage.watari(&["vm", "reboot", "grows", "--wait"])?;
    stage.until_page(&address, 120)?;
    ensure!(stage.boot_id(&address)? != boot, "it did not boot again");
    let shown = stage.show("vm", "grows")?;
    ensure!(shown["vcpus"] == 2 && shown["memory_mib"] == 160 && shown["pending"].is_null(), "it is {shown}");
    is_as_large(stage, 2, 3 << 30)?;
    ensure!(stage.page(&address, "/mbox")?.contains("before-it-grew"), "the mailbox is gone");
    stage.refused("vm.disk-shrinks", &["vm", "resize", "grows", "--disk", "1GiB"])
}

/// The node that is told to offer memory.
const OFFERS: &str = "y2";

/// QEMU's emulation ends when a server that may be given memory is moved, so that nodes without KVM give none; one is told to,
/// for a server that stays.
fn memory_grown(stage: &Stage) -> anyhow::Result<()> {
    let settings = |script: &str| {
        stage.lab.run(&["exec", OFFERS, "--", "bash", "-c", script])?;
        stage.lab.run(&["kill", OFFERS, "watari-node-agent", "KILL"])?;
        stage.until_nodes_ready()
    };
    let offer = r"printf '\n[memory]\ngrows_from_mib = 128\ngrows_times = 4\ngrows_emulated = true\n'";
    settings(&format!("{offer} >>/etc/watari/node-agent.toml"))?;
    stage.watari(&["node", "cordon", "y1"])?;
    let who = ["vm", "create", "takes", "--image", "mini", "--network", "campus", "--site", "yamate"];
    let created = stage.watari(&[&who[..], &["--memory", "224MiB", "--disk", "1GiB", "--wait"]].concat());
    stage.watari(&["node", "uncordon", "y1"])?;
    let outcome = created.and_then(|_| takes_memory(stage));
    if stage.show("vm", "takes").is_ok() {
        stage.watari(&["vm", "delete", "takes", "--yes", "--wait"])?;
    }
    settings(r"sed -i '/^\[memory\]$/,$d' /etc/watari/node-agent.toml")?;
    outcome
}

fn takes_memory(stage: &Stage) -> anyhow::Result<()> {
    let address = stage.address("takes")?;
    stage.until_page(&address, 120)?;
    let (boot, booted_mib) = (stage.boot_id(&address)?, memory_mib(stage, &address)?);
    let resize = |size: &str| stage.watari(&["vm", "resize", "takes", "--memory", size]);
    let shown = resize("256MiB")?;
    ensure!(shown["memory_mib"] == 256 && shown["pending"].is_null(), "it is {shown}");
    // What its kernel makes of it, to the rounding.
    until(20, "its guest uses what it was given", || Ok(memory_mib(stage, &address)?.abs_diff(booted_mib + 32) <= 2))?;
    // No guest takes a single MiB.
    let waits = resize("257MiB")?;
    ensure!(waits["pending"]["memory_mib"] == 257 && waits["fault"]["code"] == "vm.growth-waits", "it is {waits}");
    ensure!(stage.boot_id(&address)? == boot, "it was booted anew");
    Ok(())
}

/// How much memory its kernel says that it has.
fn memory_mib(stage: &Stage, address: &str) -> anyhow::Result<u64> {
    let told: Value = serde_json::from_str(&stage.page(address, "/uptime")?)?;
    told["memory_mib"].as_u64().context("its memory is not told")
}

/// What the hypervisor says of the domain and of its disk, where it runs.
fn is_as_large(stage: &Stage, vcpus: u32, disk_bytes: u64) -> anyhow::Result<()> {
    let node = stage.node_of("grows")?;
    let virsh = |words: &[&str]| stage.lab.run(&[&["exec", &node, "--", "virsh"], words].concat());
    let says = |text: &str, name: &str, value: String| {
        text.lines().any(|line| line.starts_with(name) && line.split_whitespace().last() == Some(value.as_str()))
    };
    let (domain, disk) = (virsh(&["dominfo", "grows"])?, virsh(&["domblkinfo", "grows", "vda"])?);
    ensure!(says(&domain, "CPU(s):", vcpus.to_string()), "libvirt says {domain}");
    ensure!(says(&disk, "Capacity:", disk_bytes.to_string()), "libvirt says {disk}");
    Ok(())
}

fn stands_still(stage: &Stage) -> anyhow::Result<()> {
    stage.ready("mail")?;
    let (address, node) = (stage.address("mail")?, stage.node_of("mail")?);
    let boot = stage.boot_id(&address)?;
    let virsh = |words: &[&str]| stage.lab.run(&[&["exec", &node, "--", "virsh"], words].concat());
    let told = || -> anyhow::Result<bool> { Ok(stage.show("vm", "mail")?["fault"]["code"] == "vm.stands-still") };
    // It may just have been killed, and begins anew.
    until(30, "libvirtd takes connections", || virsh(&["uri"]).map(|_| true))?;
    virsh(&["suspend", "mail"])?;
    let named = until(60, "it is told that somebody has paused it", told).and_then(|()| {
        ensure!(stage.show("vm", "mail")?["state"] == "running", "it is still to run");
        until(30, "the doctor names it", || Ok(stage.doctor(&[])?.names("vm.stands-still", "mail")))?;
        stage.refused("vm.stands-still", &["vm", "migrate", "mail", "--to", stage.other_side("mail")?, "--wait"])
    });
    virsh(&["resume", "mail"])?;
    named?;
    until(60, "it is told no more", || Ok(!told()?))?;
    stage.until_page(&address, 60)?;
    // libvirt knows no reason for what QEMU was told behind its back, as for an error of QEMU's own.
    virsh(&["qemu-monitor-command", "mail", "--hmp", "stop"])?;
    until(10, "it stands still", || Ok(virsh(&["domstate", "mail"])?.trim() == "paused"))?;
    until(60, "its node has it go on", || Ok(virsh(&["domstate", "mail"])?.trim() == "running"))?;
    stage.until_page(&address, 60)?;
    ensure!(stage.boot_id(&address)? == boot, "it was booted anew");
    until(60, "it is told no more", || Ok(!told()?))
}

fn reboot(stage: &Stage) -> anyhow::Result<()> {
    let (address, node) = (stage.address("mail")?, stage.node_of("mail")?);
    let said = format!("mail has address {address}");
    let log = || stage.watari(&["vm", "console-log", "mail", "--bytes", "131072"]);
    let boots = |log: &Value| log["text"].as_str().map_or(0, |text| text.matches(&said).count());
    // It may have moved several times since, and of what it wrote elsewhere the end is kept.
    if boots(&log()?) == 0 {
        stage.watari(&["vm", "reboot", "mail", "--force", "--wait"])?;
        until(120, "the boot is in the log", || Ok(boots(&log()?) > 0))?;
        stage.until_page(&address, 60)?;
    }
    let (before, boot) = (boots(&log()?), stage.boot_id(&address)?);
    let began = Instant::now();
    boots_at_console(stage, &said)?;
    until(120, "another boot answers", || Ok(stage.boot_id(&address)? != boot))?;
    let took = began.elapsed();
    ensure!(took < BOOTS_WITHIN, "the guest needed {took:?} to boot");
    ensure!(stage.node_of("mail")? == node, "it rebooted elsewhere");
    until(120, "the next boot is in the log too", || Ok(boots(&log()?) == before + 1))?;
    let read = log()?;
    ensure!(read["node"].as_str() == Some(&node), "it was read on {}", read["node"]);
    stage.watari(&["vm", "migrate", "mail", "--to", stage.other_side("mail")?, "--wait"])?;
    until(30, "what it wrote before it moved is in the log there", || Ok(boots(&log()?) > 0))
}

/// Reboots it under the eyes of somebody who has its console open.
fn boots_at_console(stage: &Stage, said: &str) -> anyhow::Result<()> {
    const BOOTS: Duration = Duration::from_secs(120);
    let (opening, opened) = mpsc::channel();
    let wanted = said.to_owned();
    let person = requests::at_client(&stage.lab, async move |bus| {
        let name: watari_model::VmName = "mail".parse()?;
        let at_console = |act| VmConsole { name: name.clone(), session: "scenario".to_owned(), act, again: false };
        let begun = bus.request(&at_console(ConsoleAct::Open { take_over: true })).await?;
        opening.send(())?;
        let (mut seen, mut shown, until) = (begun.part.from, Vec::new(), Instant::now() + BOOTS);
        while !String::from_utf8_lossy(&shown).contains(&wanted) {
            ensure!(Instant::now() < until, "the console shows {:?}", String::from_utf8_lossy(&shown));
            let part = bus.request(&at_console(ConsoleAct::Follow { from: seen })).await?.part;
            seen = part.from + part.output.0.len() as u64;
            shown.extend(part.output.0);
        }
        bus.request(&at_console(ConsoleAct::Close)).await?;
        Ok(())
    });
    // If it cannot be opened, the person says why.
    if opened.recv_timeout(BOOTS).is_ok() {
        stage.watari(&["vm", "reboot", "mail", "--force", "--wait"])?;
    }
    person.join().map_err(|_| anyhow!("whoever was at the console fell"))?
}

fn displayed(stage: &Stage) -> anyhow::Result<()> {
    stage.refused("screen.no-display", &["vm", "screenshot", "mail", "/run/mail.png"])?;
    stage.create("shown", "campus", &["--display"])?;
    let outcome = shown_at_both_ends(stage);
    stage.watari(&["vm", "delete", "shown", "--yes", "--wait"])?;
    outcome
}

fn shown_at_both_ends(stage: &Stage) -> anyhow::Result<()> {
    const FILE: &str = "/run/shown.png";
    let picture = || -> anyhow::Result<()> {
        let taken = stage.watari(&["vm", "screenshot", "shown", FILE])?;
        ensure!(taken["node"].as_str() == Some(&stage.node_of("shown")?), "it was taken elsewhere: {taken}");
        let begin = stage.lab.run(&["exec", "client", "--", "head", "-c", "8", FILE])?;
        ensure!(begin.ends_with("PNG\r\n\u{1a}\n"), "the file begins with {begin:?}");
        Ok(())
    };
    picture()?;
    stage.watari(&["vm", "migrate", "shown", "--to", stage.other_side("shown")?, "--wait"])?;
    picture()
}

fn agent_restarts(stage: &Stage) -> anyhow::Result<()> {
    let (address, node) = (stage.address("mail")?, stage.node_of("mail")?);
    let boot = stage.boot_id(&address)?;
    stage.lab.run(&["kill", &node, "watari-node-agent", "KILL"])?;
    stage.until_nodes_ready()?;
    stage.sound("mail", &boot)
}

fn libvirtd_restarts(stage: &Stage) -> anyhow::Result<()> {
    let (address, node) = (stage.address("mail")?, stage.node_of("mail")?);
    let boot = stage.boot_id(&address)?;
    stage.lab.run(&["kill", &node, "libvirtd", "KILL"])?;
    stage.until_nodes_ready()?;
    stage.sound("mail", &boot)
}

fn cordoned(stage: &Stage) -> anyhow::Result<()> {
    let to = stage.other_side("mail")?;
    stage.watari(&["node", "cordon", to])?;
    let refused = stage.refused("placement.node-unfit", &["vm", "migrate", "mail", "--to", to]);
    stage.watari(&["node", "uncordon", to])?;
    refused
}

fn drained(stage: &Stage) -> anyhow::Result<()> {
    let address = stage.address("mail")?;
    let (boot, node) = (stage.boot_id(&address)?, stage.node_of("mail")?);
    stage.watari(&["node", "drain", &node, "--wait"])?;
    ensure!(stage.node_of("mail")? != node, "it is still there");
    let refused = stage.refused("placement.node-unfit", &["vm", "migrate", "mail", "--to", &node]);
    stage.watari(&["node", "uncordon", &node])?;
    refused?;
    stage.sound("mail", &boot)
}

fn deleted(stage: &Stage) -> anyhow::Result<()> {
    // By UEFI, so that there is one file more that moves with it and goes with it.
    stage.watari(&["image", "edit", "mini", "--firmware", "uefi"])?;
    let made = stage.create("fleeting", "campus", &[]);
    stage.watari(&["image", "edit", "mini", "--firmware", "bios"])?;
    made?;
    let shown = stage.show("vm", "fleeting")?;
    let uuid = shown["uuid"].as_str().unwrap_or_default().to_owned();
    let variables = |node: &str| stage.lab.file(node, &format!("/var/lib/watari/nvram/{uuid}.fd"));
    let (new, source) = (fs::read(NEW_VARIABLES)?, stage.node_of("fleeting")?);
    until(120, "its firmware has noted something", || Ok(fs::read(variables(&source))? != new))?;
    stage.watari(&["vm", "migrate", "fleeting", "--to", stage.other_side("fleeting")?, "--wait"])?;
    let node = stage.node_of("fleeting")?;
    ensure!(node != source && fs::read(variables(&node))? != new, "what its firmware noted did not move with it");
    let disk = stage.lab.file(&node, &format!("/var/lib/watari/disks/{uuid}.qcow2"));
    ensure!(disk.exists(), "{} is not where a disk is expected", disk.display());
    stage.watari(&["vm", "delete", "fleeting", "--yes", "--wait"])?;
    ensure!(!disk.exists(), "the disk is still there");
    ensure!(stage.lab.copies("fleeting").is_empty(), "the process is still there");
    until(60, "its variables are nowhere", || Ok(NODES.into_iter().all(|node| !variables(node).exists())))?;
    let ports = stage.watari(&["port", "list"])?;
    ensure!(!ports.to_string().contains("fleeting"), "the address is still taken");
    stage.refused("vm.unknown", &["vm", "show", "fleeting"])
}
