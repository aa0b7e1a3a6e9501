//! Images as people and programs see them.

use std::collections::BTreeMap;

use watari_contracts::{
    image::{DiskCopying, ImageView, SavedFrom},
    scheduler::Fault,
};
use watari_model::{
    DiskName, NodeName, Refusal, SiteName, VmName,
    image::{Image, Saved, State},
    node::Node,
    vm::Vm,
};

use super::{digest_of, needed_beside, saves::Heard};

/// The servers that stand on an image: those made from it, and, if no other image has the same
/// file, all that stand on the file. By name.
pub fn users<'a>(
    image: &'a Image,
    images: impl IntoIterator<Item = &'a Image>,
    vms: impl IntoIterator<Item = &'a Vm>,
) -> Vec<VmName> {
    let Some(digest) = digest_of(image) else { return Vec::new() };
    let last = !needed_beside(image, &digest, images);
    let stands = |vm: &&Vm| {
        let base = &vm.spec.base;
        base.sha256 == digest.as_ref() && (last || base.image == image.name)
    };
    vms.into_iter().filter(stands).map(|vm| vm.name.clone()).collect()
}

/// The nodes that keep an image's file, by site.
pub fn keepers<'a>(image: &Image, nodes: impl IntoIterator<Item = &'a Node>) -> BTreeMap<SiteName, Vec<NodeName>> {
    let mut found: BTreeMap<SiteName, Vec<NodeName>> = BTreeMap::new();
    let Some(stored) = &image.stored else { return found };
    for node in nodes.into_iter().filter(|node| node.inventory.images.contains(&stored.sha256)) {
        found.entry(node.site.clone()).or_default().push(node.name.clone());
    }
    found
}

/// The kept disks of deleted servers that stand on an image's file, whatever the image was called then.
pub fn disks<'a>(image: &Image, nodes: impl IntoIterator<Item = &'a Node>) -> Vec<DiskName> {
    let Some(stored) = &image.stored else { return Vec::new() };
    let all = nodes.into_iter().flat_map(|node| &node.inventory.disks);
    let stand = all.filter(|(_, disk)| disk.base.sha256 == stored.sha256);
    stand.filter_map(|(uuid, disk)| DiskName::of(&disk.vm, uuid).ok()).collect()
}

/// What a view tells beside the document.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// How much has arrived of a file that is being imported.
    pub arrived_bytes: Option<u64>,
    /// The servers that stand on it.
    pub used_by: Vec<VmName>,
    /// The nodes that keep it, by site.
    pub nodes: BTreeMap<SiteName, Vec<NodeName>>,
    /// What is heard of the copy of a server's disk.
    pub heard: Heard,
    /// Why a sound image is not ready yet.
    pub waits_for: Option<Refusal>,
}

/// An image's view.
#[must_use]
pub fn view(image: &Image, beside: Beside) -> ImageView {
    let stored = image.stored.as_ref();
    let importing = image.state == State::Importing;
    ImageView {
        name: image.name.clone(),
        state: image.state,
        about: image.about.clone(),
        sha256: stored.map(|s| s.sha256.clone()),
        format: stored.map(|s| s.format),
        size_bytes: stored.map(|s| s.size_bytes).or(image.announced.as_ref().and_then(|a| a.size_bytes)),
        arrived_bytes: beside.arrived_bytes,
        saved_from: image.saved_from.as_ref().map(|saved| saved_from(saved, beside.heard, importing)),
        virtual_size_bytes: stored.map(|s| s.virtual_size_bytes),
        copies: image.copies.clone(),
        kept: image.kept.clone(),
        waits_for: beside.waits_for.filter(|_| image.state == State::Verifying).as_ref().map(Fault::from),
        nodes: beside.nodes,
        used_by: beside.used_by,
        fault: image.fault.as_ref().map(Fault::from),
        created_at: image.created_at,
    }
}

fn saved_from(saved: &Saved, heard: Heard, importing: bool) -> SavedFrom {
    let Heard { copied_bytes, total_bytes, lost } = heard;
    let awaited = importing && saved.taken.is_none();
    let copying = saved.copying.as_ref().filter(|_| awaited);
    SavedFrom {
        vm: saved.vm.clone(),
        taken: saved.taken,
        copying: copying.map(|c| DiskCopying { node: c.node.clone(), copied_bytes, total_bytes }),
        lost: lost.filter(|_| awaited).as_ref().map(Fault::from),
    }
}
