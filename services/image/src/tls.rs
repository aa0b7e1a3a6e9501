//! Certificates: one authority for the whole installation, one certificate for each front end,
//! which serves both as server and as client.

use std::{path::PathBuf, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

use crate::settings::TlsFiles;

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
    /// The pieces do not fit together.
    #[error("the certificates of [image.tls] do not fit: {0}")]
    Unfit(String),
}

/// The pieces, read once.
pub struct Tls {
    provider: Arc<CryptoProvider>,
    authority: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
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
        let key = PrivateKeyDer::from_pem_file(&files.key)
            .map_err(|e| TlsError::File { path: files.key.clone(), detail: e.to_string() })?;
        Ok(Self {
            provider: Arc::new(ring::default_provider()),
            authority: Arc::new(authority),
            chain: certificates(&files.cert)?,
            key,
        })
    }

    /// A server that talks only to holders of a certificate of the authority.
    ///
    /// # Errors
    /// [`TlsError::Unfit`].
    pub fn mutual(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&self.authority), Arc::clone(&self.provider));
        let verifier = verifier.build().map_err(unfit)?;
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&self.provider)).with_safe_default_protocol_versions();
        let config = builder.map_err(unfit)?.with_client_cert_verifier(verifier);
        Ok(http(config.with_single_cert(self.chain.clone(), self.key.clone_key()).map_err(unfit)?))
    }

    /// A server that asks for no certificate.
    ///
    /// # Errors
    /// [`TlsError::Unfit`].
    pub fn one_sided(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&self.provider)).with_safe_default_protocol_versions();
        let config = builder.map_err(unfit)?.with_no_client_auth();
        Ok(http(config.with_single_cert(self.chain.clone(), self.key.clone_key()).map_err(unfit)?))
    }

    /// A client that shows our certificate and trusts the authority alone.
    ///
    /// # Errors
    /// [`TlsError::Unfit`].
    pub fn client(&self) -> Result<ClientConfig, TlsError> {
        let builder =
            ClientConfig::builder_with_provider(Arc::clone(&self.provider)).with_safe_default_protocol_versions();
        let config = builder.map_err(unfit)?.with_root_certificates(Arc::clone(&self.authority));
        config.with_client_auth_cert(self.chain.clone(), self.key.clone_key()).map_err(unfit)
    }
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
