//! Questions that every process answers for itself, whether it leads or not.

use std::{future::Future, panic::AssertUnwindSafe};

use futures_util::{FutureExt, StreamExt};
use serde::{Serialize, de::DeserializeOwned};

use super::reply;
use crate::{BusError, Context, run::chain};

impl Context {
    /// Answers each question on `subject` with what `handler` makes of it, until the process shuts down: one after
    /// the other, since such questions are rare. What cannot be read is not answered, nor what is larger than a
    /// request may be, nor a reply subject that is no inbox.
    ///
    /// # Errors
    /// [`BusError`] if the subscription is refused.
    pub async fn answer_all<Q, A, F, W>(&self, subject: &'static str, handler: F) -> Result<(), BusError>
    where
        Q: DeserializeOwned + Send + 'static,
        A: Serialize + Send + 'static,
        F: Fn(Q) -> W + Send + Sync + 'static,
        W: Future<Output = A> + Send + 'static,
    {
        let fault = |detail| BusError::NotSubscribed { subject: subject.to_owned(), detail };
        let mut asked = self.bus.client().subscribe(subject).await.map_err(|e| fault(chain(&e)))?;
        // Whoever asks from now on is answered.
        self.bus.client().flush().await.map_err(|e| fault(chain(&e)))?;
        let ctx = self.clone();
        self.spawn("survey", async move {
            loop {
                let message = tokio::select! {
                    message = asked.next() => message,
                    () = ctx.shutdown.cancelled() => None,
                };
                let Some(message) = message else { return };
                let Some(inbox) = message.reply else { continue };
                if !reply::is_inbox(&inbox) {
                    ctx.counts().evil_replies.inc();
                    continue;
                }
                if message.payload.len() > ctx.limits.request_bytes {
                    continue;
                }
                let Ok(question) = serde_json::from_slice::<Q>(&message.payload) else { continue };
                let answering = AssertUnwindSafe(async { handler(question).await }).catch_unwind();
                let answer = tokio::select! {
                    answer = answering => answer,
                    () = ctx.shutdown.cancelled() => return,
                };
                let Ok(answer) = answer else {
                    ctx.counts().panics.with_label_values(&[subject]).inc();
                    continue;
                };
                let Ok(json) = serde_json::to_vec(&answer) else { continue };
                if let Err(error) = ctx.bus.client().publish(inbox, json.into()).await {
                    tracing::debug!(subject, %error, "not answered");
                }
            }
        });
        Ok(())
    }
}
