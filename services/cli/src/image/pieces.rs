//! What requests tell of a file, and their bodies: a thread of its own reads ahead of what is sent.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
};

use bytes::Bytes;
use futures_util::stream;
use reqwest::Body;
use tokio::sync::{mpsc, watch};
use watari_chassis::sparse::{Extent, MIN_HOLE};
use watari_contracts::upload::Frame;

use super::import::CHUNK;

/// As many chunks are read ahead.
const AHEAD: usize = 4;

/// How far an attempt is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Far {
    /// Up to here the file has been sent or skipped.
    pub(super) at: u64,
    /// So much of it was sent.
    pub(super) sent: u64,
}

/// Zeros, and the bytes that follow them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) skip: u64,
    pub(super) length: u64,
}

impl Piece {
    /// What follows `at` in a file of `size` bytes with these data.
    pub(super) fn at(data: &[Extent], at: u64, size: u64) -> Self {
        let next = data.get(data.partition_point(|extent| extent.end() <= at));
        let (begin, end) = next.map_or((size, size), |extent| (extent.offset.max(at), extent.end()));
        let skip = begin.saturating_sub(at);
        // What is left of a hole may be too short for a request.
        if skip < MIN_HOLE {
            Self { skip: 0, length: end.saturating_sub(at) }
        } else {
            Self { skip, length: end - begin }
        }
    }
}

/// Bytes of the file in a body, and the frame before them if it is one of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    frame: Option<Frame>,
    offset: u64,
    length: u64,
}

impl Stretch {
    /// So many bytes from `offset` on, and nothing before them.
    pub(super) const fn plain(offset: u64, length: u64) -> Self {
        Self { frame: None, offset, length }
    }

    /// How much of the body it is.
    pub(super) fn size(&self) -> u64 {
        self.frame.map_or(0, |_| Frame::SIZE as u64) + self.length
    }
}

/// A file of `size` bytes with these data from `at` on, in frames.
pub(super) fn framed(data: &[Extent], mut at: u64, size: u64) -> Vec<Stretch> {
    let mut stretches = Vec::new();
    while at < size {
        let Piece { skip, length } = Piece::at(data, at, size);
        let frame = Frame { zeros: skip, length };
        stretches.push(Stretch { frame: Some(frame), offset: at + skip, length });
        at += skip + length;
    }
    stretches
}

/// The body that these are; `far` says how far they have been handed over.
pub(super) fn body(file: File, stretches: Vec<Stretch>, far: watch::Sender<Far>) -> Body {
    if stretches.iter().all(|stretch| stretch.size() == 0) {
        return Bytes::new().into();
    }
    let (to, chunks) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        if let Err(error) = read(file, &stretches, &far, &to) {
            // Nobody takes it any more if the request is over.
            let _ = to.blocking_send(Err(error));
        }
    });
    Body::wrap_stream(stream::unfold(chunks, |mut chunks| async move { Some((chunks.recv().await?, chunks)) }))
}

fn read(
    mut file: File,
    stretches: &[Stretch],
    far: &watch::Sender<Far>,
    to: &mpsc::Sender<io::Result<Bytes>>,
) -> io::Result<()> {
    for Stretch { frame, offset, length } in stretches {
        if let Some(frame) = frame
            && to.blocking_send(Ok(Bytes::copy_from_slice(&frame.to_bytes()))).is_err()
        {
            return Ok(());
        }
        file.seek(SeekFrom::Start(*offset))?;
        far.send_modify(|far| far.at = *offset);
        let mut left = *length;
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            // Not filled with zeros before it is read to.
            let mut chunk = Vec::with_capacity(want);
            if Read::by_ref(&mut file).take(want as u64).read_to_end(&mut chunk)? < want {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter"));
            }
            if to.blocking_send(Ok(chunk.into())).is_err() {
                return Ok(());
            }
            far.send_modify(|far| {
                far.at += want as u64;
                far.sent += want as u64;
            });
            left -= want as u64;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn extent(offset: u64, length: u64) -> Extent {
        Extent { offset: offset * MIB, length: length * MIB }
    }

    #[test]
    fn a_request_tells_of_a_hole_and_what_follows_it() {
        let data = [extent(2, 1), extent(5, 2)];
        let of = |at: u64| {
            let Piece { skip, length } = Piece::at(&data, at, 9 * MIB);
            (skip, length)
        };
        assert_eq!(of(0), (2 * MIB, MIB));
        assert_eq!(of(2 * MIB), (0, MIB));
        assert_eq!(of(3 * MIB - 1), (0, 1));
        assert_eq!(of(3 * MIB + 7), (2 * MIB - 7, 2 * MIB), "it may have broken within a hole");
        assert_eq!(of(4 * MIB + 1), (0, 3 * MIB - 1), "what is left of this one goes as bytes");
        assert_eq!(of(7 * MIB), (2 * MIB, 0));
        assert_eq!(of(9 * MIB - 1), (0, 1));
        assert_eq!(of(9 * MIB), (0, 0), "all has arrived, and nobody has said so");
        assert_eq!(Piece::at(&[], 0, MIB), Piece { skip: MIB, length: 0 });
        assert_eq!(Piece::at(&[], 0, MIB - 1), Piece { skip: 0, length: MIB - 1 });
    }

    #[test]
    fn frames_tell_of_everything_from_where_it_goes_on() {
        let data = [extent(2, 1), extent(5, 2)];
        let of = |at: u64| {
            let frames = framed(&data, at, 9 * MIB);
            let told = |stretch: &Stretch| {
                let Frame { zeros, length } = stretch.frame.unwrap();
                assert_eq!(length, stretch.length);
                (zeros, stretch.offset, length)
            };
            frames.iter().map(told).collect::<Vec<_>>()
        };
        let last = [(2 * MIB, 5 * MIB, 2 * MIB), (2 * MIB, 9 * MIB, 0)];
        assert_eq!(of(0), [&[(2 * MIB, 2 * MIB, MIB)][..], &last].concat());
        assert_eq!(of(3 * MIB - 1), [&[(0, 3 * MIB - 1, 1)][..], &last].concat());
        assert_eq!(of(8 * MIB + 1), [(0, 8 * MIB + 1, MIB - 1)]);
        assert!(of(9 * MIB).is_empty());
        assert_eq!(framed(&data, 0, 9 * MIB).iter().map(Stretch::size).sum::<u64>(), 3 * MIB + 3 * 16);
    }
}
