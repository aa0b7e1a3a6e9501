//! What is written down of a kept disk, beside its files.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};
use watari_contracts::agent::Stack;
use watari_model::disk::KeptDisk;

use crate::{blueprint, layout::Layout};

/// The ending of a note's name, and that of one whose disk is being deleted.
const KEPT: &str = "kept";
const GOING: &str = "going";

/// A kept disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What is told of it.
    pub disk: KeptDisk,
    /// What it is made of.
    pub stack: Stack,
    /// The UUID of the server whose disk it becomes, once one has taken it.
    #[serde(default)]
    pub taken_by: Option<String>,
}

impl Note {
    /// The numbers of its files, each standing on the one before.
    pub(super) fn files(&self) -> Vec<u32> {
        self.stack.layers.iter().map(|layer| layer.index).chain([self.stack.top]).collect()
    }
}

/// Writes a note, in one piece or not at all. It blocks.
pub(super) fn write(layout: &Layout, uuid: &str, note: &Note) -> io::Result<()> {
    let path = layout.disk_note(uuid, KEPT);
    let partial = path.with_extension("partial");
    let mut file = File::create(&partial)?;
    file.write_all(&serde_json::to_vec(note)?)?;
    file.sync_all()?;
    fs::rename(&partial, &path)?;
    sync(layout)
}

/// The note of one disk, if it is kept. It blocks.
pub(super) fn read(layout: &Layout, uuid: &str) -> io::Result<Option<Note>> {
    parsed(&layout.disk_note(uuid, KEPT))
}

/// All notes, by the UUIDs of the servers that the disks were of. It blocks.
pub(super) fn all(layout: &Layout) -> io::Result<BTreeMap<String, Note>> {
    notes(layout, KEPT)
}

/// Says for good that a disk goes. It blocks.
pub(super) fn doom(layout: &Layout, uuid: &str) -> io::Result<()> {
    fs::rename(layout.disk_note(uuid, KEPT), layout.disk_note(uuid, GOING))?;
    sync(layout)
}

/// Deletes the files of every disk that is to go, and then what says so. It blocks.
pub(super) fn clear(layout: &Layout) -> io::Result<()> {
    for (uuid, note) in notes(layout, GOING)? {
        for index in note.files() {
            remove(&layout.layer(&uuid, index))?;
        }
        remove(&layout.variables(&uuid))?;
        sync(layout)?;
        remove(&layout.disk_note(&uuid, GOING))?;
    }
    sync(layout)
}

/// Forgets that a disk was kept: it is a server's own again. It blocks.
pub(super) fn forget(layout: &Layout, uuid: &str) -> io::Result<()> {
    remove(&layout.disk_note(uuid, KEPT))?;
    sync(layout)
}

fn notes(layout: &Layout, ending: &str) -> io::Result<BTreeMap<String, Note>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(layout.disks())? {
        let path = entry?.path();
        let ours = path.extension().is_some_and(|found| found == ending);
        let uuid = path.file_stem().and_then(|stem| stem.to_str()).filter(|stem| ours && blueprint::is_uuid(stem));
        let Some(uuid) = uuid.map(str::to_owned) else { continue };
        match parsed(&path) {
            Ok(note) => found.extend(note.map(|note| (uuid, note))),
            // The others are there all the same; this one's files stay as they are.
            Err(error) => tracing::error!(%error, path = %path.display(), "a kept disk's note cannot be read"),
        }
    }
    Ok(found)
}

fn parsed(path: &Path) -> io::Result<Option<Note>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => Ok(Some(serde_json::from_slice(&read?)?)),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

pub(super) fn sync(layout: &Layout) -> io::Result<()> {
    File::open(layout.disks())?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "7b1d4c2e-9a53-4c36-8f0e-2d6a1f0b9c41";

    fn noted() -> Note {
        let base = serde_json::json!({"image": "mini", "sha256": "0a".repeat(32), "format": "qcow2"});
        let disk = serde_json::json!({
            "vm": "mail", "base": base, "disk_gib": 2, "size_bytes": 7, "kept_at": "2026-11-23T09:00:00Z",
        });
        let layers = serde_json::json!([{"index": 0, "sha256": null, "size_bytes": 7}]);
        serde_json::from_value(serde_json::json!({"disk": disk, "stack": {"layers": layers, "top": 3}})).unwrap()
    }

    #[test]
    fn a_disk_is_kept_until_it_is_doomed_and_then_all_of_it_goes_and_nothing_else() {
        let folder = std::env::temp_dir().join(format!("watari-kept-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let layout = Layout::new(&folder.join("data"), &folder.join("run"));
        layout.make().unwrap();
        let other = UUID.replace('7', "8");
        for path in [layout.layer(UUID, 0), layout.layer(UUID, 3), layout.layer(&other, 0)] {
            fs::write(path, "data").unwrap();
        }
        assert_eq!((read(&layout, UUID).unwrap(), noted().files()), (None, vec![0, 3]));
        write(&layout, UUID, &noted()).unwrap();
        write(&layout, &other, &Note { taken_by: Some(UUID.to_owned()), ..noted() }).unwrap();
        fs::write(layout.variables(UUID), "variables").unwrap();
        fs::write(layout.disk_note("notes", KEPT), "not ours").unwrap();
        assert_eq!(all(&layout).unwrap().into_keys().collect::<Vec<_>>(), [UUID.to_owned(), other.clone()]);
        assert_eq!(read(&layout, UUID).unwrap(), Some(noted()));
        assert_eq!(noted().disk.project, None, "a note of before says nothing of projects");
        // Nothing is to go yet.
        clear(&layout).unwrap();
        assert!(layout.layer(UUID, 3).exists());
        doom(&layout, UUID).unwrap();
        assert_eq!(all(&layout).unwrap().into_keys().collect::<Vec<_>>(), std::slice::from_ref(&other));
        clear(&layout).unwrap();
        assert!(!layout.layer(UUID, 0).exists() && !layout.layer(UUID, 3).exists());
        assert!(!layout.variables(UUID).exists());
        assert!(layout.layer(&other, 0).exists() && !layout.disk_note(UUID, GOING).exists());
        forget(&layout, &other).unwrap();
        assert!(layout.layer(&other, 0).exists() && all(&layout).unwrap().is_empty());
        fs::remove_dir_all(&folder).unwrap();
    }
}
