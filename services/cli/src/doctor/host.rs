//! The host on which the doctor is called, if it is one of the cluster's: what only it knows of itself, and what
//! can be known where no NATS server answers.

pub(super) mod around;
mod backups;
mod dhcp;
mod filter;
pub(super) mod programs;
mod units;

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use tokio::net::lookup_host;
use watari_chassis::{certificates, clock, room};
use watari_model::{
    NodeName,
    node::health::{Certificate, RevocationList},
};

use crate::{
    enrol,
    setup::{NATS, REVOKED, files::Overlay, identity, nats},
};
pub(super) use backups::Backups;
use units::Units;

/// Where front ends and witnesses keep what is written all the time.
const DATA: [&str; 2] = ["var/lib/nats", "var/lib/watari"];
/// Less free than so many percent of a disk is little, as on nodes.
const ROOM_LEAST_PERCENT: u8 = 10;
/// Where the keys of a host's own processes are.
const IDENTITIES: &str = "etc/watari/nkeys";
/// What nobody but its owner may read: folders, and how such files end.
const KEYS: [(&str, &str); 3] = [("etc/watari", "nk"), (IDENTITIES, "nk"), ("etc/watari/tls", "key")];
/// What the agent starts and AppArmor has profiles for in some distributions, which know nothing of the agent's folders.
const STARTED: [&str; 2] = ["dnsmasq", "qemu-img"];
/// Where the kernel tells which profiles it has; for root alone.
const PROFILES: &str = "/sys/kernel/security/apparmor/profiles";
/// The bits of everybody who is neither owner nor of the group (chmod(2)).
const OTHERS: u32 = 0o007;

/// What is found on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host {
    /// What it calls itself.
    pub(super) name: NodeName,
    /// Services that are set up here and do not run, and targets that are not enabled.
    pub(super) units: Units,
    /// Whether nobody sets its clock, though somebody could.
    pub(super) clock_free: bool,
    /// Keys that everybody who logs in can read.
    pub(super) open_keys: Vec<PathBuf>,
    /// Keys of its own that NATS does not know.
    pub(super) refused_keys: Vec<PathBuf>,
    /// Keys of its own to which its NATS server gives other permissions than this version has.
    pub(super) outdated_keys: Vec<PathBuf>,
    /// The certificates of a front end or witness; a node's agent tells of its own.
    pub(super) certificates: Vec<Certificate>,
    /// The list of revoked certificates of a front end or witness, also where there is none yet.
    pub(super) revocation_lists: Vec<RevocationList>,
    /// Folders of a front end's or witness' data, whose disk is nearly full, and how many percent of it are free.
    pub(super) filling: Vec<(PathBuf, u8)>,
    /// What is not well with the backups of a front end.
    pub(super) backups: Option<Backups>,
    /// Whether its own name leads to no address.
    pub(super) unnamed: bool,
    /// Chains of others, of a node's packet filter, that drop what its servers send.
    pub(super) dropping: Vec<String>,
    /// Programs of the agent's that AppArmor keeps from its files.
    pub(super) confined: Vec<String>,
}

impl Host {
    /// One with which nothing is wrong.
    pub(super) const fn well(name: NodeName) -> Self {
        Self {
            name,
            units: Units { stopped: Vec::new(), disabled: Vec::new(), retired: Vec::new() },
            clock_free: false,
            open_keys: Vec::new(),
            refused_keys: Vec::new(),
            outdated_keys: Vec::new(),
            certificates: Vec::new(),
            revocation_lists: Vec::new(),
            filling: Vec::new(),
            backups: None,
            unnamed: false,
            dropping: Vec::new(),
            confined: Vec::new(),
        }
    }

