//! What people type, read by the model's own rules, so that it is refused here with the words with
//! which a service would refuse it.

use std::str::FromStr;

use watari_model::{NotAName, Refusal};

use crate::failure::Failure;

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
pub fn value<V: FromStr>(field: &str, allowed: &str, text: &str) -> Result<V, Failure> {
    text.parse().map_err(|_| out_of_range(field, allowed, text))
}

/// That a field does not take this value.
#[must_use]
pub fn out_of_range(field: &str, allowed: &str, value: &str) -> Failure {
    Failure::mistyped(Refusal::OutOfRange {
        field: field.to_owned(),
        value: value.chars().take(40).collect(),
        allowed: allowed.to_owned(),
    })
}

/// `KEY=VALUE`.
///
/// # Errors
/// As [`value`].
pub fn pair(field: &str, text: &str) -> Result<(String, String), Failure> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(out_of_range(field, "KEY=VALUE", text)),
    }
}
