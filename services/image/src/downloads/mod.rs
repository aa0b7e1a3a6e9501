//! Files that the front end fetches itself. The primary's loop asks for each again and again; here
//! it is made sure that one job at a time does it, and that it ends with its reason.

pub mod address;
mod fetch;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Semaphore;
use watari_model::{ImageName, Refusal, image::State};

use crate::{app::App, catalogue::Step, imports, settings::Urls, store::UploadId};

/// Files being fetched.
pub struct Downloads {
    running: Mutex<BTreeSet<UploadId>>,
    places: Arc<Semaphore>,
}

impl Downloads {
    /// None yet.
    #[must_use]
    pub fn new(settings: &Urls) -> Self {
        // reqwest takes the process's default, and more than one may be in the build.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { running: Mutex::default(), places: Arc::new(Semaphore::new(settings.max_downloads)) }
    }

    /// How many are being fetched.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.running().len()
    }

    fn running(&self) -> MutexGuard<'_, BTreeSet<UploadId>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a job ended.
enum Ended {
    /// All of it is here: so many bytes.
    Whole(u64),
    /// It is given up.
    Refused(Refusal),
    /// The image is not wanted any more, or this instance no longer leads.
    Overtaken,
}

/// Begins to fetch an image's file, unless that is being done.
pub(crate) fn start(app: &Arc<App>, name: &ImageName) {
    let Some(entry) = app.images.get(name.as_str()) else { return };
    let image = &entry.value;
    let Some(url) = image.announced.as_ref().and_then(|a| a.url.clone()) else { return };
    let id = UploadId::for_image(image);
    if !app.downloads.running().insert(id.clone()) {
        return;
    }
    let Ok(place) = Arc::clone(&app.downloads.places).try_acquire_owned() else {
        // The next turn of the loop asks again.
        app.downloads.running().remove(&id);
        return;
    };
    let (app, name, request_id) = (Arc::clone(app), name.clone(), image.request_id.clone());
    let job = Arc::clone(&app);
    app.ctx.spawn("download", async move {
        let app = job;
        let job = Job { app: &app, name: &name, request_id: &request_id, id: &id };
        let ended = job.run(&url).await;
        let done = match ended {
            Ended::Whole(size) => imports::arrived(&app, &name, &id, size).await,
            Ended::Refused(refusal) => imports::refuse(&app, &name, refusal).await,
            Ended::Overtaken => Ok(()),
        };
        if let Err(error) = done {
            tracing::warn!(image = %name, %error, "the end of a download is not noted yet");
        }
        app.downloads.running().remove(&id);
        drop(place);
        app.wake_imports.wake();
    });
}

/// One file being fetched.
struct Job<'a> {
    app: &'a App,
    name: &'a ImageName,
    request_id: &'a str,
    id: &'a UploadId,
}

impl Job<'_> {
    /// Notes how large the file will be, so that whoever waits sees how far it is.
    async fn tell_size(&self, size: u64) {
        let told = self.app.change(self.name, |image| {
            let same = image.state == State::Importing && image.request_id == self.request_id;
            match &mut image.announced {
                Some(announced) if same && announced.size_bytes != Some(size) => announced.size_bytes = Some(size),
                _ => return Ok(Step::Leave),
            }
            Ok(Step::Write)
        });
        if let Err(error) = told.await {
            tracing::debug!(image = %self.name, %error, "a download's size is not noted");
        }
    }

    /// Whether anybody still wants it from us.
    fn wanted(&self) -> bool {
        let entry = self.app.images.get(self.name.as_str());
        let same = entry.is_some_and(|e| e.value.request_id == self.request_id && e.value.state == State::Importing);
        same && self.app.is_primary() && !self.app.ctx.shutdown.is_cancelled()
    }
}
