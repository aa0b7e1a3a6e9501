//! Numbers at their places in a header. What lies beyond the bytes at hand is truncation.

/// Something lies beyond the bytes at hand: what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is truncated: {0} lies beyond its end")]
pub struct CutOff(pub &'static str);

/// Bytes, and what they are, for the refusal's text.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    bytes: &'a [u8],
    what: &'static str,
}

impl<'a> Fields<'a> {
    /// The fields of these bytes.
    #[must_use]
    pub fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { bytes, what }
    }

    fn at<const N: usize>(&self, offset: usize) -> Result<[u8; N], CutOff> {
        let found = self.bytes.get(offset..).and_then(|rest| rest.first_chunk::<N>());
        found.copied().ok_or(CutOff(self.what))
    }

    /// A byte.
    ///
    /// # Errors
    /// [`CutOff`].
    pub fn u8(&self, offset: usize) -> Result<u8, CutOff> {
        Ok(u8::from_le_bytes(self.at(offset)?))
    }

    /// Two bytes, the lowest first.
    ///
    /// # Errors
    /// [`CutOff`].
    pub fn u16_le(&self, offset: usize) -> Result<u16, CutOff> {
        Ok(u16::from_le_bytes(self.at(offset)?))
    }

    /// Four bytes, the lowest first.
    ///
    /// # Errors
    /// [`CutOff`].
    pub fn u32_le(&self, offset: usize) -> Result<u32, CutOff> {
        Ok(u32::from_le_bytes(self.at(offset)?))
    }

    /// Eight bytes, the lowest first.
    ///
    /// # Errors
    /// [`CutOff`].
    pub fn u64_le(&self, offset: usize) -> Result<u64, CutOff> {
        Ok(u64::from_le_bytes(self.at(offset)?))
    }

    /// Four bytes, the highest first.
    ///
    /// # Errors
    /// [`CutOff`].
    pub fn u32_be(&self, offset: usize) -> Result<u32, CutOff> {
        Ok(u32::from_be_bytes(self.at(offset)?))
    }

    /// Eight bytes, the highest first.
    ///
    /// # Errors
    /// [`CutOff`].
    pub fn u64_be(&self, offset: usize) -> Result<u64, CutOff> {
        Ok(u64::from_be_bytes(self.at(offset)?))
    }

    /// Sixteen bytes as they stand.
    ///
    /// # Errors
    /// [`CutOff`].
    pub fn guid(&self, offset: usize) -> Result<[u8; 16], CutOff> {
        self.at(offset)
    }

    /// The bytes from `offset` on, as many of `length` as there are.
    #[must_use]
    pub fn slice(&self, offset: usize, length: usize) -> &'a [u8] {
        let rest = self.bytes.get(offset..).unwrap_or_default();
        &rest[..length.min(rest.len())]
    }
}
