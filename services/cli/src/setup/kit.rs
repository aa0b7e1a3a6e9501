//! What a host that joins has below its root: what it is handed, and what it makes and keeps to itself.

use watari_contracts::enrol::Part;

use super::{AUTHORITY, KEYS_OF_NODE, LAUNCHER, NATS, OF_NODE, SEED_OF_NODE, cluster::Role, founding};

/// Where a host has its certificate first of all.
pub const CERTIFICATE: &str = "etc/watari/tls/host.crt";
/// Where it has the key to it.
pub const KEY: &str = "etc/watari/tls/host.key";

const OF_FRONT: [&str; 10] = [
    AUTHORITY,
    CERTIFICATE,
    NATS,
    LAUNCHER,
    founding::COMPANY,
    "etc/watari/scheduler.toml",
    "etc/watari/image.toml",
    "etc/watari/network.toml",
    "etc/watari/monitor.toml",
    "etc/watari/backup.toml",
];
const SEEDS_OF_FRONT: [(&str, &str); 8] = [
    SEED_OF_LAUNCHER,
    ("scheduler", "etc/watari/nkeys/scheduler.nk"),
    ("image", "etc/watari/nkeys/image.nk"),
    ("network", "etc/watari/nkeys/network.nk"),
    ("monitor", "etc/watari/nkeys/monitor.nk"),
    ("keeper", "etc/watari/nkeys/keeper.nk"),
    ("server-keeper", "etc/watari/nkeys/server-keeper.nk"),
    ("backup", "etc/watari/nkeys/backup.nk"),
];
const OF_WITNESS: [&str; 4] = [AUTHORITY, CERTIFICATE, NATS, LAUNCHER];
/// Where a node has copies of its certificate.
const COPIES_OF_NODE: [&str; 4] = [
    "etc/pki/libvirt/servercert.pem",
    "etc/pki/libvirt/clientcert.pem",
    "etc/pki/qemu/server-cert.pem",
    "etc/pki/qemu/client-cert.pem",
];
/// Where libvirt and QEMU on a node look for certificates that count no more.
const LISTS_OF_NODE: [&str; 2] = ["etc/pki/CA/cacrl.pem", "etc/pki/qemu/ca-crl.pem"];
const SEED_OF_LAUNCHER: (&str, &str) = ("nats", "etc/watari/nkeys/nats.nk");

/// The files of a host, by their paths from its root on.
#[derive(Clone, Copy, Debug)]
pub struct Kit {
    /// What it is handed.
    pub files: &'static [&'static str],
    /// Where the key of its certificate is, once for each program that reads it.
    pub keys: &'static [&'static str],
    /// The seeds of its identities: what each is called, without the host's name, and where it is. By the first the
    /// host is known.
    pub seeds: &'static [(&'static str, &'static str)],
}

impl Kit {
    /// Of a host that joins as `part`.
    #[must_use]
    pub const fn of(part: Part) -> Self {
        match part {
            Part::Node => Self { files: &OF_NODE, keys: &KEYS_OF_NODE, seeds: &[("node-agent", SEED_OF_NODE)] },
            Part::Frontend => Self { files: &OF_FRONT, keys: &[KEY], seeds: &SEEDS_OF_FRONT },
            Part::Witness => Self { files: &OF_WITNESS, keys: &[KEY], seeds: &[SEED_OF_LAUNCHER] },
        }
    }

    /// Every file that the host has in the end.
    pub fn all(self) -> impl Iterator<Item = &'static str> {
        let seeds = self.seeds.iter().map(|(_, file)| *file);
        self.files.iter().chain(self.keys).copied().chain(seeds)
    }

    /// Where the host's certificate is beside [`CERTIFICATE`].
    #[must_use]
    pub const fn copies(self) -> &'static [&'static str] {
        // Nodes alone have several programs that read it, and as many keys.
        if self.keys.len() > 1 { &COPIES_OF_NODE } else { &[] }
    }

    /// Where the list of certificates that count no more is beside [`super::REVOKED`].
    #[must_use]
    pub const fn lists(self) -> &'static [&'static str] {
        if self.keys.len() > 1 { &LISTS_OF_NODE } else { &[] }
    }

    /// What is settings among them, which a person may have changed.
    pub fn settings(self) -> impl Iterator<Item = &'static str> {
        self.files.iter().copied().filter(|path| is_settings(path))
    }
}

/// Whether people may set something in this file, after which it stays as it is.
#[must_use]
pub fn is_settings(path: &str) -> bool {
    std::path::Path::new(path).extension().is_some_and(|end| end == "toml")
}

/// What a host of this part is in a description.
#[must_use]
pub const fn role(part: Part) -> Role {
    match part {
        Part::Node => Role::Node,
        Part::Frontend => Role::Front,
        Part::Witness => Role::Witness,
    }
}

/// As what a host of this role would join; none for clients.
#[must_use]
pub const fn part(role: Role) -> Option<Part> {
    match role {
        Role::Node => Some(Part::Node),
        Role::Front => Some(Part::Frontend),
        Role::Witness => Some(Part::Witness),
        Role::Client => None,
    }
}
