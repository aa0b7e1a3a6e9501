//! Showing results: tables for people, JSON and YAML for programs, names for shells, and an end without noise
//! when whoever reads has seen enough (`watari vm list | head`).

mod fit;
mod pairs;
mod tone;
mod wrap;

pub use tone::Tone;

use std::io::{ErrorKind, Write};

use clap::ValueEnum;
use serde::Serialize;

use crate::{
    failure::Failure,
    lang::{Lang, Signs},
    texts::{
        faults::Fault,
        words::{self, Word},
    },
};

/// How results are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For people with a wide window: lists have more columns.
    Wide,
    /// For programs; the field names are stable.
    Json,
    /// What json gives, as YAML.
    Yaml,
    /// For shells: names alone, one a line.
    Name,
}

impl Format {
    /// Whether a person reads it, who may be told more beside it.
    #[must_use]
    pub const fn is_for_people(self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }
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

impl Column {
    /// Its header.
    #[must_use]
    pub const fn word(self) -> Word {
        match self {
            Self::Text(word) | Self::Number(word) => word,
        }
    }
}

/// Where a column's cells stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
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
    /// What a list has besides for who has room for it.
    fn wide_columns() -> Vec<Column> {
        Vec::new()
    }
    /// Its cells in these columns.
    fn wide_cells(&self, _: Lang) -> Vec<String> {
        Vec::new()
    }
    /// Everything of it, for `show`: the columns of a list, where that is everything.
    fn details(&self, lang: Lang) -> Vec<(Word, String)> {
        let columns = Self::columns().into_iter().chain(Self::wide_columns());
        columns.map(Column::word).zip(self.cells(lang).into_iter().chain(self.wide_cells(lang))).collect()
    }
    /// What it is called where names alone are wanted: the first cell, where that is a name.
    fn name(&self) -> String {
        self.cells(Lang::En).into_iter().next().unwrap_or_default()
    }
    /// How much it wants to be looked at.
    fn tone(&self) -> Tone {
        Tone::Usual
    }
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

    /// A text for people, with the signs that their terminal has: whose takes no more than ASCII reads English.
    #[must_use]
    pub fn written(&self, text: &str) -> String {
        match self.lang {
            Lang::En => Signs::of_environment().written(text),
            Lang::Ja => text.to_owned(),
        }
    }

