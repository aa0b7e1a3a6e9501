//! One body, from the network to the disk: a piece is collected while the one before is written and digested, and while
//! what came before that goes through to the disk.

use axum::body::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::task::{JoinHandle, spawn_blocking};
use watari_model::Refusal;

use super::{
    Place,
    frames::{Frames, Part},
};
use crate::{
    admission,
    app::App,
    store::{Partial, StoreError},
    trickle::Window,
    uploads::{Session, Turn},
};

/// Bytes are collected to pieces of this size before they are written.
const PIECE: usize = 1 << 20;
/// So much is written before it is sent on to the disk, beside what goes on: the end has little left to wait for then.
const FLUSH: usize = 32 << 20;

/// Why a body was not taken to its end.
pub(super) enum Cut {
    /// Another sender has come.
    Overtaken,
    /// (Almost) nothing arrived for too long.
    Stalled,
    /// More came than was announced or may come at all.
    TooLong,
    /// The folder has no room for more of a file whose size nobody knows.
    NoRoom,
    /// Its user has as much under way as one may have.
    UserFull(Refusal),
    /// The client went away, or the process is to stop.
    Broken,
    /// Another front end leads now.
    Demoted,
    /// The file cannot be written.
    Store(StoreError),
}

/// What is added to the file next: zeros, and bytes after them.
#[derive(Default)]
struct Batch {
    zeros: u64,
    bytes: Vec<u8>,
}

/// What comes back when a batch was written: the file, its bytes' room for others, and how it went.
struct Written {
    partial: Partial,
    room: Vec<u8>,
    done: Result<(), StoreError>,
}

/// A body being taken. The file is away while it is being written.
pub(super) struct Taking<'a> {
    app: &'a App,
    session: &'a Session,
    partial: Option<Partial>,
    writing: Option<JoinHandle<Written>>,
    /// How long the file is, with what is being written.
    length: u64,
    pending: Batch,
    room: Vec<u8>,
    flushing: Option<JoinHandle<Result<(), StoreError>>>,
    unflushed: usize,
}

impl<'a> Taking<'a> {
    pub(super) fn new(app: &'a App, session: &'a Session, partial: Partial) -> Self {
        Self {
            app,
            session,
            length: partial.length(),
            partial: Some(partial),
            writing: None,
            pending: Batch { zeros: 0, bytes: Vec::with_capacity(PIECE) },
            room: Vec::new(),
            flushing: None,
            unflushed: 0,
        }
    }

    /// Takes what `place` says to skip, then the body to its end, or says what cut it. [`Taking::end`] writes what is
    /// left.
    pub(super) async fn all(
        &mut self,
        turn: &Turn,
        place: &Place,
        mut body: impl Stream<Item = Result<Bytes, axum::Error>> + Unpin,
    ) -> Result<(), Cut> {
        let limits = &self.app.settings.limits;
        let mut window = Window::default();
        let mut frames = place.framed.then(Frames::default);
        self.zeros(place.skip).await?;
        loop {
            let piece = tokio::select! {
                piece = tokio::time::timeout(limits.stall(), body.next()) => piece.map_err(|_| Cut::Stalled)?,
                () = turn.overtaken.cancelled() => return Err(Cut::Overtaken),
                () = self.app.ctx.shutdown.cancelled() => return Err(Cut::Broken),
            };
            if !self.app.is_primary() {
                return Err(Cut::Demoted);
            }
            let Some(piece) = piece else {
                // A frame that was begun says that there is more.
                return if frames.is_none_or(|frames| frames.is_whole()) { Ok(()) } else { Err(Cut::Broken) };
            };
            let mut piece = piece.map_err(|_| Cut::Broken)?;
            let before = self.arrived();
            match &mut frames {
                None => self.bytes(&piece).await?,
                Some(frames) => {
                    while let Some(part) = frames.next(&mut piece) {
                        // Many small frames come in one piece, and whoever waits for this one's turn waits for them.
                        if turn.overtaken.is_cancelled() {
                            return Err(Cut::Overtaken);
                        }
                        match part {
                            Part::Zeros(count) => self.zeros(count).await?,
                            Part::Bytes(bytes) => self.bytes(&bytes).await?,
                        }
                    }
                }
            }
            // Zeros that are told count as well: they may take us longer than their client.
            let more = usize::try_from(self.arrived() - before).unwrap_or(usize::MAX);
            if window.trickles(more, limits.stall(), limits.stall_kib << 10) {
                return Err(Cut::Stalled);
            }
        }
    }

    /// Adds bytes that have come.
    async fn bytes(&mut self, bytes: &Bytes) -> Result<(), Cut> {
        self.fits(bytes.len() as u64)?;
        self.app.metrics.received.inc_by(bytes.len() as u64);
        self.pending.bytes.extend_from_slice(bytes);
        self.hand_over_much().await
    }

