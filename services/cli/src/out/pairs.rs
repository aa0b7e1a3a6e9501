//! Names and values of one resource, one below the other, as wide as the terminal is: a value that is longer goes on in
//! its own column, rather than at the left edge between the names.

use std::io::IsTerminal;

use comfy_table::{ContentArrangement, Table, presets::NOTHING};

/// From so many columns on a value stands beside its name; in fewer there is room for it below the name only.
const BESIDE: u16 = 60;
/// In fewer nothing can be read whatever is done.
const LEAST: u16 = 20;
const INDENT: u16 = 2;

/// How wide the terminal is that shows what is written; none if it is no terminal: what programs read has whole lines.
pub(super) fn columns() -> Option<u16> {
    let size = std::io::stdout().is_terminal().then(crossterm::terminal::window_size)?;
    size.ok().map(|size| size.columns).filter(|columns| *columns >= LEAST)
}

/// The pairs for so many columns.
pub(super) fn laid_out(pairs: &[(&str, &str)], columns: Option<u16>) -> String {
    match columns {
        Some(columns) if columns < BESIDE => below(pairs, columns),
        columns => beside(pairs, columns),
    }
}

fn beside(pairs: &[(&str, &str)], columns: Option<u16>) -> String {
    let mut table = plain(columns);
    table.add_rows(pairs.iter().map(|(name, value)| vec![*name, *value]));
    if let Some(column) = table.column_mut(0) {
        column.set_padding((0, 2));
    }
    if let Some(column) = table.column_mut(1) {
        column.set_padding((0, 0));
    }
    table.trim_fmt()
}

fn below(pairs: &[(&str, &str)], columns: u16) -> String {
    let one = |(name, value): &(&str, &str)| {
        let mut table = plain(Some(columns));
        table.add_row(vec![*value]);
        if let Some(column) = table.column_mut(0) {
            column.set_padding((INDENT, 0));
        }
        format!("{name}\n{}", table.trim_fmt())
    };
    pairs.iter().map(one).collect::<Vec<_>>().join("\n")
}

fn plain(columns: Option<u16>) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    if let Some(columns) = columns {
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(columns);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAULT: &str = "[vm.stranded] the only disk of server mail is on node m1, which is off";
    const DIGEST: &str = "64 bytes, SHA-256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    const JA: &str = "サーバ mail のディスクは停止中のノード m1 にしかありません。ノードを復旧すると起動します。";
    const PAIRS: &[(&str, &str)] =
        &[("NAME", "mail"), ("FAULT", FAULT), ("USER-DATA", DIGEST), ("復元先", JA), ("X", "-")];

    fn width(line: &str) -> usize {
        line.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum()
    }

    /// Without what a line's end may stand for.
    fn solid(text: &str) -> String {
        text.split_whitespace().collect()
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_nothing_is_lost() {
        let whole = laid_out(PAIRS, None);
        assert_eq!(whole.lines().count(), PAIRS.len(), "{whole}");
        for columns in [24, 40, 59, 60, 80, 132] {
            let text = laid_out(PAIRS, Some(columns));
            let wide = text.lines().find(|line| width(line) > usize::from(columns));
            assert_eq!(wide, None, "{columns}: {text}");
            for (name, value) in PAIRS {
                assert!(text.lines().any(|line| line.starts_with(*name)), "{columns}: {text}");
                // Pieces of a value stand below each other, so that no other text stands between them.
                let first = value.split(' ').next().unwrap_or_default();
                assert!(solid(&text).contains(&solid(&first.chars().take(8).collect::<String>())), "{columns}: {text}");
            }
            assert!(columns >= BESIDE || solid(&text) == solid(&whole), "{columns}: {text}");
        }
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
