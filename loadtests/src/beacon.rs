//! The guest's beacon: `{"host","boot_id","n","disk","uptime_ms","memory_mib"}` every 25 ms from two seconds after somebody
//! has begun to listen, `n` counting from the boot, `disk` the count that its disk had before the last time it was
//! written there.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use serde::Deserialize;

/// One datagram.
#[derive(Clone, Debug)]
pub(crate) struct Beacon {
    told: Told,
    at: Instant,
}

#[derive(Clone, Debug, Deserialize)]
struct Told {
    host: String,
    boot_id: String,
    n: u64,
    disk: u64,
    uptime_ms: u64,
}

impl Beacon {
    /// Reads a datagram; anything else than a beacon is nothing.
    pub(crate) fn read(datagram: &[u8], at: Instant) -> Option<Self> {
        serde_json::from_slice(datagram).ok().map(|told| Self { told, at })
    }
}

/// What has been heard of one server.
#[derive(Debug, Default)]
pub(crate) struct Beacons {
    boot_id: Option<String>,
    other_boots: u64,
    /// What each count said: two copies of one server say the same count at different uptimes.
    told: HashMap<u64, u64>,
    twice: u64,
    unwritten: u64,
    last: Option<Instant>,
}

/// The count goes to the disk every tenth time, and what the disk had before is told from then on.
const MOST_AHEAD_OF_DISK: u64 = 20;
/// A server that has not been heard for so long is silent.
const SILENCE: Duration = Duration::from_millis(500);

impl Beacons {
    /// Takes in what was heard.
    pub(crate) fn take(&mut self, heard: Vec<Beacon>, host: &str) {
        for Beacon { told, at } in heard {
            if told.host != host {
                continue;
            }
            self.last = Some(self.last.map_or(at, |last| last.max(at)));
            if self.boot_id.get_or_insert_with(|| told.boot_id.clone()) != &told.boot_id {
                self.other_boots += 1;
                continue;
            }
            self.unwritten += u64::from(told.n.saturating_sub(told.disk) >= MOST_AHEAD_OF_DISK);
            if self.told.insert(told.n, told.uptime_ms).is_some_and(|before| before != told.uptime_ms) {
                self.twice += 1;
            }
        }
    }

    /// How many counts were told twice with different contents since the last call.
    pub(crate) fn told_twice(&mut self) -> u64 {
        std::mem::take(&mut self.twice)
    }

    /// How many beacons since the last call missed on the server's disk what had been written there.
    pub(crate) fn unwritten(&mut self) -> u64 {
        std::mem::take(&mut self.unwritten)
    }

    /// The power of its node was cut: what is heard from now on is another boot.
    pub(crate) fn boots_again(&mut self) {
        (self.boot_id, self.other_boots, self.last) = (None, 0, None);
        self.told.clear();
    }

    /// Whether the server is not heard, or was booted again.
    pub(crate) fn silent_or_rebooted(&self) -> Option<String> {
        if self.other_boots > 0 {
            return Some("the server was booted again".to_owned());
        }
        match self.last {
            Some(last) if last.elapsed() < SILENCE => None,
            Some(last) => Some(format!("the server has been silent for {} ms", last.elapsed().as_millis())),
            None => Some("the server has never been heard".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beacon(boot: &str, n: u64, uptime_ms: u64) -> Beacon {
        on_disk(boot, n, n / 10 * 10, uptime_ms)
    }

    fn on_disk(boot: &str, n: u64, disk: u64, uptime_ms: u64) -> Beacon {
        let text = format!(r#"{{"host":"mail","boot_id":"{boot}","n":{n},"disk":{disk},"uptime_ms":{uptime_ms}}}"#);
        Beacon::read(text.as_bytes(), Instant::now()).unwrap()
    }

    #[test]
    fn a_second_copy_is_heard_and_a_doubled_datagram_is_not_taken_for_one() {
        let mut beacons = Beacons::default();
        beacons.take(vec![beacon("b", 1, 25), beacon("b", 2, 50), beacon("b", 2, 50)], "mail");
        assert_eq!((beacons.told_twice(), beacons.silent_or_rebooted()), (0, None));
        beacons.take(vec![beacon("b", 2, 51)], "mail");
        assert_eq!(beacons.told_twice(), 1);
    }

    #[test]
    fn a_disk_that_lost_a_write_is_noticed() {
        let mut beacons = Beacons::default();
        beacons.take(vec![on_disk("b", 9, 0, 225), on_disk("b", 19, 0, 475), on_disk("b", 20, 10, 500)], "mail");
        assert_eq!(beacons.unwritten(), 0);
        beacons.take(vec![on_disk("b", 30, 10, 750)], "mail");
        assert_eq!((beacons.unwritten(), beacons.unwritten()), (1, 0));
    }

    #[test]
    fn another_boot_is_noticed_and_another_server_is_not_listened_to() {
        let mut beacons = Beacons::default();
        beacons.take(vec![beacon("b", 1, 25)], "web");
        assert!(beacons.silent_or_rebooted().is_some());
        beacons.take(vec![beacon("b", 1, 25), beacon("c", 1, 25)], "mail");
        assert!(beacons.silent_or_rebooted().is_some_and(|what| what.contains("again")));
        beacons.boots_again();
        beacons.take(vec![beacon("c", 1, 30)], "mail");
        assert_eq!((beacons.told_twice(), beacons.silent_or_rebooted()), (0, None));
    }
}
