//! Who answers DHCP on a bridge: one question (RFC 2131, DHCPDISCOVER) from a MAC address that nobody has. The agents'
//! own servers answer only whom they know, so that whoever answers this is somebody else, and answers servers too.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use tokio::{
    net::UdpSocket,
    time::{Instant, timeout_at},
};
use watari_chassis::TraceParent;

/// Many servers try first whether the address that they would offer is free, which takes 3 s.
const PATIENCE: Duration = Duration::from_secs(4);
/// So many are told; more of them are one that makes mischief.
const MOST_SERVERS: usize = 8;
const CLIENT: u16 = 68;
const SERVER: u16 = 67;
/// Where the options begin, and what is there (RFC 2131, section 3).
const OPTIONS: usize = 236;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// Option 53, what kind of message it is, and the kinds.
const KIND: u8 = 53;
const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
/// Option 54, who offers.
const OFFERED_BY: u8 = 54;
const PAD: u8 = 0;
const END: u8 = 255;

/// The servers that answer on a bridge; none as well where nobody may ask, or somebody else on this host asks already.
pub(super) async fn servers(bridge: &str) -> BTreeSet<Ipv4Addr> {
    let mut found = BTreeSet::new();
    let Ok(id) = u32::from_str_radix(&TraceParent::fresh().trace_id()[..8], 16) else { return found };
    let Ok(socket) = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, CLIENT)).await else { return found };
    let ready = socket.bind_device(Some(bridge.as_bytes())).and_then(|()| socket.set_broadcast(true));
    if ready.is_err() || socket.send_to(&discover(id), (Ipv4Addr::BROADCAST, SERVER)).await.is_err() {
        return found;
    }
    let (until, mut packet) = (Instant::now() + PATIENCE, [0; 1500]);
    while found.len() < MOST_SERVERS
        && let Ok(Ok((length, from))) = timeout_at(until, socket.recv_from(&mut packet)).await
    {
        let IpAddr::V4(from) = from.ip() else { continue };
        found.extend(offer(&packet[..length], id).map(|server| server.unwrap_or(from)));
    }
    found
}

fn discover(id: u32) -> Vec<u8> {
    // Ethernet, addresses of 6 bytes, no hop yet; the answer is to be broadcast.
    let mut packet = vec![1, 1, 6, 0];
    packet.extend(id.to_be_bytes());
    packet.extend([0, 0, 0x80, 0]);
    packet.resize(28, 0);
    // A MAC address of nobody's: locally administered.
    packet.push(2);
    packet.push(0);
    packet.extend(id.to_be_bytes());
    packet.resize(OPTIONS, 0);
    packet.extend(COOKIE);
    packet.extend([KIND, 1, DISCOVER, END]);
    // Some take no shorter one.
    packet.resize(300, PAD);
    packet
}

/// Whether this offers something to us, and who says that it does.
fn offer(packet: &[u8], id: u32) -> Option<Option<Ipv4Addr>> {
    let is_answer = packet.first() == Some(&2) && packet.get(4..8)? == id.to_be_bytes();
    let mut options = packet.get(OPTIONS..)?.strip_prefix(&COOKIE).filter(|_| is_answer)?;
    let (mut kind, mut server) = (None, None);
    while let [code, rest @ ..] = options {
        options = match *code {
            PAD => rest,
            END => break,
            code => {
                let (length, rest) = rest.split_first()?;
                let (value, rest) = rest.split_at_checked(usize::from(*length))?;
                match code {
                    KIND => kind = value.first().copied(),
                    OFFERED_BY => server = <[u8; 4]>::try_from(value).ok().map(Ipv4Addr::from),
                    _ => {}
                }
                rest
            }
        };
    }
    (kind == Some(OFFER)).then_some(server)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: u32 = 0x1234_5678;

    /// As a server would answer.
    fn answer(options: &[u8]) -> Vec<u8> {
        let mut packet = discover(ID);
        packet[0] = 2;
        packet.truncate(OPTIONS + COOKIE.len());
        packet.extend(options);
        packet
    }

    #[test]
    fn an_offer_to_us_is_known_by_its_number_and_tells_who_makes_it() {
        let by = [OFFERED_BY, 4, 192, 0, 2, 1];
        let offered = answer(&[&[PAD, KIND, 1, OFFER][..], &by, &[END]].concat());
        assert_eq!(offer(&offered, ID), Some(Some(Ipv4Addr::new(192, 0, 2, 1))));
        assert_eq!(offer(&offered, ID + 1), None, "somebody else's");
        assert_eq!(offer(&answer(&[KIND, 1, OFFER, END]), ID), Some(None));
        assert_eq!(offer(&answer(&[KIND, 1, 5, END]), ID), None, "no offer");
        assert_eq!(offer(&discover(ID), ID), None, "a question");
    }

    #[test]
    fn what_is_cut_off_anywhere_is_no_offer_and_no_end() {
        let whole = answer(&[OFFERED_BY, 4, 192, 0, 2, 1, KIND, 1, OFFER]);
        for length in 0..whole.len() {
            assert_eq!(offer(&whole[..length], ID), None, "{length}");
        }
        assert!(offer(&whole, ID).is_some());
    }
}
