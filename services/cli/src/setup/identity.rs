//! The identities on the bus: one nkey for each process and each kind of person.

use nkeys::KeyPair;
use watari_contracts::{Service, permissions::Role};

use super::{
    cluster::{self, Cluster, Host},
    files::{Overlay, Readers},
};
use crate::texts::faults::Fault;

/// The services of a front end.
pub const OF_FRONT: [Service; 4] = [Service::Scheduler, Service::Image, Service::Network, Service::Monitor];

/// An identity and what NATS knows of it.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its name on the bus: `scheduler.m-front`, `node-agent.m1`, `operator`.
    pub name: String,
    /// What it may do; none for the administrator of NATS itself.
    pub role: Option<Role>,
    /// The public half of its key.
    pub public: String,
}

/// Keys live in `store` by their identity's name, so that every client shares the operator's and
/// a second run finds them all.
fn seed(store: &mut Overlay, name: &str) -> Result<(String, String), Fault> {
    let path = format!("{name}.nk");
    let text = store.keep_or(&path, Readers::Owner, || {
        let made = KeyPair::new_user().seed();
        made.map(|seed| seed + "\n").map_err(|e| Fault::KeyUnusable { path: path.clone(), detail: e.to_string() })
    })?;
    let unusable = |detail: String| Fault::KeyUnusable { path: store.path(&path).display().to_string(), detail };
    let pair = KeyPair::from_seed(text.trim()).map_err(|e| unusable(e.to_string()))?;
    let public = pair.public_key();
    if !public.starts_with('U') {
        return Err(unusable("it is not a user's key".to_owned()));
    }
    Ok((text, public))
}

/// Makes or finds the identities of a host's processes, and puts their seeds into its overlay.
///
/// # Errors
/// [`Fault`] if a kept key cannot be used or files cannot be written.
pub fn of_host(store: &mut Overlay, overlay: &mut Overlay, host: &Host) -> Result<Vec<Identity>, Fault> {
    let mut made = Vec::new();
    let mut add = |name: String, role: Option<Role>, file: String| -> Result<(), Fault> {
        let (seed, public) = seed(store, &name)?;
        overlay.put(&file, Readers::Owner, &seed)?;
        made.push(Identity { name, role, public });
        Ok(())
    };
    match (host.role, &host.site) {
        (cluster::Role::Front, _) => {
            for service in OF_FRONT {
                let name = service.name();
                add(
                    format!("{name}.{}", host.name),
                    Some(Role::Service(service)),
                    format!("etc/watari/nkeys/{name}.nk"),
                )?;
            }
            add("admin".to_owned(), None, "etc/watari/nkeys/admin.nk".to_owned())?;
        }
        (cluster::Role::Node, Some(site)) => {
            let role = Role::Agent { site: site.clone(), node: host.name.clone() };
            add(format!("node-agent.{}", host.name), Some(role), "etc/watari/nkeys/node-agent.nk".to_owned())?;
        }
        (cluster::Role::Client, _) => {
            add("operator".to_owned(), Some(Role::Operator), "etc/watari/operator.nk".to_owned())?;
            add("viewer".to_owned(), Some(Role::Viewer), "etc/watari/viewer.nk".to_owned())?;
        }
        (cluster::Role::Node | cluster::Role::Witness, _) => {}
    }
    Ok(made)
}

/// All identities of the cluster, each once, by name. Operators and viewers exist even where no
/// client host is described: their seeds then wait in `store`.
///
/// # Errors
/// As [`of_host`].
pub fn of_cluster(
    store: &mut Overlay,
    cluster: &Cluster,
    overlay: impl Fn(&Host) -> Overlay,
) -> Result<Vec<Identity>, Fault> {
    let mut all = Vec::new();
    for host in &cluster.hosts {
        all.extend(of_host(store, &mut overlay(host), host)?);
    }
    for (name, role) in [("operator", Role::Operator), ("viewer", Role::Viewer)] {
        let (_, public) = seed(store, name)?;
        all.push(Identity { name: name.to_owned(), role: Some(role), public });
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all.dedup_by(|a, b| a.name == b.name);
    Ok(all)
}

impl Identity {
    /// The name by which its inbox is called: people share roles, so theirs follows from the key,
    /// which the command can compute from the seed alone.
    #[must_use]
    pub fn inbox_name(&self) -> String {
        match self.role {
            Some(Role::Operator | Role::Viewer) | None => self.public.to_lowercase(),
            Some(Role::Service(_) | Role::Agent { .. }) => self.name.clone(),
        }
    }
}
