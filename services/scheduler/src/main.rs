//! The scheduler's process.

use std::process::ExitCode;

use watari_contracts::Service;
use watari_scheduler::{DEFAULTS, Settings};

fn main() -> ExitCode {
    watari_chassis::run::<Settings, _, _, _>(Service::Scheduler, DEFAULTS, watari_scheduler::run)
}
