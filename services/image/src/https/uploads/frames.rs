//! Taking bodies of frames apart, in whatever pieces they come.

use axum::body::Bytes;
use watari_contracts::upload::Frame;

/// What the next part of a body adds to the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// So many zeros.
    Zeros(u64),
    /// These bytes.
    Bytes(Bytes),
}

/// How far a body of frames has been read.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// What has come of the next frame's beginning.
    head: Vec<u8>,
    /// How many bytes of this one are still to come.
    left: u64,
}

impl Frames {
    /// Takes the next part off the beginning of `piece`; none once that is read to its end.
    pub(super) fn next(&mut self, piece: &mut Bytes) -> Option<Part> {
        while !piece.is_empty() {
            if self.left > 0 {
                let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(piece.len());
                self.left -= length as u64;
                return Some(Part::Bytes(piece.split_to(length)));
            }
            let missing = (Frame::SIZE - self.head.len()).min(piece.len());
            self.head.extend_from_slice(&piece.split_to(missing));
            let Ok(head) = <[u8; Frame::SIZE]>::try_from(self.head.as_slice()) else { continue };
            self.head.clear();
            let Frame { zeros, length } = Frame::from_bytes(head);
            self.left = length;
            if zeros > 0 {
                return Some(Part::Zeros(zeros));
            }
        }
        None
    }

    /// Whether a body may end here.
    pub(super) fn is_whole(&self) -> bool {
        self.head.is_empty() && self.left == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of a body in pieces of this size: zeros and the bytes after them, each, and whether it was whole.
    fn parts(body: &[u8], size: usize) -> (Vec<(u64, Vec<u8>)>, bool) {
        let (mut frames, mut parts) = (Frames::default(), vec![(0, Vec::new())]);
        for piece in body.chunks(size) {
            let mut piece = Bytes::copy_from_slice(piece);
            while let Some(part) = frames.next(&mut piece) {
                match part {
                    Part::Zeros(count) => parts.push((count, Vec::new())),
                    Part::Bytes(bytes) => parts.last_mut().unwrap().1.extend_from_slice(&bytes),
                }
            }
        }
        (parts, frames.is_whole())
    }

    #[test]
    fn frames_are_read_in_whatever_pieces_they_come() {
        let frame = |zeros, length| Frame { zeros, length }.to_bytes().to_vec();
        let body = [frame(0, 3), b"abc".to_vec(), frame(9, 0), frame(0, 0), frame(1 << 40, 2), b"de".to_vec()].concat();
        let wanted = vec![(0, b"abc".to_vec()), (9, Vec::new()), (1 << 40, b"de".to_vec())];
        for size in 1..=body.len() {
            assert_eq!(parts(&body, size), (wanted.clone(), true), "{size}");
        }
        for end in [1, 15, 16, 18, body.len() - 1] {
            assert!(!parts(&body[..end], 7).1, "{end}");
        }
        assert_eq!(parts(&[], 1), (vec![(0, Vec::new())], true));
        let endless = parts(&frame(u64::MAX, u64::MAX), 16);
        assert_eq!(endless, (vec![(0, Vec::new()), (u64::MAX, Vec::new())], false));
    }
}
