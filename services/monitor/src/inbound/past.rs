//! Who did what, and how much was used.

use watari_chassis::clock;
use watari_contracts::history::{HistoryPage, ListHistory, Place, ReportUsage, Usage, UsagePage};
use watari_model::{Refusal, VmName, said};

use super::out_of_range;
use crate::history::{History, Wanted};

/// The most changes in one page, and so many if nobody says how many.
const CHANGES: (u32, u32) = (200, 50);
/// The most servers' names in one page.
const SERVERS: u32 = 50;
/// The size of a page's changes, in bytes, from which on no more are put into it: with the largest one more it
/// still fits into one message of NATS.
const PAGE_BYTES: usize = 512 << 10;
/// The longest time that use is reported of.
const MOST_DAYS: u64 = 3_660;
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// Answers [`ListHistory`].
pub(super) async fn list(history: &History, request: ListHistory) -> Result<HistoryPage, Refusal> {
    let wanted = wanted(request)?;
    let mut changes = history.told(&wanted).await?;
    let found = changes.len();
    let mut bytes = 0;
    let sizes = changes.iter().map(|change| serde_json::to_vec(change).map_or(0, |json| json.len()));
    let fitting = sizes.take_while(|size| {
        let fits = bytes < PAGE_BYTES;
        bytes += size;
        fits
    });
    let fitting = fitting.count();
    changes.truncate(fitting);
    let more = fitting < found || found as u64 >= u64::from(wanted.limit);
    let last = changes.last().filter(|_| more);
    let next = last.map(|last| Place { at: last.at, bucket: last.bucket.clone(), revision: last.revision });
    Ok(HistoryPage { changes, next })
}

/// Answers [`ReportUsage`].
pub(super) async fn usage(history: &History, request: ReportUsage) -> Result<UsagePage, Refusal> {
    let ReportUsage { from, until, vm, project, after, limit } = request;
    let limit = super::limit(limit, SERVERS, SERVERS)?;
    if from >= until || until.millis_since(from) > MOST_DAYS * DAY_MS {
        let allowed = said!("later than `from`, by at most {MOST_DAYS} days", "from より後、最長 {MOST_DAYS} 日間");
        return Err(out_of_range("until", until.0.to_string(), allowed));
    }
    let until = until.min(clock::now());
    let one = vm.is_some();
    let names = match vm {
        Some(name) => vec![name],
        None => history.servers(after.as_ref().map_or("", VmName::as_str), limit).await?,
    };
    let mut servers: Vec<Usage> = Vec::with_capacity(names.len());
    for name in &names {
        let used = history.used(name, from, until).await?.into_iter();
        servers.extend(used.filter(|usage| project.as_ref().is_none_or(|project| usage.project == *project)));
    }
    let full = !one && names.len() as u64 >= u64::from(limit);
    Ok(UsagePage { servers, next: names.into_iter().next_back().filter(|_| full) })
}

fn wanted(request: ListHistory) -> Result<Wanted, Refusal> {
    let ListHistory { bucket, key, since, until, by, before, limit } = request;
    super::known_bucket(bucket.as_deref())?;
    super::short("key", key.as_deref())?;
    super::short("by", by.as_deref())?;
    let limit = super::limit(limit, CHANGES.1, CHANGES.0)?;
    Ok(Wanted { bucket, key, since, until, by, before, limit })
}
