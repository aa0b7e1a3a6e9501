//! Everything that Watari can answer with "cannot": a closed list, each with a stable code, a
//! cause and a remedy in English and Japanese (invariant 9).
//!
//! The list is one table. A refusal that lacks a language does not compile; a placeholder that
//! names no field is caught by the test below.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Said, admission, word};

/// A cause and its remedy in one language.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rendered {
    /// What is the matter.
    pub cause: String,
    /// What to do about it.
    pub remedy: String,
}

/// Whether the same request may succeed later without anything being changed by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Something must be changed first.
    No,
    /// Repeating is safe and may succeed.
    Later,
}

/// The class of a refusal, numbered as the NATS Services API does (HTTP's classes).
pub type Status = u16;

/// A state, what cannot be done in it, and by what an order is late are written in English into messages and documents.
fn japanese_of<'f>(name: &str, value: &'f str) -> &'f str {
    if ["state", "wanted", "what"].contains(&name) { word::japanese(value).unwrap_or(value) } else { value }
}

/// What a field is, if it is not the same text in both languages.
macro_rules! kind {
    () => {
        String
    };
    ($kind:ident) => {
        $kind
    };
}

macro_rules! refusals {
    ($($(#[$doc:meta])* $variant:ident { $($field:ident $(: $kind:ident)?),* } $code:literal $status:literal $retry:ident
        en $en_cause:literal $en_remedy:literal
        ja $ja_cause:literal $ja_remedy:literal;)*) => {
        /// Why something cannot be done. Field values are text, ready to be shown.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
        #[serde(tag = "kind", rename_all = "snake_case")]
        #[error("{}", self.english().cause)]
        pub enum Refusal {
            $($(#[$doc])* $variant {
                $(#[doc = concat!("Fills `{", stringify!($field), "}`.")] $field: kind!($($kind)?)),*
            },)*
        }

        impl Refusal {
            /// The stable code.
            #[must_use]
            pub const fn code(&self) -> &'static str {
                match self { $(Self::$variant { .. } => $code,)* }
            }

            /// The numeric class: 400 bad input, 403 not permitted, 404 unknown, 409 conflict,
            /// 503 not now, 507 no room.
            #[must_use]
            pub const fn status(&self) -> Status {
                match self { $(Self::$variant { .. } => $status,)* }
            }

            /// Whether repeating the request may succeed.
            #[must_use]
            pub const fn retry(&self) -> Retry {
                match self { $(Self::$variant { .. } => Retry::$retry,)* }
            }

            /// Cause and remedy in English.
            #[must_use]
            pub fn english(&self) -> Rendered {
                match self { $(Self::$variant { $($field),* } => {
                    let fields: &[(&str, &str)] = &[$((stringify!($field), $field.en())),*];
                    Rendered { cause: filled($en_cause, fields), remedy: filled($en_remedy, fields) }
                })* }
            }

            /// Cause and remedy in Japanese.
            #[must_use]
            pub fn japanese(&self) -> Rendered {
                match self { $(Self::$variant { $($field),* } => {
                    let fields: &[(&str, &str)] = &[$((stringify!($field), japanese_of(stringify!($field), $field.ja()))),*];
                    Rendered { cause: filled($ja_cause, fields), remedy: filled($ja_remedy, fields) }
                })* }
            }

            /// One of each, every field holding its own name in angle brackets: for the
            /// reference page and for tests of completeness.
            #[must_use]
            pub fn examples() -> Vec<Self> {
                vec![$(Self::$variant { $($field: Words::of(concat!("<", stringify!($field), ">"))),* }),*]
            }
        }
    };
}

impl Refusal {
    /// Whether the same request may succeed later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        self.retry() == Retry::Later
    }

    /// What is the matter, in both languages: for a refusal that says why by another one.
    #[must_use]
    pub fn said(&self) -> Said {
        Said::new(self.english().cause, self.japanese().cause)
    }

    /// Whether a node refuses whoever asks because it obeys a later leader, or says so.
    #[must_use]
    pub fn tells_of_a_later_leader(&self) -> bool {
        matches!(self, Self::Stale { what, .. } if what == admission::EPOCH)
    }
}

mod table;
pub use table::Refusal;

#[cfg(test)]
mod tests;
