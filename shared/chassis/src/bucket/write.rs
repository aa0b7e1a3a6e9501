//! Writing: create, update and delete, each a compare-and-set that says why it failed.

use std::{error::Error, time::Duration};

use async_nats::{
    HeaderMap,
    jetstream::{
        self, ErrorCode,
        context::{PublishError, PublishErrorKind},
    },
};
use bytes::Bytes;
use watari_contracts::Service;
use watari_model::{Document, Refusal};

use super::{Bucket, Entry, Revision, Written};
use crate::{LeaseDocument, act, clock, run::chain, telemetry::trace};

/// Why a document was not written, or not provably.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// There is such a document.
    #[error("document {key} exists")]
    Exists {
        /// Its key.
        key: String,
    },
    /// Somebody wrote since the expected revision. Read again and decide anew.
    #[error("document {key} is no longer at revision {expected}")]
    Conflict {
        /// Its key.
        key: String,
        /// The revision that was expected.
        expected: Revision,
    },
    /// This process leads no more, and it was not sent: whoever leads decides anew.
    #[error("document {key} was not written, since the lease no longer holds")]
    NotLeading {
        /// Its key.
        key: String,
    },
    /// No acknowledgement came: *whether it was written is not known*. Read again and decide anew.
    #[error("writing document {key} was not acknowledged: {detail}")]
    Bus {
        /// Its key.
        key: String,
        /// Why.
        detail: String,
    },
}

impl WriteError {
    /// What it is to whoever asked `service` for it. Who leads no more has not written it, and says so: whoever asks again
    /// reaches the primary. Otherwise nobody knows whether it was written, and `who` gave no answer.
    #[must_use]
    pub fn refusal(&self, service: Service, who: &str) -> Refusal {
        match self {
            Self::NotLeading { .. } => Refusal::NotPrimary { service: service.name().to_owned() },
            Self::Exists { .. } | Self::Conflict { .. } | Self::Bus { .. } => Refusal::NoAnswer { who: who.to_owned() },
        }
    }
}

/// The same below the level of documents.
#[derive(Debug)]
pub(crate) enum PutFault {
    Conflict,
    NotLeading,
    Unknown(String),
}

impl PutFault {
    pub(super) fn of(self, key: &str, expected: Revision) -> WriteError {
        match self {
            Self::Conflict => WriteError::Conflict { key: key.to_owned(), expected },
            Self::NotLeading => WriteError::NotLeading { key: key.to_owned() },
            Self::Unknown(detail) => WriteError::Bus { key: key.to_owned(), detail },
        }
    }
}

/// How long to wait for a leader before a write that nobody received is sent again.
const ELECTION: Duration = Duration::from_millis(50);
/// How long to wait for an acknowledgement before the write is sent again, and twice as long each
/// further time: a server that is merely slow is not to be given more to do. The write carries an id
/// by which the stream knows it again, so that one whose acknowledgement was lost, as when the
/// stream's leader moves, is acknowledged anew and not stored twice.
const RESEND: Duration = Duration::from_millis(300);
/// "duplicate message id is in process": the first sending is being stored.
const IN_PROCESS: u64 = 10_158;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Put,
    Delete,
}

impl<T: Document> Bucket<T> {
    /// Stores a document that must not exist yet.
    ///
    /// # Errors
    /// [`WriteError::Exists`]; [`WriteError::NotLeading`]; [`WriteError::Bus`] when it is not known.
    pub async fn create(&self, value: &T) -> Result<Revision, WriteError> {
        let key = value.key();
        let payload = self.json(value)?;
        match self.put(&key, 0, payload.clone()).await {
            Ok(revision) => Ok(self.put_done(&key, value, revision)),
            Err(PutFault::Conflict) => {
                // A deletion leaves a marker, upon which a new document may be put.
                let there = self.raw(&key).await.map_err(|e| PutFault::Unknown(chain(&e)).of(&key, 0))?;
                let Some(marker) = there.filter(|raw| raw.deleted) else {
                    return Err(WriteError::Exists { key });
                };
                match self.put(&key, marker.revision, payload).await {
                    Ok(revision) => Ok(self.put_done(&key, value, revision)),
                    Err(PutFault::Conflict) => Err(WriteError::Exists { key }),
                    Err(fault) => Err(fault.of(&key, marker.revision)),
                }
            }
            Err(fault) => Err(fault.of(&key, 0)),
        }
    }

    /// Replaces the document that is at revision `expected`.
    ///
    /// # Errors
    /// [`WriteError::Conflict`]; [`WriteError::NotLeading`]; [`WriteError::Bus`] when it is not known.
    pub async fn update(&self, value: &T, expected: Revision) -> Result<Revision, WriteError> {
        let key = value.key();
        let payload = self.json(value)?;
        match self.put(&key, expected, payload).await {
            Ok(revision) => Ok(self.put_done(&key, value, revision)),
            Err(fault) => Err(fault.of(&key, expected)),
        }
    }

    /// Deletes the document that is at revision `expected`, leaving a marker.
    ///
    /// # Errors
    /// [`WriteError::Conflict`]; [`WriteError::NotLeading`]; [`WriteError::Bus`] when it is not known.
    pub async fn delete(&self, key: &str, expected: Revision) -> Result<Revision, WriteError> {
        match self.publish(key, expected, Bytes::new(), Operation::Delete).await {
            Ok(revision) => {
                self.wrote(key, Written::Deleted(revision));
                Ok(revision)
            }
            Err(fault) => Err(fault.of(key, expected)),
        }
    }

