//! The echo of ICMP (RFC 792), by the kernel's own datagram socket for it: that sends nothing but requests for an echo,
//! hears nothing but answers to its own, and needs no privilege where `net.ipv4.ping_group_range` has the process's group.

use std::{
    io,
    net::{Ipv4Addr, UdpSocket as Plain},
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with},
};
use tokio::net::UdpSocket;
use watari_contracts::probe::{Trouble, Unasked};

use super::ask::trouble;

/// Type 8, code 0, and what comes back as it was sent. The kernel fills in checksum and identifier.
const REQUEST: &[u8] = b"\x08\0\0\0\0\0\0\x01watari";
/// The header, before what comes back.
const HEADER: usize = 8;

/// Asks for an echo and waits until one comes, however long that takes.
pub(super) async fn echo(of: Ipv4Addr) -> Result<Result<(), Trouble>, Unasked> {
    match socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
        Some(ipproto::ICMP),
    ) {
        Ok(socket) => Ok(exchange(Plain::from(socket), of).await.unwrap_or_else(|error| Err(trouble(&error)))),
        Err(Errno::ACCESS) => Err(Unasked::NotAllowed),
        Err(error) => Ok(Err(trouble(&error.into()))),
    }
}

async fn exchange(socket: Plain, of: Ipv4Addr) -> io::Result<Result<(), Trouble>> {
    // To the program a socket for echoes is one for datagrams, whose port means nothing.
    let socket = UdpSocket::from_std(socket)?;
    socket.connect((of, 0)).await?;
    socket.send(REQUEST).await?;
    let mut heard = [0; 64];
    let bytes = socket.recv(&mut heard).await?;
    let heard = heard.get(..bytes).unwrap_or_default();
    let echoed = heard.starts_with(&[0, 0]) && heard.get(HEADER..) == REQUEST.get(HEADER..);
    Ok(if echoed { Ok(()) } else { Err(Trouble::Wrong) })
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command, time::Duration};

    use tokio::time::timeout;
    use watari_testkit::in_a_network_of_its_own;

    use super::*;

    #[test]
    fn who_echoes_answers_and_where_nobody_may_ask_nobody_is_silent() {
        in_a_network_of_its_own("probes::echo::tests::inside_its_own_network");
    }

    #[tokio::test]
    #[ignore = "runs in a namespace that the other test makes"]
    async fn inside_its_own_network() {
        let set = |name: &str, value: &str| fs::write(format!("/proc/sys/net/ipv4/{name}"), value).unwrap();
        assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
        let asked = || timeout(Duration::from_millis(300), echo(Ipv4Addr::LOCALHOST));
        set("ping_group_range", "1 0");
        assert_eq!(asked().await, Ok(Err(Unasked::NotAllowed)));
        set("ping_group_range", "0 2147483647");
        assert_eq!(asked().await, Ok(Ok(Ok(()))));
        assert_eq!(echo(Ipv4Addr::new(203, 0, 113, 1)).await, Ok(Err(Trouble::Unreachable)));
        set("icmp_echo_ignore_all", "1");
        assert!(asked().await.is_err(), "nobody echoes");
    }
}
