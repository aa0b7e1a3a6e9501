//! Further things that are really broken: on the host on which the doctor is called, by what people have made, and of
//! what nobody answers for.

use std::fs;

use anyhow::{Context, ensure};
use watari_testkit::TempDir;

use super::{Found, NODE, OLD};
use crate::scenarios::{Stage, until};

/// The other node of the campus of [`NODE`].
const NEIGHBOUR: &str = "y1";
const FRONTS: [&str; 2] = ["m-front", "y-front"];

/// What is still to be named, of code and word.
fn missed<'b>(found: &Found, broken: &[(&'b str, &'b str)]) -> Vec<&'b str> {
    broken.iter().filter(|(code, word)| !found.names(code, word)).map(|(code, _)| *code).collect()
}

/// Waits until everything is named.
fn all_named(stage: &Stage, seconds: u64, broken: &[(&str, &str)], more: &[&str]) -> anyhow::Result<()> {
    let mut last = Vec::new();
    let named = until(seconds, "the doctor names each of them", || {
        last = missed(&stage.doctor(more)?, broken).into_iter().map(str::to_owned).collect();
        Ok(last.is_empty())
    });
    named.with_context(|| format!("it does not name {last:?}"))
}

/// What somebody does who makes the bridge an interface like any other, as with a fixed address of its own.
pub(super) fn bridge_gone(stage: &Stage) -> anyhow::Result<()> {
    stage.away_from_the_node()?;
    let link = |words: &[&str]| stage.at_node(&[&["ip", "link"], words].concat());
    let away = || {
        link(&["set", "br-campus", "down"])?;
        link(&["set", "br-campus", "name", "br-away"])
    };
    let back = || {
        link(&["set", "br-away", "name", "br-campus"])?;
        link(&["set", "br-campus", "up"])
    };
    stage.names("bridge.missing", NODE, &[], away, back)?;
    let another = || {
        away()?;
        link(&["add", "br-campus", "type", "veth", "peer", "name", "br-peer"])
    };
    let mend = || {
        link(&["del", "br-campus"])?;
        back()
    };
    stage.names("bridge.not-a-bridge", NODE, &[], another, mend)
}

/// Networks, servers, images and settings.
pub(super) fn made_by_people(stage: &Stage) -> anyhow::Result<()> {
    const BROKEN: [(&str, &str); 5] = [
        ("network.nearly-full", "tight"),
        ("network.tunnel", NEIGHBOUR),
        ("bridge.mtu", "wide"),
        ("image.failed", "no-disk"),
        ("vm.stays", "mail"),
    ];
    stage.until_well()?;
    let dir = TempDir::new();
    let file = dir.path().join("no-disk.qcow2");
    // It says that it is a qcow2, and is none.
    fs::write(&file, b"QFI\xfb and nothing more of it")?;
    let file = file.to_str().context("no path of text")?;
    let settings = stage.lab.file(NEIGHBOUR, "/etc/watari/node-agent.toml");
    let before = fs::read_to_string(&settings).with_context(|| format!("cannot read {}", settings.display()))?;
    let again = || stage.lab.run(&["restart", NEIGHBOUR, "watari-node-agent"]).map(drop);
    let broken = || {
        let tight = ["--overlay", "--cidr", "10.77.0.0/28", "--range", "10.77.0.10-10.77.0.10"];
        stage.watari(&[&["network", "create", "tight"][..], &tight].concat())?;
        let only = ["--image", "mini", "--network", "tight", "--site", "myodaiji", "--memory", "128MiB"];
        stage.watari(&[&["vm", "create", "only", "--disk", "1GiB", "--no-start"][..], &only].concat())?;
        let wide = ["--provider", "--cidr", "198.51.100.0/24", "--range", "198.51.100.10-198.51.100.20"];
        stage.watari(&[&["network", "create", "wide", "--mtu", "9000"][..], &wide].concat())?;
        stage.watari(&["vm", "edit", "mail", "--evacuate", "stay"])?;
        // Refused at once, or once it was looked at.
        let _ = stage.watari(&["image", "import", file, "--name", "no-disk", "--wait"]);
        fs::write(&settings, named_address(&before)?)?;
        again()?;
        all_named(stage, 90, &BROKEN, &[])?;
        // Of the way to it only another node can say something.
        stage.on_host(NODE, |ask| {
            let mut last = Vec::new();
            let named = until(30, "the doctor names the name that leads nowhere", || {
                last = missed(&ask(&[])?, &[("path.unnamed", NOWHERE)]);
                Ok(last.is_empty())
            });
            named.with_context(|| format!("it does not name {last:?}"))
        })
    };
    let outcome = broken();
    let there = |noun: &str, name: &str| stage.show(noun, name).is_ok();
    let delete = |noun: &str, name: &str, more: &[&str]| {
        let words = [&[noun, "delete", name, "--yes"], more].concat();
        if there(noun, name) { stage.watari(&words).map(drop) } else { Ok(()) }
    };
    // Whatever of it has come about.
    let mended = [
        fs::write(&settings, &before).context("the node's settings are not as they were"),
        again(),
        stage.watari(&["vm", "edit", "mail", "--evacuate", "live"]).map(drop),
        delete("image", "no-disk", &[]),
        delete("vm", "only", &["--wait"]),
        // Once its last address is given back.
        until(60, "the network is gone", || delete("network", "tight", &[]).map(|()| true)),
        delete("network", "wide", &[]),
    ];
    outcome?;
    mended.into_iter().collect::<anyhow::Result<()>>()?;
    stage.until_nodes_ready()?;
    stage.until_well()
}

