//! A server's console log as far back as it is kept: the end of what it wrote where it ran before, which came after it,
//! and what it wrote here.

use std::{io, path::Path};

use watari_contracts::agent::{ConsoleKept, ConsoleText, MOST_KEPT};
use watari_model::Refusal;

use crate::{hypervisor::console, node::Node, seed};

/// The last `most` bytes of it.
///
/// # Errors
/// A file cannot be read.
pub(crate) async fn end(node: &Node, uuid: &str, most: u64) -> Result<ConsoleText, Refusal> {
    let own = tail(node, &node.layout.console(uuid), most).await?;
    let left = most.saturating_sub(u64::try_from(own.len()).unwrap_or(u64::MAX));
    let mut bytes = tail(node, &node.layout.console_before(uuid), left).await?;
    bytes.extend(own);
    Ok(ConsoleText { text: String::from_utf8_lossy(&bytes).replace('\0', "") })
}

async fn tail(node: &Node, path: &Path, most: u64) -> Result<Vec<u8>, Refusal> {
    console::tail(path, most).await.map_err(|error| node.refuse(&error))
}

/// Keeps the end of what it wrote before, in place of what was kept so far.
///
/// # Errors
/// The file cannot be written.
pub(crate) async fn keep(node: &Node, uuid: &str, text: String) -> Result<ConsoleKept, Refusal> {
    let (path, mut bytes) = (node.layout.console_before(uuid), text.into_bytes());
    let kept = bytes.split_off(bytes.len().saturating_sub(MOST_KEPT));
    let length = u64::try_from(kept.len()).unwrap_or(u64::MAX);
    let written = tokio::task::spawn_blocking(move || seed::replace(&path, &kept)).await;
    match written.unwrap_or_else(|error| Err(io::Error::other(error))) {
        Ok(()) => Ok(ConsoleKept { bytes: length }),
        Err(error) => Err(Refusal::Internal { detail: format!("what a console showed cannot be kept: {error}") }),
    }
}
