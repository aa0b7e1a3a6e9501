//! Certificates that count no more: what the authority keeps of their keys, and the list of them that it signs (RFC 5280,
//! section 5).
//!
//! ```text
//!  a host is expelled, or has another key ──▶ revoked.json ──▶ revoked.pem, whose number only grows ──▶ all hosts
//! ```

use std::collections::BTreeSet;

use rcgen::{CertificateRevocationListParams, KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber};
use serde::{Deserialize, Serialize};
use time::Duration;
use watari_model::{NodeName, Timestamp};
use x509_parser::{parse_x509_crl, pem::parse_x509_pem};

use super::{AUTHORITY_LIFE, Authority, GRACE, Renewal, fresh_key, key_of, requested, serial};
use crate::{
    setup::{
        cluster::Host,
        files::{Overlay, Readers},
    },
    texts::faults::Fault,
};

/// In the authority's folder: the list of certificates that count no more (PEM), once there is one.
pub const REVOKED: &str = "revoked.pem";
/// What that list is made of.
const REVOCATIONS: &str = "revoked.json";

/// A key whose certificates count no more, and the host that had it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Revocation {
    host: NodeName,
    serial: Vec<u8>,
    at: Timestamp,
}

fn revocations(store: &Overlay) -> Result<Vec<Revocation>, Fault> {
    let unread = |e: serde_json::Error| Fault::File {
        path: store.path(REVOCATIONS).display().to_string(),
        detail: e.to_string(),
    };
    store.read(REVOCATIONS)?.map_or(Ok(Vec::new()), |text| serde_json::from_str(&text).map_err(unread))
}

/// Keeps that a key's certificates count no more. It may be repeated.
fn note(store: &mut Overlay, host: &NodeName, serial: Vec<u8>, now: Timestamp) -> Result<(), Fault> {
    let mut all = revocations(store)?;
    if all.iter().any(|one| one.serial == serial) {
        return Ok(());
    }
    all.push(Revocation { host: host.clone(), serial, at: now });
    let text = serde_json::to_string_pretty(&all)
        .map_err(|e| Fault::Certificate { host: host.to_string(), detail: e.to_string() })?;
    store.put(REVOCATIONS, Readers::All, &text)
}

/// The host from which the key in a request was taken with its certificates, in the authority's folder `store`.
///
/// # Errors
/// [`Fault`] if it is no request, or the folder cannot be read.
pub fn revoked_from(store: &Overlay, request: &str) -> Result<Option<NodeName>, Fault> {
    let serial = serial(&requested(request)?);
    Ok(revocations(store)?.into_iter().find(|one| one.serial == serial).map(|one| one.host))
}

/// The key with which a host goes on (PEM): the one that it has, or another one if that is replaced. The old one's
/// certificates are revoked before it is gone; so one that is revoked and still there was about to be replaced.
pub(super) fn kept_or_replaced(
    store: &mut Overlay,
    host: &Host,
    pem: String,
    renewal: Renewal,
    now: Timestamp,
) -> Result<String, Fault> {
    let key = KeyPair::from_pem(&pem).ok().map(|key| serial(&key));
    match (key, renewal) {
        (Some(serial), Renewal::All) => note(store, &host.name, serial, now)?,
        (Some(serial), Renewal::WhenNeeded) => {
            if !revocations(store)?.iter().any(|one| one.serial == serial) {
                return Ok(pem);
            }
        }
        // A key that nobody can read has no number by which it could be revoked. Whoever is to go on with it says so.
        (None, Renewal::All) => {}
        (None, Renewal::WhenNeeded) => return Ok(pem),
    }
    fresh_key()
}