    fn json(&self, value: &T) -> Result<Bytes, WriteError> {
        let json = serde_json::to_vec(value);
        json.map(Bytes::from).map_err(|e| WriteError::Bus { key: value.key(), detail: e.to_string() })
    }

    fn put_done(&self, key: &str, value: &T, revision: Revision) -> Revision {
        self.wrote(key, Written::Put(Entry { value: value.clone(), revision, created: clock::now() }));
        revision
    }

    pub(crate) async fn put(&self, key: &str, expected: Revision, payload: Bytes) -> Result<Revision, PutFault> {
        self.publish(key, expected, payload, Operation::Put).await
    }

    async fn publish(
        &self,
        key: &str,
        expected: Revision,
        payload: Bytes,
        operation: Operation,
    ) -> Result<Revision, PutFault> {
        if !is_key(key) {
            return Err(PutFault::Unknown(format!("{key:?} is no key")));
        }
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Expected-Last-Subject-Sequence", expected.to_string());
        let id = crate::bus::unique();
        headers.insert("Nats-Msg-Id", id.clone());
        if operation == Operation::Delete {
            headers.insert("KV-Operation", "DEL");
        }
        trace::inject(&mut headers);
        act::inject(&mut headers, self.ctx());
        let subject = format!("{}{key}", self.store().prefix);
        let jetstream = self.ctx().bus.jetstream();
        let (mut sent_before, mut patience) = (false, RESEND);
        let sending = async {
            loop {
                // Each time, since waiting may outlast the lease, and a process that stood still has not been told.
                if !self.may_write() {
                    return None;
                }
                let publish = jetstream.publish_with_headers(subject.clone(), headers.clone(), payload.clone());
                let acknowledged = async { publish.await?.await };
                match tokio::time::timeout(patience, acknowledged).await {
                    // Nobody received it, as while a cluster chooses the stream's leader.
                    Ok(Err(error)) if error.kind() == PublishErrorKind::StreamNotFound || is_in_process(&error) => {
                        tokio::time::sleep(ELECTION).await
                    }
                    Ok(sent) => return Some(sent),
                    Err(_) => (sent_before, patience) = (true, patience * 2),
                }
            }
        };
        match tokio::time::timeout(self.ctx().bus.settings().request_timeout, sending).await {
            Ok(Some(Ok(acknowledged))) => Ok(acknowledged.sequence),
            // What conflicts may be this very write, stored when it was first sent.
            Ok(Some(Err(error))) if is_conflict(&error) && sent_before => self.stored_as(key, &id).await,
            Ok(Some(Err(error))) if is_conflict(&error) => Err(PutFault::Conflict),
            Ok(Some(Err(error))) => Err(PutFault::Unknown(chain(&error))),
            Ok(None) if sent_before => Err(PutFault::Unknown("no acknowledgement while the lease held".to_owned())),
            Ok(None) => Err(PutFault::NotLeading),
            Err(_) => Err(PutFault::Unknown("no acknowledgement in time".to_owned())),
        }
    }

    /// The lease itself is written by whoever competes for it.
    fn may_write(&self) -> bool {
        T::BUCKET == LeaseDocument::BUCKET || self.ctx().may_act()
    }
}

impl<T: Document> Bucket<T> {
    /// Whether the newest write under `key` is the one that was sent with this id.
    async fn stored_as(&self, key: &str, id: &str) -> Result<Revision, PutFault> {
        let subject = format!("{}{key}", self.store().prefix);
        let newest = self.store().stream.get_last_raw_message_by_subject(&subject).await;
        let newest = newest.map_err(|error| PutFault::Unknown(chain(&error)))?;
        let own = newest.headers.get("Nats-Msg-Id").is_some_and(|found| found.as_str() == id);
        if own { Ok(newest.sequence) } else { Err(PutFault::Conflict) }
    }
}

/// Whether this may be a document's key: anything else could name other subjects.
pub(super) fn is_key(key: &str) -> bool {
    let sound = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    !key.is_empty() && key.bytes().all(sound) && !key.split('.').any(str::is_empty)
}

fn is_in_process(error: &PublishError) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<jetstream::Error>());
    source.is_some_and(|source| source.error_code().0 == IN_PROCESS)
}

/// async-nats 0.51 knows one of the server's two ways of saying "wrong last sequence". The other
/// (10164) comes from a clustered stream that has a write for the same key in flight.
pub(super) fn is_conflict(error: &PublishError) -> bool {
    error.kind() == PublishErrorKind::WrongLastSequence
        || error
            .source()
            .and_then(|source| source.downcast_ref::<jetstream::Error>())
            .is_some_and(|source| source.error_code() == ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_leads_no_more_says_so_to_whoever_asked_and_of_what_was_not_acknowledged_nobody_knows() {
        let key = || "mail".to_owned();
        let told = |error: WriteError| error.refusal(Service::Network, "the bucket ports");
        let overtaken = Refusal::NotPrimary { service: "network".to_owned() };
        assert_eq!(told(WriteError::NotLeading { key: key() }), overtaken);
        let unknown = Refusal::NoAnswer { who: "the bucket ports".to_owned() };
        assert_eq!(told(WriteError::Bus { key: key(), detail: String::new() }), unknown);
    }
}
