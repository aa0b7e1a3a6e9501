//! The cluster's own certificate authority and the certificates of its hosts (ECDSA P-256).

mod revocation;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKey, PublicKeyData, SerialNumber,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::Duration;
use watari_model::Timestamp;

use super::{
    cluster::{Cluster, Host},
    files::{Overlay, Readers},
};
use crate::{format::hex, texts::faults::Fault};
pub use revocation::{List, REVOKED, revoked_from};

const AUTHORITY_LIFE: Duration = Duration::days(3652);
const HOST_LIFE: Duration = Duration::days(730);
/// A host's certificate is renewed when less than this is left.
const HOST_RENEWAL: Duration = Duration::days(240);
/// Clocks of hosts may be behind.
const GRACE: Duration = Duration::hours(24);
/// A point of P-256, uncompressed (SEC 1, section 2.3.3), in bytes.
const POINT: usize = 65;
/// A serial number's bytes, as many as there may be (RFC 5280, section 4.1.2.2).
const SERIAL: usize = 20;

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
    /// In PEM, PKCS #8; none if the host made it and keeps it.
    pub key: Option<String>,
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

fn fingerprint(key: &impl PublicKeyData) -> String {
    hex(&Sha256::digest(key.subject_public_key_info()))
}

/// The serial number of every certificate of a key, also of those that earlier versions made: rcgen's own choice, which
/// must not change. A list revokes by it, so that what was issued for a key before counts no more either.
fn serial(key: &impl PublicKeyData) -> Vec<u8> {
    let mut serial = Sha256::digest(key.der_bytes())[..SERIAL].to_vec();
    // It is no negative number.
    serial[0] &= 0x7f;
    serial
}

fn key_of(store: &Overlay, path: &str, pem: &str) -> Result<KeyPair, Fault> {
    let unusable = |detail: String| Fault::KeyUnusable { path: store.path(path).display().to_string(), detail };
    KeyPair::from_pem(pem).map_err(|e| unusable(e.to_string()))
}

/// A new private key of a host, in PEM.
///
/// # Errors
/// [`Fault::Certificate`] if there is none to be had.
pub fn fresh_key() -> Result<String, Fault> {
    let made = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256);
    made.map(|key| key.serialize_pem())
        .map_err(|e| Fault::Certificate { host: "key".to_owned(), detail: e.to_string() })
}

/// What a host sends of its key: a request (PKCS #10, PEM) which proves that it has the private half.
///
/// # Errors
/// [`Fault`] if the key cannot be used.
pub fn request(host: &str, pem: &str) -> Result<String, Fault> {
    let fault = |e: rcgen::Error| Fault::Certificate { host: host.to_owned(), detail: e.to_string() };
    let key = KeyPair::from_pem(pem).map_err(fault)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, host);
    params.serialize_request(&key).and_then(|made| made.pem()).map_err(fault)
}

