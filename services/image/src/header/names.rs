//! Names of other files inside a header: shown in a refusal, opened by nobody.

use watari_model::qcow2::printable;

use super::Fault;

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
    }
}
