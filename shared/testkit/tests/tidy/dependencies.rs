//! What may stand behind our programs: `deny.toml`, as far as it can be looked at without asking anybody. What is known of
//! weaknesses `cargo deny` alone can tell (`deploy/test deny`).

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

/// What `deny.toml` says.
pub(crate) struct Policy {
    licences: BTreeSet<String>,
    /// By library.
    exceptions: BTreeMap<String, BTreeSet<String>>,
    bans: BTreeSet<String>,
}

impl Policy {
    pub(crate) fn of(text: &str) -> Self {
        let table: Table = text.parse().expect("deny.toml is TOML");
        let exceptions = entries(&table, "licenses", "exceptions");
        let allowed = |entry: &Value| Some((named(entry, "crate")?, words(entry.get("allow"))));
        Self {
            licences: words(table.get("licenses").and_then(|section| section.get("allow"))),
            exceptions: exceptions.iter().filter_map(allowed).collect(),
            bans: entries(&table, "bans", "deny").iter().filter_map(|entry| named(entry, "name")).collect(),
        }
    }

    /// Libraries that are banned and in the lock file.
    pub(crate) fn banned(&self, lock: &str) -> Vec<String> {
        let lock: Table = lock.parse().expect("Cargo.lock is TOML");
        let packages = lock.get("package").and_then(Value::as_array).into_iter().flatten();
        packages.filter_map(|package| named(package, "name")).filter(|name| self.bans.contains(name)).collect()
    }

    /// Libraries that may be had under no licence that is allowed, of lines `NAME vVERSION… by LICENCE`. Ours are ours.
    pub(crate) fn unlicensed<'t>(&self, tree: &'t str) -> Vec<&'t str> {
        // The trees of two of our packages have an empty line between them.
        let foreign = tree.lines().filter(|line| !line.is_empty() && !line.starts_with("watari-"));
        foreign.filter(|line| !self.allows(line)).collect()
    }

    fn allows(&self, line: &str) -> bool {
        let Some((package, licence)) = line.trim_end_matches(" (*)").split_once(" by ") else { return false };
        let own = package.split(' ').next().and_then(|name| self.exceptions.get(name));
        let is_allowed = |one: &str| {
            let one = one.trim_matches([' ', '(', ')']);
            self.licences.contains(one) || own.is_some_and(|own| own.contains(one))
        };
        // As it was written before there were expressions.
        let licence = licence.replace('/', " OR ");
        licence.split(" AND ").all(|part| part.split(" OR ").any(is_allowed))
    }
}

/// Advisories that are ignored without a word about why.
pub(crate) fn unexplained(deny: &str) -> Vec<&str> {
    let lines: Vec<&str> = deny.lines().map(str::trim).collect();
    let pairs = lines.windows(2).filter(|pair| pair[1].starts_with("\"RUSTSEC-") && !pair[0].starts_with('#'));
    pairs.map(|pair| pair[1]).collect()
}

fn entries(table: &Table, section: &str, key: &str) -> Vec<Value> {
    let list = table.get(section).and_then(|section| section.get(key)).and_then(Value::as_array);
    list.cloned().unwrap_or_default()
}

fn named(entry: &Value, key: &str) -> Option<String> {
    entry.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn words(list: Option<&Value>) -> BTreeSet<String> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}
