//! What a node sees of the others, from itself: nobody else can say which of the ways between them are open, wide and
//! short enough for servers to take.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use watari_contracts::monitor::NodeHealth;
use watari_model::{
    NodeName,
    node::{State, Tunnel},
};

use super::{dhcp, programs};
use crate::doctor::facts::Facts;

/// libvirt's own port, on which somebody answers at all times,
const LIBVIRT: u16 = 16_514;
/// and the last of those to which QEMU sends a server: nobody answers there, but the host says so at once. libvirt takes
/// the first that is free, and a server that is just awaited there would take whoever knocks for its memory.
const DATA: u16 = 49_215;
/// Who has not answered by then is kept from it.
const PATIENCE: Duration = Duration::from_secs(2);
/// So many nodes are looked at, those of other sites first.
const MOST_PEERS: usize = 32;
/// What IPv4 and ICMP put before what ping sends, in bytes.
const HEADERS: u32 = 28;

/// What is seen from the node on which the doctor is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::doctor) struct Around {
    /// Its name.
    pub(in crate::doctor) host: NodeName,
    /// The others that are ready.
    pub(in crate::doctor) peers: Vec<Peer>,
    /// Who else answers DHCP, by bridge.
    pub(in crate::doctor) strangers: BTreeMap<String, Vec<Ipv4Addr>>,
}

/// The way to another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::doctor) struct Peer {
    /// Which.
    pub(in crate::doctor) node: NodeName,
    /// Where migrations would go.
    pub(in crate::doctor) address: String,
    /// Whether that is a name which leads to no address here.
    pub(in crate::doctor) unnamed: bool,
    /// Ports that are not reached.
    pub(in crate::doctor) closed: Vec<u16>,
    /// Packets of so many bytes do not come through, though small ones do.
    pub(in crate::doctor) narrow: Option<u32>,
    /// How long a packet takes there and back, in milliseconds; none if nobody tells.
    pub(in crate::doctor) rtt_ms: Option<u64>,
}

impl Around {
    /// Looks around, if this is one of the nodes.
    pub(in crate::doctor) async fn look(facts: &Facts) -> Option<Self> {
        let host = facts.host.as_ref()?;
        let own = facts.nodes.iter().find(|one| one.node.name == host.name)?;
        let ready = |one: &&NodeHealth| one.node.state == State::Ready && one.node.name != host.name;
        let mut others: Vec<&NodeHealth> = facts.nodes.iter().filter(ready).collect();
        others.sort_by_key(|other| other.node.site == own.node.site);
        let known = others.into_iter().filter(|other| !other.migration_address.is_empty()).take(MOST_PEERS);
        let (peers, strangers) = tokio::join!(join_all(known.map(|other| peer(own, other))), strangers(own));
        Some(Self { host: host.name.clone(), peers, strangers })
    }
}

async fn peer(own: &NodeHealth, other: &NodeHealth) -> Peer {
    let address = other.migration_address.clone();
    let found = lookup_host((address.as_str(), LIBVIRT)).await.ok().and_then(|mut all| all.next());
    let mut peer = Peer {
        node: other.node.name.clone(),
        address,
        unnamed: found.is_none(),
        closed: Vec::new(),
        narrow: None,
        rtt_ms: None,
    };
    let Some(found) = found.map(|at| at.ip()) else { return peer };
    let tunnels = own.tunnel.zip(other.tunnel);
    let (libvirt, data, rtt_ms, narrow) =
        tokio::join!(answer(found, LIBVIRT), answer(found, DATA), rtt(found), async {
            match tunnels {
                Some((own, other)) => narrow(own, other).await,
                None => None,
            }
        });
    let closed = [(LIBVIRT, libvirt != Answer::Open), (DATA, data == Answer::None)];
    peer.closed = closed.into_iter().filter_map(|(port, closed)| closed.then_some(port)).collect();
    (peer.narrow, peer.rtt_ms) = (narrow, rtt_ms);
    peer
}

/// Who is behind a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// A program.
    Open,
    /// A host on which no program has it.
    Refused,
    /// Nobody: something between drops what is sent there.
    None,
}

async fn answer(address: IpAddr, port: u16) -> Answer {
    match timeout(PATIENCE, TcpStream::connect(SocketAddr::new(address, port))).await {
        Ok(Ok(_)) => Answer::Open,
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => Answer::Refused,
        Ok(Err(_)) | Err(_) => Answer::None,
    }
}

async fn rtt(address: IpAddr) -> Option<u64> {
    shortest(&ping(&["-c", "3", &address.to_string()]).await?)
}

/// The packets that both ends can carry, unless they come through. Where nobody answers small ones either, nothing is
/// known.
async fn narrow(own: Tunnel, other: Tunnel) -> Option<u32> {
    let (size, address) = (own.mtu.min(other.mtu), other.address.to_string());
    let body = size.checked_sub(HEADERS)?.to_string();
    let large = ping(&["-c", "2", "-M", "do", "-s", &body, &address]).await?;
    if shortest(&large).is_some() {
        return None;
    }
    shortest(&ping(&["-c", "2", &address]).await?).map(|_| size)
}

async fn ping(words: &[&str]) -> Option<String> {
    programs::told("ping", &[&["-n", "-q", "-i", "0.2", "-W", "1"], words].concat()).await
}

/// The shortest time of a ping, rounded up to a millisecond; none if nothing has come back.
fn shortest(told: &str) -> Option<u64> {
    let times = told.lines().find_map(|line| line.strip_prefix("rtt min/avg/max/mdev = "))?;
    let shortest: f64 = times.split('/').next()?.parse().ok()?;
    Some(shortest.ceil() as u64)
}

async fn strangers(own: &NodeHealth) -> BTreeMap<String, Vec<Ipv4Addr>> {
    let mut found = BTreeMap::new();
    let bridges = own.health.iter().flat_map(|health| &health.bridges);
    // One after the other, since there is one such port for all.
    for bridge in bridges.map(|bridge| &bridge.name) {
        let servers = dhcp::servers(bridge).await;
        if !servers.is_empty() {
            found.insert(bridge.clone(), servers.into_iter().collect());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn of_several_pings_the_shortest_counts() {
        let told = "PING 192.0.2.1 (192.0.2.1) 56(84) bytes of data.\n\n--- 192.0.2.1 ping statistics ---\n\
            3 packets transmitted, 3 received, 0% packet loss, time 402ms\nrtt min/avg/max/mdev = 1.243/1.299/1.360/0.048 ms\n";
        assert_eq!(shortest(told), Some(2));
        assert_eq!(shortest("2 packets transmitted, 0 received, 100% packet loss, time 205ms\n"), None);
    }

    #[tokio::test]
    async fn a_port_on_which_somebody_listens_is_open_and_another_one_refuses() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        assert_eq!(answer(at.ip(), at.port()).await, Answer::Open);
        drop(listener);
        assert_eq!(answer(at.ip(), at.port()).await, Answer::Refused);
    }
}
