//! A client of DHCP, as tests need it: it asks in whosever name it is told.

use std::{
    io,
    net::{Ipv4Addr, UdpSocket},
    time::Duration,
};

/// The port of clients, on every card of this network.
pub(crate) fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("0.0.0.0:68").unwrap();
    socket.set_broadcast(true).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    socket
}

/// RFC 2131, figure 1: a request of that type (1 is DISCOVER, 3 is REQUEST), answered by broadcast.
pub(crate) fn message(kind: u8, mac: &str, address: Option<Ipv4Addr>) -> Vec<u8> {
    let mut out = vec![0; 236];
    out[..4].copy_from_slice(&[1, 1, 6, 0]);
    out[10] = 0x80;
    for (byte, pair) in out[28..34].iter_mut().zip(mac.split(':')) {
        *byte = u8::from_str_radix(pair, 16).unwrap();
    }
    out.extend([99, 130, 83, 99, 53, 1, kind]);
    if let Some(address) = address {
        out.extend([50, 4]);
        out.extend(address.octets());
    }
    out.push(255);
    out
}

/// Asks, and gives the answer's type and address; none if nobody answers.
pub(crate) fn ask(socket: &UdpSocket, request: &[u8]) -> Option<(u8, Ipv4Addr)> {
    // Its first option is the message's type.
    let answer = answer(socket, request)?;
    Some((answer[242], Ipv4Addr::new(answer[16], answer[17], answer[18], answer[19])))
}

/// Asks, and gives what the answer has under that option (RFC 2132, section 2); none if it has not, or nobody answers.
/// Who names no options is sent all of them.
pub(crate) fn ask_option(socket: &UdpSocket, request: &[u8], code: u8) -> Option<Vec<u8>> {
    let answer = answer(socket, request)?;
    let mut rest = &answer[240..];
    while let [kind @ 1..=254, length, more @ ..] = rest {
        let (value, others) = more.split_at(usize::from(*length));
        if *kind == code {
            return Some(value.to_vec());
        }
        rest = others;
    }
    None
}

fn answer(socket: &UdpSocket, request: &[u8]) -> Option<Vec<u8>> {
    socket.send_to(request, (Ipv4Addr::BROADCAST, 67)).unwrap();
    let mut answer = [0; 1_500];
    loop {
        match socket.recv(&mut answer) {
            // Type 2 is an answer.
            Ok(length) if length > 243 && answer[0] == 2 && answer[28..34] == request[28..34] => {
                return Some(answer[..length].to_vec());
            }
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => return None,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Asks until the answer is as it should be: dnsmasq reads its folder a moment after a change.
pub(crate) fn ask_until(socket: &UdpSocket, request: &[u8], wanted: Option<(u8, Ipv4Addr)>) {
    let found = (0..20).any(|_| ask(socket, request) == wanted);
    assert!(found, "not answered with {wanted:?}");
}
