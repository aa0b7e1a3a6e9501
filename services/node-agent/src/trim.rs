//! Giving back memory that only the start, or a migration long over, needed.
//!
//! libvirt's client brings some forty libraries along, and the kernel maps whatever of their files
//! lies near a page that is used once. None of that is written to, so the kernel can read it again
//! at any time: it is what it would do by itself if memory ran short. A node's memory is for guests.

use std::{fs, ops::Range, time::Duration};

use rustix::mm::{Advice, madvise};
use watari_chassis::CancellationToken;

/// When the start is over.
const AFTER_START: Duration = Duration::from_secs(10);
/// And from then on. It costs some milliseconds.
const EVERY: Duration = Duration::from_secs(60);

/// Has all threads allocate in one place: with an arena for each of some, what is free in one is of no use to the others,
/// and few pages of any are wholly free. An agent allocates too rarely for its threads to wait for one another. It counts
/// from the next thread on that begins, and so belongs before the runtime.
#[allow(unsafe_code, reason = "mallopt(3) is the C library's")]
pub fn one_arena() {
    // SAFETY: it sets one number of the allocator, under the allocator's own lock.
    let _ = unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

/// Gives back now and then, until shutdown.
pub(crate) async fn run(shutdown: &CancellationToken) {
    let mut pause = AFTER_START;
    while shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        pause = EVERY;
        free_heap();
        match fs::read_to_string("/proc/self/smaps") {
            Ok(smaps) => unwritten(&smaps).into_iter().for_each(give_back),
            Err(error) => tracing::debug!(%error, "memory is not given back"),
        }
    }
}

/// The mappings of files that cannot be written and hold nothing but what the file holds.
fn unwritten(smaps: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut mapping = None;
    for line in smaps.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("Anonymous:") => {
                // Pages that were changed before the mapping became read-only count here.
                found.extend(mapping.take().filter(|_| words.next() == Some("0")));
            }
            Some(word) if !word.ends_with(':') => mapping = file_mapping(line),
            _ => {}
        }
    }
    found
}

/// The range of a line like `7f32460a4000-7f3246365000 r-xp 000a4000 fd:00 1234 /usr/lib/…`, if it
/// is private, not writable and of a file (proc_pid_maps(5)).
fn file_mapping(line: &str) -> Option<Range<usize>> {
    let mut words = line.split_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let rights = words.next()?;
    let is_file = words.nth(3).is_some_and(|path| path.starts_with('/'));
    let range = usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?;
    (matches!(rights, "r--p" | "r-xp") && is_file).then_some(range)
}

/// What was freed and the allocator keeps goes back too.
#[allow(unsafe_code, reason = "malloc_trim(3) is the C library's")]
fn free_heap() {
    // SAFETY: it takes the allocator's own locks and touches only what is free.
    let _ = unsafe { libc::malloc_trim(0) };
}

#[allow(unsafe_code, reason = "madvise(2) takes an address")]
fn give_back(range: Range<usize>) {
    let start = std::ptr::with_exposed_provenance_mut(range.start);
    // SAFETY: the range was just read from the kernel as a private, unwritten mapping of a file;
    // if it has been unmapped meanwhile the kernel refuses, and a page that is given back is read
    // from the file again when it is next used.
    let _ = unsafe { madvise(start, range.len(), Advice::LinuxDontNeed) };
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
1000-3000 r-xp 00001000 fd:00 12 /usr/lib/liba.so.1
Rss:                 236 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
3000-4000 r--p 00003000 fd:00 12 /usr/lib/liba.so.1
Anonymous:             4 kB
4000-5000 rw-p 00004000 fd:00 12 /usr/lib/liba.so.1
Anonymous:             0 kB
5000-6000 r--p 00000000 00:00 0
Anonymous:             0 kB
6000-7000 r-xp 00000000 00:00 0 [vdso]
Anonymous:             0 kB
7000-9000 r--p 00000000 fd:00 13 /usr/bin/watari-node-agent
Anonymous:             0 kB
";

    #[test]
    fn only_what_a_file_still_holds_is_given_back() {
        assert_eq!(unwritten(SMAPS), [0x1000..0x3000, 0x7000..0x9000]);
    }

    #[test]
    fn a_process_goes_on_after_giving_back_its_own_program() {
        let before = resident_file_kib();
        unwritten(&fs::read_to_string("/proc/self/smaps").unwrap()).into_iter().for_each(give_back);
        let after = resident_file_kib();
        assert!(after < before, "{after} KiB are resident, {before} were");
    }

    fn resident_file_kib() -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssFile:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }
}
