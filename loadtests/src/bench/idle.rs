//! For which part of an evacuation the link out of a campus stands idle, by the counters of the device that shapes it.

use std::{
    fs,
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};

use crate::lab::Lab;

/// What leaves Myodaiji passes this device (`deploy/lab.d/net.sh`).
const OUT: &str = "up-m";
/// Between two samples: some packets' time, and little beside a copy's.
const EVERY: Duration = Duration::from_millis(100);
/// Of what a link can carry, the part below which nothing but beats and requests travels.
const BUSY: f64 = 0.1;

/// Does something while the link carries so many megabits a second at the most; gives what came of it, and the idle part of the
/// time between the first and the last copy.
///
/// # Errors
/// What the act says, or when the link is not shaped.
pub(super) fn during<T>(lab: &Lab, mbit: u32, act: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<(T, f64)> {
    let (goes_on, over) = channel::<()>();
    thread::scope(|scope| {
        let meter = scope.spawn(move || samples(lab, &over));
        let done = act();
        drop(goes_on);
        let carried = meter.join().map_err(|_| anyhow!("the meter fell"))??;
        Ok((done?, part(&carried, f64::from(mbit) * 125_000.0 * BUSY)))
    })
}

/// Bytes a second, from sample to sample, until the other end is dropped.
fn samples(lab: &Lab, over: &Receiver<()>) -> anyhow::Result<Vec<f64>> {
    lab.enter_network("switch")?;
    let mut carried = Vec::new();
    let mut before = (Instant::now(), sent()?);
    while over.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
        let now = (Instant::now(), sent()?);
        carried.push((now.1 - before.1) / (now.0 - before.0).as_secs_f64());
        before = now;
    }
    Ok(carried)
}

/// Bytes that have passed. `/sys` would show the network in which it was mounted.
fn sent() -> anyhow::Result<f64> {
    let devices = fs::read_to_string("/proc/thread-self/net/dev")?;
    column(&devices, OUT).with_context(|| format!("there is no {OUT}: is the link shaped?"))
}

/// The bytes that a device has sent: the ninth figure (proc_pid_net(5)).
fn column(devices: &str, name: &str) -> Option<f64> {
    let mut rows = devices.lines().filter_map(|line| line.split_once(':'));
    let (_, figures) = rows.find(|(device, _)| device.trim() == name)?;
    figures.split_whitespace().nth(8)?.parse().ok()
}

/// The part of the samples below `busy`, from the first to the last one that is not.
fn part(carried: &[f64], busy: f64) -> f64 {
    let is_busy = |rate: &f64| *rate >= busy;
    let (first, last) = (carried.iter().position(is_busy), carried.iter().rposition(is_busy));
    let (Some(first), Some(last)) = (first, last) else { return f64::NAN };
    let among = carried.get(first..=last).unwrap_or_default();
    let idle = among.iter().filter(|rate| !is_busy(rate)).count();
    #[allow(clippy::cast_precision_loss, reason = "samples of minutes are far below 2^53")]
    let part = idle as f64 / among.len() as f64;
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_between_the_first_and_the_last_copy_counts() {
        let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(close(part(&[0.0, 9.0, 9.0, 0.0, 9.0, 0.0, 0.0], 1.0), 0.25));
        assert!(close(part(&[9.0, 8.0], 1.0), 0.0));
        assert!(part(&[0.5, 0.0], 1.0).is_nan() && part(&[], 1.0).is_nan());
    }

    #[test]
    fn a_device_is_found_by_its_whole_name() {
        let devices = "Inter-| Receive | Transmit\n face |bytes\n\
                       cup-m: 1 2 3 4 5 6 7 8 9 10\n  up-m: 7 1 0 0 0 0 0 0 4200 3 0 0 0 0 0 0\n";
        assert_eq!(column(devices, "up-m"), Some(4_200.0));
        assert_eq!(column(devices, "up-y"), None);
    }
}
