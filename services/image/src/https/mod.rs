//! The bytes of images travel over HTTPS, never over the bus. Two listeners, HTTP/1.1:
//!
//! # Uploads: server TLS, one bearer token an upload
//!
//! `watari.v1.image.import` answers with a ticket `{url, token, offset}`; `url` is
//! `https://FRONT:8444/v1/uploads/<id>`. Verify the server against the authority's certificate.
//! A node that sends the copy of a server's disk is told `url` and `token` with its order, and a fresh token
//! with the next one.
//!
//! | request | answer |
//! | --- | --- |
//! | `HEAD url`, `Authorization: Bearer TOKEN` | 200, header `Upload-Offset: N`: how many bytes have arrived |
//! | `PUT url?offset=N`, the same header, the file's bytes from N on as the body | 200 `{"offset","size_bytes","state"}` |
//! | `PUT url?offset=N&framed=true`, the same header, frames as the body, if the ticket says `framed` | the same |
//! | `PUT url?offset=N&skip=M`, the same header, the bytes from N + M on as the body, if any | the same: the M bytes from N on are zeros, and are not sent |
//!
//! A frame is two numbers of eight bytes each, the most significant first, M and L, and then L bytes of the file: before
//! them come M zeros, which are not sent. So a file with many holes is one request. What a request with a broken frame has
//! sent up to there is kept.
//!
//! A skip, also one of a frame, counts as bytes do: against the announced size, and against every bound of a file without
//! one.
//!
//! A front end whose tickets do not say `framed` may be of before there was `skip`. Such a one takes no notice of it, and
//! would put the body in the place of the zeros. So a client sends the first skip with a ticket without a body, and looks
//! at `Upload-Offset`: if that has not moved by M, it sends the zeros. If it has, later skips may bring bodies: a ticket is
//! good for one process, and another says 401.
//!
//! A file that was announced without a size ends with `PUT url?offset=N&last=true`, whose body may be
//! empty. Any number of `PUT`s may follow each other, each with as many bytes as the client likes; what a
//! broken one has sent is kept. Every answer to a client with a valid token carries
//! `Upload-Offset`. When `offset` reaches `size_bytes` the state becomes `verifying`, and
//! `watari.v1.image.get` tells how the check ends. A new `PUT` ends an older one of the same upload.
//!
//! | status | code in the body (as on the bus) | what the client does |
//! | --- | --- | --- |
//! | 401 | `upload.ticket` | repeats the import request with the same `request_id` for a fresh ticket |
//! | 408 | `upload.stalled` | was too slow; goes on from `Upload-Offset` |
//! | 409 | `upload.offset` | sends from `Upload-Offset` |
//! | 409 | `upload.overtaken` | another client sends this upload; nothing |
//! | 409 | `image.not-ready` | the import is over: it failed or was deleted |
//! | 400 | `image.endless` | sends more than a file may have; the import has failed |
//! | 413 | `request.out-of-range` | sends more than it announced |
//! | 503 | `image.imports-busy` (`Retry-After`), `bus.not-primary` | waits; for `not-primary` repeats the import request |
//! | 507 | `image.no-room` | the disk is full; the import has failed |
//!
//! # Images: mutual TLS, a certificate of the authority is required
//!
//! | request | answer |
//! | --- | --- |
//! | `GET` or `HEAD /v1/blobs/<sha256>` | the file; `ETag: "<sha256>"`, `Accept-Ranges: bytes`; one `Range: bytes=A-B`, `A-` or `-N` gives 206, one beyond the end 416 |
//! | `GET /v1/blobs/<sha256>/extents` | `{"size_bytes","extents":[{"offset","length"}]}`: where the file has data; the rest is zeros and need not be fetched |
//!
//! 404: not here, or not verified. 503 with `Retry-After`: as many readers as may be. The reader
//! computes the digest of what it has got and compares it with the name.

pub mod blobs;
pub mod range;
mod reply;
pub mod uploads;

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use axum_server::{
    Handle,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use watari_chassis::Bounded;

use crate::{ServiceError, app::App};

/// How long a client may take to say what it wants.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);

/// A listener that does not serve yet.
pub struct Listener {
    listener: TcpListener,
    /// Where it listens.
    pub address: SocketAddr,
}

/// Takes an address, so that a wrong one is told before anything has begun.
///
/// # Errors
/// [`ServiceError::Listen`].
pub fn listen(address: SocketAddr) -> Result<Listener, ServiceError> {
    let fault = |source| ServiceError::Listen { address, source };
    let listener = TcpListener::bind(address).map_err(fault)?;
    listener.set_nonblocking(true).map_err(fault)?;
    let address = listener.local_addr().map_err(fault)?;
    Ok(Listener { listener, address })
}

/// Serves until the process is told to stop; then requests in hand have most of the time that
/// draining may take. Of each connection up to `read_ahead` bytes are read at once.
pub fn serve(
    app: &Arc<App>,
    name: &'static str,
    listener: Listener,
    routes: Router,
    tls: RustlsConfig,
    read_ahead: usize,
) {
    let handle = Handle::new();
    let (stopping, shutdown) = (handle.clone(), app.ctx.shutdown.clone());
    let drain = Duration::from_secs(app.ctx.limits.drain_seconds.saturating_sub(1).max(1));
    let failed = app.ctx.shutdown.clone();
    let (address, connections) = (listener.address, app.settings.limits.max_connections);
    app.ctx.spawn(name, async move {
        tokio::spawn(async move {
            shutdown.cancelled().await;
            stopping.graceful_shutdown(Some(drain));
        });
        let bounded = Bounded::new(connections).reading_ahead(read_ahead);
        let acceptor = RustlsAcceptor::new(tls).acceptor(bounded);
        let served = match axum_server::from_tcp(listener.listener) {
            Ok(server) => {
                let mut server = server.acceptor(acceptor);
                server.http_builder().http1().header_read_timeout(HEADERS_WITHIN);
                server.handle(handle).serve(routes.into_make_service()).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = served {
            tracing::error!(name, %error, "a listener failed, so the process stops");
            failed.cancel();
        }
    });
    tracing::info!(name, %address, "serving over TLS");
}
