//! The requests that come over the bus, one file each.

mod delete;
mod edit;
mod import;
mod report;
mod save;
mod show;

use std::sync::Arc;

use watari_chassis::Server;
use watari_contracts::{
    Service,
    image::{DeleteImage, EditImage, GetImage, ImportImage, ListImages, ReportCopy, SaveImage},
};

use crate::app::App;

/// Begins to answer whenever this instance leads.
pub fn begin(app: &Arc<App>) {
    macro_rules! handler {
        ($handle:path) => {{
            let app = Arc::clone(app);
            move |_call, request| {
                let app = Arc::clone(&app);
                async move { $handle(&app, request).await }
            }
        }};
    }
    // What is begun counts as that of who asks for it.
    macro_rules! beginner {
        ($handle:path) => {{
            let app = Arc::clone(app);
            move |call, request| {
                let app = Arc::clone(&app);
                async move { $handle(&app, call.asker, request).await }
            }
        }};
    }
    let server = Server::new(&app.ctx, Service::Image)
        .endpoint::<ImportImage, _, _, _>(beginner!(import::handle))
        .endpoint::<SaveImage, _, _, _>(beginner!(save::handle))
        .endpoint::<EditImage, _, _, _>(handler!(edit::handle))
        .endpoint::<GetImage, _, _, _>(handler!(show::get))
        .endpoint::<ListImages, _, _, _>(handler!(show::list))
        .endpoint::<DeleteImage, _, _, _>(handler!(delete::handle))
        .endpoint::<ReportCopy, _, _, _>(handler!(report::handle));
    let leadership = app.leadership.clone();
    let shutdown = app.ctx.shutdown.clone();
    app.ctx.spawn("requests", async move {
        if let Err(error) = server.serve(leadership).await {
            tracing::error!(%error, "requests are not answered, so the process stops");
            shutdown.cancel();
        }
    });
}
