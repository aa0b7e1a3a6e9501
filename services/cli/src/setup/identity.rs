//! The identities on the bus: one nkey for each process and each kind of person.

use nkeys::KeyPair;
use watari_contracts::{Service, permissions::Role};
use watari_model::{NodeName, SiteName};

use super::{
    cluster::{self, Cluster, Host, Person},
    files::{Overlay, Readers},
};
use crate::texts::faults::Fault;

/// The length of a public key as NATS writes it.
const PUBLIC: usize = 56;

/// An identity and what NATS knows of it.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its name on the bus: `scheduler.m-front`, `node-agent.m1`, `operator`, `sato`.
    pub name: String,
    /// What it may do; none for the administrator of NATS itself.
    pub role: Option<Role>,
    /// The public half of its key.
    pub public: String,
}

/// Keys live in `store` by their identity's name, so that every client shares the operator's and
/// a second run finds them all. Of a host that has joined by itself only the public half is there:
/// its seed is none.
fn seed(store: &mut Overlay, name: &str) -> Result<(Option<String>, String), Fault> {
    let kept = public_file(name);
    if let Some(text) = store.read(&kept)? {
        let public = public(&text).map_err(|detail| unusable(store, &kept, detail))?;
        return Ok((None, public));
    }
    let (seed, public) = seed_at(store, &format!("{name}.nk"))?;
    Ok((Some(seed), public))
}

/// The seed in a file of `store`, made if there is none, and the public half of its key.
///
/// # Errors
/// [`Fault`] if the seed cannot be used, made or kept.
pub fn seed_at(store: &mut Overlay, path: &str) -> Result<(String, String), Fault> {
    let seed = store.keep_or(path, Readers::Owner, || seed_for(path))?;
    let public = public_of(&seed).map_err(|detail| unusable(store, path, detail))?;
    Ok((seed, public))
}

fn seed_for(path: &str) -> Result<String, Fault> {
    fresh_seed().map_err(|detail| Fault::KeyUnusable { path: path.to_owned(), detail })
}

fn unusable(store: &Overlay, path: &str, detail: String) -> Fault {
    Fault::KeyUnusable { path: store.path(path).display().to_string(), detail }
}

/// Where the public half of an identity's key is kept if its host keeps the seed.
#[must_use]
pub fn public_file(name: &str) -> String {
    format!("{name}.pub")
}

/// A new seed, on a line.
///
/// # Errors
/// Why there is none to be had.
pub fn fresh_seed() -> Result<String, String> {
    KeyPair::new_user().seed().map(|seed| seed + "\n").map_err(|e| e.to_string())
}

/// The public half of the key that a seed is of.
///
/// # Errors
/// Why the seed is none of a user.
pub fn public_of(seed: &str) -> Result<String, String> {
    public(&KeyPair::from_seed(seed.trim()).map_err(|e| e.to_string())?.public_key())
}

/// The public half of a user's key, as NATS knows it.
///
/// # Errors
/// Why it is none.
pub fn public(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.len() != PUBLIC || !text.starts_with('U') {
        return Err("it is not a user's key".to_owned());
    }
    KeyPair::from_public_key(text).map(|pair| pair.public_key()).map_err(|e| e.to_string())
}

/// Written once a folder has a key for each of [`PEOPLE`].
const ROLES: &str = "roles";

/// Who works with `watari`: what the key is called, what it may do, and where a client host has it.
const PEOPLE: [(&str, Role, &str); 3] = [
    ("administrator", Role::Administrator, "etc/watari/administrator.nk"),
    ("operator", Role::Operator, "etc/watari/operator.nk"),
    ("viewer", Role::Viewer, "etc/watari/viewer.nk"),
];

/// Before there were administrators an operator might do everything. In a folder of that time the operator's key becomes the
/// administrator's, so that whoever has it loses nothing, and operators get another. That this was done is written down: else
/// an administrator's key that is put aside because it was stolen would be followed by the one that operators have.
fn promote(store: &mut Overlay) -> Result<(), Fault> {
    if store.read(ROLES)?.is_some() {
        return Ok(());
    }
    if let Some(old) = store.read("operator.nk")? {
        store.keep_or("administrator.nk", Readers::Owner, || Ok(old))?;
        store.put("operator.nk", Readers::Owner, &seed_for("operator.nk")?)?;
    }
    store.put(ROLES, Readers::All, &format!("{}\n", PEOPLE.map(|(name, ..)| name).join(" ")))
}

/// An identity that a host is to have, and the file that holds its seed there.
struct Wanted {
    name: String,
    role: Option<Role>,
    file: &'static str,
}

fn people() -> [Wanted; 3] {
    PEOPLE.map(|(name, role, file)| Wanted { name: name.to_owned(), role: Some(role), file })
}

