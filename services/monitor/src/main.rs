//! The monitor: folds beats into node state, and keeps the history.

use std::process::ExitCode;

use watari_contracts::Service;
use watari_monitor::{Settings, serve, settings::DEFAULTS};

fn main() -> ExitCode {
    watari_chassis::run::<Settings, _, _, _>(Service::Monitor, DEFAULTS, serve)
}
