//! What is wrong with a file that declares no servers as it stands: which server, which item, and how that is written.
//! What a parser says of it names neither, and says it in English alone.

use serde_json::{Map, Value, json};

use super::form::Server;
use crate::{suggest, texts::faults::Fault};

/// The items of a server, and how each is written.
const ITEMS: [(&str, &str); 25] = [
    ("name", "web"),
    ("image", "mini"),
    ("networks", "[campus, lab=192.0.2.7]"),
    ("public_addresses", "[lab=203.0.113.200]"),
    ("site", "myodaiji"),
    ("project", "research"),
    ("vcpus", "2"),
    ("memory", "512MiB"),
    ("disk", "4GiB"),
    ("node_labels", "{rack: a3}"),
    ("groups", "[front:apart]"),
    ("firewalls", "[web]"),
    ("probes", "['tcp:22', 'smtp:25', 'http:80/path']"),
    ("after", "[db]"),
    ("evacuate", "live, stay"),
    ("priority", "0 - 100"),
    ("restart", "always, never"),
    ("on_isolation", "keep, stop"),
    ("restart_from_copy", "3600"),
    ("max_downtime", "0 - 60"),
    ("display", "true, false"),
    ("keys", "[sato]"),
    ("hostname", "web.example.jp"),
    ("user_data", "web.yaml"),
    ("running", "true, false"),
];
/// So much of what was written is shown.
const SHOWN: usize = 40;

/// The fault of a file that holds `value`; none if it is not in what is written there, but in how.
pub(super) fn found(path: &str, value: &Value) -> Option<Fault> {
    let shape = || Fault::ServersShape { path: path.to_owned() };
    let Some(file) = value.as_object() else { return Some(shape()) };
    let Some(servers) = file.get("servers").and_then(Value::as_array) else { return Some(shape()) };
    if file.len() > 1 {
        return Some(shape());
    }
    servers.iter().enumerate().find_map(|(n, server)| match server.as_object() {
        Some(server) => of_server(path, n, server),
        None => Some(shape()),
    })
}

fn of_server(path: &str, n: usize, server: &Map<String, Value>) -> Option<Fault> {
    let name = server.get("name").and_then(Value::as_str);
    let (path, server_name) = (path.to_owned(), name.map_or_else(|| format!("#{}", n + 1), str::to_owned));
    if let Some(item) = server.keys().find(|key| !ITEMS.iter().any(|(item, _)| item == key)) {
        let items = ITEMS.map(|(item, _)| item.to_owned());
        let near = suggest::near(item, items.clone());
        let items = if near.is_empty() { items.join(", ") } else { near.join(", ") };
        return Some(Fault::ServersItem { path, server: server_name, item: item.clone(), items });
    }
    if !server.contains_key("name") {
        return Some(Fault::ServersNameless { path, server: server_name });
    }
    let (item, form) = ITEMS.into_iter().find(|(item, _)| server.get(*item).is_some_and(|is| !taken(item, is)))?;
    let value = server.get(item).map(shown).unwrap_or_default();
    Some(Fault::ServersValue { path, server: server_name, item: item.to_owned(), value, form: form.to_owned() })
}

/// Whether an item takes a value. A number is a word as well, where one is wanted.
fn taken(item: &str, value: &Value) -> bool {
    let of = |value: Value| {
        let mut server = json!({"name": "x"});
        if let Some(server) = server.as_object_mut() {
            server.insert(item.to_owned(), value);
        }
        serde_json::from_value::<Server>(server).is_ok()
    };
    of(value.clone()) || of(in_words(value))
}

fn in_words(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::String(number.to_string()),
        Value::Bool(is) => Value::String(is.to_string()),
        Value::Array(values) => values.iter().map(in_words).collect(),
        Value::Object(values) => values.iter().map(|(key, value)| (key.clone(), in_words(value))).collect(),
        Value::Null | Value::String(_) => value.clone(),
    }
}

fn shown(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{lang::Lang, texts::hints};

    fn code(value: &Value) -> Option<&'static str> {
        found("a.yaml", value).map(|fault| fault.code())
    }

    #[test]
    fn what_is_wrong_is_told_with_the_server_and_the_item() {
        let one = |server: Value| json!({"servers": [{"name": "web", "image": "mini"}, server]});
        for (server, parts) in [
            (json!({"name": "db", "memroy": "1GiB"}), ["db", "memroy", "memory"]),
            (json!({"name": "db", "restart": "allways"}), ["db", "allways", "always, never"]),
            (json!({"name": "db", "priority": 700}), ["db", "700", "0 - 100"]),
            (json!({"name": "db", "running": "perhaps"}), ["db", "perhaps", "true, false"]),
            (json!({"name": "d.b"}), ["d.b", "name", "web"]),
            (json!({"image": "mini"}), ["#2", "a.yaml", "name"]),
        ] {
            let told = found("a.yaml", &one(server.clone())).unwrap().rendered(Lang::Ja);
            let told = format!("{} {}", told.cause, told.remedy);
            assert!(parts.iter().all(|part| told.contains(part)), "{server}: {told}");
        }
    }

    #[test]
    fn every_item_of_a_server_is_called_something_in_japanese() {
        for (item, _) in ITEMS {
            assert!(!hints::item(Lang::Ja, item).is_ascii(), "{item}");
        }
    }

    #[test]
    fn every_item_of_a_server_is_known() {
        let server = include_str!("../../../../shared/contracts/tests/golden/reply.VmView.json");
        let views: Vec<watari_contracts::scheduler::VmView> = serde_json::from_str(server).unwrap();
        for view in &views {
            assert_eq!(code(&json!({"servers": [Server::from(view)]})), None);
        }
        for wrong in [json!(null), json!([]), json!({"servers": 3}), json!({"servers": [3]}), json!({"vms": []})] {
            assert_eq!(code(&wrong), Some("apply.shape"), "{wrong}");
        }
        let numbers = json!({"name": "web", "node_labels": {"rack": 3}, "memory": 192, "vcpus": 2});
        assert_eq!(code(&json!({"servers": [numbers]})), None, "a number is a word as well");
    }
}
