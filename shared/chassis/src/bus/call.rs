//! Asking: requests to services and commands to agents.

use std::time::Duration;

use async_nats::{HeaderMap, Message, client::RequestErrorKind};
use serde::{Serialize, de::DeserializeOwned};
use watari_contracts::{
    Command, ErrorBody, Request,
    wire::{HEADER_ERROR, HEADER_ERROR_CODE},
};
use watari_model::{NodeName, Refusal};

use super::Bus;
use crate::telemetry::trace;

/// Before a request is asked again that nobody heard. A planned change of leaders is over within a few hundred
/// milliseconds, and a question that nobody hears costs next to nothing.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
/// The longest of these pauses.
const MOST_PAUSE: Duration = Duration::from_millis(200);

/// Why a call brought no reply of the wanted kind.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The other side says why it cannot.
    #[error("{}", .0.message)]
    Refused(Box<ErrorBody>),
    /// Nobody answered in time, or nobody listened. *Whether it was done is not known*; with the
    /// same `request_id` it is safe to repeat.
    #[error("{who} did not answer; whether it acted is not known")]
    NoAnswer {
        /// Who was asked.
        who: String,
        /// Whether the server said that nobody was listening just then.
        listening: Listening,
    },
    /// The message could not be sent, or the answer not be read.
    #[error("{who}: {detail}")]
    Bus {
        /// Who was asked.
        who: String,
        /// What went wrong.
        detail: String,
    },
}

/// Whether somebody was there to hear a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listening {
    /// As far as is known.
    Perhaps,
    /// Nobody, by the word of the NATS server. During a change of leaders that is normal.
    Nobody,
}

impl CallError {
    /// Whether repeating the same call may succeed.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Refused(body) => body.retryable,
            Self::NoAnswer { .. } | Self::Bus { .. } => true,
        }
    }

    /// Whether nobody has heard it, or only one that leads no more and therefore did nothing.
    fn tells_that_nothing_was_done(&self) -> bool {
        match self {
            Self::Refused(body) => matches!(body.refusal, Refusal::NotPrimary { .. }),
            Self::NoAnswer { listening, .. } => *listening == Listening::Nobody,
            Self::Bus { .. } => false,
        }
    }
}

impl From<CallError> for Refusal {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(body) => body.refusal,
            CallError::NoAnswer { who, .. } => Self::NoAnswer { who },
            CallError::Bus { who, detail } => Self::Internal { detail: format!("{who}: {detail}") },
        }
    }
}

/// The subject of a command: `watari.agent.<node>.<verb>`.
pub(crate) fn command_subject<C: Command>(node: &NodeName) -> String {
    format!("watari.agent.{node}.{}", C::VERB)
}

