//! What is said of an image by who brought it; nothing of it is found out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Firmware;
use crate::{
    Refusal, Said, said,
    vm::{DISK_GIB, MEMORY_MIB},
};

/// The longest description, in bytes.
const MOST_DESCRIPTION: usize = 512;
/// The longest of the other texts, in bytes.
const MOST_TEXT: usize = 64;

/// What people should know of an image, and what servers must have that are made from it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// The operating system in it, as in `Debian 13`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// Which edition of it this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// As whom one logs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_user: Option<String>,
    /// A server has at least so much memory, in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_memory_mib: Option<u64>,
    /// A server's disk has at least this size, in GiB, if that of the image itself is not enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_disk_gib: Option<u64>,
    /// By what it boots.
    #[serde(default, skip_serializing_if = "Firmware::is_usual")]
    pub firmware: Firmware,
}

impl About {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Checks that it can be kept and shown.
    ///
    /// # Errors
    /// [`Refusal::OutOfRange`] naming the field.
    pub fn check(&self) -> Result<(), Refusal> {
        let texts = [
            ("os", &self.os, MOST_TEXT),
            ("version", &self.version, MOST_TEXT),
            ("description", &self.description, MOST_DESCRIPTION),
            ("default_user", &self.default_user, MOST_TEXT),
        ];
        for (field, text, most) in texts {
            let Some(text) = text else { continue };
            if text.is_empty() || text.len() > most || text.chars().any(char::is_control) {
                let value = text.chars().filter(|c| !c.is_control()).take(80).collect();
                let allowed = said!("1 to {most} bytes of text in one line", "1～{most} バイトの 1 行の文字列");
                return Err(Refusal::OutOfRange { field: field.to_owned(), value, allowed });
            }
        }
        let sizes = [
            ("min_memory_mib", self.min_memory_mib, MEMORY_MIB, "MiB"),
            ("min_disk_gib", self.min_disk_gib, DISK_GIB, "GiB"),
        ];
        for (field, size, range, unit) in sizes {
            let Some(size) = size.filter(|size| !range.contains(size)) else { continue };
            let allowed = Said::between(range.start(), format!("{} {unit}", range.end()));
            return Err(Refusal::OutOfRange { field: field.to_owned(), value: size.to_string(), allowed });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_an_image_fits_on_a_line_and_asks_for_no_more_than_there_can_be() {
        let text = |text: &str| Some(text.to_owned());
        let said = About { os: text("Debian 13"), min_memory_mib: Some(512), ..About::default() };
        assert_eq!((said.check(), said.is_empty(), About::default().is_empty()), (Ok(()), false, true));
        let json = |about: &About| serde_json::to_value(about).unwrap();
        let uefi = About { firmware: Firmware::Uefi, ..About::default() };
        assert_eq!((uefi.check(), uefi.is_empty()), (Ok(()), false));
        assert_eq!(json(&uefi), serde_json::json!({"firmware": "uefi"}));
        assert_eq!(json(&About::default()), serde_json::json!({}), "as earlier versions wrote it");
        for wrong in [
            About { os: text(""), ..About::default() },
            About { description: text("two\nlines"), ..About::default() },
            About { default_user: text(&"x".repeat(65)), ..About::default() },
            About { min_memory_mib: Some(1), ..About::default() },
            About { min_disk_gib: Some(u64::MAX), ..About::default() },
        ] {
            assert!(matches!(wrong.check(), Err(Refusal::OutOfRange { .. })), "{wrong:?}");
        }
    }
}
