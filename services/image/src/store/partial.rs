//! A file that grows as its bytes arrive. Its length says how much has arrived, so that it can be
//! resumed by whoever opens it next.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{StoreError, sparse, with};

/// One growing file. There must be one writer at a time.
#[derive(Debug)]
pub struct Partial {
    path: PathBuf,
    file: fs::File,
    length: u64,
}

impl Partial {
    /// Opens the file or begins it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let mut options = fs::File::options();
        let options = options.read(true).write(true).create(true).truncate(false);
        let file = with("open", path, std::os::unix::fs::OpenOptionsExt::mode(options, 0o600).open(path))?;
        let length = with("measure", path, file.metadata())?.len();
        Ok(Self { path: path.to_owned(), file, length })
    }

    /// How many bytes have arrived at `path`; none if there is no file.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn length_at(path: &Path) -> Result<Option<u64>, StoreError> {
        match fs::metadata(path) {
            Ok(meta) => Ok(Some(meta.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => with("measure", path, Err(error)),
        }
    }

    /// How many bytes have arrived.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Adds bytes at the end; whole blocks of zeros become holes.
    ///
    /// # Errors
    /// [`StoreError`]; the length is then as before.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let end = self.length + bytes.len() as u64;
        let written = sparse::write(&self.file, self.length, bytes).and_then(|()| self.file.set_len(end));
        if written.is_err() {
            // What was written beyond the old length must not pass for data.
            let _ = self.file.set_len(self.length);
        }
        with("write", &self.path, written)?;
        self.length = end;
        Ok(())
    }

    /// Adds a hole up to `offset`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn skip_to(&mut self, offset: u64) -> Result<(), StoreError> {
        if offset > self.length {
            with("extend", &self.path, self.file.set_len(offset))?;
            self.length = offset;
        }
        Ok(())
    }

    /// Writes everything through to the disk.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn sync(&self) -> Result<(), StoreError> {
        with("write through", &self.path, self.file.sync_all())
    }
}

#[cfg(test)]
mod tests {
    use watari_testkit::TempDir;

    use super::*;

    #[test]
    fn it_is_resumed_where_it_was_left() {
        let dir = TempDir::new();
        let path = dir.path().join("p");
        assert_eq!(Partial::length_at(&path).unwrap(), None);
        let mut partial = Partial::open(&path).unwrap();
        partial.append(b"abc").unwrap();
        partial.append(&[0; 10_000]).unwrap();
        drop(partial);
        let mut partial = Partial::open(&path).unwrap();
        assert_eq!(partial.length(), 10_003);
        partial.skip_to(20_000).unwrap();
        partial.skip_to(5).unwrap();
        partial.append(b"end").unwrap();
        partial.sync().unwrap();
        let bytes = fs::read(&path).unwrap();
        assert_eq!((bytes.len(), &bytes[..3], &bytes[20_000..]), (20_003, &b"abc"[..], &b"end"[..]));
    }
}