    /// Looks at the host whose root is `root`, and changes nothing; none if nothing of Watari's is set up on it.
    pub(super) async fn look(root: &Path) -> Option<Self> {
        let set_up = units::set_up(root);
        if set_up.is_empty() {
            return None;
        }
        let well = Self::well(enrol::host_name(None).ok()?);
        let backups = backups::look(root, clock::now());
        let is_node = set_up.contains(&units::AGENT);
        let mut host = Self { open_keys: open_keys(root), outdated_keys: outdated_keys(root), backups, ..well };
        // Of a node its agent tells them.
        if !is_node {
            (host.certificates, host.filling) = (certificates::look(&shown(root)), filling(root));
            host.revocation_lists = certificates::revocation_lists(&[root.join(REVOKED)]);
        }
        if is_machine(root) {
            host.units = Units::look(&set_up).await;
        }
        Some(host.on_its_machine(root, is_node).await)
    }

    /// Looks at a host on which nothing is set up yet: what would be wrong with it as one of the cluster's.
    pub(super) async fn before(root: &Path, name: NodeName, is_node: bool) -> Self {
        Self::well(name).on_its_machine(root, is_node).await
    }

    /// With what the machine's own settings say.
    async fn on_its_machine(mut self, root: &Path, is_node: bool) -> Self {
        if !is_machine(root) {
            return self;
        }
        let own = (self.name.as_str(), 0_u16);
        let unnamed = async { lookup_host(own).await.is_err() };
        (self.clock_free, self.unnamed) = tokio::join!(clock_free(), unnamed);
        if is_node {
            self.dropping = filter::dropping().await;
            self.confined = confined(&fs::read_to_string(PROFILES).unwrap_or_default());
        }
        self
    }
}

/// systemd and the kernel know of the machine, not of a folder that is taken for one.
fn is_machine(root: &Path) -> bool {
    root == Path::new("/")
}

/// By what the kernel says of its profiles: `NAME (MODE)`, one a line.
fn confined(profiles: &str) -> Vec<String> {
    let enforced = profiles.lines().filter_map(|line| line.strip_suffix(" (enforce)"));
    let names = enforced.map(|name| name.rsplit('/').next().unwrap_or(name));
    names.filter(|name| STARTED.contains(name)).map(str::to_owned).collect()
}

async fn clock_free() -> bool {
    let told = programs::told("timedatectl", &["show", "--property=CanNTP", "--property=NTP"]).await;
    told.is_some_and(|text| is_free(&text))
}

/// Where no such service is installed the clock may be set by other means, of which systemd knows nothing.
fn is_free(told: &str) -> bool {
    let says = |wanted: &str| told.lines().any(|line| line == wanted);
    says("CanNTP=yes") && says("NTP=no")
}

/// What a host shows of itself, and by whom it knows others; where it is.
fn shown(root: &Path) -> Vec<PathBuf> {
    let all = ["etc/watari/tls/host.crt", "etc/watari/tls/ca.crt"].map(|path| root.join(path));
    all.into_iter().filter(|path| path.exists()).collect()
}

/// Each disk once.
fn filling(root: &Path) -> Vec<(PathBuf, u8)> {
    let folders = DATA.iter().map(|folder| root.join(folder)).filter(|folder| folder.exists());
    let little = folders.filter_map(|folder| Some((room::free_percent(&folder)?, folder)));
    let mut found: Vec<(PathBuf, u8)> =
        little.filter(|(free, _)| *free < ROOM_LEAST_PERCENT).map(|(free, folder)| (folder, free)).collect();
    let disk = |folder: &Path| fs::metadata(folder).map(|file| file.dev()).ok();
    found.dedup_by(|(one, _), (other, _)| disk(one) == disk(other));
    found
}

/// The keys with which this host's own processes come to NATS; none for whoever may not see them.
pub(super) fn identities(root: &Path) -> Vec<PathBuf> {
    let mut keys: Vec<PathBuf> = ending(&root.join(IDENTITIES), "nk").collect();
    keys.sort();
    keys
}

