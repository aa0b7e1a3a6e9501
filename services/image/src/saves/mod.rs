//! The primary's loop of images that are saved from servers: has a node copy the disk, and lets it send
//! the copy as any sender does. From there on the image is an import.

mod ask;
mod memory;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use watari_chassis::{clock, looper};
use watari_model::{
    ImageName, Refusal, VmName,
    image::{Change, Copying, Image, Saved, State},
    vm::Vm,
};

pub use memory::Saves;

use crate::{
    app::App,
    catalogue::Step,
    imports::{self, applied},
    plan::saves::{Action, Seen, decide},
    store::StoreError,
};

/// How often nodes are asked, and the loop looks without being woken.
const TICK: Duration = Duration::from_secs(1);
/// Nodes that are asked at the same time.
const AT_ONCE: usize = 16;

/// Why a turn did not succeed; the next one tries again.
#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Refused(#[from] Refusal),
}

/// Begins the loop.
pub fn begin(app: &Arc<App>) {
    let looping = Arc::clone(app);
    app.ctx.spawn("saves", async move {
        let app = looping;
        let step = |epoch| step(&app, epoch);
        looper::run_as_primary(&app.ctx, "saves", app.leadership.clone(), app.wake_saves.clone(), TICK, step).await;
    });
}

async fn step(app: &App, epoch: u64) -> Result<(), StepError> {
    let snapshot = app.images.snapshot();
    let images = snapshot.values().map(|entry| &entry.value);
    let images: Vec<&Image> = images.filter(|i| i.state == State::Importing && i.saved_from.is_some()).collect();
    app.saves.keep(&images);
    if images.is_empty() {
        return Ok(());
    }
    // Who knows no servers cannot tell a deleted one.
    let Some(servers) = app.servers() else { return Ok(()) };
    let servers: BTreeMap<VmName, &Vm> = servers.iter().map(|vm| (vm.value.name.clone(), &vm.value)).collect();
    let uploads = app.upload_files()?;
    let seen = Seen {
        images: &images,
        servers: &servers,
        uploads: &uploads,
        now: clock::now(),
        patience_ms: app.settings.limits.import_patience_ms(),
    };
    // One node that is slow to answer holds up no other.
    let failed = Mutex::new(None);
    stream::iter(decide(&seen))
        .for_each_concurrent(AT_ONCE, |action| async {
            if let Err(error) = act(app, epoch, &servers, action).await {
                failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        })
        .await;
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

async fn act(app: &App, epoch: u64, servers: &BTreeMap<VmName, &Vm>, action: Action) -> Result<(), StepError> {
    match action {
        Action::Begin(name, copying) => begun(app, &name, copying).await?,
        Action::Ask(name) => ask::ask(app, epoch, servers, &name).await?,
        Action::Refuse(name, refusal) => imports::refuse(app, &name, refusal).await?,
    }
    Ok(())
}

/// Writes down that a node is to make a copy, before it is told.
async fn begun(app: &App, name: &ImageName, copying: Copying) -> Result<(), Refusal> {
    app.change(name, |image| match image.saved_from.as_ref() {
        Some(saved) if image.state == State::Importing && saved.copying.is_none() => {
            applied(image, Change::CopyBegun(copying.clone()))
        }
        _ => Ok(Step::Leave),
    })
    .await?;
    app.saves.begun(name);
    tracing::info!(image = %name, node = %copying.node, "a node is to copy a server's disk");
    Ok(())
}

/// Whether an image's document is still about that copy.
fn is_about(image: &Image, saved: &Saved) -> bool {
    let now = image.saved_from.as_ref().filter(|_| image.state == State::Importing);
    now.is_some_and(|now| now.uuid == saved.uuid && now.tries == saved.tries && now.copying == saved.copying)
}