impl Authority {
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
        note(store, host, serial, now)?;
        self.list(store, now).map(drop)
    }

    /// The list of certificates that count no more; none as long as all of them count. It is made anew if it lacks one, or
    /// if another authority has signed it, as where the authority alone was made anew: hosts take no other's.
    ///
    /// # Errors
    /// [`Fault`] if it cannot be signed, or files cannot be read or written.
    pub fn list(&self, store: &mut Overlay, now: Timestamp) -> Result<Option<String>, Fault> {
        let (all, kept) = (revocations(store)?, store.read(REVOKED)?);
        let known = kept.as_deref().and_then(|text| List::read(&self.certificate, text));
        if known.as_ref().is_some_and(|list| all.iter().all(|one| list.has(&one.serial))) {
            return Ok(kept);
        }
        if all.is_empty() {
            return Ok(None);
        }
        // Not how many are on it: a folder that was put back from a copy has fewer, and hosts take what is newer alone.
        let moment = u64::try_from(now.0.unix_timestamp()).unwrap_or_default();
        let number = known.as_ref().map_or(moment, |known| moment.max(known.number.saturating_add(1)));
        // Nor is it of the same second as the one before, or of an earlier one where the clock was put back a little: by its date
        // the doctor sees which is newer. One from the future would be believed by nobody.
        let soonest = now.0 - GRACE;
        let updated_at = known.map_or(soonest, |known| (known.updated_at.0 + Duration::SECOND).min(now.0).max(soonest));
        let fault = |e: rcgen::Error| Fault::Certificate { host: "the authority".to_owned(), detail: e.to_string() };
        let list = self.signed(&all, number, Timestamp(updated_at), now).map_err(fault)?;
        store.put(REVOKED, Readers::All, &list)?;
        Ok(Some(list))
    }

    fn signed(
        &self,
        all: &[Revocation],
        number: u64,
        updated_at: Timestamp,
        now: Timestamp,
    ) -> Result<String, rcgen::Error> {
        let one = |one: &Revocation| RevokedCertParams {
            serial_number: SerialNumber::from(one.serial.clone()),
            revocation_time: one.at.0,
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: updated_at.0,
            // After every certificate of this authority: whoever has a list that is over believes nobody any more.
            next_update: now.0 + AUTHORITY_LIFE,
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: all.iter().map(one).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer)?.pem()
    }
}

/// A list, as whoever is to heed it sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    number: u64,
    updated_at: Timestamp,
    /// Of the certificates that count no more, as numbers: without zeros in front.
    serials: BTreeSet<Vec<u8>>,
}

impl List {
    /// Reads a list (PEM); none if it is no list, not one alone, or not signed by the authority with this certificate (PEM).
    #[must_use]
    pub fn read(authority: &str, list: &str) -> Option<Self> {
        let (_, authority) = parse_x509_pem(authority.as_bytes()).ok()?;
        let authority = authority.parse_x509().ok()?;
        let (rest, list) = parse_x509_pem(list.as_bytes()).ok()?;
        if !rest.trim_ascii().is_empty() {
            return None;
        }
        let (_, list) = parse_x509_crl(&list.contents).ok()?;
        list.verify_signature(authority.public_key()).ok()?;
        Some(Self {
            number: u64::try_from(list.crl_number()?).ok()?,
            updated_at: Timestamp(list.last_update().to_datetime()),
            serials: list.iter_revoked_certificates().map(|one| one.serial().to_bytes_be()).collect(),
        })
    }

    /// Whether it is an older one than `other` of the same authority.
    #[must_use]
    pub fn is_before(&self, other: &Self) -> bool {
        (self.number, self.updated_at) < (other.number, other.updated_at)
    }

    fn has(&self, serial: &[u8]) -> bool {
        let zeros = serial.iter().take_while(|byte| **byte == 0).count();
        self.serials.contains(&serial[zeros..])
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc};

