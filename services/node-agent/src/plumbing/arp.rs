//! Speaking ARP (RFC 826, RFC 5227), and neighbour discovery beside it, on a server's segment: telling where it is now,
//! asking whether it answers, and whether somebody else has its address.

// One address type of the kernel that no safe library builds, and the waiting for such a socket.
#![allow(unsafe_code)]

use std::{
    fs, io,
    net::{Ipv4Addr, Ipv6Addr},
    os::fd::OwnedFd,
    time::Duration,
};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType,
    addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque},
    bind, netdevice, recv, sendto, socket_with,
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::{Instant, sleep_until, timeout_at},
};
use watari_chassis::CancellationToken;

use super::{links::Mac, neighbour, overlay};

/// When a server's place is told, counted from the first time: a broadcast may be lost.
const AGAIN: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(50),
    Duration::from_millis(150),
    Duration::from_millis(400),
    Duration::from_millis(1_000),
];
/// Between two questions.
const ASK_AGAIN: Duration = Duration::from_millis(250);
/// How long is listened after each question whether somebody has an address: there are three (RFC 5227, section 1.1:
/// `PROBE_NUM`), by IPv6 too. The RFC leaves seconds to networks on which a machine may only just have been plugged in;
/// this bridge has been up, and a server waits.
const PROBES: [Duration; 3] = [Duration::from_millis(60), Duration::from_millis(60), Duration::from_millis(120)];
/// So many bytes of a frame have all that is looked for: of a neighbour's words by IPv6 78.
const LOOKED_AT: usize = 78;
const BROADCAST: Mac = [0xff; 6];
/// `ETH_P_ARP` (RFC 826).
const ARP: [u8; 2] = [0x08, 0x06];
/// `ETH_P_RARP` (RFC 903).
const RARP: [u8; 2] = [0x80, 0x35];

/// `struct sockaddr_ll` (packet(7)).
#[repr(C)]
struct LinkAddress {
    family: u16,
    protocol: [u8; 2],
    index: i32,
    hardware: u16,
    kind: u8,
    length: u8,
    address: [u8; 8],
}

// SAFETY: the structure is laid out as the kernel's, and the pointer is to the whole of it.
unsafe impl SocketAddrArg for LinkAddress {
    unsafe fn with_sockaddr<R>(&self, f: impl FnOnce(*const SocketAddrOpaque, SocketAddrLen) -> R) -> R {
        let length = u32::try_from(size_of::<Self>()).unwrap_or(0);
        f(std::ptr::from_ref(self).cast(), length)
    }
}

impl LinkAddress {
    /// Whoever has this MAC on an interface, to be sent a frame of this kind.
    fn of(index: u32, mac: Mac, protocol: [u8; 2]) -> io::Result<Self> {
        let mut address = [0; 8];
        address[..6].copy_from_slice(&mac);
        let index = i32::try_from(index).map_err(io::Error::other)?;
        let family = AddressFamily::PACKET.as_raw();
        Ok(Self { family, protocol, index, hardware: 0, kind: 0, length: 6, address })
    }
}

/// "Who has `wanted`? Tell `asker`", sent to `to`.
fn request(to: Mac, mac: Mac, asker: Ipv4Addr, wanted: Ipv4Addr) -> Vec<u8> {
    let mut frame = Vec::with_capacity(42);
    frame.extend_from_slice(&to);
    frame.extend_from_slice(&mac);
    frame.extend_from_slice(&ARP);
    // Ethernet, IPv4, their lengths, a request.
    frame.extend_from_slice(&[0, 1, 0x08, 0, 6, 4, 0, 1]);
    frame.extend_from_slice(&mac);
    frame.extend_from_slice(&asker.octets());
    frame.extend_from_slice(&[0; 6]);
    frame.extend_from_slice(&wanted.octets());
    frame
}

/// "Which address has `mac`?", which nobody is to answer: switches learn from whoever sends it, whatever addresses there are.
fn reverse(mac: Mac) -> Vec<u8> {
    let mut frame = request(BROADCAST, mac, Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED);
    frame[12..14].copy_from_slice(&RARP);
    // Asking by reverse (RFC 903), about itself.
    frame[21] = 3;
    frame[32..38].copy_from_slice(&mac);
    frame
}

/// Whether a frame says "`address` is at `mac`" to somebody who asked.
fn is_reply(frame: &[u8], mac: Mac, address: Ipv4Addr) -> bool {
    frame.get(12..14) == Some(&ARP)
        && frame.get(20..22) == Some(&[0, 2])
        && frame.get(22..28) == Some(&mac)
        && frame.get(28..32) == Some(&address.octets())
}

/// Who uses `address` in a frame of ARP, asking or answering.
fn user_of(frame: &[u8], address: Ipv4Addr) -> Option<Mac> {
    let uses = frame.get(12..14) == Some(&ARP) && frame.get(28..32) == Some(&address.octets());
    frame.get(22..28).filter(|_| uses)?.try_into().ok()
}

