//! What may be said of an image, when it is imported and later: `watari image edit`.

use clap::{ArgGroup, Args, ValueEnum};
use watari_contracts::image::EditImage;
use watari_model::{
    image::{self, About},
    size,
};

use crate::{Context, failure::Failure, input, out, texts::hints};

/// What is said of it.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Sayings {
    /// The operating system in it
    #[arg(long, value_name = "TEXT")]
    os: Option<String>,
    /// Which edition of it this is: `version` in JSON and in requests, since `--version` asks for that of the command
    #[arg(long, value_name = "TEXT")]
    edition: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// As whom one logs in to its servers
    #[arg(long, value_name = "NAME")]
    default_user: Option<String>,
    /// Memory that its servers have at least
    #[arg(long, value_name = "SIZE")]
    min_memory: Option<String>,
    /// Disk that its servers have at least, if its own size is not enough
    #[arg(long, value_name = "SIZE")]
    min_disk: Option<String>,
    /// By what its servers boot
    #[arg(long, value_enum, ignore_case = true)]
    firmware: Option<Firmware>,
}

/// By what an image's servers boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Firmware {
    /// QEMU's own BIOS, as without this option
    Bios,
    /// UEFI, without Secure Boot
    Uefi,
}

impl From<Firmware> for image::Firmware {
    fn from(firmware: Firmware) -> Self {
        match firmware {
            Firmware::Bios => Self::Bios,
            Firmware::Uefi => Self::Uefi,
        }
    }
}

impl Sayings {
    /// As the image service takes it.
    ///
    /// # Errors
    /// [`Failure::Mistyped`] naming the option.
    pub(super) fn about(&self) -> Result<About, Failure> {
        let Self { os, edition, description, default_user, min_memory, min_disk, firmware } = self.clone();
        let mib = |text: &String| size::parse_memory("--min-memory", text).map_err(Failure::mistyped);
        let gib = |text: &String| size::parse_disk("--min-disk", text).map_err(Failure::mistyped);
        let about = About {
            os,
            version: edition,
            description,
            default_user,
            min_memory_mib: min_memory.as_ref().map(mib).transpose()?,
            min_disk_gib: min_disk.as_ref().map(gib).transpose()?,
            firmware: firmware.map(Into::into).unwrap_or_default(),
        };
        about.check().map_err(Failure::mistyped)?;
        Ok(about)
    }
}

/// What to change.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  watari image edit debian --os 'Debian 13' --edition 20261201
  watari image edit rocky --firmware uefi")]
#[command(group(
    ArgGroup::new("said")
        .required(true)
        .multiple(true)
        .args(["os", "edition", "description", "default_user", "min_memory", "min_disk", "firmware"])
))]
pub struct Edit {
    /// The image
    name: String,
    #[command(flatten)]
    said: Sayings,
}

impl Edit {
    /// Asks for the change.
    pub(super) async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let About { os, version, description, default_user, min_memory_mib, min_disk_gib, .. } = self.said.about()?;
        let name = input::name(&self.name)?;
        let firmware: Option<image::Firmware> = self.said.firmware.map(Into::into);
        let warning = firmware.map(|firmware| hints::boots_by(ctx.out.lang, &self.name, firmware.word()));
        let request =
            EditImage { name, os, version, description, default_user, min_memory_mib, min_disk_gib, firmware };
        // All of it: a table's columns hold nothing of what is changed here.
        ctx.out.show(&ctx.session.ask(&request).await?)?;
        // Whether a disk boots that way nobody knows before it is tried.
        out::say(&warning.unwrap_or_default());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        said: Sayings,
    }

    fn about(words: &[&str]) -> Result<About, Failure> {
        Line::try_parse_from([&["import"][..], words].concat()).unwrap().said.about()
    }

    #[test]
    fn what_is_said_of_an_image_is_read_and_nonsense_is_refused() {
        assert_eq!(about(&[]).unwrap(), About::default());
        let said =
            about(&["--os", "Debian 13", "--edition", "20261101", "--min-memory", "512MiB", "--min-disk", "3GiB"]);
        let said = said.unwrap();
        assert_eq!((said.os.as_deref(), said.version.as_deref()), (Some("Debian 13"), Some("20261101")));
        assert_eq!((said.min_memory_mib, said.min_disk_gib), (Some(512), Some(3)));
        assert_eq!(about(&["--firmware", "uefi"]).unwrap().firmware, image::Firmware::Uefi);
        assert_eq!(about(&["--firmware", "bios"]).unwrap(), About::default());
        assert_eq!(about(&["--firmware", "UEFI"]).unwrap().firmware, image::Firmware::Uefi, "as it is mostly written");
        for words in [["--min-memory", "512"], ["--min-disk", "0GiB"], ["--os", ""]] {
            assert_eq!(about(&words).unwrap_err().exit(), crate::failure::USAGE, "{words:?}");
        }
    }
}