    /// Makes a hole of so many bytes. A file is as long with a hole as with bytes, and bounded as it would be with them.
    async fn zeros(&mut self, count: u64) -> Result<(), Cut> {
        let end = self.fits(count)?;
        // Small bodies or frames, one after another, come to as much as a large one.
        self.may_go_on(end)?;
        if self.pending.bytes.is_empty() {
            self.pending.zeros += count;
            return Ok(());
        }
        match usize::try_from(count) {
            // No batch of its own for these: where they are whole blocks they become a hole all the same.
            Ok(few) if few < PIECE => {
                self.pending.bytes.resize(self.pending.bytes.len() + few, 0);
                self.hand_over_much().await
            }
            _ => {
                self.hand_over().await?;
                self.pending.zeros = count;
                Ok(())
            }
        }
    }

    /// How much will have arrived with so many more bytes, if there may be so many.
    fn fits(&self, more: u64) -> Result<u64, Cut> {
        let most = self.session.size_bytes.unwrap_or(self.app.settings.limits.max_image_bytes());
        self.arrived().checked_add(more).filter(|end| *end <= most).ok_or(Cut::TooLong)
    }

    /// How much has arrived. No more than [`Taking::fits`] has let in.
    fn arrived(&self) -> u64 {
        self.length + self.pending.zeros + self.pending.bytes.len() as u64
    }

    /// Whether a file whose size nobody announced may be so large, beside what else its user has under way and what is to
    /// stay free.
    fn may_go_on(&self, bytes: u64) -> Result<(), Cut> {
        if self.session.size_bytes.is_some() {
            return Ok(());
        }
        let reserve = self.app.settings.limits.reserve_mib << 20;
        if self.app.store.free_bytes().map_err(Cut::Store)? < reserve + PIECE as u64 {
            return Err(Cut::NoRoom);
        }
        admission::growing(self.app, &self.session.image, bytes).map_err(Cut::UserFull)
    }

    /// Hands what is pending over once it is worth it, if it may be kept.
    async fn hand_over_much(&mut self) -> Result<(), Cut> {
        if self.pending.bytes.len() < PIECE {
            return Ok(());
        }
        self.may_go_on(self.arrived())?;
        self.hand_over().await
    }

    /// Has what is pending written beside what goes on, once what was handed over before is written.
    async fn hand_over(&mut self) -> Result<(), Cut> {
        self.written().await?;
        self.flush().await?;
        let mut partial = self.partial.take().ok_or(Cut::Broken)?;
        let next = Batch { zeros: 0, bytes: std::mem::take(&mut self.room) };
        let Batch { zeros, bytes: mut room } = std::mem::replace(&mut self.pending, next);
        self.length += zeros + room.len() as u64;
        self.unflushed += room.len();
        self.writing = Some(spawn_blocking(move || {
            let done = partial.skip_to(partial.length() + zeros).and_then(|()| partial.append(&room));
            room.clear();
            Written { partial, room, done }
        }));
        Ok(())
    }

    /// Waits until what was handed over is written. If it cannot be, nothing may be written after it.
    async fn written(&mut self) -> Result<(), Cut> {
        let Some(writing) = self.writing.take() else { return Ok(()) };
        let written = writing.await.map_err(|_| Cut::Broken)?;
        self.length = written.partial.length();
        self.partial = Some(written.partial);
        self.room = written.room;
        written.done.map_err(|error| {
            self.pending = Batch::default();
            Cut::Store(error)
        })
    }

    /// Begins to send on to the disk what is written, if that is much and none of it is on its way.
    async fn flush(&mut self) -> Result<(), Cut> {
        if self.unflushed < FLUSH || self.flushing.as_ref().is_some_and(|flushing| !flushing.is_finished()) {
            return Ok(());
        }
        self.flushed().await?;
        self.unflushed = 0;
        self.flushing = self.partial.as_ref().map(|partial| spawn_blocking(partial.flush()));
        Ok(())
    }

    /// Waits until what was sent on is on the disk. The system says only once that it could not be.
    async fn flushed(&mut self) -> Result<(), Cut> {
        match self.flushing.take() {
            Some(flushing) => flushing.await.map_err(|_| Cut::Broken)?.map_err(Cut::Store),
            None => Ok(()),
        }
    }

    /// Writes all that has arrived, also what came before a cut.
    pub(super) async fn end(&mut self) -> Result<(), Cut> {
        let handed = self.hand_over().await;
        let written = self.written().await;
        handed.and(written).and(self.flushed().await)
    }

    /// The file, unless a task was lost that had it.
    pub(super) fn into_file(self) -> Option<Partial> {
        self.partial
    }
}
