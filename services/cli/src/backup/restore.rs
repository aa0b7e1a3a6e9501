//! Filling an empty installation from a backup.
//!
//! The services are stopped, so that nobody decides anything upon half of the documents; the agents run, and
//! are heard first. Every document is made by compare-and-set where none is, so that a restoration that broke
//! off is simply repeated.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};
use watari_chassis::{Chest, Messages, PastWrite, Patience, WriteError};
use watari_contracts::{
    agent::NodeFacts,
    frontend::{AskStanding, STANDING, Standing},
    permissions::LEASES,
    subjects,
};
use watari_model::{Document, NodeName, frontend::Primacy, node::Node, site::Site};

use super::{
    archive::{self, Archive},
    create::{open, unread},
    found::{Finding, Heard},
    kinds::KINDS,
    permitted,
    prepare::{Prepared, Wanted, prepare, read, unusable},
    show::Restored,
    sound,
};
use crate::{
    Context,
    confirm::confirm,
    failure::Failure,
    options::Consent,
    out::{Format, say},
    texts::{faults::Fault, losses, words::Word},
};

/// A process that is there answers within a few milliseconds.
const STANDINGS: Patience = Patience { total: Duration::from_secs(3), quiet: Duration::from_millis(500) };
/// Agents report every five seconds by default. So long the nodes of the backup are waited for at most.
const LISTENING: Duration = Duration::from_secs(16);
/// So long it is listened in any case: nodes that were added since are not known.
const AT_LEAST: Duration = Duration::from_secs(6);

pub(super) async fn run(ctx: &Context, path: &Path, consent: Consent) -> Result<(), Failure> {
    let bytes = archive::load(path)?;
    let archive = sound(path, &bytes)?;
    confirm(ctx, consent, &losses::restore_backup(ctx.out.lang, archive.records.len(), &path.display().to_string()))?;
    nobody_serves(ctx).await?;
    permitted(ctx, may_read(ctx)).await?;
    let facts = ctx.session.hear(subjects::FACTS).await?;
    let chests = chests(ctx).await?;
    if ctx.out.format.is_for_people() {
        say(Word::ListeningToNodes.text(ctx.out.lang));
    }
    let heard = listen(&archive, facts).await?;
    epochs_are_new(ctx, &archive, &heard).await?;
    let prepared = prepare(&archive, &heard)?;
    let there = there(&chests).await?;
    is_empty(&prepared, &there)?;
    fill(&chests, &prepared, &there).await?;
    // Somebody may have been started meanwhile.
    nobody_serves(ctx).await?;
    show(ctx, prepared)
}

/// Looks at one bucket, before it is listened for long.
async fn may_read(ctx: &Context) -> Result<(), Failure> {
    let bus = ctx.session.bus().await?;
    open(bus, Node::BUCKET).await?.documents().await.map_err(|error| unread(Node::BUCKET, &error))?;
    Ok(())
}

/// No service runs.
async fn nobody_serves(ctx: &Context) -> Result<(), Failure> {
    let standings: Vec<Standing> = ctx.session.gather(STANDING, &AskStanding {}, STANDINGS).await?;
    let mut names: Vec<String> = standings.into_iter().map(|standing| standing.instance).collect();
    names.sort();
    if names.is_empty() { Ok(()) } else { Err(Fault::BackupServicesRun { services: names.join(", ") }.into()) }
}

async fn chests(ctx: &Context) -> Result<BTreeMap<&'static str, Chest>, Failure> {
    let bus = ctx.session.bus().await?;
    let mut chests = BTreeMap::new();
    for (bucket, _) in KINDS {
        chests.insert(bucket, open(bus, bucket).await?);
    }
    Ok(chests)
}

/// Hears every node of the backup, or as many as speak within the bound, and whoever else speaks.
async fn listen(archive: &Archive, mut facts: Messages) -> Result<Heard, Failure> {
    let begun = Instant::now();
    let mut awaited = BTreeSet::new();
    for record in archive.of(Node::BUCKET) {
        awaited.insert(read::<Node>(Node::BUCKET, &record.key, &record.document)?.name);
    }
    let mut heard = Heard::new();
    loop {
        let patience = if awaited.is_empty() { AT_LEAST } else { LISTENING };
        let Ok(Some(message)) = timeout_at(begun + patience, facts.next()).await else { break };
        // An agent can publish as itself only.
        let Ok(said) = serde_json::from_slice::<NodeFacts>(&message.payload) else { continue };
        if subjects::fact(&said.site, &said.node) == message.subject {
            awaited.remove(&said.node);
            heard.insert(said.node.clone(), said);
        }
    }
    Ok(heard)
}

/// Agents refuse whoever has an epoch below the highest that they have seen, for good. The next epoch is above
/// what the bucket of leases has reached.
async fn epochs_are_new(ctx: &Context, archive: &Archive, heard: &Heard) -> Result<(), Failure> {
    let leases = open(ctx.session.bus().await?, LEASES).await?;
    let reached = leases.reach().await.map_err(|error| unread(LEASES, &error))?.last;
    let seen = heard.values().map(|facts| facts.epoch).max().unwrap_or(0).max(archive.header.epoch);
    if reached >= seen {
        return Ok(());
    }
    Err(Fault::BackupEpoch { reached: reached.to_string(), seen: seen.to_string() }.into())
}

