//! A client of DHCPv6 on another machine, as tests need it: it asks in whosever name it is told.

use std::{
    io::ErrorKind,
    net::{Ipv6Addr, UdpSocket},
};

use crate::inside::index;

/// Messages (RFC 8415, section 7.3): what asks, and what answers.
pub(crate) const SOLICIT: u8 = 1;
pub(crate) const ADVERTISE: u8 = 2;

/// A message of a client with that MAC, which may say that it has an address.
pub(crate) fn message(kind: u8, mac: &str, has: Option<Ipv6Addr>) -> Vec<u8> {
    let mut out = vec![kind, 0, 0, 7];
    // Who asks: a DUID of type 3 (RFC 8415, section 11.4).
    out.extend([0, 1, 0, 10, 0, 3, 0, 1]);
    out.extend(mac.split(':').map(|pair| u8::from_str_radix(pair, 16).unwrap()));
    // For an address (an association of identity 1, without wishes for times).
    out.extend([0, 3, 0, if has.is_some() { 40 } else { 12 }, 0, 0, 0, 1]);
    out.extend([0; 8]);
    if let Some(address) = has {
        out.extend([0, 5, 0, 24]);
        out.extend(address.octets());
        out.extend([0; 8]);
    }
    out
}

/// Asks, and gives the answer's kind and whether it has that address; none if nobody answers.
pub(crate) fn ask(machine: &str, client: &UdpSocket, request: &[u8], wanted: Ipv6Addr) -> Option<(u8, bool)> {
    client.send_to(request, format!("[ff02::1:2%{}]:547", index(machine))).unwrap();
    let mut answer = [0; 1_500];
    match client.recv(&mut answer) {
        Ok(length) => Some((answer[0], answer[..length].windows(16).any(|part| part == wanted.octets()))),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
        Err(error) => panic!("{error}"),
    }
}
