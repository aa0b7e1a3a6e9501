//! Names of other files inside a header: shown in a refusal, opened by nobody.

use super::Fault;

/// As much of a name as is shown.
const SHOWN: usize = 80;

/// What a header that names another file is refused as: QEMU reads `json:…`, `nbd:…` and the like
/// as protocols and would connect or open whatever they say, which deserves a word of its own.
pub(super) fn refusal(name: &[u8], otherwise: impl FnOnce(String) -> Fault) -> Fault {
    let shown = printable(name);
    if is_protocol(&shown) { Fault::Protocol(shown) } else { otherwise(shown) }
}

/// Whether QEMU would read a name as a protocol: a scheme and a colon before any slash.
pub(super) fn is_protocol(name: &str) -> bool {
    let Some((scheme, _)) = name.split_once(':') else { return false };
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    // A single letter is a Windows drive.
    scheme.len() > 1 && scheme.chars().all(letters)
}

/// The name's printable characters, up to a bound.
pub(super) fn printable(name: &[u8]) -> String {
    String::from_utf8_lossy(name).chars().filter(|c| !c.is_control()).take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_told_from_paths() {
        for name in ["json:{\"driver\":\"nbd\"}", "nbd:localhost:10809", "ssh://h/f", "https://h/f", "fat:rw:/etc"] {
            assert!(is_protocol(name), "{name}");
        }
        for name in ["base.qcow2", "/etc/passwd", "C:\\disks\\a.vmdk", "./a:b", "dir/nbd:x", "", ":x"] {
            assert!(!is_protocol(name), "{name}");
        }
        assert_eq!(printable(b"a\n\x1b[2Jb\0"), "a[2Jb");
    }
}
