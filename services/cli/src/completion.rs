//! `watari completion`: the script with which a shell completes what is typed. The generator knows commands and options;
//! for the names of servers, nodes and whatever else there is each script asks `watari names`.

mod typed;

pub use typed::Names;

use clap::{Args, Command, CommandFactory, ValueEnum};
use clap_complete::{Shell as Generator, generate};

use crate::{options::Options, texts::faults::Fault};

/// What each shell asks with.
const BASH: &str = include_str!("completion/names.bash");
const ZSH: &str = include_str!("completion/names.zsh");
const FISH: &str = include_str!("completion/names.fish");

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

    /// Its script, by the generator's.
    fn with_names(self, script: &str) -> String {
        match self {
            Self::Bash => script.replace("complete -F _watari ", "complete -F _watari_named ") + BASH,
            // The line as a whole is known to the outermost function alone.
            Self::Zsh => script
                .replace(":_default'", ":_watari_names'")
                .replace("_watari() {\n", "_watari() {\n    local -a watari_words=(\"${(@)words[2,CURRENT]}\")\n")
                .replace("autoload -U is-at-least\n", &format!("autoload -U is-at-least\n\n{ZSH}")),
            // Each option that takes anything asks for itself.
            Self::Fish => {
                let lines = script.lines().map(|line| match line.strip_suffix(" -r") {
                    Some(option) => format!("{option} -r -f -a '(__fish_watari_values)'\n"),
                    None => format!("{line}\n"),
                });
                lines.collect::<String>() + FISH
            }
        }
    }
}

/// What people type: all but what is hidden.
fn shown() -> Command {
    let all = Options::command();
    let shown = all.get_subcommands().filter(|below| !below.is_hide_set()).cloned();
    Command::new("watari").version(env!("CARGO_PKG_VERSION")).args(all.get_arguments().cloned()).subcommands(shown)
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
        generate(generator, &mut shown(), "watari", &mut script);
        Ok(shell.with_names(&String::from_utf8_lossy(&script)).trim_end().to_owned())
    }
}
