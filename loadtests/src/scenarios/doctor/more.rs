//! Further things that are really broken: bridges, what people have made, and what nobody answers for.

use std::fs;

use anyhow::{Context, ensure};
use watari_testkit::TempDir;

use super::{Kept, NEIGHBOUR, NODE, around::unmount};
use crate::scenarios::{Stage, until};

const FRONTS: [&str; 2] = ["m-front", "y-front"];

/// One of the other node leads nowhere, and that of this one is in one state after the other.
pub(super) fn bridges(stage: &Stage) -> anyhow::Result<()> {
    const ALONE: (&str, &str) = ("bridge.no-uplink", NEIGHBOUR);
    stage.away_from_the_campus()?;
    stage.until_well()?;
    let broken = || {
        stage.script(NEIGHBOUR, "ip link set campus0 nomaster")?;
        stage.script(NODE, "ip link set br-campus down")?;
        stage.until_named(&[ALONE, ("bridge.down", NODE)], &[], &[])?;
        // What somebody does who makes the bridge an interface like any other, as with a fixed address of its own.
        stage.script(NODE, "ip link set br-campus name br-away")?;
        stage.until_named(&[ALONE, ("bridge.missing", NODE)], &[], &[])?;
        stage.script(NODE, "ip link add br-campus type veth peer name br-peer")?;
        stage.until_named(&[ALONE, ("bridge.not-a-bridge", NODE)], &[], &[])
    };
    let outcome = broken();
    // Whatever of it has come about.
    let mended = [
        stage.script(
            NODE,
            "if [ -e /sys/class/net/br-away ]; then
                [ ! -e /sys/class/net/br-campus ] || ip link del br-campus
                ip link set br-away name br-campus
            fi
            ip link set br-campus up",
        ),
        stage.script(NEIGHBOUR, "ip link set campus0 master br-campus"),
    ];
    outcome?;
    mended.into_iter().collect::<anyhow::Result<()>>()?;
    stage.until_well()
}

/// Networks, servers and images.
pub(super) fn made_by_people(stage: &Stage) -> anyhow::Result<()> {
    const BROKEN: [(&str, &str); 5] = [
        ("network.nearly-full", "tight"),
        ("bridge.mtu", "wide"),
        ("image.failed", "no-disk"),
        ("vm.stays", "mail"),
        ("outage.at-risk", "mail"),
    ];
    stage.until_well()?;
    let (site, mut outage) = (stage.site_of("mail")?, None);
    let dir = TempDir::new();
    let file = dir.path().join("no-disk.qcow2");
    // It says that it is a qcow2, and is none.
    fs::write(&file, b"QFI\xfb and nothing more of it")?;
    let file = file.to_str().context("no path of text")?;
    let mut broken = || {
        let tight = ["--overlay", "--cidr", "10.77.0.0/28", "--range", "10.77.0.10-10.77.0.10"];
        stage.watari(&[&["network", "create", "tight"][..], &tight].concat())?;
        let only = ["--image", "mini", "--network", "tight", "--site", "myodaiji", "--memory", "128MiB"];
        stage.watari(&[&["vm", "create", "only", "--disk", "1GiB", "--no-start"][..], &only].concat())?;
        let wide = ["--provider", "--cidr", "198.51.100.0/24", "--range", "198.51.100.10-198.51.100.20"];
        stage.watari(&[&["network", "create", "wide", "--mtu", "9000"][..], &wide].concat())?;
        stage.watari(&["vm", "edit", "mail", "--evacuate", "stay"])?;
        let scheduled = stage.watari(&["outage", "schedule", &site, "--from", "+100h", "--until", "+110h"])?;
        outage = scheduled["id"].as_str().map(str::to_owned);
        // Refused at once, or once it was looked at.
        let _ = stage.watari(&["image", "import", file, "--name", "no-disk", "--wait"]);
        stage.until_named(&BROKEN, &[], &[])
    };
    let outcome = broken();
    let delete = |noun: &str, name: &str, more: &[&str]| {
        let words = [&[noun, "delete", name, "--yes"], more].concat();
        if stage.show(noun, name).is_ok() { stage.watari(&words).map(drop) } else { Ok(()) }
    };
    // Whatever of it has come about.
    let mended = [
        outage.map_or(Ok(()), |id| stage.watari(&["outage", "cancel", &id]).map(drop)),
        stage.watari(&["vm", "edit", "mail", "--evacuate", "live"]).map(drop),
        delete("image", "no-disk", &[]),
        delete("vm", "only", &["--wait"]),
        // Once its last address is given back.
        until(60, "the network is gone", || delete("network", "tight", &[]).map(|()| true)),
        delete("network", "wide", &[]),
    ];
    outcome?;
    mended.into_iter().collect::<anyhow::Result<()>>()?;
    stage.until_well()
}

