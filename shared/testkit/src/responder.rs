//! Answering in place of thousands: one subscription with wildcards, where each agent would have its own.

use async_nats::ConnectOptions;
use futures_util::StreamExt;
use tokio::task::JoinHandle;

/// So many questions may wait: more than a service asks at a time of all its agents together.
const WAITING: usize = 1 << 18;

/// Answers until it is dropped. Of what the answers are it knows nothing: it is as bare as an echo.
#[derive(Debug)]
pub struct Responder(JoinHandle<()>);

impl Responder {
    /// Answers what is asked on `subject` (wildcards allowed) with what `answer` makes of the subject and the payload;
    /// where it makes nothing of them, nobody answers. Whatever is asked after this has returned is heard.
    ///
    /// # Panics
    /// If no server answers at `url`.
    pub async fn start(
        url: &str,
        subject: &str,
        mut answer: impl FnMut(&str, &[u8]) -> Option<Vec<u8>> + Send + 'static,
    ) -> Self {
        let connected = ConnectOptions::new().subscription_capacity(WAITING).connect(url).await;
        let client = connected.unwrap_or_else(|e| panic!("no NATS server at {url}: {e}"));
        let subscribed = client.subscribe(subject.to_owned()).await;
        let mut asked = subscribed.unwrap_or_else(|e| panic!("cannot subscribe to {subject}: {e}"));
        client.flush().await.unwrap_or_else(|e| panic!("cannot subscribe to {subject}: {e}"));
        Self(tokio::spawn(async move {
            while let Some(message) = asked.next().await {
                let Some(reply) = message.reply.clone() else { continue };
                if let Some(answer) = answer(message.subject.as_str(), &message.payload) {
                    // Who hears no answer asks again.
                    let _ = client.publish(reply, answer.into()).await;
                }
            }
        }))
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::NatsServer;

    #[tokio::test]
    async fn what_is_asked_under_the_subject_is_answered_unless_nothing_is_made_of_it() {
        let nats = NatsServer::start();
        let echo = |subject: &str, payload: &[u8]| (subject != "echo.mute").then(|| payload.to_vec());
        let _echo = Responder::start(&nats.url(), "echo.*", echo).await;
        let client = async_nats::connect(nats.url()).await.unwrap();
        let answer = client.request("echo.loud", "hello".into()).await.unwrap();
        assert_eq!(&answer.payload[..], b"hello");
        let mute = tokio::time::timeout(Duration::from_millis(100), client.request("echo.mute", "hello".into())).await;
        assert!(mute.is_err());
    }
}
