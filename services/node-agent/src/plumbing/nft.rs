//! The door to `nft`: JSON in, one transaction each, and JSON out.

use std::{
    io,
    process::{Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use tokio::{io::AsyncWriteExt, process::Command};

/// How long a transaction may take.
const BOUND: Duration = Duration::from_secs(10);
/// The most of its complaint that is told, in letters.
const TOLD: usize = 400;

async fn run(arguments: &[&str], input: Option<String>) -> io::Result<Output> {
    let mut command = Command::new("nft");
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let talk = async {
        let mut child = command.kill_on_drop(true).spawn()?;
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
            stdin.write_all(input.as_bytes()).await?;
        }
        child.wait_with_output().await
    };
    tokio::time::timeout(BOUND, talk)
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "nft does not answer"))?
}

fn success(output: Output) -> io::Result<Vec<u8>> {
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(said.trim().chars().take(TOLD).collect::<String>()))
}

/// Carries all of it out, or nothing.
///
/// # Errors
/// nft is missing, or the kernel refuses a part: its complaint.
pub(super) async fn apply(ruleset: &Value) -> io::Result<()> {
    success(run(&["-j", "-f", "-"], Some(ruleset.to_string())).await?).map(drop)
}

/// Whether this chain stands.
pub(super) async fn stands(family: &str, table: &str, chain: &str) -> io::Result<bool> {
    Ok(run(&["list", "chain", family, table, chain], None).await?.status.success())
}

/// The elements of a set, as nft tells them; none if there is no such set.
pub(super) async fn elements(family: &str, table: &str, set: &str) -> io::Result<Vec<Value>> {
    let output = run(&["-j", "list", "set", family, table, set], None).await?;
    if !output.status.success() {
        return Ok(Vec::new());
    }
    let told: Value = serde_json::from_slice(&output.stdout)?;
    let sets = told["nftables"].as_array().map_or(&[][..], Vec::as_slice);
    Ok(sets.iter().find_map(|item| item["set"]["elem"].as_array()).cloned().unwrap_or_default())
}
