//! Figures with what they have to keep to, and what a process says of its own memory.

use std::{fs, time::Instant};

use serde::Serialize;

use crate::Fault;

/// A figure. Times are in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    what: String,
    measured: f64,
    /// The most that is allowed, or the least; none if it is only told.
    asked: Option<f64>,
    met: bool,
}

impl Figure {
    pub(crate) fn at_most(what: impl Into<String>, measured: f64, asked: f64) -> Self {
        Self { what: what.into(), measured, asked: Some(asked), met: measured <= asked }
    }

    pub(crate) fn at_least(what: impl Into<String>, measured: f64, asked: f64) -> Self {
        Self { what: what.into(), measured, asked: Some(asked), met: measured >= asked }
    }

    /// One of which nothing is asked.
    pub(crate) fn told(what: impl Into<String>, measured: f64) -> Self {
        Self { what: what.into(), measured, asked: None, met: true }
    }

    /// Whether it keeps to it. What is no number does not.
    pub(crate) const fn is_met(&self) -> bool {
        self.met
    }
}

/// What comes of it, and how many milliseconds it took.
pub(crate) fn timed<T>(act: impl FnOnce() -> T) -> (T, f64) {
    let began = Instant::now();
    let made = act();
    (made, began.elapsed().as_secs_f64() * 1_000.0)
}

/// The middle one.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// That of which so many thousandths are no larger.
pub(crate) fn quantile(mut figures: Vec<f64>, thousandths: usize) -> f64 {
    figures.sort_by(f64::total_cmp);
    let at = (figures.len() * thousandths).div_ceil(1_000).saturating_sub(1);
    figures.get(at).copied().unwrap_or(f64::NAN)
}

/// By how much the process grows at the most while it does something, in MiB.
pub(crate) fn growth<T>(act: impl FnOnce() -> T) -> Result<(T, f64), Fault> {
    // The kernel then counts the peak anew: proc_pid_clear_refs(5).
    fs::write("/proc/self/clear_refs", "5")?;
    let before = kib("VmRSS:")?;
    let made = act();
    Ok((made, (kib("VmHWM:")? - before) / 1_024.0))
}

/// The most that the process has needed since it was last asked to grow, in MiB.
pub(crate) fn peak_mib() -> Result<f64, Fault> {
    Ok(kib("VmHWM:")? / 1_024.0)
}

fn kib(field: &str) -> Result<f64, Fault> {
    let status = fs::read_to_string("/proc/self/status")?;
    let value = status.lines().find_map(|line| line.strip_prefix(field)).ok_or("no such field")?;
    Ok(value.trim().trim_end_matches("kB").trim().parse()?)
}
