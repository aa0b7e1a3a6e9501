//! Let a paused server run under a newer grant to this node.
//!
//! This is on the way of the server's pause, so it does the least that is safe before it answers:
//! the grant was written down when the order was taken, the domain is resumed, and it is seen
//! running. What can wait waits: the grant in the domain's own definition, and that definition.

use std::time::Duration;

use watari_chassis::clock;
use watari_contracts::agent::{Domain, Phase, Resume};
use watari_model::Refusal;

use super::{answers, cx::Cx};
use crate::{
    facts::Urgency,
    hypervisor::{DomainState, Grant},
    record::{Record, Side},
};

const WANTED: &str = "resume";

pub(super) async fn run(cx: &Cx, order: &Resume) -> Result<(), Refusal> {
    let uuid = cx.uuid(WANTED)?;
    // Seen paused already, most likely, by the watch on its arrival.
    let mut domain = cx.book.sight().await.domain;
    if domain != Domain::Paused {
        domain = cx.look(WANTED).await?;
    }
    match domain {
        Domain::Paused => {
            if let Some(server) = &cx.record().await?.server {
                cx.may_run(server, WANTED).await?;
            }
            settle_networks(cx).await;
            cx.node.hypervisor.resume(cx.name()).await.map_err(|error| cx.refuse(&error))?;
            let state = cx.node.hypervisor.state(cx.name()).await.map_err(|error| cx.refuse(&error))?;
            if state != DomainState::Running {
                cx.book.look().await;
                return Err(cx.node.not_now(&cx.book.vm, "still not running", WANTED));
            }
        }
        // The answer of an earlier attempt was lost.
        Domain::Running => settle_networks(cx).await,
        other => return Err(cx.not_now(other, WANTED)),
    }
    let now = clock::boot_millis();
    cx.node.room.arrived(uuid);
    cx.book.assert(Domain::Running, Urgency::Now).await;
    let resumed = |record: &mut Record| {
        if let Some(passage) = record.passage.as_mut().filter(|p| p.side == Side::Target) {
            passage.phase = Phase::Ended;
            passage.paused_ms = passage.arrived_at.map(|at| now.saturating_sub(at));
        }
    };
    let record = cx.book.amend(uuid, Urgency::Now, resumed).await?;
    cx.announce(&record);
    answers::ask(&cx.node, &cx.book, &record);
    if let Some(paused_ms) = record.passage.and_then(|passage| passage.paused_ms) {
        cx.node.counts.arrived_pause.observe(Duration::from_millis(paused_ms).as_secs_f64());
    }
    settle(cx, order.grant.generation);
    Ok(())
}

/// Its networks learn that it is here, beside the resume, which waits for nobody who is busy with them.
async fn settle_networks(cx: &Cx) {
    if let Ok(Some(server)) = cx.record().await.map(|record| record.server) {
        let node = cx.node.clone();
        tokio::spawn(async move { node.plumbing.settle(&server).await });
    }
}

/// Writes the grant and the definition, beside everything else. The server runs whether or not
/// this succeeds; the next look of the agent makes up for it.
fn settle(cx: &Cx, generation: u64) {
    let (node, book) = (cx.node.clone(), cx.book.clone());
    tokio::spawn(async move {
        let name = book.vm.as_str();
        let grant = Grant { owner: node.name.to_string(), generation };
        if let Err(error) = node.hypervisor.set_grant(name, &grant).await {
            tracing::warn!(vm = name, %error, "the grant is not in the domain's definition yet");
        }
        if let Err(error) = node.hypervisor.persist(name).await {
            tracing::warn!(vm = name, %error, "the domain is not persistent yet");
        }
        book.look().await;
    });
}
