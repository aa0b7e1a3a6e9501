//! What the kernel's rules still know of an earlier agent's time.

use std::{collections::BTreeMap, io, net::IpAddr, path::Path};

use serde_json::{Value, json};

use super::{Card, Family, Guarded, identity, stateful};
use crate::plumbing::nft;

/// What was found.
#[derive(Default)]
pub(super) struct Earlier {
    /// The cards whose taps live, by tap. Which groups guard them only the journal knew.
    pub(super) cards: BTreeMap<String, Card>,
    /// Until when a port, by bridge and address, has just arrived, on the boot clock in milliseconds.
    pub(super) arrived: BTreeMap<(String, IpAddr), u64>,
}

/// Reads the sets of both tables at `now`, on the boot clock in milliseconds.
///
/// # Errors
/// nft does not answer, or not in its own words.
pub(super) async fn read(now: u64) -> io::Result<Earlier> {
    let mut earlier = Earlier { cards: BTreeMap::new(), arrived: arrived(now).await? };
    let (family, table, _) = identity::PLACE;
    let guarded = nft::elements(family, table, identity::GUARDED).await?;
    for (tap, mac) in pairs(&nft::elements(family, table, identity::SENDERS).await?) {
        let link = Path::new("/sys/class/net").join(&tap);
        if link.exists() {
            let bridge = std::fs::read_link(link.join("master")).ok();
            let bridge = bridge.and_then(|path| path.file_name()?.to_str().map(str::to_owned)).unwrap_or_default();
            let guarded = if guarded.contains(&json!(tap)) { Guarded::Unknown } else { Guarded::Open };
            let card = Card { tap: tap.clone(), bridge, mac, addresses: Vec::new(), guarded, arrived_until: None };
            earlier.cards.insert(tap, card);
        }
    }
    for of in Family::BOTH {
        for (tap, address) in pairs(&nft::elements(family, table, &of.named(identity::ADDRESSES)).await?) {
            if let (Some(card), Ok(address)) = (earlier.cards.get_mut(&tap), address.parse()) {
                let until = earlier.arrived.get(&(card.bridge.clone(), address)).copied();
                card.arrived_until = card.arrived_until.max(until);
                card.addresses.push(address);
            }
        }
    }
    Ok(earlier)
}

async fn arrived(now: u64) -> io::Result<BTreeMap<(String, IpAddr), u64>> {
    let (family, table, _) = stateful::PLACE;
    let mut elements = Vec::new();
    for of in Family::BOTH {
        elements.extend(nft::elements(family, table, &of.named(stateful::ARRIVED)).await?);
    }
    let one = |element: &Value| {
        let element = &element["elem"];
        let (bridge, address) = pair(&element["val"])?;
        Some(((bridge, address.parse().ok()?), now + element["expires"].as_u64()? * 1_000))
    };
    Ok(elements.iter().filter_map(one).collect())
}

fn pair(element: &Value) -> Option<(String, String)> {
    match element["concat"].as_array().map(Vec::as_slice) {
        Some([one, other]) => Some((one.as_str()?.to_owned(), other.as_str()?.to_owned())),
        _ => None,
    }
}

fn pairs(elements: &[Value]) -> impl Iterator<Item = (String, String)> {
    elements.iter().filter_map(pair)
}
