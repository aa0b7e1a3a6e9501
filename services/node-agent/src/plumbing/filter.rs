//! DHCP stays between a server and its node: rules on our own taps, in a table of our own.
//!
//! A request of one of our servers reaches this node's dnsmasq (that is *input*, not *forward*)
//! and goes nowhere else; nobody else's offer reaches our servers. Other taps, ports and tables are not touched.

use std::{io, process::Stdio, time::Duration};

use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, process::Command};

use crate::blueprint::TAP_PREFIX;

const TABLE: &str = "watari";
const BOUND: Duration = Duration::from_secs(10);
/// Before other rules of the bridge family (whose usual priority is -200).
const PRIORITY: i32 = -250;

/// The whole table, replaced in one transaction.
fn ruleset() -> Value {
    let table = json!({"family": "bridge", "name": TABLE});
    let chain = json!({
        "family": "bridge", "table": TABLE, "name": "forward",
        "type": "filter", "hook": "forward", "prio": PRIORITY, "policy": "accept",
    });
    let rule = |tap: &str, port: &str| {
        let equals = |left: Value, right: Value| json!({"match": {"op": "==", "left": left, "right": right}});
        json!({"add": {"rule": {"family": "bridge", "table": TABLE, "chain": "forward", "expr": [
            equals(json!({"meta": {"key": tap}}), json!(format!("{TAP_PREFIX}*"))),
            equals(json!({"payload": {"protocol": "ether", "field": "type"}}), json!("ip")),
            equals(json!({"payload": {"protocol": "udp", "field": port}}), json!(67)),
            {"drop": null},
        ]}}})
    };
    json!({"nftables": [
        // Added first, so that deleting it cannot fail; all of it is one transaction.
        {"add": {"table": table}},
        {"delete": {"table": table}},
        {"add": {"table": table}},
        {"add": {"chain": chain}},
        rule("iifname", "dport"),
        rule("oifname", "sport"),
    ]})
}

/// Lays the rules.
///
/// # Errors
/// nft is missing, or this kernel lacks a part of the bridge family: then DHCP is not kept apart,
/// which matters only where other DHCP servers are on the segment.
pub(super) async fn lay() -> io::Result<()> {
    let mut command = Command::new("nft");
    command.args(["-j", "-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.kill_on_drop(true).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(ruleset().to_string().as_bytes()).await?;
    }
    let output = tokio::time::timeout(BOUND, child.wait_with_output())
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "nft does not answer"))??;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}
