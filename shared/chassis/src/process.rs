//! The process's own memory, time and files, read from /proc when somebody asks. (prometheus' own
//! collector would bring procfs and libc with it.)

use std::{
    fs,
    sync::{Mutex, PoisonError},
};

use prometheus::{
    Counter, Gauge,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use crate::metric_names::{PROCESS_CPU, PROCESS_FILES, PROCESS_RESIDENT, PROCESS_THREADS};

/// Reads /proc/self at each collection.
pub(crate) struct Process {
    resident: Gauge,
    seconds: Counter,
    threads: Gauge,
    files: Gauge,
    /// The counter is put together anew each time, which two must not do at once.
    turn: Mutex<()>,
}

impl Process {
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            resident: Gauge::new(PROCESS_RESIDENT, "Resident memory.")?,
            seconds: Counter::new(PROCESS_CPU, "User and system time spent.")?,
            threads: Gauge::new(PROCESS_THREADS, "Threads.")?,
            files: Gauge::new(PROCESS_FILES, "Open files.")?,
            turn: Mutex::default(),
        })
    }

    fn read(&self) -> Option<()> {
        self.show(&fs::read_to_string("/proc/self/stat").ok()?)?;
        self.files.set(fs::read_dir("/proc/self/fd").ok()?.count() as f64);
        Some(())
    }

    fn show(&self, stat: &str) -> Option<()> {
        let (cpu_ticks, threads, resident_pages) = parse(stat)?;
        self.seconds.reset();
        self.seconds.inc_by(cpu_ticks / rustix::param::clock_ticks_per_second() as f64);
        self.threads.set(threads);
        self.resident.set(resident_pages * rustix::param::page_size() as f64);
        Some(())
    }

    fn all(&self) -> [&dyn Collector; 4] {
        [&self.resident, &self.seconds, &self.threads, &self.files]
    }
}

/// Ticks of user and system time, threads, and resident pages from `/proc/self/stat` (proc(5):
/// fields 14 and 15, 20, 24). The second field is the program's name, which may hold blanks and
/// parentheses, so counting starts after the last parenthesis.
fn parse(stat: &str) -> Option<(f64, f64, f64)> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |n: usize| fields.get(n - 3)?.parse::<f64>().ok();
    Some((field(14)? + field(15)?, field(20)?, field(24)?))
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.all().into_iter().flat_map(|figure| figure.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if self.read().is_none() {
            return Vec::new();
        }
        self.all().into_iter().flat_map(|figure| figure.collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use prometheus::TextEncoder;

    use super::*;

    const STAT: &str = "7 (a) b (c)) S 1 1 1 0 -1 0 0 0 0 0 30 12 0 0 20 0 5 0 100 1000 777 0";

    #[test]
    fn time_spent_is_a_counter_that_is_no_larger_for_being_looked_at() {
        let process = Process::new().unwrap();
        for _ in 0..2 {
            process.show(STAT).unwrap();
        }
        let ticks = process.seconds.get() * rustix::param::clock_ticks_per_second() as f64;
        assert!((ticks - 42.0).abs() < 0.5, "{ticks}");
        let text = TextEncoder::new().encode_to_string(&process.collect()).unwrap();
        assert!(text.contains("# TYPE process_cpu_seconds_total counter\n"), "{text}");
    }

    #[test]
    fn a_name_with_parentheses_and_blanks_does_not_shift_the_fields() {
        assert_eq!(parse(STAT), Some((42.0, 5.0, 777.0)));
        assert_eq!(parse("nonsense"), None);
    }

    #[test]
    fn this_process_has_memory_and_threads() {
        let process = Process::new().unwrap();
        assert_eq!(process.collect().len(), 4);
        assert!(process.resident.get() > 1e5 && process.threads.get() >= 1.0 && process.files.get() >= 1.0);
    }
}
