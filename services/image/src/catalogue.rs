//! Changing images' documents: read, decide, compare-and-set, and again if somebody was faster.

use watari_chassis::{Entry, ReadError, Revision, WriteError};
use watari_contracts::Service;
use watari_model::{
    ImageName, Refusal,
    image::{Image, State},
};

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
    /// What `decide` refuses; [`Refusal::ImageUnknown`]; [`Refusal::NotPrimary`] if another leads by now;
    /// [`Refusal::NoAnswer`] if NATS does not acknowledge, in which case it is not known whether it was written.
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
                Err(error @ (WriteError::NotLeading { .. } | WriteError::Bus { .. })) => {
                    return Err(unwritten(&error));
                }
            }
        }
        Err(Refusal::Internal { detail: format!("image {name} is being written by others all the time") })
    }

    /// Makes a new image's document, in place of one that `failed`.
    ///
    /// # Errors
    /// [`Refusal::ImageExists`] if somebody was faster; [`Refusal::NotPrimary`]; [`Refusal::NoAnswer`] if NATS does not
    /// acknowledge.
    pub async fn announce(&self, image: Image, failed: Option<Revision>) -> Result<Image, Refusal> {
        let written = match failed {
            Some(revision) => self.images.update(&image, revision).await,
            None => self.images.create(&image).await,
        };
        match written {
            Ok(_) => Ok(image),
            Err(error @ (WriteError::NotLeading { .. } | WriteError::Bus { .. })) => Err(unwritten(&error)),
            Err(WriteError::Conflict { .. } | WriteError::Exists { .. }) => {
                Err(Refusal::ImageExists { image: image.name.to_string() })
            }
        }
    }
}

/// Whether a name is to be had: nobody has it, or one that failed, which leaves it to the next. Gives the
/// revision of the latter.
///
/// # Errors
/// [`Refusal::ImageExists`].
pub(crate) fn vacant(known: Option<Entry<Image>>) -> Result<Option<Revision>, Refusal> {
    match known {
        Some(entry) if entry.value.state != State::Failed => {
            Err(Refusal::ImageExists { image: entry.value.name.to_string() })
        }
        known => Ok(known.map(|entry| entry.revision)),
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

/// A write that was not sent, since another leads, or that was not acknowledged.
pub(crate) fn unwritten(error: &WriteError) -> Refusal {
    tracing::warn!(%error, "a document may not have been written");
    error.refusal(Service::Image, "nats")
}
