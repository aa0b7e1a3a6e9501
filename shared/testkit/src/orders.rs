//! What orders say of a server, for tests of those who carry orders out.

use std::{fmt::Display, net::Ipv4Addr, str::FromStr};

use watari_contracts::agent::{Seed, Server, Wire};
use watari_model::{
    image::Format,
    isolation::OnIsolation,
    network::{Kind, mac_of},
    vm::Base,
};

fn named<T: FromStr<Err: Display>>(name: &str) -> T {
    name.parse().unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// A small server without a card. What a test is about it says itself: `Server { disk_gib: 2, ..server(NAME, UUID) }`.
///
/// # Panics
/// If `name` is none.
#[must_use]
pub fn server(name: &str, uuid: &str) -> Server {
    Server {
        name: named(name),
        uuid: uuid.to_owned(),
        vcpus: 1,
        memory_mib: 32,
        disk_gib: 1,
        base: Base { image: named("mini"), sha256: "0".repeat(64), format: Format::Raw, firmware: Default::default() },
        wires: Vec::new(),
        seed: Seed { hostname: named(name), keys: Vec::new(), user_data: None },
        firewalls: Vec::new(),
        on_isolation: OnIsolation::Keep,
        display: false,
    }
}

/// A card with that address on the campus's own segment, in a subnet of 256 addresses without a gateway.
#[must_use]
pub fn card(address: Ipv4Addr) -> Wire {
    let [a, b, c, _] = address.octets();
    Wire {
        network: named("campus"),
        kind: Kind::Provider,
        segment: named("campus"),
        vlan: None,
        mtu: None,
        overlay: None,
        cidr: format!("{a}.{b}.{c}.0/24"),
        gateway: None,
        dns: Vec::new(),
        routes: Vec::new(),
        mac: mac_of(address),
        address,
        ipv6: None,
    }
}
