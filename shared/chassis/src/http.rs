//! `/metrics`, `/live` and `/ready`, for Prometheus and for whoever supervises the process.

use std::net::SocketAddr;

use axum::{
    Router, extract::State, http::StatusCode, http::header::CONTENT_TYPE, response::IntoResponse, routing::get,
};
use prometheus::{Encoder, Registry, TextEncoder};
use tokio::net::TcpListener;

use crate::{Context, StartError, ready::Readiness};

/// Begins to serve on `address`, and gives the address that it got (a port of 0 lets the system
/// choose). It ends with the process's last phase, so that draining can be watched.
///
/// # Errors
/// [`StartError::Listen`] if the address cannot be had.
pub async fn serve(ctx: &Context, address: SocketAddr) -> Result<SocketAddr, StartError> {
    let fault = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(fault)?;
    let bound = listener.local_addr().map_err(fault)?;
    tracing::info!(address = %bound, "serving /metrics, /live and /ready");
    let routes = Router::new()
        .route("/metrics", get(metrics))
        .route("/live", get(|| async { "live\n" }))
        .route("/ready", get(ready))
        .with_state(ctx.clone());
    let closing = ctx.closing().clone();
    ctx.spawn_closer("http", async move {
        let served = axum::serve(listener, routes).with_graceful_shutdown(closing.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!(%error, "the listener for /metrics failed");
        }
    });
    Ok(bound)
}

async fn metrics(State(ctx): State<Context>) -> impl IntoResponse {
    exposition(encoded(&ctx.metrics))
}

/// All metrics as Prometheus reads them.
///
/// # Errors
/// One that has no valid form.
pub fn encoded(registry: &Registry) -> Result<Vec<u8>, prometheus::Error> {
    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text)?;
    Ok(text)
}

/// The answer to who asks for `/metrics`.
pub fn exposition(text: Result<Vec<u8>, prometheus::Error>) -> impl IntoResponse {
    let plain = |text: &str| [(CONTENT_TYPE, text.to_owned())];
    match text {
        Ok(text) => (StatusCode::OK, plain(TextEncoder::new().format_type()), text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, plain("text/plain"), error.to_string().into_bytes()),
    }
}

async fn ready(State(ctx): State<Context>) -> impl IntoResponse {
    let readiness = ctx.ready.get();
    let status = match readiness {
        Readiness::Starting | Readiness::Draining => StatusCode::SERVICE_UNAVAILABLE,
        Readiness::Standby | Readiness::Primary | Readiness::Serving => StatusCode::OK,
    };
    let mut text = format!("{}\n", readiness.word());
    // What is here already is still served, so that it is no reason to send anybody elsewhere.
    if let Some(fault) = ctx.object_store().borrow().as_ref().and_then(|standing| standing.fault.as_ref()) {
        text.push_str(&format!("the object store is away: {fault}\n"));
    }
    (status, text)
}
