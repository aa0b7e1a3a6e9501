//! `/metrics`, `/live` and `/ready`, for Prometheus and for whoever supervises the process.

use std::net::SocketAddr;

use axum::{
    Router, extract::State, http::StatusCode, http::header::CONTENT_TYPE, response::IntoResponse, routing::get,
};
use prometheus::{Encoder, TextEncoder};
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
    let encoder = TextEncoder::new();
    let mut text = Vec::new();
    match encoder.encode(&ctx.metrics.gather(), &mut text) {
        Ok(()) => (StatusCode::OK, [(CONTENT_TYPE, encoder.format_type().to_owned())], text),
        Err(error) => {
            let text = error.to_string().into_bytes();
            (StatusCode::INTERNAL_SERVER_ERROR, [(CONTENT_TYPE, "text/plain".to_owned())], text)
        }
    }
}

async fn ready(State(ctx): State<Context>) -> impl IntoResponse {
    let readiness = ctx.ready.get();
    let status = match readiness {
        Readiness::Starting | Readiness::Draining => StatusCode::SERVICE_UNAVAILABLE,
        Readiness::Standby | Readiness::Primary | Readiness::Serving => StatusCode::OK,
    };
    (status, format!("{}\n", readiness.word()))
}
