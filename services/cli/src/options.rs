//! What is given on the command line.

use clap::{Parser, Subcommand};

use crate::{lang::Lang, setup};

/// The operator's command of Watari, the private cloud whose servers migrate.
#[derive(Debug, Parser)]
#[command(name = "watari", version, propagate_version = true)]
pub struct Options {
    /// Language of messages; without it LC_ALL, LC_MESSAGES and LANG decide.
    #[arg(long, global = true, value_enum)]
    lang: Option<Lang>,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

impl Options {
    /// The language in which the person is spoken to.
    #[must_use]
    pub fn lang(&self) -> Lang {
        self.lang.unwrap_or_else(|| Lang::of_locale(|name| std::env::var(name).ok()))
    }
}

/// The nouns.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make keys, certificates and configuration for the hosts of a cluster, as files
    Setup(setup::Setup),
}
