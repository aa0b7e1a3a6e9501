//! Who may use what.

use toml::{Table, Value};

use crate::files::File;

/// What each crate may depend on within the project. Every crate that is not named here is a
/// service: it may use all three, and none of its kind.
const LAYERS: &[(&str, &[&str])] = &[
    ("watari-model", &[]),
    ("watari-contracts", &["watari-model"]),
    ("watari-chassis", &["watari-model", "watari-contracts"]),
    ("watari-testkit", &["watari-model", "watari-contracts"]),
    // It measures and tests: nothing of it is installed.
    ("watari-loadtests", &["watari-model", "watari-contracts", "watari-chassis", "watari-testkit"]),
];
const FOR_SERVICES: &[&str] = &["watari-model", "watari-contracts", "watari-chassis"];

/// Libraries that only one crate may name.
const OWNERS: &[(&str, &[&str])] = &[
    ("async-nats", &["watari-chassis", "watari-testkit"]),
    ("virt", &["watari-node-agent"]),
    ("virt-sys", &["watari-node-agent"]),
    ("rtnetlink", &["watari-node-agent"]),
    ("object_store", &["watari-image"]),
];

pub(crate) fn one_way(files: &[File]) -> Vec<String> {
    let manifests = files.iter().filter(|f| f.name() == "Cargo.toml" && f.path != "Cargo.toml");
    manifests.flat_map(wrong_dependencies).collect()
}

fn wrong_dependencies(file: &File) -> Vec<String> {
    let Ok(manifest) = file.text.parse::<Table>() else { return vec![format!("{} is not TOML", file.path)] };
    let Some(name) = manifest.get("package").and_then(|p| p.get("name")).and_then(Value::as_str) else {
        return vec![format!("{} names no package", file.path)];
    };
    let mut faults = Vec::new();
    for (section, dependency) in dependencies(&manifest) {
        let allowed = LAYERS.iter().find(|(layer, _)| *layer == name).map_or(FOR_SERVICES, |(_, allowed)| allowed);
        let for_tests = section == "dev-dependencies" && dependency == "watari-testkit";
        if dependency.starts_with("watari-") && !allowed.contains(&&*dependency) && !for_tests {
            faults.push(format!("{}: {name} must not depend on {dependency} in [{section}]", file.path));
        }
        if let Some((_, owners)) = OWNERS.iter().find(|(library, _)| *library == dependency)
            && !owners.contains(&name)
        {
            faults.push(format!("{}: {dependency} is for {} alone", file.path, owners.join(" and ")));
        }
    }
    faults
}

/// Every dependency with the section that it stands in, those for one platform included.
fn dependencies(table: &Table) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (name, value) in table {
        let Value::Table(inner) = value else { continue };
        if name.ends_with("dependencies") {
            found.extend(inner.iter().map(|(key, value)| {
                let renamed = value.get("package").and_then(Value::as_str);
                (name.clone(), renamed.unwrap_or(key).to_owned())
            }));
        } else if name != "package" {
            found.extend(dependencies(inner));
        }
    }
    found
}

/// A technology, and where it may be touched.
struct Door {
    uses: fn(&str) -> bool,
    what: &'static str,
    at: fn(&str) -> bool,
}

const DOORS: &[Door] = &[
    Door {
        what: "NATS is touched only in shared/chassis and shared/testkit",
        uses: |code| names_crate(code, "async_nats"),
        at: |path| path.starts_with("shared/chassis/") || path.starts_with("shared/testkit/"),
    },
    Door {
        what: "SQL is touched only in a module named store",
        uses: |code| names_crate(code, "sqlx"),
        at: |path| path.split('/').any(|part| part == "store" || part == "store.rs"),
    },
    Door {
        what: "libvirt is touched only in services/node-agent/src/hypervisor",
        uses: |code| names_crate(code, "virt") || names_crate(code, "virt_sys"),
        at: |path| path.starts_with("services/node-agent/src/hypervisor"),
    },
    Door {
        what: "rtnetlink is named only in services/node-agent/src/plumbing/links",
        uses: |code| names_crate(code, "rtnetlink"),
        at: |path| path.starts_with("services/node-agent/src/plumbing/links"),
    },
    Door {
        what: "object_store is named only in services/image/src/objects",
        uses: |code| names_crate(code, "object_store"),
        at: |path| path.starts_with("services/image/src/objects"),
    },
    Door {
        what: "the wall clock is read only in shared/chassis/src/clock.rs",
        uses: |code| code.contains("SystemTime::now") || code.contains("now_utc"),
        at: |path| path == "shared/chassis/src/clock.rs" || path.starts_with("shared/testkit/tests/tidy"),
    },
];

pub(crate) fn one_door(files: &[File]) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files.iter().filter(|f| f.is_rust() && f.path != "shared/testkit/tests/tidy.rs") {
        let code = file.code();
        for door in DOORS {
            if !(door.at)(&file.path) && (door.uses)(&code) {
                faults.push(format!("{}: {}", file.path, door.what));
            }
        }
    }
    faults
}

/// Whether code names a crate: the identifier before `::`, or alone after `use`.
fn names_crate(code: &str, name: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(name).any(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + name.len()..]);
        let whole = !before.ends_with(part_of_word) && !after.starts_with(part_of_word);
        let of_another_path =
            before.ends_with("::") && !before.trim_end_matches("::").is_empty() && !before.ends_with(" ::");
        whole
            && !of_another_path
            && (after.starts_with("::") || before.ends_with("use ") || before.ends_with("extern crate "))
    })
}

pub(crate) fn public_registry(files: &[File]) -> Vec<String> {
    const PUBLIC: &str = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
    let locks = files.iter().filter(|f| f.name() == "Cargo.lock");
    let sources = locks.flat_map(|f| f.text.lines().filter(|l| l.starts_with("source = ")));
    sources.filter(|line| *line != PUBLIC).map(str::to_owned).collect()
}

pub(crate) fn no_shell(files: &[File]) -> Vec<String> {
    const SHELLS: [&str; 6] = ["sh", "bash", "dash", "zsh", "busybox", "env"];
    let mut faults = Vec::new();
    for file in files.iter().filter(|f| f.is_rust() && f.path != "shared/testkit/tests/tidy.rs") {
        for (at, call) in file.text.match_indices("Command::new(") {
            let argument = file.text[at + call.len()..].trim_start();
            let Some(program) = argument.strip_prefix('"').and_then(|a| a.split('"').next()) else { continue };
            if SHELLS.contains(&program.rsplit('/').next().unwrap_or_default()) {
                faults.push(format!("{}: starts {program:?}; give the program its arguments itself", file.path));
            }
        }
    }
    faults
}