/// A person's own key waits in `store` until it is brought to them.
fn wanted_for(person: &Person) -> Wanted {
    let role = match (person.role, &person.project) {
        (cluster::Work::Administrator, _) => Role::Administrator,
        (cluster::Work::Operator, None) => Role::Operator,
        (cluster::Work::Operator, Some(project)) => Role::OperatorOf { project: project.clone() },
        (cluster::Work::Viewer, _) => Role::Viewer,
    };
    Wanted { name: person.name.to_string(), role: Some(role), file: "" }
}

fn wanted_by(host: &Host) -> Vec<Wanted> {
    wanted(&host.name, host.role, host.site.as_ref())
}

fn wanted(host: &NodeName, kind: cluster::Role, site: Option<&SiteName>) -> Vec<Wanted> {
    let own = |service: Service| format!("{}.{host}", service.name());
    let on_front = |service: Service| Wanted {
        name: own(service),
        role: Some(Role::Service(service)),
        file: match service {
            Service::Scheduler => "etc/watari/nkeys/scheduler.nk",
            Service::Image => "etc/watari/nkeys/image.nk",
            Service::Network => "etc/watari/nkeys/network.nk",
            Service::Monitor => "etc/watari/nkeys/monitor.nk",
            Service::NodeAgent => "etc/watari/nkeys/node-agent.nk",
        },
    };
    let own_key = |name: &str, role, file| Wanted { name: format!("{name}.{host}"), role: Some(role), file };
    let launcher = || own_key("nats", Role::Launcher { host: host.clone() }, "etc/watari/nkeys/nats.nk");
    match (kind, site) {
        (cluster::Role::Front, _) => {
            let admin = Wanted { name: "admin".to_owned(), role: None, file: "etc/watari/nkeys/admin.nk" };
            let keepers = [
                own_key("keeper", Role::Keeper, "etc/watari/nkeys/keeper.nk"),
                own_key("server-keeper", Role::KeeperOfServers, "etc/watari/nkeys/server-keeper.nk"),
                own_key("backup", Role::Backup, "etc/watari/nkeys/backup.nk"),
            ];
            Service::OF_FRONT.into_iter().map(on_front).chain(keepers).chain([launcher(), admin]).collect()
        }
        (cluster::Role::Node, Some(site)) => {
            let role = Role::Agent { site: site.clone(), node: host.clone() };
            vec![Wanted { role: Some(role), ..on_front(Service::NodeAgent) }]
        }
        (cluster::Role::Client, _) => Vec::from(people()),
        (cluster::Role::Witness, _) => vec![launcher()],
        (cluster::Role::Node, None) => vec![],
    }
}

/// Puts the seeds of a host's processes into its overlay, as far as the host does not keep them itself, and
/// gives their names.
///
/// # Errors
/// [`Fault`] if a kept key cannot be used or files cannot be written.
pub fn hand_out(store: &mut Overlay, overlay: &mut Overlay, host: &Host) -> Result<Vec<String>, Fault> {
    let mut names = Vec::new();
    for wanted in wanted_by(host) {
        if let (Some(seed), _) = seed(store, &wanted.name)? {
            overlay.put(wanted.file, Readers::Owner, &seed)?;
        }
        names.push(wanted.name);
    }
    Ok(names)
}

/// The identities of the processes of a front end or witness whose root this is, as far as their seeds can be read; and where
/// these are.
#[must_use]
pub fn of_front(root: &Overlay, host: &NodeName) -> Vec<(&'static str, Identity)> {
    let own = wanted(host, cluster::Role::Front, None).into_iter();
    let known = own.filter_map(|Wanted { name, role, file }| {
        let public = public_of(&root.read(file).ok()??).ok()?;
        Some((file, Identity { name, role, public }))
    });
    known.collect()
}

/// All identities of the cluster, each once, by name. Those of people exist even where no client host is
/// described: their seeds then wait in `store`.
///
/// # Errors
/// As [`hand_out`].
pub fn of_cluster(store: &mut Overlay, cluster: &Cluster) -> Result<Vec<Identity>, Fault> {
    promote(store)?;
    let mut all = Vec::new();
    let own = cluster.people.iter().map(wanted_for);
    for Wanted { name, role, .. } in cluster.hosts.iter().flat_map(wanted_by).chain(people()).chain(own) {
        let (_, public) = seed(store, &name)?;
        all.push(Identity { name, role, public });
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all.dedup_by(|a, b| a.name == b.name);
    Ok(all)
}

impl Identity {
    /// The name by which its inbox is called. That of whoever types `watari` follows from the key, which
    /// the command can compute from the seed alone.
    #[must_use]
    pub fn inbox_name(&self) -> String {
        match &self.role {
            Some(role) if !role.is_persons() && *role != Role::Backup => self.name.clone(),
            _ => self.public.to_lowercase(),
        }
    }
}
