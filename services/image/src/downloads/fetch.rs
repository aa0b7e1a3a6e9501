//! One URL, redirect by redirect and try by try, into a file that grows.
//!
//! Each hop is resolved once, its addresses are judged, and the connection goes to those addresses
//! and no others: a name that answers differently a moment later gains nothing.

use std::time::Duration;

use futures_util::StreamExt;
use reqwest::{
    Client, Response, StatusCode, Url,
    header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, IF_RANGE, LAST_MODIFIED, LOCATION, RANGE},
    redirect::Policy,
};
use tokio::time::{Instant, sleep, timeout};
use watari_model::Refusal;

use super::{Ended, Job, address};
use crate::{
    admission,
    store::{Partial, StoreError, remove},
    trickle::Window,
};

/// Bytes are collected to pieces of this size before they are written.
const PIECE: usize = 1 << 20;
/// Before the first further try, and the most.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const MOST_PAUSE: Duration = Duration::from_secs(30);
/// How often it is looked whether the file is still wanted, whatever arrives.
const LOOK: Duration = Duration::from_secs(1);

/// How one try ended.
enum Try {
    /// All is here.
    Whole(u64),
    /// It broke off and may be resumed.
    Broken(String),
    /// Too little came for too long.
    Stalled,
    /// There is no use in trying again.
    Refused(Refusal),
    /// Nobody wants it any more.
    Overtaken,
}

/// What says that a file is still the same one.
type Validator = Option<String>;

