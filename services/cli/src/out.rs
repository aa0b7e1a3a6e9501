//! Showing results: tables for people, JSON for programs, and an end without noise when whoever
//! reads has seen enough (`watari vm list | head`).

use std::io::{ErrorKind, Write};

use clap::ValueEnum;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use crate::{
    failure::Failure,
    lang::Lang,
    texts::{faults::Fault, words::Word},
};

/// How results are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs; the field names are stable.
    Json,
}

/// Where results go: standard output, in a format and a language.
#[derive(Clone, Copy, Debug)]
pub struct Out {
    /// How.
    pub format: Format,
    /// In which language.
    pub lang: Lang,
}

/// A column: its header, and whether it holds numbers.
#[derive(Clone, Copy, Debug)]
pub enum Column {
    /// Words.
    Text(Word),
    /// Numbers, which stand at the right.
    Number(Word),
}

/// A line on standard error: progress, questions, errors. Nobody may be there to read it.
pub fn say(text: &str) {
    if !text.is_empty() {
        let _ = writeln!(std::io::stderr(), "{text}");
    }
}

/// What a resource looks like in a table.
pub trait Row: Serialize {
    /// The columns of a list.
    fn columns() -> Vec<Column>;
    /// Its cells in these columns.
    fn cells(&self, lang: Lang) -> Vec<String>;
    /// Everything of it, for `show`.
    fn details(&self, lang: Lang) -> Vec<(Word, String)>;
    /// What a list of none says.
    fn none() -> Word;
}

impl Out {
    /// A text and a line's end.
    ///
    /// # Errors
    /// [`Failure`] if it cannot be written; a silent one if the reader went away.
    pub fn text(&self, text: &str) -> Result<(), Failure> {
        let mut stdout = std::io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.write_all(b"\n")).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::Silent(0)),
            Err(error) => Err(Fault::File { path: "standard output".to_owned(), detail: error.to_string() }.into()),
        }
    }

    /// JSON over several lines.
    ///
    /// # Errors
    /// As [`Out::text`].
    pub fn json<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), Failure> {
        match serde_json::to_string_pretty(value) {
            Ok(text) => self.text(&text),
            Err(error) => Err(Fault::File { path: "JSON".to_owned(), detail: error.to_string() }.into()),
        }
    }

    /// A list: an array in JSON.
    ///
    /// # Errors
    /// As [`Out::text`].
    pub fn list<R: Row>(&self, rows: &[R]) -> Result<(), Failure> {
        match self.format {
            Format::Json => self.json(rows),
            Format::Table if rows.is_empty() => self.text(R::none().text(self.lang)),
            Format::Table => self.text(&self.table(&R::columns(), rows.iter().map(|r| r.cells(self.lang)))),
        }
    }

    /// One resource as a row: what a request that changes something answers.
    ///
    /// # Errors
    /// As [`Out::text`].
    pub fn row<R: Row>(&self, row: &R) -> Result<(), Failure> {
        match self.format {
            Format::Json => self.json(row),
            Format::Table => self.text(&self.table(&R::columns(), [row.cells(self.lang)])),
        }
    }

    /// One resource with everything of it.
    ///
    /// # Errors
    /// As [`Out::text`].
    pub fn show<R: Row>(&self, row: &R) -> Result<(), Failure> {
        match self.format {
            Format::Json => self.json(row),
            Format::Table => self.details(&row.details(self.lang)),
        }
    }

    /// Everything of one resource, for people.
    ///
    /// # Errors
    /// As [`Out::text`].
    pub fn details(&self, details: &[(Word, String)]) -> Result<(), Failure> {
        self.text(&self.pairs(details))
    }

    /// A table without lines, whose columns keep their place with wide characters too.
    #[must_use]
    pub fn table(&self, columns: &[Column], rows: impl IntoIterator<Item = Vec<String>>) -> String {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_header(columns.iter().map(|c| match c {
            Column::Text(word) | Column::Number(word) => word.text(self.lang),
        }));
        table.add_rows(rows);
        for (n, column) in columns.iter().enumerate() {
            let Some(shown) = table.column_mut(n) else { continue };
            shown.set_padding((0, 2));
            if matches!(column, Column::Number(_)) {
                shown.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.trim_fmt()
    }

    fn pairs(&self, pairs: &[(Word, String)]) -> String {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.add_rows(pairs.iter().map(|(word, value)| vec![word.text(self.lang).to_owned(), value.clone()]));
        if let Some(column) = table.column_mut(0) {
            column.set_padding((0, 2));
        }
        if let Some(column) = table.column_mut(1) {
            column.set_padding((0, 0));
        }
        table.trim_fmt()
    }
}

/// A value that may be missing.
#[must_use]
pub fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| v.to_string())
}

/// Several values, or a dash.
#[must_use]
pub fn joined<T: ToString>(values: impl IntoIterator<Item = T>) -> String {
    let text = values.into_iter().map(|v| v.to_string()).collect::<Vec<_>>().join(" ");
    if text.is_empty() { "-".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_keep_their_place_beside_wide_characters() {
        let out = Out { format: Format::Table, lang: Lang::Ja };
        let columns = [Column::Text(Word::Name), Column::Text(Word::Title), Column::Number(Word::Nodes)];
        let row = |a: &str, b: &str, c: &str| vec![a.to_owned(), b.to_owned(), c.to_owned()];
        let text = out.table(&columns, [row("myodaiji", "明大寺", "2"), row("yamate", "yamate", "12")]);
        let width = |line: &str, part: &str| {
            let before = &line[..line.find(part).unwrap()];
            before.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum::<usize>()
        };
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(width(lines[1], "明大寺"), width(lines[2], "yamate ").max(10), "{text}");
        assert_eq!(width(lines[1], " 2") + 1, width(lines[2], "12") + 1, "{text}");
        assert!(lines.iter().all(|l| !l.ends_with(' ')), "{text}");
    }
}
