//! A file that grows as its bytes arrive. Its length says how much has arrived, so that it can be
//! resumed by whoever opens it next.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Prefix, StoreError, sparse, with};

/// One growing file. There must be one writer at a time.
#[derive(Debug)]
pub struct Partial {
    path: PathBuf,
    file: Arc<fs::File>,
    length: u64,
    prefix: Option<Prefix>,
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
        Ok(Self { path: path.to_owned(), file: Arc::new(file), length, prefix: None })
    }

    /// The same, digested as it grows: from its beginning, or from where it was left if `known` is of this file.
    #[must_use]
    pub fn digested(mut self, known: Option<Prefix>) -> Self {
        let known = known.filter(|known| known.length == self.length);
        self.prefix = known.or_else(|| (self.length == 0).then(Prefix::default));
        self
    }

    /// How far it is digested, if it is digested as it grows.
    #[must_use]
    pub fn prefix(&self) -> Option<Prefix> {
        self.prefix.clone()
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
        if let Some(prefix) = &mut self.prefix {
            prefix.bytes(bytes);
        }
        Ok(())
    }

    /// Adds a hole up to `offset`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn skip_to(&mut self, offset: u64) -> Result<(), StoreError> {
        if offset > self.length {
            with("extend", &self.path, self.file.set_len(offset))?;
            if let Some(prefix) = &mut self.prefix {
                prefix.zeros(offset - self.length);
            }
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

    /// What writes the bytes that are in the file by then through to the disk, while others are added.
    pub fn flush(&self) -> impl FnOnce() -> Result<(), StoreError> + Send + 'static + use<> {
        let (path, file) = (self.path.clone(), Arc::clone(&self.file));
        move || with("write through", &path, file.sync_data())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use tokio_util::sync::CancellationToken;
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

    #[test]
    fn what_was_digested_while_it_came_is_not_read_again_and_what_is_of_another_file_does_not_count() {
        let dir = TempDir::new();
        let path = dir.path().join("p");
        let digest = |known| {
            let file = fs::File::open(&path).unwrap();
            sparse::digest(&file, known, &CancellationToken::new()).unwrap().unwrap()
        };
        let mut partial = Partial::open(&path).unwrap().digested(None);
        partial.append(b"abc").unwrap();
        partial.skip_to(2 << 20).unwrap();
        let known = partial.prefix();
        assert!(Partial::open(&path).unwrap().digested(None).prefix().is_none(), "nobody knows its beginning");
        let mut partial = Partial::open(&path).unwrap().digested(known.clone());
        // Nobody changes what has come; so it shows that it is not read again.
        fs::File::options().write(true).open(&path).unwrap().write_all_at(b"x", 0).unwrap();
        let mut bytes = vec![0; 2 << 20];
        bytes[..3].copy_from_slice(b"abc");
        assert_eq!(digest(partial.prefix().unwrap()), crate::digest::of(&bytes));
        partial.append(b"end").unwrap();
        bytes.extend(b"end");
        assert_eq!(digest(partial.prefix().unwrap()), crate::digest::of(&bytes));
        partial.flush()().unwrap();
        // One of an earlier moment is of a file of another length, and nothing is believed of it.
        bytes[0] = b'x';
        assert_eq!(digest(known.clone().unwrap()), crate::digest::of(&bytes));
        assert!(Partial::open(&path).unwrap().digested(known).prefix().is_none());
    }
}
