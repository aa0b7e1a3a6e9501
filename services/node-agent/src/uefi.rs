//! UEFI: whether its firmware is on this node, and the variables that each server keeps which boots by it: what it
//! boots first, above all.
//!
//! The variables are a small file beside the server's disk, made before the server's first start as a copy of those
//! that its image keeps, or else of the package's own; and again before the server arrives from another node: QEMU
//! carries their contents with the memory, and writes them into the file there. They go with the server, or with its
//! disk if that is kept.
//!
//! A snapshot has them at the end of the file of its layer, and an image that is saved from a server at the end of its
//! own, where QEMU reads nothing:
//!
//! ```text
//!  the disk, a qcow2 ─▶ variables ─▶ their SHA-256 (32 bytes) ─▶ how many bytes they are (8, little endian) ─▶ ENDS
//! ```
//!
//! They are put there before the file is measured and named by its digest. So wherever it goes they are, no other file
//! has to be sent, checked, kept and deleted with it, and a disk that goes back to it, or is made of it, finds them. What
//! a stranger puts behind an image is as much his own as what he puts into it: it is only ever the flash memory of its
//! servers.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::Path,
};

use sha2::{Digest, Sha256};
use watari_model::Refusal;

use crate::{layout::Layout, seed, settings::Uefi};

/// Larger than any firmware's variables, in bytes.
const MOST: u64 = 64 << 20;
/// By what a disk's file ends that keeps variables.
const ENDS: [u8; 8] = *b"uefivar1";
/// What stands behind the variables, in bytes.
const BEHIND: usize = 32 + 8 + ENDS.len();

/// Whether servers can boot by UEFI here.
pub async fn is_here(files: &Uefi) -> bool {
    let files = files.clone();
    let look = move || files.code.is_file() && files.variables.is_file();
    tokio::task::spawn_blocking(look).await.unwrap_or(false)
}

/// Gives a server the variables of a new one of its image, unless it has some already.
///
/// # Errors
/// The file that cannot be read or written.
pub async fn provide(template: &Path, image: &Path, path: &Path) -> io::Result<()> {
    let (template, image, path) = (template.to_owned(), image.to_owned(), path.to_owned());
    let made = tokio::task::spawn_blocking(move || copy(&template, &image, &path)).await;
    made.unwrap_or_else(|error| Err(io::Error::other(error)))
}

fn copy(template: &Path, image: &Path, path: &Path) -> io::Result<()> {
    if path.try_exists()? {
        return Ok(());
    }
    let named = |file: &Path, error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", file.display()));
    let of_template = |error| named(template, error);
    let size = fs::metadata(template).map_err(of_template)?.len();
    if size > MOST {
        return Err(of_template(io::Error::other("too large for firmware's variables")));
    }
    match kept_in(image).map_err(|error| named(image, error))? {
        // QEMU takes none of another size than the firmware's.
        Some(kept) if kept.len() as u64 == size => return seed::replace(path, &kept),
        Some(kept) => {
            let (image, bytes) = (image.display(), kept.len());
            tracing::warn!(%image, bytes, size, "its UEFI variables do not fit this node's firmware, and are left out");
        }
        None => {}
    }
    seed::replace(path, &fs::read(template).map_err(of_template)?)
}

/// What is told if variables cannot be read or written on that node.
pub(crate) fn refusal(node: &str, error: &io::Error) -> Refusal {
    match error.kind() {
        io::ErrorKind::StorageFull => Refusal::DiskFull { node: node.to_owned(), detail: error.to_string() },
        _ => Refusal::Internal { detail: format!("the UEFI variables cannot be read or written: {error}") },
    }
}

/// Keeps a server's variables in a layer of its disk that was just frozen, if it has any. Again, it changes nothing. It
/// blocks.
///
/// # Errors
/// The variables cannot be read, or the layer not be written.
pub(crate) fn keep_in(layout: &Layout, uuid: &str, layer: &Path) -> io::Result<()> {
    match of(layout, uuid)? {
        Some(variables) if kept_in(layer)?.is_none() => append(layer, &variables),
        _ => Ok(()),
    }
}

/// The variables of a server, if it has any. It blocks.
///
/// # Errors
/// They cannot be read.
pub(crate) fn of(layout: &Layout, uuid: &str) -> io::Result<Option<Vec<u8>>> {
    match fs::read(layout.variables(uuid)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// Puts variables behind a disk that nobody writes to. It blocks.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn append(disk: &Path, variables: &[u8]) -> io::Result<()> {
    let (digest, length): ([u8; 32], [u8; 8]) =
        (Sha256::digest(variables).into(), (variables.len() as u64).to_le_bytes());
    let mut file = File::options().append(true).open(disk)?;
    file.write_all(&[variables, &digest[..], &length[..], &ENDS[..]].concat())?;
    file.sync_all()
}

/// The variables that a disk's file keeps. What a guest may have written so that it looks like some is its own as well.
fn kept_in(disk: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = File::open(disk)?;
    let Some(end) = file.metadata()?.len().checked_sub(BEHIND as u64) else { return Ok(None) };
    let (mut digest, mut length, mut ends) = ([0; 32], [0; 8], ENDS);
    file.read_exact_at(&mut digest, end)?;
    file.read_exact_at(&mut length, end + 32)?;
    file.read_exact_at(&mut ends, end + 40)?;
    let length = u64::from_le_bytes(length);
    let Some(begin) = end.checked_sub(length).filter(|_| ends == ENDS && length <= MOST) else { return Ok(None) };
    let mut variables = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut variables, begin)?;
    let is: [u8; 32] = Sha256::digest(&variables).into();
    Ok((is == digest).then_some(variables))
}

