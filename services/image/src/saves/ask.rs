//! Asking the node that copies a disk how far it is, and what follows from its answer.

use std::{collections::BTreeMap, time::Duration};

use watari_chassis::{CallError, clock};
use watari_contracts::saving::{DiskCopy, SaveDisk, SendTo, Stage};
use watari_model::{
    ImageName, Refusal, VmName,
    image::{Announced, Change, Image, Saved},
    vm::Vm,
};

use super::is_about;
use crate::{
    admission,
    app::App,
    catalogue::Step,
    imports::{self, applied},
    plan::saves::{Verdict, judge, lost},
    store::{self, UploadId},
};

/// Repeats the order, and acts on the answer.
pub(super) async fn ask(
    app: &App,
    epoch: u64,
    servers: &BTreeMap<VmName, &Vm>,
    name: &ImageName,
) -> Result<(), Refusal> {
    let Some(entry) = app.images.get(name.as_str()) else { return Ok(()) };
    let image = &entry.value;
    let Some(saved) = &image.saved_from else { return Ok(()) };
    let Some(copying) = saved.copying.as_ref().filter(|_| app.saves.is_due(name, clock::boot_millis())) else {
        return Ok(());
    };
    let id = UploadId::for_image(image);
    let order = SaveDisk {
        epoch,
        operation: id.to_string(),
        image: name.clone(),
        vm: saved.vm.clone(),
        uuid: saved.uuid.clone(),
        generation: copying.generation,
        send_to: send_to(app, &id, image, saved),
    };
    let settings = &app.settings.saves;
    let bound = Duration::from_millis(settings.answer_ms);
    let stage = match app.ctx.bus.command_within(&copying.node, &order, bound).await {
        Ok(answer) => answer.stage,
        Err(CallError::Refused(body)) if body.refusal.tells_of_a_later_leader() => {
            // Another instance leads by now, and looks after this.
            return Err(body.refusal);
        }
        Err(CallError::Refused(body)) => Stage::Failed(body.refusal),
        Err(error) => {
            let silent_ms = app.saves.silent(name, clock::boot_millis());
            if silent_ms < settings.silence_seconds.saturating_mul(1_000) {
                return Ok(());
            }
            return follow(app, image, saved, lost(image, saved, error.into(), settings.max_tries)).await;
        }
    };
    let whole = if let Stage::Whole(copy) = &stage { Some(copy.sha256.as_str()) } else { None };
    app.saves.answered(name, whole);
    if let Stage::Copying { copied_bytes, total_bytes } = stage {
        app.saves.copies(name, copied_bytes, total_bytes);
    }
    let vm = servers.get(&saved.vm).copied().filter(|vm| vm.uuid == saved.uuid);
    follow(app, image, saved, judge(image, saved, vm, &stage, settings.max_tries)).await
}

/// Where the copy that is announced may be sent, if the node has it: by the token that it was given before, as long as
/// that is good.
fn send_to(app: &App, id: &UploadId, image: &Image, saved: &Saved) -> Option<SendTo> {
    saved.taken?;
    let announced = image.announced.as_ref()?.sha256.as_ref()?;
    if !app.saves.has_whole(&image.name, announced) {
        return None;
    }
    let given = app.saves.token(&image.name).filter(|token| app.uploads.admit(id, token).is_some());
    let token = given.or_else(|| app.uploads.open(id, image))?;
    app.saves.give(&image.name, &token);
    Some(SendTo { url: app.upload_url(id), token })
}

async fn follow(app: &App, image: &Image, saved: &Saved, verdict: Verdict) -> Result<(), Refusal> {
    match verdict {
        Verdict::Goes => Ok(()),
        Verdict::Take(copy) => take(app, image, saved, copy).await,
        Verdict::Lost(refusal) => lose(app, image, saved, refusal).await,
        Verdict::GiveUp(refusal) => imports::refuse(app, &image.name, refusal).await,
    }
}

/// The copy is whole, and its file is announced as any that is to be sent, if there is room for it.
async fn take(app: &App, image: &Image, saved: &Saved, copy: DiskCopy) -> Result<(), Refusal> {
    let most = app.settings.limits.max_image_bytes();
    if copy.size_bytes > most {
        let limit_mib = app.settings.limits.max_image_mib.to_string();
        let refusal = Refusal::ImageEndless { image: image.name.to_string(), limit_mib };
        return imports::refuse(app, &image.name, refusal).await;
    }
    let fits = admission::room(app, &image.name, copy.size_bytes);
    if let Err(refusal) = fits.and_then(|()| admission::growing(app, &image.name, copy.size_bytes)) {
        return imports::refuse(app, &image.name, refusal).await;
    }
    let file = Announced { size_bytes: Some(copy.size_bytes), sha256: Some(copy.sha256.clone()), url: None };
    app.change(&image.name, |now| {
        if !is_about(now, saved) || now.saved_from.as_ref().is_some_and(|s| s.taken.is_some()) {
            return Ok(Step::Leave);
        }
        applied(now, Change::CopyTaken { file: file.clone(), taken: copy.taken })
    })
    .await?;
    tracing::info!(image = %image.name, size_bytes = copy.size_bytes, "a server's disk is copied, and is sent now");
    Ok(())
}

/// Nothing will come of this copy. What has arrived of it fits no other.
async fn lose(app: &App, image: &Image, saved: &Saved, refusal: Refusal) -> Result<(), Refusal> {
    let (name, id) = (&image.name, UploadId::for_image(image));
    tracing::warn!(image = %name, tries = saved.tries, %refusal, "the copy of a server's disk is lost; another one is made");
    app.saves.lost(name, refusal);
    app.change(name, |now| if is_about(now, saved) { applied(now, Change::CopyLost) } else { Ok(Step::Leave) }).await?;
    app.uploads.close(&id);
    if let Err(error) = store::remove(&app.store.upload(&id)) {
        tracing::warn!(%error, "a part of a lost copy is still there; it is removed later");
    }
    Ok(())
}
