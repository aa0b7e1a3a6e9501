//! The cluster's own certificate authority and the certificates of its hosts (ECDSA P-256).

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertificateSigningRequestParams,
    DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKey,
    PublicKeyData, RevokedCertParams, SerialNumber,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::Duration;
use watari_model::{NodeName, Timestamp};

use super::{
    cluster::{Cluster, Host},
    files::{Overlay, Readers},
};
use crate::{format::hex, texts::faults::Fault};

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
/// In the authority's folder: the list of certificates that count no more (PEM), once there is one.
pub const REVOKED: &str = "revoked.pem";
/// What that list is made of.
const REVOCATIONS: &str = "revoked.json";

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

/// A key whose certificates count no more, and the host that had it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Revocation {
    host: NodeName,
    serial: Vec<u8>,
    at: Timestamp,
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

fn revocations(store: &Overlay) -> Result<Vec<Revocation>, Fault> {
    let unread = |e: serde_json::Error| Fault::File {
        path: store.path(REVOCATIONS).display().to_string(),
        detail: e.to_string(),
    };
    store.read(REVOCATIONS)?.map_or(Ok(Vec::new()), |text| serde_json::from_str(&text).map_err(unread))
}

/// The host from which the key in a request was taken with its certificates, in the authority's folder `store`.
///
/// # Errors
/// [`Fault`] if it is no request, or the folder cannot be read.
pub fn revoked_from(store: &Overlay, request: &str) -> Result<Option<NodeName>, Fault> {
    let serial = serial(&requested(request)?);
    Ok(revocations(store)?.into_iter().find(|one| one.serial == serial).map(|one| one.host))
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
    /// or with a new key if everything is to be renewed. The key of a host that has joined by itself is
    /// its own and stays.
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
        if renewal == Renewal::All {
            store.put(&file("key"), Readers::Owner, &fresh_key()?)?;
        }
        let pem = store.keep_or(&file("key"), Readers::Owner, fresh_key)?;
        let key = key_of(store, &file("key"), &pem)?;
        let certificate = self.certificate(store, host, &key, renewal, now)?;
        Ok(Issued { certificate, fingerprint: fingerprint(&key), key: Some(pem) })
    }

    /// Revokes every certificate of a host's key, and makes the list anew; nothing if the host has none here. It may be
    /// repeated.
    ///
    /// # Errors
    /// [`Fault`] if its key cannot be used, the list cannot be signed, or files cannot be written.
    pub fn revoke(&self, store: &mut Overlay, host: &NodeName, now: Timestamp) -> Result<(), Fault> {
        let (request, key) = (format!("issued/{host}.csr"), format!("issued/{host}.key"));
        let serial = match (store.read(&request)?, store.read(&key)?) {
            (Some(pem), _) => serial(&requested(&pem)?),
            (None, Some(pem)) => serial(&key_of(store, &key, &pem)?),
            (None, None) => return Ok(()),
        };
        let fault = |detail: String| Fault::Certificate { host: host.to_string(), detail };
        let mut all = revocations(store)?;
        if !all.iter().any(|one| one.serial == serial) {
            all.push(Revocation { host: host.clone(), serial, at: now });
            store.put(
                REVOCATIONS,
                Readers::All,
                &serde_json::to_string_pretty(&all).map_err(|e| fault(e.to_string()))?,
            )?;
        }
        let list = self.list(&all, now).map_err(|e| fault(e.to_string()))?;
        store.put(REVOKED, Readers::All, &list)
    }

    fn list(&self, all: &[Revocation], now: Timestamp) -> Result<String, rcgen::Error> {
        let one = |one: &Revocation| RevokedCertParams {
            serial_number: SerialNumber::from(one.serial.clone()),
            revocation_time: one.at.0,
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: now.0 - GRACE,
            // After every certificate of this authority: whoever has a list that is over believes nobody any more.
            next_update: now.0 + AUTHORITY_LIFE,
            crl_number: SerialNumber::from(u64::try_from(all.len()).unwrap_or(u64::MAX)),
            issuing_distribution_point: None,
            revoked_certs: all.iter().map(one).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer)?.pem()
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
    use std::sync::Arc;

    use rustls::{
        CertificateError, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime, pem::PemObject},
        server::WebPkiClientVerifier,
    };
    use watari_testkit::TempDir;

    use super::*;

    const CLUSTER: &str = "name='c'\n[[site]]\nname='a'\n[[host]]\nname='f'\nrole='front'\nsite='a'\naddress='192.0.2.1'\n[[host]]\nname='m'\nrole='node'\nsite='a'\naddress='192.0.2.2'\n";

    #[test]
    fn a_host_that_asks_is_certified_by_its_own_key_and_renewed_by_the_same() {
        let (dir, now) = (TempDir::new(), watari_chassis::clock::now());
        let mut store = Overlay::at(dir.path().to_owned());
        let cluster: Cluster = toml::from_str(CLUSTER).unwrap();
        let authority = Authority::open(&mut store, &cluster, now).unwrap();
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

    /// Whether a certificate counts where this list is heeded; all of them in PEM.
    fn counts(authority: &str, list: &str, certificate: &str) -> Result<(), rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
        let list = CertificateRevocationListDer::from_pem_slice(list.as_bytes()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider()))
            .with_crls([list])
            .build()
            .unwrap();
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        verifier.verify_client_cert(&certificate, &[], UnixTime::now()).map(drop)
    }

    #[test]
    fn with_a_host_every_certificate_of_its_key_is_revoked_and_no_others() {
        let (dir, now) = (TempDir::new(), watari_chassis::clock::now());
        let mut store = Overlay::at(dir.path().to_owned());
        let cluster: Cluster = toml::from_str(CLUSTER).unwrap();
        let authority = Authority::open(&mut store, &cluster, now).unwrap();
        let (front, node) = (&cluster.hosts[0], &cluster.hosts[1]);
        let issue = |store: &mut Overlay, host: &Host| {
            let issued = authority.issue(store, host, Renewal::WhenNeeded, now).unwrap();
            (issued.certificate, issued.key.unwrap())
        };
        let (others, _) = issue(&mut store, front);
        let (old, key) = issue(&mut store, node);
        // Its record is gone, so that it is made anew for the same key.
        store.put("issued/m.json", Readers::All, "").unwrap();
        let (new, _) = issue(&mut store, node);
        assert_ne!(old, new);
        // As earlier versions made them, which left the number to rcgen.
        let earlier = CertificateParams::new(names(node)).unwrap();
        let earlier = earlier.signed_by(&KeyPair::from_pem(&key).unwrap(), &authority.issuer).unwrap().pem();
        let asks = request("m", &key).unwrap();
        assert_eq!(revoked_from(&store, &asks).unwrap(), None);
        // Twice, as after a try that broke off, and once in vain.
        for name in ["m", "m", "nobody"] {
            authority.revoke(&mut store, &name.parse().unwrap(), now).unwrap();
        }
        assert_eq!(revocations(&store).unwrap().len(), 1);
        assert_eq!(revoked_from(&store, &asks).unwrap().unwrap().as_str(), "m");
        let list = store.read(REVOKED).unwrap().unwrap();
        let counts = |certificate: &str| counts(&authority.certificate, &list, certificate);
        for revoked in [&old, &new, &earlier] {
            assert_eq!(counts(revoked), Err(rustls::Error::InvalidCertificate(CertificateError::Revoked)));
        }
        assert_eq!(counts(&others), Ok(()));
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
