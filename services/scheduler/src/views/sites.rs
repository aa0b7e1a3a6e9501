//! A site's view.

use watari_contracts::scheduler::SiteView;
use watari_model::{node, outage::Scope, site::Site};

use crate::core::Snapshot;

fn count(counted: usize) -> u32 {
    u32::try_from(counted).unwrap_or(u32::MAX)
}

/// A site with its outage and what it has.
pub(crate) fn site(snap: &Snapshot, site: &Site) -> SiteView {
    let scope = Scope::Site(site.name.clone());
    let outage = snap.outages.values().map(|entry| &entry.value).find(|o| o.scope == scope && o.state.is_open());
    let nodes: Vec<_> = snap.nodes.values().filter(|entry| entry.value.site == site.name).collect();
    let here = |node: &watari_model::NodeName| nodes.iter().any(|entry| entry.value.name == *node);
    SiteView {
        name: site.name.clone(),
        title: site.title.clone(),
        state: outage.map_or("active", |o| o.state.word()).to_owned(),
        outage: outage.map(|o| o.id.clone()),
        paused_at: outage.and_then(|o| o.paused_at),
        power: site.power,
        nodes: count(nodes.len()),
        nodes_ready: count(nodes.iter().filter(|entry| entry.value.state == node::State::Ready).count()),
        vms: count(snap.vms.values().filter(|entry| entry.value.node().is_some_and(here)).count()),
        vms_home: count(snap.vms.values().filter(|entry| entry.value.home_site == site.name).count()),
    }
}
