//! How a file is compressed, by its first bytes.

/// A compression that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// RFC 1952.
    Gzip,
    /// The .xz format.
    Xz,
    /// RFC 8878.
    Zstd,
}

impl Packing {
    /// The word shown to people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
        }
    }

    /// What the file that begins with `head` is compressed with.
    #[must_use]
    pub fn of(head: &[u8]) -> Option<Self> {
        const SIGNATURES: &[(&[u8], Packing)] =
            &[(&[0x1f, 0x8b], Packing::Gzip), (b"\xfd7zXZ\0", Packing::Xz), (&[0x28, 0xb5, 0x2f, 0xfd], Packing::Zstd)];
        let skippable = head.len() > 3 && (0x50..=0x5f).contains(&head[0]) && head[1..4] == [0x2a, 0x4d, 0x18];
        let found = SIGNATURES.iter().find(|(bytes, _)| head.starts_with(bytes)).map(|(_, packing)| *packing);
        // Parallel compressors begin with a frame that is to be skipped.
        found.or(skippable.then_some(Self::Zstd))
    }
}
