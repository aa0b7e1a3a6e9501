//! What people type, read by the model's own rules, so that it is refused here with the words with
//! which a service would refuse it.

use std::{fs::File, io::Read, str::FromStr};

use watari_model::{NotAName, Refusal, Said};

use crate::{failure::Failure, texts::faults::Fault};

/// A name.
///
/// # Errors
/// [`Failure::Mistyped`] saying what a name is.
pub fn name<N: FromStr<Err = NotAName>>(text: &str) -> Result<N, Failure> {
    text.parse().map_err(|e: NotAName| Failure::mistyped(Refusal::BadName { value: format!("{:?}", e.shown) }))
}

/// A name that may be left out.
///
/// # Errors
/// As [`name`].
pub fn name_if<N: FromStr<Err = NotAName>>(text: Option<&str>) -> Result<Option<N>, Failure> {
    text.map(name).transpose()
}

/// An address, or anything else that is written in one way.
///
/// # Errors
/// [`Failure::Mistyped`] naming the field and what it takes.
pub fn value<V: FromStr>(field: &str, allowed: Said, text: &str) -> Result<V, Failure> {
    text.parse().map_err(|_| out_of_range(field, allowed, text))
}

/// That a field does not take this value.
#[must_use]
pub fn out_of_range(field: &str, allowed: Said, value: &str) -> Failure {
    Failure::mistyped(Refusal::OutOfRange { field: field.to_owned(), value: value.chars().take(40).collect(), allowed })
}

/// `KEY=VALUE`.
///
/// # Errors
/// As [`value`].
pub fn pair(field: &str, text: &str) -> Result<(String, String), Failure> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(out_of_range(field, Said::both("KEY=VALUE"), text)),
    }
}

/// The text of a file, or of standard input for `-`, as far as `most` bytes.
///
/// # Errors
/// [`Fault::File`] if it cannot be read or is no UTF-8.
pub fn text(file: &str, most: usize) -> Result<String, Failure> {
    let unusable = |detail: String| Fault::File { path: file.to_owned(), detail };
    let source: Box<dyn Read> = match file {
        "-" => Box::new(std::io::stdin().lock()),
        path => Box::new(File::open(path).map_err(|e| unusable(e.to_string()))?),
    };
    let mut bytes = Vec::new();
    source.take(most as u64).read_to_end(&mut bytes).map_err(|e| unusable(e.to_string()))?;
    String::from_utf8(bytes).map_err(|_| unusable("it is not UTF-8 text".to_owned()).into())
}
