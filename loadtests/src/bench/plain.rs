//! A twin of a Watari server that only `virsh` knows: the same domain under another name, with a
//! disk of its own on the same base image. Who has to speak with it has it told an address.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};

use crate::lab::{Lab, NODES};

const PREFIX: &str = "bench-twin";

/// The text between two marks.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}

/// Removes everything from `before` to `after`, both included.
fn without(text: &str, before: &str, after: &str) -> String {
    match text.split_once(before).and_then(|(head, rest)| Some((head, rest.split_once(after)?.1))) {
        Some((head, tail)) => format!("{head}{tail}"),
        None => text.to_owned(),
    }
}

/// A twin on a node.
pub(super) struct Twin {
    lab: Lab,
    name: String,
    disk: String,
    base: String,
    size: String,
}

impl Twin {
    /// Removes what a run that was broken off has left.
    pub(super) fn clear(lab: &Lab) -> anyhow::Result<()> {
        for node in NODES {
            let names = virsh(lab, node, &["list", "--all", "--name"])?;
            for name in names.lines().filter(|name| name.starts_with(PREFIX)) {
                // It may be off, with its definition or its disk left.
                let _ = virsh(lab, node, &["destroy", name]);
                let _ = virsh(lab, node, &["undefine", name]);
            }
            lab.run(&["exec", node, "--", "sh", "-c", &format!("rm -f /var/lib/watari/{PREFIX}*")])?;
        }
        Ok(())
    }

    /// Makes a twin of `vm` on the node where that runs, and starts it. `number` keeps twins apart.
    pub(super) fn start(lab: &Lab, vm: &str, node: &str, number: u8) -> anyhow::Result<Self> {
        let twin = Self::make(lab, vm, node, number)?;
        twin.begin(node)?;
        Ok(twin)
    }

    /// Writes a twin's disk and definition, of which libvirt knows nothing yet.
    pub(super) fn make(lab: &Lab, vm: &str, node: &str, number: u8) -> anyhow::Result<Self> {
        let name = format!("{PREFIX}{number}");
        let xml = virsh(lab, node, &["dumpxml", "--inactive", vm])?;
        let uuid = between(&xml, "<uuid>", "</uuid>").context("no uuid")?.to_owned();
        let disk = between(&xml, "<source file='", "'").context("no disk")?.to_owned();
        let mac = between(&xml, "<mac address='", "'").context("no network card")?.to_owned();
        let tap = between(&xml, "<source bridge='", "</interface>").and_then(|x| between(x, "<target dev='", "'"));
        let info = lab.run(&["exec", node, "--", "qemu-img", "info", "-U", "--output", "json", &disk])?;
        let info: serde_json::Value = serde_json::from_str(&info)?;
        let base = info["full-backing-filename"].as_str().or(info["backing-filename"].as_str());
        let twin = Self {
            lab: lab.clone(),
            disk: format!("/var/lib/watari/{name}.qcow2"),
            base: base.context("no base image")?.to_owned(),
            size: info["virtual-size"].to_string(),
            name,
        };
        // The volume that cloud-init reads is the server's alone, and never copied.
        let (system, rest) = xml.split_once("</disk>").context("no disk")?;
        let xml = format!("{system}</disk>{}", without(rest, "<disk ", "</disk>"));
        let mut own = without(&xml, "<metadata>", "</metadata>")
            .replace(&format!("<name>{vm}</name>"), &format!("<name>{}</name>", twin.name))
            // The disk first: its name has the UUID in it.
            .replace(&disk, &twin.disk)
            .replace(&uuid, &format!("{}{number:02x}", &uuid[..uuid.len() - 2]))
            .replace(&mac, &Self::mac(number));
        if let Some(tap) = tap {
            own = own.replace(&format!("'{tap}'"), &format!("'{}'", twin.name));
        }
        twin.make_disk(node, &[])?;
        std::fs::write(lab.file(node, &twin.definition()), own)?;
        Ok(twin)
    }

    /// What the network card of a twin of this number is called.
    pub(super) fn mac(number: u8) -> String {
        format!("52:57:ff:00:00:{number:02x}")
    }

    /// The address that it has where it is told one; nobody else's in the lab up to the twentieth.
    pub(super) fn address(number: u8) -> String {
        format!("203.0.113.{}", 200 + u16::from(number))
    }

    fn definition(&self) -> String {
        format!("/var/lib/watari/{}.xml", self.name)
    }

    /// Has libvirt define and start it; how long libvirt takes for that, without what it takes to ask it anything.
    pub(super) fn begin(&self, node: &str) -> anyhow::Result<Duration> {
        let asking = clocked(&self.lab, node, "uri")?;
        let file = self.definition();
        let all = clocked(&self.lab, node, &format!("define {file}; start {}", self.name))?;
        std::fs::remove_file(self.lab.file(node, &file))?;
        Ok(all.saturating_sub(asking))
    }

