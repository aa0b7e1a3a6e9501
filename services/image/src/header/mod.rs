//! What a file is, by its own first bytes: a bounded parser that trusts nothing.
//!
//! Programs that probe are the classic hole: plain `qemu-img` opens whatever a header names, and so
//! hands out `/etc/passwd`. Here a file is one of two formats on a short list, or it is refused,
//! before any program of QEMU's has seen it; afterwards the format is always named explicitly.
//!
//! Reading is bounded: at most [`HEAD`] bytes at the front and two small pieces elsewhere,
//! whatever the file says of itself.

mod foreign;
mod qcow2;
#[cfg(test)]
mod tests;

use std::io;

use watari_model::image::Format;

/// As much of the front of a file as is ever looked at. Header extensions that reach further are
/// refused; QEMU writes a few hundred bytes of them.
pub const HEAD: usize = 64 << 10;

/// Something that can be read at any place, such as a file.
pub trait Source {
    /// Reads up to `buffer.len()` bytes from `offset` on; fewer only at the end.
    ///
    /// # Errors
    /// Those of the file.
    fn read_from(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

impl Source for std::fs::File {
    fn read_from(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        use std::os::unix::fs::FileExt;
        let mut got = 0;
        while got < buffer.len() {
            match self.read_at(&mut buffer[got..], offset + got as u64) {
                Ok(0) => break,
                Ok(n) => got += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(got)
    }
}

impl Source for [u8] {
    fn read_from(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|o| self.get(o..)).unwrap_or_default();
        let n = rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }
}

/// What a sound header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The format.
    pub format: Format,
    /// The size of the disk it describes, in bytes, at least one sector.
    pub virtual_size_bytes: u64,
}

/// Why a file is refused. The texts are the detail that the operator reads.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// There is nothing in it.
    #[error("the file is empty")]
    Empty,
    /// It stands on another file.
    #[error("it is a qcow2 that stands on a backing file; flatten it first: qemu-img convert -O qcow2 OLD NEW")]
    BackingFile,
    /// Its data are elsewhere.
    #[error("it is a qcow2 whose data lie in an external file; unite them first: qemu-img convert -O qcow2 OLD NEW")]
    ExternalData,
    /// It is encrypted.
    #[error("it is encrypted ({0}); decrypt it first, since nobody could start it unattended")]
    Encrypted(&'static str),
    /// It was not closed.
    #[error("it is a qcow2 that was not closed properly; repair it first: qemu-img check -r all FILE")]
    Dirty,
    /// It is marked corrupt.
    #[error("it is a qcow2 that QEMU has marked corrupt")]
    Corrupt,
    /// It needs features that are not on the list.
    #[error("it is a qcow2 with unknown incompatible features ({0:#x})")]
    UnknownFeatures(u64),
    /// A version that is not on the list.
    #[error("it is a qcow of version {0}; versions 2 and 3 are taken")]
    Version(u32),
    /// A field makes no sense.
    #[error("its header makes no sense: {field} is {value}")]
    Absurd {
        /// Which.
        field: &'static str,
        /// What it is.
        value: u64,
    },
    /// It describes a disk that is larger than allowed.
    #[error("the disk it describes has {size} bytes, more than the {limit} that are allowed")]
    TooLarge {
        /// Bytes.
        size: u64,
        /// Bytes.
        limit: u64,
    },
    /// It ends before something that its header points to.
    #[error("it is truncated: {0} lies beyond its end")]
    Truncated(&'static str),
    /// Another disk format.
    #[error("it is {0}, which is not taken yet; convert it first: qemu-img convert -O qcow2 OLD NEW")]
    Foreign(&'static str),
    /// A compressed file or an archive.
    #[error("it is {0}; unpack it first")]
    Packed(&'static str),
    /// Not a disk.
    #[error("it is {0}, not the disk of an installed system")]
    NotADisk(&'static str),
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
}

/// Says what a file of `size` bytes is, or why it is refused. `max_virtual_bytes` bounds the disk
/// that it may describe.
///
/// # Errors
/// [`Fault`]; [`Fault::Unreadable`] is the disk's, every other one the file's.
pub fn inspect(source: &(impl Source + ?Sized), size: u64, max_virtual_bytes: u64) -> Result<Found, Fault> {
    if size == 0 {
        return Err(Fault::Empty);
    }
    let mut head = vec![0; HEAD.min(usize::try_from(size).unwrap_or(HEAD))];
    let got = source.read_from(0, &mut head)?;
    head.truncate(got);
    let found = if head.starts_with(qcow2::MAGIC) {
        Found { format: Format::Qcow2, virtual_size_bytes: qcow2::virtual_size(&head, size)? }
    } else {
        foreign::refuse(source, &head, size)?;
        // The hypervisor shows whole sectors.
        Found { format: Format::Raw, virtual_size_bytes: size.next_multiple_of(512) }
    };
    if found.virtual_size_bytes > max_virtual_bytes {
        return Err(Fault::TooLarge { size: found.virtual_size_bytes, limit: max_virtual_bytes });
    }
    Ok(found)
}
