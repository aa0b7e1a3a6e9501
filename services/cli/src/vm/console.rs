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

/// What a guest wrote must not drive the operator's terminal: control characters other than line
/// ends and tabs are shown as what they are.
fn printable(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '\n' | '\t' => out.push(c),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guests_console_cannot_drive_the_terminal() {
        assert_eq!(printable("a\r\nb\tc\u{1b}[2Jd\u{7}"), "a\nb\tc\\u{1b}[2Jd\\u{7}");
    }
}