impl Bus {
    /// Asks the service that owns the noun, and waits for `bus.request_timeout_ms`.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn request<R: Request>(&self, request: &R) -> Result<R::Reply, CallError> {
        self.request_within(request, self.settings().request_timeout).await
    }

    /// The same, reading of the answer only what `A` has of it: for who has no use for the whole of a long one.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn request_part<R: Request, A: DeserializeOwned>(&self, request: &R) -> Result<A, CallError> {
        self.exchange(R::SUBJECT.to_owned(), R::OWNER.name().to_owned(), request, self.settings().request_timeout).await
    }

    /// The same as [`Bus::request`] with a time of its own.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn request_within<R: Request>(&self, request: &R, bound: Duration) -> Result<R::Reply, CallError> {
        self.exchange(R::SUBJECT.to_owned(), R::OWNER.name().to_owned(), request, bound).await
    }

    /// Asks again while nobody listens or who does leads no more, as during a change of leaders, until `bound` is over.
    /// What somebody may have done is not repeated.
    ///
    /// # Errors
    /// [`CallError`] of the last try.
    pub async fn request_patiently<R: Request>(&self, request: &R, bound: Duration) -> Result<R::Reply, CallError> {
        let until = tokio::time::Instant::now() + bound;
        let mut pause = FIRST_PAUSE;
        loop {
            let answer = self.request(request).await;
            let undone = answer.as_ref().is_err_and(CallError::tells_that_nothing_was_done);
            if !undone || tokio::time::Instant::now() + pause >= until {
                return answer;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MOST_PAUSE);
        }
    }

    /// Orders a node's agent, and waits for `bus.request_timeout_ms`.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn command<C: Command>(&self, node: &NodeName, command: &C) -> Result<C::Reply, CallError> {
        self.command_within(node, command, self.settings().request_timeout).await
    }

    /// The same with a time of its own.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn command_within<C: Command>(
        &self,
        node: &NodeName,
        command: &C,
        bound: Duration,
    ) -> Result<C::Reply, CallError> {
        let answer = self.exchange(command_subject::<C>(node), format!("node {node}"), command, bound).await;
        if let Err(CallError::Refused(body)) = &answer
            && body.refusal.tells_of_a_later_leader()
        {
            tracing::error!(%node, refusal = %body.refusal, "a node says that it obeys a later leader; the lease will tell");
            self.inner.doubts.notify_one();
        }
        answer
    }

    /// Waits until a node has refused an order because it obeys a later leader.
    pub(crate) async fn doubted(&self) {
        self.inner.doubts.notified().await;
    }

    async fn exchange<Q: Serialize, A: DeserializeOwned>(
        &self,
        subject: String,
        who: String,
        question: &Q,
        bound: Duration,
    ) -> Result<A, CallError> {
        match serde_json::to_vec(question) {
            Ok(payload) => self.exchange_bytes(subject, who, payload, bound).await,
            Err(error) => Err(CallError::Bus { who, detail: error.to_string() }),
        }
    }

    /// Asks with a payload that need be no request at all, to see what a service makes of it.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn request_bytes(
        &self,
        subject: &str,
        payload: Vec<u8>,
        bound: Duration,
    ) -> Result<serde_json::Value, CallError> {
        self.exchange_bytes(subject.to_owned(), subject.to_owned(), payload, bound).await
    }

    async fn exchange_bytes<A: DeserializeOwned>(
        &self,
        subject: String,
        who: String,
        payload: Vec<u8>,
        bound: Duration,
    ) -> Result<A, CallError> {
        let mut headers = HeaderMap::new();
        trace::inject(&mut headers);
        let request = async_nats::Request::new().headers(headers).payload(payload.into()).timeout(Some(bound));
        // The bound must hold while the connection is down as well, when sending waits for it.
        let sent = tokio::time::timeout(bound, self.client().send_request(subject, request)).await;
        match sent {
            Ok(Ok(message)) => read(who, &message),
            Err(_) => Err(CallError::NoAnswer { who, listening: Listening::Perhaps }),
            Ok(Err(error)) => Err(match error.kind() {
                RequestErrorKind::TimedOut => CallError::NoAnswer { who, listening: Listening::Perhaps },
                RequestErrorKind::NoResponders => CallError::NoAnswer { who, listening: Listening::Nobody },
                _ => CallError::Bus { who, detail: crate::run::chain(&error) },
            }),
        }
    }
}

fn read<A: DeserializeOwned>(who: String, message: &Message) -> Result<A, CallError> {
    let header = |name: &str| message.headers.as_ref().and_then(|h| h.get(name));
    if let Some(code) = header(HEADER_ERROR_CODE) {
        return Err(match serde_json::from_slice::<ErrorBody>(&message.payload) {
            Ok(body) => CallError::Refused(Box::new(body)),
            Err(_) => {
                let text = header(HEADER_ERROR).map_or("", |v| v.as_str());
                CallError::Bus { who, detail: format!("error {code}: {text}") }
            }
        });
    }
    serde_json::from_slice(&message.payload)
        .map_err(|error| CallError::Bus { who, detail: format!("the answer cannot be read: {error}") })
}
