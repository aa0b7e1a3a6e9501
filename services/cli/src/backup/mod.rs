//! `watari backup`: all that the control plane knows, in one file, and back into empty buckets.
//!
//! It reads and fills the buckets themselves, as root on a front end under an identity of its own
//! (`watari setup` makes it): a backup holds every secret that the documents hold, which is more than any
//! operator may see. Files of images and servers' disks are in no backup.

mod archive;
mod create;
mod found;
mod kinds;
mod prepare;
mod restore;
mod show;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::{
    Context,
    failure::Failure,
    options::Consent,
    out::Out,
    texts::{faults::Fault, words::Word},
};
use archive::{Archive, Unsound};
use prepare::unusable;

/// All documents in one file, and back again
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Write all documents into a file, while everything runs on
    #[command(after_help = "\
Example, as root on a front end:
  watari backup create /var/backups/watari-$(date +%F)

The file holds servers' user-data, which may be secret: keep it as you keep a key. Files of images and disks
of servers are not in it.")]
    Create(Which),
    /// Read a backup wholly: its digest, and whether each document can be used
    #[command(after_help = "Example:\n  watari backup verify /var/backups/watari-2027-03-20")]
    Verify(Which),
    /// Fill an empty installation from a backup, while its services are stopped and its nodes run
    #[command(after_help = "\
Example, as root, after the services were started once everywhere. First, on every front end:
  systemctl stop watari-scheduler watari-image watari-network watari-monitor
Then, on one of them:
  watari backup restore /var/backups/watari-2027-03-20
And again on every front end:
  systemctl start watari-front.target

Servers run on meanwhile. What nodes say of them goes before what the backup says: a server that has moved
since is taken for where it is.")]
    Restore(Restore),
}

/// Which file.
#[derive(Debug, Args)]
pub struct Which {
    /// The file
    file: PathBuf,
}

/// What to restore.
#[derive(Debug, Args)]
pub struct Restore {
    /// The file
    file: PathBuf,
    #[command(flatten)]
    consent: Consent,
}

impl Verb {
    /// Does what asks nobody; `None` if somebody must be asked.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn alone(&self, out: Out) -> Option<Result<(), Failure>> {
        match self {
            Self::Verify(Which { file }) => Some(verify(out, file)),
            Self::Create(_) | Self::Restore(_) => None,
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn run(self, ctx: &Context) -> Result<(), Failure> {
        match self {
            Self::Create(Which { file }) => create::run(ctx, &file).await,
            Self::Verify(Which { file }) => verify(ctx.out, &file),
            Self::Restore(Restore { file, consent }) => restore::run(ctx, &file, consent).await,
        }
    }
}

fn verify(out: Out, path: &Path) -> Result<(), Failure> {
    let bytes = archive::load(path)?;
    let archive = sound(path, &bytes)?;
    out.show(&show::Summary::of(path, &bytes, &archive))?;
    if out.format.is_for_people() { out.text(Word::BackupSound.text(out.lang)) } else { Ok(()) }
}

/// Has `work` done on the buckets, unless NATS does not let this identity: else that would be waited for in vain.
async fn permitted<T>(ctx: &Context, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::select! {
        biased;
        done = work => done,
        refused = ctx.session.forbidden() => Err(Fault::BackupNotPermitted { detail: refused? }.into()),
    }
}

/// A backup of which every byte and every document is as it should be.
fn sound(path: &Path, bytes: &[u8]) -> Result<Archive, Fault> {
    let shown = || path.display().to_string();
    let archive = archive::unpack(bytes).map_err(|unsound| match unsound {
        Unsound::NotOne => Fault::BackupNotOne { path: shown() },
        Unsound::Damaged => Fault::BackupDamaged { path: shown() },
    })?;
    let bad = archive.records.iter().find_map(|record| {
        let detail = kinds::complaint(&record.bucket, &record.key, &record.document)?;
        Some(unusable(&record.bucket, &record.key, &detail))
    });
    bad.map_or(Ok(archive), Err)
}