/// The other two NATS servers are a majority still.
pub(super) fn unanswered(stage: &Stage) -> anyhow::Result<()> {
    const BROKEN: [(&str, &str); 4] = [
        ("quorum.server-away", "witness"),
        ("quorum.few-copies", "2 current copies"),
        ("service.no-leader", "image"),
        ("doctor.unanswered", "the images"),
    ];
    stage.until_well()?;
    let images = |verb: &str| FRONTS.into_iter().try_for_each(|front| stage.lab.run(&[verb, front, "image"]).map(drop));
    let broken = || {
        images("stop")?;
        stage.lab.run(&["power-off", "witness"])?;
        stage.until_named(&BROKEN, &[], &["--timeout", "2s"])
    };
    let outcome = broken();
    let mended = [stage.lab.run(&["power-on", "witness"]).map(drop), images("start")];
    outcome?;
    mended.into_iter().collect::<anyhow::Result<()>>()?;
    stage.until_well()
}

/// A disk of 24 GiB for the node's servers, with less than 2 of them free. Hardly anything of it is anywhere.
const SMALL_DISK: &str = "truncate -s 24G /run/disk.img
    mkfs.ext4 -q -m 0 -N 64 -O ^has_journal -E lazy_itable_init=1,lazy_journal_init=1 /run/disk.img
    mount -o loop /run/disk.img /var/lib/watari/disks
    rmdir /var/lib/watari/disks/lost+found
    fallocate -l 20G /var/lib/watari/disks/full";
const OWN_DISK: &str =
    "! grep -q '^/dev/loop[0-9]* /var/lib/watari/disks ' /proc/self/mounts || umount --lazy /var/lib/watari/disks
    rm -f /run/disk.img";
/// libvirt asks a QEMU once for what it is, and goes by what it has noted.
const OTHER_QEMU: &str = "cp -a /var/cache/libvirt/qemu/capabilities /run/noted
    sed -i 's|<version>[0-9]*</version>|<version>99000000</version>|' /var/cache/libvirt/qemu/capabilities/*.xml";
const OWN_QEMU: &str = "if [ -e /run/noted ]; then
        rm -r /var/cache/libvirt/qemu/capabilities
        mv /run/noted /var/cache/libvirt/qemu/capabilities
    fi";

/// What an agent finds out when it starts: whether it may lay rules, where UEFI's firmware is, which one image wants, and
/// whether it is to do without KVM. And what libvirt and the disk tell it.
pub(super) fn unprotected(stage: &Stage) -> anyhow::Result<()> {
    const BROKEN: [(&str, &str); 6] = [
        ("node.not-guarded", NODE),
        ("node.no-firewall", NODE),
        ("node.no-uefi", NODE),
        ("node.emulated", NODE),
        ("node.versions-differ", "99.0.0"),
        ("disk.filling", NODE),
    ];
    // While it starts; and, where the machine has KVM, that nobody else does without.
    const MEANWHILE: [&str; 3] = ["node.suspect", "node.hypervisor", "node.processor"];
    const SETTINGS: &str = "/etc/watari/node-agent.toml";
    const FIRMWARE: &str = "/usr/share/OVMF";
    stage.away_from_the_campus()?;
    stage.until_well()?;
    let kept = Kept::of(stage, NODE, &[SETTINGS])?;
    let again = || stage.lab.run(&["restart", NODE, "watari-node-agent"]).map(drop);
    let with_qemu = |noted: &str| {
        stage.lab.run(&["stop", NODE, "libvirtd"])?;
        let done = stage.script(NODE, noted);
        stage.lab.run(&["start", NODE, "libvirtd"])?;
        done
    };
    let boots_by = |firmware: &str| stage.watari(&["image", "edit", "mini", "--firmware", firmware]).map(drop);
    let broken = || {
        let settings = stage.lab.file(NODE, SETTINGS);
        fs::write(&settings, without(&fs::read_to_string(&settings)?)?)?;
        stage.at_node(&["mount", "-t", "tmpfs", "tmpfs", FIRMWARE])?;
        stage.script(NODE, SMALL_DISK)?;
        with_qemu(OTHER_QEMU)?;
        again()?;
        boots_by("uefi")?;
        stage.until_named(&BROKEN, &MEANWHILE, &[])
    };
    let outcome = broken();
    // Whatever of it has come about.
    let mended = [
        boots_by("bios"),
        unmount(stage, NODE, FIRMWARE),
        stage.script(NODE, OWN_DISK),
        kept.put_back(),
        with_qemu(OWN_QEMU),
        again(),
    ];
    outcome?;
    mended.into_iter().collect::<anyhow::Result<()>>()?;
    stage.until_nodes_ready()?;
    stage.until_well()
}

/// The settings of a node that holds its servers to nothing, and emulates them.
fn without(settings: &str) -> anyhow::Result<String> {
    let mut table: toml::Table = settings.parse().context("the node's settings are no TOML")?;
    table.insert("virtualisation".to_owned(), "qemu".into());
    let networks = table.get_mut("networks").and_then(toml::Value::as_table_mut);
    networks.context("the node has no networks")?.insert("guard".to_owned(), false.into());
    Ok(table.to_string())
}

/// Somebody whose key is for one project's servers alone.
pub(super) fn not_permitted(stage: &Stage) -> anyhow::Result<()> {
    let found = stage.doctor_at("client", &["WATARI_NKEY=/etc/watari/sato.nk"], &[])?;
    ensure!(found.names("doctor.not-permitted", "the plan of an evacuation"), "it finds {:?}", found.0);
    Ok(())
}
