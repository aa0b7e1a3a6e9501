//! `watari`, the operator's command: everything it does is a plain request on the bus, which
//! `nats request watari.v1.<noun>.<verb>` can send as well.
//!
//! One file or folder a noun, each with its options, its requests and its output.

pub mod failure;
pub mod lang;
pub mod options;
pub mod setup;
pub mod texts;

use std::process::ExitCode;

use clap::Parser;

use options::{Options, Verb};

/// The whole program.
#[must_use]
pub fn main() -> ExitCode {
    let options = Options::parse();
    let lang = options.lang();
    let done = match &options.verb {
        Verb::Setup(setup) => setup.run(lang).map(|text| println!("{text}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{}", failure.shown(lang));
            ExitCode::from(failure.exit())
        }
    }
}
