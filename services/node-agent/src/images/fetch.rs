//! One image from one of several sources, resumed where it broke off, verified before it counts.

use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures_util::StreamExt;
use reqwest::{Client, StatusCode, header};
use tokio::io::AsyncWriteExt;
use tokio_util::sync::CancellationToken;

use super::{
    cache::{Cache, PARTIAL},
    digest,
    trust::{self, TrustError},
};
use crate::settings;

/// Where images come from.
pub(super) struct Sources {
    client: Client,
    origins: Vec<String>,
}

/// How one attempt ended badly.
enum Broken {
    /// What is there is worth keeping for the next attempt.
    Midway(String),
    /// What is there is not the image.
    Wrong(String),
}

impl Sources {
    pub(super) fn new(settings: &settings::Image) -> Result<Self, TrustError> {
        let client = trust::client(settings)?
            .read_timeout(Duration::from_secs(settings.stall_seconds))
            .pool_max_idle_per_host(0)
            .build()?;
        let origins = settings.sources.iter().map(|s| s.trim_end_matches('/').to_owned()).collect();
        Ok(Self { client, origins })
    }

    /// Fetches into `path`, from the first source that has it, making room for it among the others.
    pub(super) async fn fetch(&self, sha256: &str, path: &Path, cache: &Arc<Cache>) -> Result<(), String> {
        if self.origins.is_empty() {
            return Err("no source is configured ([image] sources)".to_owned());
        }
        let mut partial = path.as_os_str().to_owned();
        partial.push(".");
        partial.push(PARTIAL);
        let partial = PathBuf::from(partial);
        let mut said = Vec::new();
        for origin in &self.origins {
            // Once more where it broke off in the middle: the common case is a hiccup.
            for attempt in 0..2 {
                let resumed = tokio::fs::metadata(&partial).await.is_ok_and(|meta| meta.len() > 0);
                let outcome = match self.pull(origin, sha256, &partial, cache).await {
                    Ok(()) => land(sha256, &partial, path).await,
                    Err(broken) => Err(broken),
                };
                match outcome {
                    Ok(()) => {
                        tracing::info!(sha256, origin, "base image fetched and verified");
                        return Ok(());
                    }
                    Err(Broken::Midway(detail)) => {
                        tracing::warn!(sha256, origin, attempt, detail, "a base image did not arrive");
                        if attempt > 0 {
                            said.push(format!("{origin}: {detail}"));
                        }
                    }
                    Err(Broken::Wrong(detail)) => {
                        tracing::warn!(sha256, origin, detail, "a base image is not what it should be");
                        discard(&partial).await;
                        // What was there before, perhaps from before a power cut, need not have been this source's.
                        if !resumed || attempt > 0 {
                            said.push(format!("{origin}: {detail}"));
                            break;
                        }
                    }
                }
            }
        }
        Err(said.join("; "))
    }

    /// Adds to `partial` what is missing of it.
    async fn pull(&self, origin: &str, sha256: &str, partial: &Path, cache: &Arc<Cache>) -> Result<(), Broken> {
        let midway = |error: &dyn std::error::Error| Broken::Midway(innermost(error));
        let have = tokio::fs::metadata(partial).await.map_or(0, |meta| meta.len());
        let mut request = self.client.get(format!("{origin}/v1/blobs/{sha256}"));
        if have > 0 {
            request = request.header(header::RANGE, format!("bytes={have}-"));
        }
        let answer = request.send().await.map_err(|error| midway(&error))?;
        let mut open = tokio::fs::OpenOptions::new();
        match answer.status() {
            StatusCode::OK => open.create(true).write(true).truncate(true),
            StatusCode::PARTIAL_CONTENT if begins_at(&answer, have) => open.append(true),
            // All of it is here already: what remains is to verify it.
            StatusCode::RANGE_NOT_SATISFIABLE => return Ok(()),
            StatusCode::PARTIAL_CONTENT => return Err(Broken::Wrong("it sent another part than was asked".to_owned())),
            status => return Err(Broken::Midway(format!("it answered {status}"))),
        };
        cache.make_room(answer.content_length().unwrap_or(0), 0).await;
        let mut file = open.open(partial).await.map_err(|error| midway(&error))?;
        let mut body = answer.bytes_stream();
        let mut arrived = Ok(());
        while arrived.is_ok()
            && let Some(piece) = body.next().await
        {
            arrived = match piece {
                Ok(piece) => file.write_all(&piece).await.map_err(|error| midway(&error)),
                Err(error) => Err(midway(&error)),
            };
        }
        // However it ended: a write may still be under way, and the next try begins where the file ends.
        file.flush().await.map_err(|error| midway(&error))?;
        arrived?;
        file.sync_all().await.map_err(|error| midway(&error))
    }
}

/// Whether a partial answer begins where ours ends: `Content-Range: bytes HAVE-…`.
fn begins_at(answer: &reqwest::Response, have: u64) -> bool {
    let range = answer.headers().get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
    let first = range.and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.parse::<u64>().ok());
    first == Some(have)
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

/// Verifies what arrived, and only then gives it its name.
async fn land(sha256: &str, partial: &Path, path: &Path) -> Result<(), Broken> {
    let (sha256, partial, path) = (sha256.to_owned(), partial.to_owned(), path.to_owned());
    let landing = move || {
        let found = digest(&partial, &CancellationToken::new());
        let found = found.map_err(|error| Broken::Midway(error.to_string()))?.unwrap_or_default();
        if found != sha256 {
            return Err(Broken::Wrong(format!("its digest is {found}")));
        }
        name(&partial, &path).map_err(|error| Broken::Midway(error.to_string()))
    };
    tokio::task::spawn_blocking(landing).await.unwrap_or_else(|error| Err(Broken::Midway(error.to_string())))
}

fn name(partial: &Path, path: &Path) -> io::Result<()> {
    fs::set_permissions(partial, Permissions::from_mode(0o444))?;
    File::open(partial)?.sync_all()?;
    fs::rename(partial, path)?;
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

async fn discard(partial: &Path) {
    if let Err(error) = tokio::fs::remove_file(partial).await
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, path = %partial.display(), "a useless file stays");
    }
}
