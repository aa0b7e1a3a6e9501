//! Asking the front end, and checking what it answers before any of it is written.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};

use reqwest::{Client, Response};
use rustls::{
    RootCertStore, ServerConfig,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
};
use serde::de::DeserializeOwned;
use watari_contracts::{
    enrol::{EnrolHost, Enrolled, GREETING, Greeting, HOSTS},
    scheduler,
};

use super::pinned::Pinned;
use crate::{
    enrol::token::Mark,
    failure::{Failure, chain},
    setup::{AUTHORITY, OF_NODE},
    texts::faults::Fault,
};

const CONNECT: Duration = Duration::from_secs(10);
/// Everybody's configuration is made meanwhile.
const ANSWER: Duration = Duration::from_secs(60);
/// The longest answer, in bytes: a dozen files of some kilobytes.
const MOST_ANSWER: usize = 1024 * 1024;
const CERTIFICATE: &str = "etc/watari/tls/host.crt";

/// The front end that was named.
pub(super) struct Front {
    client: Client,
    address: String,
}

impl Front {
    /// Prepared to connect to `address` (with its port) from `own`, trusting `authority` alone.
    pub(super) fn new(address: String, own: IpAddr, authority: Mark) -> Result<Self, Failure> {
        let fault = |detail: String| Fault::FrontUnreachable { front: address.clone(), detail };
        let tls = Pinned::on(authority).client().map_err(|e| fault(e.to_string()))?;
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .local_address(own)
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .build()
            .map_err(|e| fault(chain(&e)))?;
        Ok(Self { client, address })
    }

    /// Who it is.
    pub(super) async fn greeting(&self) -> Result<Greeting, Failure> {
        let asked = self.client.get(format!("https://{}{GREETING}", self.address)).send().await;
        self.answered(asked).await
    }

    /// Asks to be let in.
    pub(super) async fn enrol(&self, request: &EnrolHost) -> Result<Enrolled, Failure> {
        let body = serde_json::to_vec(request).map_err(|e| Fault::JoinBroken { detail: e.to_string() })?;
        let asked = self.client.post(format!("https://{}{HOSTS}", self.address)).body(body).send().await;
        self.answered(asked).await
    }

    async fn answered<T: DeserializeOwned>(&self, asked: Result<Response, reqwest::Error>) -> Result<T, Failure> {
        let front = || self.address.clone();
        let mut response = asked.map_err(|e| {
            let detail = chain(&e);
            // That a certificate does not do is told by the TLS library, in these words.
            if detail.contains("certificate") {
                Fault::FrontUntrusted { front: front(), detail }
            } else {
                Fault::FrontUnreachable { front: front(), detail }
            }
        })?;
        let good = response.status().is_success();
        let mut body = Vec::new();
        let broken = |e: reqwest::Error| Fault::FrontUnreachable { front: front(), detail: chain(&e) };
        while let Some(part) = response.chunk().await.map_err(broken)? {
            body.extend_from_slice(&part);
            if body.len() > MOST_ANSWER {
                return Err(Fault::JoinBroken { detail: "the answer has no end".to_owned() }.into());
            }
        }
        if good {
            return Ok(serde_json::from_slice(&body).map_err(|e| Fault::JoinBroken { detail: e.to_string() })?);
        }
        match serde_json::from_slice::<scheduler::Fault>(&body) {
            Ok(refused) => Err(refused.into()),
            Err(_) => Err(Fault::JoinBroken { detail: response.status().to_string() }.into()),
        }
    }
}

/// Whether the answer is what a node of this cluster needs and nothing else: exactly its files, the authority of
/// the token, and a certificate of that for this host's own key and address.
pub(super) fn check(enrolled: &Enrolled, authority: Mark, own: IpAddr, key: &str) -> Result<(), Fault> {
    let paths: BTreeSet<&str> = enrolled.files.iter().map(|file| file.path.as_str()).collect();
    if let Some(path) = paths.symmetric_difference(&BTreeSet::from(OF_NODE)).next() {
        return Err(Fault::JoinFiles { path: (*path).to_owned() });
    }
    let foreign = |detail: String| Fault::JoinCertificate { detail };
    let text = |path: &str| enrolled.files.iter().find(|file| file.path == path).map_or("", |file| file.text.as_str());
    let read =
        |path: &str| CertificateDer::from_pem_slice(text(path).as_bytes()).map_err(|e| foreign(format!("{path}: {e}")));
    let (ca, own_certificate) = (read(AUTHORITY)?, read(CERTIFICATE)?);
    if Mark::of(&ca) != authority {
        return Err(foreign(format!("{AUTHORITY} is not that of the token")));
    }
    let provider = Arc::new(ring::default_provider());
    let told = |e: rustls::Error| foreign(format!("{CERTIFICATE}: {e}"));
    let mut roots = RootCertStore::empty();
    roots.add(ca).map_err(told)?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let verifier = verifier.build().map_err(|e| foreign(e.to_string()))?;
    verifier.verify_server_cert(&own_certificate, &[], &own.into(), &[], UnixTime::now()).map_err(told)?;
    // Whoever serves with it finds out whether the key is that of the certificate.
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|e| foreign(e.to_string()))?;
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    builder.map_err(told)?.with_no_client_auth().with_single_cert(vec![own_certificate], key).map_err(told)?;
    Ok(())
}
