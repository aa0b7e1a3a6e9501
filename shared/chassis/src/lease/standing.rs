//! Telling whoever asks how this process stands.

use futures_util::StreamExt;
use tokio::sync::watch;
use watari_contracts::{
    Service,
    frontend::{STANDING, Standing},
};
use watari_model::frontend::Primacy;

use super::Leadership;
use crate::{Context, run::chain, server::is_inbox};

/// Answers until the process shuts down.
pub(super) fn answer(
    ctx: &Context,
    service: Service,
    leadership: watch::Receiver<Leadership>,
    wish: watch::Receiver<Option<Primacy>>,
) {
    let cx = ctx.clone();
    ctx.spawn("standing", async move {
        let mut asked = match cx.bus.client().subscribe(STANDING).await {
            Ok(asked) => asked,
            Err(error) => {
                tracing::warn!(error = chain(&error), "nobody will be told how this process stands");
                return;
            }
        };
        loop {
            let message = tokio::select! {
                message = asked.next() => message,
                () = cx.shutdown.cancelled() => None,
            };
            let Some(message) = message else { return };
            let Some(inbox) = message.reply.filter(|reply| is_inbox(reply)) else { continue };
            let standing = standing(&cx, service, &leadership, &wish);
            let Ok(json) = serde_json::to_vec(&standing) else { continue };
            if let Err(error) = cx.bus.client().publish(inbox, json.into()).await {
                tracing::debug!(%error, "not answered");
            }
        }
    });
}

fn standing(
    ctx: &Context,
    service: Service,
    leadership: &watch::Receiver<Leadership>,
    wish: &watch::Receiver<Option<Primacy>>,
) -> Standing {
    let leadership = leadership.borrow().clone();
    let epoch = leadership.epoch();
    let leader = match leadership {
        Leadership::Standby { leader } => leader,
        Leadership::Primary { .. } => None,
    };
    Standing {
        service,
        instance: ctx.instance.to_string(),
        site: ctx.site().cloned(),
        leads: epoch.is_some(),
        epoch,
        leader,
        nats: ctx.bus.server(),
        followed: ctx.followed().all(),
        wish: wish.borrow().clone(),
        // Who no longer leads no longer looks: what it knew is of another day.
        quorum: epoch.and_then(|_| ctx.quorum().borrow().clone()),
        store: ctx.object_store().borrow().clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}
