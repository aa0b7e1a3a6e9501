//! Which base images the disks on this node stand on: asked of the disks themselves, whose headers name what they
//! stand on. So it holds for servers that run, that are off or that no journal knows, and for frozen layers that are
//! kept for servers elsewhere.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::{self, File},
    io,
    os::unix::{ffi::OsStringExt, fs::FileExt},
    path::{Path, PathBuf},
};

use crate::{hypervisor::courier::MAGIC, layout::Layout};

/// The longest name that a header may have (QEMU's docs/interop/qcow2).
const LONGEST_NAME: u32 = 1_023;

/// The file names of all images that a disk stands on. Whatever lies under such a name is in use. It blocks.
///
/// # Errors
/// A folder or a disk cannot be read: then nobody knows what is in use.
pub(super) fn all(layout: &Layout) -> io::Result<BTreeSet<OsString>> {
    let mut found = BTreeSet::new();
    for folder in [layout.disks(), layout.layers(), layout.arriving()] {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            // One that is only being made is not read: who makes it holds what it will stand on.
            if !entry.file_type()?.is_file() || entry.path().extension().is_some_and(|ending| ending == "partial") {
                continue;
            }
            // The folder may be spelt otherwise than when the disk was made.
            let name = under(&entry.path())?.and_then(|path| path.file_name().map(ToOwned::to_owned));
            found.extend(name);
        }
    }
    Ok(found)
}

/// What a disk says that it stands on; nothing if the file is no qcow2, or stands on nothing. One that is gone by now
/// stands on nothing either.
fn under(path: &Path) -> io::Result<Option<PathBuf>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let (mut magic, mut at, mut length) = ([0; 4], [0; 8], [0; 4]);
    match file.read_exact_at(&mut magic, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    // A layer that is still being brought here has no magic yet: what it stands on is fetched when its server comes.
    if magic != MAGIC {
        return Ok(None);
    }
    file.read_exact_at(&mut at, 8)?;
    file.read_exact_at(&mut length, 16)?;
    let (at, length) = (u64::from_be_bytes(at), u32::from_be_bytes(length));
    if at == 0 {
        return Ok(None);
    }
    if length > LONGEST_NAME {
        let text = format!("{}: its header names a file of {length} letters", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let mut name = vec![0; usize::try_from(length).unwrap_or_default()];
    file.read_exact_at(&mut name, at)?;
    let name = PathBuf::from(OsString::from_vec(name));
    // QEMU can name a file in other ways too. We never have it do so, and would not understand it.
    if !name.is_absolute() {
        let text = format!("{}: its header names {}, which is no path", path.display(), name.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    Ok(Some(name))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The beginning of a qcow2 that stands on a file.
    pub(in crate::images) fn header(under: &str) -> Vec<u8> {
        let mut bytes = vec![0; 104];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&3_u32.to_be_bytes());
        if !under.is_empty() {
            bytes[8..16].copy_from_slice(&104_u64.to_be_bytes());
            bytes[16..20].copy_from_slice(&u32::try_from(under.len()).unwrap().to_be_bytes());
        }
        bytes.extend_from_slice(under.as_bytes());
        bytes
    }

    #[test]
    fn a_disk_says_what_it_stands_on_and_a_damaged_one_is_no_silence() {
        let path = std::env::temp_dir().join(format!("watari-standing-{}", std::process::id()));
        let says = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            under(&path)
        };
        assert_eq!(says(&header("/d/images/x.raw")).unwrap(), Some(PathBuf::from("/d/images/x.raw")));
        assert_eq!(says(&header("")).unwrap(), None);
        assert_eq!(says(b"no").unwrap(), None);
        assert_eq!(says(b"plain sectors").unwrap(), None);
        assert!(says(&header("/d/images/x.raw")[..110]).is_err(), "its name is cut off");
        assert!(says(&header(&"/".repeat(1_024))).is_err());
        assert!(says(&header("json:{\"driver\":\"raw\"}")).is_err(), "whatever that is, it is in use");
        fs::remove_file(&path).unwrap();
        assert_eq!(under(&path).unwrap(), None);
    }
}
