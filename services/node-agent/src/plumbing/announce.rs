//! Telling a segment's switches where a server is now: gratuitous ARP (RFC 5227, section 3) in its
//! name, repeated, since a broadcast may be lost. QEMU announces the MAC when a copy is whole; this
//! comes when the server really runs here.

// One address type of the kernel that no safe library builds.
#![allow(unsafe_code)]

use std::{io, net::Ipv4Addr, os::fd::OwnedFd, time::Duration};

use rustix::net::{
    AddressFamily, SendFlags, SocketFlags, SocketType,
    addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque},
    netdevice, sendto, socket_with,
};

use super::links::Mac;

/// When it is said, counted from the first time.
const AGAIN: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(50),
    Duration::from_millis(150),
    Duration::from_millis(400),
    Duration::from_millis(1_000),
];
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

/// "Who has ADDRESS? Tell ADDRESS", from the one who has it.
fn frame(mac: Mac, address: Ipv4Addr) -> Vec<u8> {
    let mut frame = Vec::with_capacity(42);
    frame.extend_from_slice(&BROADCAST);
    frame.extend_from_slice(&mac);
    frame.extend_from_slice(&ARP);
    // Ethernet, IPv4, their lengths, a request.
    frame.extend_from_slice(&[0, 1, 0x08, 0, 6, 4, 0, 1]);
    frame.extend_from_slice(&mac);
    frame.extend_from_slice(&address.octets());
    frame.extend_from_slice(&[0; 6]);
    frame.extend_from_slice(&address.octets());
    frame
}

fn say(socket: &OwnedFd, index: u32, mac: Mac, address: Ipv4Addr) -> io::Result<()> {
    let to = LinkAddress {
        family: AddressFamily::PACKET.as_raw(),
        protocol: ARP,
        index: i32::try_from(index).map_err(io::Error::other)?,
        hardware: 0,
        kind: 0,
        length: 6,
        address: [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0],
    };
    sendto(socket, &frame(mac, address), SendFlags::empty(), &to)?;
    Ok(())
}

/// Says on a bridge that the address is at this MAC, on this side of it.
///
/// # Errors
/// There is no such bridge, or the kernel does not send.
pub(super) async fn here(bridge: &str, mac: Mac, address: Ipv4Addr) -> io::Result<()> {
    let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    let index = netdevice::name_to_index(&socket, bridge)?;
    let begun = tokio::time::Instant::now();
    for moment in AGAIN {
        tokio::time::sleep_until(begun + moment).await;
        say(&socket, index, mac, address)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_is_a_gratuitous_arp_request() {
        let mac = [0x52, 0x57, 203, 0, 113, 100];
        let frame = frame(mac, Ipv4Addr::new(203, 0, 113, 100));
        assert_eq!((frame.len(), &frame[..6], &frame[6..12], &frame[12..14]), (42, &[0xff; 6][..], &mac[..], &ARP[..]));
        assert_eq!(&frame[14..22], [0, 1, 8, 0, 6, 4, 0, 1]);
        assert_eq!(
            (&frame[22..28], &frame[28..32], &frame[38..42]),
            (&mac[..], &[203, 0, 113, 100][..], &[203, 0, 113, 100][..])
        );
        assert_eq!(size_of::<LinkAddress>(), 20);
    }
}
