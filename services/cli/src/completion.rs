//! `watari completion`: the script with which a shell completes what is typed.

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::{Shell as Generator, generate};

use crate::{options::Options, texts::faults::Fault};

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
  watari completion
  watari completion bash >~/.local/share/bash-completion/completions/watari
  watari completion zsh >~/.zfunc/_watari
  watari completion fish >~/.config/fish/completions/watari.fish

Debian's package `watari` has all three in place.")]
pub struct Completion {
    /// The shell; without it the one that SHELL names
    #[arg(value_enum)]
    shell: Option<Shell>,
}

impl Shell {
    /// The shell that a person's variable `SHELL` names by its path.
    fn of_path(path: &str) -> Option<Self> {
        Self::from_str(path.rsplit('/').next().unwrap_or_default(), false).ok()
    }
}

impl Completion {
    /// The script, without the last line's end.
    ///
    /// # Errors
    /// [`Fault::NoShell`] if no shell was named and the person's own does not complete.
    pub fn script(&self) -> Result<String, Fault> {
        let own = std::env::var("SHELL").unwrap_or_default();
        let shell = self.shell.or_else(|| Shell::of_path(&own)).ok_or(Fault::NoShell { shell: own })?;
        let generator = match shell {
            Shell::Bash => Generator::Bash,
            Shell::Zsh => Generator::Zsh,
            Shell::Fish => Generator::Fish,
        };
        let mut script = Vec::new();
        generate(generator, &mut Options::command(), "watari", &mut script);
        Ok(String::from_utf8_lossy(&script).trim_end().to_owned())
    }
}
