//! Certificates as a real installation has them.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData, RevokedCertParams, SerialNumber, date_time_ymd,
};
use reqwest::Client;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use sha2::{Digest, Sha256};
use watari_image::settings::TlsFiles;

/// An authority, its certificate in a file.
pub struct Authority {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    ca: PathBuf,
}

impl Authority {
    pub fn new(dir: &Path, name: &str) -> Self {
        let dir = dir.join(format!("tls-{name}"));
        std::fs::create_dir_all(&dir).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let ca = dir.join("ca.pem");
        std::fs::write(&ca, params.self_signed(&key).unwrap().pem()).unwrap();
        Self { dir, issuer: Issuer::new(params, key), ca }
    }

    /// A certificate for 127.0.0.1, for server and client.
    pub fn issue(&self, name: &str) -> TlsFiles {
        let path = |end: &str| self.dir.join(format!("{name}.{end}"));
        let (cert, key) = (path("pem"), path("key"));
        std::fs::write(&key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
        let files = TlsFiles { ca: self.ca.clone(), cert, key, revoked: self.dir.join("revoked.pem") };
        self.renew(&files);
        files
    }

    /// Puts another certificate of this authority in its place, for the same key.
    pub fn renew(&self, files: &TlsFiles) {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, files.cert.file_stem().unwrap().to_str().unwrap());
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::from_pem(&std::fs::read_to_string(&files.key).unwrap()).unwrap();
        let new = files.cert.with_extension("new");
        std::fs::write(&new, params.signed_by(&key, &self.issuer).unwrap().pem()).unwrap();
        std::fs::rename(new, &files.cert).unwrap();
    }

    /// Revokes a certificate that it has issued, and no other.
    pub fn revoke(&self, certificate: &TlsFiles) {
        let key = KeyPair::from_pem(&std::fs::read_to_string(&certificate.key).unwrap()).unwrap();
        // rcgen numbers a certificate by its key.
        let mut serial = Sha256::digest(key.der_bytes())[..20].to_vec();
        serial[0] &= 0x7f;
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2120, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: vec![RevokedCertParams {
                serial_number: SerialNumber::from(serial),
                revocation_time: date_time_ymd(2026, 1, 1),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let pem = list.signed_by(&self.issuer).unwrap().pem().unwrap();
        std::fs::write(&certificate.revoked, pem).unwrap();
    }

    /// A client that trusts this authority, and shows a certificate if it has one.
    pub fn client(&self, certificate: Option<&TlsFiles>) -> Client {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.ca).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        let config = match certificate {
            None => builder.with_no_client_auth(),
            Some(files) => {
                let chain = vec![CertificateDer::from_pem_file(&files.cert).unwrap()];
                builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(&files.key).unwrap()).unwrap()
            }
        };
        Client::builder().tls_backend_preconfigured(config).no_proxy().build().unwrap()
    }
}