/// What nobody knows by that name (RFC 2606).
const NOWHERE: &str = "nowhere.invalid";

/// The settings of a node that takes servers at a name.
fn named_address(settings: &str) -> anyhow::Result<String> {
    let of_address = |line: &&str| line.starts_with("migration_address");
    let line = settings.lines().find(of_address).context("the node has no migration_address")?;
    Ok(settings.replacen(line, &format!("migration_address = \"{NOWHERE}\""), 1))
}

/// A node that does not know its own name and confines what its agent starts; and a front end whose backups are missing.
pub(super) fn host_itself(stage: &Stage) -> anyhow::Result<()> {
    const BROKEN: [(&str, &str); 2] = [("host.unnamed", NODE), ("host.apparmor", "dnsmasq")];
    // Where the kernel tells of its profiles.
    const SECURITY: &str = "/sys/kernel/security";
    let script = |text: &str| stage.at_node(&["bash", "-ec", text]);
    stage.on_host(NODE, |ask| {
        let broken = || {
            script(&format!("cp /etc/hosts /run/hosts.whole; sed '/ {NODE}$/d' /run/hosts.whole >/etc/hosts"))?;
            script(&format!(
                "mount -t tmpfs tmpfs {SECURITY}; mkdir {SECURITY}/apparmor
                echo '/usr/sbin/dnsmasq (enforce)' >{SECURITY}/apparmor/profiles"
            ))?;
            let left = missed(&ask(&[])?, &BROKEN);
            ensure!(left.is_empty(), "it does not name {left:?}");
            Ok(())
        };
        let outcome = broken();
        // Whatever of it has come about.
        let mended = [
            script("[ ! -e /run/hosts.whole ] || cp /run/hosts.whole /etc/hosts"),
            script(&format!("! mountpoint -q {SECURITY} || umount {SECURITY}")),
        ];
        outcome?;
        mended.into_iter().collect::<anyhow::Result<()>>()?;
        let found = ask(&[])?;
        ensure!(missed(&found, &BROKEN).len() == BROKEN.len(), "it still finds {:?}", found.0);
        Ok(())
    })?;
    backups_missing(stage)?;
    key_unknown(stage)?;
    certificate_ended(stage)?;
    disk_filling(stage)
}

const FRONT: &str = "y-front";

/// As where a host has files of another day than NATS. Nobody else uses that key meanwhile.
fn key_unknown(stage: &Stage) -> anyhow::Result<()> {
    // Made for this: it opens nothing anywhere.
    const STRANGER: &str = "SUADA7YH4JASDYJBGJENLSZRNTNJU5ZRFRGSNASGZCCLOMTIABRJKT7FJ4\n";
    let key = stage.lab.file(FRONT, "/etc/watari/nkeys/backup.nk");
    let before = fs::read(&key).with_context(|| format!("cannot read {}", key.display()))?;
    stage.on_host(FRONT, |ask| {
        fs::write(&key, STRANGER)?;
        let named = ask(&[]).map(|found| found.names("host.key-refused", "backup.nk"));
        fs::write(&key, &before)?;
        ensure!(named?, "the key that NATS does not know is not named");
        ensure!(!ask(&[])?.codes().contains("host.key-refused"), "a key is named that NATS knows");
        Ok(())
    })
}

