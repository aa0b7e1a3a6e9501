//! The digest of a file that grows, computed while its bytes come: nobody has to read them all once more at the end.

use crate::digest::Hasher;

/// As many zeros of holes are digested while a file grows: they cost their sender nothing, however many they are. What
/// comes after so many is left for the end, where nobody waits for an answer and the computing can be stopped.
const MOST_ZEROS: u64 = 1 << 30;
/// Zeros are digested in pieces of this size, which stays in a processor's cache.
const PIECE: usize = 64 << 10;

/// How far a file is digested, from its beginning on.
#[derive(Clone, Debug, Default)]
pub struct Prefix {
    pub(super) hasher: Hasher,
    /// Up to here.
    pub(super) at: u64,
    /// So much of that were holes.
    holes: u64,
    /// How long the file was when it was last looked at. One of another length is another file.
    pub(super) length: u64,
}

impl Prefix {
    /// Bytes are added to the file.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        let more = bytes.len() as u64;
        if self.at == self.length {
            self.hasher.update(bytes);
            self.at += more;
        }
        self.length += more;
    }

    /// Zeros are added to the file.
    pub(super) fn zeros(&mut self, count: u64) {
        let holes = self.holes.saturating_add(count);
        if self.at == self.length && holes <= MOST_ZEROS {
            self.holes = holes;
            let (zeros, mut left) = ([0; PIECE], count);
            while left > 0 {
                let some = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
                self.hasher.update(&zeros[..some]);
                left -= some as u64;
            }
            self.at += count;
        }
        self.length += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on_where_the_bytes_do_and_stays_before_a_hole_that_is_too_long() {
        // Many small ones come to as much as a large one.
        let mut holed = Prefix { holes: MOST_ZEROS - 2, ..Prefix::default() };
        for _ in 0..3 {
            holed.zeros(1);
            holed.bytes(b"x");
        }
        assert_eq!((holed.at, holed.length), (4, 6));
        assert_eq!(holed.hasher.finish(), crate::digest::of(b"\0x\0x"));
        let mut prefix = Prefix::default();
        prefix.bytes(b"abc");
        prefix.zeros(PIECE as u64 + 1);
        assert_eq!((prefix.at, prefix.length), (PIECE as u64 + 4, PIECE as u64 + 4));
        let known = [b"abc".to_vec(), vec![0; PIECE + 1]].concat();
        assert_eq!(prefix.hasher.clone().finish(), crate::digest::of(&known));
        prefix.zeros(MOST_ZEROS + 1);
        prefix.bytes(b"def");
        prefix.zeros(1);
        assert_eq!(prefix.at, PIECE as u64 + 4);
        assert_eq!(prefix.length, PIECE as u64 + 4 + MOST_ZEROS + 1 + 4);
        assert_eq!(prefix.hasher.finish(), crate::digest::of(&known));
    }
}
