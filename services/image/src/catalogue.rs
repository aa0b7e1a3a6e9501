//! Changing images' documents: read, decide, compare-and-set, and again if somebody was faster.

use watari_chassis::{ReadError, WriteError};
use watari_model::{ImageName, Refusal, image::Image};

use crate::app::App;

/// Whether a decision changed the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It did.
    Write,
    /// It is as it should be.
    Leave,
}

/// Tries before giving up. The writer is one process, so that two are rare already.
const TRIES: u32 = 8;

impl App {
    /// Lets `decide` change the image's document, as often as others write in between.
    ///
    /// # Errors
    /// What `decide` refuses; [`Refusal::ImageUnknown`]; [`Refusal::NoAnswer`] if NATS does not
    /// acknowledge, in which case it is not known whether it was written.
    pub async fn change(
        &self,
        name: &ImageName,
        mut decide: impl FnMut(&mut Image) -> Result<Step, Refusal>,
    ) -> Result<Image, Refusal> {
        let unknown = || Refusal::ImageUnknown { image: name.to_string() };
        let mut entry = self.images.get(name.as_str()).map(|e| (*e).clone()).ok_or_else(unknown)?;
        for _ in 0..TRIES {
            let mut image = entry.value.clone();
            if decide(&mut image)? == Step::Leave {
                return Ok(image);
            }
            match self.images.update(&image, entry.revision).await {
                Ok(_) => return Ok(image),
                Err(WriteError::Conflict { .. } | WriteError::Exists { .. }) => {
                    entry = self.images.bucket().get(name.as_str()).await.map_err(unread)?.ok_or_else(unknown)?;
                }
                Err(error @ WriteError::Bus { .. }) => return Err(unacknowledged(&error)),
            }
        }
        Err(Refusal::Internal { detail: format!("image {name} is being written by others all the time") })
    }
}

/// A bucket that cannot be read.
pub(crate) fn unread(error: ReadError) -> Refusal {
    tracing::warn!(%error, "a document cannot be read");
    match error {
        ReadError::Bus { .. } => Refusal::NoAnswer { who: "nats".to_owned() },
        ReadError::Unreadable(unreadable) => Refusal::Internal { detail: unreadable.to_string() },
    }
}

/// A write without an acknowledgement.
pub(crate) fn unacknowledged(error: &WriteError) -> Refusal {
    tracing::warn!(%error, "a document may not have been written");
    Refusal::NoAnswer { who: "nats".to_owned() }
}