/// Of a front end or witness, by what its NATS server is configured with.
fn outdated_keys(root: &Path) -> Vec<PathBuf> {
    let root = Overlay::at(root.to_owned());
    let Ok(Some(config)) = root.read(NATS) else { return Vec::new() };
    // What it calls itself may be another name.
    let Some(host) = nats::host(&config) else { return Vec::new() };
    let own = identity::of_front(&root, &host).into_iter();
    own.filter(|(_, identity)| nats::is_outdated(&config, identity)).map(|(file, _)| root.path(file)).collect()
}

fn ending(folder: &Path, end: &'static str) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(move |path| path.extension().is_some_and(|own| own == end))
}

/// Folders that are not there, or not to be seen by whoever asks, hold none.
fn open_keys(root: &Path) -> Vec<PathBuf> {
    let files = KEYS.iter().flat_map(|(folder, end)| ending(&root.join(folder), end));
    let is_open =
        |path: &PathBuf| fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & OTHERS != 0);
    let mut open: Vec<PathBuf> = files.filter(is_open).collect();
    open.sort();
    open
}

#[cfg(test)]
mod tests {
    use watari_testkit::TempDir;

    use super::*;

    #[test]
    fn a_clock_is_free_only_where_somebody_could_set_it() {
        assert!(is_free("CanNTP=yes\nNTP=no\n"));
        for told in ["CanNTP=yes\nNTP=yes\n", "CanNTP=no\nNTP=no\n", "", "NTP=no\n"] {
            assert!(!is_free(told), "{told}");
        }
    }

    #[test]
    fn a_key_that_others_can_read_is_found_and_a_certificate_is_none() {
        let root = TempDir::new();
        let put = |path: &str, mode: u32| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        assert_eq!(open_keys(root.path()), Vec::<PathBuf>::new());
        let open = put("etc/watari/nkeys/scheduler.nk", 0o644);
        put("etc/watari/nkeys/monitor.nk", 0o640);
        put("etc/watari/tls/host.key", 0o600);
        put("etc/watari/tls/host.crt", 0o644);
        assert_eq!(open_keys(root.path()), [open]);
    }

    #[test]
    fn a_program_of_the_agents_that_apparmor_confines_is_found() {
        let told =
            "/usr/sbin/dnsmasq (enforce)\n/usr/sbin/dnsmasq//libvirt_leaseshelper (enforce)\nlibvirtd (enforce)\n";
        assert_eq!(confined(told), ["dnsmasq"]);
        assert_eq!(confined("dnsmasq (complain)\nqemu-img (enforce)\n"), ["qemu-img"]);
    }

    #[tokio::test]
    async fn of_a_front_end_its_certificates_and_its_list_are_looked_at_and_of_a_node_its_agent_tells() {
        let root = TempDir::new();
        fs::create_dir_all(root.path().join("etc/watari/tls")).unwrap();
        let write = |path: &str| fs::write(root.path().join("etc/watari").join(path), "").unwrap();
        write("monitor.toml");
        let looked = || async { Host::look(root.path()).await.unwrap().certificates };
        assert_eq!(looked().await, []);
        write("tls/host.crt");
        let of_front = looked().await;
        assert!(matches!(&of_front[..], [one] if one.path.ends_with("tls/host.crt") && one.not_after.is_none()));
        let lists = || async { Host::look(root.path()).await.unwrap().revocation_lists };
        assert!(matches!(&lists().await[..], [one] if one.path.ends_with(REVOKED) && one.updated_at.is_none()));
        write("node-agent.toml");
        assert_eq!(looked().await, []);
        assert_eq!(lists().await, []);
    }

    #[tokio::test]
    async fn a_host_on_which_nothing_is_set_up_is_not_looked_at() {
        let root = TempDir::new();
        assert_eq!(Host::look(root.path()).await, None);
        // Nor is a folder taken for this machine when it is to become one of the cluster's.
        let name: NodeName = "m2".parse().unwrap();
        assert_eq!(Host::before(root.path(), name.clone(), true).await, Host::well(name));
    }
}
