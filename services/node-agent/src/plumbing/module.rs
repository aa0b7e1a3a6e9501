//! Modules of the kernel.

use std::process::Stdio;

use tokio::process::Command;

/// Has the kernel load a module; whether it says that it did. One that is built in needs no loading.
pub(super) async fn load(name: &str) -> bool {
    let mut command = Command::new("modprobe");
    command.arg(name).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.kill_on_drop(true).status().await.is_ok_and(|status| status.success())
}