/// The key in a request. What else the host asks for does not count: a certificate says what the cluster knows.
///
/// # Errors
/// [`Fault::JoinRequest`] if it is no request, not signed by its own key, or of another kind than ours.
pub fn requested(request: &str) -> Result<PublicKey, Fault> {
    let fault = |detail: String| Fault::JoinRequest { detail };
    let asked = CertificateSigningRequestParams::from_pem(request).map_err(|e| fault(e.to_string()))?;
    let key = asked.public_key;
    let ours = PublicKeyData::algorithm(&key) == &rcgen::PKCS_ECDSA_P256_SHA256 && key.der_bytes().len() == POINT;
    if ours { Ok(key) } else { Err(fault("its key is not of P-256".to_owned())) }
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
    /// or with a new key if everything is to be renewed: then all certificates of the old key are revoked, which counts
    /// once [`Self::list`] has made the list. The key of a host that has joined by itself is its own and stays.
    ///
    /// # Errors
    /// [`Fault`] if a kept key cannot be used, the host cannot be certified, or files cannot be written.
    pub fn issue(&self, store: &mut Overlay, host: &Host, renewal: Renewal, now: Timestamp) -> Result<Issued, Fault> {
        let file = |end: &str| format!("issued/{}.{end}", host.name);
        if let Some(request) = store.read(&file("csr"))? {
            let key = requested(&request)?;
            let certificate = self.certificate(store, host, &key, renewal, now)?;
            return Ok(Issued { certificate, fingerprint: fingerprint(&key), key: None });
        }
        let pem = match store.read(&file("key"))? {
            Some(pem) => revocation::kept_or_replaced(store, host, pem, renewal, now)?,
            None => fresh_key()?,
        };
        store.put(&file("key"), Readers::Owner, &pem)?;
        let key = key_of(store, &file("key"), &pem)?;
        let certificate = self.certificate(store, host, &key, renewal, now)?;
        Ok(Issued { certificate, fingerprint: fingerprint(&key), key: Some(pem) })
    }

    fn certificate(
        &self,
        store: &mut Overlay,
        host: &Host,
        key: &impl PublicKeyData,
        renewal: Renewal,
        now: Timestamp,
    ) -> Result<String, Fault> {
        let file = |end: &str| format!("issued/{}.{end}", host.name);
        let wanted = Record {
            organization: organization(host),
            names: names(host),
            authority: format!("{} {}", fingerprint(self.issuer.key()), fingerprint(key)),
            until: Timestamp(now.0 + HOST_LIFE),
        };
        let kept = store.read(&file("json"))?.and_then(|text| serde_json::from_str::<Record>(&text).ok());
        let still_true = renewal == Renewal::WhenNeeded
            && kept.is_some_and(|kept| {
                kept.until.0 - now.0 > HOST_RENEWAL && kept == Record { until: kept.until, ..wanted.clone() }
            });
        let certificate = match store.read(&file("crt"))? {
            Some(certificate) if still_true => certificate,
            _ => self.sign(host, key, now)?,
        };
        if !still_true {
            let record = serde_json::to_string_pretty(&wanted)
                .map_err(|e| Fault::Certificate { host: host.name.to_string(), detail: e.to_string() })?;
            store.put(&file("json"), Readers::All, &record)?;
        }
        store.put(&file("crt"), Readers::All, &certificate)?;
        Ok(certificate)
    }

    fn sign(&self, host: &Host, key: &impl PublicKeyData, now: Timestamp) -> Result<String, Fault> {
        let fault = |e: rcgen::Error| Fault::Certificate { host: host.name.to_string(), detail: e.to_string() };
        let mut params = CertificateParams::new(names(host)).map_err(fault)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, organization(host));
        params.distinguished_name.push(DnType::CommonName, host.name.as_str());
        // libvirt refuses a certificate whose key usage lacks key encipherment.
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(SerialNumber::from(serial(key)));
        params.not_before = now.0 - GRACE;
        params.not_after = now.0 + HOST_LIFE;
        params.signed_by(key, &self.issuer).map(|c| c.pem()).map_err(fault)
    }
}

#[cfg(test)]
mod tests {
    use watari_testkit::TempDir;

    use super::*;

    const CLUSTER: &str = "name='c'\n[[site]]\nname='a'\n[[host]]\nname='f'\nrole='front'\nsite='a'\naddress='192.0.2.1'\n[[host]]\nname='m'\nrole='node'\nsite='a'\naddress='192.0.2.2'\n";

    /// A cluster of a front end and a node, whose folder has an authority and nothing else yet.
    pub(super) fn opened(now: Timestamp) -> (TempDir, Overlay, Cluster, Authority) {
        let dir = TempDir::new();
        let mut store = Overlay::at(dir.path().to_owned());
        let cluster = toml::from_str(CLUSTER).unwrap();
        let authority = Authority::open(&mut store, &cluster, now).unwrap();
        (dir, store, cluster, authority)
    }

    #[test]
    fn a_host_that_asks_is_certified_by_its_own_key_and_renewed_by_the_same() {
        let now = watari_chassis::clock::now();
        let (_dir, mut store, cluster, authority) = opened(now);
        let pem = fresh_key().unwrap();
        // What it calls itself in the request is not what it is certified as.
        store.put("issued/m.csr", Readers::All, &request("f", &pem).unwrap()).unwrap();
        let node = &cluster.hosts[1];
        let issued = authority.issue(&mut store, node, Renewal::WhenNeeded, now).unwrap();
        assert!(issued.key.is_none() && store.read("issued/m.key").unwrap().is_none());
        assert_eq!(issued.fingerprint, fingerprint(&KeyPair::from_pem(&pem).unwrap()));
        assert!(store.read("issued/m.json").unwrap().unwrap().contains("watari-node"));
        let again = authority.issue(&mut store, node, Renewal::WhenNeeded, now).unwrap();
        assert_eq!(issued.certificate, again.certificate, "nothing has changed");
        let later = Timestamp(now.0 + HOST_LIFE - HOST_RENEWAL);
        let renewed = authority.issue(&mut store, node, Renewal::WhenNeeded, later).unwrap();
        assert_ne!(issued.certificate, renewed.certificate);
        assert_eq!(issued.fingerprint, renewed.fingerprint);
    }

    #[test]
    fn what_is_no_request_or_not_of_our_kind_is_refused() {
        let other = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_pem();
        let good = request("m", &fresh_key().unwrap()).unwrap();
        requested(&good).unwrap();
        for bad in
            [String::new(), "no request".to_owned(), request("m", &other).unwrap(), good.replacen("\nMI", "\nMJ", 1)]
        {
            assert!(matches!(requested(&bad), Err(Fault::JoinRequest { .. })), "{bad}");
        }
    }
}
