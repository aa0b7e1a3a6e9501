//! A bucket's past: every write that its stream still has, as bytes, whoever owns the documents.
//! For the history, which wants what was written and not what it means.

use std::time::Duration;

use async_nats::{
    client::Client,
    jetstream::{
        Message,
        consumer::{DeliverPolicy, push},
        kv::Store,
        stream::Info,
    },
};
use bytes::Bytes;
use futures_util::StreamExt;
use watari_model::Timestamp;

use super::{ReadError, Revision, entry::is_deletion, open::is_absent};
use crate::{Bus, Context, act, run::chain};

/// A reading that brings nothing for this long is given up.
pub(super) const STALLED: Duration = Duration::from_secs(10);

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastWrite {
    /// The document's key.
    pub key: String,
    /// Which write it was.
    pub revision: Revision,
    /// When it was, by the NATS server's clock; with the revision it tells this write from one
    /// of the same number in a bucket that was lost and made anew.
    pub created: Timestamp,
    /// Whether it deleted the document.
    pub deleted: bool,
    /// The document.
    pub payload: Bytes,
    /// On whose behalf it was.
    pub by: Option<String>,
    /// For which request, if it was for one.
    pub why: Option<String>,
}

/// How far a bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// When the bucket was made.
    pub made: Timestamp,
    /// Its last write, 0 if there was none.
    pub last: Revision,
    /// Whether it holds anything at all.
    pub any: bool,
}

impl Reach {
    fn of(info: &Info) -> Self {
        Self { made: Timestamp(info.created), last: info.state.last_sequence, any: info.state.messages > 0 }
    }
}

/// A bucket's past writes.
pub struct Past {
    pub(super) bucket: &'static str,
    pub(super) store: Store,
    client: Client,
}

impl Past {
    /// Finds the bucket; none if nobody has made it yet.
    ///
    /// # Errors
    /// [`ReadError::Bus`].
    pub async fn find(ctx: &Context, bucket: &'static str) -> Result<Option<Self>, ReadError> {
        Self::on(&ctx.bus, bucket).await
    }

    pub(super) async fn on(bus: &Bus, bucket: &'static str) -> Result<Option<Self>, ReadError> {
        let fault = match bus.jetstream().get_key_value(bucket).await {
            Ok(store) => return Ok(Some(Self { bucket, store, client: bus.client().clone() })),
            Err(fault) => fault,
        };
        match bus.jetstream().get_stream(format!("KV_{bucket}")).await {
            Err(error) if is_absent(&error.kind()) => Ok(None),
            Ok(_) | Err(_) => Err(ReadError::Bus { bucket, detail: chain(&fault) }),
        }
    }

    /// How far it was when it was found, by the word of the stream's leader.
    #[must_use]
    pub fn found(&self) -> Reach {
        Reach::of(self.store.stream.cached_info())
    }

    /// How far it is, by the word of the stream's leader.
    ///
    /// # Errors
    /// [`ReadError::Bus`].
    pub async fn reach(&self) -> Result<Reach, ReadError> {
        let info = self.store.stream.get_info().await.map_err(|error| self.fault(chain(&error)))?;
        Ok(Reach::of(&info))
    }

    /// The writes from revision `from` on, oldest first, at most `most`. Fewer than `most` are all
    /// there were when this began.
    ///
    /// # Errors
    /// [`ReadError::Bus`].
    pub async fn read(&self, from: Revision, most: usize) -> Result<Vec<PastWrite>, ReadError> {
        let reach = self.reach().await?;
        let mut found = Vec::new();
        if !reach.any || reach.last < from {
            return Ok(found);
        }
        // What the bucket's own watch does, which keeps the headers to itself.
        let consumer = self.store.stream.create_consumer(push::OrderedConfig {
            deliver_subject: self.client.new_inbox(),
            filter_subject: format!("{}>", self.store.prefix),
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: from },
            ..push::OrderedConfig::default()
        });
        let consumer = consumer.await.map_err(|error| self.fault(chain(&error)))?;
        let mut writes = consumer.messages().await.map_err(|error| self.fault(chain(&error)))?;
        while found.len() < most {
            let next = tokio::time::timeout(STALLED, writes.next()).await;
            let next = next.map_err(|_| self.fault("its past does not come".to_owned()))?;
            let message = next.ok_or_else(|| self.fault("its past ended early".to_owned()))?;
            let (write, left) = self.write(message.map_err(|error| self.fault(chain(&error)))?)?;
            found.push(write);
            if left == 0 {
                break;
            }
        }
        Ok(found)
    }

    /// The write, and how many come after it.
    fn write(&self, message: Message) -> Result<(PastWrite, u64), ReadError> {
        let info = message.info().map_err(|error| self.fault(error.to_string()))?;
        let (revision, created, left) = (info.stream_sequence, Timestamp(info.published), info.pending);
        let key = message.subject.strip_prefix(self.store.prefix.as_str());
        let key = key.ok_or_else(|| self.fault(format!("it holds {}", message.subject)))?.to_owned();
        let (by, why) = act::extract(message.headers.as_ref());
        let deleted = message.headers.as_ref().is_some_and(is_deletion);
        Ok((PastWrite { key, revision, created, deleted, payload: message.payload.clone(), by, why }, left))
    }

    pub(super) fn fault(&self, detail: String) -> ReadError {
        ReadError::Bus { bucket: self.bucket, detail }
    }
}
