//! Asking over and over, and keeping what came of it. One task owns everything; each question is a task of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use watari_chassis::{Context, Mirror, Stopped, clock};
use watari_model::{
    NodeName, OutageId, VmName,
    node::Node,
    outage::Outage,
    vm::{Probe, Vm},
};

use super::{
    ask::ask,
    record::{Asked, Record},
    targets::{Key, targets},
    told::Told,
};
use crate::{
    history::{History, SeenRow},
    settings::Probes,
};

/// What was seen is written down after so many rounds, and when an outage is over: what a crash may cost.
const KEEP: u32 = 5;
/// So many rounds without a question, and the time that is waited for others, are a time in which nobody asked.
const PATIENCE: u64 = 3;

pub(super) struct Rounds {
    ctx: Context,
    history: Arc<History>,
    settings: Probes,
    nodes: Mirror<Node>,
    outages: Mirror<Outage>,
    told: Told,
    /// Not followed before there is an outage: there may be thousands.
    vms: Option<Mirror<Vm>>,
    /// What is known of each outage that is under way, or not yet written down to its end.
    books: BTreeMap<OutageId, Book>,
    asking: JoinSet<(Key, Asked)>,
    places: Arc<Semaphore>,
    kept_at: Instant,
    /// Whether it was said that there are too many.
    is_full: bool,
}

type Book = BTreeMap<(VmName, Probe), Watch>;

struct Watch {
    record: Record,
    /// Whether it is being asked.
    asked: bool,
    /// Whether there is something that is not written down.
    fresh: bool,
}

impl Rounds {
    pub(super) fn new(
        ctx: &Context,
        history: &Arc<History>,
        settings: Probes,
        nodes: Mirror<Node>,
        outages: Mirror<Outage>,
        told: Told,
    ) -> Self {
        Self {
            ctx: ctx.clone(),
            history: Arc::clone(history),
            places: Arc::new(Semaphore::new(settings.at_once)),
            settings,
            nodes,
            outages,
            told,
            vms: None,
            books: BTreeMap::new(),
            asking: JoinSet::new(),
            kept_at: Instant::now(),
            is_full: false,
        }
    }

