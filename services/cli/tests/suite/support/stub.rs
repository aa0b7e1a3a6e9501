//! A service that answers what the test wants, under the service's own identity.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use serde_json::Value;
use watari_contracts::ErrorBody;
use watari_model::Refusal;

use super::{Cloud, wire::Verdict};

/// What to answer.
pub enum Answer {
    Reply(Value),
    Refuse(Refusal),
    Nothing,
}

/// A running stub. Dropped, it ends.
pub struct Stub {
    asked: Arc<Mutex<Vec<(String, Value)>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Stub {
    /// Answers `subjects` as `identity`; `answer` is given the subject and what was asked.
    pub fn start(
        cloud: &Cloud,
        identity: &str,
        subjects: &[&str],
        mut answer: impl FnMut(&str, &Value) -> Answer + Send + 'static,
    ) -> Self {
        let mut client = cloud.client(identity);
        for subject in subjects {
            assert_eq!(client.subscribe(subject), Verdict::Allowed, "{subject}");
        }
        let (asked, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (heard, stopped) = (Arc::clone(&asked), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let Some(message) = client.next_within(Duration::from_millis(20)) else { continue };
                let question: Value = serde_json::from_str(&message.payload).unwrap();
                heard.lock().unwrap().push((message.subject.clone(), question.clone()));
                let reply = message.reply.unwrap();
                let verdict = match answer(&message.subject, &question) {
                    Answer::Reply(value) => client.publish(&reply, None, &value.to_string()),
                    Answer::Refuse(refusal) => {
                        let body = ErrorBody::from(refusal);
                        let status = body.refusal.status().to_string();
                        let headers =
                            [("Nats-Service-Error", body.code.as_str()), ("Nats-Service-Error-Code", &status)];
                        client.publish_with_headers(&reply, &headers, &serde_json::to_string(&body).unwrap())
                    }
                    Answer::Nothing => Verdict::Allowed,
                };
                assert_eq!(verdict, Verdict::Allowed);
            }
        });
        Self { asked, stop, thread: Some(thread) }
    }

    /// What has been asked so far.
    pub fn asked(&self) -> Vec<(String, Value)> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
