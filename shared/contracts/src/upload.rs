//! What is said beside the bytes of an upload. The protocol is told in the image service's `https` module.

use serde::Deserialize;

/// The header that says from which byte on the front end wants more.
pub const UPLOAD_OFFSET: &str = "upload-offset";

/// What begins each stretch of a body of frames: so many zeros, which are not sent, and so many bytes, which follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Zeros of the file that come first.
    pub zeros: u64,
    /// Bytes of the file that come after them.
    pub length: u64,
}

impl Frame {
    /// How many bytes it takes itself.
    pub const SIZE: usize = 16;

    /// As it stands in the body: both numbers, the most significant byte first.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        ((u128::from(self.zeros) << 64) | u128::from(self.length)).to_be_bytes()
    }

    /// Reads it.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        let both = u128::from_be_bytes(bytes);
        Self { zeros: (both >> 64) as u64, length: both as u64 }
    }
}

/// What the front end says when it does not simply take the bytes: as much of an
/// [`ErrorBody`](crate::ErrorBody) as decides what to do next. What is no such body says nothing.
#[derive(Debug, Default, Deserialize)]
pub struct Complaint {
    /// Its stable code.
    #[serde(default)]
    pub code: String,
    /// What is the matter, in English.
    #[serde(default)]
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_two_numbers_in_network_order() {
        let frame = Frame { zeros: 1 << 40, length: 0x0102 };
        let bytes = frame.to_bytes();
        assert_eq!(bytes, [0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(Frame::from_bytes(bytes), frame);
        assert_eq!(Frame::from_bytes([0xff; 16]), Frame { zeros: u64::MAX, length: u64::MAX });
    }
}
