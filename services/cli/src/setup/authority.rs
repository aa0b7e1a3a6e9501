//! The cluster's own certificate authority and the certificates of its hosts (ECDSA P-256).

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::Duration;
use watari_model::Timestamp;

use super::{
    cluster::{Cluster, Host},
    files::{Overlay, Readers},
};
use crate::texts::faults::Fault;

const AUTHORITY_LIFE: Duration = Duration::days(3652);
const HOST_LIFE: Duration = Duration::days(730);
/// A host's certificate is renewed when less than this is left.
const HOST_RENEWAL: Duration = Duration::days(240);
/// Clocks of hosts may be behind.
const GRACE: Duration = Duration::hours(24);

/// Whether certificates that would still do are made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// Only what is missing, nearly over, or no longer true.
    WhenNeeded,
    /// All of the hosts'; the authority stays.
    All,
}

/// The authority: what signs, and what others trust.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate in PEM.
    pub certificate: String,
}

/// A host's certificate with its private key.
pub struct Issued {
    /// In PEM.
    pub certificate: String,
    /// In PEM, PKCS #8.
    pub key: String,
    /// SHA-256 of the public key's info (RFC 5280, `SubjectPublicKeyInfo`), in hexadecimal.
    pub fingerprint: String,
}

/// What a certificate was issued for, kept beside it: it is renewed when this no longer holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    organization: String,
    names: Vec<String>,
    authority: String,
    until: Timestamp,
}

/// The organization in the certificate of a host, which says its role.
#[must_use]
pub fn organization(host: &Host) -> String {
    format!("watari-{}", host.role.word())
}

fn names(host: &Host) -> Vec<String> {
    vec![host.name.to_string(), host.address.to_string(), "localhost".to_owned(), "127.0.0.1".to_owned()]
}

/// Its name holds the key's fingerprint, so that two authorities are never taken for one another,
/// and everything in it follows from the key and the cluster's name: it need not be parsed to be
/// used again.
fn authority_params(cluster: &Cluster, key: &KeyPair) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "watari");
    params
        .distinguished_name
        .push(DnType::CommonName, format!("{} authority {}", cluster.name, &fingerprint(key)[..8]));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    params
}

fn fingerprint(key: &KeyPair) -> String {
    hex(&Sha256::digest(key.subject_public_key_info()))
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn key_of(store: &Overlay, path: &str, pem: &str) -> Result<KeyPair, Fault> {
    let unusable = |detail: String| Fault::KeyUnusable { path: store.path(path).display().to_string(), detail };
    KeyPair::from_pem(pem).map_err(|e| unusable(e.to_string()))
}

fn fresh_key() -> Result<String, Fault> {
    let made = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256);
    made.map(|key| key.serialize_pem())
        .map_err(|e| Fault::Certificate { host: "key".to_owned(), detail: e.to_string() })
}

impl Authority {
    /// The authority in `store`, made if there is none.
    ///
    /// # Errors
    /// [`Fault`] if a kept key cannot be used or files cannot be written.
    pub fn open(store: &mut Overlay, cluster: &Cluster, now: Timestamp) -> Result<Self, Fault> {
        let pem = store.keep_or("ca.key", Readers::Owner, fresh_key)?;
        let key = key_of(store, "ca.key", &pem)?;
        let mut params = authority_params(cluster, &key);
        params.not_before = now.0 - GRACE;
        params.not_after = now.0 + AUTHORITY_LIFE;
        let certificate = store.keep_or("ca.crt", Readers::All, || {
            let made = params
                .self_signed(&key)
                .map_err(|e| Fault::Certificate { host: "the authority".to_owned(), detail: e.to_string() });
            made.map(|c| c.pem())
        })?;
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    /// The host's certificate: the kept one if it is still true, else a new one with the same key,
    /// or with a new key if everything is to be renewed.
    ///
    /// # Errors
    /// [`Fault`] if a kept key cannot be used, the host cannot be certified, or files cannot be written.
    pub fn issue(&self, store: &mut Overlay, host: &Host, renewal: Renewal, now: Timestamp) -> Result<Issued, Fault> {
        let file = |end: &str| format!("issued/{}.{end}", host.name);
        if renewal == Renewal::All {
            store.put(&file("key"), Readers::Owner, &fresh_key()?)?;
        }
        let pem = store.keep_or(&file("key"), Readers::Owner, fresh_key)?;
        let key = key_of(store, &file("key"), &pem)?;
        let wanted = Record {
            organization: organization(host),
            names: names(host),
            authority: format!("{} {}", fingerprint(self.issuer.key()), fingerprint(&key)),
            until: Timestamp(now.0 + HOST_LIFE),
        };
        let kept = store.read(&file("json"))?.and_then(|text| serde_json::from_str::<Record>(&text).ok());
        let still_true = kept.is_some_and(|kept| {
            kept.until.0 - now.0 > HOST_RENEWAL && kept == Record { until: kept.until, ..wanted.clone() }
        });
        let certificate = match store.read(&file("crt"))? {
            Some(certificate) if still_true => certificate,
            _ => self.sign(host, &key, now)?,
        };
        if !still_true {
            let record = serde_json::to_string_pretty(&wanted)
                .map_err(|e| Fault::Certificate { host: host.name.to_string(), detail: e.to_string() })?;
            store.put(&file("json"), Readers::All, &record)?;
        }
        store.put(&file("crt"), Readers::All, &certificate)?;
        Ok(Issued { certificate, fingerprint: fingerprint(&key), key: pem })
    }

    fn sign(&self, host: &Host, key: &KeyPair, now: Timestamp) -> Result<String, Fault> {
        let fault = |e: rcgen::Error| Fault::Certificate { host: host.name.to_string(), detail: e.to_string() };
        let mut params = CertificateParams::new(names(host)).map_err(fault)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, organization(host));
        params.distinguished_name.push(DnType::CommonName, host.name.as_str());
        // libvirt refuses a certificate whose key usage lacks key encipherment.
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        params.not_before = now.0 - GRACE;
        params.not_after = now.0 + HOST_LIFE;
        params.signed_by(key, &self.issuer).map(|c| c.pem()).map_err(fault)
    }
}
