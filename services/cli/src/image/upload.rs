//! Sending a file to the front end, resumed where it breaks. Its holes are told, not sent: a disk is mostly holes.

use std::{fs::File, io, path::Path, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, interval, sleep},
};
use watari_chassis::sparse::{Extent, extents};
use watari_contracts::image::{ImageView, ImportImage, Ticket};

use super::{
    pieces::{Far, Piece, Stretch, body, framed},
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
        let data = extents(&self.open()?, size).map_err(|e| self.unusable(&e))?;
        let (mut reached, mut since, mut broke) = (0, Instant::now(), None);
        loop {
            let ticket: Ticket = self.ctx.session.ask(self.announcement).await?;
            let Some(url) = &ticket.url else {
                progress.over(self.announcement.name.as_str());
                return match ticket.image.fault {
                    Some(fault) => Err(fault.into()),
                    None => Ok(ticket.image),
                };
            };
            // What got through before it broke is known now.
            if ticket.offset > reached {
                (reached, since) = (ticket.offset, Instant::now());
            } else if since.elapsed() > PATIENCE
                && let Some(detail) = broke
            {
                return Err(Fault::UploadBroken { detail }.into());
            }
            broke = match self.attempt(&sender, url, &ticket, &data, progress).await? {
                Sent::Taken(_) => {
                    progress.moving(self.announcement.name.as_str(), size, size, "");
                    None
                }
                Sent::Again(said) => {
                    progress.line(&format!("{}: {said}", Word::Resuming.text(self.ctx.out.lang)));
                    sleep(PAUSE).await;
                    Some(said)
                }
            };
        }
    }

    /// Sends what is missing, and shows how far that is meanwhile.
    async fn attempt(
        &self,
        sender: &Sender,
        url: &str,
        ticket: &Ticket,
        data: &[Extent],
        progress: &mut Progress,
    ) -> Result<Sent, Failure> {
        let (far, seen) = watch::channel(Far { at: ticket.offset, sent: 0 });
        let sending = self.pieces(sender, url, ticket, data, far);
        tokio::pin!(sending);
        let mut tick = interval(Duration::from_millis(200));
        let began = Instant::now();
        loop {
            tokio::select! {
                sent = &mut sending => return sent,
                _ = tick.tick() => {
                    let far = *seen.borrow();
                    self.show(progress, data, far, began);
                }
            }
        }
    }

    /// Sends all that is missing in one request, where frames are understood.
    async fn pieces(
        &self,
        sender: &Sender,
        url: &str,
        ticket: &Ticket,
        data: &[Extent],
        far: watch::Sender<Far>,
    ) -> Result<Sent, Failure> {
        if !ticket.framed {
            return self.piecemeal(sender, url, ticket, data, far).await;
        }
        let stretches = framed(data, ticket.offset, self.size);
        let length: u64 = stretches.iter().map(Stretch::size).sum();
        let place = format!("{url}?offset={}&framed=true", ticket.offset);
        sender.put(place, &ticket.token, length, body(self.open()?, stretches, far)).await
    }

    /// Sends piece after piece until the front end has all of the file, or something is in the way.
    ///
    /// The first skip goes without bytes after it: a front end of before there were skips takes no notice of one, and
    /// would put them in its place. Such a one is sent every byte.
    async fn piecemeal(
        &self,
        sender: &Sender,
        url: &str,
        ticket: &Ticket,
        data: &[Extent],
        far: watch::Sender<Far>,
    ) -> Result<Sent, Failure> {
        let whole = [Extent { offset: 0, length: self.size }];
        let (mut data, mut skips_known, mut at) = (data, false, ticket.offset);
        loop {
            let Piece { skip, length } = Piece::at(data, at, self.size);
            let length = if skip == 0 || skips_known { length } else { 0 };
            let stretch = Stretch::plain(at + skip, length);
            let place = format!("{url}?offset={at}&skip={skip}");
            let sent = sender.put(place, &ticket.token, length, body(self.open()?, vec![stretch], far.clone())).await?;
            let Sent::Taken(arrived) = sent else { return Ok(sent) };
            if skip > 0 && arrived < at + skip {
                data = &whole;
                continue;
            }
            skips_known |= skip > 0;
            at += skip + length;
            far.send_modify(|far| far.at = at);
            if at >= self.size {
                return Ok(sent);
            }
        }
    }

    fn open(&self) -> Result<File, Fault> {
        File::open(self.file).map_err(|e| self.unusable(&e))
    }

    fn show(&self, progress: &mut Progress, data: &[Extent], far: Far, began: Instant) {
        let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = far.sent.saturating_mul(1000) / millis;
        // Holes take no time.
        let left: u64 = data.iter().map(|extent| extent.end().saturating_sub(extent.offset.max(far.at))).sum();
        let left_ms = left.saturating_mul(1000).checked_div(rate);
        let name = self.announcement.name.as_str();
        progress.moving(name, far.at, self.size, &words::pace(self.ctx.out.lang, rate, left_ms));
    }

    fn unusable(&self, error: &io::Error) -> Fault {
        Fault::UploadFile { path: self.file.display().to_string(), detail: error.to_string() }
    }
}
