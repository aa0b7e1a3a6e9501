//! The only place where a clock is read. Everything that decides is handed the time.

use rustix::time::{ClockId, clock_gettime};
use time::OffsetDateTime;
use watari_model::Timestamp;

/// The wall clock, cut to milliseconds so that documents stay readable. For people and records;
/// never for leases, since an operator or NTP may set it back.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "this is the one place that the lint points to")]
pub fn now() -> Timestamp {
    let now = OffsetDateTime::now_utc();
    Timestamp(now.replace_millisecond(now.millisecond()).unwrap_or(now))
}

/// Milliseconds since this machine was booted, time asleep included (`CLOCK_BOOTTIME`). It never
/// jumps, and a suspended holder of a lease finds on waking that its lease has run out.
#[must_use]
pub fn boot_millis() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds * 1_000 + nanos / 1_000_000
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_boot_clock_never_goes_back_and_the_wall_clock_has_milliseconds() {
        let first = super::boot_millis();
        assert!(first > 0 && super::boot_millis() >= first);
        assert_eq!(super::now().0.nanosecond() % 1_000_000, 0);
    }
}
