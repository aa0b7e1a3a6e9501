//! What the primary has to do about images that are saved from servers.
//!
//! ```text
//!               settled at a node                       whole
//!  no copy ──────────────────────▶ a node copies ──────────────▶ it is sent ──▶ (an import as any)
//!     ▲                                 │ failed, silent            │ lost
//!     └── after a pause, some times ────┴───────────────────────────┘
//! ```
//!
//! A server that is being moved or started is waited for. Whoever moves it breaks a copy off: moving
//! it is more urgent.

use std::collections::BTreeMap;

use watari_contracts::saving::{DiskCopy, Server, Stage};
use watari_model::{
    ImageName, Refusal, Said, Timestamp, VmName,
    image::{Copying, Image, Saved, State},
    said,
    vm::{self, Grant, Vm},
    word,
};

use super::imports::Upload;
use crate::store::UploadId;

/// The pause before the second copy, doubled up to the longest.
const FIRST_PAUSE_MS: u64 = 2_000;
const MOST_PAUSE_MS: u64 = 60_000;

/// What the primary sees.
pub struct Seen<'a> {
    /// All images.
    pub images: &'a [&'a Image],
    /// All servers, by name.
    pub servers: &'a BTreeMap<VmName, &'a Vm>,
    /// The uploads that have a file here.
    pub uploads: &'a BTreeMap<UploadId, Upload>,
    /// Now.
    pub now: Timestamp,
    /// How long a server may be waited for, and how long a copy that is being sent may stand still.
    pub patience_ms: u64,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Have a node make a copy.
    Begin(ImageName, Copying),
    /// Ask the node that makes one how far it is.
    Ask(ImageName),
    /// Give the image up.
    Refuse(ImageName, Refusal),
}

/// What is to be done.
#[must_use]
pub fn decide(seen: &Seen<'_>) -> Vec<Action> {
    let saved = seen.images.iter().filter(|image| image.state == State::Importing);
    saved.filter_map(|image| of(seen, image, image.saved_from.as_ref()?)).collect()
}

fn of(seen: &Seen<'_>, image: &Image, saved: &Saved) -> Option<Action> {
    let name = image.name.clone();
    let vm = seen.servers.get(&saved.vm).filter(|vm| vm.uuid == saved.uuid && vm.state != vm::State::Deleting);
    if saved.taken.is_some() {
        // What has been copied needs its server no more.
        let touched = seen.uploads.get(&UploadId::for_image(image)).map_or(saved.since, |u| u.touched.max(saved.since));
        let idle_ms = seen.now.millis_since(touched);
        return Some(if idle_ms < seen.patience_ms {
            Action::Ask(name)
        } else {
            let minutes = idle_ms / 60_000;
            let detail = said!(
                "no byte of the copy has arrived at the front end for {minutes} minutes",
                "複製のデータが {minutes} 分間フロントエンドに届いていません"
            );
            Action::Refuse(name, failed(image, saved, detail))
        });
    }
    let Some(vm) = vm else {
        let (image, vm) = (image.name.to_string(), saved.vm.to_string());
        return Some(Action::Refuse(name, Refusal::ImageServerGone { image, vm }));
    };
    if saved.copying.is_some() {
        return Some(Action::Ask(name));
    }
    let waited_ms = seen.now.millis_since(saved.since);
    match settled(vm) {
        Some(Grant { node, generation }) if waited_ms >= pause_ms(saved.tries) => {
            Some(Action::Begin(name, Copying { node: node.clone(), generation: *generation }))
        }
        None if waited_ms >= seen.patience_ms => {
            let (minutes, state) = (waited_ms / 60_000, vm.state.word());
            let ja = word::japanese(state).unwrap_or(state);
            let detail = said!("it has been {state} for {minutes} minutes", "{minutes} 分間「{ja}」のままです");
            Some(Action::Refuse(name, failed(image, saved, detail)))
        }
        Some(_) | None => None,
    }
}

