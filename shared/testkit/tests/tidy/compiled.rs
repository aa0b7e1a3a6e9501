//! What cargo compiles for programs, beside what it compiles for tests.

use std::{collections::BTreeSet, process::Command};

use crate::files::root;

/// Packages with features with which tests do not have them: they, and all that stands on them, are compiled once for
/// `cargo test` and again for `cargo build`, which is minutes. What only tests depend on brings this about.
pub(crate) fn twice(programs: &str, tests: &str) -> Vec<String> {
    let tests = features(tests);
    features(programs).into_iter().filter(|line| !tests.contains(line)).map(str::to_owned).collect()
}

fn features(tree: &str) -> BTreeSet<&str> {
    // Cargo says so of what it has shown before.
    tree.lines().map(|line| line.trim_end_matches(" (*)")).collect()
}

/// Every package that stands behind the workspace by these edges, with its features.
pub(crate) fn packages(edges: &str) -> String {
    tree(edges, "{p} with {f}")
}

/// Every package that stands behind programs and tests, with its licence.
pub(crate) fn licences() -> String {
    tree("normal,build,dev", "{p} by {l}")
}

fn tree(edges: &str, format: &str) -> String {
    let tree = ["tree", "--workspace", "--locked", "--offline", "--prefix", "none", "--format", format];
    let told = Command::new("cargo").current_dir(root()).args(tree).args(["--edges", edges]).output();
    let told = told.expect("cargo can be started");
    assert!(told.status.success(), "cargo tree: {}", String::from_utf8_lossy(&told.stderr));
    String::from_utf8(told.stdout).expect("names are UTF-8")
}
