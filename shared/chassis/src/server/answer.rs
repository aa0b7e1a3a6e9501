//! What a handler answers with.

use std::marker::PhantomData;

use bytes::Bytes;
use serde::Serialize;
use watari_contracts::Payload;

/// An answer of type `A`: the value itself, or its JSON where that was at hand already.
pub trait Answer<A> {
    /// The answer as it is sent.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    fn into_json(self) -> serde_json::Result<Bytes>;
}

impl<A: Payload> Answer<A> for A {
    fn into_json(self) -> serde_json::Result<Bytes> {
        serde_json::to_vec(&self).map(Bytes::from)
    }
}

/// An `A` that is written already.
#[derive(Debug)]
pub struct Written<A> {
    json: Bytes,
    of: PhantomData<fn() -> A>,
}

impl<A: Payload> Written<A> {
    /// Writes what has the form of an `A`, put together from pieces that are written already: of about `bytes` in all, for
    /// which there is room at once.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub fn of(form: &impl Serialize, bytes: usize) -> serde_json::Result<Self> {
        let mut json = Vec::with_capacity(bytes);
        serde_json::to_writer(&mut json, form)?;
        Ok(Self { json: json.into(), of: PhantomData })
    }

    /// The JSON.
    #[must_use]
    pub fn json(&self) -> &[u8] {
        &self.json
    }
}

impl<A: Payload> Answer<A> for Written<A> {
    fn into_json(self) -> serde_json::Result<Bytes> {
        Ok(self.json)
    }
}
