//! What would travel of the servers here: how fast each writes to its memory, and how much the layer of its disk holds
//! that is written to. It is looked at now and then, one server at a time, and told with the inventory.
//!
//! QEMU compares a sample of the memory's pages with what they were a second before, which no guest notices. So a page
//! that is written with what it held already is not counted, though a migration sends it again and shows that; and of a
//! memory below 128 MiB no page is looked at (`MIN_RAMBLOCK_SIZE` in its `migration/dirtyrate.h`). While
//! anything is copied nobody is looked at: the copy shows by itself how fast its server writes, and libvirt has one job
//! for each domain, for which nothing that matters is to wait.

use std::{
    collections::{BTreeMap, VecDeque},
    os::unix::fs::MetadataExt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::time::{sleep, timeout};
use watari_chassis::CancellationToken;
use watari_contracts::agent::{Phase, VmFact};
use watari_model::{VmName, node::Weight};

use crate::{
    hypervisor::{self, Kind},
    node::Node,
};

/// From one look to the next, so that those of many servers do not come together.
const PAUSE: Duration = Duration::from_secs(5);
/// Over which time QEMU compares, in seconds.
const WINDOW_SECONDS: u8 = 1;
/// So often, and so far apart, it is asked what came of that.
const ASKED: usize = 6;
const ASKED_EVERY: Duration = Duration::from_millis(500);
/// The most of so many looks is told: who writes now and then would otherwise look idle most of the time.
const KEPT: usize = 6;
/// In which a file's room is counted (stat(2)).
const BLOCK_BYTES: u64 = 512;

/// What is known of one server.
struct Known {
    uuid: String,
    /// The layer of its disk that is written to.
    top: u32,
    /// When it was looked at last, or tried to be.
    looked: Option<Instant>,
    /// Bytes a second, the newest last.
    rates: VecDeque<u64>,
    told: Option<Weight>,
}

/// What is told, and since when.
#[derive(Default)]
struct Told {
    weights: BTreeMap<VmName, Weight>,
    since: Option<Instant>,
}

/// What is known of all of them.
#[derive(Default)]
pub struct Weights {
    known: Mutex<BTreeMap<VmName, Known>>,
    told: Mutex<Told>,
    complained: AtomicBool,
}

impl Weights {
    fn known(&self) -> MutexGuard<'_, BTreeMap<VmName, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is told of them. It stays so for as long as what is new of several is gathered, since a document is written for it.
    #[must_use]
    pub fn told(&self, gather: Duration) -> BTreeMap<VmName, Weight> {
        let latest = self.latest();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.weights != latest && told.since.is_none_or(|since| since.elapsed() >= gather) {
            *told = Told { weights: latest, since: Some(Instant::now()) };
        }
        told.weights.clone()
    }

    /// What is to be told; nothing yet of those that were not looked at.
    fn latest(&self) -> BTreeMap<VmName, Weight> {
        self.known().iter().filter_map(|(vm, known)| Some((vm.clone(), known.told?))).collect()
    }

    /// Takes note of who runs here, and forgets all others. What is known of a layer says nothing of the next one.
    fn are_here(&self, running: &[VmFact]) {
        let mut known = self.known();
        let mut before = std::mem::take(&mut *known);
        for fact in running {
            let (Some(uuid), top) = (&fact.uuid, fact.stack.top) else { continue };
            let same = before.remove(&fact.vm).filter(|one| one.uuid == *uuid);
            let none = || Known { uuid: uuid.clone(), top, looked: None, rates: VecDeque::new(), told: None };
            let one = match same {
                Some(one) if one.top != top => Known { rates: one.rates, ..none() },
                same => same.unwrap_or_else(none),
            };
            known.insert(fact.vm.clone(), one);
        }
    }

    /// Whose turn it is, if anybody's: who was looked at the longest ago, those first that never were. It counts as
    /// looked at from now on, whatever comes of that.
    fn whose_turn<'a>(&self, running: &'a [VmFact], every: Duration, now: Instant) -> Option<&'a VmFact> {
        let mut known = self.known();
        let is_calm = |fact: &&VmFact| fact.passage.as_ref().is_none_or(|passage| passage.phase == Phase::Ended);
        let looked = |fact: &&VmFact| known.get(&fact.vm).map(|one| one.looked);
        let waits = running.iter().filter(is_calm).filter_map(|fact| Some((looked(&fact)?, fact)));
        let (last, fact) = waits.min_by_key(|(last, _)| *last)?;
        if last.is_some_and(|last| now.duration_since(last) < every) {
            return None;
        }
        known.get_mut(&fact.vm)?.looked = Some(now);
        Some(fact)
    }

    /// Notes what was seen of a server, if that is still here and on that layer. A rate that is not known any more
    /// fades.
    fn note(&self, seen: &VmFact, disk_bytes: u64, rate: Option<u64>) {
        let mut known = self.known();
        let same = |one: &&mut Known| Some(&one.uuid) == seen.uuid.as_ref() && one.top == seen.stack.top;
        let Some(one) = known.get_mut(&seen.vm).filter(same) else { return };
        if rate.is_none() || one.rates.len() >= KEPT {
            one.rates.pop_front();
        }
        one.rates.extend(rate);
        let now = Weight { disk_bytes, dirty_bytes_per_second: one.rates.iter().copied().max() };
        if one.told.is_none_or(|told| now.is_news_after(&told)) {
            one.told = Some(now);
        }
    }

    /// Says that a rate could not be measured: once, if it will not be otherwise by itself.
    fn complain(&self, vm: &VmName, error: &hypervisor::Error) {
        let passes = error.is_retryable() || matches!(error.kind(), Kind::NoDomain | Kind::InvalidState);
        if !passes && !self.complained.swap(true, Ordering::Relaxed) {
            tracing::info!(%vm, %error, "how fast servers write to their memory cannot be measured here");
        } else {
            tracing::debug!(%vm, %error, "how fast it writes to its memory is not known");
        }
    }
}

