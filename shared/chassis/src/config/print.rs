//! `--print-config`: every key, its effective value, and where it comes from.

use toml::{Table, Value};

use super::layers::Origins;

/// The effective settings as TOML, ready to be saved as a configuration file.
pub(crate) fn effective(table: &Table, origins: &Origins) -> String {
    let mut out = String::new();
    section(&mut out, "", table, origins);
    out
}

fn section(out: &mut String, path: &str, table: &Table, origins: &Origins) {
    let join = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let is_section = |value: &Value| value.as_table().is_some_and(|t| !t.is_empty() && !origins.contains_key(path));
    let plain: Vec<_> = table.iter().filter(|(_, v)| !is_section(v)).collect();
    if !path.is_empty() && !plain.is_empty() {
        out.push_str(&format!("{}[{path}]\n", if out.is_empty() { "" } else { "\n" }));
    }
    for (name, value) in plain {
        let key = join(name);
        let origin = origins.get(&key).or_else(|| origins.get(path)).map_or("default", String::as_str);
        out.push_str(&format!("{name} = {} # {origin}\n", without_password(value)));
    }
    for (name, value) in table.iter().filter(|(_, v)| is_section(v)) {
        if let Value::Table(inner) = value {
            section(out, &join(name), inner, origins);
        }
    }
}

/// Secrets are files named by their path, but somebody may have put one into a URL.
fn without_password(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(match text.split_once("://") {
            Some((scheme, rest)) => match rest.split_once('@') {
                Some((_, host)) => format!("{scheme}://***@{host}"),
                None => text.clone(),
            },
            None => text.clone(),
        }),
        Value::Array(items) => Value::Array(items.iter().map(without_password).collect()),
        other => other.clone(),
    }
}
