//! W3C Trace Context (<https://www.w3.org/TR/trace-context/>), carried in the headers of messages,
//! whether or not traces are exported.
//!
//! With an exporter the current span's context is sent on. Without one the incoming context is
//! passed on as it came, so that a trace begun elsewhere is not torn here, and the trace's id
//! stands in the log of every process that a request passes. A request that comes without one is given one by the first
//! process that sends traces or writes lines about requests; where neither is so, none is made.

use std::{fmt, future::Future, str::FromStr};

use async_nats::HeaderMap;
use opentelemetry::{
    Context, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, TraceContextExt, TraceState},
};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The header's name in messages.
pub const HEADER: &str = "traceparent";

tokio::task_local! {
    static CURRENT: TraceParent;
}

/// Which trace, and which step of it, a message belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    trace: TraceId,
    span: SpanId,
    flags: TraceFlags,
}

impl TraceParent {
    /// The beginning of a new trace.
    #[must_use]
    pub fn fresh() -> Self {
        let ids = RandomIdGenerator::default();
        Self { trace: ids.new_trace_id(), span: ids.new_span_id(), flags: TraceFlags::default() }
    }

    /// The trace's id as 32 hexadecimal digits, as logs show it.
    #[must_use]
    pub fn trace_id(&self) -> String {
        self.trace.to_string()
    }

    fn of(context: &SpanContext) -> Option<Self> {
        context.is_valid().then(|| Self {
            trace: context.trace_id(),
            span: context.span_id(),
            flags: context.trace_flags(),
        })
    }

    /// As the parent of spans made here.
    pub(crate) fn as_parent(self) -> Context {
        let context = SpanContext::new(self.trace, self.span, self.flags, true, TraceState::default());
        Context::new().with_remote_span_context(context)
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, self.flags)
    }
}

/// The text is no `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a traceparent")]
pub struct NotATraceParent;

impl FromStr for TraceParent {
    type Err = NotATraceParent;

    /// Version 00, and as the recommendation asks, later versions that begin in the same way.
    fn from_str(text: &str) -> Result<Self, NotATraceParent> {
        let mut parts = text.split('-');
        let mut part = |length: usize| {
            let lower_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
            parts.next().filter(|p| p.len() == length && p.bytes().all(lower_hex)).ok_or(NotATraceParent)
        };
        let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
        if version == "ff" || (version == "00" && parts.next().is_some()) {
            return Err(NotATraceParent);
        }
        let trace = TraceId::from_hex(trace).map_err(|_| NotATraceParent)?;
        let span = SpanId::from_hex(span).map_err(|_| NotATraceParent)?;
        let flags = TraceFlags::new(u8::from_str_radix(flags, 16).map_err(|_| NotATraceParent)?);
        if trace == TraceId::INVALID || span == SpanId::INVALID {
            return Err(NotATraceParent);
        }
        Ok(Self { trace, span, flags })
    }
}

/// The trace that this task works for: the exporter's span, or what came with the request.
#[must_use]
pub fn current() -> Option<TraceParent> {
    let context = tracing::Span::current().context();
    TraceParent::of(context.span().span_context()).or_else(|| CURRENT.try_with(|parent| *parent).ok())
}

/// Runs `work` as a part of the trace `parent`; what it sends carries that trace.
pub async fn scope<F: Future>(parent: TraceParent, work: F) -> F::Output {
    CURRENT.scope(parent, work).await
}

/// The same where it is recorded, here or by whoever asked; none otherwise, so that nothing is done for it.
#[must_use]
pub fn recorded() -> Option<TraceParent> {
    current().filter(|parent| parent.flags.is_sampled())
}

/// The same as text, to be noted in a document for which more is done later, perhaps by another process.
#[must_use]
pub fn noted() -> Option<String> {
    recorded().map(|parent| parent.to_string())
}

/// Does `work` as a step of the trace `parent`, called `what` and with the note about what it is. Where this process
/// exports no traces, what it sends carries the trace all the same; without a trace it costs nothing.
pub fn step<F: Future>(
    parent: Option<TraceParent>,
    what: &'static str,
    about: &str,
    work: F,
) -> impl Future<Output = F::Output> + use<F> {
    let step = parent.map(|parent| {
        let span = tracing::info_span!(parent: None, "step", otel.name = what, about);
        // Without an exporter there is no span to give a parent to.
        let _ = span.set_parent(parent.as_parent());
        (parent, span)
    });
    async move {
        match step {
            Some((parent, span)) => scope(parent, work.instrument(span)).await,
            None => work.await,
        }
    }
}

/// Puts the current trace into the headers of a message. Where there is none, whoever answers begins one if it wants one.
pub(crate) fn inject(headers: &mut HeaderMap) {
    if let Some(parent) = current() {
        headers.insert(HEADER, parent.to_string());
    }
}

/// The trace that a message belongs to. What cannot be read counts as absent.
pub(crate) fn extract(headers: Option<&HeaderMap>) -> Option<TraceParent> {
    headers?.get(HEADER)?.as_str().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_survives_text() {
        assert_eq!(SAMPLE.parse::<TraceParent>().unwrap().to_string(), SAMPLE);
        let fresh = TraceParent::fresh();
        assert_eq!(fresh.to_string().parse(), Ok(fresh));
    }

    #[test]
    fn what_the_recommendation_forbids_is_refused() {
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ] {
            assert_eq!(bad.parse::<TraceParent>(), Err(NotATraceParent), "{bad}");
        }
        assert!("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more".parse::<TraceParent>().is_ok());
    }

    #[tokio::test]
    async fn within_a_scope_messages_carry_its_trace_and_outside_none() {
        let parent: TraceParent = SAMPLE.parse().unwrap();
        let mut headers = HeaderMap::new();
        scope(parent, async { inject(&mut headers) }).await;
        assert_eq!(extract(Some(&headers)), Some(parent));
        let mut headers = HeaderMap::new();
        inject(&mut headers);
        assert!(headers.is_empty(), "{headers:?}");
    }

    #[tokio::test]
    async fn a_step_belongs_to_the_trace_that_was_noted_and_one_that_is_not_recorded_is_not_noted() {
        let parent: TraceParent = SAMPLE.parse().unwrap();
        assert_eq!(step(Some(parent), "send", "mail", async { noted() }).await.as_deref(), Some(SAMPLE));
        assert_eq!(step(None, "send", "mail", async { noted() }).await, None);
        assert_eq!(scope(TraceParent::fresh(), async { noted() }).await, None, "nobody records it");
    }
}