/// Says on a bridge that the address is at this MAC, on this side of it: gratuitous ARP (RFC 5227,
/// section 3) in the server's name, an advertisement of its IPv6 address, and reverse ARP. QEMU announces the MAC
/// by that when a copy is whole, wherever the server then runs; this comes when it really runs here.
///
/// # Errors
/// There is no such bridge, or the kernel does not send.
pub(super) async fn announce(bridge: &str, mac: Mac, address: Ipv4Addr, address6: Option<Ipv6Addr>) -> io::Result<()> {
    let begun = Instant::now();
    for moment in AGAIN {
        sleep_until(begun + moment).await;
        tell(bridge, mac, address)?;
        if let Some(address) = address6 {
            let frame = neighbour::advertisement(mac, address);
            send(bridge, neighbour::ALL_NODES_MAC, neighbour::IPV6, &frame)?;
        }
        send(bridge, BROADCAST, RARP, &reverse(mac))?;
    }
    Ok(())
}

/// Says so by ARP, once.
///
/// # Errors
/// As [`announce`].
pub(super) fn tell(bridge: &str, mac: Mac, address: Ipv4Addr) -> io::Result<()> {
    send(bridge, BROADCAST, ARP, &request(BROADCAST, mac, address, address))
}

/// Sends a frame of that kind on a bridge.
fn send(bridge: &str, to: Mac, kind: [u8; 2], frame: &[u8]) -> io::Result<()> {
    let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    let to = LinkAddress::of(netdevice::name_to_index(&socket, bridge)?, to, kind)?;
    sendto(&socket, frame, SendFlags::empty(), &to)?;
    Ok(())
}

/// A bridge's own MAC.
///
/// # Errors
/// There is no such bridge.
pub(super) fn hardware(bridge: &str) -> io::Result<Mac> {
    let text = fs::read_to_string(format!("/sys/class/net/{bridge}/address"))?;
    overlay::mac(text.trim()).ok_or_else(|| io::Error::other(format!("{bridge} has no MAC address")))
}

/// Whether the server answers on a bridge within `patience`. The question goes to its MAC alone, so
/// that nobody answers in its place; `asker` is an address of the bridge, or none, as in a probe
/// (RFC 5227, section 2.1.1).
///
/// # Errors
/// There is no such bridge, or the kernel neither sends nor receives.
pub(super) async fn answers(
    bridge: &str,
    asker: Option<Ipv4Addr>,
    (mac, address): (Mac, Ipv4Addr),
    patience: Duration,
) -> io::Result<bool> {
    let ours = hardware(bridge)?;
    let (socket, to) = open(bridge, mac, ARP)?;
    let question = request(mac, ours, asker.unwrap_or(Ipv4Addr::UNSPECIFIED), address);
    let end = Instant::now() + patience;
    let mut heard = Ok(false);
    while Instant::now() < end {
        let until = end.min(Instant::now() + ASK_AGAIN);
        // What fails now may succeed the next time.
        let asked = sendto(socket.get_ref(), &question, SendFlags::empty(), &to);
        heard = match timeout_at(until, heard_on(&socket, |frame| is_reply(frame, mac, address).then_some(()))).await {
            Ok(Ok(())) => return Ok(true),
            Ok(Err(error)) => Err(error),
            Err(_) => asked.map(|_| false).map_err(io::Error::from),
        };
        sleep_until(until).await;
    }
    heard
}

/// Who has an address on a bridge, but for `own`, if anybody says so soon, or later while the server is not `ready`: asked in
/// nobody's name, as in a probe (RFC 5227, section 2.1.1), so that nobody takes the address for the bridge's.
///
/// # Errors
/// There is no such bridge, or the kernel neither sends nor receives.
pub(super) async fn holder(
    bridge: &str,
    own: Mac,
    address: Ipv4Addr,
    ready: &CancellationToken,
) -> io::Result<Option<Mac>> {
    let question = request(BROADCAST, hardware(bridge)?, Ipv4Addr::UNSPECIFIED, address);
    let another = |frame: &[u8]| user_of(frame, address).filter(|mac| *mac != own);
    found(bridge, (BROADCAST, ARP, &question), another, ready).await
}

/// The same by neighbour discovery (RFC 4862, section 5.4).
///
/// # Errors
/// As [`holder`].
pub(super) async fn holder6(
    bridge: &str,
    own: Mac,
    address: Ipv6Addr,
    ready: &CancellationToken,
) -> io::Result<Option<Mac>> {
    let question = neighbour::probe(hardware(bridge)?, address);
    let another = |frame: &[u8]| neighbour::user_of(frame, address).filter(|mac| *mac != own);
    found(bridge, (neighbour::asked_at(address), neighbour::IPV6, &question), another, ready).await
}

