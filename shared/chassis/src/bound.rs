//! At most so many connections of a listener at once: those beyond are closed before they cost a handshake.

use std::{
    future::{Ready, ready},
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum_server::accept::Accept;
use tokio::{
    io::{AsyncRead, AsyncWrite, BufReader, ReadBuf},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
};

/// How long what was sent may stay unacknowledged, or the other's window shut.
const UNHEARD_MS: u32 = 60_000;

/// Hands out places for connections.
#[derive(Clone, Debug)]
pub struct Bounded {
    places: Arc<Semaphore>,
    read_ahead: usize,
}

impl Bounded {
    /// At most so many connections.
    #[must_use]
    pub fn new(connections: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(connections)), read_ahead: 1 }
    }

    /// The same, and of each connection so many bytes are read at once, which it keeps room for. For those over which much
    /// comes by TLS: rustls asks for 4 KiB at a time, which would be a call of the system each.
    #[must_use]
    pub fn reading_ahead(self, bytes: usize) -> Self {
        Self { read_ahead: bytes.max(1), ..self }
    }
}

impl<S> Accept<TcpStream, S> for Bounded {
    type Stream = Placed;
    type Service = S;
    type Future = Ready<io::Result<(Placed, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let place = Arc::clone(&self.places).try_acquire_owned();
        ready(match place {
            Ok(place) => {
                // Answers to small requests shall not wait for more to say.
                let _ = stream.set_nodelay(true);
                // A peer that takes nothing for so long is gone, and so is its place.
                let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, UNHEARD_MS);
                // Whoever asks for more than there is room for is handed it directly: with room for one byte that is everybody.
                let stream = BufReader::with_capacity(self.read_ahead, stream);
                Ok((Placed { stream, _place: place }, service))
            }
            Err(_) => {
                tracing::warn!("a connection is closed, since as many as may be are open");
                Err(io::Error::other("too many connections"))
            }
        })
    }
}

/// A connection that holds its place until it ends.
#[derive(Debug)]
pub struct Placed {
    stream: BufReader<TcpStream>,
    _place: OwnedSemaphorePermit,
}

impl AsyncRead for Placed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Placed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
