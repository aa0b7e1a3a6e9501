//! Who is asked for names at one bridge. As [`super::listener`] it hears that bridge alone, and servers of this node.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use socket2::{Domain, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream, UdpSocket},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_util::task::AbortOnDropHandle;

use super::Bridge;
use crate::{
    metadata::{Resident, Residents},
    resolver::{self, Asker, Names, Way},
};

/// Connections that wait to be taken.
const BACKLOG: i32 = 64;
/// How long a connection stays, whatever is asked by it.
const WITHIN: Duration = Duration::from_secs(10);
/// The most of a question that is read, in bytes. They are far shorter.
const LONGEST: usize = 4_096;
/// A group of each link (RFC 1112).
const ALL_HOSTS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);

/// It listens until it is dropped.
pub(super) struct Questions {
    /// Which link it listens at, and at which of its addresses.
    index: u32,
    address: Ipv4Addr,
    by_udp: AbortOnDropHandle<()>,
    by_tcp: AbortOnDropHandle<()>,
}

impl Questions {
    /// Listens at a bridge.
    ///
    /// # Errors
    /// The port is another's, or the bridge is gone.
    pub(super) fn open(name: &str, bridge: &Bridge, port: u16, clerk: Clerk) -> io::Result<Self> {
        // An answer by UDP must come from the address that the question was translated to.
        let address = first_address(name)?;
        let at = SocketAddr::from((address, port));
        let udp = UdpSocket::from_std(socket(name, Type::DGRAM, at)?.into())?;
        let tcp = socket(name, Type::STREAM, at)?;
        tcp.listen(BACKLOG)?;
        let tcp = TcpListener::from_std(tcp.into())?;
        let (by_udp, by_tcp) = (clerk.clone().by_udp(Arc::new(udp)), clerk.by_tcp(tcp));
        let (by_udp, by_tcp) = (tokio::spawn(by_udp), tokio::spawn(by_tcp));
        let (by_udp, by_tcp) = (AbortOnDropHandle::new(by_udp), AbortOnDropHandle::new(by_tcp));
        Ok(Self { index: bridge.index, address, by_udp, by_tcp })
    }

    /// Whether it listens at that bridge, as it is now.
    pub(super) fn is_at(&self, name: &str, bridge: &Bridge) -> bool {
        let is_heard = !self.by_udp.is_finished() && !self.by_tcp.is_finished();
        is_heard && self.index == bridge.index && first_address(name).is_ok_and(|address| address == self.address)
    }
}

/// A socket that is at that bridge before it is at any address: the same one may be on several.
fn socket(bridge: &str, kind: Type, at: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, kind, None)?;
    if kind == Type::STREAM {
        socket.set_reuse_address(true)?;
    }
    socket.bind_device(Some(bridge.as_bytes()))?;
    socket.set_nonblocking(true)?;
    socket.bind(&at.into())?;
    Ok(socket)
}

/// The address of a bridge to which nftables' `redirect` leads: its first. Nothing is sent to find it: from that one the
/// kernel would speak to a group of the link.
fn first_address(bridge: &str) -> io::Result<Ipv4Addr> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket.bind_device(Some(bridge.as_bytes()))?;
    socket.connect(&SocketAddr::from((ALL_HOSTS, resolver::PORT)).into())?;
    let own = socket.local_addr()?.as_socket_ipv4().map(|own| *own.ip());
    own.ok_or_else(|| io::Error::new(io::ErrorKind::AddrNotAvailable, "the bridge has no IPv4 address"))
}

/// Answers at one bridge.
#[derive(Clone)]
pub(super) struct Clerk {
    bridge: Arc<str>,
    residents: Arc<Residents>,
    names: Arc<Names>,
}

impl Clerk {
    /// For those of these residents that are at the bridge.
    pub(super) fn new(bridge: &str, residents: &Arc<Residents>, names: &Arc<Names>) -> Self {
        Self { bridge: Arc::from(bridge), residents: Arc::clone(residents), names: Arc::clone(names) }
    }

    /// Who asks from there, and one of its places; none for nobody of ours, and where all these places are taken.
    fn asker(
        &self,
        from: SocketAddr,
        places: fn(&Resident) -> &Arc<Semaphore>,
    ) -> Option<(Arc<Asker>, OwnedSemaphorePermit)> {
        let IpAddr::V4(address) = from.ip() else { return None };
        let resident = self.residents.at(&self.bridge, address)?;
        let asker = resident.asker(address)?;
        let place = Arc::clone(places(&resident)).try_acquire_owned().ok()?;
        Some((asker, place))
    }

    async fn by_udp(self, socket: Arc<UdpSocket>) {
        let mut question = vec![0; LONGEST];
        loop {
            let (length, from) = match socket.recv_from(&mut question).await {
                Ok(asked) => asked,
                Err(error) => return self.is_over(&error),
            };
            let Some((asker, place)) = self.asker(from, |resident| &resident.questions) else { continue };
            // A question that waits for others must not keep the port from who listens there next.
            let (message, names, socket) =
                (question[..length].to_vec(), Arc::clone(&self.names), Arc::downgrade(&socket));
            tokio::spawn(async move {
                if let Some(answer) = names.answer(&message, &asker, Way::Udp).await
                    && let Some(socket) = socket.upgrade()
                {
                    // Who has gone meanwhile asks the next node.
                    let _ = socket.send_to(&answer, from).await;
                }
                drop(place);
            });
        }
    }

    async fn by_tcp(self, listener: TcpListener) {
        loop {
            let (stream, from) = match listener.accept().await {
                Ok(called) => called,
                Err(error) => return self.is_over(&error),
            };
            let Some((asker, place)) = self.asker(from, |resident| &resident.seats) else { continue };
            let names = Arc::clone(&self.names);
            tokio::spawn(async move {
                let _ = timeout(WITHIN, talk(stream, &asker, &names)).await;
                drop(place);
            });
        }
    }

    /// It is begun anew when the bridges are looked at.
    fn is_over(&self, error: &io::Error) {
        tracing::warn!(bridge = %self.bridge, %error, "servers that ask for names are not answered");
    }
}

/// One question after another, until there are no more.
async fn talk(mut stream: TcpStream, asker: &Asker, names: &Names) {
    while let Ok(message) = resolver::read(&mut stream, LONGEST).await {
        let Some(answer) = names.answer(&message, asker, Way::Tcp).await else { return };
        if resolver::write(&mut stream, &answer).await.is_err() {
            return;
        }
    }
}
