//! Names and values of one resource, one below the other, as wide as the terminal is: a value that is longer goes on in
//! its own column, rather than at the left edge between the names. What cannot be broken, such as a key, is left to the
//! terminal in one piece, so that it can be copied.

use std::io::IsTerminal;

use super::wrap::{longest, width, wrapped};

/// From so many columns on a value stands beside its name; in fewer there is room for it below the name only.
const BESIDE: u16 = 60;
/// In fewer nothing can be read whatever is done.
const LEAST: u16 = 20;
const INDENT: usize = 2;

/// How wide the terminal is that shows what is written; none if it is no terminal: what programs read has whole lines.
pub(super) fn columns() -> Option<u16> {
    let size = std::io::stdout().is_terminal().then(crossterm::terminal::window_size)?;
    size.ok().map(|size| size.columns).filter(|columns| *columns >= LEAST)
}

/// The pairs for so many columns.
pub(super) fn laid_out(pairs: &[(&str, &str)], columns: Option<u16>) -> String {
    let names = pairs.iter().map(|(name, _)| width(name)).max().unwrap_or_default() + INDENT;
    let one = |(name, value): &(&str, &str)| match columns {
        None => beside(names, name, &value.split('\n').map(str::to_owned).collect::<Vec<_>>()),
        Some(columns) => within(usize::from(columns), names, name, value, columns >= BESIDE),
    };
    pairs.iter().map(one).collect::<Vec<_>>().join("\n")
}

fn within(columns: usize, names: usize, name: &str, value: &str, is_wide: bool) -> String {
    let indent = if is_wide { names } else { INDENT };
    let room = columns.saturating_sub(indent);
    if longest(value) > room {
        return format!("{name}\n{value}");
    }
    let lines = wrapped(value, room);
    if is_wide {
        return beside(names, name, &lines);
    }
    let below = lines.iter().map(|line| format!("{:INDENT$}{line}", ""));
    std::iter::once(name.to_owned()).chain(below).collect::<Vec<_>>().join("\n")
}

/// The value's lines in a column of their own, which begins after the longest of the names.
fn beside(names: usize, name: &str, lines: &[String]) -> String {
    let gap = " ".repeat(names.saturating_sub(width(name)));
    let next = format!("\n{:names$}", "");
    format!("{name}{gap}{}", lines.join(&next)).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAULT: &str = "[vm.stranded] the only disk of server mail is on node m1, which is off";
    const DIGEST: &str = "64 bytes, SHA-256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0hHyQ5Vq1Y2k6u8l3w9vZr4mX7bN1cD5fG8hJ2kL4M sato@desk";
    const JA: &str = "サーバ mail のディスクは停止中のノード m1 にしかありません。ノードを復旧すると起動します。";
    const PAIRS: &[(&str, &str)] =
        &[("NAME", "mail"), ("FAULT", FAULT), ("USER-DATA", DIGEST), ("PUBLIC KEY", KEY), ("復元先", JA), ("X", "-")];

    /// Without what a line's end may stand for.
    fn solid(text: &str) -> String {
        text.split_whitespace().collect()
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_but_what_cannot_be_broken_and_nothing_is_lost() {
        let whole = laid_out(PAIRS, None);
        assert_eq!(whole.lines().count(), PAIRS.len(), "{whole}");
        for columns in [24, 40, 59, 60, 80, 120] {
            let text = laid_out(PAIRS, Some(columns));
            let mut wide = text.lines().filter(|line| width(line) > usize::from(columns));
            assert!(wide.all(|line| line == DIGEST || line == KEY), "{columns}: {text}");
            assert!(
                PAIRS.iter().all(|(name, _)| text.lines().any(|line| line.starts_with(*name))),
                "{columns}: {text}"
            );
            assert_eq!(solid(&text), solid(&whole), "{columns}: {text}");
        }
    }

    #[test]
    fn a_key_is_in_one_piece_however_narrow_the_terminal_is() {
        for columns in [24, 40, 60, 80, 120] {
            let text = laid_out(PAIRS, Some(columns));
            let piece = KEY.split(' ').nth(1).unwrap();
            assert!(text.lines().any(|line| line.contains(piece)), "{columns}: {text}");
        }
        assert!(laid_out(PAIRS, Some(40)).contains(&format!("PUBLIC KEY\n{KEY}\n")), "as it is typed elsewhere");
    }

    #[test]
    fn what_goes_on_stays_in_its_column() {
        let text = laid_out(PAIRS, Some(80));
        let lines: Vec<&str> = text.lines().collect();
        let at = lines[1].find("[vm.stranded]").unwrap();
        assert!(lines.len() > PAIRS.len() && lines.iter().any(|line| line.starts_with(&" ".repeat(at))), "{text}");
        let narrow = laid_out(PAIRS, Some(40));
        assert!(narrow.starts_with("NAME\n  mail\nFAULT\n  [vm.stranded] "), "{narrow}");
    }
}
