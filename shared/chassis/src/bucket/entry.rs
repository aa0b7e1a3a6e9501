//! A document as the bucket has it.

use async_nats::{
    HeaderMap,
    jetstream::{
        kv::{self, Store},
        message::StreamMessage,
        stream::LastRawMessageErrorKind,
    },
};
use bytes::Bytes;
use watari_model::{Document, Timestamp};

use super::Revision;
use crate::run::chain;

/// A document and which write it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<T> {
    /// The document.
    pub value: T,
    /// The write that stored it.
    pub revision: Revision,
    /// When that was, by the NATS server's clock.
    pub created: Timestamp,
}

/// A document that is there, but not as this version of the program knows it. It is reported and
/// left alone: never taken for deleted, never overwritten unseen.
#[derive(Debug, thiserror::Error)]
#[error("document {key} of bucket {bucket} (revision {revision}) cannot be read: {detail}")]
pub struct Unreadable {
    /// The bucket.
    pub bucket: &'static str,
    /// The document's key.
    pub key: String,
    /// Its revision.
    pub revision: Revision,
    /// Why.
    pub detail: String,
}

/// Why a document cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is there but cannot be read; a retry does not help.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The bus did not bring it; a retry may help.
    #[error("bucket {bucket} cannot be read: {detail}")]
    Bus {
        /// Which.
        bucket: &'static str,
        /// Why.
        detail: String,
    },
}

/// Whether a write with these headers deletes the document.
pub(super) fn is_deletion(headers: &HeaderMap) -> bool {
    let operation = headers.get("KV-Operation").map(|v| v.as_str());
    // A marker that the server itself left for an expired or purged message.
    headers.get("Nats-Marker-Reason").is_some() || matches!(operation, Some("DEL" | "PURGE"))
}

/// A write as the stream has it, not yet read.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    pub(crate) bucket: &'static str,
    pub(crate) key: String,
    pub(crate) revision: Revision,
    pub(crate) payload: Bytes,
    pub(crate) created: Timestamp,
    pub(crate) deleted: bool,
}

/// Whether the stream's leader has the message with this number at all.
pub(super) async fn holds(store: &Store, bucket: &'static str, revision: Revision) -> Result<bool, ReadError> {
    match store.stream.get_raw_message(revision).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(false),
        Err(error) => Err(ReadError::Bus { bucket, detail: chain(&error) }),
    }
}

impl Raw {
    /// What the stream's leader has under `key`, deletion markers included.
    pub(super) async fn newest(store: &Store, bucket: &'static str, key: &str) -> Result<Option<Self>, ReadError> {
        let subject = format!("{}{key}", store.prefix);
        match store.stream.get_last_raw_message_by_subject(&subject).await {
            Ok(message) => Ok(Some(Self::from_stream(bucket, key, message))),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(ReadError::Bus { bucket, detail: chain(&error) }),
        }
    }

    pub(crate) fn from_stream(bucket: &'static str, key: &str, message: StreamMessage) -> Self {
        let deleted = is_deletion(&message.headers);
        Self {
            bucket,
            key: key.to_owned(),
            revision: message.sequence,
            payload: message.payload,
            created: Timestamp(message.time),
            deleted,
        }
    }

    pub(crate) fn from_watch(bucket: &'static str, entry: kv::Entry) -> Self {
        Self {
            bucket,
            key: entry.key,
            revision: entry.revision,
            payload: entry.value,
            created: Timestamp(entry.created),
            deleted: entry.operation != kv::Operation::Put,
        }
    }

    /// Reads the document. One that lies under another's key counts as unreadable: following it
    /// would let one resource act as another.
    pub(crate) fn entry<T: Document>(&self) -> Result<Entry<T>, Unreadable> {
        let fault =
            |detail: String| Unreadable { bucket: self.bucket, key: self.key.clone(), revision: self.revision, detail };
        let value: T = serde_json::from_slice(&self.payload).map_err(|e| fault(e.to_string()))?;
        let own = value.key();
        if own != self.key {
            return Err(fault(format!("it says that its key is {own}")));
        }
        Ok(Entry { value, revision: self.revision, created: self.created })
    }
}
