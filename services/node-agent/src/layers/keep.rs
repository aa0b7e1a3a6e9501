//! Layers kept for servers that are not here: what arrives is checked, and a server that comes finds them.
//!
//! What is there is told again and again from the folder itself; no journal has it.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use watari_chassis::CancellationToken;
use watari_contracts::agent::Layer;
use watari_model::Refusal;

use super::file::{self, Kind};
use crate::{hypervisor::courier::MAGIC, images::digest, layout::Layout, node::Node};

/// How often the folder is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What the two folders hold.
#[derive(Default)]
struct Found {
    whole: BTreeMap<String, Vec<Layer>>,
    parts: Vec<(String, Layer)>,
    proofs: Vec<(String, Layer)>,
}

fn failed(error: &io::Error) -> Refusal {
    Refusal::Internal { detail: format!("the folder of frozen layers: {error}") }
}

/// Where a layer is kept.
fn kept(layout: &Layout, uuid: &str, layer: &Layer) -> Option<PathBuf> {
    file::name(uuid, layer, Kind::Whole).map(|name| layout.layers().join(name))
}

fn arriving(layout: &Layout, uuid: &str, layer: &Layer, kind: Kind) -> Option<PathBuf> {
    file::name(uuid, layer, kind).map(|name| layout.arriving().join(name))
}

/// Looks until shutdown.
pub(crate) async fn run(node: &Arc<Node>, shutdown: &CancellationToken) {
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while shutdown.run_until_cancelled(tick.tick()).await.is_some() {
        let (layout, stop) = (node.layout.clone(), shutdown.clone());
        match tokio::task::spawn_blocking(move || look(&layout, &stop)).await {
            Ok(Ok(whole)) => node.facts.set_layers(whole),
            Ok(Err(error)) => tracing::warn!(%error, "the folder of frozen layers cannot be looked at"),
            Err(error) => tracing::error!(%error, "looking at frozen layers fell"),
        }
    }
}

/// Tells what is kept now, without waiting for the next look: a migration may wait for it.
pub(crate) async fn tell(node: &Node) {
    let layout = node.layout.clone();
    let found = tokio::task::spawn_blocking(move || list(&layout)).await.unwrap_or_else(|e| Err(io::Error::other(e)));
    match found {
        Ok(found) => node.facts.set_layers(sorted(found.whole)),
        Err(error) => tracing::warn!(%error, "the folder of frozen layers cannot be looked at"),
    }
}

/// Does with the folders what waits for the disk, where nobody else waits.
///
/// # Errors
/// As what is done.
pub(crate) async fn aside(
    node: &Node,
    work: impl FnOnce(&Layout) -> Result<(), Refusal> + Send + 'static,
) -> Result<(), Refusal> {
    let layout = node.layout.clone();
    let done = tokio::task::spawn_blocking(move || work(&layout)).await;
    done.unwrap_or_else(|error| Err(failed(&io::Error::other(error))))
}

fn sorted(mut whole: BTreeMap<String, Vec<Layer>>) -> BTreeMap<String, Vec<Layer>> {
    whole.values_mut().for_each(|layers| layers.sort_by_key(|layer| layer.index));
    whole
}

/// Checks what has arrived, and says to others what is here. It blocks.
fn look(layout: &Layout, stop: &CancellationToken) -> io::Result<BTreeMap<String, Vec<Layer>>> {
    let mut found = list(layout)?;
    for (uuid, layer) in std::mem::take(&mut found.parts) {
        if check(layout, &uuid, &layer, stop)? {
            found.whole.entry(uuid).or_default().push(layer);
        }
    }
    let is_here = |uuid: &String, layer: &Layer| found.whole.get(uuid).is_some_and(|layers| layers.contains(layer));
    for (uuid, layer) in &found.proofs {
        if let Some(proof) = arriving(layout, uuid, layer, Kind::Proof).filter(|_| !is_here(uuid, layer)) {
            remove(&proof)?;
        }
    }
    for (uuid, layers) in &found.whole {
        let told = |layer: &&Layer| found.proofs.iter().any(|(of, is)| of == uuid && is == *layer);
        let untold = layers.iter().filter(|layer| !told(layer));
        let proofs = untold.filter_map(|layer| arriving(layout, uuid, layer, Kind::Proof));
        for proof in proofs {
            fs::OpenOptions::new().append(true).create(true).open(proof)?;
        }
    }
    Ok(sorted(found.whole))
}

fn list(layout: &Layout) -> io::Result<Found> {
    let mut found = Found::default();
    for folder in [layout.layers(), layout.arriving()] {
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name();
            match name.to_str().and_then(file::parse) {
                Some((uuid, layer, Kind::Whole)) => found.whole.entry(uuid).or_default().push(layer),
                Some((uuid, layer, Kind::Part)) => found.parts.push((uuid, layer)),
                Some((uuid, layer, Kind::Proof)) => found.proofs.push((uuid, layer)),
                None => {}
            }
        }
    }
    Ok(found)
}

