//! A real Debian guest with cloud-init, on a network of each kind: it is who it was told to be, and stays so over a crossing.

use anyhow::{Context, bail, ensure};

use super::{Stage, until};
use crate::{answer, lab::NODES};

type Run = fn(&Stage) -> anyhow::Result<()>;

/// Made before what is waited for, so that others use the time.
pub(super) const BEGINS: &[(&str, Run)] = &[("a_debian_guest_begins_to_boot", begins)];
pub(super) const SCENARIOS: &[(&str, Run)] =
    &[("a_debian_guest_takes_its_name_key_and_user_data_and_keeps_them_over_a_crossing", debian)];

const VM: &str = "deb";
/// The network of its second card, which the guest calls eth1 as it is told.
const OVERLAY: &str = "desks";
/// Where the client keeps the two keys: one that the server knows, one that it does not.
const FOLDER: &str = "/var/tmp/watari-seed";
/// Under emulation, systemd and cloud-init's Python take their time.
const BOOTS: u64 = 420;
const USER_DATA: &str = "#cloud-config\nruncmd:\n  - [sh, -c, 'echo done by user-data > /run/seeded']\n";

fn client(stage: &Stage, command: &[&str]) -> anyhow::Result<String> {
    stage.lab.run(&[&["exec", "client", "--"], command].concat())
}

fn ssh(stage: &Stage, key: &str, address: &str, command: &str) -> anyhow::Result<String> {
    let key = format!("{FOLDER}/{key}");
    let options = ["BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "ConnectTimeout=10"];
    let mut line = vec!["ssh", "-q", "-F", "none", "-i", &key];
    for option in options {
        line.extend(["-o", option]);
    }
    let who = format!("debian@{address}");
    line.extend([who.as_str(), command]);
    client(stage, &line)
}

/// The seed volume's files on all nodes.
fn seeds(stage: &Stage, uuid: &str) -> Vec<&'static str> {
    let there = |node: &&str| stage.lab.file(node, &format!("/var/lib/watari/seeds/{uuid}.img")).exists();
    NODES.into_iter().filter(there).collect()
}

fn begins(stage: &Stage) -> anyhow::Result<()> {
    client(stage, &["rm", "-rf", FOLDER])?;
    client(stage, &["mkdir", "-m", "700", FOLDER])?;
    for key in ["known", "stranger"] {
        client(stage, &["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", key, "-f", &format!("{FOLDER}/{key}")])?;
    }
    let file = format!("{FOLDER}/user-data");
    client(stage, &["sh", "-c", "printf %s \"$1\" >\"$2\"", "sh", USER_DATA, &file])?;
    // Of a try that came no further.
    if stage.show("key", "desk").is_ok() {
        stage.watari(&["key", "delete", "desk", "--yes"])?;
    }
    stage.watari(&["key", "add", "desk", &format!("{FOLDER}/known.pub")])?;
    if stage.show("image", "debian").is_err() {
        let image = stage.lab.run(&["guest-image", "debian"])?;
        stage.watari(&["image", "import", image.trim(), "--name", "debian", "--wait"])?;
    }
    stage.overlay(OVERLAY, "10.19.0")?;
    let who =
        ["vm", "create", VM, "--image", "debian", "--network", "campus", "--network", OVERLAY, "--site", "myodaiji"];
    let size = ["--memory", "512MiB", "--disk", "2GiB", "--hostname", "desk.example.jp"];
    let told = ["--key", "desk", "--user-data", &file, "--wait"];
    stage.watari(&[&who[..], &size[..], &told[..]].concat()).map(drop)
}

fn debian(stage: &Stage) -> anyhow::Result<()> {
    if stage.show("vm", VM).is_err() {
        begins(stage)?;
    }
    let outcome = logs_in_by_key(stage);
    if let Err(error) = &outcome {
        let console = stage.lab.run(&["exec", "client", "--", "watari", "vm", "console-log", VM]).unwrap_or_default();
        bail!("{error:#}; its console ends with:\n{console}");
    }
    let uuid = stage.show("vm", VM)?["uuid"].as_str().unwrap_or_default().to_owned();
    stage.watari(&["vm", "delete", VM, "--yes", "--wait"])?;
    stage.watari(&["network", "delete", OVERLAY, "--yes"])?;
    stage.watari(&["key", "delete", "desk", "--yes"])?;
    client(stage, &["rm", "-rf", FOLDER])?;
    let left = seeds(stage, &uuid);
    ensure!(left.is_empty(), "the seed volume of the deleted server is still on {left:?}");
    Ok(())
}

