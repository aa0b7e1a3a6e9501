//! What this host is like, before anything is written: found here, judged with the doctor's words.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use watari_contracts::enrol::Part;
use watari_model::{NodeName, Said, node::health::Link};

use crate::{format, setup::cluster::CAMPUS, texts::troubles::Trouble};

/// What the agent starts, and what it steers.
const PROGRAMS: [&str; 5] = ["dnsmasq", "libvirtd", "nft", "qemu-img", "qemu-system-x86_64"];
/// What a witness starts.
const OF_WITNESS: [&str; 3] = ["nats-server", "setpriv", "watari-nats"];
/// What a front end starts.
const OF_FRONT: [&str; 8] = [
    "nats-server",
    "qemu-img",
    "setpriv",
    "watari-image",
    "watari-monitor",
    "watari-nats",
    "watari-network",
    "watari-scheduler",
];
/// Where programs are that systemd starts, also where the person's own PATH leaves these out.
const SYSTEM: [&str; 3] = ["usr/sbin", "sbin", "usr/lib/watari"];
/// Clocks that differ by more do not fit together.
const CLOCK_MOST_MS: u64 = 2_000;
/// `IFF_UP` (linux/if.h).
const UP: u32 = 1;

/// What is found on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Programs that are not there.
    pub(super) missing: Vec<String>,
    /// Whether the processor's help is to be had.
    pub(super) kvm: bool,
    /// How its bridge is.
    pub(super) bridge: Link,
    /// By how much its clock differs from the front end's, in milliseconds.
    pub(super) skew_ms: u64,
}

impl Found {
    /// Looks at the host whose root is `root`, and changes nothing.
    pub(super) fn look(root: &Path, path: &OsStr, bridge: &str, skew_ms: u64) -> Self {
        Self {
            missing: missing(root, path, &PROGRAMS),
            kvm: root.join("dev/kvm").exists(),
            bridge: link(&root.join("sys/class/net").join(bridge)),
            skew_ms,
        }
    }

    /// What is wrong with it, the worst not first.
    pub(super) fn troubles(&self, name: &NodeName, bridge: &str) -> Vec<Trouble> {
        let on = || Said::both(name.as_str());
        let link = Trouble::of_link(self.bridge, on(), Said::both(bridge), Said::both(CAMPUS.0));
        let missing = (!self.missing.is_empty())
            .then(|| Trouble::ProgramMissing { node: on(), programs: Said::both(self.missing.join(" ")) });
        let emulates = (!self.kvm).then(|| Trouble::NodesEmulate { nodes: on() });
        [missing, link, skew(name, self.skew_ms), emulates].into_iter().flatten().collect()
    }
}

/// What a front end or a witness lacks.
pub(super) fn lacking(root: &Path, path: &OsStr, part: Part) -> Vec<String> {
    match part {
        Part::Node => missing(root, path, &PROGRAMS),
        Part::Frontend => missing(root, path, &OF_FRONT),
        Part::Witness => missing(root, path, &OF_WITNESS),
    }
}

/// Whether the host's clock is so far from the front end's that it matters, and by how much.
pub(super) fn skew(name: &NodeName, skew_ms: u64) -> Option<Trouble> {
    let trouble = || Trouble::ClockSkew { node: Said::both(name.as_str()), by: Said::both(format::millis(skew_ms)) };
    (skew_ms > CLOCK_MOST_MS).then(trouble)
}

fn missing(root: &Path, path: &OsStr, programs: &[&str]) -> Vec<String> {
    let folders = std::env::split_paths(path).chain(SYSTEM.map(|folder| root.join(folder))).collect::<Vec<_>>();
    let is_there = |program: &str| folders.iter().any(|folder| is_program(folder.join(program)));
    programs.iter().filter(|program| !is_there(program)).map(|program| (*program).to_owned()).collect()
}

fn is_program(path: PathBuf) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// How an interface is, by its folder in sysfs.
fn link(interface: &Path) -> Link {
    if !interface.exists() {
        return Link::Missing;
    }
    let flags = fs::read_to_string(interface.join("flags")).unwrap_or_default();
    let flags = flags.trim().strip_prefix("0x").and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let ports = fs::read_dir(interface.join("brif")).map_or(0, Iterator::count);
    match (interface.join("bridge").exists(), flags) {
        (false, _) => Link::NotABridge,
        (true, Some(flags)) if flags & UP == 0 => Link::Down,
        (true, _) if ports == 0 => Link::NoUplink,
        (true, _) => Link::Up,
    }
}

