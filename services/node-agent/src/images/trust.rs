//! Whom we believe and who we are, when images are fetched and copies sent: mutual TLS. Our certificate is renewed while
//! the agent runs.

use std::{path::PathBuf, sync::Arc, time::Duration};

use reqwest::{Client, ClientBuilder, redirect::Policy};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use watari_chassis::certificates::{Shown, ShownError};

use crate::settings;

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file.
    #[error("cannot read {path}: {source}")]
    Pem {
        /// Which.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// Our own.
    #[error(transparent)]
    Shown(#[from] ShownError),
    /// What is in them.
    #[error("the certificates of [image] cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    /// The client.
    #[error("cannot make an HTTPS client: {0}")]
    Client(#[from] reqwest::Error),
}

/// Until the other side must have accepted a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// An HTTPS client that goes straight to whom it is told to, and nowhere else.
pub(super) fn client(settings: &settings::Image) -> Result<ClientBuilder, TrustError> {
    let builder = Client::builder().tls_backend_preconfigured(config(settings)?).https_only(true);
    Ok(builder.no_proxy().redirect(Policy::none()).connect_timeout(CONNECT))
}

/// rustls' configuration from the files that the settings name. Without an authority nobody is believed.
fn config(settings: &settings::Image) -> Result<ClientConfig, TrustError> {
    let pem = |path: &PathBuf| {
        let path = path.clone();
        move |source| TrustError::Pem { path, source }
    };
    let mut roots = RootCertStore::empty();
    if !settings.ca.as_os_str().is_empty() {
        for certificate in CertificateDer::pem_file_iter(&settings.ca).map_err(pem(&settings.ca))? {
            roots.add(certificate.map_err(pem(&settings.ca))?)?;
        }
    }
    // The provider is named, so that nothing depends on which one some other crate installed.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    if settings.cert.as_os_str().is_empty() {
        return Ok(builder.with_no_client_auth());
    }
    Ok(builder.with_client_cert_resolver(Shown::read(&settings.cert, &settings.key, &provider)?))
}