type There = BTreeMap<&'static str, BTreeMap<String, PastWrite>>;

async fn there(chests: &BTreeMap<&'static str, Chest>) -> Result<There, Failure> {
    let mut there = There::new();
    for (bucket, chest) in chests {
        let documents = chest.documents().await.map_err(|error| unread(bucket, &error))?;
        there.insert(*bucket, documents.into_iter().map(|write| (write.key.clone(), write)).collect());
    }
    Ok(there)
}

/// Services make these by themselves as soon as they run: sites from their configuration, nodes as they are heard,
/// and from where they are to be led.
fn makes_itself(bucket: &str) -> bool {
    [Site::BUCKET, Node::BUCKET, Primacy::BUCKET].contains(&bucket)
}

/// Nothing is there but what makes itself, and what an earlier try has put there.
fn is_empty(prepared: &Prepared, there: &There) -> Result<(), Fault> {
    let wanted: BTreeMap<(&str, &str), &Bytes> =
        prepared.wanted.iter().map(|w| ((w.bucket, w.key.as_str()), &w.document)).collect();
    for (bucket, documents) in there.iter().filter(|(bucket, _)| !makes_itself(bucket)) {
        let strange = |write: &&PastWrite| wanted.get(&(*bucket, write.key.as_str())) != Some(&&write.payload);
        if let Some(write) = documents.values().find(strange) {
            return Err(Fault::BackupNotEmpty { bucket: (*bucket).to_owned(), key: write.key.clone() });
        }
    }
    Ok(())
}

async fn fill(chests: &BTreeMap<&'static str, Chest>, prepared: &Prepared, there: &There) -> Result<(), Failure> {
    for wanted in &prepared.wanted {
        let Some(chest) = chests.get(wanted.bucket) else { continue };
        let old = there.get(wanted.bucket).and_then(|documents| documents.get(&wanted.key));
        let written = match old.filter(|_| makes_itself(wanted.bucket)) {
            Some(old) => amend(chest, wanted, old).await?,
            None => chest.put_new(&wanted.key, &wanted.document).await.map(drop),
        };
        written.map_err(|error| unwritten(wanted, &error))?;
    }
    Ok(())
}

/// Of a node that is there already only the operator's word is put back; a site is as its configuration says.
/// From where services are to be led is an operator's word as a whole.
async fn amend(chest: &Chest, wanted: &Wanted, old: &PastWrite) -> Result<Result<(), WriteError>, Fault> {
    if wanted.bucket == Primacy::BUCKET && old.payload != wanted.document {
        return Ok(chest.replace(&wanted.key, old.revision, wanted.document.clone()).await.map(drop));
    }
    if wanted.bucket != Node::BUCKET {
        return Ok(Ok(()));
    }
    let node = |bytes: &[u8]| read::<Node>(Node::BUCKET, &wanted.key, &String::from_utf8_lossy(bytes));
    let (mut now, before) = (node(&old.payload)?, node(&wanted.document)?);
    if now.cordoned == before.cordoned {
        return Ok(Ok(()));
    }
    now.cordoned = before.cordoned;
    let document = serde_json::to_vec(&now);
    let document = document.map_err(|error| unusable(wanted.bucket, &wanted.key, &error.to_string()))?;
    Ok(chest.replace(&wanted.key, old.revision, document.into()).await.map(drop))
}

fn unwritten(wanted: &Wanted, error: &WriteError) -> Fault {
    let (bucket, key) = (wanted.bucket.to_owned(), wanted.key.clone());
    match error {
        WriteError::Exists { .. } => Fault::BackupNotEmpty { bucket, key },
        WriteError::Conflict { .. } | WriteError::NotLeading { .. } | WriteError::Bus { .. } => {
            Fault::BackupBus { bucket, detail: error.to_string() }
        }
    }
}

fn show(ctx: &Context, prepared: Prepared) -> Result<(), Failure> {
    let Prepared { wanted, servers, strangers, silent } = prepared;
    let told = Restored { documents: wanted.len(), servers, strangers, silent };
    let lang = ctx.out.lang;
    match ctx.out.format {
        Format::Json | Format::Yaml => return ctx.out.document(&told),
        Format::Table | Format::Wide | Format::Name => ctx.out.list(&told.servers)?,
    }
    say(&losses::restored(lang, told.documents));
    for stranger in &told.strangers {
        say(&losses::stranger(lang, stranger.vm.as_str(), stranger.node.as_str()));
    }
    let silent: Vec<&str> = told.silent.iter().map(NodeName::as_str).collect();
    if !silent.is_empty() {
        say(&losses::silent_nodes(lang, &silent.join(", ")));
    }
    if told.servers.iter().any(|server| matches!(server.finding, Finding::Gone | Finding::Unplaced)) {
        say(Word::RestoredOff.text(lang));
    }
    Ok(())
}
