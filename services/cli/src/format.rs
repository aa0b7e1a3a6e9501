//! Sizes, times, shares and bytes as people read them.

use jiff::tz::{Offset, TimeZone};
use watari_model::{Said, Timestamp, said, size::MIB_PER_GIB, vm::Size};

use crate::lang::Lang;

/// From so much on memory is told in larger units.
const HARD_TO_READ_MIB: u64 = 16 * MIB_PER_GIB;

/// A size with a binary unit and three digits: `134 MiB`, `1.50 GiB`.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    match (unit, value) {
        (0, _) => format!("{bytes} B"),
        (_, v) if v < 9.995 => format!("{v:.2} {}", units[unit]),
        (_, v) if v < 99.95 => format!("{v:.1} {}", units[unit]),
        (_, v) => format!("{v:.0} {}", units[unit]),
    }
}

/// Lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// So many of something whose name takes an s in English: `1 warning`, `2 warnings`.
#[must_use]
pub fn counted(count: usize, of: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {of}{ending}")
}

/// How large a server is: `2 vCPU, 512 MiB, 4 GiB`.
#[must_use]
pub fn size(size: Size) -> String {
    format!("{} vCPU, {}, {} GiB", size.vcpus, memory(size.memory_mib), size.disk_gib)
}

/// A server's memory: `512 MiB`, `2048 MiB`; in larger units from where so many digits are hard to read: `500 GiB`.
#[must_use]
pub fn memory(mib: u64) -> String {
    let (number, unit) = in_unit(mib);
    format!("{number} {unit}")
}

/// Memory in the largest unit of which it is a whole number, from 16 GiB on; below that in MiB.
#[must_use]
pub fn in_unit(mib: u64) -> (u64, &'static str) {
    let units = [(MIB_PER_GIB * MIB_PER_GIB, "TiB"), (MIB_PER_GIB, "GiB")];
    let fits = |(size, _): &(u64, &str)| mib >= HARD_TO_READ_MIB && mib.is_multiple_of(*size);
    units.into_iter().find(fits).map_or((mib, "MiB"), |(size, unit)| (mib / size, unit))
}

/// A time: `24 ms`, `3.2 s`, `2 min 05 s`, `1 h 02 min`.
#[must_use]
pub fn millis(millis: u64) -> String {
    let seconds = millis / 1000;
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..60_000 => format!("{seconds}.{} s", millis % 1000 / 100),
        60_000..3_600_000 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// The same in the person's language: `3.2 秒`, `2 分 05 秒`, `1 時間 02 分`.
#[must_use]
pub fn time(lang: Lang, ms: u64) -> String {
    let text = millis(ms);
    match lang {
        Lang::En => text,
        Lang::Ja if ms < 1_000 => text.replace("ms", "ミリ秒"),
        Lang::Ja if ms < 3_600_000 => text.replace(" min", " 分").replace(" s", " 秒"),
        Lang::Ja => text.replace(" h", " 時間").replace(" min", " 分"),
    }
}

/// How long something has lasted, in whole seconds, as sentences have it: `29 s`, `2 min 05 s`, `1 h 02 min`.
#[must_use]
pub fn lasting(millis: u64) -> Said {
    let (seconds, minutes, hours) = ((millis / 1000).max(1), millis / 60_000, millis / 3_600_000);
    let (second, minute) = (seconds % 60, minutes % 60);
    match (hours, minutes) {
        (0, 0) => said!("{seconds} s", "{seconds} 秒"),
        (0, _) => said!("{minutes} min {second:02} s", "{minutes} 分 {second:02} 秒"),
        _ => said!("{hours} h {minute:02} min", "{hours} 時間 {minute:02} 分"),
    }
}

/// A moment in this machine's time zone, to the second, as options take it again: `2026-11-23 18:00:04+09:00`.
#[must_use]
pub fn moment(at: Timestamp) -> String {
    moment_in(at, TimeZone::system())
}

/// The same in a zone.
#[must_use]
pub fn moment_in(at: Timestamp, zone: TimeZone) -> String {
    let Ok(moment) = jiff::Timestamp::from_nanosecond(at.0.unix_timestamp_nanos()) else { return at.0.to_string() };
    let there = moment.to_zoned(zone);
    let form = if there.offset() == Offset::UTC { "%Y-%m-%d %H:%M:%SZ" } else { "%Y-%m-%d %H:%M:%S%:z" };
    there.strftime(form).to_string()
}

/// How much of `total` is `done`, in whole percent; nothing of nothing is all.
#[must_use]
pub fn percent(done: u64, total: u64) -> u64 {
    let share = u128::from(done.min(total)) * 100;
    share.checked_div(u128::from(total)).map_or(100, |p| u64::try_from(p).unwrap_or(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_times_and_shares_are_read_at_a_glance() {
        let sizes = [0, 999, 1000, 140_509_184, 1_610_612_736, u64::MAX].map(bytes);
        assert_eq!(sizes, ["0 B", "999 B", "0.98 KiB", "134 MiB", "1.50 GiB", "16384 PiB"]);
        let times = [24, 3_250, 59_999, 125_000, 3_725_000].map(millis);
        assert_eq!(
            [24, 3_250, 125_000, 3_725_000].map(|ms| time(Lang::Ja, ms)),
            ["24 ミリ秒", "3.2 秒", "2 分 05 秒", "1 時間 02 分"]
        );
        assert_eq!(
            [512, 2048, 16_384, 16_385, 512_000, 1 << 20].map(memory),
            ["512 MiB", "2048 MiB", "16 GiB", "16385 MiB", "500 GiB", "1 TiB"]
        );
        let lasted = [400, 29_400, 125_000, 3_725_000].map(|ms| lasting(ms).ja);
        assert_eq!(lasted, ["1 秒", "29 秒", "2 分 05 秒", "1 時間 02 分"]);
        assert_eq!([0, 1, 2].map(|count| counted(count, "note")), ["0 notes", "1 note", "2 notes"]);
        assert_eq!(times, ["24 ms", "3.2 s", "59.9 s", "2 min 05 s", "1 h 02 min"]);
        assert_eq!([percent(0, 0), percent(1, 3), percent(5, 4), percent(u64::MAX, u64::MAX)], [100, 33, 100, 100]);
        let epoch = Timestamp(time::OffsetDateTime::UNIX_EPOCH);
        assert_eq!(moment_in(epoch, TimeZone::UTC), "1970-01-01 00:00:00Z");
        let japan = TimeZone::get("Asia/Tokyo").unwrap();
        assert_eq!(moment_in(epoch, japan), "1970-01-01 09:00:00+09:00");
        let again = crate::input::moment("--from", &moment(epoch), epoch).unwrap();
        assert_eq!(again, epoch, "what is shown may be typed");
    }
}
