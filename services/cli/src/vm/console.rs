//! `watari vm console-log`.

use clap::Args;
use watari_contracts::scheduler::VmConsoleLog;

use crate::{Context, failure::Failure, input};

/// How much of which log.
#[derive(Debug, Args)]
pub struct ConsoleLog {
    /// The server
    name: String,
    /// At most so many bytes, up to 131072
    #[arg(long)]
    bytes: Option<u64>,
}

impl ConsoleLog {
    /// Prints it.
    pub(super) async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let request = VmConsoleLog { name: input::name(&self.name)?, bytes: self.bytes };
        let log = ctx.session.ask(&request).await?;
        let text = || printable(&log.text).trim_end_matches('\n').to_owned();
        ctx.out.told(&log, [log.name.to_string()], text)
    }
}

/// What a guest wrote must not drive the operator's terminal: colours and movements of the cursor (ECMA-48, control
/// sequences) are left out, and other control characters than line ends and tabs shown as what they are. What would
/// have been written over stands on a line of its own.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' if chars.peek() == Some(&'[') => {
                chars.next();
                while chars.next_if(|c| ('\u{20}'..='\u{3f}').contains(c)).is_some() {}
                chars.next_if(|c| ('\u{40}'..='\u{7e}').contains(c));
            }
            '\r' => {
                while chars.next_if_eq(&'\r').is_some() {}
                let ends = chars.next_if_eq(&'\n').is_some();
                // At a line's beginning there is nothing to write over.
                if ends || !(out.is_empty() || out.ends_with('\n')) {
                    out.push('\n');
                }
            }
            '\n' | '\t' => out.push(c),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guests_console_cannot_drive_the_terminal() {
        assert_eq!(printable("a\r\nb\tc\u{1b}[2Jd\u{7}"), "a\nb\tcd\\u{7}");
        assert_eq!(printable("[\u{1b}[0;32m  OK  \u{1b}[0m] up\r\r\n\rgo\ron\u{1b}c"), "[  OK  ] up\ngo\non\\u{1b}c");
    }
}
