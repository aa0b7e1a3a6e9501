//! Which URLs images are fetched from, and which addresses: public ones, and those that the settings
//! allow. Whoever may import an image shall not thereby look into the house.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use reqwest::Url;
use watari_model::Refusal;

/// The longest URL that is taken.
const MOST: usize = 2048;

/// Reads a URL, if it is one that files are fetched from.
///
/// # Errors
/// [`Refusal::ImageUrlBad`]; [`Refusal::ImageProtocolName`] never: no name reaches QEMU.
pub fn wanted(text: &str) -> Result<Url, Refusal> {
    let shown: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
    let bad = |detail: &str| Refusal::ImageUrlBad { url: shown.clone(), detail: detail.to_owned() };
    if text.len() > MOST {
        return Err(bad("it is longer than 2048 bytes"));
    }
    let url = Url::parse(text).map_err(|e| bad(&e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("only http and https are spoken"));
    }
    // Documents can be read by every viewer.
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("it holds a user name or password, which others could read"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(bad("it names no host"));
    }
    Ok(url)
}

/// The addresses that a URL's host stands for, all of which must be allowed: a name with one public
/// and one inner address is somebody's trick.
///
/// # Errors
/// [`Refusal::ImageUrlForbidden`]; [`Refusal::ImageUrlFailed`] if the name is not known.
pub async fn resolved(url: &Url, allow: &[IpNet]) -> Result<Vec<SocketAddr>, Refusal> {
    let failed = |detail: String| Refusal::ImageUrlFailed { url: url.to_string(), detail };
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or(443);
    let addresses: Vec<SocketAddr> = match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => {
            let found = tokio::net::lookup_host((host, port)).await.map_err(|e| failed(format!("{host}: {e}")))?;
            found.collect()
        }
    };
    if addresses.is_empty() {
        return Err(failed(format!("{host} has no address")));
    }
    match addresses.iter().find(|a| !is_allowed(a.ip(), allow)) {
        Some(inner) => Err(Refusal::ImageUrlForbidden { url: url.to_string(), address: inner.ip().to_string() }),
        None => Ok(addresses),
    }
}

/// Whether files may be fetched from an address.
fn is_allowed(address: IpAddr, allow: &[IpNet]) -> bool {
    let address = address.to_canonical();
    allow.iter().any(|net| net.contains(&address)) || is_public(address)
}

/// Whether an address is one that anybody in the world may have: none of the special ones of the
/// IANA registries (RFC 6890 and its successors).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    let special = v4.is_loopback()
        || v4.is_private()
        || v4.is_link_local()
        || v4.is_multicast()
        || v4.is_documentation()
        || a == 0
        || a >= 240
        // Carriers' own, protocol assignments, 6to4 relays, benchmarks.
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b));
    !special
}

fn is_public_v6(v6: Ipv6Addr) -> bool {
    let segments = v6.segments();
    let embedded = |high: u16, low: u16| is_public_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match segments {
        // NAT64 and 6to4 lead to the IPv4 address that they hold.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => embedded(high, low),
        // Teredo, benchmarks, documentation, and the rest of the protocol assignments.
        [0x2001, 0..0x200, ..] | [0x2001, 0xdb8, ..] | [0x3fff, ..] => false,
        // Global unicast is what begins with 001.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_fetched_from() {
        for inner in [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "fec0::1",
            "64:ff9b::7f00:1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2002:c0a8:101::",
            "2001:db8::1",
            "2001:0:4136:e378::",
            "100::1",
        ] {
            assert!(!is_allowed(inner.parse().unwrap(), &[]), "{inner}");
        }
        for public in ["8.8.8.8", "1.1.1.1", "133.48.1.1", "2001:4860:4860::8888", "2404:6800::1", "2002:808:808::"] {
            assert!(is_allowed(public.parse().unwrap(), &[]), "{public}");
        }
        let allow = ["10.20.0.0/16".parse().unwrap()];
        assert!(is_allowed("10.20.3.4".parse().unwrap(), &allow));
        assert!(is_allowed("::ffff:10.20.3.4".parse().unwrap(), &allow));
        assert!(!is_allowed("10.21.3.4".parse().unwrap(), &allow));
    }

    #[test]
    fn only_plain_web_addresses_are_urls() {
        for bad in [
            "file:///etc/passwd",
            "ftp://host/f",
            "json:{}",
            "nbd://host/e",
            "//host/f",
            "host/f",
            "",
            "http://",
            "https://user:secret@host/f",
            "https://user@host/f",
        ] {
            assert!(matches!(wanted(bad), Err(Refusal::ImageUrlBad { .. })), "{bad}");
        }
        assert!(wanted(&format!("https://h/{}", "a".repeat(2048))).is_err());
        // However a number is written, it is the address that it is.
        for loopback in ["http://2130706433/", "http://0x7f.1/", "http://0177.0.0.1/"] {
            assert_eq!(wanted(loopback).unwrap().host_str(), Some("127.0.0.1"), "{loopback}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_refused_by_the_address_it_leads_to() {
        for text in ["http://localhost/f", "http://[::1]:8080/f", "http://127.0.0.1/f", "http://[::ffff:127.0.0.1]/f"] {
            let told = resolved(&wanted(text).unwrap(), &[]).await;
            assert!(matches!(told, Err(Refusal::ImageUrlForbidden { .. })), "{text}: {told:?}");
        }
    }
}
