//! Sending what comes through standard input. Its size is known only at its end, and it cannot be
//! read twice: each piece is kept until the front end has it.

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    time::{Instant, sleep},
};
use watari_contracts::image::{ImageView, ImportImage, Ticket};

use super::sender::{PATIENCE, PAUSE, Sender, Sent};
use crate::{
    Context,
    failure::Failure,
    progress::Progress,
    texts::{
        faults::Fault,
        words::{self, Word},
    },
};

/// As much as is kept and sent at a time.
const PIECE: usize = 8 << 20;

/// An import under way.
pub(super) struct Pipe<'a> {
    pub(super) ctx: &'a Context,
    pub(super) announcement: &'a ImportImage,
}

/// A stretch of the input.
struct Piece {
    offset: u64,
    bytes: Bytes,
    last: bool,
}

impl Pipe<'_> {
    /// Announces the image and sends all of the input.
    ///
    /// # Errors
    /// [`Failure`]: refused, nothing gets through, or there is nothing.
    pub(super) async fn send(
        &self,
        mut input: impl AsyncRead + Unpin,
        progress: &mut Progress,
    ) -> Result<ImageView, Failure> {
        let unusable = |detail: String| Fault::UploadFile { path: "-".to_owned(), detail };
        let sender = Sender::new(self.ctx)?;
        let mut ticket: Option<Ticket> = None;
        let (mut offset, began) = (0, Instant::now());
        loop {
            let mut bytes = Vec::with_capacity(PIECE);
            (&mut input).take(PIECE as u64).read_to_end(&mut bytes).await.map_err(|e| unusable(e.to_string()))?;
            let piece = Piece { offset, last: bytes.len() < PIECE, bytes: bytes.into() };
            if offset == 0 && piece.bytes.is_empty() {
                return Err(unusable("nothing comes through standard input".to_owned()).into());
            }
            if let Some(ended) = self.deliver(&sender, &mut ticket, &piece, progress).await? {
                progress.over(self.announcement.name.as_str());
                return Ok(ended);
            }
            offset += piece.bytes.len() as u64;
            let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
            let rate = offset.saturating_mul(1000) / millis;
            let name = self.announcement.name.as_str();
            progress.flowing(name, offset, &words::pace(self.ctx.out.lang, rate, None));
        }
    }

    /// Sends one piece until the front end has it; gives the image once all has arrived.
    async fn deliver(
        &self,
        sender: &Sender,
        ticket: &mut Option<Ticket>,
        piece: &Piece,
        progress: &mut Progress,
    ) -> Result<Option<ImageView>, Failure> {
        let end = piece.offset + piece.bytes.len() as u64;
        let since = Instant::now();
        loop {
            let known = match ticket.take() {
                Some(known) => known,
                None => self.ctx.session.ask(self.announcement).await?,
            };
            let Some(url) = &known.url else {
                return match known.image.fault {
                    Some(fault) => Err(fault.into()),
                    None => Ok(Some(known.image)),
                };
            };
            if known.offset < piece.offset {
                let detail = "the front end has lost what had arrived, and a pipe cannot be read twice".to_owned();
                return Err(Fault::UploadBroken { detail }.into());
            }
            if known.offset >= end && !piece.last {
                *ticket = Some(known);
                return Ok(None);
            }
            let begin = usize::try_from(known.offset - piece.offset).unwrap_or(usize::MAX).min(piece.bytes.len());
            let body = piece.bytes.slice(begin..);
            let place = format!("{url}?offset={}&last={}", known.offset, piece.last);
            match sender.put(place, &known.token, body.len() as u64, body.into()).await? {
                // The next turn learns from a fresh ticket that the import goes on at the front end.
                Sent::Taken(_) if piece.last => {}
                Sent::Taken(_) => {
                    *ticket = Some(Ticket { offset: end, ..known });
                    return Ok(None);
                }
                Sent::Again(said) if since.elapsed() > PATIENCE => {
                    return Err(Fault::UploadBroken { detail: said }.into());
                }
                Sent::Again(said) => {
                    progress.line(&format!("{}: {said}", Word::Resuming.text(self.ctx.out.lang)));
                    sleep(PAUSE).await;
                }
            }
        }
    }
}