    use rcgen::CertificateParams;
    use rustls::{
        CertificateError, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime, pem::PemObject},
        server::WebPkiClientVerifier,
    };
    use watari_testkit::TempDir;

    use super::*;
    use crate::setup::authority::{names, request, tests::opened};

    const REVOKED_NOW: Result<(), rustls::Error> = Err(rustls::Error::InvalidCertificate(CertificateError::Revoked));

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
        let now = watari_chassis::clock::now();
        let (_dir, mut store, cluster, authority) = opened(now);
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
            assert_eq!(counts(revoked), REVOKED_NOW);
        }
        assert_eq!(counts(&others), Ok(()));
    }

    #[test]
    fn with_a_key_that_is_replaced_its_certificates_are_revoked_and_with_one_that_its_host_keeps_none() {
        let now = watari_chassis::clock::now();
        let (_dir, mut store, cluster, authority) = opened(now);
        let (front, node) = (&cluster.hosts[0], &cluster.hosts[1]);
        store.put("issued/m.csr", Readers::All, &request("m", &fresh_key().unwrap()).unwrap()).unwrap();
        let issue = |store: &mut Overlay, host: &Host, renewal| authority.issue(store, host, renewal, now).unwrap();
        let (old, kept) = (issue(&mut store, front, Renewal::WhenNeeded), issue(&mut store, node, Renewal::WhenNeeded));
        assert_eq!(authority.list(&mut store, now).unwrap(), None);
        let (new, again) = (issue(&mut store, front, Renewal::All), issue(&mut store, node, Renewal::All));
        assert_eq!(kept.fingerprint, again.fingerprint);
        let list = authority.list(&mut store, now).unwrap().unwrap();
        let counts = |certificate: &str| counts(&authority.certificate, &list, certificate);
        assert_eq!(counts(&old.certificate), REVOKED_NOW);
        for certificate in [&new.certificate, &kept.certificate, &again.certificate] {
            assert_eq!(counts(certificate), Ok(()));
        }
        assert_eq!(authority.list(&mut store, now).unwrap(), Some(list), "nothing has changed");
        // It broke off before the new key was there.
        store.put("issued/f.key", Readers::Owner, &old.key.unwrap()).unwrap();
        let other = issue(&mut store, front, Renewal::WhenNeeded);
        assert!(other.fingerprint != old.fingerprint && other.fingerprint != new.fingerprint);
    }

    #[test]
    fn an_authority_that_is_made_anew_alone_signs_the_list_anew() {
        let now = watari_chassis::clock::now();
        let (dir, mut store, cluster, former) = opened(now);
        let stolen = former.issue(&mut store, &cluster.hosts[1], Renewal::WhenNeeded, now).unwrap();
        former.revoke(&mut store, &cluster.hosts[1].name, now).unwrap();
        let old = store.read(REVOKED).unwrap().unwrap();
        for file in ["ca.key", "ca.crt"] {
            fs::remove_file(dir.path().join(file)).unwrap();
        }
        let authority = Authority::open(&mut store, &cluster, now).unwrap();
        assert_eq!(List::read(&authority.certificate, &old), None);
        let list = authority.list(&mut store, now).unwrap().unwrap();
        assert!(List::read(&authority.certificate, &list).is_some());
        assert_eq!(store.read(REVOKED).unwrap(), Some(list), "it is not kept");
        let asks = request("m", &stolen.key.unwrap()).unwrap();
        assert_eq!(revoked_from(&store, &asks).unwrap().unwrap().as_str(), "m");
    }

    #[test]
    fn a_list_is_older_by_its_number_and_then_by_its_date() {
        let now = watari_chassis::clock::now();
        let (_dir, mut store, cluster, authority) = opened(now);
        let mut made = Vec::new();
        // The second by a clock that was put back meanwhile.
        for (host, ago) in cluster.hosts.iter().zip([0, 60]) {
            let now = Timestamp(now.0 - Duration::seconds(ago));
            authority.issue(&mut store, host, Renewal::WhenNeeded, now).unwrap();
            authority.revoke(&mut store, &host.name, now).unwrap();
            made.push(List::read(&authority.certificate, &store.read(REVOKED).unwrap().unwrap()).unwrap());
        }
        let (one, two) = (&made[0], &made[1]);
        assert!(one.is_before(two) && !two.is_before(one) && !one.is_before(one));
        assert!(one.updated_at < two.updated_at && two.updated_at < now, "{made:?}");
        let later = List { updated_at: now.plus_millis(1), ..one.clone() };
        assert!(one.is_before(&later) && !later.is_before(one));
    }

    #[test]
    fn a_list_is_read_only_if_the_authority_has_signed_it_and_nothing_else_stands_there() {
        let now = watari_chassis::clock::now();
        let (_dir, mut store, cluster, authority) = opened(now);
        authority.issue(&mut store, &cluster.hosts[1], Renewal::WhenNeeded, now).unwrap();
        authority.revoke(&mut store, &cluster.hosts[1].name, now).unwrap();
        let list = store.read(REVOKED).unwrap().unwrap();
        let other = TempDir::new();
        let other = Authority::open(&mut Overlay::at(other.path().to_owned()), &cluster, now).unwrap();
        assert!(List::read(&authority.certificate, &list).is_some());
        assert_eq!(List::read(&other.certificate, &list), None, "another authority's");
        for bad in
            [String::new(), authority.certificate.clone(), format!("{list}{list}"), list.replacen("\nMI", "\nMJ", 1)]
        {
            assert_eq!(List::read(&authority.certificate, &bad), None, "{bad}");
        }
    }
}
