//! The network service: hands out addresses.

use std::process::ExitCode;

use watari_contracts::Service;
use watari_network::{Settings, serve, settings::DEFAULTS};

fn main() -> ExitCode {
    watari_chassis::run::<Settings, _, _, _>(Service::Network, DEFAULTS, serve)
}
