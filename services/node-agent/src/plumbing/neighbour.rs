//! Words of neighbour discovery (RFC 4861): the address that a card has by itself, telling neighbours where one
//! is, and asking who has one. Pure.

use std::net::Ipv6Addr;

use super::links::Mac;

/// `ETH_P_IPV6`.
pub(super) const IPV6: [u8; 2] = [0x86, 0xdd];
/// Where all machines of a link hear (RFC 2464, section 7).
pub(super) const ALL_NODES_MAC: Mac = [0x33, 0x33, 0, 0, 0, 1];
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// The next header that is ICMPv6.
const ICMPV6: u8 = 58;
/// As many hops as only a neighbour's packet can have left.
const HOPS: u8 = 255;
/// Kinds of messages: who asks for an address, and who says where one is (RFC 4861, sections 4.3 and 4.4).
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;

/// The address that a card gives itself on its link (RFC 4291, appendix A).
pub(super) fn link_local(mac: Mac) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac;
    let words = [[a ^ 2, b], [c, 0xff], [0xfe, d], [e, f]].map(u16::from_be_bytes);
    Ipv6Addr::new(0xfe80, 0, 0, 0, words[0], words[1], words[2], words[3])
}

/// "`address` is at `mac`", as a frame to all of the link: an unsolicited advertisement that overrides what they knew
/// (RFC 4861, section 7.2.6).
pub(super) fn advertisement(mac: Mac, address: Ipv6Addr) -> Vec<u8> {
    // It overrides; whose address; and its MAC as an option of eight bytes.
    let mut message = vec![ADVERTISEMENT, 0, 0, 0, 0x20, 0, 0, 0];
    message.extend_from_slice(&address.octets());
    message.extend_from_slice(&[2, 1]);
    message.extend_from_slice(&mac);
    frame((mac, address), (ALL_NODES_MAC, ALL_NODES), message)
}

/// "Who has `wanted`?", from `mac` in nobody's name, as is asked before an address is used (RFC 4862, section 5.4.2): who
/// has it tells all of the link.
pub(super) fn probe(mac: Mac, wanted: Ipv6Addr) -> Vec<u8> {
    let mut message = vec![SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
    message.extend_from_slice(&wanted.octets());
    let [.., a, b, c] = wanted.octets();
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, u16::from_be_bytes([0xff, a]), u16::from_be_bytes([b, c]));
    frame((mac, Ipv6Addr::UNSPECIFIED), (asked_at(wanted), group), message)
}

/// Where machines hear whose address ends like this one (RFC 4291, section 2.7.1; RFC 2464, section 7).
pub(super) fn asked_at(address: Ipv6Addr) -> Mac {
    let [.., a, b, c] = address.octets();
    [0x33, 0x33, 0xff, a, b, c]
}

/// Who uses `address` in a frame of neighbour discovery: says that it is there, or asks in its name. Who asks for it in
/// nobody's name has it no more than we do.
pub(super) fn user_of(frame: &[u8], address: Ipv6Addr) -> Option<Mac> {
    let is_neighbours = frame.get(12..14) == Some(&IPV6) && frame.get(20..22) == Some(&[ICMPV6, HOPS]);
    let named = match *frame.get(54)? {
        SOLICITATION => frame.get(22..38),
        ADVERTISEMENT => frame.get(62..78),
        _ => None,
    };
    let uses = is_neighbours && named == Some(&address.octets());
    frame.get(6..12).filter(|_| uses)?.try_into().ok()
}

/// A message of ICMPv6, whose sum is still to be put in, as a frame.
fn frame((mac, from): (Mac, Ipv6Addr), (to_mac, to): (Mac, Ipv6Addr), mut message: Vec<u8>) -> Vec<u8> {
    let sum = checksum(from, to, &message);
    message[2..4].copy_from_slice(&sum);
    let [high, low] = u16::try_from(message.len()).unwrap_or(u16::MAX).to_be_bytes();

    let mut frame = Vec::with_capacity(54 + message.len());
    frame.extend_from_slice(&to_mac);
    frame.extend_from_slice(&mac);
    frame.extend_from_slice(&IPV6);
    // Version 6, and the message's length.
    frame.extend_from_slice(&[0x60, 0, 0, 0, high, low, ICMPV6, HOPS]);
    frame.extend_from_slice(&from.octets());
    frame.extend_from_slice(&to.octets());
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
        assert_eq!((&frame[18..20], checksum(address, ALL_NODES, &frame[54..])), (&[0, 32][..], [0, 0]));
    }

    #[test]
    fn who_asks_whether_an_address_is_free_asks_in_nobodys_name_where_its_holder_listens() {
        let address: Ipv6Addr = "2001:db8:0:1::cb00:7164".parse().unwrap();
        let frame = probe(MAC, address);
        assert_eq!((frame.len(), &frame[..6]), (78, &[0x33, 0x33, 0xff, 0, 0x71, 0x64][..]));
        assert_eq!((&frame[6..12], &frame[18..22]), (&MAC[..], &[0, 24, ICMPV6, HOPS][..]));
        let group: Ipv6Addr = "ff02::1:ff00:7164".parse().unwrap();
        assert_eq!((&frame[22..38], &frame[38..54]), (&[0; 16][..], &group.octets()[..]));
        assert_eq!((frame[54], &frame[62..78]), (SOLICITATION, &address.octets()[..]));
        assert_eq!(checksum(Ipv6Addr::UNSPECIFIED, group, &frame[54..]), [0, 0]);
        assert_eq!(user_of(&frame, address), None, "it is not the asker's");
    }

    #[test]
    fn whoever_speaks_in_an_addresses_name_has_it() {
        let [address, other] =
            ["2001:db8:0:1::cb00:7164", "2001:db8:0:1::cb00:7165"].map(|a| a.parse::<Ipv6Addr>().unwrap());
        let told = advertisement(MAC, address);
        assert_eq!((user_of(&told, address), user_of(&told, other)), (Some(MAC), None));
        let mut asks = probe(MAC, other);
        asks[22..38].copy_from_slice(&address.octets());
        assert_eq!((user_of(&asks, address), user_of(&asks, other)), (Some(MAC), None), "asking for another");
        let mut far = told.clone();
        far[21] = HOPS - 1;
        assert_eq!(user_of(&far, address), None, "it has come from another link");
        for length in 0..78 {
            assert_eq!(user_of(&told[..length], address), None, "cut off at {length}");
        }
    }
}
