//! A part of a refusal that is said in words of its own, in both languages.

use std::fmt::Display;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::said;

/// One phrase in English and Japanese.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Said {
    /// In English.
    pub en: String,
    /// In Japanese.
    pub ja: String,
}

impl Said {
    /// Both.
    #[must_use]
    pub fn new(en: impl Into<String>, ja: impl Into<String>) -> Self {
        Self { en: en.into(), ja: ja.into() }
    }

    /// What is the same in both: a word to be typed, a number, another program's words.
    #[must_use]
    pub fn both(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { en: text.clone(), ja: text }
    }

    /// From one bound to another, both included.
    #[must_use]
    pub fn between(least: impl Display, most: impl Display) -> Self {
        said!("{least} to {most}", "{least}～{most}")
    }
}

/// A phrase of a refusal that services of before do not say, or a second one beside a [`Said`]: refusals stay small.
pub(crate) type SaidSince = Option<Box<Said>>;

/// A [`Said`] of two format strings, which take what they name from where they stand.
#[macro_export]
macro_rules! said {
    ($en:literal, $ja:literal) => {
        $crate::Said::new(format!($en), format!($ja))
    };
}

/// Puts fields into their places in a text: `{name}` is where the field `name` stands. Japanese that meets Japanese
/// stands without the space by which a name is set off.
#[must_use]
pub fn filled(template: &str, fields: &[(&str, &str)]) -> String {
    fields.iter().fold(template.to_owned(), |text, (name, value)| put(&text, &format!("{{{name}}}"), value))
}

fn put(text: &str, place: &str, value: &str) -> String {
    let mut parts = text.split(place);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let before = out.strip_suffix(' ').and_then(|text| text.chars().next_back());
        if are_japanese(before, value.chars().next()) {
            out.pop();
        }
        out.push_str(value);
        let after = part.strip_prefix(' ');
        let is_close = are_japanese(value.chars().next_back(), after.and_then(|text| text.chars().next()));
        out.push_str(after.filter(|_| is_close).unwrap_or(part));
    }
    out
}

/// Kana, kanji and their punctuation.
fn are_japanese(one: Option<char>, other: Option<char>) -> bool {
    let is = |c: char| matches!(c, '\u{3000}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ff01}'..='\u{ff60}');
    one.is_some_and(is) && other.is_some_and(is)
}

/// What fills a place in a refusal's texts.
pub(crate) trait Words {
    fn en(&self) -> &str;
    fn ja(&self) -> &str;
    /// An example.
    fn of(text: &str) -> Self;
}

/// A name, a number or a program's own words are the same in both.
impl Words for String {
    fn en(&self) -> &str {
        self
    }
    fn ja(&self) -> &str {
        self
    }
    fn of(text: &str) -> Self {
        text.to_owned()
    }
}

impl Words for Said {
    fn en(&self) -> &str {
        &self.en
    }
    fn ja(&self) -> &str {
        &self.ja
    }
    fn of(text: &str) -> Self {
        Self::new(text, text)
    }
}

impl Words for SaidSince {
    fn en(&self) -> &str {
        self.as_ref().map_or("", |said| said.en.as_str())
    }
    fn ja(&self) -> &str {
        self.as_ref().map_or("", |said| said.ja.as_str())
    }
    fn of(text: &str) -> Self {
        Some(Box::new(Words::of(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_set_off_from_japanese_and_japanese_is_not() {
        let taken = |owner: &str| {
            filled("アドレス {address} は {owner} が使用中です", &[("address", "10.0.0.1"), ("owner", owner)])
        };
        assert_eq!(taken("mail"), "アドレス 10.0.0.1 は mail が使用中です");
        assert_eq!(taken("サーバ mail"), "アドレス 10.0.0.1 はサーバ mail が使用中です");
        assert_eq!(taken("mail など"), "アドレス 10.0.0.1 は mail などが使用中です");
        assert_eq!(filled("{a}{a} {b}", &[("a", "{b}"), ("b", "x")]), "xx x", "one after another");
        assert_eq!(filled("give {a}: {b}.", &[("a", "--to"), ("b", "")]), "give --to: .");
    }
}
