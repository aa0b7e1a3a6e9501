//! Words of neighbour discovery (RFC 4861): the address that a card has by itself, and telling neighbours where one
//! is. Pure.

use std::net::Ipv6Addr;

use super::links::Mac;

/// `ETH_P_IPV6`.
pub(super) const IPV6: [u8; 2] = [0x86, 0xdd];
/// Where all machines of a link hear (RFC 2464, section 7).
pub(super) const ALL_NODES_MAC: Mac = [0x33, 0x33, 0, 0, 0, 1];
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// The next header that is ICMPv6.
const ICMPV6: u8 = 58;

/// The address that a card gives itself on its link (RFC 4291, appendix A).
pub(super) fn link_local(mac: Mac) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac;
    let words = [[a ^ 2, b], [c, 0xff], [0xfe, d], [e, f]].map(u16::from_be_bytes);
    Ipv6Addr::new(0xfe80, 0, 0, 0, words[0], words[1], words[2], words[3])
}

/// "`address` is at `mac`", as a frame to all of the link: an unsolicited advertisement that overrides what they knew
/// (RFC 4861, section 7.2.6).
pub(super) fn advertisement(mac: Mac, address: Ipv6Addr) -> Vec<u8> {
    // An advertisement, which overrides; whose address; and its MAC as an option of eight bytes.
    let mut message = vec![136, 0, 0, 0, 0x20, 0, 0, 0];
    message.extend_from_slice(&address.octets());
    message.extend_from_slice(&[2, 1]);
    message.extend_from_slice(&mac);
    let sum = checksum(address, ALL_NODES, &message);
    message[2..4].copy_from_slice(&sum);

    let mut frame = Vec::with_capacity(86);
    frame.extend_from_slice(&ALL_NODES_MAC);
    frame.extend_from_slice(&mac);
    frame.extend_from_slice(&IPV6);
    // Version 6, the message's length, and as many hops as only a neighbour's packet can have left.
    frame.extend_from_slice(&[0x60, 0, 0, 0, 0, 32, ICMPV6, 255]);
    frame.extend_from_slice(&address.octets());
    frame.extend_from_slice(&ALL_NODES.octets());
    frame.extend_from_slice(&message);
    frame
}

/// The sum of ICMPv6 (RFC 4443, section 2.3), over what it calls the pseudo-header too.
fn checksum(from: Ipv6Addr, to: Ipv6Addr, message: &[u8]) -> [u8; 2] {
    let words = |bytes: &[u8]| -> u32 {
        bytes.chunks_exact(2).map(|two| u32::from(u16::from_be_bytes([two[0], two[1]]))).sum()
    };
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut sum = words(&from.octets()) + words(&to.octets()) + length + u32::from(ICMPV6) + words(message);
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    let [.., high, low] = (!sum).to_be_bytes();
    [high, low]
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = [0x52, 0x57, 203, 0, 113, 100];

    #[test]
    fn a_cards_own_address_follows_from_its_mac() {
        assert_eq!(link_local(MAC).to_string(), "fe80::5057:cbff:fe00:7164");
    }

    #[test]
    fn an_advertisement_is_whole_and_its_sum_is_right() {
        let address: Ipv6Addr = "2001:db8:0:1::cb00:7164".parse().unwrap();
        let frame = advertisement(MAC, address);
        assert_eq!((frame.len(), &frame[6..12], &frame[12..14]), (86, &MAC[..], &IPV6[..]));
        assert_eq!((&frame[22..38], frame[54], frame[58]), (&address.octets()[..], 136, 0x20));
        assert_eq!((&frame[62..78], &frame[78..80], &frame[80..86]), (&address.octets()[..], &[2, 1][..], &MAC[..]));
        // Summed with its sum, the message gives nothing.
        assert_eq!(checksum(address, ALL_NODES, &frame[54..]), [0, 0]);
    }
}
