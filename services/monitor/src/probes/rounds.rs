//! Asking over and over, and keeping what came of it. One task owns everything; each question is a task of its own.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use watari_chassis::{Context, Mirror, Stopped, clock};
use watari_contracts::probe::Unasked;
use watari_model::{
    NetworkName, NodeName, OutageId, VmName,
    address::PublicAddress,
    network::{Kind, Network},
    node::Node,
    outage::Outage,
    vm::{Nic, Probe, Vm},
};

use super::{
    ask::ask,
    record::{Asked, Record},
    targets::{Key, Place, place, targets},
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
    servers: Option<Servers>,
    /// What is known of each outage that is under way, or not yet written down to its end.
    books: BTreeMap<OutageId, Book>,
    asking: JoinSet<(Key, Result<Asked, Unasked>)>,
    places: Arc<Semaphore>,
    kept_at: Instant,
    /// Whether it was said that there are too many.
    is_full: bool,
    /// Whether it was said that the kernel lets nobody ask for an echo.
    is_barred: bool,
}

/// The servers, and what says where they are reached.
struct Servers {
    vms: Mirror<Vm>,
    networks: Mirror<Network>,
    addresses: Mirror<PublicAddress>,
}

impl Servers {
    async fn follow(ctx: &Context) -> Result<Self, Stopped> {
        Ok(Self {
            vms: Mirror::of_another(ctx).await?,
            networks: Mirror::of_another(ctx).await?,
            addresses: Mirror::of_another(ctx).await?,
        })
    }
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
            servers: None,
            books: BTreeMap::new(),
            asking: JoinSet::new(),
            kept_at: Instant::now(),
            is_full: false,
            is_barred: false,
        }
    }

    /// Goes on until the process shuts down.
    pub(super) async fn run(mut self) {
        let shutdown = self.ctx.shutdown.clone();
        let mut pace = interval(Duration::from_millis(self.settings.every_ms));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut changes = self.outages.changes();
        loop {
            let is_watching = self.is_watching();
            tokio::select! {
                () = shutdown.cancelled() => break,
                changed = changes.changed(), if !is_watching => if changed.is_err() { break },
                _ = pace.tick(), if is_watching => {
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

    /// Whether there is anybody to be asked, or anything to be written down: there is nothing before an outage begins.
    fn is_watching(&self) -> bool {
        !self.books.is_empty() || self.outages.snapshot().values().any(|entry| entry.value.state.is_open())
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
        if self.servers.is_none() {
            self.servers = Some(Servers::follow(&self.ctx).await?);
        }
        let Some(servers) = &self.servers else { return Ok(()) };
        let (vms, networks, addresses) =
            (servers.vms.snapshot(), servers.networks.snapshot(), servers.addresses.snapshot());
        let leads = addresses.values().map(|entry| &entry.value).filter_map(|public| {
            let target = public.leads_to.as_ref()?;
            Some(((&target.network, target.address), (target.vm_uuid.as_str(), public.address)))
        });
        let leads: HashMap<_, _> = leads.collect();
        let is_overlay = |network: &NetworkName| {
            networks.get(network.as_str()).is_some_and(|entry| entry.value.kind == Kind::Overlay)
        };
        let place_of = |vm: &Vm| {
            let public = |nic: &Nic| {
                let (uuid, address) = leads.get(&(&nic.network, nic.address))?;
                (*uuid == vm.uuid).then_some(*address)
            };
            place(vm, is_overlay, public)
        };
        let site_of = |node: &NodeName| self.nodes.get(node.as_str()).map(|entry| entry.value.site.clone());
        let known = |outage: &OutageId, vm: &VmName| {
            self.books.get(outage).is_some_and(|book| book.keys().any(|(watched, _)| watched == vm))
        };
        let wanted = targets(&open, vms.values().map(|entry| &entry.value), site_of, known, place_of);
        for (key, place) in wanted {
            match place {
                Place::At(address) => self.ask(key, address),
                Place::Inside(address) => self.leave(&key, address, Unasked::NoWay),
            }
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

    /// What is kept of one; none if there are too many, or its book is not open.
    fn watch(&mut self, (outage, vm, probe): &Key, address: Ipv4Addr) -> Option<&mut Watch> {
        let watched: usize = self.books.values().map(BTreeMap::len).sum();
        let book = self.books.get_mut(outage)?;
        let place = (vm.clone(), probe.clone());
        if !book.contains_key(&place) && watched >= self.settings.most {
            if !std::mem::replace(&mut self.is_full, true) {
                tracing::warn!(most = self.settings.most, %vm, "more probes than [probes] allows: the others are not asked");
            }
            return None;
        }
        Some(book.entry(place).or_insert_with(|| {
            let record = Record::new(vm.clone(), probe.clone(), address, clock::now());
            Watch { record, asked: false, fresh: false }
        }))
    }

    /// Keeps why one is not asked.
    fn leave(&mut self, key: &Key, address: Ipv4Addr, why: Unasked) {
        if let Some(watch) = self.watch(key, address) {
            watch.fresh |= watch.record.leave(why);
        }
    }

    /// Asks one, unless it is being asked or there are too many.
    fn ask(&mut self, key: Key, address: Ipv4Addr) {
        let Some(watch) = self.watch(&key, address) else { return };
        if std::mem::replace(&mut watch.asked, true) {
            return;
        }
        watch.record.moves_to(address);
        let (places, bound) = (Arc::clone(&self.places), Duration::from_millis(self.settings.answer_ms));
        self.asking.spawn(async move {
            // The semaphore is never closed.
            let _place = places.acquire_owned().await;
            let (at, begun) = (clock::now(), Instant::now());
            let came = ask(&key.2, address, bound).await;
            let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            (key, came.map(|came| Asked { at, took_ms, came }))
        });
    }

    fn take(&mut self, (outage, vm, probe): Key, asked: Result<Asked, Unasked>) {
        let patience_ms = self.patience_ms();
        let watch = self.books.get_mut(&outage).and_then(|book| book.get_mut(&(vm.clone(), probe.clone())));
        let Some(watch) = watch else { return };
        watch.asked = false;
        match asked {
            Ok(asked) => {
                watch.record.take(asked, patience_ms);
                watch.fresh = true;
                self.told.asked(&vm, &probe, asked.came.is_ok(), watch.record.watched().longest_gap_ms);
            }
            Err(why) => {
                watch.fresh |= watch.record.leave(why);
                if why == Unasked::NotAllowed && !std::mem::replace(&mut self.is_barred, true) {
                    tracing::warn!(
                        "net.ipv4.ping_group_range lets this process send no echo requests: no icmp is asked"
                    );
                }
            }
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