    fn make_disk(&self, node: &str, more: &[&str]) -> anyhow::Result<()> {
        let make = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", &self.base, &self.disk, &self.size];
        self.lab.run(&[&["exec", node, "--"], &make[..], more].concat())?;
        Ok(())
    }

    /// Waits until its processor idles: it has booted.
    pub(super) fn until_idle(&self, node: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(120);
        let mut before = self.cpu_ns(node)?;
        loop {
            std::thread::sleep(Duration::from_secs(2));
            let now = self.cpu_ns(node)?;
            if now - before < 600_000_000 && now > 2_000_000_000 {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{} does not come to rest", self.name);
            before = now;
        }
    }

    fn cpu_ns(&self, node: &str) -> anyhow::Result<u64> {
        let stats = virsh(&self.lab, node, &["domstats", "--cpu-total", &self.name])?;
        let time = stats.lines().find_map(|l| l.trim().strip_prefix("cpu.time=")).context("no processor time")?;
        Ok(time.parse()?)
    }

    /// Prepares its disk at the target, as libvirt wants it.
    pub(super) fn prepare(&self, to: &str) -> anyhow::Result<()> {
        self.make_disk(to, &["-u"])
    }

    /// The `virsh migrate` that does what Watari does, without its protocol.
    pub(super) fn migration<'a>(&'a self, from: &'a str, uri: &'a str) -> Vec<&'a str> {
        let how = ["migrate", "--live", "--p2p", "--persistent", "--undefinesource", "--copy-storage-inc", "--tls"];
        [&["exec", from, "--", "virsh", "-q", "-c", "qemu:///system"], &how[..], &[&self.name, uri]].concat()
    }

    /// QEMU's downtime of its last migration, asked at the target.
    pub(super) fn downtime_ms(&self, node: &str) -> anyhow::Result<f64> {
        let info = virsh(&self.lab, node, &["domjobinfo", "--completed", &self.name])?;
        let line = info.lines().find(|l| l.starts_with("Total downtime:")).context("no downtime")?;
        Ok(line.split_whitespace().nth(2).context("no downtime")?.parse()?)
    }

    /// Removes the disk that a migration left behind.
    pub(super) fn forget(&self, node: &str) -> anyhow::Result<()> {
        self.lab.run(&["exec", node, "--", "rm", "-f", &self.disk])?;
        Ok(())
    }

    /// Destroys it.
    pub(super) fn end(self, node: &str) -> anyhow::Result<()> {
        virsh(&self.lab, node, &["destroy", &self.name])?;
        virsh(&self.lab, node, &["undefine", &self.name])?;
        self.forget(node)
    }
}

/// Tells twins their addresses from the client, and nobody else anything: no node's DHCP knows them.
pub(super) struct Dhcp(Child);

impl Dhcp {
    /// Of the twins with these numbers.
    pub(super) fn start(lab: &Lab, numbers: impl IntoIterator<Item = u8>) -> anyhow::Result<Self> {
        let known = |number| format!("--dhcp-host={},{}", Twin::mac(number), Twin::address(number));
        let known: Vec<String> = numbers.into_iter().map(known).collect();
        let dnsmasq = lab.within("client", || {
            let mut dnsmasq = Command::new("dnsmasq");
            dnsmasq.args(["--no-daemon", "--conf-file=", "--no-hosts", "--no-resolv", "--port=0", "--leasefile-ro"]);
            dnsmasq.args(["--bind-dynamic", "--interface=campus0", "--except-interface=lo", "--no-ping"]);
            // One lease for all of the measurement, since nobody is asked whether it may be renewed.
            dnsmasq.args(["--dhcp-range=203.0.113.0,static,255.255.255.0,infinite", "--dhcp-ignore=tag:!known"]);
            dnsmasq.arg("--dhcp-option=option:router").args(&known);
            dnsmasq.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            dnsmasq.spawn().context("cannot start dnsmasq")
        })?;
        Ok(Self(dnsmasq))
    }
}

impl Drop for Dhcp {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How long one `virsh` takes for these commands, by the clock of the node: to enter it takes longer than some of them.
fn clocked(lab: &Lab, node: &str, commands: &str) -> anyhow::Result<Duration> {
    const CLOCK: &str =
        "begun=$(date +%s%N) && virsh -q -c qemu:///system \"$1\" >&2 && echo $(($(date +%s%N) - begun))";
    let nanos = lab.run(&["exec", node, "--", "sh", "-c", CLOCK, "sh", commands])?;
    Ok(Duration::from_nanos(nanos.trim().parse::<u64>().context("no time")?))
}

pub(super) fn virsh(lab: &Lab, node: &str, arguments: &[&str]) -> anyhow::Result<String> {
    lab.run(&[&["exec", node, "--", "virsh", "-q", "-c", "qemu:///system"], arguments].concat())
}
