//! Unpacking: streamed, sparse, and bounded in bytes, in memory and in the room that it may take.
//! The decoders are written in safe Rust, and what they give is looked at like any other file.

mod frames;

use std::{
    fs::File,
    io::{self, BufReader, Read},
    os::unix::fs::FileExt,
};

use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::errors::FrameDecoderError;
use tokio_util::sync::CancellationToken;

use crate::{
    header::Packing,
    store::{Partial, Store, StoreError},
};

/// As much as is unpacked at a time.
const PIECE: usize = 1 << 20;

/// What unpacking may take.
pub(super) struct Bounds {
    /// Bytes that may come out.
    pub(super) most_bytes: u64,
    /// Memory of the decoder.
    pub(super) memory_mib: u64,
    /// Room that stays free.
    pub(super) reserve_bytes: u64,
}

/// Why a file was not unpacked.
#[derive(Debug)]
pub(super) enum Fault {
    /// It ends too early.
    Truncated,
    /// The decoder does not understand it.
    Corrupt(String),
    /// More comes out than may.
    Bomb,
    /// It wants more memory than it may have.
    Memory,
    /// The folder has no room for it.
    NoRoom,
    /// The folder.
    Store(StoreError),
    /// The process is to stop.
    Interrupted,
}

/// Unpacks `source` to the end of `target`. It blocks.
pub(super) fn unpack(
    packing: Packing,
    source: File,
    target: &mut Partial,
    store: &Store,
    bounds: &Bounds,
    stop: &CancellationToken,
) -> Result<(), Fault> {
    let source = BufReader::with_capacity(PIECE, Counted { source, at: 0, ended: false });
    let mut decoder: Box<dyn Decoder> = match packing {
        Packing::Gzip => Box::new(MultiGzDecoder::new(source)),
        Packing::Xz => {
            let memory_kib = u32::try_from(bounds.memory_mib << 10).unwrap_or(u32::MAX - 1);
            Box::new(XzReader::new_mem_limit(source, true, memory_kib))
        }
        Packing::Zstd => Box::new(frames::Frames::new(source, bounds.memory_mib << 20)),
    };
    let mut piece = vec![0; PIECE];
    loop {
        if stop.is_cancelled() {
            return Err(Fault::Interrupted);
        }
        let got = full(&mut *decoder, &mut piece)?;
        if got == 0 {
            return Ok(());
        }
        if target.length() + got as u64 > bounds.most_bytes {
            return Err(Fault::Bomb);
        }
        if store.free_bytes().map_err(Fault::Store)? < bounds.reserve_bytes + PIECE as u64 {
            return Err(Fault::NoRoom);
        }
        target.append(&piece[..got]).map_err(|e| if e.is_full() { Fault::NoRoom } else { Fault::Store(e) })?;
    }
}

/// Fills the piece as far as the decoder goes.
fn full(decoder: &mut dyn Decoder, piece: &mut [u8]) -> Result<usize, Fault> {
    let mut got = 0;
    while got < piece.len() {
        match decoder.read(&mut piece[got..]) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::OutOfMemory => return Err(Fault::Memory),
            Err(error) if wants_memory(&error) => return Err(Fault::Memory),
            // It wanted more than there was.
            Err(_) if decoder.at_end() => return Err(Fault::Truncated),
            Err(error) => return Err(Fault::Corrupt(error.to_string().chars().take(200).collect())),
        }
    }
    Ok(got)
}

fn wants_memory(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<FrameDecoderError>());
    matches!(inner, Some(FrameDecoderError::WindowSizeTooBig { .. }))
}

/// A reader that knows whether all of its source has been taken.
trait Decoder: Read {
    fn at_end(&self) -> bool;
}

/// A source that remembers whether its end was asked for. It keeps its own place: others who look for holes in the same open
/// file move the one that they share.
struct Counted {
    source: File,
    at: u64,
    ended: bool,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.source.read_at(buffer, self.at)?;
        self.at += got as u64;
        self.ended |= got == 0;
        Ok(got)
    }
}

type Source = BufReader<Counted>;

impl Decoder for MultiGzDecoder<Source> {
    fn at_end(&self) -> bool {
        self.get_ref().get_ref().ended
    }
}

impl Decoder for XzReader<Source> {
    fn at_end(&self) -> bool {
        self.inner().get_ref().ended
    }
}
