//! The certificate that a process shows, as a server and as a client. It is renewed while the process runs: its files are
//! looked at whenever somebody connects.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    SignatureScheme,
    client::ResolvesClientCert,
    crypto::CryptoProvider,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

/// Why a certificate cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ShownError {
    /// A file cannot be read, or is not what it should be.
    #[error("cannot read {path}: {source}")]
    Pem {
        /// Which.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// The certificate is none of this key, or none at all.
    #[error("the certificate {path} cannot be used: {source}")]
    Unfit {
        /// Where it is.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

/// A certificate with those that lead to the authority, and its key.
#[derive(Debug)]
pub struct Shown {
    certificate: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    last: RwLock<Arc<CertifiedKey>>,
}

impl Shown {
    /// Reads the files.
    ///
    /// # Errors
    /// [`ShownError`], naming the file.
    pub fn read(certificate: &Path, key: &Path, provider: &Arc<CryptoProvider>) -> Result<Arc<Self>, ShownError> {
        let last = certified(chain(certificate)?, certificate, key, provider)?;
        Ok(Arc::new(Self {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            provider: Arc::clone(provider),
            last: RwLock::new(last),
        }))
    }

    /// What the files hold now. What cannot be used changes nothing: a new key comes before its certificate, or after.
    fn now(&self) -> Arc<CertifiedKey> {
        let last = Arc::clone(&self.last.read().unwrap_or_else(PoisonError::into_inner));
        match self.another(&last) {
            Ok(None) => last,
            Ok(Some(new)) => {
                tracing::info!(path = %self.certificate.display(), "another certificate is shown from now on");
                *self.last.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&new);
                new
            }
            Err(error) => {
                tracing::warn!(%error, "the certificate is shown that was there before");
                last
            }
        }
    }

    /// What the files hold, if that is another one.
    fn another(&self, last: &CertifiedKey) -> Result<Option<Arc<CertifiedKey>>, ShownError> {
        let chain = chain(&self.certificate)?;
        if chain == last.cert {
            return Ok(None);
        }
        certified(chain, &self.certificate, &self.key, &self.provider).map(Some)
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.now())
    }
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.now())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, ShownError> {
    let unread = |source| ShownError::Pem { path: path.to_owned(), source };
    let found = CertificateDer::pem_file_iter(path).map_err(unread)?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(unread)?;
    if found.is_empty() { Err(unread(pem::Error::NoItemsFound)) } else { Ok(found) }
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    certificate: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, ShownError> {
    let key = PrivateKeyDer::from_pem_file(key).map_err(|source| ShownError::Pem { path: key.to_owned(), source })?;
    let fits = CertifiedKey::from_der(chain, key, provider);
    fits.map(Arc::new).map_err(|source| ShownError::Unfit { path: certificate.to_owned(), source })
}
