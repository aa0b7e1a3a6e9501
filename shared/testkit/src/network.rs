//! A test in a network of its own.

use std::{env, process::Command};

/// Runs an ignored test of this program with its own network, mounts and processes, so that nothing of the machine's is
/// touched or heard, and nothing is left behind by a failure. Needs root.
///
/// # Panics
/// If the test fails or there is none of that name, with what it said.
pub fn in_a_network_of_its_own(test: &str) {
    let program = env::current_exe().unwrap_or_else(|e| panic!("this program is nowhere: {e}"));
    let inside = Command::new("unshare")
        .args(["--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"])
        .arg(program)
        .args(["--exact", test, "--ignored", "--nocapture"])
        .output()
        .unwrap_or_else(|e| panic!("cannot start unshare: {e}"));
    let said = format!("{}{}", String::from_utf8_lossy(&inside.stdout), String::from_utf8_lossy(&inside.stderr));
    assert!(inside.status.success() && said.contains("1 passed"), "{said}");
}
