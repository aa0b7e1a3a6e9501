//! One endpoint: from the message to the answer.

use std::{collections::HashMap, future::Future, panic::AssertUnwindSafe, pin::Pin, sync::Arc, time::Instant};

use async_nats::{HeaderMap, Message, service::error};
use bytes::Bytes;
use futures_util::FutureExt;
use schemars::schema_for;
use tracing::{Instrument, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use watari_contracts::{
    ErrorBody, Payload,
    wire::{HEADER_ERROR, HEADER_ERROR_CODE},
};
use watari_model::Refusal;

use super::{
    Call,
    answer::Answer,
    registry::{Ended, Registry},
    reply,
};
use crate::{
    Context,
    act::{self, Act},
    telemetry::trace,
};

type Answering = Pin<Box<dyn Future<Output = Result<Bytes, Refusal>> + Send>>;
type Handler = Box<dyn Fn(Call, &[u8]) -> Answering + Send + Sync>;

/// Whether this process may act when it takes a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Standing {
    /// It may, under this epoch.
    Answering { epoch: Option<u64> },
    /// Another leads by now. Saying so tells the caller that nothing was done.
    Overtaken,
}

pub(super) struct Endpoint {
    pub(super) name: String,
    pub(super) subject: String,
    /// Whether it handles what comes without a reply subject.
    pub(super) told: bool,
    about: &'static str,
    /// Writes the JSON Schemas of request and reply. They are asked for rarely, and those of all endpoints together would
    /// be a good part of what an agent holds in memory.
    schemas: fn() -> [String; 2],
    handler: Handler,
}

