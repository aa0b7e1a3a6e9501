//! Taking uploads; the module above says what clients see.

mod frames;
mod linger;
mod taking;

use std::{sync::Arc, time::Instant};

use axum::{
    Json, Router,
    body::Body,
    extract::{DefaultBodyLimit, Path, Query, State},
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    middleware::from_fn,
    response::{IntoResponse, Response},
    routing::put,
};
use serde::{Deserialize, Serialize};
use watari_model::{Refusal, Said, image::State as ImageState};

use super::reply;
use crate::{
    app::App,
    imports,
    store::{Partial, StoreError, UploadId},
    uploads::{Session, Turn},
};
use taking::{Cut, Taking};

/// As many bytes of a connection are read at once.
pub const READ_AHEAD: usize = 64 << 10;

/// The routes of the listener for uploads.
pub fn routes(app: &Arc<App>) -> Router {
    Router::new()
        .route("/v1/uploads/{id}", put(take).head(tell))
        // The body is bounded by what was announced.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn(linger::lingering))
        .with_state(Arc::clone(app))
}

#[derive(Deserialize)]
struct Place {
    offset: u64,
    /// How many zeros come before the body, and are not sent.
    #[serde(default)]
    skip: u64,
    /// Whether the body is of frames.
    #[serde(default)]
    framed: bool,
    /// Whether the file ends with this body, if its size was not announced.
    #[serde(default)]
    last: bool,
}

#[derive(Serialize)]
struct Progress {
    offset: u64,
    size_bytes: Option<u64>,
    state: ImageState,
}

/// The upload that the token opens.
fn admitted(app: &App, id: &str, headers: &HeaderMap) -> Option<(UploadId, Arc<Session>)> {
    let token = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
    let id = UploadId::parse(id)?;
    let session = app.uploads.admit(&id, token)?;
    Some((id, session))
}

/// Nothing is said of which uploads there are.
fn no_ticket() -> Response {
    reply::fault(
        StatusCode::UNAUTHORIZED,
        "upload.ticket",
        "there is no upload with this token here",
        "repeat the import request with the same request_id, and use the fresh ticket",
    )
}

/// The image's state, if it is still about this upload.
fn state(app: &App, session: &Session) -> Option<ImageState> {
    let entry = app.images.get(session.image.as_str())?;
    (UploadId::for_image(&entry.value) == session.id).then_some(entry.value.state)
}

async fn tell(State(app): State<Arc<App>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let Some((id, session)) = admitted(&app, &id, &headers) else { return no_ticket() };
    match Partial::length_at(&app.store.upload(&id)) {
        _ if state(&app, &session).is_some_and(has_all) => {
            reply::at(whole(&app, &session), StatusCode::OK.into_response())
        }
        Ok(length) => reply::at(length.unwrap_or(0), StatusCode::OK.into_response()),
        Err(error) => reply::broken(&error),
    }
}

/// The size of a file that has arrived.
fn whole(app: &App, session: &Session) -> u64 {
    let found = app.images.get(session.image.as_str()).and_then(|entry| entry.value.announced.as_ref()?.size_bytes);
    found.or(session.size_bytes).unwrap_or(0)
}

const fn has_all(state: ImageState) -> bool {
    matches!(state, ImageState::Verifying | ImageState::Ready)
}

async fn take(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(place): Query<Place>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some((id, session)) = admitted(&app, &id, &headers) else { return no_ticket() };
    if !app.is_primary() {
        return reply::refused(not_primary());
    }
    let Ok(sending) = Arc::clone(&app.uploads.places).try_acquire_owned() else {
        return reply::refused(Refusal::ImportsBusy { limit: app.settings.limits.max_uploads.to_string() });
    };
    let turn = session.take_turn().await;
    match state(&app, &session) {
        Some(ImageState::Importing) => {}
        Some(now) if has_all(now) => return progress(&session, whole(&app, &session), now),
        other => return over(&session, other),
    }
    let opened = {
        let path = app.store.upload(&id);
        tokio::task::spawn_blocking(move || Partial::open(&path)).await
    };
    let partial = match opened {
        Ok(Ok(partial)) => partial,
        Ok(Err(error)) => return failed(&app, &session, &error).await,
        Err(error) => return reply::broken(&error),
    };
    if partial.length() != place.offset {
        let message =
            format!("{} bytes have arrived, so that bytes from {} on do not fit", partial.length(), place.offset);
        let fault = reply::fault(StatusCode::CONFLICT, "upload.offset", &message, "send from Upload-Offset on");
        return reply::at(partial.length(), fault);
    }
    let partial = partial.digested(session.take_prefix());
    // A task of its own: if the connection dies, the HTTP server drops what it waits for, but a
    // write in hand must end before the next sender may have the file.
    let receiving =
        tokio::spawn(async move { (receive(&app, &session, &turn, partial, body, place).await, turn, sending) });
    match receiving.await {
        Ok((response, ..)) => response,
        Err(error) => reply::broken(&error),
    }
}

