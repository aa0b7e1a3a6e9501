//! Asking everybody at once: one question, as many answers as there are processes that hear it.

use std::time::Duration;

use futures_util::StreamExt;
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::{Instant, timeout};

use super::{Bus, BusError, not_sent};

/// How long everybody has to answer, and how long after the last answer no more is expected.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// In all.
    pub total: Duration,
    /// Between two answers.
    pub quiet: Duration,
}

impl Bus {
    /// Publishes `question` on `subject` and gathers the answers that can be read. That nobody
    /// answers is an empty list: it is not known who should.
    ///
    /// # Errors
    /// [`BusError`] if the question did not leave.
    pub async fn gather<Q: Serialize + Sync, A: DeserializeOwned>(
        &self,
        subject: &str,
        question: &Q,
        patience: Patience,
    ) -> Result<Vec<A>, BusError> {
        let payload = serde_json::to_vec(question).map_err(|error| not_sent(subject, &error))?;
        let inbox = self.client().new_inbox();
        let mut answers = self.subscribe(&inbox).await?;
        let sent = self.client().publish_with_reply(subject.to_owned(), inbox, payload.into()).await;
        sent.map_err(|error| not_sent(subject, &error))?;
        let until = Instant::now() + patience.total;
        let mut found = Vec::new();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            // Nobody need have answered yet, but who has is soon followed by the others.
            let wait = if found.is_empty() { left } else { left.min(patience.quiet) };
            let Ok(Some(answer)) = timeout(wait, answers.next()).await else { return Ok(found) };
            // An answer without a body is the server's word that nobody listens.
            if answer.payload.is_empty() {
                return Ok(found);
            }
            match serde_json::from_slice(&answer.payload) {
                Ok(answer) => found.push(answer),
                Err(error) => tracing::debug!(subject, %error, "an answer cannot be read"),
            }
        }
    }
}
