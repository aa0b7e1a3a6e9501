//! `watari completion`: the script with which a shell completes what is typed.

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::{Shell as Generator, generate};

use crate::options::Options;

/// A shell that completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU Bash
    Bash,
    /// Z shell
    Zsh,
    /// fish
    Fish,
}

/// Print the script with which a shell completes what is typed
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  watari completion bash >~/.local/share/bash-completion/completions/watari
  watari completion zsh >~/.zfunc/_watari
  watari completion fish >~/.config/fish/completions/watari.fish

Debian's package `watari` has all three in place.")]
pub struct Completion {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completion {
    /// The script, without the last line's end.
    #[must_use]
    pub fn script(&self) -> String {
        let generator = match self.shell {
            Shell::Bash => Generator::Bash,
            Shell::Zsh => Generator::Zsh,
            Shell::Fish => Generator::Fish,
        };
        let mut script = Vec::new();
        generate(generator, &mut Options::command(), "watari", &mut script);
        String::from_utf8_lossy(&script).trim_end().to_owned()
    }
}
