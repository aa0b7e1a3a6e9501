//! The pure core: what is to be done, given what is wanted and what is there. No async, no I/O,
//! no clock.

pub mod copies;
pub mod imports;
pub mod orphans;
pub mod saves;
#[cfg(test)]
mod tests;
pub mod view;

use std::collections::BTreeSet;

use watari_model::image::{Image, State};

use crate::digest::Digest;

/// Which stored files servers stand on; none when nobody knows yet.
pub type Used = Option<BTreeSet<Digest>>;

/// The digest of an image's stored file.
#[must_use]
pub fn digest_of(image: &Image) -> Option<Digest> {
    image.stored.as_ref().and_then(|stored| stored.sha256.parse().ok())
}

/// Whether another image that is to stay has the same file.
fn needed_beside<'a>(image: &Image, digest: &Digest, images: impl IntoIterator<Item = &'a Image>) -> bool {
    images.into_iter().any(|other| {
        other.name != image.name && other.state == State::Ready && digest_of(other).as_ref() == Some(digest)
    })
}
