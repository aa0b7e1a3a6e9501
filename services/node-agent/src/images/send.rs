//! Sending a file to a front end, piece by piece. The protocol is told in the image service's `https` module.
//!
//! Each piece is a request of its own, so that none lasts long, and the front end says after each how much
//! it has: a line that breaks costs a piece.

use std::{os::unix::fs::FileExt, path::Path, sync::Arc, time::Duration};

use reqwest::{Client, Response, StatusCode, header::HeaderMap};
use tokio::time::{Instant, sleep_until};
use watari_contracts::{
    saving::SendTo,
    upload::{Complaint, UPLOAD_OFFSET},
};

use super::trust::{self, TrustError};
use crate::settings;

/// As much as is sent at a time.
const PIECE: usize = 4 << 20;

/// How fast a file may be sent.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How long each request may take.
    pub piece: Duration,
    /// So many bytes a second; 0 is without bound.
    pub bytes_per_second: u64,
}

/// Why a file is not with the front end yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsent {
    /// The token is void: another one is needed.
    #[error("the ticket is void")]
    Ticket,
    /// It may be tried again.
    #[error("{0}")]
    Broken(String),
    /// The front end does not want it.
    #[error("{0}")]
    Unwanted(String),
}

/// What sends.
pub(super) struct Sender {
    client: Client,
}

impl Sender {
    pub(super) fn new(settings: &settings::Image) -> Result<Self, TrustError> {
        Ok(Self { client: trust::client(settings)?.build()? })
    }

    pub(super) async fn send(&self, file: &Path, size: u64, to: &SendTo, pace: Pace) -> Result<(), Unsent> {
        let opened = std::fs::File::open(file).map_err(|error| Unsent::Broken(error.to_string()))?;
        let file = Arc::new(opened);
        let mut at = self.arrived(to, pace).await?;
        let (begun, from) = (Instant::now(), at);
        loop {
            let piece = read(&file, at, size).await?;
            let length = piece.len() as u64;
            let request = self.client.put(format!("{}?offset={at}", to.url)).body(piece);
            let answer = request.bearer_auth(&to.token).timeout(pace.piece).send().await;
            let now = offset(taken(answer).await?.headers()).unwrap_or(at + length);
            if now >= size {
                return Ok(());
            }
            if now <= at {
                return Err(Unsent::Broken(format!("the front end has {now} bytes and takes no more")));
            }
            at = now;
            if let Some(seconds) = (at - from).checked_div(pace.bytes_per_second) {
                sleep_until(begun + Duration::from_secs(seconds)).await;
            }
        }
    }

    /// How much of it the front end has.
    async fn arrived(&self, to: &SendTo, pace: Pace) -> Result<u64, Unsent> {
        let answer = self.client.head(&to.url).bearer_auth(&to.token).timeout(pace.piece).send().await;
        let answer = taken(answer).await?;
        offset(answer.headers()).ok_or_else(|| Unsent::Broken("the front end does not say what it has".to_owned()))
    }
}

/// The bytes from `at` on, as many as are sent at a time.
async fn read(file: &Arc<std::fs::File>, at: u64, size: u64) -> Result<Vec<u8>, Unsent> {
    let file = Arc::clone(file);
    let reading = move || {
        let mut piece = vec![0; PIECE.min(usize::try_from(size.saturating_sub(at)).unwrap_or(PIECE))];
        file.read_exact_at(&mut piece, at).map(|()| piece)
    };
    let broken = |error: &dyn std::error::Error| Unsent::Broken(format!("the copy cannot be read: {error}"));
    let read = tokio::task::spawn_blocking(reading).await.map_err(|error| broken(&error))?;
    read.map_err(|error| broken(&error))
}

fn offset(headers: &HeaderMap) -> Option<u64> {
    headers.get(UPLOAD_OFFSET)?.to_str().ok()?.parse().ok()
}

/// The answer of a front end that has taken what it was sent.
async fn taken(answer: reqwest::Result<Response>) -> Result<Response, Unsent> {
    let answer = answer.map_err(|error| Unsent::Broken(innermost(&error)))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let body = answer.bytes().await.unwrap_or_default();
    let Complaint { code, message } = serde_json::from_slice(&body).unwrap_or_default();
    Err(judged(status, &code, format!("{status} {message}")))
}

fn judged(status: StatusCode, code: &str, said: String) -> Unsent {
    match (status, code) {
        (StatusCode::UNAUTHORIZED, _) => Unsent::Ticket,
        (StatusCode::NOT_FOUND | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::INSUFFICIENT_STORAGE, _)
        | (StatusCode::CONFLICT, "image.not-ready")
        | (StatusCode::BAD_REQUEST, "image.endless") => Unsent::Unwanted(said),
        _ => Unsent::Broken(said),
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}
