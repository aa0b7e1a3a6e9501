//! The options that every service takes. Settings are not options: they live in the file and the
//! environment, where an operator finds all of them in one place.

use std::path::PathBuf;

/// What a service is told on its command line.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// The configuration file; without it /etc/watari/<service>.toml is read if it exists.
    #[arg(long, value_name = "PATH")]
    pub config: Option<PathBuf>,
    /// Print the effective configuration, saying where each value comes from, and exit.
    #[arg(long)]
    pub print_config: bool,
}