/// Asks for a moment, and listens on until the server is ready.
async fn found(
    bridge: &str,
    (to, kind, question): (Mac, [u8; 2], &[u8]),
    another: impl Fn(&[u8]) -> Option<Mac> + Copy,
    ready: &CancellationToken,
) -> io::Result<Option<Mac>> {
    let (socket, to) = open(bridge, to, kind)?;
    for patience in PROBES {
        let until = Instant::now() + patience;
        sendto(socket.get_ref(), question, SendFlags::empty(), &to)?;
        if let Ok(found) = timeout_at(until, heard_on(&socket, another)).await {
            return found.map(Some);
        }
    }
    // Listening on costs nobody any time.
    tokio::select! {
        biased;
        found = heard_on(&socket, another) => found.map(Some),
        () = ready.cancelled() => Ok(None),
    }
}

/// A socket that hears frames of that kind on a bridge and nowhere else, and how it reaches a MAC there.
fn open(bridge: &str, mac: Mac, kind: [u8; 2]) -> io::Result<(AsyncFd<OwnedFd>, LinkAddress)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    // Bound to the bridge before it hears anything (packet(7)).
    let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None)?;
    let to = LinkAddress::of(netdevice::name_to_index(&socket, bridge)?, mac, kind)?;
    bind(&socket, &to)?;
    // SAFETY: what is handed over owns its descriptor, gives always the same, and is not taken out.
    let socket = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }?;
    Ok((socket, to))
}

/// Waits for a frame in whose beginning there is what is wanted.
async fn heard_on<T>(socket: &AsyncFd<OwnedFd>, wanted: impl Fn(&[u8]) -> Option<T>) -> io::Result<T> {
    let mut frame = [0_u8; LOOKED_AT];
    loop {
        let mut ready = socket.readable().await?;
        let received = ready.try_io(|socket| Ok(recv(socket.get_ref(), &mut frame[..], RecvFlags::empty())?));
        match received {
            Ok(received) => {
                let (length, _) = received?;
                if let Some(found) = wanted(&frame[..length.min(LOOKED_AT)]) {
                    return Ok(found);
                }
            }
            Err(_would_block) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = [0x52, 0x57, 203, 0, 113, 100];
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 100);

    #[test]
    fn who_tells_where_it_is_asks_for_itself() {
        let frame = request(BROADCAST, MAC, ADDRESS, ADDRESS);
        assert_eq!((frame.len(), &frame[..6], &frame[6..12], &frame[12..14]), (42, &[0xff; 6][..], &MAC[..], &ARP[..]));
        assert_eq!(&frame[14..22], [0, 1, 8, 0, 6, 4, 0, 1]);
        assert_eq!(
            (&frame[22..28], &frame[28..32], &frame[38..42]),
            (&MAC[..], &ADDRESS.octets()[..], &ADDRESS.octets()[..])
        );
        assert_eq!(size_of::<LinkAddress>(), 20);
    }

    #[test]
    fn who_asks_by_reverse_names_its_mac_alone() {
        let frame = reverse(MAC);
        assert_eq!(
            (frame.len(), &frame[..6], &frame[6..12], &frame[12..14]),
            (42, &[0xff; 6][..], &MAC[..], &RARP[..])
        );
        assert_eq!(&frame[14..22], [0, 1, 8, 0, 6, 4, 0, 3]);
        assert_eq!((&frame[22..28], &frame[28..32]), (&MAC[..], &[0; 4][..]));
        assert_eq!((&frame[32..38], &frame[38..42]), (&MAC[..], &[0; 4][..]));
    }

    #[test]
    fn whoever_speaks_in_an_addresses_name_has_it() {
        let (stranger, asker) = ([2; 6], Ipv4Addr::new(203, 0, 113, 1));
        assert_eq!(user_of(&request(BROADCAST, stranger, ADDRESS, ADDRESS), ADDRESS), Some(stranger), "telling");
        assert_eq!(user_of(&request(MAC, stranger, ADDRESS, asker), ADDRESS), Some(stranger), "asking");
        let nobody = Ipv4Addr::UNSPECIFIED;
        assert_eq!(user_of(&request(BROADCAST, stranger, nobody, ADDRESS), ADDRESS), None, "asking for it");
        assert_eq!(user_of(&request(BROADCAST, stranger, ADDRESS, ADDRESS)[..31], ADDRESS), None, "cut off");
    }

    #[test]
    fn only_the_server_itself_replies_for_its_address() {
        let reply = |from: Mac, address: Ipv4Addr| {
            let mut frame = request(BROADCAST, from, address, Ipv4Addr::UNSPECIFIED);
            frame[21] = 2;
            frame
        };
        assert!(is_reply(&reply(MAC, ADDRESS), MAC, ADDRESS));
        assert!(!is_reply(&request(BROADCAST, MAC, ADDRESS, ADDRESS), MAC, ADDRESS), "a request");
        assert!(!is_reply(&reply([2; 6], ADDRESS), MAC, ADDRESS), "another");
        assert!(!is_reply(&reply(MAC, Ipv4Addr::LOCALHOST), MAC, ADDRESS), "of another address");
        assert!(!is_reply(&reply(MAC, ADDRESS)[..31], MAC, ADDRESS), "cut off");
    }
}