#[cfg(test)]
mod tests {
    use watari_testkit::TempDir;

    use super::*;

    const GOOD: Found = Found { missing: Vec::new(), kvm: true, bridge: Link::Up, skew_ms: 0 };

    fn codes(found: &Found) -> Vec<&'static str> {
        let name = "m2".parse().unwrap();
        found.troubles(&name, "br-campus").iter().map(Trouble::code).collect()
    }

    #[test]
    fn what_is_wrong_with_a_host_is_told_as_the_doctor_tells_it() {
        assert!(codes(&GOOD).is_empty());
        for (found, code) in [
            (Found { missing: vec!["nft".to_owned()], ..GOOD }, "node.program-missing"),
            (Found { kvm: false, ..GOOD }, "node.emulated"),
            (Found { bridge: Link::Missing, ..GOOD }, "bridge.missing"),
            (Found { bridge: Link::NotABridge, ..GOOD }, "bridge.not-a-bridge"),
            (Found { bridge: Link::Down, ..GOOD }, "bridge.down"),
            (Found { bridge: Link::NoUplink, ..GOOD }, "bridge.no-uplink"),
            (Found { skew_ms: CLOCK_MOST_MS + 1, ..GOOD }, "node.clock"),
        ] {
            assert_eq!(codes(&found), [code], "{found:?}");
        }
    }

    #[test]
    fn a_front_end_needs_its_package_and_no_bridge() {
        let root = TempDir::new();
        let lacks = |part| lacking(root.path(), OsStr::new(""), part);
        assert_eq!((lacks(Part::Frontend).len(), lacks(Part::Witness).len()), (OF_FRONT.len(), OF_WITNESS.len()));
        let folder = root.path().join("usr/lib/watari");
        fs::create_dir_all(&folder).unwrap();
        for program in OF_WITNESS {
            fs::write(folder.join(program), "").unwrap();
            fs::set_permissions(folder.join(program), fs::Permissions::from_mode(0o755)).unwrap();
        }
        assert!(lacks(Part::Witness).is_empty() && lacks(Part::Frontend).contains(&"watari-scheduler".to_owned()));
        let name = "w".parse().unwrap();
        assert!(skew(&name, CLOCK_MOST_MS + 1).is_some() && skew(&name, CLOCK_MOST_MS).is_none());
    }

    #[test]
    fn a_host_is_looked_at_as_it_is() {
        let root = TempDir::new();
        let net = root.path().join("sys/class/net/br-campus");
        let look = || Found::look(root.path(), OsStr::new(""), "br-campus", 0);
        assert_eq!(look().missing, PROGRAMS);
        assert!(look().bridge == Link::Missing && !look().kvm);
        fs::create_dir_all(&net).unwrap();
        assert_eq!(look().bridge, Link::NotABridge);
        fs::create_dir_all(net.join("bridge")).unwrap();
        fs::write(net.join("flags"), "0x1002\n").unwrap();
        assert_eq!(look().bridge, Link::Down);
        fs::write(net.join("flags"), "0x1003\n").unwrap();
        assert_eq!(look().bridge, Link::NoUplink);
        fs::create_dir_all(net.join("brif/eth0")).unwrap();
        assert_eq!(look().bridge, Link::Up);
        let (folder, dev) = (root.path().join("usr/sbin"), root.path().join("dev"));
        fs::create_dir_all(&folder).unwrap();
        fs::create_dir_all(&dev).unwrap();
        fs::write(dev.join("kvm"), "").unwrap();
        for (program, mode) in [("nft", 0o755), ("dnsmasq", 0o644)] {
            fs::write(folder.join(program), "").unwrap();
            fs::set_permissions(folder.join(program), fs::Permissions::from_mode(mode)).unwrap();
        }
        assert!(look().kvm);
        assert_eq!(look().missing, ["dnsmasq", "libvirtd", "qemu-img", "qemu-system-x86_64"]);
    }
}
