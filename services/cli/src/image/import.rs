//! `watari image import`.

use std::path::PathBuf;

use clap::Args;
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;
use watari_contracts::image::{ImageView, ImportImage};
use watari_model::{ImageName, Said};

use super::{about::Sayings, pipe::Pipe, ready, upload::Upload};
use crate::{
    Context,
    failure::Failure,
    format::hex,
    input,
    options::Waiting,
    out,
    progress::Progress,
    texts::{
        faults::Fault,
        words::{self, Word},
    },
};

/// How much of the file is read at a time.
pub(super) const CHUNK: usize = 256 * 1024;

/// What to send.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  watari image import mini.qcow2 --name mini --wait
  watari image import https://images.example.org/mini.qcow2.xz \\
    --name mini --wait
  ssh old-host cat /disks/mail.vmdk | watari image import - --name mail --wait
  watari image import debian.qcow2 --name debian --os 'Debian 13' \\
    --edition 20261101 --default-user debian --min-memory 512MiB
  watari image import rocky.qcow2 --name rocky --firmware uefi --wait
  # Computed first, and compared at the other end:
  watari image import mini.qcow2 --name mini --sha256
  watari image import mini.qcow2 --name mini \\
    --sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
pub struct Import {
    /// A disk (qcow2, raw, VMDK, VHDX or VDI, plain or under gzip, xz or zstd): a file, an http:// or
    /// https:// URL that the front end fetches, or - for standard input
    file: PathBuf,
    /// The image's name
    #[arg(long)]
    name: String,
    /// Have the front end compare the file's SHA-256: with this one, or with one computed before sending
    #[arg(long, value_name = "DIGEST", num_args = 0..=1, require_equals = false, default_missing_value = "")]
    sha256: Option<String>,
    #[command(flatten)]
    said: Sayings,
    #[command(flatten)]
    waiting: Waiting,
}

impl Import {
    /// Announces, sends, and waits if wanted.
    pub(super) async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let name = input::name(&self.name)?;
        let mut progress = Progress::new();
        let text = self.file.to_str().unwrap_or_default();
        let url = text.split_once("://").is_some().then(|| text.to_owned());
        let view = match url {
            Some(_) => self.fetched(ctx, name, url).await?,
            None if text == "-" => self.piped(ctx, name, &mut progress).await?,
            None => self.sent(ctx, name, &mut progress).await?,
        };
        let view = if self.waiting.wait { ready(ctx, self.waiting, &mut progress, &view.name).await? } else { view };
        drop(progress);
        ctx.out.row(&view)
    }

    fn announcement(
        &self,
        ctx: &Context,
        name: ImageName,
        size_bytes: Option<u64>,
        sha256: Option<String>,
    ) -> Result<ImportImage, Failure> {
        let (request_id, about) = (ctx.session.request_id(), self.said.about()?);
        Ok(ImportImage { request_id, name, size_bytes, sha256, url: None, about })
    }

    /// The digest that was given; one cannot be computed of what is not here yet.
    fn given_digest(&self) -> Result<Option<String>, Failure> {
        self.sha256.as_deref().map(checked_digest).transpose()
    }

    /// The front end fetches it.
    async fn fetched(&self, ctx: &Context, name: ImageName, url: Option<String>) -> Result<ImageView, Failure> {
        let announcement = ImportImage { url, ..self.announcement(ctx, name, None, self.given_digest()?)? };
        Ok(ctx.session.ask(&announcement).await?.image)
    }

    /// It comes through standard input.
    async fn piped(&self, ctx: &Context, name: ImageName, progress: &mut Progress) -> Result<ImageView, Failure> {
        let announcement = self.announcement(ctx, name, None, self.given_digest()?)?;
        Pipe { ctx, announcement: &announcement }.send(tokio::io::stdin(), progress).await
    }

    /// It is a file.
    async fn sent(&self, ctx: &Context, name: ImageName, progress: &mut Progress) -> Result<ImageView, Failure> {
        let unusable = |detail: String| Fault::UploadFile { path: self.file.display().to_string(), detail };
        let there = tokio::fs::metadata(&self.file).await;
        let metadata = there.map_err(|e| Fault::unread(&self.file.display().to_string(), &e))?;
        if !metadata.is_file() {
            return Err(unusable("it is not a regular file".to_owned()).into());
        }
        let size = metadata.len();
        let sha256 = match self.sha256.as_deref() {
            Some("") => Some(self.digest(progress, size, ctx).await.map_err(|e| unusable(e.to_string()))?),
            _ => self.given_digest()?,
        };
        let announcement = self.announcement(ctx, name, Some(size), sha256)?;
        let upload = Upload { ctx, announcement: &announcement, size, file: &self.file };
        upload.send(progress).await.inspect_err(|failure| {
            if matches!(failure, Failure::Own(Fault::UploadBroken { .. })) {
                out::say(&words::resume_import(ctx.out.lang, &announcement.request_id));
            }
        })
    }

    async fn digest(&self, progress: &mut Progress, size: u64, ctx: &Context) -> std::io::Result<String> {
        let mut file = tokio::fs::File::open(&self.file).await?;
        let (mut hasher, mut chunk, mut done) = (Sha256::new(), vec![0; CHUNK], 0);
        loop {
            let n = file.read(&mut chunk).await?;
            if n == 0 {
                progress.over(&self.name);
                return Ok(hex(&hasher.finalize()));
            }
            hasher.update(&chunk[..n]);
            done += n as u64;
            progress.arriving(ctx.out.lang, &self.name, done, Some(size), Word::Hashing.text(ctx.out.lang));
        }
    }
}

fn checked_digest(text: &str) -> Result<String, Failure> {
    let digest = text.to_ascii_lowercase();
    if digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()) {
        Ok(digest)
    } else {
        Err(input::out_of_range(
            "--sha256",
            Said::new("64 hexadecimal digits, or nothing to have it computed", "16 進数 64 桁 (値を省くと計算します)"),
            text,
        ))
    }
}
