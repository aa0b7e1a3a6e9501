//! Frozen layers that are kept here become the disk of a server whose node was lost.
//!
//! ```text
//!  all here? ─▶ journal: being made, of these ─▶ each into its place ─▶ empty overlay on them ─▶ (it starts) whole
//! ```
//!
//! Nothing of it is written to before the server starts, so that what a crash leaves in the middle is gone on with. What
//! else may lie here of the server is somebody's only disk, and is left alone.

use std::path::Path;

use watari_contracts::agent::{Layer, Server, Stack};
use watari_model::{Refusal, size::GIB};

use super::cx::Cx;
use crate::{
    facts::Urgency,
    hypervisor::{DiskFormat, disk},
    layers::{keep, stack},
    layout::Layout,
    record::{Disk, Record},
};

const WANTED: &str = "start from a copy";

/// Has the disk stand on the copy, unless it does.
///
/// # Errors
/// [`Refusal::LayersMissing`] if a layer is not here, [`Refusal::AgentState`] if there is another disk of it; a file cannot
/// be moved or made, and it is gone on with at the next try.
pub(super) async fn provide(cx: &Cx, server: &Server, copy: &Stack) -> Result<(), Refusal> {
    let record = cx.record().await?;
    let same = record.stack.layers == copy.layers && record.stack.top == copy.top;
    match record.disk {
        // It was started before, and its document does not say so yet; a snapshot may have been taken of it since.
        Disk::Whole if record.stack.layers.starts_with(&copy.layers) => return Ok(()),
        Disk::Making if same => {}
        Disk::None => begin(cx, &record, copy).await?,
        _ => return Err(cx.node.not_now(&cx.book.vm, "beside another disk of its own", WANTED)),
    }
    let (of, come) = (server.uuid.clone(), copy.layers.clone());
    let brought = move |layout: &Layout| {
        let mut missing = come.iter().filter(|layer| keep::has(layout, &of, layer));
        missing.try_for_each(|layer| keep::bring_in(layout, &of, layer))
    };
    keep::aside(&cx.node, brought).await?;
    keep::tell(&cx.node).await;
    let top = cx.node.layout.layer(&server.uuid, copy.top);
    if exists(&top).await? {
        return Ok(());
    }
    let under = stack::under(&cx.node, server, copy);
    let backing = under.first().ok_or_else(|| Refusal::Internal { detail: "a disk without an image".to_owned() })?;
    // It may have grown since its document was written, and must not be cut.
    let is = disk::info(&backing.path, DiskFormat::Qcow2).await.map_err(|error| cx.refuse(&error))?.virtual_bytes;
    let bytes = is.max(server.disk_gib.saturating_mul(GIB));
    disk::create_overlay(&top, backing, bytes).await.map_err(|error| cx.refuse(&error))?;
    tracing::warn!(vm = %cx.book.vm, layers = copy.layers.len(), "its disk is made of a copy: what was written since is not in it");
    Ok(())
}

/// Writes down what its disk is made of, if all of that is here and nothing is in its place.
async fn begin(cx: &Cx, record: &Record, copy: &Stack) -> Result<(), Refusal> {
    let (layout, uuid) = (&cx.node.layout, &record.uuid);
    let numbers: Vec<u32> = copy.layers.iter().map(|layer| layer.index).collect();
    let ascending = numbers.is_sorted_by(|one, next| one < next) && numbers.last().is_some_and(|last| *last < copy.top);
    if !ascending {
        return Err(Refusal::Malformed { detail: format!("layers {numbers:?} under layer {}", copy.top) });
    }
    let here = |layer: &Layer| keep::has(layout, uuid, layer);
    if !copy.is_named() || !copy.layers.iter().all(here) {
        return Err(Refusal::LayersMissing { vm: cx.book.vm.to_string(), node: cx.node.name.to_string() });
    }
    for index in numbers.into_iter().chain([copy.top]) {
        if exists(&layout.layer(uuid, index)).await? {
            return Err(cx.node.not_now(
                &cx.book.vm,
                "beside a disk file that the agent's journal does not know",
                WANTED,
            ));
        }
    }
    let made = |record: &mut Record| {
        record.clear_layers();
        record.stack = copy.clone();
        record.disk = Disk::Making;
    };
    cx.book.amend(uuid, Urgency::Whenever, made).await.map(drop)
}

async fn exists(path: &Path) -> Result<bool, Refusal> {
    let there = tokio::fs::try_exists(path).await;
    there.map_err(|error| Refusal::Internal { detail: format!("{}: {error}", path.display()) })
}
