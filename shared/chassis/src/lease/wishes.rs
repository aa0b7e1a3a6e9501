//! What is heard without asking: the wish, standbys that are ready, renewals, and a lease given up.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use tokio::sync::{Notify, watch};
use watari_contracts::{
    Service,
    frontend::{Candidate, candidates},
    subjects,
};
use watari_model::{Document, SiteName, frontend::Primacy};

use super::{
    Leadership, LeaseDocument,
    core::{Millis, Record},
};
use crate::{BusError, Context, Message, Mirror, bucket::Stopped, clock::boot_millis};

/// How often a standby that is wished for announces itself.
const OFFER: Duration = Duration::from_millis(200);
/// An announcement older than this says nothing about now.
const FRESH: Millis = 1_000;

/// What the driver looks at between two steps.
pub(super) struct Wishes {
    pub(super) wish: watch::Receiver<Option<Primacy>>,
    candidate: watch::Receiver<Option<(Candidate, Millis)>>,
    /// The newest renewal.
    renewal: watch::Receiver<Option<Record>>,
    /// Something was heard.
    pub(super) nudge: Arc<Notify>,
}

impl Wishes {
    /// Begins to listen, until the process shuts down.
    pub(super) fn follow(
        ctx: &Context,
        service: Service,
        leadership: watch::Receiver<Leadership>,
        followed: Option<Mirror<Primacy>>,
    ) -> Self {
        let (wished, wish) = watch::channel(None);
        let (offered, candidate) = watch::channel(None);
        let (renewed, renewal) = watch::channel(None);
        let nudge = Arc::new(Notify::new());
        ctx.spawn("wish", {
            let (ctx, nudge) = (ctx.clone(), Arc::clone(&nudge));
            async move {
                // To be told to stop while waiting is no fault.
                let _ = follow_wish(&ctx, followed, &wished, &nudge).await;
            }
        });
        ctx.spawn("candidates", {
            let (ctx, nudge) = (ctx.clone(), Arc::clone(&nudge));
            async move {
                if let Err(error) = hear(&ctx, service, &offered, &renewed, &nudge).await {
                    tracing::warn!(%error, "nothing is heard of those that lead; they are asked");
                }
            }
        });
        if let Some(site) = ctx.site().cloned() {
            ctx.spawn("candidate", offer(ctx.clone(), service, site, wish.clone(), leadership));
        }
        Self { wish, candidate, renewal, nudge }
    }

    /// Waits for a renewal to be heard of; none when nothing is heard any more.
    pub(super) async fn renewed(&mut self) -> Option<Record> {
        self.renewal.changed().await.ok()?;
        self.renewal.borrow_and_update().clone()
    }

    /// For whom a holder that stands at `site` should give way now.
    pub(super) fn successor(&self, site: Option<&SiteName>, now: Millis) -> Option<Candidate> {
        let wish = self.wish.borrow();
        let wished = &wish.as_ref()?.site;
        let heard = self.candidate.borrow();
        let (candidate, at) = heard.as_ref()?;
        let meant = Some(wished) != site && candidate.site == *wished && now.saturating_sub(*at) <= FRESH;
        meant.then(|| candidate.clone())
    }
}

async fn follow_wish(
    ctx: &Context,
    followed: Option<Mirror<Primacy>>,
    wished: &watch::Sender<Option<Primacy>>,
    nudge: &Notify,
) -> Result<(), Stopped> {
    let mirror = match followed {
        Some(mirror) => mirror,
        None => Mirror::of_another(ctx).await?,
    };
    let mut changes = mirror.changes();
    loop {
        changes.mark_unchanged();
        wished.send_replace(mirror.get(Primacy::KEY).map(|entry| entry.value.clone()));
        nudge.notify_one();
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return Ok(()) },
            () = ctx.shutdown.cancelled() => return Ok(()),
        }
    }
}

async fn hear(
    ctx: &Context,
    service: Service,
    offered: &watch::Sender<Option<(Candidate, Millis)>>,
    renewed: &watch::Sender<Option<Record>>,
    nudge: &Notify,
) -> Result<(), BusError> {
    let mut offers = ctx.bus.subscribe(&candidates(service)).await?;
    let mut leases = ctx.bus.subscribe(&subjects::event(LeaseDocument::BUCKET, service.name())).await?;
    loop {
        tokio::select! {
            Some(message) = offers.next() => {
                if let Ok(candidate) = serde_json::from_slice::<Candidate>(&message.payload)
                    && candidate.service == service
                {
                    offered.send_replace(Some((candidate, boot_millis())));
                    nudge.notify_one();
                }
            }
            Some(message) = leases.next() => match renewal(&message) {
                Some(record) => drop(renewed.send_replace(Some(record))),
                // Given up, or nothing that is known: worth a look.
                None => nudge.notify_one(),
            },
            () = ctx.shutdown.cancelled() => return Ok(()),
            else => return Ok(()),
        }
    }
}

/// The lease as somebody holds it.
fn renewal(message: &Message) -> Option<Record> {
    let document = serde_json::from_slice::<LeaseDocument>(&message.payload).ok()?;
    document.holder.as_ref()?;
    Some(Record::of(message.revision?, document))
}

async fn offer(
    ctx: Context,
    service: Service,
    site: SiteName,
    mut wish: watch::Receiver<Option<Primacy>>,
    mut leadership: watch::Receiver<Leadership>,
) {
    let candidate = Candidate { service, instance: ctx.instance.to_string(), site };
    let subject = candidates(service);
    while !ctx.shutdown.is_cancelled() {
        let wished = wish.borrow_and_update().as_ref().is_some_and(|wish| wish.site == candidate.site);
        let standby = leadership.borrow_and_update().epoch().is_none();
        if wished
            && standby
            && let Err(error) = ctx.bus.publish_json(&subject, &candidate).await
        {
            tracing::debug!(%error, "not announced");
        }
        let again =
            async { if wished && standby { tokio::time::sleep(OFFER).await } else { std::future::pending().await } };
        tokio::select! {
            () = again => {}
            changed = wish.changed() => if changed.is_err() { return },
            changed = leadership.changed() => if changed.is_err() { return },
            () = ctx.shutdown.cancelled() => {}
        }
    }
}
