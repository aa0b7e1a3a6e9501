//! What the kernel tells of the machine, from the texts of `/proc` (proc(5)). Pure: it is handed the texts.

/// The first columns of `/proc/stat`. What guests use counts as `user` as well as in a column further on.
const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
/// What of `/proc/meminfo` is told, and by which word.
const MEMORY: [(&str, &str); 4] =
    [("MemTotal", "total"), ("MemAvailable", "available"), ("SwapTotal", "swap"), ("SwapFree", "swap-free")];
/// Of `/proc/diskstats`, whatever the disk's own sectors are.
const SECTOR_BYTES: u64 = 512;

/// What went two ways, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ways {
    /// In: read, or received.
    pub(super) inward: u64,
    /// Out: written, or sent.
    pub(super) outward: u64,
}

/// Processor time of all processors together, in clock ticks by mode.
pub(super) fn processors(stat: &str) -> impl Iterator<Item = (&'static str, u64)> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu ")).unwrap_or_default();
    MODES.into_iter().zip(line.split_whitespace().map_while(|word| word.parse().ok()))
}

/// Memory and swap space in bytes.
pub(super) fn memory(meminfo: &str) -> impl Iterator<Item = (&'static str, u64)> {
    meminfo.lines().filter_map(|line| {
        let (name, rest) = line.split_once(':')?;
        let (_, word) = MEMORY.into_iter().find(|(known, _)| *known == name)?;
        let kib: u64 = rest.split_whitespace().next()?.parse().ok()?;
        Some((word, kib.saturating_mul(1_024)))
    })
}

/// What was read from a block device and written to it.
pub(super) fn disk(diskstats: &str, major: u32, minor: u32) -> Option<Ways> {
    diskstats.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok());
        let is_it = number(0) == Some(major.into()) && number(1) == Some(minor.into());
        let bytes = |at: usize| number(at).map(|sectors| sectors.saturating_mul(SECTOR_BYTES));
        is_it.then(|| Some(Ways { inward: bytes(5)?, outward: bytes(9)? })).flatten()
    })
}

/// What each network interface has received and sent.
pub(super) fn interfaces(dev: &str) -> impl Iterator<Item = (&str, Ways)> {
    dev.lines().filter_map(|line| {
        let (name, rest) = line.split_once(':')?;
        let numbers: Vec<u64> = rest.split_whitespace().map_while(|word| word.parse().ok()).collect();
        Some((name.trim(), Ways { inward: *numbers.first()?, outward: *numbers.get(8)? }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_that_of_all_processors() {
        let stat = "cpu  10 1 5 900 3 0 2 0 4 0\ncpu0 5 1 2 450 1 0 1 0 2 0\nintr 7\n";
        let told: Vec<_> = processors(stat).collect();
        assert_eq!(told.len(), MODES.len());
        assert_eq!((told[0], told[3], told[6]), (("user", 10), ("idle", 900), ("softirq", 2)));
        // A kernel of long ago has fewer.
        assert_eq!(processors("cpu  1 2 3 4\n").count(), 4);
        assert_eq!(processors("").count(), 0);
    }

    #[test]
    fn memory_is_told_in_bytes() {
        let meminfo =
            "MemTotal:        2048 kB\nMemFree:  100 kB\nMemAvailable:    512 kB\nSwapTotal:  0 kB\nSwapFree: x kB\n";
        let told: Vec<_> = memory(meminfo).collect();
        assert_eq!(told, [("total", 2_097_152), ("available", 524_288), ("swap", 0)]);
    }

    #[test]
    fn a_disk_is_known_by_its_numbers() {
        let diskstats = "   8       0 sda 9 0 100 0 9 0 200 0 0 0 0\n   8       1 sda1 4 0 2 0 4 0 6 0 0 0 0 0 0 0 0\n 259 0 nvme0n1 1\n";
        assert_eq!(disk(diskstats, 8, 1), Some(Ways { inward: 1_024, outward: 3_072 }));
        assert_eq!(disk(diskstats, 259, 0), None);
        assert_eq!(disk(diskstats, 0, 40), None);
    }

    #[test]
    fn an_interface_is_told_by_what_came_and_went() {
        let dev = "Inter-|   Receive  |  Transmit\n face |bytes    packets errs\n    lo: 5 0 0 0 0 0 0 0 5 0 0 0 0 0 0 0\n\
                   eth0:1500 2 0 0 0 0 0 0 900 3 0 0 0 0 0 0\nodd: 1\n";
        let told: Vec<_> = interfaces(dev).collect();
        assert_eq!(told.len(), 2);
        assert_eq!(told[1], ("eth0", Ways { inward: 1_500, outward: 900 }));
    }
}
