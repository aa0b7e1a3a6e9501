//! When a host's certificates end, and how old its lists of revoked ones are; and the one that a process shows.

mod shown;

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use watari_model::{
    Timestamp,
    node::health::{Certificate, RevocationList},
};
use x509_parser::{parse_x509_crl, pem::Pem};

pub use shown::{Shown, ShownError};

/// More than any chain of certificates.
const MOST_BYTES: u64 = 256 * 1024;
/// Of one file, so many are looked at.
const MOST_BLOCKS: usize = 64;

/// Looks at each file of certificates (PEM), in the order given: when the first of its certificates ends, or that it
/// holds none or cannot be read.
#[must_use]
pub fn look(paths: &[PathBuf]) -> Vec<Certificate> {
    let of = |path: &PathBuf| Certificate {
        path: path.display().to_string(),
        not_after: read(path).ok().and_then(|pem| first_end(&pem)),
    };
    paths.iter().map(of).collect()
}

/// Looks at each file with a list of revoked certificates (PEM), in the order given. Who has signed it is not looked at.
#[must_use]
pub fn revocation_lists(paths: &[PathBuf]) -> Vec<RevocationList> {
    let of = |path: &PathBuf| RevocationList {
        path: path.display().to_string(),
        updated_at: read(path).ok().and_then(|pem| last_update(&pem)),
    };
    paths.iter().map(of).collect()
}

fn last_update(pem: &[u8]) -> Option<Timestamp> {
    let block = Pem::iter_from_buffer(pem).next()?.ok()?;
    let (_, list) = parse_x509_crl(&block.contents).ok()?;
    Some(Timestamp(list.last_update().to_datetime()))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The end of the first that ends; none if there is none, or one that cannot be read.
fn first_end(pem: &[u8]) -> Option<Timestamp> {
    let mut first: Option<Timestamp> = None;
    for block in Pem::iter_from_buffer(pem).take(MOST_BLOCKS) {
        let block = block.ok()?;
        // A key may stand in the same file.
        if block.label != "CERTIFICATE" {
            continue;
        }
        let certificate = block.parse_x509().ok()?;
        let end = Timestamp(certificate.validity().not_after.to_datetime());
        first = Some(first.map_or(end, |first| first.min(end)));
    }
    first
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{
        CertificateParams, CertificateRevocationListParams, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
        SerialNumber, date_time_ymd,
    };
    use watari_testkit::TempDir;

    use super::*;

    fn certificate(until: i32) -> String {
        let mut params = CertificateParams::new(vec!["m1".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 5, 7);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
    }

    fn list(year: i32) -> String {
        let mut params = CertificateParams::default();
        params.key_usages = vec![KeyUsagePurpose::CrlSign];
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(year, 5, 7),
            next_update: date_time_ymd(2_120, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&Issuer::new(params, KeyPair::generate().unwrap())).unwrap().pem().unwrap()
    }

    #[test]
    fn a_list_of_revoked_certificates_is_as_old_as_it_says_and_what_is_none_has_no_age() {
        let dir = TempDir::new();
        let paths = ["one", "certificate", "not-there"].map(|name| dir.path().join(name));
        fs::write(&paths[0], list(2_026)).unwrap();
        fs::write(&paths[1], certificate(2_031)).unwrap();
        let ages: Vec<_> = revocation_lists(&paths).into_iter().map(|one| one.updated_at).collect();
        assert_eq!(ages, [Some(Timestamp(date_time_ymd(2_026, 5, 7))), None, None]);
    }

    #[test]
    fn the_first_end_of_a_file_counts_and_what_is_no_certificate_has_none() {
        let dir = TempDir::new();
        let put = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let key = KeyPair::generate().unwrap().serialize_pem();
        let paths = [
            put("one", &certificate(2_031)),
            put("chain", &format!("{key}{}{}", certificate(2_041), certificate(2_029))),
            put("key", &key),
            put("text", "no certificate"),
            put("cut", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            dir.path().join("not-there"),
        ];
        let ends: Vec<_> = look(&paths).into_iter().map(|one| one.not_after).collect();
        let day = |year| Some(Timestamp(date_time_ymd(year, 5, 7)));
        assert_eq!(ends, [day(2_031), day(2_029), None, None, None, None]);
    }
}
