//! What a file is, by its own first bytes: a bounded parser that trusts nothing.
//!
//! Programs that probe are the classic hole: plain `qemu-img` opens whatever a header names, and so
//! hands out `/etc/passwd`. Here a file is one of the formats on a short list, or it is refused,
//! before any program of QEMU's has seen it; afterwards the format is always named explicitly.
//!
//! Reading is bounded: at most [`HEAD`] bytes at the front and [`ELSEWHERE`] in some small pieces,
//! whatever the file says of itself. The module needs nothing of the service, so that the fuzzer
//! can be built from it and the model, which reads qcow2 headers for nodes too (`services/image/fuzz`).

mod foreign;
mod names;
pub mod packing;
pub mod pieces;
mod qcow2;
#[cfg(test)]
mod tests;
mod vdi;
mod vhdx;
mod vmdk;

use std::io;

pub use packing::Packing;
use watari_model::qcow2::{HEAD, MAGIC as QCOW2};

/// As much as is ever read elsewhere, all pieces together.
pub const ELSEWHERE: usize = 32 << 10;

/// Bytes of a sector, of which a raw disk has a whole number.
const SECTOR: u64 = 512;

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

/// The formats that are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// QEMU's copy-on-write format, version 2 or 3.
    Qcow2,
    /// Plain sectors.
    Raw,
    /// VMware's, whole in one file.
    Vmdk,
    /// Hyper-V's.
    Vhdx,
    /// VirtualBox's.
    Vdi,
}

impl Kind {
    /// QEMU's name for it.
    #[must_use]
    pub const fn driver(self) -> &'static str {
        match self {
            Self::Qcow2 => "qcow2",
            Self::Raw => "raw",
            Self::Vmdk => "vmdk",
            Self::Vhdx => "vhdx",
            Self::Vdi => "vdi",
        }
    }
}

/// What a sound header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The format.
    pub kind: Kind,
    /// The size of the disk it describes, in bytes, at least one sector.
    pub virtual_size_bytes: u64,
}

/// Why a file is refused. The texts are for the log; operators read the refusals made from them.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// There is nothing in it.
    #[error("the file is empty")]
    Empty,
    /// It stands on another file: the format, and what that file is called.
    #[error("it is a {0} that stands on a backing file, {1}")]
    BackingFile(&'static str, String),
    /// Its data are elsewhere.
    #[error("it is a qcow2 whose data lie in an external file")]
    ExternalData,
    /// It is a VMDK that is not whole in one file.
    #[error("it is a VMDK that names {0}")]
    ForeignExtent(String),
    /// It names something that QEMU would read as a protocol.
    #[error("it names {0}, which is a protocol of QEMU's")]
    Protocol(String),
    /// It is encrypted.
    #[error("it is encrypted ({0})")]
    Encrypted(&'static str),
    /// It was not closed.
    #[error("it was not closed properly")]
    NotClosed,
    /// It is marked corrupt.
    #[error("QEMU has marked it corrupt")]
    Corrupt,
    /// It needs features that are not on the list.
    #[error("it has unknown incompatible features ({0:#x})")]
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
    #[error("it is {0}, which is not taken")]
    Foreign(&'static str),
    /// It is compressed in a way that is taken: what is inside is to be judged.
    #[error("it is compressed with {}", .0.word())]
    Packed(Packing),
    /// An archive, or compressed in another way.
    #[error("it is {0}")]
    Archive(&'static str),
    /// Not a disk.
    #[error("it is {0}, not the disk of an installed system")]
    NotADisk(&'static str),
    /// It has no known format, nor whole sectors: its bytes.
    #[error("it has no disk's format and {0} bytes, no multiple of 512")]
    NotSectors(u64),
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
    let head = read(source, 0, HEAD.min(usize::try_from(size).unwrap_or(HEAD)))?;
    let kind = kind(source, &head, size)?;
    let virtual_size_bytes = match kind {
        Kind::Qcow2 => qcow2::virtual_size(&head, size)?,
        Kind::Vmdk => vmdk::virtual_size(source, &head, size)?,
        Kind::Vhdx => vhdx::virtual_size(source, size)?,
        Kind::Vdi => vdi::virtual_size(&head, size)?,
        // QEMU would fill up the last sector without a word, and take any file for a disk.
        Kind::Raw if !size.is_multiple_of(SECTOR) => return Err(Fault::NotSectors(size)),
        Kind::Raw => size,
    };
    if virtual_size_bytes > max_virtual_bytes {
        return Err(Fault::TooLarge { size: virtual_size_bytes, limit: max_virtual_bytes });
    }
    Ok(Found { kind, virtual_size_bytes })
}

/// Whether what a sound header leads to lies within a file of `size` bytes, as far as QEMU would not
/// notice it itself. It reads more than [`inspect`], but a few MiB at most.
///
/// # Errors
/// [`Fault::Truncated`], [`Fault::Unreadable`].
pub fn whole(source: &(impl Source + ?Sized), found: Found, size: u64) -> Result<(), Fault> {
    match found.kind {
        Kind::Vhdx => vhdx::whole(source, size),
        // A VDI says how many blocks it has, and qemu-img checks the others' tables.
        Kind::Vdi | Kind::Vmdk | Kind::Qcow2 | Kind::Raw => Ok(()),
    }
}

/// Which of the formats it is. Raw is what is left over.
fn kind(source: &(impl Source + ?Sized), head: &[u8], size: u64) -> Result<Kind, Fault> {
    if let Some(packing) = Packing::of(head) {
        return Err(Fault::Packed(packing));
    }
    if head.starts_with(vmdk::DESCRIPTOR) {
        return Err(vmdk::descriptor(head));
    }
    let signed = |offset: usize, signature: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(signature));
    Ok(match () {
        () if signed(0, &QCOW2) => Kind::Qcow2,
        () if signed(0, vmdk::MAGIC) => Kind::Vmdk,
        () if signed(0, vhdx::MAGIC) => Kind::Vhdx,
        () if signed(64, vdi::SIGNATURE) => Kind::Vdi,
        () => {
            foreign::refuse(source, head, size)?;
            Kind::Raw
        }
    })
}

/// Up to `length` bytes from `offset` on; fewer at the end.
fn read(source: &(impl Source + ?Sized), offset: u64, length: usize) -> Result<Vec<u8>, Fault> {
    let mut bytes = vec![0; length];
    let got = source.read_from(offset, &mut bytes)?;
    bytes.truncate(got);
    Ok(bytes)
}
