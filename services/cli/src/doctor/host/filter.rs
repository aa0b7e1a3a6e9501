//! What of a node's packet filter drops what its servers send: those of overlay networks get out by forwarding, and where
//! bridges' frames pass the filter too, as Docker may have it, all others as well. Where neither is so it harms nobody.

use std::{fs, path::Path};

use serde_json::Value;

use super::programs;

/// The agent's own tables are as they should be.
const OWN: &str = "watari";
/// The one that it lays with the first overlay network of its servers, and takes away with the last.
const OVERLAY: &str = "watari-overlay";

/// The chains that do, as `nft list chain` takes them. To whoever is not root nft tells nothing.
pub(super) async fn dropping() -> Vec<String> {
    let told = programs::told("nft", &["-j", "list", "chains"]).await;
    told.map(|text| of(&text, Passed::look())).unwrap_or_default()
}

/// Whose frames pass the filter for packets on their way from one port of a bridge to another, and whether IPv6 is passed on
/// at all: that of overlay networks is only where the node has an IPv6 address itself.
#[derive(Clone, Copy, Debug, Default)]
struct Passed {
    v4: bool,
    v6: bool,
    routed6: bool,
}

impl Passed {
    fn look() -> Self {
        let routed6 = is_on(Path::new("/proc/sys/net/ipv6/conf/all/forwarding"));
        Self { v4: passes("iptables"), v6: passes("ip6tables"), routed6 }
    }
}

fn is_on(switch: &Path) -> bool {
    fs::read_to_string(switch).is_ok_and(|text| text.trim() == "1")
}

/// By the switch for all bridges, or any bridge's own. Where the first is missing nothing heeds the others.
fn passes(filter: &str) -> bool {
    let everywhere = Path::new("/proc/sys/net/bridge").join(format!("bridge-nf-call-{filter}"));
    let links = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let mut own = links.map(|link| link.path().join(format!("bridge/nf_call_{filter}")));
    everywhere.exists() && (is_on(&everywhere) || own.any(|switch| is_on(&switch)))
}

fn of(told: &str, passed: Passed) -> Vec<String> {
    let ruleset: Value = serde_json::from_str(told).unwrap_or_default();
    let chains = || ruleset["nftables"].as_array().into_iter().flatten().map(|one| &one["chain"]);
    let overlay = chains().any(|chain| chain["table"] == OVERLAY);
    let harms = |family: &str| match family {
        "ip" => overlay || passed.v4,
        "ip6" => (overlay && passed.routed6) || passed.v6,
        "inet" => overlay || passed.v4 || passed.v6,
        // Bridges have a filter of their own, which is the agent's business.
        _ => false,
    };
    let drops = chains().filter(|chain| chain["hook"] == "forward" && chain["policy"] == "drop");
    let named = drops.filter_map(|chain| {
        let (family, table, name) = (chain["family"].as_str()?, chain["table"].as_str()?, chain["name"].as_str()?);
        (harms(family) && !table.starts_with(OWN)).then(|| format!("{family} {table} {name}"))
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOWHERE: Passed = Passed { v4: false, v6: false, routed6: false };

    fn chain(family: &str, table: &str, hook: &str, policy: &str) -> String {
        format!(
            r#"{{"chain": {{"family": "{family}", "table": "{table}", "name": "FORWARD", "handle": 1,
            "type": "filter", "hook": "{hook}", "prio": 0, "policy": "{policy}"}}}}"#
        )
    }

    fn ruleset(chains: &[String]) -> String {
        format!(r#"{{"nftables": [{{"metainfo": {{"json_schema_version": 1}}}}, {}]}}"#, chains.join(","))
    }

    #[test]
    fn a_chain_that_drops_what_is_forwarded_is_named_unless_it_is_ours() {
        let told = ruleset(&[
            chain("ip", "filter", "forward", "drop"),
            chain("ip6", "filter", "forward", "accept"),
            chain("ip", "filter", "input", "drop"),
            chain("inet", "watari-overlay", "forward", "drop"),
            chain("bridge", "filter", "forward", "drop"),
        ]);
        assert_eq!(of(&told, NOWHERE), ["ip filter FORWARD"]);
        let six =
            ruleset(&[chain("ip6", "ufw", "forward", "drop"), chain("inet", "watari-overlay", "forward", "accept")]);
        assert_eq!(of(&six, NOWHERE), Vec::<String>::new(), "no IPv6 gets out");
        assert_eq!(of(&six, Passed { routed6: true, ..NOWHERE }), ["ip6 ufw FORWARD"]);
        assert_eq!(of("Operation not permitted", NOWHERE), Vec::<String>::new());
    }

    #[test]
    fn a_chain_that_no_server_passes_is_not_named() {
        let told = ruleset(&["ip", "ip6", "inet"].map(|family| chain(family, "ufw", "forward", "drop")));
        assert_eq!(of(&told, NOWHERE), Vec::<String>::new(), "no overlay network, and bridges pass it by");
        assert_eq!(of(&told, Passed { v4: true, ..NOWHERE }), ["ip ufw FORWARD", "inet ufw FORWARD"]);
        assert_eq!(of(&told, Passed { v6: true, ..NOWHERE }), ["ip6 ufw FORWARD", "inet ufw FORWARD"]);
    }
}