impl Endpoint {
    pub(super) fn new<Q, A, T, F, W>(subject: &str, about: &'static str, handler: F) -> Self
    where
        Q: Payload,
        A: Payload,
        F: Fn(Call, Q) -> W + Send + Sync + 'static,
        W: Future<Output = Result<T, Refusal>> + Send + 'static,
        T: Answer<A>,
    {
        let handler = Arc::new(handler);
        Self {
            // Names may have no dots; the version and the word before it say nothing.
            name: subject.trim_start_matches("watari.v1.").trim_start_matches("watari.").replace('.', "-"),
            subject: subject.to_owned(),
            told: false,
            about,
            schemas: || [schema::<Q>(), schema::<A>()],
            handler: Box::new(move |call, payload| {
                let question = serde_json::from_slice::<Q>(payload);
                let handler = Arc::clone(&handler);
                Box::pin(async move {
                    let question = question.map_err(|e| Refusal::Malformed { detail: e.to_string() })?;
                    let answer = handler(call, question).await?;
                    answer.into_json().map_err(|e| Refusal::Internal { detail: e.to_string() })
                })
            }),
        }
    }

    /// What it is about, and the JSON Schema of request and reply. That takes a while.
    pub(super) fn metadata(&self) -> HashMap<String, String> {
        let [request, reply] = (self.schemas)();
        HashMap::from([
            ("about".to_owned(), self.about.to_owned()),
            ("request_schema".to_owned(), request),
            ("reply_schema".to_owned(), reply),
        ])
    }

    /// Handles one message, and always answers. Where there is nowhere to answer to, it handles what may be told, and the
    /// log has what became of it.
    pub(super) async fn answer(&self, ctx: &Context, registry: &Registry, message: Message, standing: Standing) {
        match message.reply.as_deref() {
            None if !self.told => {
                tracing::debug!(subject = %message.subject, "not handled, since nobody waits for the answer");
                return;
            }
            Some(inbox) if !reply::is_inbox(inbox) => {
                ctx.counts().evil_replies.inc();
                let subject: &str = &message.subject;
                tracing::warn!(subject, reply = inbox, "not handled, since the reply subject is no inbox");
                return;
            }
            _ => {}
        }
        let begun = Instant::now();
        let mut parent = trace::extract(message.headers.as_ref());
        // Fields are put together only of a span that somebody wants: an exporter, or lines of this level. So is the id.
        let span = info_span!(
            "request",
            endpoint = self.name,
            trace_id = parent.get_or_insert_with(trace::TraceParent::fresh).trace_id()
        );
        if let Some(parent) = parent {
            // Without an exporter there is no span to give a parent to.
            let _ = span.set_parent(parent.as_parent());
        }
        let handled = match standing {
            _ if act::is_hidden(message.headers.as_ref()) => {
                Err(Refusal::Malformed { detail: "its headers hide who asks".to_owned() })
            }
            Standing::Answering { epoch } => {
                let caller = message.reply.as_deref().map(reply::caller).unwrap_or_default();
                let act = Act::new(message.headers.as_ref(), &caller, &self.subject);
                let (asker, project) = (act.asker().to_owned(), act.project().map(str::to_owned));
                let call = Call { caller, asker, project, trace: parent, epoch };
                let work = act.scope(self.handle(ctx, call, &message.payload).instrument(span));
                match parent {
                    Some(parent) => trace::scope(parent, work).await,
                    None => work.await,
                }
            }
            Standing::Overtaken => Err(Refusal::NotPrimary { service: ctx.service().name().to_owned() }),
        };

        let code = handled.as_ref().map_or_else(Refusal::code, |_| "ok");
        let took = begun.elapsed();
        ctx.counts().requests.with_label_values(&[&*self.name, code]).inc();
        ctx.counts().request_seconds.with_label_values(&[&*self.name]).observe(took.as_secs_f64());
        let error =
            handled.as_ref().err().map(|r| error::Error { code: usize::from(r.status()), status: r.code().to_owned() });
        registry.ended(&self.subject, Ended { took, error });

        let Some(inbox) = message.reply else {
            self.log_told(handled.as_ref().err());
            return;
        };
        let (headers, payload) = envelope(handled, parent);
        if let Err(error) = ctx.bus.client().publish_with_headers(inbox, headers, payload).await {
            tracing::warn!(endpoint = self.name, %error, "the answer did not leave; the caller has to ask again");
        }
    }

    /// Whoever told it learns nothing of this.
    fn log_told(&self, refused: Option<&Refusal>) {
        match refused {
            None => tracing::info!(endpoint = self.name, "told, and nobody waits for the answer"),
            Some(refusal) => {
                let code = refusal.code();
                tracing::warn!(endpoint = self.name, code, %refusal, "told in vain, and nobody waits for the answer");
            }
        }
    }

    async fn handle(&self, ctx: &Context, call: Call, payload: &[u8]) -> Result<Bytes, Refusal> {
        let limit = ctx.limits.request_bytes;
        if payload.len() > limit {
            return Err(Refusal::TooLarge { bytes: payload.len().to_string(), limit: limit.to_string() });
        }
        let work = AssertUnwindSafe(async { (self.handler)(call, payload).await });
        match work.catch_unwind().await {
            Ok(Err(refusal)) => {
                tracing::info!(code = refusal.code(), %refusal, "refused");
                Err(refusal)
            }
            Ok(done) => done,
            Err(_) => {
                ctx.counts().panics.with_label_values(&[&*self.name]).inc();
                tracing::error!("the handler panicked");
                Err(Refusal::Internal { detail: format!("the handler of {} failed", self.name) })
            }
        }
    }
}

fn schema<P: Payload>() -> String {
    schema_for!(P).as_value().to_string()
}

fn envelope(handled: Result<Bytes, Refusal>, parent: Option<trace::TraceParent>) -> (HeaderMap, Bytes) {
    let mut headers = HeaderMap::new();
    if let Some(parent) = parent {
        headers.insert(trace::HEADER, parent.to_string());
    }
    match handled {
        Ok(payload) => (headers, payload),
        Err(refusal) => {
            headers.insert(HEADER_ERROR_CODE, refusal.status().to_string());
            let body = ErrorBody::from(refusal);
            // A header is one line, whatever the text of an error holds.
            headers.insert(HEADER_ERROR, body.message.replace(['\r', '\n'], " "));
            (headers, serde_json::to_vec(&body).unwrap_or_default().into())
        }
    }
}
