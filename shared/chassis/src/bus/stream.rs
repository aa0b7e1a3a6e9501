//! What comes from a subscription: facts, beats and events.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use async_nats::Subscriber;
use bytes::Bytes;
use futures_util::Stream;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use watari_model::Timestamp;

use crate::{
    act,
    telemetry::trace::{self, TraceParent},
};

/// A message as it came.
#[derive(Clone, Debug)]
pub struct Message {
    /// Where it was published.
    pub subject: String,
    /// Its bytes.
    pub payload: Bytes,
    /// The trace that it belongs to, if its sender said so.
    pub trace: Option<TraceParent>,
    /// For an event: the document's revision.
    pub revision: Option<u64>,
    /// For an event: the revision of the document's write before this one, 0 for the first. One
    /// that is not known to the receiver was missed.
    pub previous: Option<u64>,
    /// For an event: when it was written, by the NATS server's clock.
    pub created: Option<Timestamp>,
    /// For an event: whether the document was deleted.
    pub deleted: bool,
    /// For an event: on whose behalf the document was written.
    pub by: Option<String>,
    /// For an event: for which request, if it was for one.
    pub why: Option<String>,
}

/// The messages of one subscription. Dropping it ends the subscription.
pub struct Messages {
    subscriber: Subscriber,
}

impl Messages {
    pub(super) fn new(subscriber: Subscriber) -> Self {
        Self { subscriber }
    }
}

impl Stream for Messages {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        Pin::new(&mut self.subscriber).poll_next(cx).map(|next| next.map(read))
    }
}

fn read(message: async_nats::Message) -> Message {
    let headers = message.headers.as_ref();
    let header = |name: &str| headers.and_then(|h| h.get(name)).map(|v| v.as_str());
    let (by, why) = act::extract(headers);
    Message {
        trace: trace::extract(headers),
        // Put there by the server when a bucket's stream republishes a write.
        revision: header("Nats-Sequence").and_then(|text| text.parse().ok()),
        previous: header("Nats-Last-Sequence").and_then(|text| text.parse().ok()),
        created: header("Nats-Time-Stamp").and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok()).map(Timestamp),
        deleted: matches!(header("KV-Operation"), Some("DEL" | "PURGE")),
        by,
        why,
        subject: message.subject.to_string(),
        payload: message.payload,
    }
}
