//! Shut a server down, asking its guest again from time to time; or force it off.

use std::time::Duration;

use watari_contracts::agent::{Domain, Stop};
use watari_model::Refusal;

use super::cx::Cx;
use crate::hypervisor::Kind;

const WANTED: &str = "stop";
/// When no event comes, look anyway this often.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

pub(super) async fn run(cx: &Cx, order: &Stop) -> Result<(), Refusal> {
    let outcome = if order.force { force(cx).await } else { ask(cx).await };
    cx.book.look().await;
    outcome
}

async fn force(cx: &Cx) -> Result<(), Refusal> {
    // One that QEMU has stopped may be in a state of no name; libvirt answers for it, and it is forced off like any other.
    if cx.book.look().await.still.is_some() {
        cx.force_off(cx.uuid(WANTED)?).await?;
    } else {
        match cx.look(WANTED).await? {
            Domain::Absent => return Ok(()),
            Domain::Off(_) => {}
            // What arrives belongs to a migration, and ends by `discard`.
            Domain::Incoming => return Err(cx.not_now(Domain::Incoming, WANTED)),
            _ => cx.force_off(cx.uuid(WANTED)?).await?,
        }
    }
    // Off is off: it does not go on later from what was saved of it, perhaps in this very moment.
    cx.node.hypervisor.forget_saved(cx.name()).await.map_err(|error| cx.refuse(&error))
}

/// Presses the power button until the guest is off; another order may end the patience.
async fn ask(cx: &Cx) -> Result<(), Refusal> {
    let again = Duration::from_secs(cx.node.settings.bounds.press_again_seconds);
    let mut events = cx.node.hypervisor.events();
    loop {
        match cx.look(WANTED).await {
            Ok(Domain::Absent | Domain::Off(_)) => return Ok(()),
            Ok(Domain::Running) => match cx.node.hypervisor.shutdown(cx.name()).await {
                Err(error) if error.kind() != Kind::InvalidState && !error.is_retryable() => {
                    return Err(cx.refuse(&error));
                }
                _ => {}
            },
            // A guest that does not run cannot shut itself down.
            Ok(other) => return Err(cx.not_now(other, "shut down; force it off")),
            // Nor can one that QEMU has stopped. Between this order and its repetition it may go on (`stall.rs`).
            Err(_) if cx.book.sight().await.still.is_some() => {
                return Err(cx.node.not_now(&cx.book.vm, "standing still", "shut down; force it off"));
            }
            // libvirt is away: the order stands until it is back.
            Err(_) => {}
        }
        let off = async {
            loop {
                let _ = tokio::time::timeout(LOOK_AGAIN, events.recv()).await;
                if cx.book.look().await.domain.is_off() {
                    return Ok(());
                }
            }
        };
        match tokio::time::timeout(again, cx.unless_superseded(WANTED, off)).await {
            Ok(ended) => return ended,
            Err(_) => tracing::info!(vm = %cx.book.vm, "the guest has not shut down yet; asking it again"),
        }
    }
}
