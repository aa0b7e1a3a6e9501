//! Layers of settings: embedded defaults, then the file, then the environment.
//!
//! The defaults say which keys exist and of which type they are; nothing is guessed. A table that
//! is empty in the defaults is *open*: the operator fills it with names of their own, such as
//! `[networks.segments]`.

use std::collections::BTreeMap;

use toml::{Table, Value};

/// Where a value comes from, by the dotted path of its key.
pub(crate) type Origins = BTreeMap<String, String>;

/// A key in a file that no default knows.
pub(crate) struct UnknownKey {
    pub(crate) key: String,
    pub(crate) nearest: Option<String>,
}

fn join(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

/// The dotted paths of all settable keys. An open table counts as one key.
pub(crate) fn known_keys(defaults: &Table) -> Vec<String> {
    fn walk(prefix: &str, table: &Table, keys: &mut Vec<String>) {
        for (name, value) in table {
            let path = join(prefix, name);
            match value {
                Value::Table(inner) if !inner.is_empty() => walk(&path, inner, keys),
                _ => keys.push(path),
            }
        }
    }
    let mut keys = Vec::new();
    walk("", defaults, &mut keys);
    keys
}

/// Puts two sets of defaults together; a section may stand in both.
pub(crate) fn join_defaults(base: &mut Table, own: Table) {
    for (name, value) in own {
        match (base.get_mut(&name), value) {
            (Some(Value::Table(there)), Value::Table(more)) => join_defaults(there, more),
            (_, value) => {
                base.insert(name, value);
            }
        }
    }
}

/// Lays `over` (read from `origin`) upon `base`, whose keys are the known ones.
pub(crate) fn lay(
    base: &mut Table,
    over: Table,
    origin: &str,
    prefix: &str,
    origins: &mut Origins,
    known: &[String],
) -> Result<(), UnknownKey> {
    for (name, value) in over {
        let path = join(prefix, &name);
        match (base.get_mut(&name), value) {
            (None, _) => return Err(UnknownKey { nearest: nearest(&path, known), key: path }),
            (Some(Value::Table(there)), Value::Table(more)) if !there.is_empty() => {
                lay(there, more, origin, &path, origins, known)?;
            }
            (Some(there), value) => {
                *there = value;
                origins.insert(path, origin.to_owned());
            }
        }
    }
    Ok(())
}

/// The name of the environment variable for a key: `bus.request_timeout_ms` is
/// `WATARI_BUS_REQUEST_TIMEOUT_MS`.
pub(crate) fn variable(key: &str) -> String {
    format!("WATARI_{}", key.replace(['.', '-'], "_").to_uppercase())
}

/// Reads the text of a variable as the type that the default has.
pub(crate) fn read_as(default: &Value, text: &str) -> Result<Value, String> {
    let toml = || format!("value = {text}").parse::<Table>().ok().and_then(|mut table| table.remove("value"));
    let wanted = |kind: &str| format!("{text:?} is not {kind}");
    match default {
        Value::String(_) => Ok(Value::String(text.to_owned())),
        Value::Integer(_) => text.parse().map(Value::Integer).map_err(|_| wanted("a whole number")),
        Value::Float(_) => text.parse().map(Value::Float).map_err(|_| wanted("a number")),
        Value::Boolean(_) => text.parse().map(Value::Boolean).map_err(|_| wanted("true or false")),
        Value::Array(_) if text.trim_start().starts_with('[') => toml().ok_or_else(|| wanted("a TOML array")),
        Value::Array(_) => Ok(Value::Array(
            text.split(',').map(str::trim).filter(|s| !s.is_empty()).map(|s| Value::String(s.to_owned())).collect(),
        )),
        Value::Table(_) => toml().filter(Value::is_table).ok_or_else(|| wanted("a TOML inline table")),
        Value::Datetime(_) => toml().ok_or_else(|| wanted("a TOML date")),
    }
}

/// The value at a dotted path.
pub(crate) fn at<'a>(table: &'a mut Table, path: &str) -> Option<&'a mut Value> {
    match path.split_once('.') {
        None => table.get_mut(path),
        Some((first, rest)) => match table.get_mut(first)? {
            Value::Table(inner) => at(inner, rest),
            _ => None,
        },
    }
}

/// The known key that a wrong one was probably meant to be.
fn nearest(wrong: &str, known: &[String]) -> Option<String> {
    known
        .iter()
        .map(|key| (distance(wrong, key), key))
        .min()
        .filter(|(d, _)| *d <= 1 + wrong.len() / 3)
        .map(|(_, key)| key.clone())
}

/// Levenshtein's distance: letters to change, add or leave out.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_levenshtein() {
        for (a, b, d) in [("", "", 0), ("a", "", 1), ("kitten", "sitting", 3), ("bus.url", "bus.urls", 1)] {
            assert_eq!(distance(a, b), d, "{a} {b}");
        }
    }

    #[test]
    fn variables_are_read_as_the_type_of_the_default() {
        let list = Value::Array(vec![]);
        assert_eq!(read_as(&list, "a, b").unwrap(), read_as(&list, r#"["a","b"]"#).unwrap());
        assert_eq!(read_as(&Value::Integer(1), "7").unwrap(), Value::Integer(7));
        assert!(read_as(&Value::Integer(1), "seven").unwrap_err().contains("whole number"));
        assert!(read_as(&Value::Table(Table::new()), r#"{ campus = "br0" }"#).unwrap().is_table());
        assert!(read_as(&Value::Table(Table::new()), "br0").is_err());
    }
}
