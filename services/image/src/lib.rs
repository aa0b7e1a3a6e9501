//! The image service.
//!
//! ```text
//!  bus ──▶ inbound ──┐                        ┌──▶ checking (header parser, digest, qemu-img)
//!                    ├─▶ catalogue ─▶ plan ───┤
//!  https ─▶ uploads ─┤   (documents)  (pure)  └──▶ copies (other front ends) ──▶ store (disk)
//!  URLs ─▶ downloads ┤
//! agents ◀── saves ───┘   (which then send as operators do)
//! ```
//!
//! Both front ends run an instance. The primary answers requests, takes uploads and checks them;
//! every instance keeps a copy of every ready image and serves it to the nodes of its site and to
//! the other front ends. Three loops make it true: `imports` and `saves` (the primary's) and `copies`
//! (each instance's); they look at the documents, at the disk and at what agents answer, and at nothing else. Where a
//! site has an object store, ready images are kept there as well (`objects`), and `copies` looks after that too.

mod admission;
pub mod app;
pub mod catalogue;
pub mod checking;
pub mod copies;
pub mod digest;
pub mod downloads;
pub mod header;
pub mod https;
pub mod imports;
pub mod inbound;
mod metric_names;
pub mod metrics;
pub mod objects;
pub mod pace;
pub mod plan;
pub mod saves;
pub mod settings;
pub mod store;
pub mod tls;
mod trickle;
pub mod uploads;

use std::{net::SocketAddr, sync::Arc};

use axum_server::tls_rustls::RustlsConfig;
use watari_chassis::Context;

use crate::{app::App, settings::ImageSection};

/// Why the service cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// A setting.
    #[error("{0}")]
    Settings(String),
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    /// The data folder.
    #[error(transparent)]
    Store(#[from] store::StoreError),
    /// A listener.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The bus.
    #[error(transparent)]
    Bus(#[from] watari_chassis::BusError),
    /// The metrics.
    #[error("two metrics have one name: {0}")]
    Metrics(#[from] watari_chassis::prometheus::Error),
    /// The process is to stop before it has begun.
    #[error("told to stop")]
    Stopped,
}

/// A running instance, for tests that ask where it listens.
pub struct Running {
    /// What all parts share.
    pub app: Arc<App>,
    /// Where images are served.
    pub blobs: SocketAddr,
    /// Where uploads arrive.
    pub uploads: SocketAddr,
}

/// The whole work of the process: starts, and ends when it is told to stop.
///
/// # Errors
/// [`ServiceError`].
pub async fn work<S: Into<ImageSection>>(ctx: Context, settings: S) -> Result<(), ServiceError> {
    let shutdown = ctx.shutdown.clone();
    match start(ctx, settings.into()).await {
        Ok(_running) => shutdown.cancelled().await,
        Err(ServiceError::Stopped) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Starts every part of an instance.
///
/// # Errors
/// [`ServiceError`].
pub async fn start(ctx: Context, settings: ImageSection) -> Result<Running, ServiceError> {
    let tls = tls::Tls::load(&settings.tls)?;
    let blobs = https::listen(settings.listen_blobs)?;
    let uploads = https::listen(settings.listen_uploads)?;
    let app = App::open(ctx, settings).await?;
    let client = tls.client()?;
    let running = Running { app: Arc::clone(&app), blobs: blobs.address, uploads: uploads.address };
    let (readers, senders) = (RustlsConfig::from_config(tls.mutual()?), RustlsConfig::from_config(tls.one_sided()?));
    https::serve(&app, "blobs", blobs, https::blobs::routes(&app), readers.clone(), 0);
    https::serve(&app, "uploads", uploads, https::uploads::routes(&app), senders, https::uploads::READ_AHEAD);
    tls::heed(&app, tls, readers);
    imports::begin(&app);
    saves::begin(&app);
    copies::begin(&app, client);
    inbound::begin(&app);
    Ok(running)
}
