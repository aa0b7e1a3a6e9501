//! Of two front ends without a witness one is lost, which nobody planned: the other goes on alone by an operator's word.

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{Stage, until, until_some};
use crate::standing::is_pair;

const LOST: &str = "m-front";
const LEFT: &str = "y-front";

/// What has to be there afterwards, whatever else changes of it.
const BOOKS: [(&str, &[&str]); 4] = [
    ("vm", &["name", "uuid", "node", "generation", "priority"]),
    ("image", &["name", "sha256"]),
    ("network", &["name", "addresses_used"]),
    ("port", &["network", "address", "vm"]),
];

/// The present name of the NATS server with a vote on a host.
fn voter(status: &Value, host: &str) -> Option<String> {
    let servers = status["quorum"]["servers"].as_array()?;
    let votes = servers.iter().find(|server| server["host"] == host && server["votes"] == true)?;
    votes["name"].as_str().map(str::to_owned)
}

/// Waits until the front ends are a pair; what is called so on the one that is lost.
fn until_pair(stage: &Stage) -> anyhow::Result<String> {
    let name = until_some(120, "two NATS servers alone have a vote, and everything", || {
        let status = stage.lab.standing()?;
        Ok(is_pair(&status).then(|| voter(&status, LOST)))
    })?;
    name.with_context(|| format!("{LOST} has no vote"))
}

/// The witness is off and has missed an outage, for which its vote was taken away: when all is home, only the two front ends
/// have one.
pub(super) fn one_of_the_pair_is_lost(stage: &Stage) -> anyhow::Result<()> {
    let before = until_pair(stage)?;
    let recover = || stage.lab.run(&["exec", LEFT, "--", "watari", "frontend", "recover", LOST, "--yes"]);
    let early = recover().err().context("one that answers was declared lost")?;
    ensure!(format!("{early:#}").contains("[frontend.recover-answers]"), "{early:#}");

    // The last that is acknowledged before the loss.
    stage.watari(&["vm", "edit", "mail", "--priority", "7"])?;
    let known = stage.books(&BOOKS)?;
    stage.lab.run(&["power-off", LOST])?;
    stage.until_leaderless()?;
    // Until NATS has noticed as well it is refused.
    until(120, "the one that is left goes on alone", || recover().map(|_| true))?;
    stage.until_led_from(60, "yamate")?;
    until(60, "the books are as they were", || Ok(stage.books(&BOOKS)? == known))?;
    stage.watari(&["vm", "edit", "mail", "--priority", "0"])?;

    // Nobody says anything to the one that was lost: it begins anew, with what the other one holds.
    stage.lab.run(&["power-on", LOST])?;
    let after = until_pair(stage)?;
    ensure!(after != before, "{after} came back with the store that it had");
    ensure!(stage.show("vm", "mail")?["priority"] == 0, "what was written without it is gone");
    Ok(())
}
