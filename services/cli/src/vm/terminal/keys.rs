//! What is typed. Pure.

/// Ctrl-], by which telnet and virsh are left as well.
const LEAVE: u8 = 0x1d;

/// What is meant for the server, and whether the person leaves after it.
pub(super) fn meant(typed: &[u8]) -> (&[u8], bool) {
    match typed.iter().position(|byte| *byte == LEAVE) {
        Some(at) => (typed.get(..at).unwrap_or_default(), true),
        None => (typed, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_a_bracket_leave_and_all_other_keys_are_the_servers() {
        assert_eq!(meant(b"ls\r"), (&b"ls\r"[..], false));
        assert_eq!(meant(b"\x03\x1b[A\x1a"), (&b"\x03\x1b[A\x1a"[..], false));
        assert_eq!(meant(b"ex\x1dit"), (&b"ex"[..], true));
    }
}
