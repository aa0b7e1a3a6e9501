//! Sending a file to the front end, resumed where it breaks. Its holes are told, not sent: a disk is mostly holes.

use std::{fs::File, io, path::Path, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use reqwest::Body;
use tokio::{
    io::{AsyncReadExt, AsyncSeekExt},
    sync::watch,
    time::{Instant, interval, sleep},
};
use watari_chassis::sparse::{Extent, MIN_HOLE, extents};
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

/// What one request tells of the file: zeros, and the bytes that follow them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    skip: u64,
    length: u64,
}

impl Piece {
    /// What follows `at` in a file of `size` bytes with these data.
    fn at(data: &[Extent], at: u64, size: u64) -> Self {
        let next = data.iter().find(|extent| extent.end() > at);
        let (begin, end) = next.map_or((size, size), |extent| (extent.offset.max(at), extent.end()));
        let skip = begin.saturating_sub(at);
        // What is left of a hole may be too short for a request.
        if skip < MIN_HOLE {
            Self { skip: 0, length: end.saturating_sub(at) }
        } else {
            Self { skip, length: end - begin }
        }
    }
}

/// How far an attempt is.
#[derive(Clone, Copy, Debug)]
struct Far {
    /// Up to here the file has been sent or skipped.
    at: u64,
    /// So much of it was sent.
    sent: u64,
}

impl Upload<'_> {
    /// Announces the file and sends it, resuming until all is there or nothing gets through.
    ///
    /// # Errors
    /// [`Failure`]: refused, or nothing gets through.
    pub(super) async fn send(&self, progress: &mut Progress) -> Result<ImageView, Failure> {
        let sender = Sender::new(self.ctx)?;
        let size = self.size;
        let data = File::open(self.file).and_then(|file| extents(&file, size)).map_err(|e| self.unusable(&e))?;
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

    /// Sends piece after piece until the front end has all of the file, or something is in the way.
    ///
    /// The first skip goes without bytes after it: a front end of before there were skips takes no notice of one, and
    /// would put them in its place. Such a one is sent every byte.
    async fn pieces(
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
            let body = self.body(at + skip, length, far.clone()).await?;
            let place = format!("{url}?offset={at}&skip={skip}");
            let sent = sender.put(place, &ticket.token, length, body).await?;
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

    /// So many of the file's bytes from `offset` on; `far` says how far they have been handed over.
    async fn body(&self, offset: u64, length: u64, far: watch::Sender<Far>) -> Result<Body, Failure> {
        if length == 0 {
            return Ok(Bytes::new().into());
        }
        far.send_modify(|far| far.at = offset);
        let mut file = tokio::fs::File::open(self.file).await.map_err(|e| self.unusable(&e))?;
        file.seek(io::SeekFrom::Start(offset)).await.map_err(|e| self.unusable(&e))?;
        let bytes = stream::try_unfold((file, far, length), |(mut file, far, left)| async move {
            if left == 0 {
                return Ok::<_, io::Error>(None);
            }
            let want = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            let mut chunk = vec![0; want];
            let n = file.read(&mut chunk).await?;
            if n == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter"));
            }
            chunk.truncate(n);
            far.send_modify(|far| {
                far.at += n as u64;
                far.sent += n as u64;
            });
            Ok(Some((Bytes::from(chunk), (file, far, left - n as u64))))
        });
        Ok(Body::wrap_stream(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_request_tells_of_a_hole_and_what_follows_it() {
        let extent = |offset: u64, length: u64| Extent { offset: offset * MIB, length: length * MIB };
        let data = [extent(2, 1), extent(5, 2)];
        let of = |at: u64| {
            let Piece { skip, length } = Piece::at(&data, at, 9 * MIB);
            (skip, length)
        };
        assert_eq!(of(0), (2 * MIB, MIB));
        assert_eq!(of(2 * MIB), (0, MIB));
        assert_eq!(of(3 * MIB - 1), (0, 1));
        assert_eq!(of(3 * MIB + 7), (2 * MIB - 7, 2 * MIB), "it may have broken within a hole");
        assert_eq!(of(4 * MIB + 1), (0, 3 * MIB - 1), "what is left of this one goes as bytes");
        assert_eq!(of(7 * MIB), (2 * MIB, 0));
        assert_eq!(of(9 * MIB - 1), (0, 1));
        assert_eq!(of(9 * MIB), (0, 0), "all has arrived, and nobody has said so");
        assert_eq!(Piece::at(&[], 0, MIB), Piece { skip: MIB, length: 0 });
        assert_eq!(Piece::at(&[], 0, MIB - 1), Piece { skip: 0, length: MIB - 1 });
    }
}
