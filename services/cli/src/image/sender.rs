//! Putting bytes to the front end over HTTPS. The protocol is told in the image service's `https`
//! module.

use std::time::Duration;

use reqwest::{Body, Certificate, Client, StatusCode, header};
use watari_contracts::{
    ErrorBody,
    upload::{Complaint, UPLOAD_OFFSET},
};

use crate::{
    Context,
    failure::{Failure, chain},
    texts::faults::Fault,
};

/// It is given up when nothing new has got through for so long.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// Before a further try.
pub(super) const PAUSE: Duration = Duration::from_secs(1);
const CONNECT: Duration = Duration::from_secs(10);

/// How one attempt ended.
pub(super) enum Sent {
    /// It was taken. So many bytes of the file have arrived, 0 if that is not told.
    Taken(u64),
    /// A fresh ticket is needed, or the connection broke: what was said of it.
    Again(String),
}

/// What sends bytes.
pub(super) struct Sender {
    client: Client,
}

impl Sender {
    /// Trusts the system's authorities and the cluster's.
    pub(super) fn new(ctx: &Context) -> Result<Self, Failure> {
        let fault = |detail: String| Failure::from(Fault::UploadBroken { detail });
        // Two providers may be in the build; reqwest takes the process's default.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder().https_only(true).no_proxy().connect_timeout(CONNECT);
        if let Some(path) = ctx.session.authority() {
            let pem = std::fs::read(path)
                .map_err(|e| Fault::File { path: path.display().to_string(), detail: e.to_string() })?;
            let certificates = Certificate::from_pem_bundle(&pem).map_err(|e| fault(chain(&e)))?;
            builder = builder.tls_certs_merge(certificates);
        }
        let client = builder.build().map_err(|e| fault(chain(&e)))?;
        Ok(Self { client })
    }

    /// Sends one body of `length` bytes.
    ///
    /// # Errors
    /// [`Failure`] if there is no use in trying again.
    pub(super) async fn put(&self, url: String, token: &str, length: u64, body: Body) -> Result<Sent, Failure> {
        let request = self.client.put(url).bearer_auth(token).header(header::CONTENT_LENGTH, length).body(body);
        match request.send().await {
            Ok(response) => Self::answered(response).await,
            Err(error) => Ok(Sent::Again(chain(&error))),
        }
    }

    async fn answered(response: reqwest::Response) -> Result<Sent, Failure> {
        let status = response.status();
        let told = response.headers().get(UPLOAD_OFFSET);
        let offset: Option<u64> = told.and_then(|value| value.to_str().ok()?.parse().ok());
        // Read to its end, so that the next request may have the same connection.
        let body = response.bytes().await.unwrap_or_default();
        if status.is_success() {
            return Ok(Sent::Taken(offset.unwrap_or(0)));
        }
        let said: Complaint = serde_json::from_slice(&body).unwrap_or_default();
        let again = match (status, said.code.as_str()) {
            (StatusCode::CONFLICT, "upload.overtaken")
            | (StatusCode::PAYLOAD_TOO_LARGE | StatusCode::INSUFFICIENT_STORAGE, _) => false,
            (StatusCode::CONFLICT, code) => code == "upload.offset",
            (StatusCode::UNAUTHORIZED | StatusCode::REQUEST_TIMEOUT | StatusCode::SERVICE_UNAVAILABLE, _) => true,
            (status, _) => offset.is_some() || status.is_server_error(),
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
}
