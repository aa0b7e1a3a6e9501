//! A test in a network of its own, and in a machine of its own.

use std::{env, path::Path, process::Command};

/// Runs an ignored test of this program with its own network, mounts and processes, so that nothing of the machine's is
/// touched or heard, and nothing is left behind by a failure. Needs root.
///
/// # Panics
/// If the test fails or there is none of that name, with what it said.
pub fn in_a_network_of_its_own(test: &str) {
    let mut unshare = Command::new("unshare");
    unshare.args(["--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]);
    run_by(unshare, test);
}

/// Runs an ignored test of this program in a small emulated machine, with the distribution's own kernel, which has modules
/// that this machine's may lack. That takes some ten seconds more; `deploy/guest/machine/run` says what is there.
///
/// # Panics
/// If the test fails or there is none of that name, with what it said; or the machine cannot be started.
pub fn in_a_machine_of_its_own(test: &str) {
    let machine = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/guest/machine/run");
    run_by(Command::new(machine), test);
}

/// Has that command run the test.
fn run_by(mut command: Command, test: &str) {
    let program = env::current_exe().unwrap_or_else(|e| panic!("this program is nowhere: {e}"));
    command.arg(program).args(["--exact", test, "--ignored", "--nocapture"]);
    let inside = command.output().unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
    let said = format!("{}{}", String::from_utf8_lossy(&inside.stdout), String::from_utf8_lossy(&inside.stderr));
    assert!(inside.status.success() && said.contains("1 passed"), "{said}");
}
