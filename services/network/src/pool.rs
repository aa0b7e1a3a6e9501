//! The free addresses of one range, as bits: drawing one costs a few words' scan.
//!
//! Addresses are drawn in turn, beginning after the last one drawn, so that an address that was
//! given back rests for as long as the others last: neighbours' ARP caches and people's notes
//! still name its old owner.

use std::net::Ipv4Addr;

use watari_model::network::Range;

const WORD: u32 = u64::BITS;

/// Which addresses of a range are taken.
#[derive(Debug)]
pub(crate) struct Pool {
    range: Range,
    /// A set bit is a taken address; so are the bits of the last word beyond the range.
    words: Vec<u64>,
    size: u32,
    free: u32,
    /// Where the next search begins.
    next: u32,
}

impl Pool {
    /// All addresses of the range, free. A range of more than 2³² − 1 addresses cannot be written.
    pub(crate) fn new(range: Range) -> Self {
        let size = u32::try_from(range.size()).unwrap_or(u32::MAX);
        let mut words = vec![0; size.div_ceil(WORD) as usize];
        if let (Some(last), beyond @ 1..) = (words.last_mut(), size % WORD) {
            *last = !0 << beyond;
        }
        Self { range, words, size, free: size, next: 0 }
    }

    pub(crate) fn range(&self) -> Range {
        self.range
    }

    pub(crate) fn free(&self) -> u64 {
        self.free.into()
    }

    /// Takes the next free address.
    pub(crate) fn draw(&mut self) -> Option<Ipv4Addr> {
        if self.free == 0 {
            return None;
        }
        let offset = self.search(self.next, self.size).or_else(|| self.search(0, self.next))?;
        self.set(offset);
        self.next = (offset + 1) % self.size;
        Some(Ipv4Addr::from(u32::from(self.range.first) + offset))
    }

    /// Takes this address. False if it was taken, or is outside the range.
    pub(crate) fn take(&mut self, address: Ipv4Addr) -> bool {
        let Some(offset) = self.offset(address) else { return false };
        let free = !self.is_set(offset);
        if free {
            self.set(offset);
        }
        free
    }

    /// Gives an address back. Nothing happens if it was free or is outside the range.
    pub(crate) fn give_back(&mut self, address: Ipv4Addr) {
        if let Some(offset) = self.offset(address).filter(|o| self.is_set(*o)) {
            self.words[(offset / WORD) as usize] &= !(1 << (offset % WORD));
            self.free += 1;
        }
    }

    /// Lets the next search begin after this address, as if it had just been drawn.
    pub(crate) fn begin_after(&mut self, address: Ipv4Addr) {
        if let Some(offset) = self.offset(address) {
            self.next = (offset + 1) % self.size;
        }
    }

    fn offset(&self, address: Ipv4Addr) -> Option<u32> {
        self.range.contains(address).then(|| u32::from(address) - u32::from(self.range.first))
    }

    fn is_set(&self, offset: u32) -> bool {
        self.words[(offset / WORD) as usize] >> (offset % WORD) & 1 == 1
    }

    fn set(&mut self, offset: u32) {
        self.words[(offset / WORD) as usize] |= 1 << (offset % WORD);
        self.free -= 1;
    }

    /// The first free offset from `from`, and before `until`.
    fn search(&self, from: u32, until: u32) -> Option<u32> {
        let mut word = from / WORD;
        // The bits before `from` count as taken.
        let mut free = !*self.words.get(word as usize)? & (!0 << (from % WORD));
        loop {
            if free != 0 {
                return Some(word * WORD + free.trailing_zeros()).filter(|offset| *offset < until);
            }
            word += 1;
            if word * WORD >= until {
                return None;
            }
            free = !*self.words.get(word as usize)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn pool(size: u32) -> Pool {
        let first = Ipv4Addr::new(10, 0, 0, 1);
        Pool::new(Range { first, last: Ipv4Addr::from(u32::from(first) + size - 1) })
    }

    #[test]
    fn a_pool_gives_each_address_once_and_then_none() {
        for size in [1, 2, 63, 64, 65, 128, 1000] {
            let mut pool = pool(size);
            let drawn: BTreeSet<_> = std::iter::from_fn(|| pool.draw()).collect();
            assert_eq!((drawn.len() as u32, pool.free()), (size, 0));
            assert!(drawn.iter().all(|a| pool.range().contains(*a)));
        }
    }

    #[test]
    fn an_address_given_back_rests_until_the_others_are_used() {
        let mut pool = pool(5);
        let first = pool.draw().unwrap();
        pool.give_back(first);
        let later: Vec<_> = std::iter::from_fn(|| pool.draw()).collect();
        assert_eq!(later.last(), Some(&first));
        assert_eq!(later.len(), 5);
    }

    proptest! {
        #[test]
        fn a_pool_agrees_with_a_set(size in 1_u32..200, steps in prop::collection::vec((0_u8..3, 0_u32..210), 0..300)) {
            let mut pool = pool(size);
            let first = u32::from(pool.range().first);
            let mut taken = BTreeSet::new();
            for (step, offset) in steps {
                let address = Ipv4Addr::from(first + offset);
                match step {
                    0 => match pool.draw() {
                        Some(drawn) => prop_assert!(pool.range().contains(drawn) && taken.insert(drawn)),
                        None => prop_assert_eq!(taken.len() as u32, size),
                    },
                    1 => prop_assert_eq!(pool.take(address), offset < size && taken.insert(address)),
                    _ => {
                        pool.give_back(address);
                        taken.remove(&address);
                    }
                }
                prop_assert_eq!(pool.free(), u64::from(size) - taken.len() as u64);
            }
        }
    }
}
