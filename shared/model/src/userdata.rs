//! User-data: what a server's operator hands to cloud-init. It may hold passwords, so that it lies
//! in a bucket of its own, of which nothing is told and which no person reads.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Document, Refusal, Said, Timestamp, VmName, said};

/// The most that is kept, in bytes: what other clouds take as well.
pub const MAX_BYTES: usize = 64 << 10;

/// A server's user-data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserData {
    /// The document's version.
    pub v: u32,
    /// The server.
    pub vm: VmName,
    /// Its UUID, the document's key: a new server of an old name has other user-data.
    pub vm_uuid: String,
    /// The text.
    pub text: Text,
    /// When it was stored.
    pub created_at: Timestamp,
}

impl Document for UserData {
    const BUCKET: &'static str = "userdata";
    const PRIVATE: bool = true;
    fn key(&self) -> String {
        self.vm_uuid.clone()
    }
}

/// A text that may hold passwords: it is written into documents and messages, never into a log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Text(pub String);

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<{} bytes>", self.0.len())
    }
}

/// What everybody may know of user-data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Digest {
    /// Its length in bytes.
    pub bytes: u64,
    /// Its SHA-256, 64 hexadecimal digits.
    pub sha256: String,
}

/// How a text begins that cloud-init knows; beside these, multipart messages.
const KNOWN: [&str; 6] = ["#cloud-config", "#!", "#include", "#cloud-boothook", "## template:", "#part-handler"];

/// Checks that cloud-init will know what to do with it: it looks at the first line only, and passes
/// over in silence what it does not know.
///
/// # Errors
/// [`Refusal::UserDataRefused`].
pub fn check(text: &str) -> Result<(), Refusal> {
    let refuse = |detail: Said| Err(Refusal::UserDataRefused { detail });
    if text.len() > MAX_BYTES {
        let bytes = text.len();
        return refuse(said!(
            "it has {bytes} bytes, more than {MAX_BYTES}",
            "{bytes} バイトあり、上限の {MAX_BYTES} バイトを超えています"
        ));
    }
    if text.contains('\0') {
        return refuse(Said::new("it holds a zero byte", "値が 0 のバイト (NUL) が含まれています"));
    }
    let first = text.lines().next().unwrap_or_default();
    let mail = ["content-type: multipart/", "mime-version:"];
    let multipart = mail.iter().any(|head| first.to_ascii_lowercase().starts_with(head));
    if KNOWN.iter().any(|head| first.starts_with(head)) || multipart {
        return Ok(());
    }
    let first: String = first.chars().take(40).collect();
    refuse(said!(
        "cloud-init would pass over it, since its first line is {first:?}",
        "1 行目が {first:?} のため、cloud-init に無視されます"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cloud_init_knows_is_taken_and_what_it_would_pass_over_is_refused() {
        for good in [
            "#cloud-config\npackages: [vim]\n",
            "#!/bin/sh\necho hello\n",
            "Content-Type: multipart/mixed; boundary=\"=\"\nMIME-Version: 1.0\n\n",
            "MIME-Version: 1.0\n",
            "## template: jinja\n#cloud-config\n",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let long = format!("#!/bin/sh\n{}", "#".repeat(MAX_BYTES));
        for bad in ["", "packages: [vim]\n", "\n#cloud-config\n", "#!/bin/sh\n\0", &long] {
            assert!(
                matches!(check(bad), Err(Refusal::UserDataRefused { .. })),
                "{}",
                bad.chars().take(20).collect::<String>()
            );
        }
    }

    #[test]
    fn user_data_is_not_written_into_logs() {
        let data = UserData {
            v: 1,
            vm: "mail".parse().unwrap(),
            vm_uuid: "u".to_owned(),
            text: Text("#cloud-config\npassword: geheim\n".to_owned()),
            created_at: Timestamp(time::OffsetDateTime::UNIX_EPOCH),
        };
        assert!(!format!("{data:?}").contains("geheim"));
    }
}
