//! Colours: what is not as usual stands out, in tables as in `watari top`. Only at a terminal, and not where its owner
//! wants none (`NO_COLOR`, see no-color.org).

use std::{ffi::OsString, io::IsTerminal};

/// How much something wants to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Not at all.
    Usual,
    /// It is on its way, or asks for a look.
    Unusual,
    /// Something is wrong with it.
    Bad,
}

impl Tone {
    /// A line in its colour, by the numbers of ECMA-48.
    pub(super) fn painted(self, line: &str) -> String {
        match self {
            Self::Usual => line.to_owned(),
            Self::Unusual => format!("\x1b[33m{line}\x1b[39m"),
            Self::Bad => format!("\x1b[31m{line}\x1b[39m"),
        }
    }
}

/// Whether what is written has colours.
pub(super) fn is_shown() -> bool {
    std::io::stdout().is_terminal() && is_wanted(|name| std::env::var_os(name))
}

fn is_wanted(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let is_off = variable("NO_COLOR").is_some_and(|value| !value.is_empty());
    !is_off && variable("TERM").is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_who_wants_them_and_has_a_terminal_that_can() {
        let of = |set: &[(&str, &str)]| {
            is_wanted(|name| set.iter().find(|(variable, _)| *variable == name).map(|(_, value)| OsString::from(value)))
        };
        assert!(of(&[]) && of(&[("TERM", "xterm")]) && of(&[("NO_COLOR", "")]), "an empty NO_COLOR says nothing");
        assert!(!of(&[("NO_COLOR", "1"), ("TERM", "xterm")]) && !of(&[("TERM", "dumb")]));
    }
}