impl Job<'_> {
    /// Fetches the file, or says why not.
    pub(super) async fn run(&self, url: &str) -> Ended {
        let settings = &self.app.settings.urls;
        let deadline = Instant::now() + Duration::from_secs(settings.max_hours * 3600);
        let path = self.app.store.upload(self.id);
        // What an earlier process has left may be of another version of the file.
        if let Err(error) = remove(&path) {
            return Ended::Refused(self.broken(&error));
        }
        let (mut validator, mut tries, mut reached, mut pause) = (None, 0, 0, FIRST_PAUSE);
        loop {
            let ended = match tokio::time::timeout_at(deadline, self.attempt(url, &mut validator)).await {
                Ok(ended) => ended,
                Err(_) => {
                    let detail = format!("it is not through after {} hours", settings.max_hours);
                    return Ended::Refused(Refusal::ImageUrlStalled { url: url.to_owned(), detail });
                }
            };
            let length = Partial::length_at(&path).ok().flatten().unwrap_or(0);
            // A stall counts however much came before it: or a trickle would never end.
            let stalled = matches!(ended, Try::Stalled);
            if length > reached && !stalled {
                (tries, pause) = (0, FIRST_PAUSE);
            }
            reached = length;
            tries += 1;
            let last = tries >= settings.max_tries;
            let (url, limits) = (url.to_owned(), &self.app.settings.limits);
            match ended {
                Try::Whole(size) => return Ended::Whole(size),
                Try::Refused(refusal) => return Ended::Refused(refusal),
                Try::Overtaken => return Ended::Overtaken,
                Try::Broken(detail) if last => return Ended::Refused(Refusal::ImageUrlFailed { url, detail }),
                Try::Stalled if last => {
                    let detail = format!("less than {} KiB in {} seconds", limits.stall_kib, limits.stall_seconds);
                    return Ended::Refused(Refusal::ImageUrlStalled { url, detail });
                }
                Try::Broken(detail) => tracing::info!(image = %self.name, detail, "a download is resumed"),
                Try::Stalled => tracing::info!(image = %self.name, "a download stalls and is resumed"),
            }
            if !self.waited(pause).await {
                return Ended::Overtaken;
            }
            pause = (pause * 2).min(MOST_PAUSE);
        }
    }

    /// Waits, unless nobody wants it any more.
    async fn waited(&self, pause: Duration) -> bool {
        tokio::select! {
            () = sleep(pause) => self.wanted(),
            () = self.app.ctx.shutdown.cancelled() => false,
        }
    }

    fn broken(&self, error: &StoreError) -> Refusal {
        if error.is_full() {
            return Refusal::ImageNoRoom { image: self.name.to_string(), detail: error.to_string() };
        }
        Refusal::Internal { detail: error.to_string() }
    }

    /// One try, from where the file ends.
    async fn attempt(&self, url: &str, validator: &mut Validator) -> Try {
        let path = self.app.store.upload(self.id);
        let mut partial = match Partial::open(&path) {
            Ok(partial) => partial,
            Err(error) => return Try::Refused(self.broken(&error)),
        };
        let resumed = validator.as_ref().filter(|_| partial.length() > 0).cloned();
        let from = resumed.map(|validator| (partial.length(), validator));
        let response = match self.response(url, from.as_ref()).await {
            Ok(response) => response,
            Err(ended) => return ended,
        };
        let first = match (response.status(), &from) {
            (StatusCode::PARTIAL_CONTENT, Some((offset, _))) if begins_at(response.headers(), *offset) => *offset,
            (StatusCode::OK, _) => 0,
            (StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PARTIAL_CONTENT, _) => {
                *validator = None;
                return Try::Broken("it answers with another part than was asked".to_owned());
            }
            (StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS, _) => {
                return Try::Broken(response.status().to_string());
            }
            (status, _) if status.is_server_error() => return Try::Broken(status.to_string()),
            (status, _) => {
                let detail = format!("the server answers {status}");
                return Try::Refused(Refusal::ImageUrlFailed { url: url.to_owned(), detail });
            }
        };
        if first == 0 && partial.length() > 0 {
            // It is another file now, or the server knows no ranges: from the beginning.
            drop(partial);
            partial = match remove(&path).and_then(|()| Partial::open(&path)) {
                Ok(partial) => partial,
                Err(error) => return Try::Refused(self.broken(&error)),
            };
        }
        *validator = tag_of(response.headers());
        self.body(response, partial).await
    }

    /// Takes the body to its end.
    async fn body(&self, response: Response, mut partial: Partial) -> Try {
        let limits = &self.app.settings.limits;
        let most = limits.max_image_bytes();
        let endless = || {
            let (image, limit_mib) = (self.name.to_string(), limits.max_image_mib.to_string());
            Try::Refused(Refusal::ImageEndless { image, limit_mib })
        };
        let length = response.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
        let total = length.map(|length| partial.length().saturating_add(length));
        if total.is_some_and(|total| total > most) {
            return endless();
        }
        if let Some(total) = total {
            if let Err(refusal) = admission::growing(self.app, self.name, total) {
                return Try::Refused(refusal);
            }
            self.tell_size(total).await;
        }
        let (mut body, mut window, mut pending) = (response.bytes_stream(), Window::default(), Vec::new());
        let (mut silent, mut looked) = (Duration::ZERO, Instant::now());
        let ended = loop {
            let piece = timeout(LOOK, body.next()).await;
            // By the clock: a trickle fills no piece and is never silent.
            if looked.elapsed() >= LOOK {
                if !self.wanted() {
                    break Some(Try::Overtaken);
                }
                looked = Instant::now();
            }
            let piece = match piece {
                Ok(piece) => piece,
                Err(_) => {
                    silent += LOOK;
                    if silent >= limits.stall() || window.trickles(0, limits.stall(), limits.stall_kib << 10) {
                        break Some(Try::Stalled);
                    }
                    continue;
                }
            };
            silent = Duration::ZERO;
            let piece = match piece {
                None => break None,
                Some(Err(error)) => break Some(Try::Broken(innermost(&error))),
                Some(Ok(piece)) => piece,
            };
            if partial.length() + (pending.len() + piece.len()) as u64 > most {
                break Some(endless());
            }
            if window.trickles(piece.len(), limits.stall(), limits.stall_kib << 10) {
                break Some(Try::Stalled);
            }
            self.app.metrics.received.inc_by(piece.len() as u64);
            pending.extend_from_slice(&piece);
            if pending.len() >= PIECE {
                (partial, pending) = match self.written(partial, pending).await {
                    Ok(written) => written,
                    Err(ended) => return ended,
                };
            }
        };
        match self.written(partial, pending).await {
            Ok((partial, _)) => self.over(partial, ended, total).await,
            Err(ended) => ended,
        }
    }

    /// The body has ended, of itself or otherwise; what came of it is written.
    async fn over(&self, partial: Partial, ended: Option<Try>, total: Option<u64>) -> Try {
        if let Some(ended) = ended {
            return ended;
        }
        let length = partial.length();
        if length == 0 || total.is_some_and(|total| length < total) {
            return Try::Broken(format!("it ends after {length} bytes"));
        }
        match tokio::task::spawn_blocking(move || partial.sync()).await {
            Ok(Ok(())) => Try::Whole(length),
            Ok(Err(error)) => Try::Refused(self.broken(&error)),
            Err(_) => Try::Overtaken,
        }
    }

    /// Writes what is pending, if the folder has room for it.
    async fn written(&self, mut partial: Partial, mut pending: Vec<u8>) -> Result<(Partial, Vec<u8>), Try> {
        let so_far = partial.length() + pending.len() as u64;
        admission::growing(self.app, self.name, so_far).map_err(Try::Refused)?;
        let (store, reserve) = (self.app.store.clone(), self.app.settings.limits.reserve_mib << 20);
        let writing = tokio::task::spawn_blocking(move || {
            if store.free_bytes()? < reserve.saturating_add(pending.len() as u64) {
                return Ok(None);
            }
            partial.append(&pending)?;
            pending.clear();
            Ok(Some((partial, pending)))
        });
        match writing.await {
            Ok(Ok(Some(written))) => Ok(written),
            Ok(Ok(None)) => Err(Try::Refused(Refusal::ImageNoRoom {
                image: self.name.to_string(),
                detail: "the disk is full".to_owned(),
            })),
            Ok(Err(error)) => Err(Try::Refused(self.broken(&error))),
            Err(_) => Err(Try::Overtaken),
        }
    }

    /// The answer behind all redirects.
    async fn response(&self, url: &str, from: Option<&(u64, String)>) -> Result<Response, Try> {
        let settings = &self.app.settings.urls;
        let bad = |detail: String| Try::Refused(Refusal::ImageUrlBad { url: url.to_owned(), detail });
        let mut at = address::wanted(url).map_err(Try::Refused)?;
        for _ in 0..=settings.max_redirects {
            let response = self.hop(&at, from).await?;
            if !response.status().is_redirection() {
                return Ok(response);
            }
            let location = response.headers().get(LOCATION).and_then(|v| v.to_str().ok());
            let next =
                location.and_then(|l| at.join(l).ok()).ok_or_else(|| bad("a redirect leads nowhere".to_owned()))?;
            // Where it leads is judged like the first address.
            let next = address::wanted(next.as_str()).map_err(Try::Refused)?;
            if at.scheme() == "https" && next.scheme() == "http" {
                return Err(bad(format!("it is redirected from https to plain {next}")));
            }
            at = next;
        }
        Err(bad(format!("it is redirected more than {} times", settings.max_redirects)))
    }

    async fn hop(&self, url: &Url, from: Option<&(u64, String)>) -> Result<Response, Try> {
        let settings = &self.app.settings.urls;
        let within = Duration::from_secs(settings.connect_seconds);
        let late = || Try::Broken(format!("{} is not found in time", url.host_str().unwrap_or_default()));
        let found = timeout(within, address::resolved(url, &settings.allow)).await.map_err(|_| late())?;
        let addresses = match found {
            Ok(addresses) => addresses,
            // A name may be unknown for a moment.
            Err(Refusal::ImageUrlFailed { detail, .. }) => return Err(Try::Broken(detail)),
            Err(refusal) => return Err(Try::Refused(refusal)),
        };
        let mut client = Client::builder().redirect(Policy::none()).no_proxy().connect_timeout(within);
        if url.scheme() == "http" {
            // The system's authorities are not even read.
            client = client.tls_certs_only([]);
        }
        let host = url.host_str().unwrap_or_default();
        let client = client.resolve_to_addrs(host, &addresses).build();
        let client = client.map_err(|e| Try::Broken(innermost(&e)))?;
        let mut request = client.get(url.clone());
        if let Some((offset, validator)) = from {
            request = request.header(RANGE, format!("bytes={offset}-")).header(IF_RANGE, validator);
        }
        let answer = timeout(within + self.app.settings.limits.stall(), request.send()).await;
        answer.map_err(|_| Try::Stalled)?.map_err(|e| Try::Broken(innermost(&e)))
    }
}

/// What says that the next part is of the same file: a strong tag, or the time of its last change.
fn tag_of(headers: &HeaderMap) -> Validator {
    let text = |name| headers.get(name).and_then(|v: &reqwest::header::HeaderValue| v.to_str().ok());
    let tag = text(ETAG).filter(|tag| !tag.starts_with("W/"));
    tag.or_else(|| text(LAST_MODIFIED)).map(str::to_owned)
}

/// `Content-Range: bytes OFFSET-…`.
fn begins_at(headers: &HeaderMap, offset: u64) -> bool {
    let range = headers.get(CONTENT_RANGE).and_then(|v| v.to_str().ok());
    let first = range.and_then(|r| r.strip_prefix("bytes ")?.split('-').next()?.parse::<u64>().ok());
    first == Some(offset)
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}
