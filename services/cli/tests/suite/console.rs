//! Consoles need a terminal.

use crate::support::{Ran, bare};

#[test]
fn a_console_without_a_terminal_is_refused_before_anybody_is_asked() {
    let ran = Ran::of(bare(&["vm", "console", "mail"]).output().unwrap());
    assert!(ran.status == 2 && ran.err.starts_with("error[console.no-terminal]: "), "{ran:?}");
    assert!(ran.err.contains("watari vm console-log mail"), "{ran:?}");
    let ran = Ran::of(bare(&["vm", "console", "No Name"]).output().unwrap());
    assert!(ran.status == 2 && ran.err.starts_with("error[request.bad-name]: "), "{ran:?}");
}
