//! What of an exporter's request shows how steps hang together.

use std::fmt::Write;

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value::Value, trace::v1::ResourceSpans,
};
use prost::{DecodeError, Message as _};

/// A step of a trace, as its process sent it. Ids are hexadecimal, that of the parent empty if there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Whose it is.
    pub(super) service: String,
    pub(super) trace: String,
    pub(super) id: String,
    pub(super) parent: String,
    pub(super) name: String,
}

/// The spans of one request of an exporter.
///
/// # Errors
/// It is no such request.
pub(super) fn spans(request: &[u8]) -> Result<Vec<Span>, DecodeError> {
    let mut found = Vec::new();
    for batch in ExportTraceServiceRequest::decode(request)?.resource_spans {
        let service = service(&batch);
        found.extend(batch.scope_spans.into_iter().flat_map(|scope| scope.spans).map(|span| Span {
            service: service.clone(),
            trace: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            name: span.name,
        }));
    }
    Ok(found)
}

fn service(batch: &ResourceSpans) -> String {
    let attributes = batch.resource.iter().flat_map(|resource| &resource.attributes);
    let named = attributes.into_iter().find(|attribute| attribute.key == "service.name");
    match named.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
        Some(Value::StringValue(name)) => name.clone(),
        _ => String::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
