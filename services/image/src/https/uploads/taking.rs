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

    /// Takes the body to its end, or says what cut it. [`Taking::write`] writes what is left.
    pub(super) async fn all(
        &mut self,
        turn: &Turn,
        mut body: impl Stream<Item = Result<Bytes, axum::Error>> + Unpin,
    ) -> Result<(), Cut> {
        let limits = &self.app.settings.limits;
        let mut window = Window::default();
        // Small bodies, one after another, come to as much as a large one.
        self.may_go_on(self.partial.as_ref().map_or(0, Partial::length))?;
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
            let arrived = self.partial.as_ref().map_or(0, Partial::length) + self.pending.len() as u64;
            let most = self.session.size_bytes.unwrap_or(limits.max_image_bytes());
            if piece.len() as u64 > most.saturating_sub(arrived) {
                return Err(Cut::TooLong);
            }
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
                self.may_go_on(arrived + piece.len() as u64)?;
                self.write().await?;
            }
        }
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
        let Some(mut partial) = self.partial.take() else { return Ok(()) };
        let mut pending = std::mem::take(&mut self.pending);
        let written = tokio::task::spawn_blocking(move || {
            let written = partial.append(&pending);
            pending.clear();
            (partial, pending, written)
        });
        let Ok((partial, pending, written)) = written.await else { return Err(Cut::Broken) };
        (self.partial, self.pending) = (Some(partial), pending);
        written.map_err(Cut::Store)
    }
}