/// The grant of a server whose disk is at rest where it is.
fn settled(vm: &Vm) -> Option<&Grant> {
    let rests = matches!(vm.state, vm::State::Running | vm::State::Stopped | vm::State::Failed);
    vm.grant.as_ref().filter(|_| rests && vm.crossing.is_none())
}

fn pause_ms(tries: u32) -> u64 {
    match tries.checked_sub(1) {
        None => 0,
        Some(before) => FIRST_PAUSE_MS.saturating_mul(1 << before.min(16)).min(MOST_PAUSE_MS),
    }
}

fn failed(image: &Image, saved: &Saved, detail: Said) -> Refusal {
    Refusal::ImageSaveFailed { image: image.name.to_string(), vm: saved.vm.to_string(), detail }
}

/// What the copying node said last. Lost with the process, and heard again a moment later.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// So many bytes are copied.
    pub copied_bytes: u64,
    /// So many are to be copied; 0 while that is not known.
    pub total_bytes: u64,
    /// Why the copy before came to nothing.
    pub lost: Option<Refusal>,
}

/// What an answer of the copying node comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Goes,
    /// The copy is whole: its file may be sent.
    Take(DiskCopy),
    /// There will be nothing of this copy; another one is to be made.
    Lost(Refusal),
    /// The image is given up.
    GiveUp(Refusal),
}

/// Judges an answer about the copy that the document is about. `vm` is its server as it is by now.
#[must_use]
pub fn judge(image: &Image, saved: &Saved, vm: Option<&Vm>, stage: &Stage, max_tries: u32) -> Verdict {
    match stage {
        Stage::Waiting | Stage::Copying { .. } | Stage::Sent => Verdict::Goes,
        Stage::Whole(copy) if saved.taken.is_none() => {
            if is_its_newest(saved, vm, copy) {
                Verdict::Take(copy.clone())
            } else {
                lost(image, saved, moved(saved), max_tries)
            }
        }
        Stage::Whole(copy) => {
            let announced = image.announced.as_ref().and_then(|file| file.sha256.as_ref());
            if announced == Some(&copy.sha256) {
                Verdict::Goes
            } else {
                // The agent was restarted, and has copied a disk that is another by now.
                lost(image, saved, moved(saved), max_tries)
            }
        }
        Stage::Failed(refusal) if refusal.retryable() => lost(image, saved, refusal.clone(), max_tries),
        Stage::Failed(refusal) => Verdict::GiveUp(failed(image, saved, refusal.said())),
    }
}

/// A copy is lost, once more or once too often.
#[must_use]
pub fn lost(image: &Image, saved: &Saved, refusal: Refusal, max_tries: u32) -> Verdict {
    if saved.tries < max_tries {
        return Verdict::Lost(refusal);
    }
    let Said { en, ja } = refusal.said();
    let tries = saved.tries;
    let detail = said!(
        "{tries} copies came to nothing, the last because {en}",
        "複製を {tries} 回試みましたが、完了しませんでした。最後の原因: {ja}"
    );
    Verdict::GiveUp(failed(image, saved, detail))
}

/// A server that ran while it was copied was there. One that was off may have been started elsewhere
/// since it was asked for; its grant says so.
fn is_its_newest(saved: &Saved, vm: Option<&Vm>, copy: &DiskCopy) -> bool {
    let granted = || {
        let grant = vm.and_then(|vm| vm.grant.as_ref());
        let copying = saved.copying.as_ref();
        grant.zip(copying).is_some_and(|(g, c)| g.node == c.node && g.generation == c.generation)
    };
    copy.server == Server::Running || granted()
}

fn moved(saved: &Saved) -> Refusal {
    Refusal::AgentState {
        vm: saved.vm.to_string(),
        node: saved.copying.as_ref().map(|copying| copying.node.to_string()).unwrap_or_default(),
        state: "no longer as it was copied".to_owned(),
        wanted: "be saved as an image".to_owned(),
    }
}

#[cfg(test)]
mod tests;
