//! Speaking ARP (RFC 826, RFC 5227) on a server's segment: telling where it is now, and asking
//! whether it answers.

// One address type of the kernel that no safe library builds, and the waiting for such a socket.
#![allow(unsafe_code)]

use std::{fs, io, net::Ipv4Addr, os::fd::OwnedFd, time::Duration};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType,
    addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque},
    bind, eth, netdevice, recv, sendto, socket_with,
};
use tokio::{
    io::unix::AsyncFd,
    time::{Instant, sleep_until, timeout_at},
};

use super::{links::Mac, overlay};

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
const BROADCAST: Mac = [0xff; 6];
/// `ETH_P_ARP` (RFC 826).
const ARP: [u8; 2] = [0x08, 0x06];

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
    /// Everybody on an interface.
    fn everybody(index: u32) -> io::Result<Self> {
        Ok(Self {
            family: AddressFamily::PACKET.as_raw(),
            protocol: ARP,
            index: i32::try_from(index).map_err(io::Error::other)?,
            hardware: 0,
            kind: 0,
            length: 6,
            address: [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0],
        })
    }
}

/// "Who has `wanted`? Tell `asker`."
fn request(mac: Mac, asker: Ipv4Addr, wanted: Ipv4Addr) -> Vec<u8> {
    let mut frame = Vec::with_capacity(42);
    frame.extend_from_slice(&BROADCAST);
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

/// Whether a frame says "`address` is at `mac`" to somebody who asked.
fn is_reply(frame: &[u8], mac: Mac, address: Ipv4Addr) -> bool {
    frame.get(12..14) == Some(&ARP)
        && frame.get(20..22) == Some(&[0, 2])
        && frame.get(22..28) == Some(&mac)
        && frame.get(28..32) == Some(&address.octets())
}

/// Says on a bridge that the address is at this MAC, on this side of it: gratuitous ARP (RFC 5227,
/// section 3) in the server's name. QEMU announces the MAC when a copy is whole; this comes when
/// the server really runs here.
///
/// # Errors
/// There is no such bridge, or the kernel does not send.
pub(super) async fn announce(bridge: &str, mac: Mac, address: Ipv4Addr) -> io::Result<()> {
    let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    let to = LinkAddress::everybody(netdevice::name_to_index(&socket, bridge)?)?;
    let begun = Instant::now();
    for moment in AGAIN {
        sleep_until(begun + moment).await;
        sendto(&socket, &request(mac, address, address), SendFlags::empty(), &to)?;
    }
    Ok(())
}

/// Whether the server answers on a bridge within `patience`. It is asked by probes (RFC 5227,
/// section 2.1.1), which claim no address for the one who asks.
///
/// # Errors
/// There is no such bridge, or the kernel does not send or receive.
pub(super) async fn answers(bridge: &str, mac: Mac, address: Ipv4Addr, patience: Duration) -> io::Result<bool> {
    let ours = fs::read_to_string(format!("/sys/class/net/{bridge}/address"))?;
    let ours = overlay::mac(ours.trim()).ok_or_else(|| io::Error::other(format!("{bridge} has no MAC address")))?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, flags, Some(eth::ARP))?;
    let everybody = LinkAddress::everybody(netdevice::name_to_index(&socket, bridge)?)?;
    bind(&socket, &everybody)?;
    // SAFETY: what is handed over owns its descriptor, gives always the same, and is not taken out.
    let socket = unsafe { AsyncFd::register(socket) }?;
    let end = Instant::now() + patience;
    while Instant::now() < end {
        sendto(socket.get_ref(), &request(ours, Ipv4Addr::UNSPECIFIED, address), SendFlags::empty(), &everybody)?;
        let until = end.min(Instant::now() + ASK_AGAIN);
        if let Ok(heard) = timeout_at(until, reply(&socket, mac, address)).await {
            return heard.map(|()| true);
        }
    }
    Ok(false)
}

/// Waits for the reply.
async fn reply(socket: &AsyncFd<OwnedFd>, mac: Mac, address: Ipv4Addr) -> io::Result<()> {
    let mut frame = [0_u8; 64];
    loop {
        let mut ready = socket.readable().await?;
        let received = ready.try_io(|socket| Ok(recv(socket.get_ref(), &mut frame[..], RecvFlags::empty())?));
        match received {
            Ok(received) => {
                let (length, _) = received?;
                if is_reply(&frame[..length.min(64)], mac, address) {
                    return Ok(());
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
        let frame = request(MAC, ADDRESS, ADDRESS);
        assert_eq!((frame.len(), &frame[..6], &frame[6..12], &frame[12..14]), (42, &[0xff; 6][..], &MAC[..], &ARP[..]));
        assert_eq!(&frame[14..22], [0, 1, 8, 0, 6, 4, 0, 1]);
        assert_eq!(
            (&frame[22..28], &frame[28..32], &frame[38..42]),
            (&MAC[..], &ADDRESS.octets()[..], &ADDRESS.octets()[..])
        );
        assert_eq!(size_of::<LinkAddress>(), 20);
    }

    #[test]
    fn only_the_server_itself_replies_for_its_address() {
        let reply = |from: Mac, address: Ipv4Addr| {
            let mut frame = request(from, address, Ipv4Addr::UNSPECIFIED);
            frame[21] = 2;
            frame
        };
        assert!(is_reply(&reply(MAC, ADDRESS), MAC, ADDRESS));
        assert!(!is_reply(&request(MAC, ADDRESS, ADDRESS), MAC, ADDRESS), "a request");
        assert!(!is_reply(&reply([2; 6], ADDRESS), MAC, ADDRESS), "another");
        assert!(!is_reply(&reply(MAC, Ipv4Addr::LOCALHOST), MAC, ADDRESS), "of another address");
        assert!(!is_reply(&reply(MAC, ADDRESS)[..31], MAC, ADDRESS), "cut off");
    }
}
