//! UEFI: whether its firmware is on this node, and the variables that each server keeps which boots by it: what it
//! boots first, above all.
//!
//! The variables are a small file beside the server's disk, made as a copy of the package's own before the server's
//! first start, and again before the server arrives from another node: QEMU carries their contents with the memory, and
//! writes them into the file there. They go with the server, or with its disk if that is kept. No snapshot and no image
//! has them.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use crate::{layout::Layout, seed, settings::Uefi};

/// Larger than any firmware's variables, in bytes.
const MOST: u64 = 64 << 20;

/// Whether servers can boot by UEFI here.
pub async fn is_here(files: &Uefi) -> bool {
    let files = files.clone();
    let look = move || files.code.is_file() && files.variables.is_file();
    tokio::task::spawn_blocking(look).await.unwrap_or(false)
}

/// Gives a server the variables of a new one, unless it has some already.
///
/// # Errors
/// The file that cannot be read or written.
pub async fn provide(template: &Path, path: &Path) -> io::Result<()> {
    let (template, path) = (template.to_owned(), path.to_owned());
    let made = tokio::task::spawn_blocking(move || copy(&template, &path)).await;
    made.unwrap_or_else(|error| Err(io::Error::other(error)))
}

fn copy(template: &Path, path: &Path) -> io::Result<()> {
    if path.try_exists()? {
        return Ok(());
    }
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", template.display()));
    if fs::metadata(template).map_err(named)?.len() > MOST {
        return Err(named(io::Error::other("too large for firmware's variables")));
    }
    seed::replace(path, &fs::read(template).map_err(named)?)
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
        let files = Uefi { code: folder.path().join("code.fd"), variables: template.clone() };
        assert!(!is_here(&files).await && provide(&template, &mail).await.is_err());
        fs::write(&template, "new").unwrap();
        assert!(!is_here(&files).await, "half of it");
        fs::write(&files.code, "code").unwrap();
        assert!(is_here(&files).await);
        provide(&template, &mail).await.unwrap();
        assert_eq!(fs::read_to_string(&mail).unwrap(), "new");
        fs::write(&mail, "its own").unwrap();
        provide(&template, &mail).await.unwrap();
        assert_eq!(fs::read_to_string(&mail).unwrap(), "its own");
        hand_over(&layout, "mail", "web").unwrap();
        // Again, since whoever does it may have been interrupted.
        hand_over(&layout, "mail", "web").unwrap();
        assert!(!mail.exists());
        assert_eq!(fs::read_to_string(&web).unwrap(), "its own");
    }
}
