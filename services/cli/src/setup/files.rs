//! Writing files so that a second run changes only what must change, and never halves one.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use crate::texts::faults::Fault;

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Its owner: a private key or seed.
    Owner,
    /// Everybody.
    All,
}

impl Readers {
    const fn mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::All => 0o644,
        }
    }
}

/// How many files were made, changed and left as they were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Written, because they were missing or different.
    pub written: usize,
    /// Left as they were.
    pub kept: usize,
}

/// A folder that becomes the root, or part of it, of a host.
#[derive(Debug)]
pub struct Overlay {
    root: PathBuf,
    /// What has been done.
    pub counts: Counts,
}

fn fault(path: &Path, error: &std::io::Error) -> Fault {
    Fault::File { path: path.display().to_string(), detail: error.to_string() }
}

impl Overlay {
    /// The folder at `root`, made when the first file is.
    #[must_use]
    pub fn at(root: PathBuf) -> Self {
        Self { root, counts: Counts::default() }
    }

    /// Where `path` is.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The file's text, if it is there.
    ///
    /// # Errors
    /// [`Fault::File`] if it is there and cannot be read.
    pub fn read(&self, path: &str) -> Result<Option<String>, Fault> {
        let path = self.path(path);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(fault(&path, &error)),
        }
    }

    /// Writes the file unless it has this text already. Its readers are set in either case.
    ///
    /// # Errors
    /// [`Fault::File`].
    pub fn put(&mut self, path: &str, readers: Readers, text: &str) -> Result<(), Fault> {
        let same = self.read(path)?.is_some_and(|old| old == text);
        let path = self.path(path);
        if same {
            self.counts.kept += 1;
            let mode = fs::Permissions::from_mode(readers.mode());
            return fs::set_permissions(&path, mode).map_err(|e| fault(&path, &e));
        }
        self.counts.written += 1;
        write(&path, readers, text).map_err(|e| fault(&path, &e))
    }

    /// The file's text; if it is missing it is written with what `make` gives.
    ///
    /// # Errors
    /// [`Fault::File`], or whatever `make` says.
    pub fn keep_or(
        &mut self,
        path: &str,
        readers: Readers,
        make: impl FnOnce() -> Result<String, Fault>,
    ) -> Result<String, Fault> {
        let text = match self.read(path)? {
            Some(text) => text,
            None => make()?,
        };
        self.put(path, readers, &text)?;
        Ok(text)
    }
}

/// Through a neighbour and a rename, so that a full disk leaves the old file whole. A secret is
/// never readable by others, not even for a moment.
fn write(path: &Path, readers: Readers, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(readers.mode()).open(&new)?;
    // The process's umask may have taken away what others are to have.
    file.set_permissions(fs::Permissions::from_mode(readers.mode()))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)
}
