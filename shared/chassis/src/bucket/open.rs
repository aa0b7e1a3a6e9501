//! Making a bucket, or finding it as another front end made it a moment ago.

use std::time::Duration;

use async_nats::jetstream::{
    ErrorCode,
    context::{CreateStreamErrorKind, GetStreamErrorKind},
    stream::{Config, DiscardPolicy, Republish, StorageType},
};
use watari_model::Document;

use super::Bucket;
use crate::{Context, clock, run::chain};

/// The process is shutting down, so nothing is waited for any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the process is shutting down")]
pub struct Stopped;

/// What of a bucket may be chosen.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Past writes that are kept of each document, for people who look for what happened.
    pub history: i64,
    /// Numbers the writes from the Unix time of the bucket's making, in milliseconds, instead of from 1.
    /// Where revisions are epochs they then still grow if the bucket is lost and made anew, as long as there
    /// is less than one write each millisecond. (Seconds would not do: leases are renewed more often.)
    pub revisions_from_time: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self { history: 8, revisions_from_time: false }
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MOST_PAUSE: Duration = Duration::from_secs(5);

impl<T: Document> Bucket<T> {
    /// For the service that owns the documents: finds the bucket or makes it, waiting as long as
    /// NATS has no quorum. Two front ends may do this at the same moment.
    ///
    /// # Errors
    /// [`Stopped`] only.
    pub async fn open(ctx: &Context) -> Result<Self, Stopped> {
        Self::open_as(ctx, Shape::default()).await
    }

    /// The same for a bucket of a particular shape.
    ///
    /// # Errors
    /// [`Stopped`] only.
    pub async fn open_as(ctx: &Context, shape: Shape) -> Result<Self, Stopped> {
        patiently(ctx, T::BUCKET, || Self::ensured(ctx, shape)).await
    }

    /// For a service that only reads the documents: waits until their owner has made the bucket.
    ///
    /// # Errors
    /// [`Stopped`] only.
    pub async fn of_another(ctx: &Context) -> Result<Self, Stopped> {
        patiently(ctx, T::BUCKET, || Self::found(ctx)).await
    }

    async fn found(ctx: &Context) -> Result<Self, String> {
        let store = ctx.bus.jetstream().get_key_value(T::BUCKET).await;
        store.map(|store| Self::new(ctx, store)).map_err(|e| chain(&e))
    }

    async fn ensured(ctx: &Context, shape: Shape) -> Result<Self, String> {
        let wanted = config(T::BUCKET, T::PRIVATE, shape, ctx.bus.settings().replicas);
        match ctx.bus.jetstream().get_stream(&wanted.name).await {
            Ok(stream) => mend(ctx, &stream.cached_info().config, wanted).await,
            Err(error) if is_absent(&error.kind()) => make(ctx, wanted).await?,
            Err(error) => return Err(chain(&error)),
        }
        Self::found(ctx).await
    }
}

/// Tries until it succeeds, telling once what is waited for and again when that changes.
async fn patiently<B, F: Future<Output = Result<B, String>>>(
    ctx: &Context,
    bucket: &str,
    mut attempt: impl FnMut() -> F,
) -> Result<B, Stopped> {
    let mut pause = FIRST_PAUSE;
    let mut told = String::new();
    loop {
        let tried = tokio::select! {
            tried = attempt() => tried,
            () = ctx.shutdown.cancelled() => return Err(Stopped),
        };
        match tried {
            Ok(bucket) => return Ok(bucket),
            Err(error) if error != told => {
                tracing::warn!(bucket, error, "waiting for the bucket");
                told = error;
            }
            Err(_) => {}
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = ctx.shutdown.cancelled() => return Err(Stopped),
        }
        pause = (pause * 2).min(MOST_PAUSE);
    }
}

fn config(bucket: &str, private: bool, shape: Shape, replicas: usize) -> Config {
    let millis = clock::now().0.unix_timestamp_nanos() / 1_000_000;
    let first = u64::try_from(millis).ok().filter(|_| shape.revisions_from_time);
    Config {
        name: format!("KV_{bucket}"),
        description: Some(format!("watari: {bucket}, one document a resource")),
        subjects: vec![format!("$KV.{bucket}.>")],
        max_messages_per_subject: shape.history,
        storage: StorageType::File,
        num_replicas: replicas,
        discard: DiscardPolicy::New,
        allow_rollup: true,
        deny_delete: true,
        allow_direct: true,
        first_sequence: first,
        // The write and its event are one: the server publishes what it has stored.
        republish: (!private).then(|| Republish {
            source: format!("$KV.{bucket}.>"),
            destination: format!("watari.event.{bucket}.>"),
            headers_only: false,
        }),
        ..Config::default()
    }
}

pub(super) fn is_absent(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

async fn make(ctx: &Context, wanted: Config) -> Result<(), String> {
    let name = wanted.name.clone();
    match ctx.bus.jetstream().create_stream(wanted).await {
        Ok(_) => {
            tracing::info!(stream = name, "made the bucket");
            Ok(())
        }
        // The other front end was first.
        Err(error) if matches!(error.kind(), CreateStreamErrorKind::JetStream(e) if e.error_code() == ErrorCode::STREAM_NAME_EXIST) => {
            Ok(())
        }
        Err(error) => Err(chain(&error)),
    }
}

/// Brings a bucket that exists to what is wanted, as far as that loses nothing: more replicas and
/// history, events and direct reads. What would lose something is only told.
async fn mend(ctx: &Context, there: &Config, wanted: Config) {
    let mut mended = there.clone();
    mended.republish = wanted.republish;
    mended.allow_direct = true;
    mended.deny_delete = true;
    mended.num_replicas = there.num_replicas.max(wanted.num_replicas);
    mended.max_messages_per_subject = there.max_messages_per_subject.max(wanted.max_messages_per_subject);
    if there.num_replicas > wanted.num_replicas {
        tracing::warn!(
            stream = there.name,
            has = there.num_replicas,
            wanted = wanted.num_replicas,
            "the bucket keeps more copies than configured; left so"
        );
    }
    if there.storage != StorageType::File {
        tracing::error!(
            stream = there.name,
            "the bucket is kept in memory and does not survive a power cut; make it anew from a backup"
        );
    }
    if mended == *there {
        return;
    }
    match ctx.bus.jetstream().update_stream(&mended).await {
        Ok(_) => tracing::info!(stream = there.name, "changed the bucket's settings to the configured ones"),
        Err(error) => tracing::warn!(
            stream = there.name,
            error = chain(&error),
            "the bucket keeps other settings than configured"
        ),
    }
}
