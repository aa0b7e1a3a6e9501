//! Sending a file's bytes to the front end: HTTPS, resumed where it breaks. The protocol is told in
//! the image service's `https` module.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use reqwest::{Body, Certificate, Client, StatusCode, header};
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt, AsyncSeekExt},
    sync::watch,
    time::{Instant, interval, sleep},
};
use watari_contracts::{
    ErrorBody,
    image::{ImageView, ImportImage, Ticket},
};

use super::import::CHUNK;
use crate::{
    Context,
    failure::Failure,
    progress::Progress,
    texts::{
        faults::Fault,
        words::{self, Word},
    },
};

const UPLOAD_OFFSET: &str = "upload-offset";
/// It is given up when nothing new has got through for so long.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(1);
const CONNECT: Duration = Duration::from_secs(10);

/// An import under way.
pub(super) struct Upload<'a> {
    pub(super) ctx: &'a Context,
    pub(super) announcement: &'a ImportImage,
    pub(super) file: &'a Path,
}

/// What the front end says when it does not simply take the bytes.
#[derive(Debug, Default, Deserialize)]
struct Complaint {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// How one attempt ended.
enum Sent {
    /// Everything is there.
    All,
    /// A fresh ticket is needed, or the connection broke: what was said of it.
    Again(String),
}

impl Upload<'_> {
    /// Announces the file and sends it, resuming until all is there or nothing gets through.
    ///
    /// # Errors
    /// [`Failure`]: refused, or nothing gets through.
    pub(super) async fn send(&self, progress: &mut Progress) -> Result<ImageView, Failure> {
        let client = self.client()?;
        let size = self.announcement.size_bytes;
        let (mut reached, mut since) = (0, Instant::now());
        loop {
            let ticket: Ticket = self.ctx.session.ask(self.announcement).await?;
            let Some(url) = &ticket.url else {
                progress.over(self.announcement.name.as_str());
                return match ticket.image.fault {
                    Some(fault) => Err(fault.into()),
                    None => Ok(ticket.image),
                };
            };
            if ticket.offset > reached {
                (reached, since) = (ticket.offset, Instant::now());
            }
            let again = match self.attempt(&client, url, &ticket, progress).await? {
                Sent::All => {
                    progress.moving(self.announcement.name.as_str(), size, size, "");
                    String::new()
                }
                Sent::Again(said) if since.elapsed() > PATIENCE => {
                    return Err(Fault::UploadBroken { detail: said }.into());
                }
                Sent::Again(said) => said,
            };
            if !again.is_empty() {
                progress.line(&format!("{}: {again}", Word::Resuming.text(self.ctx.out.lang)));
                sleep(PAUSE).await;
            }
        }
    }

    async fn attempt(
        &self,
        client: &Client,
        url: &str,
        ticket: &Ticket,
        progress: &mut Progress,
    ) -> Result<Sent, Failure> {
        let size = self.announcement.size_bytes;
        let (sent, mut seen) = watch::channel(ticket.offset);
        let body = self.body(ticket.offset, sent).await?;
        let request = client
            .put(format!("{url}?offset={}", ticket.offset))
            .bearer_auth(&ticket.token)
            .header(header::CONTENT_LENGTH, size.saturating_sub(ticket.offset))
            .body(body)
            .send();
        tokio::pin!(request);
        let mut tick = interval(Duration::from_millis(200));
        let began = Instant::now();
        let response = loop {
            tokio::select! {
                response = &mut request => break response,
                _ = tick.tick() => {
                    let at = *seen.borrow_and_update();
                    self.show(progress, ticket.offset, at, began);
                }
            }
        };
        match response {
            Ok(response) => self.answered(response).await,
            Err(error) => Ok(Sent::Again(chain(&error))),
        }
    }

    fn show(&self, progress: &mut Progress, from: u64, at: u64, began: Instant) {
        let size = self.announcement.size_bytes;
        let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = (at - from).saturating_mul(1000) / millis;
        let left_ms = (size - at).saturating_mul(1000).checked_div(rate);
        progress.moving(self.announcement.name.as_str(), at, size, &words::pace(self.ctx.out.lang, rate, left_ms));
    }

    async fn answered(&self, response: reqwest::Response) -> Result<Sent, Failure> {
        let status = response.status();
        if status.is_success() {
            return Ok(Sent::All);
        }
        let offset = response.headers().contains_key(UPLOAD_OFFSET);
        let body = response.bytes().await.unwrap_or_default();
        let said: Complaint = serde_json::from_slice(&body).unwrap_or_default();
        let again = match (status, said.code.as_str()) {
            (StatusCode::CONFLICT, "upload.overtaken")
            | (StatusCode::PAYLOAD_TOO_LARGE | StatusCode::INSUFFICIENT_STORAGE, _) => false,
            (StatusCode::CONFLICT, code) => code == "upload.offset",
            (StatusCode::UNAUTHORIZED | StatusCode::REQUEST_TIMEOUT | StatusCode::SERVICE_UNAVAILABLE, _) => true,
            (status, _) => offset || status.is_server_error(),
        };
        if again {
            return Ok(Sent::Again(format!("{status} {}", said.message)));
        }
        // What a service refuses it refuses here in the same form, in both languages.
        match serde_json::from_slice::<ErrorBody>(&body) {
            Ok(refused) => Err(Failure::Refused(Box::new(refused))),
            Err(_) => {
                Err(Fault::UploadRefused { code: said.code, detail: format!("{status} {}", said.message) }.into())
            }
        }
    }

    /// The file's bytes from `offset` on; `sent` says how far they have been handed over.
    async fn body(&self, offset: u64, sent: watch::Sender<u64>) -> Result<Body, Failure> {
        let unusable =
            |e: std::io::Error| Fault::UploadFile { path: self.file.display().to_string(), detail: e.to_string() };
        let mut file = tokio::fs::File::open(self.file).await.map_err(unusable)?;
        file.seek(std::io::SeekFrom::Start(offset)).await.map_err(unusable)?;
        let left = self.announcement.size_bytes.saturating_sub(offset);
        let bytes = stream::try_unfold((file, sent, left), |(mut file, sent, left)| async move {
            if left == 0 {
                return Ok::<_, std::io::Error>(None);
            }
            let want = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            let mut chunk = vec![0; want];
            let n = file.read(&mut chunk).await?;
            if n == 0 {
                return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the file became shorter"));
            }
            chunk.truncate(n);
            sent.send_modify(|at| *at += n as u64);
            Ok(Some((Bytes::from(chunk), (file, sent, left - n as u64))))
        });
        Ok(Body::wrap_stream(bytes))
    }

    /// Trusts the system's authorities and the cluster's.
    fn client(&self) -> Result<Client, Failure> {
        let fault = |detail: String| Failure::from(Fault::UploadBroken { detail });
        // Two providers may be in the build; reqwest takes the process's default.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder().https_only(true).no_proxy().connect_timeout(CONNECT);
        if let Some(path) = self.ctx.session.authority() {
            let pem = std::fs::read(path)
                .map_err(|e| Fault::File { path: path.display().to_string(), detail: e.to_string() })?;
            let certificates = Certificate::from_pem_bundle(&pem).map_err(|e| fault(chain(&e)))?;
            builder = builder.tls_certs_merge(certificates);
        }
        builder.build().map_err(|e| fault(chain(&e)))
    }
}

/// An error with all that caused it, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
