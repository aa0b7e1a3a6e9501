//! The kernel's switches for passing packets on. They are the whole node's, so that each is turned only where it was off, noted
//! with what else was changed for it, and turned back.
//!
//! IPv4's is one switch. By IPv6 a node that passes packets on takes itself for a router, and heeds no other's
//! advertisements: it would lose its own way out. So whichever of its interfaces heeds them is told to do so as a router
//! too (`accept_ra` 2), before the switch is turned; the kernel then keeps the routes that it has learned.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::BRIDGE_PREFIX;
use crate::plumbing::vlan;

const IPV4: &str = "/proc/sys/net/ipv4/ip_forward";
/// The switches of each interface, and those of all and of such as are still to come.
const IPV6: &str = "/proc/sys/net/ipv6/conf";
/// Addresses, an interface each: the address, three numbers of which the last is its scope, flags, the interface.
const ADDRESSES: &str = "/proc/net/if_inet6";
/// The scope of addresses that are for more than one link (include/net/ipv6.h), unique local ones among them.
const GLOBAL: &str = "00";

/// Where it is noted what we turned.
pub(super) struct Forwarding {
    ipv4: PathBuf,
    /// In it, the interfaces that were told to heed routers all the same.
    ipv6: PathBuf,
}

impl Forwarding {
    /// Touches nothing yet.
    pub(super) fn new(run: &Path) -> Self {
        Self { ipv4: run.join("forwarding"), ipv6: run.join("forwarding6") }
    }

    /// Which of the protocols that are passed on for our networks, in nft's words, are passed on for nobody else here.
    ///
    /// # Errors
    /// A switch cannot be read.
    pub(super) fn only_ours(&self, by_ipv6: bool) -> io::Result<Vec<&'static str>> {
        let mut only = Vec::new();
        if self.ipv4.exists() || !is_on(Path::new(IPV4))? {
            only.push("ipv4");
        }
        if by_ipv6 && (self.ipv6.exists() || !is_on(&all())?) {
            only.push("ipv6");
        }
        Ok(only)
    }

    /// Passes IPv4 on, and IPv6 if it is asked for.
    ///
    /// # Errors
    /// A switch cannot be turned.
    pub(super) fn start(&self, by_ipv6: bool) -> io::Result<()> {
        if !is_on(Path::new(IPV4))? {
            fs::write(&self.ipv4, "switched on for overlay networks\n")?;
            tracing::info!("net.ipv4.ip_forward is switched on for overlay networks, and guarded for everything else");
            fs::write(IPV4, "1")?;
        }
        if by_ipv6 { self.start_ipv6() } else { Ok(()) }
    }

    /// Passes on what was passed on before.
    ///
    /// # Errors
    /// A switch cannot be turned back.
    pub(super) fn stop(&self) -> io::Result<()> {
        if self.ipv4.exists() {
            fs::write(IPV4, "0")?;
            fs::remove_file(&self.ipv4)?;
        }
        self.stop_ipv6()
    }

    fn start_ipv6(&self) -> io::Result<()> {
        if is_on(&all())? {
            return Ok(());
        }
        // Among them those of a try before, which may have ended half way.
        let mut links = self.told()?.unwrap_or_default();
        links.extend(heeding()?);
        fs::write(&self.ipv6, links.join("\n"))?;
        tracing::info!(
            "net.ipv6.conf.all.forwarding is switched on for overlay networks, and guarded for everything else"
        );
        links.iter().try_for_each(|link| turn(link, "2"))?;
        fs::write(all(), "1")
    }

    /// Passes IPv6 on no more, if it was not before.
    ///
    /// # Errors
    /// A switch cannot be turned back.
    pub(super) fn stop_ipv6(&self) -> io::Result<()> {
        let Some(links) = self.told()? else { return Ok(()) };
        fs::write(all(), "0")?;
        for link in links.iter().filter(|link| value(&accept_ra(link)).as_deref() == Some("2")) {
            turn(link, "1")?;
        }
        fs::remove_file(&self.ipv6)
    }

    /// The interfaces that we told to heed routers all the same; none if we turned nothing.
    fn told(&self) -> io::Result<Option<Vec<String>>> {
        match fs::read_to_string(&self.ipv6) {
            Ok(text) => Ok(Some(text.lines().map(str::to_owned).collect())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn all() -> PathBuf {
    Path::new(IPV6).join("all/forwarding")
}

fn accept_ra(link: &str) -> PathBuf {
    Path::new(IPV6).join(link).join("accept_ra")
}

fn value(switch: &Path) -> Option<String> {
    fs::read_to_string(switch).ok().map(|text| text.trim().to_owned())
}

/// A kernel without IPv6 passes none on.
fn is_on(switch: &Path) -> io::Result<bool> {
    match fs::read_to_string(switch) {
        Ok(text) => Ok(text.trim() != "0"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// An interface may be gone by now.
fn turn(link: &str, to: &str) -> io::Result<()> {
    match fs::write(accept_ra(link), to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

/// The interfaces that heed routers as long as they are none, and `default`, after which new ones are made.
fn heeding() -> io::Result<Vec<String>> {
    let mut links = Vec::new();
    for entry in fs::read_dir(IPV6)? {
        let Ok(link) = entry?.file_name().into_string() else { continue };
        // No interface's: it changes nothing.
        if link != "all" && value(&accept_ra(&link)).as_deref() == Some("1") {
            links.push(link);
        }
    }
    links.sort_unstable();
    Ok(links)
}

/// Whether this node itself has an IPv6 address that others can answer, on an interface that is not ours.
pub(super) fn has_ipv6() -> bool {
    fs::read_to_string(ADDRESSES).is_ok_and(|text| text.lines().any(is_nodes))
}

fn is_nodes(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let (scope, link) = (words.nth(3), words.nth(1));
    let is_ours = |link: &str| [BRIDGE_PREFIX, vlan::BRIDGE_PREFIX].iter().any(|prefix| link.starts_with(prefix));
    scope == Some(GLOBAL) && link.is_some_and(|link| !is_ours(link))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_ipv6_by_an_address_for_more_than_a_link_that_we_did_not_give_it() {
        for (line, is) in [
            ("20010db8000200000000000000000001 02 40 00 80     eth0", true),
            ("fd000002000000000000000000000001 03 40 00 80 br-campus", true),
            ("00000000000000000000000000000001 01 80 10 80       lo", false),
            ("fe800000000000005054fffe00000001 02 40 20 80     eth0", false),
            ("fd00000100000000000000000a010001 07 40 00 80 wb001000", false),
            ("20010db80000000100000000c0000201 08 40 00 80 wv01e00000001", false),
            ("", false),
        ] {
            assert_eq!(is_nodes(line), is, "{line}");
        }
    }
}
