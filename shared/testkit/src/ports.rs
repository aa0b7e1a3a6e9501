//! Ports for servers which must know theirs before they start.

use std::{
    fs,
    net::{TcpListener, UdpSocket},
    process,
    sync::{Mutex, PoisonError},
};

/// Below it, services of the machine itself may listen.
const FIRST: u16 = 10_000;

struct Given {
    next: u16,
    /// As long as this process lives, each keeps the UDP port of a number it gave away: tests ask for
    /// that first, so the number is nobody else's, though nothing listens there yet or any more.
    claims: Vec<UdpSocket>,
}

static GIVEN: Mutex<Given> = Mutex::new(Given { next: 0, claims: Vec::new() });

/// A TCP port of the loopback that is this process's until it ends: free now, given to no other test,
/// and, where it leaves any, none that the kernel picks for connections or for whoever listens on
/// port 0. So a server may be killed and start there again.
///
/// # Panics
/// If none is free.
#[must_use]
pub fn free_port() -> u16 {
    let end = ephemeral();
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    if given.next == 0 {
        // Processes that start together begin apart.
        let spread = process::id().wrapping_mul(101) % u32::from(end - FIRST);
        given.next = FIRST + u16::try_from(spread).unwrap_or(0);
    }
    for _ in FIRST..end {
        let port = given.next;
        given.next = if port + 1 < end { port + 1 } else { FIRST };
        let Ok(claim) = UdpSocket::bind(("127.0.0.1", port)) else { continue };
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            given.claims.push(claim);
            return port;
        }
    }
    panic!("no port from {FIRST} to {end} is free");
}

/// Where the ports begin that the kernel gives away by itself. A machine on which it gives away nearly
/// all leaves no others: there only tests keep out of one another's way.
fn ephemeral() -> u16 {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let first = range.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(32_768);
    if first > FIRST { first } else { u16::MAX }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_once_and_never_by_the_kernel() {
        let first = free_port();
        let taken = TcpListener::bind(("127.0.0.1", first)).unwrap();
        drop(taken);
        let others: Vec<u16> = (0..50).map(|_| free_port()).collect();
        assert!(!others.contains(&first), "{first} is given, though nothing listens there");
        assert!(others.iter().all(|port| (FIRST..ephemeral()).contains(port)));
        assert!(UdpSocket::bind(("127.0.0.1", first)).is_err(), "another process sees that it is given");
    }
}
