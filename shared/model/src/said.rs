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

/// A [`Said`] of two format strings, which take what they name from where they stand.
#[macro_export]
macro_rules! said {
    ($en:literal, $ja:literal) => {
        $crate::Said::new(format!($en), format!($ja))
    };
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
