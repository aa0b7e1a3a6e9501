//! A host that is to be in, as far as it is sound by itself.

use std::{collections::BTreeSet, net::IpAddr};

use watari_contracts::enrol::{EnrolHost, Part};
use watari_model::{NodeName, SiteName};

use crate::{
    setup::{
        authority,
        cluster::{CAMPUS, Cluster, Host, Role},
        identity,
        kit::{self, Kit},
    },
    texts::faults::Fault,
};

/// The longest name of an interface that Linux takes.
const MOST_BRIDGE: usize = 15;

/// What the front end takes of what a host sends.
pub(super) struct Wanted {
    part: Part,
    pub(super) name: NodeName,
    site: Option<SiteName>,
    address: IpAddr,
    bridge: Option<String>,
    /// Its identities on the bus, each with the public half of its key.
    pub(super) keys: Vec<(String, String)>,
    pub(super) request: String,
}

impl Wanted {
    /// Checks it. `site` is what its token says.
    pub(super) fn of(asked: &EnrolHost, site: Option<SiteName>) -> Result<Self, Fault> {
        let fault = |detail: &str| Fault::JoinRequest { detail: detail.to_owned() };
        if asked.bridge.as_ref().is_some_and(|bridge| asked.part != Part::Node || !is_interface(bridge)) {
            return Err(fault("its bridge has no name that an interface may have, or it is no node"));
        }
        authority::requested(&asked.request)?;
        let seeds = Kit::of(asked.part).seeds;
        let mut keys = Vec::new();
        for (n, (called, _)) in seeds.iter().enumerate() {
            let given = if n == 0 { Some(&asked.nkey) } else { asked.keys.get(*called) };
            let given = given.ok_or_else(|| fault(&format!("the key of {called} is missing")))?;
            let public = identity::public(given).map_err(|detail| fault(&detail))?;
            keys.push((format!("{called}.{}", asked.name), public));
        }
        let distinct = keys.iter().map(|(_, public)| public).collect::<BTreeSet<_>>().len();
        if asked.keys.len() + 1 != seeds.len() || distinct != seeds.len() {
            return Err(fault("it has more keys than processes, or one of them twice"));
        }
        let EnrolHost { part, name, address, bridge, request, .. } = asked.clone();
        Ok(Self { part, name, site: site.or_else(|| asked.site.clone()), address, bridge, keys, request })
    }

    /// What it is in the description.
    pub(super) const fn role(&self) -> Role {
        kit::role(self.part)
    }

    /// Whether this is that host, as it is described.
    pub(super) fn is(&self, host: &Host) -> bool {
        host.role == self.role()
            && host.address == self.address
            && self.site.as_ref().is_none_or(|site| host.site.as_ref() == Some(site))
            && self.bridge.as_ref().is_none_or(|bridge| host.segments.values().any(|known| known == bridge))
    }

    /// Its part of the description.
    pub(super) fn entry(&self, cluster: &Cluster) -> Result<String, Fault> {
        let unfit = |detail: &str| Fault::HostUnfit { name: self.name.to_string(), detail: detail.to_owned() };
        let site = match (&self.site, cluster.sites.as_slice()) {
            (Some(site), _) => Some(site),
            // It stands at a third place, unless somebody says otherwise.
            (None, _) if self.part == Part::Witness => None,
            (None, [only]) => Some(&only.name),
            (None, _) => return Err(unfit("there are several sites: name its own with --site")),
        };
        let site = site.map(|site| format!("site = \"{site}\"\n")).unwrap_or_default();
        let segments = self.bridge.as_ref().map(|bridge| format!("segments = {{ {} = \"{bridge}\" }}\n", CAMPUS.0));
        // Names, an address and an interface need no escapes.
        Ok(format!(
            "[[host]]\nname = \"{}\"\nrole = \"{}\"\n{site}address = \"{}\"\n{}",
            self.name,
            self.role().word(),
            self.address,
            segments.unwrap_or_default(),
        ))
    }
}

/// Whether Linux takes this as the name of an interface, and every file does.
pub(crate) fn is_interface(name: &str) -> bool {
    let sound = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
    (1..=MOST_BRIDGE).contains(&name.len()) && name.bytes().all(sound) && name != "." && name != ".."
}
