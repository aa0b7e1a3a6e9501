//! What every message has in common: the four kinds of message as traits, and the error body.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use watari_model::refusal::{Refusal, Rendered};

/// A payload that can be read, written and described.
pub trait Payload: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {}
impl<T: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static> Payload for T {}

/// A question or intent that an operator, the gateway or another service puts to the one service
/// that owns the noun. It is answered once the intent is stored; asking again with the same
/// `request_id` is safe.
pub trait Request: Payload {
    /// The subject, `watari.v1.<noun>.<verb>`.
    const SUBJECT: &'static str;
    /// The service that answers.
    const OWNER: Service;
    /// One English sentence for `nats micro info` and the reference.
    const ABOUT: &'static str;
    /// Whether it is handled where nobody waits for the answer, too (`nats pub`): what tells how things are rather than asks,
    /// and may come again.
    const TOLD: bool = false;
    /// What comes back when it is not refused.
    type Reply: Payload;
}

/// The requests that one service answers, a row each, with `TOLD` at its end if [`Request::TOLD`] is to hold; and their
/// subjects, as a list of which is said what it holds. Whoever uses it has [`Request`] and [`Service`] at hand.
macro_rules! requests {
    ($owner:ident, $list:literal; $($request:ident $subject:literal => $reply:ty, $about:literal $($told:ident)?;)*) => {
        $(impl Request for $request {
            const SUBJECT: &'static str = $subject;
            const OWNER: Service = Service::$owner;
            const ABOUT: &'static str = $about;
            $(const $told: bool = true;)?
            type Reply = $reply;
        })*
        #[doc = $list]
        pub const SUBJECTS: &[&str] = &[$($subject),*];
    };
}
pub(crate) use requests;

/// An order from a service to one node's agent, on `watari.agent.<node>.<verb>`.
pub trait Command: Payload {
    /// The last token of the subject.
    const VERB: &'static str;
    /// One English sentence for `nats micro info` and the reference.
    const ABOUT: &'static str;
    /// What the agent answers.
    type Reply: Payload;
}

/// The five services. The names are also those of their leases and of their NATS identities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    /// Places, migrates and evacuates.
    Scheduler,
    /// Imports, verifies and replicates images.
    Image,
    /// Hands out addresses.
    Network,
    /// Folds beats into node state and keeps the history.
    Monitor,
    /// Drives one node.
    NodeAgent,
}

impl Service {
    /// Those that a front end runs, each with a lease of its own.
    pub const OF_FRONT: [Self; 4] = [Self::Scheduler, Self::Image, Self::Network, Self::Monitor];

    /// The name used in subjects, leases, file names and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scheduler => "scheduler",
            Self::Image => "image",
            Self::Network => "network",
            Self::Monitor => "monitor",
            Self::NodeAgent => "node-agent",
        }
    }
}

/// The header that carries the numeric error code of the NATS Services API (ADR-32).
pub const HEADER_ERROR_CODE: &str = "Nats-Service-Error-Code";
/// The header that carries the error text of the NATS Services API (ADR-32).
pub const HEADER_ERROR: &str = "Nats-Service-Error";

/// The body of every refusal: stable code, English cause and remedy, the same in Japanese, and
/// whether the same request may succeed later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// Stable, documented code such as `vm.exists`.
    pub code: String,
    /// What is the matter, in English.
    pub message: String,
    /// What to do about it, in English.
    pub hint: String,
    /// Whether repeating the same request later may succeed.
    pub retryable: bool,
    /// Cause and remedy in Japanese.
    pub ja: Rendered,
    /// The refusal itself, so that a program need not read prose.
    pub refusal: Refusal,
}

impl From<Refusal> for ErrorBody {
    fn from(refusal: Refusal) -> Self {
        let en = refusal.english();
        Self {
            code: refusal.code().to_owned(),
            message: en.cause,
            hint: en.remedy,
            retryable: refusal.retryable(),
            ja: refusal.japanese(),
            refusal,
        }
    }
}
