//! `watari-nats`: starts a host's NATS server.

use std::{path::PathBuf, process::ExitCode};

use watari_nats_launcher::{Settings, run};

fn main() -> ExitCode {
    let path = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("/etc/watari/nats.toml"), PathBuf::from);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match (Settings::read(&path), runtime) {
        (Ok(settings), Ok(runtime)) => runtime.block_on(run(settings)),
        (Err(error), _) => Err(error),
        (_, Err(error)) => Err(error.into()),
    };
    match ended {
        Ok(code) => code,
        Err(error) => {
            eprintln!("watari-nats: {error}");
            ExitCode::FAILURE
        }
    }
}
