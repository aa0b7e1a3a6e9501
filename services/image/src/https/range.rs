//! `Range: bytes=…` (RFC 9110, section 14): one range, or the whole.

/// What part of a file is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// From the first byte, so many.
    Bytes {
        /// The first byte.
        first: u64,
        /// How many, at least one.
        length: u64,
    },
    /// Nothing that the file has.
    Beyond,
}

/// Reads the header for a file of `size` bytes. What is not understood is ignored, as the RFC
/// says, and so are several ranges at once: the whole file is always a right answer.
#[must_use]
pub fn wanted(header: Option<&str>, size: u64) -> Part {
    let Some(spec) = header.and_then(|h| h.trim().strip_prefix("bytes=")) else { return Part::Whole };
    let Some((first, last)) = spec.trim().split_once('-') else { return Part::Whole };
    match (number(first), number(last)) {
        (Some(Some(first)), Some(last)) if last.is_none_or(|last| last >= first) => {
            if first >= size {
                return Part::Beyond;
            }
            let last = last.unwrap_or(u64::MAX).min(size - 1);
            Part::Bytes { first, length: last - first + 1 }
        }
        (Some(None), Some(Some(0))) => Part::Beyond,
        (Some(None), Some(Some(suffix))) => {
            let length = suffix.min(size);
            if length == 0 { Part::Beyond } else { Part::Bytes { first: size - length, length } }
        }
        _ => Part::Whole,
    }
}

/// A number, nothing, or (outer none) nonsense.
fn number(text: &str) -> Option<Option<u64>> {
    if text.is_empty() {
        return Some(None);
    }
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().map(Some)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_the_rfc_hold() {
        let bytes = |first, length| Part::Bytes { first, length };
        for (text, part) in [
            ("bytes=0-499", bytes(0, 500)),
            ("bytes=500-999", bytes(500, 500)),
            ("bytes=-500", bytes(9500, 500)),
            ("bytes=9500-", bytes(9500, 500)),
            ("bytes=0-0", bytes(0, 1)),
            ("bytes=9999-20000", bytes(9999, 1)),
            ("bytes=-20000", bytes(0, 10_000)),
            ("bytes=10000-", Part::Beyond),
            ("bytes=-0", Part::Beyond),
            ("bytes=5-4", Part::Whole),
            ("bytes=0-1,5-6", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("bytes=99999999999999999999-", Part::Whole),
            ("lines=1-2", Part::Whole),
        ] {
            assert_eq!(wanted(Some(text), 10_000), part, "{text}");
        }
        assert_eq!(wanted(None, 10), Part::Whole);
    }

    proptest! {
        #[test]
        fn no_header_asks_for_what_is_not_there(text in "bytes=[0-9,-]{0,40}|.{0,40}", size in any::<u64>()) {
            if let Part::Bytes { first, length } = wanted(Some(&text), size) {
                prop_assert!(length > 0 && first.checked_add(length).is_some_and(|end| end <= size));
            }
        }
    }
}
