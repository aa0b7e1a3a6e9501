//! A bucket's documents as bytes, whatever they mean: for backups, which keep what was written and
//! put it back. Only `watari backup` does so; services go by [`super::Bucket`].

use std::{collections::BTreeMap, time::Duration};

use async_nats::{HeaderMap, jetstream};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::time::{sleep, timeout};

use super::{
    Past, PastWrite, Reach, ReadError, Revision, WriteError,
    entry::{Raw, holds},
    past::STALLED,
    write::{PutFault, is_conflict, is_key},
};
use crate::{Bus, act, run::chain};

/// How often a list is tried anew.
const LISTS: u32 = 4;
/// How often a write is; a change of the stream's leader lasts a few of these.
const TRIES: u32 = 12;
const PAUSE: Duration = Duration::from_millis(500);

/// A bucket, by its bytes.
pub struct Chest {
    past: Past,
    jetstream: jetstream::Context,
    patience: Duration,
}

impl Chest {
    /// Finds the bucket; none if nobody has made it yet.
    ///
    /// # Errors
    /// [`ReadError::Bus`].
    pub async fn find(bus: &Bus, bucket: &'static str) -> Result<Option<Self>, ReadError> {
        let past = Past::on(bus, bucket).await?;
        let (jetstream, patience) = (bus.jetstream().clone(), bus.settings().request_timeout);
        Ok(past.map(|past| Self { past, jetstream, patience }))
    }

    /// How far it is, by the word of the stream's leader.
    ///
    /// # Errors
    /// [`ReadError::Bus`].
    pub async fn reach(&self) -> Result<Reach, ReadError> {
        self.past.reach().await
    }

    /// The newest write of every document that is not deleted, by key: all that the leader had when
    /// this began, and perhaps some of what was written since.
    ///
    /// # Errors
    /// [`ReadError::Bus`].
    pub async fn documents(&self) -> Result<Vec<PastWrite>, ReadError> {
        let mut tries = 0;
        loop {
            match self.list().await {
                // A replica that lags gave the list.
                Err(_) if tries < LISTS => tries += 1,
                listed => return listed,
            }
            sleep(PAUSE).await;
        }
    }

    async fn list(&self) -> Result<Vec<PastWrite>, ReadError> {
        let reach = self.reach().await?;
        let mut found = BTreeMap::new();
        if reach.any {
            let watch = self.past.store.watch_with_history(">").await;
            let mut watch = watch.map_err(|error| self.past.fault(chain(&error)))?;
            loop {
                let next = timeout(STALLED, watch.next()).await;
                let next = next.map_err(|_| self.past.fault("the list does not come".to_owned()))?;
                let entry = next.ok_or_else(|| self.past.fault("the list ended early".to_owned()))?;
                let entry = entry.map_err(|error| self.past.fault(chain(&error)))?;
                let complete = entry.delta == 0;
                let Raw { key, revision, payload, created, deleted, .. } = Raw::from_watch(self.past.bucket, entry);
                found.insert(key.clone(), PastWrite { key, revision, created, deleted, payload, by: None, why: None });
                if complete {
                    break;
                }
            }
        }
        let newest = found.values().map(|write| write.revision).max().unwrap_or(0);
        if reach.any && newest < reach.last && self.holds(reach.last).await? {
            return Err(self.past.fault(format!("the list ends before revision {}", reach.last)));
        }
        Ok(found.into_values().filter(|write| !write.deleted).collect())
    }

    async fn holds(&self, revision: Revision) -> Result<bool, ReadError> {
        holds(&self.past.store, self.past.bucket, revision).await
    }

    async fn newest(&self, key: &str) -> Result<Option<Raw>, ReadError> {
        Raw::newest(&self.past.store, self.past.bucket, key).await
    }

    /// Stores a document under a key that has none. If these very bytes are there already nothing is
    /// written, so that this may be repeated.
    ///
    /// # Errors
    /// [`WriteError::Exists`] if another document is there; [`WriteError::Bus`] when it is not known.
    pub async fn put_new(&self, key: &str, payload: &Bytes) -> Result<Revision, WriteError> {
        let mut expected = 0;
        let mut tries = 0;
        loop {
            let fault = match self.put(key, expected, payload.clone()).await {
                Ok(revision) => return Ok(revision),
                Err(fault) => fault,
            };
            match self.newest(key).await {
                // A deletion leaves a marker, upon which a new document may be put.
                Ok(Some(raw)) if raw.deleted => expected = raw.revision,
                Ok(Some(raw)) if raw.payload == *payload => return Ok(raw.revision),
                Ok(Some(_)) => return Err(WriteError::Exists { key: key.to_owned() }),
                Ok(None) => expected = 0,
                Err(error) if tries >= TRIES => return Err(PutFault::Unknown(chain(&error)).of(key, expected)),
                Err(_) => {}
            }
            if tries >= TRIES {
                return Err(fault.of(key, expected));
            }
            tries += 1;
            sleep(PAUSE).await;
        }
    }

    /// Replaces the document that is at revision `expected`.
    ///
    /// # Errors
    /// [`WriteError::Conflict`], or [`WriteError::Bus`] when it is not known.
    pub async fn replace(&self, key: &str, expected: Revision, payload: Bytes) -> Result<Revision, WriteError> {
        self.put(key, expected, payload).await.map_err(|fault| fault.of(key, expected))
    }

    async fn put(&self, key: &str, expected: Revision, payload: Bytes) -> Result<Revision, PutFault> {
        if !is_key(key) {
            return Err(PutFault::Unknown(format!("{key:?} is no key")));
        }
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Expected-Last-Subject-Sequence", expected.to_string());
        act::inject_restoring(&mut headers);
        let subject = format!("{}{key}", self.past.store.prefix);
        let publish = self.jetstream.publish_with_headers(subject, headers, payload);
        let acknowledged = async { publish.await?.await };
        match timeout(self.patience, acknowledged).await {
            Ok(Ok(acknowledged)) => Ok(acknowledged.sequence),
            Ok(Err(error)) if is_conflict(&error) => Err(PutFault::Conflict),
            Ok(Err(error)) => Err(PutFault::Unknown(chain(&error))),
            Err(_) => Err(PutFault::Unknown("no acknowledgement in time".to_owned())),
        }
    }
}
