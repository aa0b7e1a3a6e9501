//! The last of what a console said. Pure.

use std::collections::VecDeque;

/// So much is kept, in bytes, for who asks again and for who is slow. What is older is lost to them, and never in the
/// guest's way.
const KEPT: usize = 64 << 10;

/// The end of a stream of bytes, each with its position.
#[derive(Default)]
pub(super) struct Tail {
    bytes: VecDeque<u8>,
    end: u64,
}

impl Tail {
    /// Takes what comes next.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.end = self.end.saturating_add(length(bytes.len()));
        self.bytes.extend(bytes);
        let surplus = self.bytes.len().saturating_sub(KEPT);
        self.bytes.drain(..surplus);
    }

    /// How many bytes there were in all.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// What comes after so many bytes, at most `most`; and where that begins, which is later if it is not kept.
    pub(super) fn after(&self, from: u64, most: usize) -> (u64, Vec<u8>) {
        let begin = self.end.saturating_sub(length(self.bytes.len()));
        let from = from.max(begin).min(self.end);
        let skipped = usize::try_from(from - begin).unwrap_or(usize::MAX);
        (from, self.bytes.iter().skip(skipped).take(most).copied().collect())
    }
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_told_again_to_who_asks_again() {
        let mut tail = Tail::default();
        tail.push(b"log");
        tail.push(b"in: ");
        for _ in 0..2 {
            assert_eq!(tail.after(3, 100), (3, b"in: ".to_vec()));
        }
        assert_eq!(tail.after(0, 3), (0, b"log".to_vec()));
        assert_eq!(tail.after(7, 100), (7, Vec::new()));
        assert_eq!(tail.after(900, 100), (7, Vec::new()), "nobody has seen more than there was");
    }

    #[test]
    fn who_is_slow_loses_the_oldest_and_learns_how_much() {
        let mut tail = Tail::default();
        for _ in 0..3 {
            tail.push(&[b'x'; KEPT]);
            tail.push(b"y");
        }
        let all = 3 * (length(KEPT) + 1);
        assert_eq!((tail.end(), tail.bytes.len()), (all, KEPT));
        let (from, shown) = tail.after(5, 10);
        assert_eq!((from, shown), (all - length(KEPT), vec![b'x'; 10]));
        assert_eq!(tail.after(all - 1, 10), (all - 1, b"y".to_vec()));
    }
}
