//! What of a node's packet filter drops what is forwarded: servers of overlay networks get out by forwarding, and where
//! bridges' frames pass the filter too, as Docker has it, all others as well.

use serde_json::Value;

use super::programs;

/// The agent's own tables are as they should be.
const OWN: &str = "watari";

/// The chains that do, as `nft list chain` takes them. To whoever is not root nft tells nothing.
pub(super) async fn dropping() -> Vec<String> {
    let told = programs::told("nft", &["-j", "list", "chains"]).await;
    told.map(|text| of(&text)).unwrap_or_default()
}

fn of(told: &str) -> Vec<String> {
    let ruleset: Value = serde_json::from_str(told).unwrap_or_default();
    let chains = ruleset["nftables"].as_array().into_iter().flatten().map(|one| &one["chain"]);
    let drops = chains.filter(|chain| chain["hook"] == "forward" && chain["policy"] == "drop");
    // Bridges have a filter of their own, which is the agent's business.
    let routed = drops.filter(|chain| ["ip", "ip6", "inet"].iter().any(|family| chain["family"] == **family));
    let named = routed.filter_map(|chain| {
        let (family, table, name) = (chain["family"].as_str()?, chain["table"].as_str()?, chain["name"].as_str()?);
        (!table.starts_with(OWN)).then(|| format!("{family} {table} {name}"))
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_that_drops_what_is_forwarded_is_named_unless_it_is_ours() {
        let chain = |family: &str, table: &str, hook: &str, policy: &str| {
            format!(
                r#"{{"chain": {{"family": "{family}", "table": "{table}", "name": "FORWARD", "handle": 1,
                "type": "filter", "hook": "{hook}", "prio": 0, "policy": "{policy}"}}}}"#
            )
        };
        let chains = [
            r#"{"metainfo": {"json_schema_version": 1}}"#.to_owned(),
            chain("ip", "filter", "forward", "drop"),
            chain("ip6", "filter", "forward", "accept"),
            chain("ip", "filter", "input", "drop"),
            chain("inet", "watari-overlay", "forward", "drop"),
            chain("bridge", "filter", "forward", "drop"),
        ];
        assert_eq!(of(&format!(r#"{{"nftables": [{}]}}"#, chains.join(","))), ["ip filter FORWARD"]);
        assert_eq!(of("Operation not permitted"), Vec::<String>::new());
    }
}