    /// A value as programs read it: YAML if that is wanted, else JSON over several lines.
    ///
    /// # Errors
    /// As [`Out::text`].
    pub fn document<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), Failure> {
        let unusable = |path: &str, detail: String| Fault::File { path: path.to_owned(), detail };
        let text = match self.format {
            // Its last line's end comes with the text.
            Format::Yaml => serde_saphyr::to_string(&value)
                .map(|text| text.trim_end_matches('\n').to_owned())
                .map_err(|error| unusable("YAML", error.to_string()))?,
            _ => serde_json::to_string_pretty(value).map_err(|error| unusable("JSON", error.to_string()))?,
        };
        self.text(&text)
    }

    /// Names, one a line; of none nothing, not even a line's end.
    ///
    /// # Errors
    /// As [`Out::text`].
    pub fn names(&self, names: impl IntoIterator<Item = String>) -> Result<(), Failure> {
        let names: Vec<String> = names.into_iter().collect();
        if names.is_empty() { Ok(()) } else { self.text(&names.join("\n")) }
    }

    /// What is no plain resource: the whole value for programs, its names for shells, a text for people.
    ///
    /// # Errors
    /// As [`Out::text`].
    pub fn told<T: Serialize + ?Sized>(
        &self,
        value: &T,
        names: impl IntoIterator<Item = String>,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Json | Format::Yaml => self.document(value),
            Format::Name => self.names(names),
            Format::Table | Format::Wide => self.text(&self.written(&text())),
        }
    }

    /// The same of sentences beside tables, which a narrow terminal shows in as many lines as they take.
    ///
    /// # Errors
    /// As [`Out::text`].
    pub fn reported<T: Serialize + ?Sized>(
        &self,
        value: &T,
        names: impl IntoIterator<Item = String>,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        self.told(value, names, || match pairs::columns() {
            Some(columns) => wrap::folded(&text(), usize::from(columns)),
            None => text(),
        })
    }

    /// What is deleted: as it was last for programs, and that it is gone for people.
    ///
    /// # Errors
    /// As [`Out::text`].
    pub fn gone<T: Serialize>(&self, last: &T, name: &str) -> Result<(), Failure> {
        self.told(last, [name.to_owned()], || words::gone(self.lang, name))
    }

    /// A list: an array for programs.
    ///
    /// # Errors
    /// As [`Out::text`].
    pub fn list<R: Row>(&self, rows: &[R]) -> Result<(), Failure> {
        self.told(rows, rows.iter().map(Row::name), || match rows {
            [] => R::none().text(self.lang).to_owned(),
            rows => self.rows(rows),
        })
    }

    /// One resource as a row: what a request that changes something answers.
    ///
    /// # Errors
    /// As [`Out::text`].
    pub fn row<R: Row>(&self, row: &R) -> Result<(), Failure> {
        self.told(row, [row.name()], || self.rows(std::slice::from_ref(row)))
    }

    /// One resource with everything of it.
    ///
    /// # Errors
    /// As [`Out::text`].
    pub fn show<R: Row>(&self, row: &R) -> Result<(), Failure> {
        self.told(row, [row.name()], || self.pairs(&row.details(self.lang)))
    }

    /// Resources as a table, which is as wide as is wanted.
    fn rows<R: Row>(&self, rows: &[R]) -> String {
        self.lines(rows, |row| row.cells(self.lang))
    }

    /// The same with other cells in the usual columns, where more is known than the resource says.
    #[must_use]
    pub fn lines<R: Row>(&self, rows: &[R], cells: impl Fn(&R) -> Vec<String>) -> String {
        let wide = self.format == Format::Wide;
        let more = |row: &R| if wide { row.wide_cells(self.lang) } else { Vec::new() };
        let columns = R::columns().into_iter().chain(if wide { R::wide_columns() } else { Vec::new() });
        let rows = rows.iter().map(|row| (row.tone(), cells(row).into_iter().chain(more(row)).collect::<Vec<_>>()));
        self.toned(&columns.collect::<Vec<_>>(), rows)
    }

    /// A table without lines, whose columns keep their place with wide characters too, as wide as the terminal is.
    #[must_use]
    pub fn table(&self, columns: &[Column], rows: impl IntoIterator<Item = Vec<String>>) -> String {
        self.toned(columns, rows.into_iter().map(|row| (Tone::Usual, row)))
    }

    /// The same with what stands out.
    #[must_use]
    pub fn toned(&self, columns: &[Column], rows: impl IntoIterator<Item = (Tone, Vec<String>)>) -> String {
        let heading = |column: &Column| {
            let align = if matches!(column, Column::Number(_)) { Align::Right } else { Align::Left };
            (column.word().text(self.lang), align)
        };
        let headings: Vec<_> = columns.iter().map(heading).collect();
        // An arrow of two letters takes room, too.
        let written = |cells: Vec<String>| cells.iter().map(|cell| self.written(cell)).collect::<Vec<_>>();
        let rows = rows.into_iter().map(|(tone, cells)| (tone, written(cells)));
        let (tones, rows): (Vec<Tone>, Vec<Vec<String>>) = rows.unzip();
        let tones = if tone::is_shown() { tones } else { Vec::new() };
        fit::laid_out(&headings, &rows, &tones, pairs::columns())
    }

    /// Everything of one resource, for people: as wide as their terminal is.
    #[must_use]
    pub fn pairs(&self, pairs: &[(Word, String)]) -> String {
        let pairs: Vec<_> = pairs.iter().map(|(word, value)| (word.text(self.lang), self.written(value))).collect();
        let texts: Vec<_> = pairs.iter().map(|(word, value)| (*word, value.as_str())).collect();
        pairs::laid_out(&texts, pairs::columns())
    }
}

/// [`Out::table`] under headings of one's own.
#[must_use]
pub fn grid(headings: &[(&str, Align)], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    fit::laid_out(headings, &rows.into_iter().collect::<Vec<_>>(), &[], pairs::columns())
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
