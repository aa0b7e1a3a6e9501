//! What a process holds and has used, by the kernel's word.

use std::fs;

use anyhow::Context;

/// Resident memory in MiB.
pub(super) fn resident_mib(pid: i32) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}

/// User and system time: fields 14 and 15 of /proc/PID/stat (proc(5)), in clock ticks.
pub(super) fn cpu_seconds(pid: i32) -> anyhow::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("no stat")?;
    let ticks: f64 = fields.split_whitespace().skip(11).take(2).filter_map(|f| f.parse::<f64>().ok()).sum();
    #[allow(clippy::cast_precision_loss, reason = "a hundred")]
    Ok(ticks / rustix::param::clock_ticks_per_second() as f64)
}
