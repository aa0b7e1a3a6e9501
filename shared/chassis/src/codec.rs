//! Beats as bytes: one byte of schema version, then bincode.
//!
//! bincode fails on an added field and silently drops a removed one, so the version stands
//! outside the body and a published version is never changed in place. What is decoded comes from
//! the network: length, allocations and trailing bytes are bounded, and no input panics.

use serde::{Serialize, de::DeserializeOwned};

/// The most bytes that a beat may have, version included, and the most that decoding may allocate.
pub const MAX_BYTES: usize = 64 * 1024;

/// Why bytes are no beat, or a beat no bytes.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// Nothing came.
    #[error("the message is empty")]
    Empty,
    /// More came, or would be sent, than [`MAX_BYTES`].
    #[error("the message has {bytes} bytes; {MAX_BYTES} are allowed")]
    TooLarge {
        /// How many.
        bytes: usize,
    },
    /// Another schema version than the receiver knows.
    #[error("the message has schema version {found}, not {known}")]
    Version {
        /// The version in the message.
        found: u8,
        /// The version asked for.
        known: u8,
    },
    /// The body ended before the message did: the sender knows more fields than the receiver.
    #[error("{left} bytes follow the body")]
    Trailing {
        /// How many.
        left: usize,
    },
    /// The body is not what the type says.
    #[error("the body cannot be read")]
    Decode(#[source] bincode::error::DecodeError),
    /// The value cannot be written.
    #[error("the value cannot be written")]
    Encode(#[source] bincode::error::EncodeError),
}

const fn layout() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<MAX_BYTES>()
}

/// Writes `value` as schema version `version`.
///
/// # Errors
/// [`CodecError::Encode`] and [`CodecError::TooLarge`]; neither is cured by a retry.
pub fn encode<T: Serialize>(version: u8, value: &T) -> Result<Vec<u8>, CodecError> {
    let mut bytes = vec![version];
    bincode::serde::encode_into_std_write(value, &mut bytes, layout()).map_err(CodecError::Encode)?;
    if bytes.len() > MAX_BYTES {
        return Err(CodecError::TooLarge { bytes: bytes.len() });
    }
    Ok(bytes)
}

/// The schema version of a message, for receivers that know several.
///
/// # Errors
/// [`CodecError::Empty`].
pub fn version(bytes: &[u8]) -> Result<u8, CodecError> {
    bytes.first().copied().ok_or(CodecError::Empty)
}

/// Reads a message of schema version `known`.
///
/// # Errors
/// Every kind but [`CodecError::Encode`]; the message is to be dropped and counted.
pub fn decode<T: DeserializeOwned>(known: u8, bytes: &[u8]) -> Result<T, CodecError> {
    if bytes.len() > MAX_BYTES {
        return Err(CodecError::TooLarge { bytes: bytes.len() });
    }
    let found = version(bytes)?;
    if found != known {
        return Err(CodecError::Version { found, known });
    }
    let body = &bytes[1..];
    let (value, used) = bincode::serde::decode_from_slice(body, layout()).map_err(CodecError::Decode)?;
    match body.len() - used {
        0 => Ok(value),
        left => Err(CodecError::Trailing { left }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Beat {
        node: String,
        free: Vec<u64>,
        note: Option<String>,
    }

    #[test]
    fn another_version_an_empty_message_and_a_tail_are_refused() {
        let beat = Beat { node: "m1".into(), free: vec![1, 2], note: None };
        let mut bytes = encode(3, &beat).unwrap();
        assert!(matches!(decode::<Beat>(2, &bytes), Err(CodecError::Version { found: 3, known: 2 })));
        assert!(matches!(decode::<Beat>(3, &[]), Err(CodecError::Empty)));
        bytes.push(0);
        assert!(matches!(decode::<Beat>(3, &bytes), Err(CodecError::Trailing { left: 1 })));
        assert!(matches!(decode::<Beat>(3, &vec![3; MAX_BYTES + 1]), Err(CodecError::TooLarge { .. })));
    }

    #[test]
    fn a_length_that_promises_gigabytes_allocates_nothing() {
        // A string whose length prefix says 2^60 bytes.
        let bytes = [1, 253, 0, 0, 0, 0, 0, 0, 0, 16];
        assert!(matches!(decode::<String>(1, &bytes), Err(CodecError::Decode(_))));
    }

    #[test]
    fn what_is_too_large_is_not_sent() {
        assert!(matches!(encode(1, &vec![7_u8; MAX_BYTES]), Err(CodecError::TooLarge { .. })));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode::<Beat>(1, &bytes);
            let mut versioned = vec![1];
            versioned.extend(&bytes);
            let _ = decode::<Beat>(1, &versioned);
        }
        #[test]
        fn what_is_written_is_read(node in ".{0,40}", free in proptest::collection::vec(any::<u64>(), 0..9), note in any::<Option<String>>()) {
            let beat = Beat { node, free, note };
            prop_assert_eq!(decode::<Beat>(1, &encode(1, &beat).unwrap()).unwrap(), beat);
        }
    }
}
