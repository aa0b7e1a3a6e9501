//! Streams as their leaders describe them (NATS ADR-2, `io.nats.jetstream.api.v1.stream_info_response`).

use std::time::Duration;

use serde::Deserialize;
use watari_contracts::frontend::{Follower, StreamView};

use crate::{Bus, run::chain};

/// A leader answers within milliseconds; a stream that has none does not answer at all.
const ANSWER: Duration = Duration::from_secs(2);

#[derive(Deserialize)]
pub(super) struct Answer {
    config: Option<Config>,
    state: Option<State>,
    cluster: Option<Cluster>,
    error: Option<Fault>,
}

#[derive(Deserialize)]
struct Config {
    num_replicas: usize,
}

#[derive(Deserialize)]
struct State {
    last_seq: u64,
}

#[derive(Deserialize)]
struct Cluster {
    leader: Option<String>,
    #[serde(default)]
    replicas: Vec<Follower>,
}

#[derive(Deserialize)]
pub(super) struct Fault {
    pub(super) description: String,
}

impl Bus {
    /// The stream under a bucket.
    ///
    /// # Errors
    /// A sentence, if there is none or its leader does not answer.
    pub async fn stream(&self, bucket: &str) -> Result<StreamView, String> {
        let subject = format!("$JS.API.STREAM.INFO.KV_{bucket}");
        let asked = self.client().request(subject, Vec::new().into());
        let answer = tokio::time::timeout(ANSWER, asked).await;
        let answer = answer.map_err(|_| "no answer in time".to_owned())?.map_err(|e| chain(&e))?;
        let answer: Answer = serde_json::from_slice(&answer.payload).map_err(|e| e.to_string())?;
        let (Some(config), Some(state)) = (answer.config, answer.state) else {
            return Err(answer.error.map_or_else(|| "an empty answer".to_owned(), |fault| fault.description));
        };
        let (leader, followers) = answer.cluster.map_or((None, Vec::new()), |c| (c.leader, c.replicas));
        let bucket = bucket.to_owned();
        Ok(StreamView { bucket, replicas: config.num_replicas, leader, followers, last: state.last_seq })
    }
}
