//! Images for the nodes of the site and for other front ends.

use std::{
    fs::File,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use futures_util::Stream;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncSeekExt},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::io::ReaderStream;

use super::{
    range::{self, Part},
    reply,
};
use crate::{
    app::App,
    digest::Digest,
    store::{self, Extent, StoreError},
};

/// How much is read at once.
const PIECE: usize = 256 << 10;

/// Where a file has data.
#[derive(Debug, Serialize, Deserialize)]
pub struct Extents {
    /// The whole file's size.
    pub size_bytes: u64,
    /// In order, without overlap.
    pub extents: Vec<Extent>,
}

#[derive(Clone)]
struct Shelf {
    app: Arc<App>,
    readers: Arc<Semaphore>,
}

/// The routes of the listener for images.
pub fn routes(app: &Arc<App>) -> Router {
    let readers = Arc::new(Semaphore::new(app.settings.limits.max_readers));
    Router::new()
        .route("/v1/blobs/{digest}", get(blob))
        .route("/v1/blobs/{digest}/extents", get(extents))
        .with_state(Shelf { app: Arc::clone(app), readers })
}

/// Opens the file, or says why not. The path's text becomes a digest first, and a digest alone
/// becomes a path.
async fn opened(app: &Arc<App>, digest: &str) -> Result<(Digest, File, u64), Response> {
    let unknown = || {
        reply::fault(
            StatusCode::NOT_FOUND,
            "image.unknown",
            "there is no such image here",
            "ask another front end, or wait until this one has its copy",
        )
    };
    let digest: Digest = digest.parse().map_err(|_| unknown())?;
    let (looked, wanted) = (Arc::clone(app), digest.clone());
    let opened = tokio::task::spawn_blocking(move || looked.shelf.open_blob(&wanted)).await;
    match opened {
        Ok(Ok(Some((file, size)))) => Ok((digest, file, size)),
        Ok(Ok(None)) => {
            // If it was changed or lost behind our back the loop finds out now.
            app.wake_copies.wake();
            Err(unknown())
        }
        Ok(Err(error)) => Err(reply::broken(&error)),
        Err(error) => Err(reply::broken(&error)),
    }
}

async fn blob(
    State(shelf): State<Shelf>,
    Path(digest): Path<String>,
    headers: HeaderMap,
    method: axum::http::Method,
) -> Response {
    let (digest, file, size) = match opened(&shelf.app, &digest).await {
        Ok(opened) => opened,
        Err(response) => return response,
    };
    let text = |name| headers.get(name).and_then(|v| v.to_str().ok());
    let tag = format!("\"{digest}\"");
    // A range of something else than this very file is the whole file.
    let same = text(header::IF_RANGE).is_none_or(|known| known == tag);
    let part = if same { range::wanted(text(header::RANGE), size) } else { Part::Whole };
    let common = [
        (header::ETAG, tag),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
    ];
    let (status, first, length) = match part {
        Part::Whole => (StatusCode::OK, 0, size),
        Part::Bytes { first, length } => (StatusCode::PARTIAL_CONTENT, first, length),
        Part::Beyond => {
            let range = [(header::CONTENT_RANGE, format!("bytes */{size}"))];
            return (StatusCode::RANGE_NOT_SATISFIABLE, common, range).into_response();
        }
    };
    let mut response = (status, common, [(header::CONTENT_LENGTH, length.to_string())]).into_response();
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {first}-{}/{size}", first + length - 1);
        if let Ok(value) = range.parse() {
            response.headers_mut().insert(header::CONTENT_RANGE, value);
        }
    }
    if method == axum::http::Method::HEAD {
        return response;
    }
    let Ok(place) = Arc::clone(&shelf.readers).try_acquire_owned() else {
        return reply::later(reply::fault(
            StatusCode::SERVICE_UNAVAILABLE,
            "image.readers-busy",
            "as many readers as may be are reading",
            "try again after Retry-After seconds, or ask another front end",
        ));
    };
    let mut file = tokio::fs::File::from_std(file);
    if let Err(error) = file.seek(std::io::SeekFrom::Start(first)).await {
        return reply::broken(&error);
    }
    let stream = ReaderStream::with_capacity(file.take(length), PIECE);
    *response.body_mut() = Body::from_stream(Served { stream, app: shelf.app, _place: place });
    response
}

/// Counts what leaves, and holds a reader's place while it does.
struct Served<S> {
    stream: S,
    app: Arc<App>,
    _place: OwnedSemaphorePermit,
}

impl<S: Stream<Item = std::io::Result<Bytes>> + Unpin> Stream for Served<S> {
    type Item = std::io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = ready!(Pin::new(&mut self.stream).poll_next(cx));
        if let Some(Ok(bytes)) = &piece {
            self.app.metrics.served.inc_by(bytes.len() as u64);
        }
        Poll::Ready(piece)
    }
}

async fn extents(State(shelf): State<Shelf>, Path(digest): Path<String>) -> Response {
    let (digest, file, size) = match opened(&shelf.app, &digest).await {
        Ok(opened) => opened,
        Err(response) => return response,
    };
    let path = shelf.app.store.blob(&digest);
    let found = tokio::task::spawn_blocking(move || store::extents(&file, size)).await;
    match found {
        Ok(Ok(extents)) => Json(Extents { size_bytes: size, extents }).into_response(),
        Ok(Err(source)) => reply::broken(&StoreError { act: "map", path, source }),
        Err(error) => reply::broken(&error),
    }
}
