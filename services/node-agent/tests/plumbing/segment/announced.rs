//! What the machines of a segment hear when a server runs on here.

use std::{os::fd::OwnedFd, time::Duration};

use rustix::net::{
    AddressFamily, RecvFlags, SocketFlags, SocketType, eth, recv, socket_with,
    sockopt::{Timeout, set_socket_timeout},
};
use watari_node_agent::plumbing::Plumbing;

use super::{campus, dual};
use crate::inside::inside;

/// A broadcast may be lost, so that everything is said so often.
const TIMES: usize = 5;
/// What has not come by then never does.
const BOUND: Duration = Duration::from_secs(20);
const SERVER: u8 = 60;
const MAC: [u8; 6] = [0x52, 0x57, 203, 0, 113, SERVER];

/// Hears everything that comes to a machine's card.
fn listen(machine: &str) -> OwnedFd {
    inside(machine, || {
        let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, Some(eth::ALL)).unwrap();
        set_socket_timeout(&socket, Timeout::Recv, Some(BOUND)).unwrap();
        socket
    })
}

/// The next frames from the server's MAC, so many of them.
fn heard(socket: &OwnedFd, frames: usize) -> Vec<Vec<u8>> {
    let (mut heard, mut frame) = (Vec::new(), [0_u8; 128]);
    while heard.len() < frames {
        let (length, _) = recv(socket, &mut frame[..], RecvFlags::empty()).unwrap();
        if frame[..length].get(6..12) == Some(&MAC[..]) {
            heard.push(frame[..length].to_vec());
        }
    }
    heard
}

/// Every machine is told by ARP and by neighbour discovery, and every switch by reverse ARP, again and again, in the
/// server's own name.
pub(crate) async fn to_everybody(node: &Plumbing) {
    let (server, address) = (dual(SERVER), campus(SERVER).octets());
    let address6 = server.wires[0].ipv6.as_ref().unwrap().address;
    let socket = listen("client");
    node.announce(&server);
    let frames = tokio::task::spawn_blocking(move || heard(&socket, 3 * TIMES)).await.unwrap();
    let (arp, others): (Vec<_>, Vec<_>) = frames.into_iter().partition(|frame| frame[12..14] == [0x08, 0x06]);
    let (reverse, others): (Vec<_>, Vec<_>) = others.into_iter().partition(|frame| frame[12..14] == [0x80, 0x35]);
    assert_eq!((arp.len(), others.len(), reverse.len()), (TIMES, TIMES, TIMES));
    for frame in &arp {
        // Gratuitous: a question to everybody for one's own address (RFC 5227, section 3).
        assert_eq!((&frame[..6], &frame[20..22]), (&[0xff; 6][..], &[0, 1][..]));
        assert_eq!((&frame[22..28], &frame[28..32], &frame[38..42]), (&MAC[..], &address[..], &address[..]));
    }
    for frame in &reverse {
        // As QEMU asks which address it has (RFC 903).
        assert_eq!((&frame[..6], &frame[20..22]), (&[0xff; 6][..], &[0, 3][..]));
        assert_eq!((&frame[22..28], &frame[32..38]), (&MAC[..], &MAC[..]));
    }
    for frame in &others {
        // Unsolicited: an advertisement to all of the link that overrides what they knew (RFC 4861, section 7.2.6).
        assert_eq!((&frame[..6], &frame[12..14]), (&[0x33, 0x33, 0, 0, 0, 1][..], &[0x86, 0xdd][..]));
        assert_eq!((frame[54], frame[58]), (136, 0x20));
        assert_eq!((&frame[62..78], &frame[80..86]), (&address6.octets()[..], &MAC[..]));
    }
}