/// Takes the body and says how far that went.
async fn receive(app: &App, session: &Session, turn: &Turn, partial: Partial, body: Body, place: Place) -> Response {
    let (mut taking, began) = (Taking::new(app, session, partial), Instant::now());
    let cut = taking.all(turn, &place, body.into_data_stream()).await;
    // What came before the cut is kept, whatever cut it.
    let kept = taking.end().await;
    app.metrics.import_phase("receive", began);
    let Some(partial) = taking.into_file() else {
        return match kept.err().or(cut.err()) {
            Some(Cut::Store(error)) => failed(app, session, &error).await,
            _ => reply::broken(&"an upload's file was lost from sight"),
        };
    };
    // What could not be written is read again before it is believed.
    let is_sound = !matches!((&kept, &cut), (Err(Cut::Store(_)), _) | (_, Err(Cut::Store(_))));
    session.keep_prefix(partial.prefix().filter(|_| is_sound));
    let length = partial.length();
    let fault = |status, code, message, hint| reply::at(length, reply::fault(status, code, message, hint));
    match kept.and(cut) {
        Ok(()) if session.size_bytes.map_or(place.last && length > 0, |size| length == size) => {
            complete(app, session, partial).await
        }
        Ok(()) => progress(session, length, ImageState::Importing),
        Err(Cut::Store(error)) => failed(app, session, &error).await,
        Err(Cut::Stalled) => fault(
            StatusCode::REQUEST_TIMEOUT,
            "upload.stalled",
            "too few bytes arrived for too long",
            "go on from Upload-Offset",
        ),
        Err(Cut::Overtaken) => fault(
            StatusCode::CONFLICT,
            "upload.overtaken",
            "another client sends this upload now",
            "leave it to that one",
        ),
        Err(Cut::Broken) => {
            fault(StatusCode::BAD_REQUEST, "upload.broken", "the connection broke", "go on from Upload-Offset")
        }
        Err(Cut::Demoted) => reply::at(length, reply::refused(not_primary())),
        Err(Cut::NoRoom) => {
            let detail = "the disk is full".to_owned();
            ended(app, session, Refusal::ImageNoRoom { image: session.image.to_string(), detail }).await
        }
        Err(Cut::UserFull(refusal)) => ended(app, session, refusal).await,
        Err(Cut::TooLong) if session.size_bytes.is_none() => {
            let limit_mib = app.settings.limits.max_image_mib.to_string();
            ended(app, session, Refusal::ImageEndless { image: session.image.to_string(), limit_mib }).await
        }
        Err(Cut::TooLong) => {
            let size = session.size_bytes.unwrap_or(0);
            let refusal = Refusal::OutOfRange {
                field: "the body".to_owned(),
                value: format!("longer than the {size} bytes that were announced"),
                allowed: Said::new("the announced size", "予告した大きさ"),
            };
            reply::at(length, reply::refused(refusal))
        }
    }
}

/// Everything is here: written through, noted, checked from here on by the loop.
async fn complete(app: &App, session: &Session, partial: Partial) -> Response {
    let (size, began) = (partial.length(), Instant::now());
    let synced = tokio::task::spawn_blocking(move || partial.sync()).await;
    if !matches!(synced, Ok(Ok(()))) {
        // The next one to say that all is here must not be believed without a look.
        session.keep_prefix(None);
    }
    match synced {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return failed(app, session, &error).await,
        Err(error) => return reply::broken(&error),
    }
    app.metrics.import_phase("flush", began);
    match imports::arrived(app, &session.image, &session.id, size).await {
        Ok(()) => {
            app.wake_imports.wake();
            progress(session, size, ImageState::Verifying)
        }
        Err(refusal) => reply::at(size, reply::refused(refusal)),
    }
}

/// The file cannot be written. A full disk ends the import; anything else may pass.
async fn failed(app: &App, session: &Session, error: &StoreError) -> Response {
    if !error.is_full() {
        return reply::broken(error);
    }
    ended(app, session, Refusal::ImageNoRoom { image: session.image.to_string(), detail: error.to_string() }).await
}

/// Ends the import for a reason that stays.
async fn ended(app: &App, session: &Session, refusal: Refusal) -> Response {
    if let Err(error) = imports::refuse(app, &session.image, refusal.clone()).await {
        tracing::warn!(%error, image = %session.image, "the import is not ended yet");
    }
    reply::refused(refusal)
}

fn not_primary() -> Refusal {
    Refusal::NotPrimary { service: "image".to_owned() }
}

fn progress(session: &Session, offset: u64, state: ImageState) -> Response {
    reply::at(offset, Json(Progress { offset, size_bytes: session.size_bytes, state }).into_response())
}

/// The import is over, one way or another.
fn over(session: &Session, state: Option<ImageState>) -> Response {
    let image = session.image.to_string();
    reply::refused(match state {
        Some(state) => Refusal::ImageNotReady { image, state: state.word().to_owned() },
        None => Refusal::ImageUnknown { image },
    })
}
