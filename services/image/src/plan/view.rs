//! Images as people and programs see them.

use watari_contracts::{image::ImageView, scheduler::Fault};
use watari_model::{VmName, image::Image, vm::Vm};

use super::{digest_of, needed_beside};

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

/// An image's view.
#[must_use]
pub fn view(image: &Image, arrived_bytes: Option<u64>, used_by: Vec<VmName>) -> ImageView {
    let stored = image.stored.as_ref();
    ImageView {
        name: image.name.clone(),
        state: image.state,
        sha256: stored.map(|s| s.sha256.clone()),
        format: stored.map(|s| s.format),
        size_bytes: stored.map(|s| s.size_bytes).or(image.announced.as_ref().and_then(|a| a.size_bytes)),
        arrived_bytes,
        virtual_size_bytes: stored.map(|s| s.virtual_size_bytes),
        copies: image.copies.clone(),
        used_by,
        fault: image.fault.as_ref().map(Fault::from),
        created_at: image.created_at,
    }
}