/// Looks until shutdown.
pub async fn run(node: &Arc<Node>, shutdown: &CancellationToken) {
    let every = Duration::from_secs(node.settings.migration.sample_minutes.saturating_mul(60));
    if every.is_zero() {
        return shutdown.cancelled().await;
    }
    while shutdown.run_until_cancelled(sleep(PAUSE)).await.is_some() {
        let running = node.facts.running();
        node.weights.are_here(&running);
        if node.facts.is_copying() {
            continue;
        }
        if let Some(fact) = node.weights.whose_turn(&running, every, Instant::now()) {
            // What QEMU has begun ends by itself.
            let _ = shutdown.run_until_cancelled(look(node, fact)).await;
        }
    }
}

async fn look(node: &Node, fact: &VmFact) {
    let Some(uuid) = &fact.uuid else { return };
    let layer = node.layout.layer(uuid, fact.stack.top);
    match tokio::fs::metadata(&layer).await {
        Ok(file) => {
            let rate = rate(node, &fact.vm).await;
            node.weights.note(fact, file.blocks().saturating_mul(BLOCK_BYTES), rate);
        }
        Err(error) => tracing::debug!(path = %layer.display(), %error, "how much it holds is not known"),
    }
}

/// How fast a server writes to its memory, in bytes a second; none if nobody can say.
async fn rate(node: &Node, vm: &VmName) -> Option<u64> {
    let bound = node.settings.bounds.libvirt_answer();
    let begun = timeout(bound, node.hypervisor.measure_dirty_rate(vm.as_str(), WINDOW_SECONDS)).await;
    if let Err(error) = begun.ok()? {
        node.weights.complain(vm, &error);
        return None;
    }
    sleep(Duration::from_secs(WINDOW_SECONDS.into())).await;
    for _ in 0..ASKED {
        // Once it has begun QEMU has no result until this one is there.
        let stats = timeout(bound, node.hypervisor.stats()).await.ok()?.ok()?;
        let mib = stats.iter().find(|domain| domain.name == vm.as_str())?.dirty_mib_s;
        if let Some(mib) = mib {
            return Some(mib.saturating_mul(1 << 20));
        }
        sleep(ASKED_EVERY).await;
    }
    None
}

#[cfg(test)]
mod tests {
    use watari_contracts::agent::{Domain, Passage, Stack};

    use super::*;

    const MIB: u64 = 1 << 20;
    const EVERY: Duration = Duration::from_secs(300);

    fn runs(vm: &str) -> VmFact {
        VmFact {
            vm: vm.parse().unwrap(),
            uuid: Some(format!("{vm}-uuid")),
            domain: Domain::Running,
            generation: 1,
            granted: true,
            disk: true,
            passage: None,
            stack: Stack::default(),
            still: None,
        }
    }

