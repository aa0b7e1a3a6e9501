//! Logs and traces: structured lines on standard error, and spans by OTLP where that is configured.

pub mod trace;

use std::iter;

use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    runtime::Tokio,
    trace::{Sampler, SdkTracerProvider, span_processor_with_async_runtime::BatchSpanProcessor},
};
use tracing_subscriber::{
    EnvFilter, Layer, Registry, filter::LevelFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::config::{Format, Telemetry};

/// Why logging or tracing cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter makes no sense.
    #[error("telemetry.log is no filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The exporter cannot be made.
    #[error("telemetry.otlp cannot be used: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// Somebody else has set it up.
    #[error("logging was set up before")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Keeps the exporter; [`Traces::finish`] sends what is left.
#[derive(Default)]
pub(crate) struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Sends what is left. It blocks, for at most as long as the exporter's own bound.
    pub(crate) fn finish(&self) {
        if let Some(provider) = &self.0
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// Sets up the process's logs and traces. Call it within the runtime.
pub(crate) fn start(settings: &Telemetry, service: &str, instance: &str) -> Result<Traces, TelemetryError> {
    let filter: EnvFilter = settings.log.parse()?;
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match settings.format {
        Format::Text => fmt::layer().with_writer(std::io::stderr).with_ansi(is_terminal()).boxed(),
        Format::Json => fmt::layer().json().flatten_event(true).with_writer(std::io::stderr).boxed(),
    };
    let provider = if settings.otlp.is_empty() { None } else { Some(exporter(settings, service, instance)?) };
    // Whoever wants few lines has not asked for torn traces.
    let spans = provider.as_ref().map(|provider| {
        let layer = tracing_opentelemetry::layer::<Registry>().with_tracer(provider.tracer("watari"));
        layer.with_filter(LevelFilter::INFO).boxed()
    });
    // A list, since a layer that is not there would count as one that wants nothing, and the lines with it.
    let layers: Vec<_> = iter::once(lines.with_filter(filter).boxed()).chain(spans).collect();
    tracing_subscriber::registry().with(layers).try_init()?;
    Ok(Traces(provider))
}

fn exporter(settings: &Telemetry, service: &str, instance: &str) -> Result<SdkTracerProvider, TelemetryError> {
    // Plain http:// needs no TLS, but the client asks for a provider in any case.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(&settings.otlp)
        .build()?;
    let about = Resource::builder()
        .with_service_name(format!("watari-{service}"))
        .with_attribute(KeyValue::new("service.instance.id", instance.to_owned()))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let sampler = sampler(settings.sample_ratio);
    let batches = BatchSpanProcessor::builder(exporter, Tokio).build();
    Ok(SdkTracerProvider::builder().with_resource(about).with_sampler(sampler).with_span_processor(batches).build())
}

/// By the trace's id, and so alike in every process that it passes. Who gives a trace to a request that has none
/// decides nothing by that: its flag says "not recorded", and does not count.
fn sampler(ratio: f64) -> Sampler {
    Sampler::TraceIdRatioBased(ratio)
}

fn is_terminal() -> bool {
    use std::io::IsTerminal;
    std::io::stderr().is_terminal()
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanKind, TraceContextExt};
    use opentelemetry_sdk::trace::{SamplingDecision, ShouldSample};

    use super::*;

    #[test]
    fn a_trace_that_a_request_was_given_is_recorded_as_often_as_the_ratio_says() {
        let decided = |ratio: f64| {
            let parent = trace::TraceParent::fresh().as_parent();
            let id = parent.span().span_context().trace_id();
            sampler(ratio).should_sample(Some(&parent), id, "request", &SpanKind::Server, &[], &[]).decision
        };
        for _ in 0..20 {
            assert_eq!(decided(1.0), SamplingDecision::RecordAndSample);
            assert_eq!(decided(0.0), SamplingDecision::Drop);
        }
        let kept = (0..1_000).filter(|_| decided(0.5) == SamplingDecision::RecordAndSample).count();
        assert!((350..650).contains(&kept), "{kept} of 1,000");
    }
}
