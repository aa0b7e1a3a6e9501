//! A large, mostly empty file told by its pieces: how the fuzzing corpus keeps disk images in some
//! hundred bytes. Any bytes at all are such a file.
//!
//! ```text
//! size: u64   then repeatedly   offset: u64   length: u16   bytes      (little-endian)
//! ```

use std::io;

use super::{Fault, Found, Source, inspect};

/// The largest disk that the fuzzer lets pass, in bytes.
const MOST: u64 = 1 << 40;

/// A file by its pieces; everywhere else it reads as zeros.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pieces {
    /// The file's size in bytes.
    pub size: u64,
    pieces: Vec<(u64, Vec<u8>)>,
}

impl Pieces {
    /// Reads the form above; what is cut off at the end is as long as it is.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let (size, mut rest) = number(bytes, 8);
        let mut file = Self { size, pieces: Vec::new() };
        while rest.len() >= 8 {
            let (offset, after) = number(rest, 8);
            let (length, after) = number(after, 2);
            let (piece, after) = after.split_at(usize::try_from(length).unwrap_or(0).min(after.len()));
            file.pieces.push((offset, piece.to_vec()));
            rest = after;
        }
        file
    }

    /// The pieces of a file that are not zero.
    ///
    /// # Errors
    /// Those of the file.
    pub fn of(source: &(impl Source + ?Sized), size: u64) -> io::Result<Self> {
        const BLOCK: usize = 512;
        let mut file = Self { size, pieces: Vec::new() };
        let (mut offset, mut block) = (0, [0; BLOCK]);
        while offset < size {
            let got = source.read_from(offset, &mut block)?;
            let kept = block[..got].iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
            if kept > 0 {
                file.pieces.push((offset, block[..kept].to_vec()));
            }
            offset += BLOCK as u64;
        }
        Ok(file)
    }

    /// The form above.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.size.to_le_bytes().to_vec();
        for (offset, piece) in &self.pieces {
            let length = u16::try_from(piece.len()).unwrap_or(u16::MAX);
            bytes.extend(offset.to_le_bytes());
            bytes.extend(length.to_le_bytes());
            bytes.extend(&piece[..usize::from(length)]);
        }
        bytes
    }
}

/// What the fuzzer does with any bytes, and the tests with its corpus: the file that they tell gets a verdict.
///
/// # Errors
/// Those of [`inspect`].
///
/// # Panics
/// If a disk passes that has no sectors or is beyond the limit.
pub fn judged(bytes: &[u8]) -> Result<Found, Fault> {
    let file = Pieces::parse(bytes);
    let found = inspect(&file, file.size, MOST)?;
    assert!(found.virtual_size_bytes > 0 && found.virtual_size_bytes <= MOST, "{found:?}");
    Ok(found)
}

/// A little-endian number of so many bytes (of those that are there), and what follows it.
fn number(bytes: &[u8], width: usize) -> (u64, &[u8]) {
    let (taken, rest) = bytes.split_at(width.min(bytes.len()));
    let mut wide = [0; 8];
    wide[..taken.len()].copy_from_slice(taken);
    (u64::from_le_bytes(wide), rest)
}

impl Source for Pieces {
    fn read_from(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let there = self.size.saturating_sub(offset).min(buffer.len() as u64);
        let buffer = &mut buffer[..usize::try_from(there).unwrap_or(0)];
        buffer.fill(0);
        for (begin, piece) in &self.pieces {
            for (n, byte) in piece.iter().enumerate() {
                let place = begin.checked_add(n as u64).and_then(|at| at.checked_sub(offset));
                if let Some(byte_there) = place.and_then(|at| buffer.get_mut(usize::try_from(at).ok()?)) {
                    *byte_there = *byte;
                }
            }
        }
        Ok(buffer.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_file_survives_being_told_by_its_pieces() {
        let mut file = vec![0; 5000];
        file[3..6].copy_from_slice(b"abc");
        file[4999] = 7;
        let pieces = Pieces::of(&file[..], 5000).unwrap();
        assert_eq!(Pieces::parse(&pieces.to_bytes()), pieces);
        let mut read = vec![9; 6000];
        assert_eq!(pieces.read_from(0, &mut read).unwrap(), 5000);
        assert!(read[..5000] == file);
        assert_eq!(pieces.read_from(4, &mut read[..1]).unwrap(), 1);
        assert_eq!(read[0], b'b');
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_file(bytes in prop::collection::vec(any::<u8>(), 0..300), offset in any::<u64>()) {
            let file = Pieces::parse(&bytes);
            let mut buffer = [0; 100];
            prop_assert!(file.read_from(offset, &mut buffer).unwrap() as u64 <= file.size);
        }
    }
}