    fn turn(weights: &Weights, running: &[VmFact], now: Instant) -> Option<String> {
        weights.are_here(running);
        weights.whose_turn(running, EVERY, now).map(|fact| fact.vm.to_string())
    }

    #[test]
    fn each_has_its_turn_and_who_is_under_way_has_none() {
        let (weights, begun) = (Weights::default(), Instant::now());
        let mut all = [runs("a"), runs("b")];
        assert_eq!(turn(&weights, &all, begun), Some("a".to_owned()));
        let later = |seconds: u64| begun + Duration::from_secs(seconds);
        assert_eq!(turn(&weights, &all, later(5)), Some("b".to_owned()));
        assert_eq!(turn(&weights, &all, later(299)), None, "not so soon again");
        let copying = Passage::new("a-1".parse().unwrap(), Phase::Copying);
        all[0].passage = Some(copying.clone());
        assert_eq!(turn(&weights, &all, later(301)), None, "it is under way");
        all[0].passage = Some(Passage { phase: Phase::Ended, ..copying });
        assert_eq!(turn(&weights, &all, later(302)), Some("a".to_owned()));
        let comes = [runs("a"), runs("b"), runs("c")];
        assert_eq!(turn(&weights, &comes, later(400)), Some("c".to_owned()), "who was never looked at comes first");
        assert_eq!(turn(&weights, &comes, later(401)), Some("b".to_owned()));
    }

    #[test]
    fn the_most_of_the_last_looks_is_told_and_what_cannot_be_measured_any_more_fades() {
        let (weights, mail) = (Weights::default(), runs("mail"));
        weights.are_here(std::slice::from_ref(&mail));
        assert!(weights.latest().is_empty(), "nobody looked");
        let told = || weights.latest().get(&mail.vm).map(|told| (told.disk_bytes / MIB, told.dirty_bytes_per_second));
        weights.note(&mail, 100 * MIB, None);
        assert_eq!(told(), Some((100, None)));
        weights.note(&mail, 100 * MIB, Some(50 * MIB));
        for _ in 1..KEPT {
            weights.note(&mail, 108 * MIB, Some(3 * MIB));
            assert_eq!(told(), Some((100, Some(50 * MIB))), "a little more of its disk is no news");
        }
        weights.note(&mail, 108 * MIB, Some(3 * MIB));
        assert_eq!(told(), Some((108, Some(3 * MIB))));
        for _ in 0..KEPT {
            weights.note(&mail, 108 * MIB, None);
        }
        assert_eq!(told(), Some((108, None)));
    }

    #[test]
    fn what_is_known_first_is_told_at_once_and_more_of_it_once_it_is_gathered() {
        const HOUR: Duration = Duration::from_secs(3_600);
        let (weights, all) = (Weights::default(), [runs("mail"), runs("web")]);
        weights.are_here(&all);
        assert!(weights.told(HOUR).is_empty());
        weights.note(&all[0], 100 * MIB, None);
        let first = weights.told(HOUR);
        assert_eq!(first.len(), 1);
        weights.note(&all[1], 100 * MIB, None);
        assert_eq!(weights.told(HOUR), first);
        assert_eq!(weights.told(Duration::ZERO).len(), 2);
    }

    #[test]
    fn another_layer_or_another_server_of_the_name_is_looked_at_anew() {
        let (weights, mail) = (Weights::default(), runs("mail"));
        let at = |fact: &VmFact| weights.are_here(std::slice::from_ref(fact));
        at(&mail);
        weights.note(&mail, 100 * MIB, Some(50 * MIB));
        let frozen = VmFact { stack: Stack { top: 1, ..Stack::default() }, ..mail.clone() };
        at(&frozen);
        assert!(weights.latest().is_empty());
        weights.note(&mail, 100 * MIB, Some(1));
        assert!(weights.latest().is_empty(), "what is seen too late is of the old layer");
        weights.note(&frozen, MIB, Some(2 * MIB));
        let told = Weight { disk_bytes: MIB, dirty_bytes_per_second: Some(50 * MIB) };
        assert_eq!(weights.latest(), BTreeMap::from([(mail.vm.clone(), told)]), "its memory is the same");
        at(&VmFact { uuid: Some("other".to_owned()), ..frozen });
        assert!(weights.latest().is_empty());
        weights.are_here(&[]);
        assert!(weights.known().is_empty());
    }
}
