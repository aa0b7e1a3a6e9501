//! Which images are dropped: decided from what is there, and nothing else.

use std::{ffi::OsString, time::SystemTime};

/// What a file in the folder of images is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A verified image.
    Whole,
    /// What has arrived of one.
    Part,
}

/// One file in the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// Its name.
    pub(super) name: OsString,
    /// What it is.
    pub(super) kind: Kind,
    /// What it takes of the disk, in bytes.
    pub(super) bytes: u64,
    /// When it was last used.
    pub(super) used: SystemTime,
    /// Whether somebody needs it now.
    pub(super) needed: bool,
}

/// What there is room for. Sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// All images together.
    pub(super) most: u64,
    /// What is about to be added to them.
    pub(super) coming: u64,
    /// What may still be written to the disk.
    pub(super) free: u64,
    /// What should be free.
    pub(super) wanted: u64,
}

/// The names of what is to be dropped so that there is room, the least recently used first and a part before any whole
/// image. Nothing that is needed is among them, room or no room.
pub(super) fn dropped(kept: &[Kept], room: Room) -> Vec<OsString> {
    let mut taken = kept.iter().map(|file| file.bytes).fold(room.coming, u64::saturating_add);
    let mut free = room.free;
    let mut candidates: Vec<&Kept> = kept.iter().filter(|file| !file.needed).collect();
    candidates.sort_by_key(|file| (file.kind == Kind::Whole, file.used));
    let mut names = Vec::new();
    for file in candidates {
        if taken <= room.most && free >= room.wanted {
            break;
        }
        taken = taken.saturating_sub(file.bytes);
        free = free.saturating_add(file.bytes);
        names.push(file.name.clone());
    }
    names
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn kept(name: &str, bytes: u64, used: u64, needed: bool) -> Kept {
        let used = SystemTime::UNIX_EPOCH + Duration::from_secs(used);
        Kept { name: name.into(), kind: Kind::Whole, bytes, used, needed }
    }

    const ENOUGH: Room = Room { most: 100, coming: 0, free: 1_000, wanted: 10 };

    #[test]
    fn the_least_recently_used_goes_first_and_no_more_than_must() {
        let all = [kept("new", 40, 3, false), kept("old", 40, 1, false), kept("older", 40, 0, true)];
        assert_eq!(dropped(&all, ENOUGH), ["old"]);
        assert_eq!(dropped(&all, Room { most: 120, ..ENOUGH }), [""; 0]);
        assert_eq!(dropped(&all, Room { most: 120, coming: 41, ..ENOUGH }), ["old", "new"]);
    }

    #[test]
    fn what_is_needed_stays_even_if_there_is_no_room() {
        let all = [kept("a", 400, 0, true), kept("b", 1, 1, false)];
        assert_eq!(dropped(&all, Room { free: 0, ..ENOUGH }), ["b"]);
    }

    #[test]
    fn a_full_disk_is_a_reason_as_well_and_a_part_goes_before_a_whole_one() {
        let part = Kept { kind: Kind::Part, ..kept("part", 5, 9, false) };
        let all = [kept("old", 40, 1, false), part];
        assert_eq!(dropped(&all, Room { free: 6, ..ENOUGH }), ["part"]);
        assert_eq!(dropped(&all, Room { free: 4, ..ENOUGH }), ["part", "old"]);
    }

    proptest! {
        #[test]
        fn nothing_that_is_needed_ever_goes_and_there_is_room_if_there_can_be(
            files in prop::collection::vec((0_u64..100, 0_u64..9, any::<bool>()), 0..12),
            (most, coming, free, wanted) in (0_u64..500, 0_u64..100, 0_u64..500, 0_u64..500),
        ) {
            let all: Vec<Kept> = (files.iter().enumerate())
                .map(|(n, (bytes, used, needed))| kept(&n.to_string(), *bytes, *used, *needed))
                .collect();
            let gone = dropped(&all, Room { most, coming, free, wanted });
            let goes = |file: &&Kept| gone.contains(&file.name);
            prop_assert!(!all.iter().filter(goes).any(|file| file.needed));
            let left: u64 = all.iter().filter(|file| !goes(file)).map(|file| file.bytes).sum();
            let freed: u64 = all.iter().filter(goes).map(|file| file.bytes).sum();
            let room = left + coming <= most && free + freed >= wanted;
            prop_assert!(room || all.iter().all(|file| file.needed || gone.contains(&file.name)));
        }
    }
}
