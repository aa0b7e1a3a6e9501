//! Certificates: one authority for the whole installation, one certificate for each front end,
//! which serves both as server and as client and is renewed while it does. Whose certificate counts no more the authority
//! says in a list, which is read again when it changes.

use std::{path::PathBuf, sync::Arc, time::Duration};

use axum_server::tls_rustls::RustlsConfig;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, CertificateRevocationListDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use watari_chassis::certificates::{Shown, ShownError};

use crate::{app::App, settings::TlsFiles};

/// How often it is looked whether the list of certificates that count no more is another one.
const PAUSE: Duration = Duration::from_secs(5);

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is not what it should be.
    #[error("{path}: {detail}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        detail: String,
    },
    /// This front end's own certificate.
    #[error(transparent)]
    Shown(#[from] ShownError),
    /// The pieces do not fit together.
    #[error("the certificates of [image.tls] do not fit: {0}")]
    Unfit(String),
}

/// The pieces.
pub struct Tls {
    provider: Arc<CryptoProvider>,
    authority: Arc<RootCertStore>,
    shown: Arc<Shown>,
    revoked: PathBuf,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`], naming the file.
    pub fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        let mut authority = RootCertStore::empty();
        for certificate in certificates(&files.ca)? {
            authority.add(certificate).map_err(|e| TlsError::File { path: files.ca.clone(), detail: e.to_string() })?;
        }
        let provider = Arc::new(ring::default_provider());
        let shown = Shown::read(&files.cert, &files.key, &provider)?;
        Ok(Self { provider, authority: Arc::new(authority), shown, revoked: files.revoked.clone() })
    }

    /// A server that talks only to holders of a certificate of the authority that counts now.
    ///
    /// # Errors
    /// [`TlsError`], also if the list of those that count no more cannot be read.
    pub fn mutual(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&self.authority), Arc::clone(&self.provider));
        // Of another authority's, such as the one before, there may be none.
        let verifier = verifier.with_crls(self.revoked()?).allow_unknown_revocation_status();
        let verifier = verifier.build().map_err(unfit)?;
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&self.provider)).with_safe_default_protocol_versions();
        let config = builder.map_err(unfit)?.with_client_cert_verifier(verifier);
        Ok(http(config.with_cert_resolver(self.shown.clone())))
    }

    /// The lists of certificates that count no more; there is none as long as nobody was expelled.
    fn revoked(&self) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
        let fault = |detail: String| TlsError::File { path: self.revoked.clone(), detail };
        if !self.revoked.exists() {
            return Ok(Vec::new());
        }
        let found = CertificateRevocationListDer::pem_file_iter(&self.revoked).map_err(|e| fault(e.to_string()))?;
        found.collect::<Result<_, _>>().map_err(|e| fault(e.to_string()))
    }

    /// A server that asks for no certificate.
    ///
    /// # Errors
    /// [`TlsError::Unfit`].
    pub fn one_sided(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&self.provider)).with_safe_default_protocol_versions();
        let config = builder.map_err(unfit)?.with_no_client_auth();
        Ok(http(config.with_cert_resolver(self.shown.clone())))
    }

    /// A client that shows our certificate and trusts the authority alone.
    ///
    /// # Errors
    /// [`TlsError::Unfit`].
    pub fn client(&self) -> Result<ClientConfig, TlsError> {
        let builder =
            ClientConfig::builder_with_provider(Arc::clone(&self.provider)).with_safe_default_protocol_versions();
        let config = builder.map_err(unfit)?.with_root_certificates(Arc::clone(&self.authority));
        Ok(config.with_client_cert_resolver(self.shown.clone()))
    }
}

/// Has a listener of [`Tls::mutual`] heed the list of certificates that count no more, whenever that is another one. Who is
/// being served is served to the end.
pub fn heed(app: &Arc<App>, tls: Tls, listener: RustlsConfig) {
    let shutdown = app.ctx.shutdown.clone();
    app.ctx.spawn("revoked", async move {
        let mut heeded = None;
        loop {
            let list = tokio::fs::read(&tls.revoked).await.ok();
            if list.is_none() && heeded.is_some() {
                // Or who was expelled would be let in again.
                tracing::error!(path = %tls.revoked.display(), "the list of certificates that count no more is gone; the last one is heeded");
            } else if list != heeded {
                match tls.mutual() {
                    Ok(config) => {
                        listener.reload_from_config(config);
                        heeded = list;
                    }
                    // It is tried again: who was expelled since is let in meanwhile.
                    Err(error) => tracing::error!(%error, "whose certificates count no more is not heeded"),
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    });
}

fn certificates(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let fault = |detail: String| TlsError::File { path: path.clone(), detail };
    let found = CertificateDer::pem_file_iter(path).map_err(|e| fault(e.to_string()))?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(|e| fault(e.to_string()))?;
    if found.is_empty() { Err(fault("holds no certificate".to_owned())) } else { Ok(found) }
}

fn http(mut config: ServerConfig) -> Arc<ServerConfig> {
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

fn unfit(error: impl std::fmt::Display) -> TlsError {
    TlsError::Unfit(error.to_string())
}
