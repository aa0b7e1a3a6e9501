//! Knowing the cluster by its token: the server shows the certificate of its authority beside its own, and only one
//! with the token's digest counts. Everything else is checked as ever, the server's address included; and that it is a
//! front end, since every node of the cluster has a certificate of that authority as well.

use std::sync::Arc;

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use crate::enrol::token::Mark;

/// A front end's role in the DER of its certificate: `organizationName` (2.5.4.10), and that as a `UTF8String`.
const FRONT: &[u8] = b"\x06\x03\x55\x04\x0a\x0c\x0cwatari-front";

/// Trusts one authority, of which only the digest is known beforehand.
#[derive(Debug)]
pub(super) struct Pinned {
    authority: Mark,
    provider: Arc<CryptoProvider>,
}

impl Pinned {
    pub(super) fn on(authority: Mark) -> Self {
        Self { authority, provider: Arc::new(ring::default_provider()) }
    }

    /// A client that trusts nobody else and shows nothing of itself.
    pub(super) fn client(self) -> Result<ClientConfig, Error> {
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider));
        let builder = builder.with_safe_default_protocol_versions()?;
        Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(self)).with_no_client_auth())
    }
}

/// Whether `own` is the certificate of the host called `name`, and `authority` itself has signed it.
///
/// # Errors
/// Why it does not do.
pub(super) fn certified(
    authority: &CertificateDer<'_>,
    own: &CertificateDer<'_>,
    name: &ServerName<'_>,
    provider: &Arc<CryptoProvider>,
    now: UnixTime,
) -> Result<ServerCertVerified, Error> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone())?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let verifier = verifier.build().map_err(|e| Error::General(e.to_string()))?;
    verifier.verify_server_cert(own, &[], name, &[], now)
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let ours = intermediates.iter().find(|shown| Mark::of(shown) == self.authority);
        let ours = ours.ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let verified = certified(ours, end_entity, server_name, &self.provider, now)?;
        // No host's name has these bytes, and only the authority writes into what it signs.
        if end_entity.windows(FRONT.len()).any(|part| part == FRONT) {
            Ok(verified)
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::{slice, time::Duration};

    use rustls::pki_types::pem::PemObject;
    use watari_testkit::TempDir;

    use super::*;
    use crate::setup::{
        authority::{Authority, Renewal},
        cluster::Cluster,
        files::Overlay,
    };

    #[test]
    fn only_a_front_end_is_taken_for_one_also_by_a_host_whose_clock_is_an_hour_off() {
        let (dir, now) = (TempDir::new(), watari_chassis::clock::now());
        let mut store = Overlay::at(dir.path().to_owned());
        let host = |name: &str, role: &str, n: u8| {
            format!("[[host]]\nname='{name}'\nrole='{role}'\nsite='a'\naddress='192.0.2.{n}'\n")
        };
        let text = format!("name='c'\n[[site]]\nname='a'\n{}{}", host("f", "front", 1), host("m", "node", 2));
        let cluster = Cluster::parse(&text, "test").unwrap();
        let authority = Authority::open(&mut store, &cluster, now).unwrap();
        let der = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let ca = der(&authority.certificate);
        let pinned = Pinned::on(Mark::of(&ca));
        for (host, believed) in cluster.hosts.iter().zip([true, false]) {
            let issued = authority.issue(&mut store, host, Renewal::WhenNeeded, now).unwrap();
            let (own, name) = (der(&issued.certificate), ServerName::from(host.address));
            for off in [0, 3_600, -3_600] {
                let clock = Duration::from_secs(UnixTime::now().as_secs().saturating_add_signed(off));
                let clock = UnixTime::since_unix_epoch(clock);
                let told = pinned.verify_server_cert(&own, slice::from_ref(&ca), &name, &[], clock);
                assert_eq!(told.is_ok(), believed, "by a clock that is {off} s ahead: {told:?}");
            }
        }
    }
}
