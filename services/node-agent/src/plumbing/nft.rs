//! The door to `nft`: JSON in, one transaction each.

use std::{io, process::Stdio, time::Duration};

use serde_json::Value;
use tokio::{io::AsyncWriteExt, process::Command};

/// How long a transaction may take.
const BOUND: Duration = Duration::from_secs(10);

/// Carries all of it out, or nothing.
///
/// # Errors
/// nft is missing, or the kernel refuses a part: its complaint.
pub(super) async fn apply(ruleset: &Value) -> io::Result<()> {
    let mut command = Command::new("nft");
    command.args(["-j", "-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.kill_on_drop(true).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(ruleset.to_string().as_bytes()).await?;
    }
    let output = tokio::time::timeout(BOUND, child.wait_with_output())
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "nft does not answer"))??;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}
