//! Base images that not every site has. A node that lacks one fetches it from the front end of its own site, and if that
//! has none from another one: then it travels over the link that migrations use, once for each node. What no front end has
//! comes to no node but those that keep it.

use std::collections::{BTreeSet, HashMap};

use watari_model::{
    NodeName, SiteName, image,
    node::Node,
    outage::Scope,
    vm::{Base, Vm},
};

use super::Rooms;
use crate::core::Snapshot;

/// From where a node has a base image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Supply {
    /// It keeps it, or its site's front end has it, or nobody knows better.
    Near,
    /// From another site: so many bytes travel.
    Far(u64),
    /// From nowhere.
    Nowhere,
}

/// An image that some site lacks.
#[derive(Clone, Debug, Default)]
struct Stock {
    bytes: u64,
    /// The sites that have it for themselves.
    sites: BTreeSet<SiteName>,
    /// The sites of open nodes that keep it.
    kept: BTreeSet<SiteName>,
    /// Whether any front end can give it.
    is_anywhere: bool,
}

/// The images that some site lacks, by the digests of their files: mostly none, so that nearly nothing is looked up for
/// each of many servers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bases(HashMap<String, Stock>);

impl Bases {
    /// By what the images' documents say. Two images may have the same file, and one that is being deleted stays as long
    /// as servers stand on it.
    pub(crate) fn of(snap: &Snapshot) -> Self {
        let mut stocks: HashMap<String, Stock> = HashMap::new();
        for image in snap.images.values().map(|entry| &entry.value) {
            let Some(stored) = &image.stored else { continue };
            let stock = stocks.entry(stored.sha256.clone()).or_default();
            stock.bytes = stored.size_bytes;
            stock.sites.extend(image::sites(&image.copies, &image.kept).into_iter().cloned());
            stock.is_anywhere |= !image.copies.is_empty() || !image.kept.is_empty();
        }
        let is_everywhere = |stock: &Stock| snap.sites.values().all(|entry| stock.sites.contains(&entry.value.name));
        stocks.retain(|_, stock| !is_everywhere(stock));
        Self(stocks)
    }

    /// Notes which of them a node keeps that may receive servers.
    pub(super) fn kept_by(&mut self, node: &Node) {
        for (digest, stock) in &mut self.0 {
            if node.inventory.images.contains(digest) {
                stock.kept.insert(node.site.clone());
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// From where a node has it.
    pub(crate) fn supply(&self, base: &Base, node: &Node) -> Supply {
        match self.0.get(&base.sha256) {
            None => Supply::Near,
            Some(stock) if stock.sites.contains(&node.site) => Supply::Near,
            Some(_) if node.inventory.images.contains(&base.sha256) => Supply::Near,
            Some(stock) if stock.is_anywhere => Supply::Far(stock.bytes),
            Some(_) => Supply::Nowhere,
        }
    }

    /// Bytes that travel with a server that leaves a site, wherever it goes: 0 if any other site has its base.
    fn leaving(&self, base: &Base, from: Option<&SiteName>) -> u64 {
        let Some(stock) = self.0.get(&base.sha256).filter(|stock| stock.is_anywhere) else { return 0 };
        let is_elsewhere = stock.sites.iter().chain(&stock.kept).any(|site| Some(site) != from);
        if is_elsewhere { 0 } else { stock.bytes }
    }
}

impl Rooms {
    /// From where a node has a base image.
    pub(crate) fn supply(&self, base: &Base, node: &NodeName) -> Supply {
        if self.bases.is_empty() {
            return Supply::Near;
        }
        self.get(node).map_or(Supply::Near, |room| self.bases.supply(base, room.node()))
    }

    /// Bytes of its base image that travel if a server leaves its site, wherever it goes.
    pub(crate) fn base_to_send(&self, vm: &Vm) -> u64 {
        if self.bases.is_empty() {
            return 0;
        }
        let site = vm.node().and_then(|node| self.get(node)).map(|room| &room.node().site);
        self.bases.leaving(&vm.spec.base, site)
    }

    /// Bytes of base images that travel at the most if all of these leave what goes dark: each node that lacks one
    /// fetches it once.
    pub(crate) fn bases_to_send(&self, vms: &[&Vm], dark: &Scope) -> u64 {
        if self.bases.is_empty() {
            return 0;
        }
        let mut wanted: HashMap<&str, (&Base, usize)> = HashMap::new();
        for vm in vms {
            wanted.entry(vm.spec.base.sha256.as_str()).or_insert((&vm.spec.base, 0)).1 += 1;
        }
        let open = self.iter().filter(|room| room.open().is_ok() && !dark.covers(room.node()));
        let refuge: Vec<&Node> = open.map(|room| room.node()).collect();
        let far = |base: &Base, node: &Node| match self.bases.supply(base, node) {
            Supply::Far(bytes) => Some(bytes),
            Supply::Near | Supply::Nowhere => None,
        };
        let sent = |(base, servers): (&Base, usize)| -> u64 {
            refuge.iter().copied().filter_map(|node| far(base, node)).take(servers).fold(0, u64::saturating_add)
        };
        wanted.into_values().map(sent).fold(0, u64::saturating_add)
    }
}