/// Gives a server that is off back the variables that a layer keeps. Where it keeps none, since an earlier agent froze
/// it, those that the server has stay. It blocks.
///
/// # Errors
/// The layer cannot be read, or the variables not be written.
pub(crate) fn put_back(layout: &Layout, uuid: &str, layer: &Path) -> io::Result<()> {
    let path = layout.variables(uuid);
    let size = match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata?.len(),
    };
    match kept_in(layer)? {
        // QEMU takes none of another size than the firmware's.
        Some(kept) if kept.len() as u64 == size => seed::replace(&path, &kept),
        _ => Ok(()),
    }
}

/// Lets the variables of one server become those of another, if it has any. It blocks.
///
/// # Errors
/// The file cannot be renamed.
pub(crate) fn hand_over(layout: &Layout, of: &str, uuid: &str) -> io::Result<()> {
    let (from, to) = (layout.variables(of), layout.variables(uuid));
    match fs::rename(&from, &to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        renamed => renamed?,
    }
    to.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use watari_testkit::TempDir;

    use super::*;

    #[tokio::test]
    async fn a_server_has_the_variables_of_a_new_one_until_it_has_its_own_and_they_follow_its_disk() {
        let folder = TempDir::new();
        let layout = Layout::new(&folder.path().join("data"), &folder.path().join("run"));
        layout.make().unwrap();
        let (template, mail, web) = (folder.path().join("vars.fd"), layout.variables("mail"), layout.variables("web"));
        let image = folder.path().join("image.qcow2");
        fs::write(&image, "a disk").unwrap();
        let files = Uefi { code: folder.path().join("code.fd"), variables: template.clone() };
        assert!(!is_here(&files).await && provide(&template, &image, &mail).await.is_err());
        fs::write(&template, "new").unwrap();
        assert!(!is_here(&files).await, "half of it");
        fs::write(&files.code, "code").unwrap();
        assert!(is_here(&files).await);
        provide(&template, &image, &mail).await.unwrap();
        assert_eq!(fs::read_to_string(&mail).unwrap(), "new");
        fs::write(&mail, "its own").unwrap();
        provide(&template, &image, &mail).await.unwrap();
        assert_eq!(fs::read_to_string(&mail).unwrap(), "its own");
        hand_over(&layout, "mail", "web").unwrap();
        // Again, since whoever does it may have been interrupted.
        hand_over(&layout, "mail", "web").unwrap();
        assert!(!mail.exists());
        assert_eq!(fs::read_to_string(&web).unwrap(), "its own");
    }

    #[tokio::test]
    async fn a_server_of_a_saved_image_begins_with_the_variables_behind_it_if_they_fit_the_firmware() {
        let folder = TempDir::new();
        let [template, image, mine] = ["vars.fd", "image.qcow2", "mine.fd"].map(|name| folder.path().join(name));
        fs::write(&template, "new").unwrap();
        for (saved, begins) in [("old", "old"), ("of another size", "new")] {
            fs::write(&image, "a disk").unwrap();
            append(&image, saved.as_bytes()).unwrap();
            provide(&template, &image, &mine).await.unwrap();
            assert_eq!(fs::read_to_string(&mine).unwrap(), begins);
            fs::remove_file(&mine).unwrap();
        }
        fs::remove_file(&image).unwrap();
        assert!(provide(&template, &image, &mine).await.is_err() && !mine.exists(), "nobody knows what it would keep");
    }

    #[test]
    fn a_layer_keeps_the_variables_of_its_moment_behind_the_disk_and_gives_them_back() {
        let folder = TempDir::new();
        let layout = Layout::new(&folder.path().join("data"), &folder.path().join("run"));
        layout.make().unwrap();
        let (variables, layer) = (layout.variables("mail"), layout.layer("mail", 0));
        fs::write(&layer, "a disk").unwrap();
        keep_in(&layout, "mail", &layer).unwrap();
        assert_eq!(fs::read(&layer).unwrap(), b"a disk", "a server without variables");
        fs::write(&variables, "then").unwrap();
        put_back(&layout, "mail", &layer).unwrap();
        assert_eq!(fs::read(&variables).unwrap(), b"then", "an earlier agent has kept none");

        // An agent that was killed left a part of them.
        fs::write(&layer, "a disk and th").unwrap();
        keep_in(&layout, "mail", &layer).unwrap();
        let kept = fs::read(&layer).unwrap();
        assert!(kept.starts_with(b"a disk and th") && kept.len() == 13 + 4 + BEHIND);
        fs::write(&variables, "late").unwrap();
        keep_in(&layout, "mail", &layer).unwrap();
        assert!(fs::read(&layer).unwrap() == kept, "they are those of the moment");
        put_back(&layout, "mail", &layer).unwrap();
        assert_eq!(fs::read(&variables).unwrap(), b"then");

        fs::write(&variables, "of another size").unwrap();
        put_back(&layout, "mail", &layer).unwrap();
        assert_eq!(fs::read(&variables).unwrap(), b"of another size");
        fs::remove_file(&variables).unwrap();
        put_back(&layout, "mail", &layer).unwrap();
        assert!(!variables.exists(), "it boots by BIOS");
        for spoilt in [&kept[..kept.len() - 1], &[&kept[..15], &b"!"[..], &kept[16..]].concat()[..]] {
            fs::write(&layer, spoilt).unwrap();
            assert_eq!(kept_in(&layer).unwrap(), None);
        }
    }
}
