//! How fast pieces of layers go to another node: what the way there carries at least, before any server has taken it.

use std::{collections::BTreeMap, time::Duration};

use watari_model::node::Carried;

use crate::hypervisor::courier::PIECE;

/// Fewer pieces say more of a moment than of the way.
const TELLING: u64 = 2;
/// Of so many addresses it is kept.
const MOST: usize = 16;

/// Pieces of one layer.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    count: u64,
    took: Duration,
}

impl Pieces {
    /// Counts a piece that took so long and brought the layer from one byte to another. The first is left out, with
    /// which the connection was made, and so is what was there already.
    pub(super) fn add(&mut self, from: u64, to: u64, took: Duration) {
        if from > 0 && to.saturating_sub(from) == PIECE {
            self.count += 1;
            self.took = self.took.saturating_add(took);
        }
    }

    /// Bytes a second; none if too few went to tell.
    pub(super) fn rate(&self) -> Option<u64> {
        let micros = u64::try_from(self.took.as_micros()).unwrap_or(u64::MAX);
        let bytes = self.count.saturating_mul(PIECE);
        bytes.saturating_mul(1_000_000).checked_div(micros).filter(|_| self.count >= TELLING)
    }
}

/// Notes what was carried to an address, if that is news. What was seen the longest ago gives way.
pub(super) fn note(known: &mut BTreeMap<String, Carried>, address: &str, now: Carried) {
    if known.get(address).is_none_or(|told| now.is_news_after(told)) {
        known.insert(address.to_owned(), now);
    }
    if known.len() > MOST
        && let Some(oldest) = known.iter().min_by_key(|(_, carried)| carried.at).map(|(address, _)| address.clone())
    {
        known.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use watari_chassis::clock;

    use super::*;

    #[test]
    fn full_pieces_count_but_for_the_first() {
        let mut pieces = Pieces::default();
        let second = Duration::from_secs(1);
        pieces.add(0, PIECE, second * 9);
        pieces.add(PIECE, 5 * PIECE, second * 9);
        assert_eq!(pieces.rate(), None);
        pieces.add(PIECE, 2 * PIECE, second);
        assert_eq!(pieces.rate(), None, "one piece says little");
        pieces.add(2 * PIECE, 3 * PIECE, second * 3);
        assert_eq!(pieces.rate(), Some(PIECE / 2));
    }

    #[test]
    fn of_many_addresses_those_that_were_seen_last_are_kept() {
        let (mut known, first) = (BTreeMap::new(), clock::now());
        for n in 0..20_u64 {
            let carried = Carried { bytes_per_second: n, at: first.plus_millis(n) };
            note(&mut known, &format!("y{n:02}"), carried);
        }
        assert_eq!((known.len(), known.keys().next().map(String::as_str)), (MOST, Some("y04")));
    }
}
