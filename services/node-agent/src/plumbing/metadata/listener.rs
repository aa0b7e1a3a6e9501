//! The listener at one bridge. It hears that bridge alone, so that whoever reaches it is on it.

use std::{
    future::{Ready, ready},
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use axum_server::{Server, accept::Accept};
use rustix::net::sockopt;
use tokio::net::{TcpSocket, TcpStream};
use tokio_util::task::AbortOnDropHandle;

use super::Bridge;
use crate::metadata::{Residents, routes};

/// Connections that wait to be taken.
const BACKLOG: u32 = 64;
/// How long it may take to say what is wanted.
const WITHIN: Duration = Duration::from_secs(5);
/// How long what was sent may stay unacknowledged, or the other's window shut, in milliseconds.
const UNHEARD_MS: u32 = 10_000;
/// The most of a question that is read.
const QUESTION_BYTES: usize = 16 << 10;

/// It listens until it is dropped.
pub(super) struct Listener {
    /// Which link it listens at: one that is made anew under the same name is another.
    index: u32,
    serving: AbortOnDropHandle<()>,
}

impl Listener {
    /// Listens at a bridge.
    ///
    /// # Errors
    /// The port is another's, or the bridge is gone.
    pub(super) fn open(name: &str, bridge: &Bridge, port: u16, residents: &Arc<Residents>) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind_device(Some(name.as_bytes()))?;
        socket.bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))?;
        let seats = Seats { bridge: Arc::from(name), residents: Arc::clone(residents) };
        let server = Server::<SocketAddr>::from_listener(socket.listen(BACKLOG)?).acceptor(seats);
        let mut server = server.http1_only().first_request_timeout(WITHIN);
        server.http_builder().http1().keep_alive(false).max_buf_size(QUESTION_BYTES);
        let name = name.to_owned();
        let serving = tokio::spawn(async move {
            // Who answers is known when somebody has come: see `Seats`.
            if let Err(error) = server.serve(Router::new().into_make_service()).await {
                tracing::warn!(bridge = name, %error, "servers are not answered at the metadata address");
            }
        });
        Ok(Self { index: bridge.index, serving: AbortOnDropHandle::new(serving) })
    }

    /// Whether it listens at that bridge.
    pub(super) fn is_at(&self, bridge: &Bridge) -> bool {
        self.index == bridge.index && !self.serving.is_finished()
    }
}

/// Lets servers of this node in, each with so many connections at once, and nobody else.
#[derive(Clone)]
struct Seats {
    bridge: Arc<str>,
    residents: Arc<Residents>,
}

impl Seats {
    fn seat(&self, stream: &TcpStream) -> io::Result<Router> {
        let refused = |why| io::Error::new(io::ErrorKind::PermissionDenied, why);
        let SocketAddr::V4(from) = stream.peer_addr()? else { return Err(refused("not by IPv4")) };
        let resident = self.residents.at(&self.bridge, *from.ip()).ok_or_else(|| refused("nobody of ours"))?;
        let seat = Arc::clone(&resident.seats).try_acquire_owned();
        let seat = seat.map_err(|_| refused("as many connections of this server as may be are open"))?;
        // Neither is worth a refusal.
        let _ = stream.set_nodelay(true);
        let _ = sockopt::set_tcp_user_timeout(stream, UNHEARD_MS);
        Ok(routes(resident, seat))
    }
}

impl<S> Accept<TcpStream, S> for Seats {
    type Stream = TcpStream;
    type Service = Router;
    type Future = Ready<io::Result<(TcpStream, Router)>>;

    fn accept(&self, stream: TcpStream, _: S) -> Self::Future {
        ready(self.seat(&stream).map(|answers| (stream, answers)))
    }
}