    /// Goes on until the process shuts down.
    pub(super) async fn run(mut self) {
        let shutdown = self.ctx.shutdown.clone();
        let mut pace = interval(Duration::from_millis(self.settings.every_ms));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                _ = pace.tick() => {
                    if self.round().await.is_err() {
                        break;
                    }
                }
                Some(done) = self.asking.join_next(), if !self.asking.is_empty() => {
                    if let Ok((key, asked)) = done {
                        self.take(key, asked);
                    }
                }
            }
        }
        self.asking.abort_all();
        self.keep().await;
    }

    async fn round(&mut self) -> Result<(), Stopped> {
        let snapshot = self.outages.snapshot();
        let open: Vec<&Outage> = snapshot.values().map(|entry| &entry.value).filter(|o| o.state.is_open()).collect();
        let ids: BTreeSet<OutageId> = open.iter().map(|outage| outage.id.clone()).collect();
        let ended = self.books.keys().any(|id| !ids.contains(id));
        let is_due = self.kept_at.elapsed() >= KEEP * Duration::from_millis(self.settings.every_ms);
        if (ended || is_due) && self.keep().await {
            self.books.retain(|id, _| ids.contains(id));
            if ended {
                self.told.forget();
            }
        }
        if open.is_empty() {
            return Ok(());
        }
        for outage in &open {
            self.open_book(outage).await;
        }
        if self.vms.is_none() {
            self.vms = Some(Mirror::<Vm>::of_another(&self.ctx).await?);
        }
        let Some(vms) = self.vms.as_ref().map(Mirror::snapshot) else { return Ok(()) };
        let site_of = |node: &NodeName| self.nodes.get(node.as_str()).map(|entry| entry.value.site.clone());
        let known = |outage: &OutageId, vm: &VmName| {
            self.books.get(outage).is_some_and(|book| book.keys().any(|(watched, _)| watched == vm))
        };
        let wanted = targets(&open, vms.values().map(|entry| &entry.value), site_of, known);
        for (key, address) in wanted {
            self.ask(key, address);
        }
        Ok(())
    }

    /// Reads what was seen of an outage before this process was started. One whose book cannot be opened is not
    /// watched: what is seen could not be kept, and what is there must not be overwritten.
    async fn open_book(&mut self, outage: &Outage) {
        if self.books.contains_key(&outage.id) {
            return;
        }
        let Ok(texts) = self.history.seen(&outage.id).await else { return };
        let records = texts.iter().filter_map(|text| serde_json::from_str::<Record>(text).ok());
        // One of that name that was restored from a backup, or begun anew, is another.
        let of_this = records.filter(|record| record.watched().from >= outage.created_at);
        let watch = |record: Record| {
            let watched = record.watched();
            ((watched.vm.clone(), watched.probe.clone()), Watch { record, asked: false, fresh: false })
        };
        self.books.insert(outage.id.clone(), of_this.map(watch).collect());
    }

    /// Asks one, unless it is being asked or there are too many.
    fn ask(&mut self, key: Key, address: Ipv4Addr) {
        let watched: usize = self.books.values().map(BTreeMap::len).sum();
        let (outage, vm, probe) = &key;
        let Some(book) = self.books.get_mut(outage) else { return };
        let place = (vm.clone(), probe.clone());
        if !book.contains_key(&place) && watched >= self.settings.most {
            if !std::mem::replace(&mut self.is_full, true) {
                tracing::warn!(most = self.settings.most, %vm, "more probes than [probes] allows: the others are not asked");
            }
            return;
        }
        let watch = book.entry(place).or_insert_with(|| {
            let record = Record::new(vm.clone(), probe.clone(), address, clock::now());
            Watch { record, asked: false, fresh: false }
        });
        if std::mem::replace(&mut watch.asked, true) {
            return;
        }
        let (places, bound) = (Arc::clone(&self.places), Duration::from_millis(self.settings.answer_ms));
        self.asking.spawn(async move {
            // The semaphore is never closed.
            let _place = places.acquire_owned().await;
            let (at, begun) = (clock::now(), Instant::now());
            let came = ask(&key.2, SocketAddr::from((address, key.2.port())), bound).await;
            let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            (key, Asked { at, took_ms, came })
        });
    }

    fn take(&mut self, (outage, vm, probe): Key, asked: Asked) {
        let patience_ms = self.patience_ms();
        let watch = self.books.get_mut(&outage).and_then(|book| book.get_mut(&(vm.clone(), probe.clone())));
        if let Some(watch) = watch {
            watch.record.take(asked, patience_ms);
            (watch.asked, watch.fresh) = (false, true);
            self.told.asked(&vm, &probe, asked.came.is_ok(), watch.record.watched().longest_gap_ms);
        }
    }

    /// How long ago the question before may be, if somebody has asked all the time: who is to be asked waits for a place
    /// while others, who may all be silent, are asked.
    fn patience_ms(&self) -> u64 {
        let Probes { every_ms, answer_ms, at_once, .. } = self.settings;
        let watched: usize = self.books.values().map(BTreeMap::len).sum();
        PATIENCE * (every_ms + answer_ms) + watched.div_ceil(at_once.max(1)) as u64 * answer_ms
    }

    /// Writes down what is new; whether that went well.
    async fn keep(&mut self) -> bool {
        self.kept_at = Instant::now();
        let mut rows = Vec::new();
        for (outage, book) in &self.books {
            for ((vm, probe), watch) in book.iter().filter(|(_, watch)| watch.fresh) {
                let Ok(record) = serde_json::to_string(&watch.record) else { continue };
                let at = watch.record.watched().until;
                let (outage, vm, probe) = (outage.to_string(), vm.to_string(), probe.to_string());
                rows.push(SeenRow { outage, vm, probe, at, record });
            }
        }
        if rows.is_empty() {
            return true;
        }
        match self.history.note(&rows).await {
            Ok(()) => {
                self.books.values_mut().flat_map(BTreeMap::values_mut).for_each(|watch| watch.fresh = false);
                true
            }
            Err(refusal) => {
                tracing::warn!(%refusal, "what was seen of servers is not written down yet; it is tried again");
                false
            }
        }
    }
}
