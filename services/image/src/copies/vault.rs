//! The loop that looks at the object store: whether it answers, what it has, and what has been left lying there.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use watari_chassis::{clock, looper};
use watari_contracts::frontend::StoreStanding;
use watari_model::image::{Image, State};

use crate::{
    app::App,
    digest::Digest,
    objects::{Objects, ObjectsError},
    plan::{
        digest_of,
        orphans::{Seen, Step, decide},
    },
    store,
};

/// Begins the loop, if there is a store.
pub(super) fn begin(app: &Arc<App>) {
    if app.objects.is_none() {
        return;
    }
    let looping = Arc::clone(app);
    app.ctx.spawn("object-store", async move {
        let app = looping;
        let tick = Duration::from_secs(app.settings.store.look_seconds);
        looper::run(&app.ctx, "object-store", app.wake_objects.clone(), tick, || step(&app)).await;
    });
}

async fn step(app: &App) -> Result<(), ObjectsError> {
    let Some(objects) = &app.objects else { return Ok(()) };
    let looked = looper::patiently(objects.look(&app.ctx.instance)).await;
    let turned = tell(app, objects, looked.as_ref().err());
    app.wake_copies.wake();
    if looked.is_err() {
        // It is told, and looked at again in time.
        return Ok(());
    }
    if turned {
        // What waited for it goes on.
        app.wake_imports.wake();
    }
    looper::patiently(sweep(app, objects)).await
}

/// Says how the store stands wherever that is asked, and tells whether it stands otherwise than before.
fn tell(app: &App, objects: &Objects, error: Option<&ObjectsError>) -> bool {
    let (store, fault) = (objects.name().clone(), error.map(ToString::to_string));
    let before = app.ctx.object_store().borrow().clone();
    // Why it is away may be told in other words each time.
    let same = before.filter(|known| known.fault.is_some() == fault.is_some());
    match (&same, error) {
        (Some(_), _) => {}
        (None, Some(error)) => {
            tracing::error!(store = store.url, %error, "the object store is away; imports wait for it")
        }
        (None, None) => tracing::info!(store = store.url, "the object store answers"),
    }
    app.metrics.store_away.set(i64::from(fault.is_some()));
    let (turned, since) = (same.is_none(), same.map_or_else(clock::now, |known| known.since));
    app.ctx.object_store().send_replace(Some(StoreStanding { store, fault, since }));
    turned
}

/// Breaks off uploads that nobody wants any more, and counts and removes objects that no image names.
async fn sweep(app: &App, objects: &Objects) -> Result<(), ObjectsError> {
    let Some(listed) = objects.listed() else { return Ok(()) };
    let snapshot = app.images.snapshot();
    let images: Vec<&Image> = snapshot.values().map(|entry| &entry.value).collect();
    // The digest of what is just being taken in stands in no document yet.
    let quiet = !images.iter().any(|image| matches!(image.state, State::Importing | State::Verifying));
    let ready: BTreeSet<Digest> =
        images.iter().filter(|image| image.state == State::Ready).filter_map(|image| digest_of(image)).collect();
    for digest in app.store.sendings()? {
        let wanted = ready.contains(&digest) && !listed.contains_key(&digest);
        if !wanted && quiet {
            objects.break_off(&digest).await?;
        }
    }
    let named: BTreeSet<Digest> = images.iter().filter_map(|image| digest_of(image)).collect();
    let used = app.used();
    let known: BTreeSet<Digest> = listed.keys().cloned().collect();
    let mut since = BTreeMap::new();
    for digest in app.store.orphans()? {
        if let Some(noted) = app.store.noted_orphan(&digest)? {
            since.insert(digest, noted);
        }
    }
    app.metrics.store_orphans.set(i64::try_from(known.difference(&named).count()).unwrap_or(i64::MAX));
    let seen = Seen {
        objects: &known,
        named: &named,
        used: &used,
        since: &since,
        may_remove: app.is_primary() && quiet && !images.is_empty(),
        now: clock::now(),
        patience_ms: app.settings.store.orphan_patience_ms(),
    };
    for (digest, step) in decide(&seen) {
        match step {
            Step::Note => store::note(&app.store.orphan(&digest), b"")?,
            Step::Forget => store::remove(&app.store.orphan(&digest))?,
            Step::Remove => {
                tracing::warn!(sha256 = %digest, "an object that no image has named for long is removed from the store");
                objects.remove(&digest).await?;
            }
        }
    }
    Ok(())
}