/// Whether a part is whole and is what its name says; it is kept as such then. One that is not is thrown away.
fn check(layout: &Layout, uuid: &str, layer: &Layer, stop: &CancellationToken) -> io::Result<bool> {
    use std::os::unix::fs::FileExt;
    let (Some(part), Some(whole)) = (arriving(layout, uuid, layer, Kind::Part), kept(layout, uuid, layer)) else {
        return Ok(false);
    };
    // Longer than it should be: that is how its sender says that all of it was sent. The mark is what an agent
    // that ended in the middle of this had got to: a sender leaves its place empty.
    let open = fs::OpenOptions::new().read(true).write(true).open(&part)?;
    let (length, mut mark) = (open.metadata()?.len(), [0; MAGIC.len()]);
    let marked = length == layer.size_bytes && open.read_exact_at(&mut mark, 0).is_ok() && mark == MAGIC;
    if length <= layer.size_bytes && !marked {
        return Ok(false);
    }
    open.set_len(layer.size_bytes)?;
    open.write_all_at(&MAGIC, 0)?;
    open.sync_all()?;
    let Some(is) = digest(&part, stop)? else {
        // At shutdown. It is said to be whole again, so that the next agent checks it.
        open.set_len(layer.size_bytes.saturating_add(1))?;
        return Ok(false);
    };
    if layer.sha256.as_ref() != Some(&is) {
        tracing::warn!(uuid, index = layer.index, "a frozen layer did not arrive as it was sent; it is sent again");
        return remove(&part).map(|()| false);
    }
    fs::rename(&part, &whole)?;
    sync(&layout.layers())?;
    tracing::info!(uuid, index = layer.index, size_bytes = layer.size_bytes, "a frozen layer has arrived");
    Ok(true)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

/// Whether a layer is kept here.
pub(crate) fn has(layout: &Layout, uuid: &str, layer: &Layer) -> bool {
    kept(layout, uuid, layer).is_some_and(|path| path.exists())
}

/// Puts a layer where the server's disk looks for it. What is there already must have been taken away.
///
/// # Errors
/// The file cannot be moved.
pub(crate) fn bring_in(layout: &Layout, uuid: &str, layer: &Layer) -> Result<(), Refusal> {
    let moved = || -> io::Result<()> {
        if let Some(proof) = arriving(layout, uuid, layer, Kind::Proof) {
            remove(&proof)?;
        }
        if let Some(from) = kept(layout, uuid, layer) {
            fs::rename(from, layout.layer(uuid, layer.index))?;
        }
        sync(&layout.disks())?;
        sync(&layout.layers())
    };
    moved().map_err(|error| failed(&error))
}

/// Keeps the layers of a server that is not here any more. One whose digest nobody knows is deleted.
///
/// # Errors
/// A file cannot be moved.
pub(crate) fn stow(layout: &Layout, uuid: &str, layers: &[Layer]) -> Result<(), Refusal> {
    let stowed = || -> io::Result<()> {
        for layer in layers {
            let from = layout.layer(uuid, layer.index);
            match kept(layout, uuid, layer) {
                // Half of it may have been done by an agent before this one.
                Some(to) => match fs::rename(&from, to) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                },
                None => remove(&from)?,
            }
        }
        sync(&layout.layers())?;
        sync(&layout.disks())
    };
    stowed().map_err(|error| failed(&error))
}

/// Deletes everything that is kept of a server, or was to be.
///
/// # Errors
/// A file cannot be deleted.
pub(crate) fn forget(layout: &Layout, uuid: &str) -> Result<(), Refusal> {
    keep_only(layout, uuid, &[])
}

/// The same, but for some layers.
///
/// # Errors
/// As for [`forget`].
pub(crate) fn keep_only(layout: &Layout, uuid: &str, stay: &[Layer]) -> Result<(), Refusal> {
    let goes = |(of, layer, _): (String, Layer, Kind)| of == uuid && !stay.contains(&layer);
    let forgotten = || -> io::Result<()> {
        for folder in [layout.arriving(), layout.layers()] {
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                let name = entry.file_name();
                if name.to_str().and_then(file::parse).is_some_and(goes) {
                    remove(&entry.path())?;
                }
            }
        }
        Ok(())
    };
    forgotten().map_err(|error| failed(&error))
}

/// Deletes layers of a disk that is here. One that is not there is deleted.
///
/// # Errors
/// A file cannot be deleted.
pub(crate) fn delete(layout: &Layout, uuid: &str, indices: &[u32]) -> Result<(), Refusal> {
    let mut paths = indices.iter().map(|index| layout.layer(uuid, *index));
    let deleted = paths.try_for_each(|path| remove(&path)).and_then(|()| sync(&layout.disks()));
    deleted.map_err(|error| failed(&error))
}

#[cfg(test)]
#[path = "keep_tests.rs"]
mod tests;
