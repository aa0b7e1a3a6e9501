//! A token: a secret, and by what the host that has it knows the cluster.
//!
//! ```text
//!  watari1-SECRET-AUTHORITY     SECRET: 32 hexadecimal digits, drawn; only its digest is kept
//!                               AUTHORITY: SHA-256 of the certificate of the cluster's authority
//! ```

use std::{fmt, str::FromStr};

use rustls::{
    crypto::{GetRandomFailed, ring},
    pki_types::{CertificateDer, pem::PemObject},
};
use sha2::{Digest, Sha256};

use crate::{format::hex, texts::faults::Fault};

/// What every token begins with; the number is the form's.
const MARK: &str = "watari1";

/// By what an authority is known: SHA-256 of its certificate (DER).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark([u8; 32]);

impl Mark {
    /// Of a certificate.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        let mut mark = [0; 32];
        mark.copy_from_slice(&Sha256::digest(certificate));
        Self(mark)
    }

    /// Of the first certificate of a PEM file; none if there is none.
    #[must_use]
    pub fn of_pem(pem: &str) -> Option<Self> {
        CertificateDer::from_pem_slice(pem.as_bytes()).ok().map(|certificate| Self::of(&certificate))
    }
}

/// A token. It has no `Debug`: it is secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    secret: [u8; 16],
    /// The authority of its cluster.
    pub authority: Mark,
}

impl Token {
    /// A new one.
    ///
    /// # Errors
    /// [`GetRandomFailed`] if the system gives no random bytes.
    pub fn draw(authority: Mark) -> Result<Self, GetRandomFailed> {
        let mut secret = [0; 16];
        ring::default_provider().secure_random.fill(&mut secret)?;
        Ok(Self { secret, authority })
    }

    /// What is kept of it, in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> String {
        hex(&Sha256::digest([b"watari token ".as_slice(), &self.secret].concat()))
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MARK}-{}-{}", hex(&self.secret), hex(&self.authority.0))
    }
}

impl FromStr for Token {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let read = || {
            let (secret, authority) = text.trim().strip_prefix(MARK)?.strip_prefix('-')?.split_once('-')?;
            Some(Self { secret: bytes(secret)?, authority: Mark(bytes(authority)?) })
        };
        read().ok_or(Fault::TokenForm {})
    }
}

fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written_and_no_two_are_alike() {
        let mark = Mark([7; 32]);
        let (one, other) = (Token::draw(mark).unwrap(), Token::draw(mark).unwrap());
        let read: Token = format!(" {one}\n").parse().unwrap();
        assert!(read == one && read.digest() == one.digest() && read.authority == mark);
        assert!(one.digest() != other.digest());
        assert!(!one.digest().contains(&hex(&one.secret)), "what is kept does not tell the token");
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let good = Token { secret: [1; 16], authority: Mark([2; 32]) }.to_string();
        for bad in
            ["", "watari1", "watari1--", &good[1..], &good[..good.len() - 1], &good.replace('0', "g"), "watari1-é-é"]
        {
            assert!(matches!(bad.parse::<Token>(), Err(Fault::TokenForm {})), "{bad}");
        }
    }
}
