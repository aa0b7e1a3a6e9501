//! Sending a file's bytes to the front end, resumed where it breaks.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use reqwest::Body;
use tokio::{
    io::{AsyncReadExt, AsyncSeekExt},
    sync::watch,
    time::{Instant, interval, sleep},
};
use watari_contracts::image::{ImageView, ImportImage, Ticket};

use super::{
    import::CHUNK,
    sender::{PATIENCE, PAUSE, Sender, Sent},
};
use crate::{
    Context,
    failure::Failure,
    progress::Progress,
    texts::{
        faults::Fault,
        words::{self, Word},
    },
};

/// An import under way.
pub(super) struct Upload<'a> {
    pub(super) ctx: &'a Context,
    pub(super) announcement: &'a ImportImage,
    pub(super) size: u64,
    pub(super) file: &'a Path,
}

impl Upload<'_> {
    /// Announces the file and sends it, resuming until all is there or nothing gets through.
    ///
    /// # Errors
    /// [`Failure`]: refused, or nothing gets through.
    pub(super) async fn send(&self, progress: &mut Progress) -> Result<ImageView, Failure> {
        let sender = Sender::new(self.ctx)?;
        let size = self.size;
        let (mut reached, mut since) = (0, Instant::now());
        loop {
            let ticket: Ticket = self.ctx.session.ask(self.announcement).await?;
            let Some(url) = &ticket.url else {
                progress.over(self.announcement.name.as_str());
                return match ticket.image.fault {
                    Some(fault) => Err(fault.into()),
                    None => Ok(ticket.image),
                };
            };
            if ticket.offset > reached {
                (reached, since) = (ticket.offset, Instant::now());
            }
            let again = match self.attempt(&sender, url, &ticket, progress).await? {
                Sent::All => {
                    progress.moving(self.announcement.name.as_str(), size, size, "");
                    String::new()
                }
                Sent::Again(said) if since.elapsed() > PATIENCE => {
                    return Err(Fault::UploadBroken { detail: said }.into());
                }
                Sent::Again(said) => said,
            };
            if !again.is_empty() {
                progress.line(&format!("{}: {again}", Word::Resuming.text(self.ctx.out.lang)));
                sleep(PAUSE).await;
            }
        }
    }

    async fn attempt(
        &self,
        sender: &Sender,
        url: &str,
        ticket: &Ticket,
        progress: &mut Progress,
    ) -> Result<Sent, Failure> {
        let size = self.size;
        let (sent, mut seen) = watch::channel(ticket.offset);
        let body = self.body(ticket.offset, sent).await?;
        let length = size.saturating_sub(ticket.offset);
        let request = sender.put(format!("{url}?offset={}", ticket.offset), &ticket.token, length, body);
        tokio::pin!(request);
        let mut tick = interval(Duration::from_millis(200));
        let began = Instant::now();
        loop {
            tokio::select! {
                sent = &mut request => return sent,
                _ = tick.tick() => {
                    let at = *seen.borrow_and_update();
                    self.show(progress, ticket.offset, at, began);
                }
            }
        }
    }

    fn show(&self, progress: &mut Progress, from: u64, at: u64, began: Instant) {
        let size = self.size;
        let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = (at - from).saturating_mul(1000) / millis;
        let left_ms = (size - at).saturating_mul(1000).checked_div(rate);
        progress.moving(self.announcement.name.as_str(), at, size, &words::pace(self.ctx.out.lang, rate, left_ms));
    }

    /// The file's bytes from `offset` on; `sent` says how far they have been handed over.
    async fn body(&self, offset: u64, sent: watch::Sender<u64>) -> Result<Body, Failure> {
        let unusable =
            |e: std::io::Error| Fault::UploadFile { path: self.file.display().to_string(), detail: e.to_string() };
        let mut file = tokio::fs::File::open(self.file).await.map_err(unusable)?;
        file.seek(std::io::SeekFrom::Start(offset)).await.map_err(unusable)?;
        let left = self.size.saturating_sub(offset);
        let bytes = stream::try_unfold((file, sent, left), |(mut file, sent, left)| async move {
            if left == 0 {
                return Ok::<_, std::io::Error>(None);
            }
            let want = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            let mut chunk = vec![0; want];
            let n = file.read(&mut chunk).await?;
            if n == 0 {
                return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the file became shorter"));
            }
            chunk.truncate(n);
            sent.send_modify(|at| *at += n as u64);
            Ok(Some((Bytes::from(chunk), (file, sent, left - n as u64))))
        });
        Ok(Body::wrap_stream(bytes))
    }
}
