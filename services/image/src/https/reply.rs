//! Refusals as HTTP answers: the same body as on the bus.

use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use watari_contracts::{ErrorBody, upload};
use watari_model::Refusal;

/// How much of an upload has arrived.
pub(super) const UPLOAD_OFFSET: HeaderName = HeaderName::from_static(upload::UPLOAD_OFFSET);

/// What only HTTP can refuse: clients that speak the protocol never see these for long.
#[derive(Serialize)]
struct Fault<'a> {
    code: &'a str,
    message: &'a str,
    hint: &'a str,
    retryable: bool,
}

/// A refusal of HTTP's own.
pub(super) fn fault(status: StatusCode, code: &str, message: &str, hint: &str) -> Response {
    let retryable = status != StatusCode::NOT_FOUND;
    (status, Json(Fault { code, message, hint, retryable })).into_response()
}

/// A refusal as on the bus.
pub(super) fn refused(refusal: Refusal) -> Response {
    let status = match &refusal {
        Refusal::OutOfRange { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        other => StatusCode::from_u16(other.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
    };
    let response = (status, Json(ErrorBody::from(refusal))).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE { later(response) } else { response }
}

/// The same answer with the advice to come back.
pub(super) fn later(mut response: Response) -> Response {
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("2"));
    response
}

/// The same answer with the offset.
pub(super) fn at(offset: u64, mut response: Response) -> Response {
    response.headers_mut().insert(UPLOAD_OFFSET, HeaderValue::from(offset));
    response
}

/// Something broke here.
pub(super) fn broken(error: &dyn std::fmt::Display) -> Response {
    tracing::error!(%error, "an HTTPS request failed");
    refused(Refusal::Internal { detail: error.to_string() })
}
