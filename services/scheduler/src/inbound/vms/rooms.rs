//! What is free, for those who make servers. They are told what it looks like, and the loop decides: so it may be a
//! moment old. To add it up anew for each of many takes the longer the more servers there are.

use std::sync::{Arc, Mutex, PoisonError};

use watari_chassis::clock;

use super::Desk;
use crate::core::Rooms;

/// Of fewer servers it is added up each time: that costs nothing, and is exact.
const FEW: usize = 1_000;
/// A hundred servers are a millisecond of age: adding up a hundred takes a tenth of that.
const SERVERS_A_MILLISECOND: usize = 100;

/// What was free lately.
#[derive(Default)]
pub(in crate::inbound) struct Lately(Mutex<Option<Known>>);

struct Known {
    rooms: Arc<Rooms>,
    /// On the boot clock in milliseconds.
    until: u64,
}

impl Lately {
    /// What is free, added up by `add` unless that was done not long ago. Who comes meanwhile waits for it.
    fn get(&self, servers: usize, now: u64, add: impl FnOnce() -> Rooms) -> Arc<Rooms> {
        if servers < FEW {
            return Arc::new(add());
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_ref().filter(|known| now < known.until) {
            return Arc::clone(&known.rooms);
        }
        let rooms = Arc::new(add());
        *known = Some(Known { rooms: Arc::clone(&rooms), until: now + (servers / SERVERS_A_MILLISECOND) as u64 });
        rooms
    }
}

impl Desk {
    /// What is free on every node, at the most as old as said above.
    pub(super) fn rooms(&self) -> Arc<Rooms> {
        let servers = self.stores().vms.snapshot().len();
        self.lately.get(servers, clock::boot_millis(), || Rooms::of(&self.executor.view(), &self.rules))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn of_few_servers_it_is_exact_and_of_many_it_is_a_moment_old_at_the_most() {
        let (lately, added) = (Lately::default(), Cell::new(0));
        let get = |servers, now| {
            lately.get(servers, now, || {
                added.set(added.get() + 1);
                Rooms::default()
            });
            added.get()
        };
        assert_eq!((get(FEW - 1, 0), get(FEW - 1, 0)), (1, 2));
        assert_eq!((get(10_000, 0), get(10_000, 99), get(10_000, 100)), (3, 3, 4));
    }
}
