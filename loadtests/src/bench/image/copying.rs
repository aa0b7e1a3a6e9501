//! What reaches the other campus when a sparse image is copied there, by the counter of the interface on which the
//! front end that fetches it is reached. What the front ends say to each other meanwhile is counted, too.

use anyhow::Context;
use serde::Serialize;

use super::{FRONTS, Files, forget, told, until_copied};
use crate::{bench::Bound, lab::Lab};

const IMAGE: &str = "bench-sparse";
/// The disk, and every which of its MiB is full.
const DISK_MIB: u64 = 1024;
const STRIDE: u64 = 16;
/// What headers, TLS and the bus may add to the bytes that are full.
const MOST_RATIO: f64 = 1.05;
const PORT: u16 = 9102;

/// One copy. Sizes in bytes.
#[derive(Clone, Debug, Serialize)]
pub struct Copying {
    /// The size of the disk.
    pub disk_bytes: u64,
    /// What of it is full.
    pub allocated_bytes: u64,
    /// What the front end that fetched it says that it fetched.
    pub copied_bytes: f64,
    /// What came in on its interface.
    pub link_bytes: f64,
    /// The latter to what is full.
    pub ratio: f64,
}

impl Copying {
    pub(super) fn bound(&self) -> Bound {
        Bound::most("copying.ratio", self.ratio, MOST_RATIO)
    }
}

/// What a front end has fetched, and what came in on its interface, since it was started.
fn counters(lab: &Lab, front: &str) -> anyhow::Result<(f64, f64)> {
    let copied = told(lab, front, PORT, "watari_image_copied_bytes_total")?;
    let came = lab.run(&["exec", front, "--", "cat", "/sys/class/net/mgmt0/statistics/rx_bytes"])?;
    Ok((copied, came.trim().parse()?))
}

/// Imports one image and waits until it is copied.
pub(super) fn run(lab: &Lab, files: &Files) -> anyhow::Result<Copying> {
    forget(lab, IMAGE)?;
    let allocated_bytes = files.fill("sparse.raw", DISK_MIB, STRIDE)?;
    let before = [counters(lab, FRONTS[0])?, counters(lab, FRONTS[1])?];
    lab.watari(&["image", "import", &Files::path("sparse.raw"), "--name", IMAGE, "--wait"])?;
    until_copied(lab, IMAGE)?;
    let after = [counters(lab, FRONTS[0])?, counters(lab, FRONTS[1])?];
    forget(lab, IMAGE)?;
    // The other one has it from the client.
    let mut moved = before.iter().zip(&after).map(|(before, after)| (after.0 - before.0, after.1 - before.1));
    let fetched = moved.find(|(copied, _)| *copied > 0.0);
    let (copied_bytes, link_bytes) = fetched.context("nobody has fetched the image")?;
    #[allow(clippy::cast_precision_loss, reason = "bytes of a disk are far below 2^53")]
    let ratio = link_bytes / allocated_bytes as f64;
    Ok(Copying { disk_bytes: DISK_MIB * super::MIB, allocated_bytes, copied_bytes, link_bytes, ratio })
}
