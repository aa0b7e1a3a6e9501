//! Programs as tests of real links call them: one line, whose words are split at spaces.

use std::{fmt::Display, process::Command};

/// Whether it succeeded, and what it said.
pub(crate) fn run(line: &str) -> (bool, String) {
    let mut words = line.split(' ');
    let out = Command::new(words.next().unwrap()).args(words).output().unwrap();
    (out.status.success(), format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr)))
}

pub(crate) fn must(line: &str) -> String {
    let (good, said) = run(line);
    assert!(good, "{line}: {said}");
    said
}

/// One ping, which may not be answered.
pub(crate) fn pings(namespace: &str, address: impl Display) -> bool {
    run(&format!("ip netns exec {namespace} ping -c 1 -W 1 -q {address}")).0
}
