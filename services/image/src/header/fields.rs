//! Numbers at their places in a header. What lies beyond the bytes at hand is truncation.

use super::Fault;

/// Bytes, and what they are, for the refusal's text.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
    what: &'static str,
}

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { bytes, what }
    }

    fn at<const N: usize>(&self, offset: usize) -> Result<[u8; N], Fault> {
        let found = self.bytes.get(offset..).and_then(|rest| rest.first_chunk::<N>());
        found.copied().ok_or(Fault::Truncated(self.what))
    }

    pub(super) fn u8(&self, offset: usize) -> Result<u8, Fault> {
        Ok(u8::from_le_bytes(self.at(offset)?))
    }

    pub(super) fn u16_le(&self, offset: usize) -> Result<u16, Fault> {
        Ok(u16::from_le_bytes(self.at(offset)?))
    }

    pub(super) fn u32_le(&self, offset: usize) -> Result<u32, Fault> {
        Ok(u32::from_le_bytes(self.at(offset)?))
    }

    pub(super) fn u64_le(&self, offset: usize) -> Result<u64, Fault> {
        Ok(u64::from_le_bytes(self.at(offset)?))
    }

    pub(super) fn u32_be(&self, offset: usize) -> Result<u32, Fault> {
        Ok(u32::from_be_bytes(self.at(offset)?))
    }

    pub(super) fn u64_be(&self, offset: usize) -> Result<u64, Fault> {
        Ok(u64::from_be_bytes(self.at(offset)?))
    }

    pub(super) fn guid(&self, offset: usize) -> Result<[u8; 16], Fault> {
        self.at(offset)
    }

    /// The bytes from `offset` on, as many of `length` as there are.
    pub(super) fn slice(&self, offset: usize, length: usize) -> &'a [u8] {
        let rest = self.bytes.get(offset..).unwrap_or_default();
        &rest[..length.min(rest.len())]
    }
}
