//! Reboot a server: by its guest, or by the reset button.

use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use watari_contracts::agent::{Domain, Reboot};
use watari_model::Refusal;

use super::cx::Cx;
use crate::hypervisor::{Change, Event};

const WANTED: &str = "reboot";

pub(super) async fn run(cx: &Cx, order: &Reboot) -> Result<(), Refusal> {
    match cx.look(WANTED).await? {
        Domain::Running => {}
        other => return Err(cx.not_now(other, WANTED)),
    }
    if order.force {
        return cx.node.hypervisor.reset(cx.name()).await.map_err(|error| cx.refuse(&error));
    }
    ask(cx).await
}

/// Presses the button until the guest is seen to reboot.
async fn ask(cx: &Cx) -> Result<(), Refusal> {
    let again = Duration::from_secs(cx.node.settings.bounds.press_again_seconds);
    let mut events = cx.node.hypervisor.events();
    loop {
        cx.node.hypervisor.reboot(cx.name()).await.map_err(|error| cx.refuse(&error))?;
        let rebooted = async {
            loop {
                match events.recv().await {
                    // libvirt lets the guest shut down and resets it then, which it tells as `Resumed`.
                    Ok(Event::Domain { name, change: Change::Rebooted | Change::Resumed(_) }) if name == cx.name() => {
                        return Ok(());
                    }
                    Ok(Event::Domain { name, change: Change::Stopped(_) }) if name == cx.name() => {
                        return Err(cx.not_now(cx.book.look().await.domain, WANTED));
                    }
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        match tokio::time::timeout(again, cx.unless_superseded(WANTED, rebooted)).await {
            Ok(ended) => return ended,
            Err(_) => tracing::info!(vm = %cx.book.vm, "the guest has not rebooted yet; asking it again"),
        }
    }
}
