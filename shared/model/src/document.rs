//! What the key-value buckets hold.

use serde::{Serialize, de::DeserializeOwned};

/// A resource kept as one JSON document in one bucket, written by one service.
pub trait Document: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// The bucket, also the token after `watari.event.`.
    const BUCKET: &'static str;
    /// Whether nothing is told of it: its bucket publishes no events, and no person reads it.
    const PRIVATE: bool = false;
    /// The key in the bucket: one or more DNS labels joined by dots.
    fn key(&self) -> String;
    /// What it belongs to, where those of one owner are asked for: they are then found without looking at all.
    fn belongs_to(&self) -> Option<&str> {
        None
    }
}
