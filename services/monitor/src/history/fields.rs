//! What of a document changed, field by field.

use std::collections::BTreeSet;

use serde_json::Value;
use watari_contracts::history::FieldChange;

/// The most fields that are told of one change.
const MOST: usize = 48;
/// The longest value that is told, in characters.
const LONGEST: usize = 160;
/// What every change changes, what only repeats it, and what is for machines.
const BOOKKEEPING: [&str; 3] = ["changed_at", "requests", "trace"];

/// How the fields of two forms of a document differ, at most [`MOST`] of them, and how many more do. A form that
/// is no JSON, such as one that was too large to be kept, is compared with nothing.
pub(crate) fn differences(before: &str, after: &str) -> (Vec<FieldChange>, u32) {
    let read = serde_json::from_str::<Value>;
    let (Ok(before), Ok(after)) = (read(before), read(after)) else { return (Vec::new(), 0) };
    let mut found = Vec::new();
    compare("", &before, &after, &mut found);
    let left_out = found.len().saturating_sub(MOST);
    found.truncate(MOST);
    (found, u32::try_from(left_out).unwrap_or(u32::MAX))
}

/// Whether a backup that is put back sets the field forward, so that operations get names that nobody has seen.
pub(crate) fn is_counter(field: &str) -> bool {
    field == "migrations" || field.starts_with("reboots.")
}

/// A field that is not there and one that is null are the same to documents.
fn compare(path: &str, before: &Value, after: &Value, found: &mut Vec<FieldChange>) {
    if before == after {
        return;
    }
    let parts = |value: &Value| value.as_object().filter(|object| !object.is_empty()).cloned();
    let (old, new) = match (parts(before), parts(after)) {
        (Some(old), Some(new)) => (old, new),
        (Some(old), None) if after.is_null() => (old, serde_json::Map::new()),
        (None, Some(new)) if before.is_null() => (serde_json::Map::new(), new),
        _ => {
            found.push(FieldChange { field: path.to_owned(), before: shown(before), after: shown(after) });
            return;
        }
    };
    for key in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        if path.is_empty() && BOOKKEEPING.contains(&key.as_str()) {
            continue;
        }
        let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let value = |object: &serde_json::Map<String, Value>| object.get(key).cloned().unwrap_or(Value::Null);
        compare(&inner, &value(&old), &value(&new), found);
    }
}

fn shown(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let cut: String = text.chars().take(LONGEST).collect();
    Some(if cut.len() < text.len() { format!("{cut}…") } else { cut })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(before: &str, after: &str) -> Vec<String> {
        let (fields, left_out) = differences(before, after);
        assert_eq!(left_out, 0);
        let value = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        fields.into_iter().map(|f| format!("{} {} {}", f.field, value(f.before), value(f.after))).collect()
    }

    #[test]
    fn a_change_is_told_by_the_field_that_changed() {
        let before =
            r#"{"name":"mail","spec":{"vcpus":1,"memory_mib":512},"pending":null,"changed_at":"a","requests":[1]}"#;
        let after = r#"{"name":"mail","spec":{"vcpus":2,"memory_mib":512},"pending":{"vcpus":4},"changed_at":"b","requests":[]}"#;
        assert_eq!(told(before, after), ["pending.vcpus - 4", "spec.vcpus 1 2"]);
        assert_eq!(told(r#"{"nics":["a"]}"#, r#"{"nics":["a","b"]}"#), [r#"nics ["a"] ["a","b"]"#]);
    }

    #[test]
    fn a_document_that_is_made_or_deleted_has_its_fields_on_one_side() {
        assert_eq!(told("null", r#"{"name":"mail","grant":{"node":"m1"}}"#), ["grant.node - m1", "name - mail"]);
        assert_eq!(told(r#"{"name":"mail","fault":null}"#, "null"), ["name mail -"]);
    }

    #[test]
    fn what_cannot_be_read_is_compared_with_nothing() {
        for (before, after) in [("", r#"{"a":1}"#), (r#"{"a":1}"#, ""), ("{", "}")] {
            assert_eq!(differences(before, after), (vec![], 0));
        }
    }

    #[test]
    fn the_answer_has_a_bound_whatever_the_document() {
        let many: serde_json::Map<String, Value> =
            (0..200).map(|n| (format!("f{n}"), Value::String("語".repeat(5_000)))).collect();
        let (fields, left_out) = differences("null", &Value::Object(many).to_string());
        assert_eq!((fields.len(), left_out), (MOST, 152));
        assert!(fields.iter().all(|f| f.after.as_ref().is_some_and(|v| v.chars().count() == LONGEST + 1)));
    }

    proptest! {
        #[test]
        fn nothing_is_told_of_a_document_that_is_the_same(text in "[a-z]{0,8}", number in any::<u64>()) {
            let document = serde_json::json!({ "a": text, "b": { "c": number } }).to_string();
            prop_assert_eq!(differences(&document, &document), (vec![], 0));
        }
    }
}