/// Of the witness, which keeps nothing in that folder.
fn disk_filling(stage: &Stage) -> anyhow::Result<()> {
    const HOST: &str = "witness";
    const FOLDER: &str = "/var/lib/watari";
    let script = |text: &str| stage.lab.run(&["exec", HOST, "--", "bash", "-ec", text]).map(drop);
    stage.on_host(HOST, |ask| {
        script(&format!("mount -t tmpfs -o size=1m tmpfs {FOLDER}; head -c 1000k /dev/zero >{FOLDER}/full || true"))?;
        let named = ask(&[]).map(|found| found.names("host.disk-filling", FOLDER));
        script(&format!("umount {FOLDER}"))?;
        ensure!(named?, "the disk that fills is not named");
        Ok(())
    })
}

/// Who serves with it has read it at the start.
fn certificate_ended(stage: &Stage) -> anyhow::Result<()> {
    let file = stage.lab.file(FRONT, "/etc/watari/tls/host.crt");
    let before = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    stage.on_host(FRONT, |ask| {
        fs::write(&file, OLD)?;
        let named = ask(&[]).map(|found| found.names("host.certificate-expired", "host.crt"));
        fs::write(&file, &before)?;
        ensure!(named?, "the certificate that has ended is not named");
        Ok(())
    })
}

/// The monitor there is not started anew, so that the doctor alone reads the setting.
fn backups_missing(stage: &Stage) -> anyhow::Result<()> {
    let settings = stage.lab.file(FRONT, "/etc/watari/monitor.toml");
    let before = fs::read_to_string(&settings).with_context(|| format!("cannot read {}", settings.display()))?;
    stage.on_host(FRONT, |ask| {
        fs::write(&settings, format!("{before}\n[backups]\nfolder = \"/var/lib/watari/backups\"\n"))?;
        let named = ask(&[]).map(|found| found.names("host.backup-old", "/var/lib/watari/backups"));
        fs::write(&settings, &before)?;
        ensure!(named?, "that there is no backup is not named");
        ensure!(!ask(&[])?.codes().contains("host.backup-old"), "it is named where nobody asks for backups");
        Ok(())
    })
}

pub(super) fn unanswered(stage: &Stage) -> anyhow::Result<()> {
    const BROKEN: [(&str, &str); 2] = [("service.no-leader", "image"), ("doctor.unanswered", "the images")];
    stage.until_well()?;
    let both = |verb: &str| FRONTS.into_iter().try_for_each(|front| stage.lab.run(&[verb, front, "image"]).map(drop));
    let named = both("stop").and_then(|()| all_named(stage, 90, &BROKEN, &["--timeout", "2s"]));
    both("start")?;
    named?;
    stage.until_well()?;
    // Somebody whose key is for one project's servers alone.
    let found = stage.doctor_at("client", &["WATARI_NKEY=/etc/watari/sato.nk"], &[])?;
    ensure!(found.names("doctor.not-permitted", "the plan of an evacuation"), "it finds {:?}", found.0);
    Ok(())
}

/// Nobody is advised to say of nodes that they are off, of which nobody can tell.
pub(super) fn campus_silent(stage: &Stage) -> anyhow::Result<()> {
    stage.until_well()?;
    let both = |verb: &str| {
        let mut nodes = [NEIGHBOUR, NODE].into_iter();
        nodes.try_for_each(|node| stage.lab.run(&[verb, node, "watari-node-agent"]).map(drop))
    };
    let named = both("stop").and_then(|()| all_named(stage, 90, &[("site.silent", "yamate")], &[])).and_then(|()| {
        let found = stage.doctor(&[])?;
        ensure!(!found.codes().contains("node.lost"), "its nodes are named one by one: {:?}", found.0);
        Ok(())
    });
    both("start")?;
    named?;
    stage.until_nodes_ready()?;
    stage.until_well()
}

pub(super) fn node_off(stage: &Stage) -> anyhow::Result<()> {
    stage.away_from_the_node()?;
    let off = || {
        stage.lab.run(&["power-off", NODE])?;
        until(60, "it is lost", || Ok(stage.show("node", NODE)?["state"] == "lost"))?;
        stage.watari(&["node", "confirm-off", NODE, "--yes"]).map(drop)
    };
    let on = || stage.lab.run(&["power-on", NODE]).map(drop);
    stage.names("node.off", NODE, &["node.lost", "node.suspect", "node.hypervisor"], off, on)
}
