//! Public SSH keys, given to servers by name.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use ssh_key::{Algorithm, EcdsaCurve, HashAlg, PublicKey, public::KeyData};

use crate::{Document, KeyName, Refusal, Timestamp};

/// The longest line that is read, in bytes: an RSA key of 16,384 bits has some 2,800.
pub const MAX_LINE: usize = 4 << 10;
/// The longest comment that is kept, in characters.
pub const MAX_COMMENT: usize = 128;
/// RSA keys shorter than this are refused, as OpenSSH's own servers do from 9.1 on at 1,024 and
/// NIST SP 800-131A does below 2,048 bits.
const LEAST_RSA_BITS: u32 = 2_048;
/// The longest RSA key, so that no login costs minutes.
const MOST_RSA_BITS: u32 = 16_384;

/// A key's document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Key {
    /// The document's version.
    pub v: u32,
    /// Its name.
    pub name: KeyName,
    /// The key itself.
    pub key: Line,
    /// The request that made it.
    pub request_id: String,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Document for Key {
    const BUCKET: &'static str = "keys";
    fn key(&self) -> String {
        self.name.to_string()
    }
}

/// A public key as one line of an `authorized_keys` file: algorithm, Base64 and a comment. It holds
/// no control characters, no quotes and no options, so that it can stand in any file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Line(String);

/// Why a text is no public key that is taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAKey {
    /// It is the half that must stay at home.
    #[error("it is a private key")]
    Private,
    /// Anything else, in words.
    #[error("{0}")]
    Other(String),
}

impl NotAKey {
    /// The same as a refusal of the key `name`.
    #[must_use]
    pub fn refusal(self, name: &KeyName) -> Refusal {
        let key = name.to_string();
        match self {
            Self::Private => Refusal::KeyPrivate { key },
            Self::Other(detail) => Refusal::KeyRefused { key, detail },
        }
    }
}

impl Line {
    /// Reads a public key in OpenSSH's form, with blank space around it; the comment is optional.
    ///
    /// # Errors
    /// [`NotAKey`]: no key, several, a private one, one with options, one of an algorithm that is
    /// broken or unknown, or one that is too short.
    pub fn parse(text: &str) -> Result<Self, NotAKey> {
        if text.len() > MAX_LINE {
            return other(format!("it has {} bytes, more than {MAX_LINE}", text.len()));
        }
        if text.contains("PRIVATE KEY") || text.contains("PuTTY-User-Key-File") {
            return Err(NotAKey::Private);
        }
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let (Some(line), None) = (lines.next(), lines.next()) else {
            return other(format!(
                "it has {} lines of text, not one",
                text.lines().filter(|l| !l.trim().is_empty()).count()
            ));
        };
        let key = PublicKey::from_openssh(line).map_err(|error| NotAKey::Other(form(line, &error)))?;
        strong(key.key_data())?;
        let comment = comment(key.comment())?;
        let bare = PublicKey::new(key.key_data().clone(), comment);
        bare.to_openssh().map(Self).map_err(|error| NotAKey::Other(error.to_string()))
    }

    /// The line.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The algorithm, such as `ssh-ed25519`.
    #[must_use]
    pub fn algorithm(&self) -> &str {
        self.0.split(' ').next().unwrap_or_default()
    }

    /// The comment, empty if there is none.
    #[must_use]
    pub fn comment(&self) -> &str {
        self.0.splitn(3, ' ').nth(2).unwrap_or_default()
    }

    /// `SHA256:…`, as `ssh-keygen -l` shows it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let read = PublicKey::from_openssh(&self.0);
        read.map(|key| key.fingerprint(HashAlg::Sha256).to_string()).unwrap_or_default()
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for Line {
    type Error = NotAKey;
    fn try_from(text: String) -> Result<Self, NotAKey> {
        Self::parse(&text)
    }
}

impl From<Line> for String {
    fn from(line: Line) -> Self {
        line.0
    }
}

impl JsonSchema for Line {
    fn schema_name() -> Cow<'static, str> {
        "PublicKeyLine".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": MAX_LINE })
    }
}

fn other<T>(detail: String) -> Result<T, NotAKey> {
    Err(NotAKey::Other(detail))
}

/// What is wrong with a line, in words that help whoever pasted it.
fn form(line: &str, error: &ssh_key::Error) -> String {
    let first = line.split_whitespace().next().unwrap_or_default();
    let known = |word: &str| word.starts_with("ssh-") || word.starts_with("ecdsa-") || word.starts_with("sk-");
    if known(first) {
        return format!("its {} part is damaged ({error})", first.chars().take(40).collect::<String>());
    }
    if line.split_whitespace().any(known) {
        return "it begins with options, which are not taken".to_owned();
    }
    "it does not begin with an algorithm such as ssh-ed25519".to_owned()
}

fn strong(key: &KeyData) -> Result<(), NotAKey> {
    match key {
        KeyData::Ed25519(_) | KeyData::SkEd25519(_) | KeyData::SkEcdsaSha2NistP256(_) => Ok(()),
        KeyData::Ecdsa(key) => match key.curve() {
            EcdsaCurve::NistP256 | EcdsaCurve::NistP384 | EcdsaCurve::NistP521 => Ok(()),
        },
        KeyData::Rsa(key) => {
            let bits = bits(key.n.as_positive_bytes().unwrap_or_default());
            match bits {
                LEAST_RSA_BITS..=MOST_RSA_BITS => Ok(()),
                _ => other(format!("it is an RSA key of {bits} bits; {LEAST_RSA_BITS} to {MOST_RSA_BITS} are taken")),
            }
        }
        weak => other(format!("{} keys are not taken", name(&weak.algorithm()))),
    }
}

fn name(algorithm: &Algorithm) -> String {
    algorithm.as_str().chars().take(40).collect()
}

/// The bits of a positive number, its highest byte first.
fn bits(number: &[u8]) -> u32 {
    let Some(first) = number.first() else { return 0 };
    let whole = u32::try_from(number.len()).unwrap_or(u32::MAX);
    whole.saturating_mul(8).saturating_sub(first.leading_zeros())
}

/// A comment is text for people: what could end a line or a quotation elsewhere is refused.
fn comment(text: &str) -> Result<&str, NotAKey> {
    let text = text.trim();
    if text.chars().count() > MAX_COMMENT {
        return other(format!("its comment is longer than {MAX_COMMENT} characters"));
    }
    match text.chars().find(|c| c.is_control() || matches!(c, '"' | '\'' | '`' | '\\')) {
        Some(found) => other(format!("its comment holds {found:?}")),
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests;