/// What the guest itself is answered by the metadata address: the status and the text.
fn metadata(stage: &Stage, address: &str, question: &str, header: &str) -> anyhow::Result<(u16, String)> {
    let lines = format!(r"{question} HTTP/1.1\r\nHost: metadata\r\nConnection: close\r\n{header}\r\n\r\n");
    let asks = format!("exec 3<>/dev/tcp/169.254.169.254/80 && printf \"{lines}\" >&3 && cat <&3");
    let told = ssh(stage, "known", address, &format!("bash -c '{asks}'"))?;
    answer::read(&mut told.as_bytes())
}

/// Packets of the overlay network's size by its card, and of the metadata address who it is, with a token and not without.
fn is_told_of_itself(stage: &Stage, address: &str) -> anyhow::Result<()> {
    let carried = stage.show("network", OVERLAY)?["overlay"]["mtu"].to_string();
    let mtu = ssh(stage, "known", address, "cat /sys/class/net/eth1/mtu")?;
    ensure!(mtu.trim() == carried, "its card on {OVERLAY} sends packets of {mtu:?}, the network carries {carried}");
    let (question, nothing) = ("GET /latest/meta-data/instance-id", "Accept: */*");
    let refused = metadata(stage, address, question, nothing)?;
    ensure!(refused == (401, String::new()), "without a token it is told {refused:?}");
    let lifetime = "X-aws-ec2-metadata-token-ttl-seconds: 60";
    let (status, token) = metadata(stage, address, "PUT /latest/api/token", lifetime)?;
    ensure!(status == 200, "it is given no token: {status}");
    let told = metadata(stage, address, question, &format!("X-aws-ec2-metadata-token: {token}"))?;
    let uuid = stage.show("vm", VM)?["uuid"].as_str().context("no uuid")?.to_owned();
    ensure!(told == (200, uuid), "it is told that it is {told:?}");
    Ok(())
}

fn logs_in_by_key(stage: &Stage) -> anyhow::Result<()> {
    let address = stage.address(VM)?;
    until(BOOTS, "the guest lets its key in", || ssh(stage, "known", &address, "true").map(|_| true))?;
    ensure!(ssh(stage, "stranger", &address, "true").is_err(), "a key that it was not told logs in");
    let name = ssh(stage, "known", &address, "hostname -f")?;
    ensure!(name.trim() == "desk.example.jp", "it calls itself {name:?}");
    until(BOOTS, "user-data was carried out", || {
        Ok(ssh(stage, "known", &address, "cat /run/seeded")?.contains("done"))
    })?;
    is_told_of_itself(stage, &address)?;

    let boot = "cat /proc/sys/kernel/random/boot_id";
    let before = ssh(stage, "known", &address, boot)?;
    let digest = "sudo sha256sum /dev/vdb";
    let volume = ssh(stage, "known", &address, digest)?;
    let to = stage.other_side(VM)?;
    stage.watari(&["vm", "migrate", VM, "--to", to, "--wait"])?;
    ensure!(ssh(stage, "known", &address, boot)? == before, "the crossing booted it");
    is_told_of_itself(stage, &address).with_context(|| format!("at {to}"))?;
    // Past the guest's own memory of it, from the volume that was made at the other end.
    ssh(stage, "known", &address, "sudo sh -c 'echo 3 > /proc/sys/vm/drop_caches'")?;
    ensure!(ssh(stage, "known", &address, digest)? == volume, "the seed volume changed on the way");
    let uuid = stage.show("vm", VM)?["uuid"].as_str().context("no uuid")?.to_owned();
    ensure!(seeds(stage, &uuid).contains(&to), "no seed volume at {to}");
    Ok(())
}
