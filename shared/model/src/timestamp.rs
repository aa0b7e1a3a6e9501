//! A moment, as documents and messages write it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// A moment in UTC, written as RFC 3339 with milliseconds or finer. The model has no clock:
/// whoever makes one is handed the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(#[serde(with = "time::serde::rfc3339")] pub OffsetDateTime);

impl Timestamp {
    /// Milliseconds from `earlier` to this moment; 0 if `earlier` is later.
    #[must_use]
    pub fn millis_since(self, earlier: Self) -> u64 {
        u64::try_from((self.0 - earlier.0).whole_milliseconds()).unwrap_or(0)
    }

    /// This moment plus `millis` milliseconds.
    #[must_use]
    pub fn plus_millis(self, millis: u64) -> Self {
        Self(self.0 + std::time::Duration::from_millis(millis))
    }

    /// This moment less `millis` milliseconds; the earliest there is rather than one before it.
    #[must_use]
    pub fn minus_millis(self, millis: u64) -> Self {
        let less = time::Duration::milliseconds(i64::try_from(millis).unwrap_or(i64::MAX));
        Self(self.0.saturating_sub(less))
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date-time"})
    }
}
