//! One body, from the network to the disk.

use axum::body::Bytes;
use futures_util::{Stream, StreamExt};
use watari_model::Refusal;

use crate::{
    admission,
    app::App,
    store::{Partial, StoreError},
    trickle::Window,
    uploads::{Session, Turn},
};

/// Bytes are collected to pieces of this size before they are written.
const PIECE: usize = 1 << 20;

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

/// A body being taken. The file is away while it is being written.
pub(super) struct Taking<'a> {
    app: &'a App,
    session: &'a Session,
    pub(super) partial: Option<Partial>,
    pending: Vec<u8>,
}

impl<'a> Taking<'a> {
    pub(super) fn new(app: &'a App, session: &'a Session, partial: Partial) -> Self {
        Self { app, session, partial: Some(partial), pending: Vec::with_capacity(PIECE) }
    }

    /// Takes `skip` zeros that are not sent, then the body to its end, or says what cut it. [`Taking::write`] writes
    /// what is left.
    pub(super) async fn all(
        &mut self,
        turn: &Turn,
        skip: u64,
        mut body: impl Stream<Item = Result<Bytes, axum::Error>> + Unpin,
    ) -> Result<(), Cut> {
        let limits = &self.app.settings.limits;
        let mut window = Window::default();
        self.skip(skip).await?;
        loop {
            let piece = tokio::select! {
                piece = tokio::time::timeout(limits.stall(), body.next()) => piece.map_err(|_| Cut::Stalled)?,
                () = turn.overtaken.cancelled() => return Err(Cut::Overtaken),
                () = self.app.ctx.shutdown.cancelled() => return Err(Cut::Broken),
            };
            if !self.app.is_primary() {
                return Err(Cut::Demoted);
            }
            let Some(piece) = piece else { return Ok(()) };
            let piece = piece.map_err(|_| Cut::Broken)?;
            let arrived = self.fits(piece.len() as u64)?;
            if window.trickles(piece.len(), limits.stall(), limits.stall_kib << 10) {
                return Err(Cut::Stalled);
            }
            self.app.metrics.received.inc_by(piece.len() as u64);
            self.pending.extend_from_slice(&piece);
            if self.pending.len() >= PIECE {
                let free = self.app.store.free_bytes().map_err(Cut::Store)?;
                if self.session.size_bytes.is_none() && free < (limits.reserve_mib << 20) + PIECE as u64 {
                    return Err(Cut::NoRoom);
                }
                self.may_go_on(arrived)?;
                self.write().await?;
            }
        }
    }

    /// Makes a hole of so many bytes. A file is as long with a hole as with bytes, and bounded as it would be with them.
    async fn skip(&mut self, bytes: u64) -> Result<(), Cut> {
        let end = self.fits(bytes)?;
        // Small bodies, one after another, come to as much as a large one.
        self.may_go_on(end)?;
        self.change(move |partial| partial.skip_to(end)).await?.map_err(Cut::Store)
    }

    /// How much will have arrived with so many more bytes, if there may be so many.
    fn fits(&self, more: u64) -> Result<u64, Cut> {
        let arrived = self.partial.as_ref().map_or(0, Partial::length) + self.pending.len() as u64;
        let most = self.session.size_bytes.unwrap_or(self.app.settings.limits.max_image_bytes());
        arrived.checked_add(more).filter(|end| *end <= most).ok_or(Cut::TooLong)
    }

    /// Whether a file whose size nobody announced may be so large, beside what else its user has under way.
    fn may_go_on(&self, bytes: u64) -> Result<(), Cut> {
        match self.session.size_bytes {
            Some(_) => Ok(()),
            None => admission::growing(self.app, &self.session.image, bytes).map_err(Cut::UserFull),
        }
    }

    /// Writes what is pending.
    pub(super) async fn write(&mut self) -> Result<(), Cut> {
        let mut pending = std::mem::take(&mut self.pending);
        let written = self.change(move |partial| {
            let written = partial.append(&pending);
            pending.clear();
            (pending, written)
        });
        let (pending, written) = written.await?;
        self.pending = pending;
        written.map_err(Cut::Store)
    }

    /// Has the file changed beside the runtime.
    async fn change<T: Send + 'static>(
        &mut self,
        change: impl FnOnce(&mut Partial) -> T + Send + 'static,
    ) -> Result<T, Cut> {
        let mut partial = self.partial.take().ok_or(Cut::Broken)?;
        let changing = tokio::task::spawn_blocking(move || {
            let changed = change(&mut partial);
            (partial, changed)
        });
        let (partial, changed) = changing.await.map_err(|_| Cut::Broken)?;
        self.partial = Some(partial);
        Ok(changed)
    }
}
