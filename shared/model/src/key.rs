//! Public SSH keys, given to servers by name.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use ssh_key::{Algorithm, EcdsaCurve, HashAlg, PublicKey, public::KeyData};

use crate::{Document, KeyName, Refusal, Said, Timestamp, said};

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
    #[error("{}", .0.en)]
    Other(Said),
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
            let bytes = text.len();
            return other(said!(
                "it has {bytes} bytes, more than {MAX_LINE}",
                "{bytes} バイトあり、上限の {MAX_LINE} バイトを超えています"
            ));
        }
        if text.contains("PRIVATE KEY") || text.contains("PuTTY-User-Key-File") {
            return Err(NotAKey::Private);
        }
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let (Some(line), None) = (lines.next(), lines.next()) else {
            let lines = text.lines().filter(|l| !l.trim().is_empty()).count();
            return other(said!("it has {lines} lines of text, not one", "1 行であるべきところ {lines} 行あります"));
        };
        let key = PublicKey::from_openssh(line).map_err(|error| NotAKey::Other(form(line, &error)))?;
        strong(key.key_data())?;
        let comment = comment(key.comment())?;
        let bare = PublicKey::new(key.key_data().clone(), comment);
        bare.to_openssh().map(Self).map_err(|error| NotAKey::Other(Said::both(error.to_string())))
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

fn other<T>(detail: Said) -> Result<T, NotAKey> {
    Err(NotAKey::Other(detail))
}

/// What is wrong with a line, in words that help whoever pasted it.
fn form(line: &str, error: &ssh_key::Error) -> Said {
    let first = line.split_whitespace().next().unwrap_or_default();
    let known = |word: &str| word.starts_with("ssh-") || word.starts_with("ecdsa-") || word.starts_with("sk-");
    if known(first) {
        let first: String = first.chars().take(40).collect();
        return said!("its {first} part is damaged ({error})", "{first} の部分が壊れています ({error})");
    }
    if line.split_whitespace().any(known) {
        return Said::new(
            "it begins with options, which are not taken",
            "先頭にオプションがあります。オプションは受け付けません",
        );
    }
    Said::new(
        "it does not begin with an algorithm such as ssh-ed25519",
        "ssh-ed25519 のようなアルゴリズム名で始まっていません",
    )
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
                _ => other(said!(
                    "it is an RSA key of {bits} bits; {LEAST_RSA_BITS} to {MOST_RSA_BITS} are taken",
                    "{bits} ビットの RSA 鍵です。受け付けるのは {LEAST_RSA_BITS}～{MOST_RSA_BITS} ビットです"
                )),
            }
        }
        weak => {
            let weak = name(&weak.algorithm());
            other(said!("{weak} keys are not taken", "{weak} の鍵は受け付けません"))
        }
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
        return other(said!(
            "its comment is longer than {MAX_COMMENT} characters",
            "コメントが {MAX_COMMENT} 文字を超えています"
        ));
    }
    match text.chars().find(|c| c.is_control() || matches!(c, '"' | '\'' | '`' | '\\')) {
        Some(found) => other(said!("its comment holds {found:?}", "コメントに {found:?} が含まれています")),
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests;
