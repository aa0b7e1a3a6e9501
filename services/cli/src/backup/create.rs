//! Making a backup.

use std::path::Path;

use watari_chassis::{Bus, Chest, ReadError, clock};
use watari_contracts::permissions::LEASES;

use super::{
    archive::{self, Archive, Header, Record},
    kinds::KINDS,
    permitted,
    prepare::unusable,
    show::Summary,
    sound,
};
use crate::{
    Context,
    failure::Failure,
    out::say,
    texts::{faults::Fault, words::Word},
};

pub(super) async fn run(ctx: &Context, path: &Path) -> Result<(), Failure> {
    let bus = ctx.session.bus().await?;
    let archive = permitted(ctx, read(bus)).await?;
    let file = |error: std::io::Error| Fault::File { path: path.display().to_string(), detail: error.to_string() };
    archive::store(path, &archive::pack(&archive).map_err(file)?)?;
    // What the disk gives back, as `verify` sees it. A document that cannot be read is kept all the same.
    let bytes = archive::load(path)?;
    sound(path, &bytes)?;
    ctx.out.show(&Summary::of(path, &bytes, &archive))?;
    if ctx.out.format.is_for_people() {
        say(Word::BackupSecret.text(ctx.out.lang));
    }
    Ok(())
}

/// All documents, each as it is at some moment while this reads.
async fn read(bus: &Bus) -> Result<Archive, Failure> {
    let began_at = clock::now();
    let mut records = Vec::new();
    for (bucket, _) in KINDS {
        for written in open(bus, bucket).await?.documents().await.map_err(|error| unread(bucket, &error))? {
            let unreadable = |_| unusable(bucket, &written.key, "it is not UTF-8 text");
            let document = String::from_utf8(written.payload.to_vec()).map_err(unreadable)?;
            let (revision, written_at) = (written.revision, written.created);
            records.push(Record { bucket: bucket.to_owned(), key: written.key, revision, written_at, document });
        }
    }
    // Last of all: whoever leads by now has written to it.
    let epoch = open(bus, LEASES).await?.reach().await.map_err(|error| unread(LEASES, &error))?.last;
    let watari = env!("CARGO_PKG_VERSION").to_owned();
    let header = Header { watari, began_at, ended_at: clock::now(), epoch, documents: Default::default() };
    let mut archive = Archive { header, records };
    archive.header.documents = archive.count();
    Ok(archive)
}

/// A bucket that its service has made.
pub(super) async fn open(bus: &Bus, bucket: &'static str) -> Result<Chest, Fault> {
    let found = Chest::find(bus, bucket).await.map_err(|error| unread(bucket, &error))?;
    found.ok_or_else(|| Fault::BackupNoBucket { bucket: bucket.to_owned() })
}

pub(super) fn unread(bucket: &str, error: &ReadError) -> Fault {
    Fault::BackupBus { bucket: bucket.to_owned(), detail: error.to_string() }
}
