//! What is known of one server name here: its records, as the journal has them, and the last
//! sight of its domain. Shared by the server's actor, its operation and whoever looks.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::Mutex;
use watari_chassis::clock;
use watari_contracts::agent::{Domain, OffReason, Passage, Phase, Transfer, VmFact};
use watari_model::{MigrationId, Refusal, VmName, vm::Standstill};

use super::{
    sight::{self, Sight},
    stall::Stall,
};
use crate::{
    facts::{Entry, Urgency},
    hypervisor::{Change, Suspend},
    layers::stack,
    node::Node,
    record::{Crossing, Disk, Launch, Record, Removal, Side},
    store::{Accepted, Key},
    work::Work,
};

/// One server name's book.
pub struct Book {
    /// The node.
    pub node: Arc<Node>,
    /// The name.
    pub vm: VmName,
    looks: AtomicU64,
    page: Mutex<Page>,
}

/// A server that is to stop when its node is cut off, as its book has it.
#[derive(Clone, Debug)]
pub struct Ward {
    /// Its UUID.
    pub uuid: String,
    /// The newest generation seen.
    pub generation: u64,
    /// Whether that is granted to this node. Else it is still to arrive, and cannot run.
    pub granted: bool,
    /// Whether it was stopped, or asked to, because the node was cut off.
    pub stopped: bool,
    /// What was last seen of it.
    pub domain: Domain,
    /// Whether libvirt said then that it stands still.
    pub still: bool,
}

/// How long after a source's death its domain is not asked about: five times what libvirt takes to
/// clear it away, and short, since afterwards only libvirt knows whether a definition is left.
const WHILE_LIBVIRT_ENDS_IT_MS: u64 = 1_000;

struct Page {
    records: BTreeMap<String, Record>,
    sight: Sight,
    /// The look that the sight comes from: an older one that comes late is not believed.
    look: u64,
    /// Whether a file of the current server's disk is here.
    disk: bool,
    /// The server whose QEMU process is known to be dead since its migration left.
    departed: Option<String>,
    /// When that was seen, on the boot clock in milliseconds.
    departed_at: u64,
    /// That the server stands still though it is to run.
    stall: Option<Stall>,
}

impl Page {
    /// The server that the name means: the one last started or received, if it is not removed.
    fn current(&self) -> Option<&Record> {
        self.records.values().filter(|r| !r.is_tombstone()).max_by_key(|r| r.chosen)
    }

    /// Whether it is to run here, and nothing is being done with it that makes it stand still.
    fn is_to_run(&self) -> bool {
        self.current().is_some_and(|record| {
            let moves = record.passage.as_ref().is_some_and(|passage| passage.phase != Phase::Ended);
            let is_here = record.seen.is_granted() && record.isolated != Some(record.seen.generation);
            is_here && !moves && record.removal == Removal::No && record.launch != Launch::Held
        })
    }

    /// Why it stands still, if that is told by now. A crash costs it what runs in it, and is told only on libvirt's word
    /// of this very look: while libvirt does not answer, somebody may have reset it.
    fn still(&self) -> Option<Standstill> {
        let stall = self.stall.filter(|stall| self.sight.still.is_some() || !stall.still.is_a_crash())?;
        stall.told(clock::boot_millis()).filter(|_| self.is_to_run())
    }
}

impl Book {
    /// A book with what the journal had.
    #[must_use]
    pub fn new(node: Arc<Node>, vm: VmName, records: Vec<Record>) -> Self {
        let records = records.into_iter().map(|record| (record.uuid.clone(), record)).collect();
        let page = Page {
            records,
            sight: Sight::unknown(),
            look: 0,
            disk: false,
            departed: None,
            departed_at: 0,
            stall: None,
        };
        Self { node, vm, looks: AtomicU64::new(1), page: Mutex::new(page) }
    }

    /// The record of that UUID, removed or not.
    pub async fn record(&self, uuid: &str) -> Option<Record> {
        self.page.lock().await.records.get(uuid).cloned()
    }

    /// The record of that UUID, whose disk is the server's own and here under that grant.
    ///
    /// # Errors
    /// [`Refusal::AgentState`] for what is `wanted`, saying what it is instead.
    pub async fn own_disk(&self, uuid: &str, generation: u64, wanted: &str) -> Result<Record, Refusal> {
        let not = |state: &str| self.node.not_now(&self.vm, state, wanted);
        let record = self.record(uuid).await.filter(|record| !record.is_tombstone()).ok_or_else(|| not("absent"))?;
        if !record.seen.is_granted() || record.seen.granted != generation {
            return Err(not("here under another grant"));
        }
        if record.disk != Disk::Whole {
            return Err(not("without a disk of its own"));
        }
        Ok(record)
    }

    /// The record that the name means.
    pub async fn current(&self) -> Option<Record> {
        self.page.lock().await.current().cloned()
    }

    /// The server that the name means, if it is to stop when the node is cut off.
    pub async fn ward(&self) -> Option<Ward> {
        let page = self.page.lock().await;
        let record = page.current().filter(|record| record.needs_lease())?;
        let (generation, granted) = (record.seen.generation, record.seen.is_granted());
        let stopped = record.isolated == Some(generation);
        let (domain, still) = (page.sight.domain, page.sight.still.is_some());
        Some(Ward { uuid: record.uuid.clone(), generation, granted, stopped, domain, still })
    }

    /// Takes over a record that the journal has already.
    pub async fn adopt(&self, record: Record) {
        self.page.lock().await.records.insert(record.uuid.clone(), record);
    }

    /// Takes an order: what `judge` makes of the record as it is now is kept together with the order, and nothing changes the
    /// record meanwhile, such as the operation that is under way. `fresh` is the record if there is none yet; an order may
    /// be about none. What else `judge` says is returned.
    ///
    /// # Errors
    /// What `judge` refuses, or the journal's; nothing is changed then.
    pub(super) async fn take<T>(
        &self,
        fresh: Option<Record>,
        judge: impl FnOnce(Option<Record>) -> Result<(Option<Record>, T), Refusal>,
        (key, work): (&Key, &Work),
    ) -> Result<T, Refusal> {
        let mut page = self.page.lock().await;
        let present = fresh.map(|fresh| page.records.get(&fresh.uuid).cloned().unwrap_or(fresh));
        let (record, said) = judge(present)?;
        self.node.journal.accept(Accepted { key, work, record: record.as_ref() }).await?;
        page.records.extend(record.map(|record| (record.uuid.clone(), record)));
        Ok(said)
    }

    /// Changes a record: in the journal first, then here, and tells.
    ///
    /// # Errors
    /// The journal's; nothing is changed then.
    pub async fn amend(
        &self,
        uuid: &str,
        urgency: Urgency,
        change: impl FnOnce(&mut Record),
    ) -> Result<Record, Refusal> {
        let mut page = self.page.lock().await;
        let Some(record) = page.records.get(uuid) else {
            return Err(Refusal::Internal { detail: format!("server {} has no record", self.vm) });
        };
        let mut changed = record.clone();
        change(&mut changed);
        // Also when nothing seems to change: what was only noted so far is kept now.
        self.node.journal.save(&changed).await?;
        page.records.insert(uuid.to_owned(), changed.clone());
        self.tell(&page, urgency);
        Ok(changed)
    }

    /// Changes what need not be written down at once: figures and moments of a migration.
    async fn note(&self, urgency: Urgency, change: impl FnOnce(&mut Crossing, &Sight)) {
        let mut page = self.page.lock().await;
        let Some(uuid) = page.current().map(|record| record.uuid.clone()) else { return };
        let sight = page.sight.clone();
        if let Some(passage) = page.records.get_mut(&uuid).and_then(|record| record.passage.as_mut()) {
            change(passage, &sight);
        }
        self.tell(&page, urgency);
    }

    /// Notes the figures of the migration that leaves.
    pub async fn transferred(&self, transfer: Transfer) {
        // The scheduler begins the next copy by these.
        self.note(Urgency::Soon, |passage, _| passage.transfer = Some(transfer)).await;
    }

    /// Notes whether the server answers. Tells whether it still takes part in that migration.
    pub async fn answered(&self, uuid: &str, migration: &MigrationId, answers: bool) -> bool {
        let part = |record: &Record| record.passage.as_ref().is_some_and(|p| p.migration == *migration);
        if !self.record(uuid).await.is_some_and(|record| part(&record)) {
            return false;
        }
        let note = |record: &mut Record| {
            if let Some(passage) = record.passage.as_mut().filter(|p| p.migration == *migration) {
                passage.answers = Some(answers);
            }
        };
        // It is asked anew if this is lost.
        self.amend(uuid, Urgency::Now, note).await.is_ok_and(|record| part(&record))
    }

    /// Notes what an event says about a migration's moments; `at` is on the boot clock.
    pub async fn stamp(&self, change: Change, at: u64) {
        match change {
            Change::Suspended(Suspend::Migrated) => {
                self.note(Urgency::Whenever, |passage, _| {
                    if passage.side == Side::Source && passage.phase == Phase::Copying {
                        passage.stopped_at = Some(at);
                    }
                })
                .await;
            }
            // The migration failed in its switch-over, and libvirt lets the source go on.
            Change::Resumed(_) => {
                self.note(Urgency::Whenever, |passage, _| {
                    if passage.side == Side::Source {
                        passage.stopped_at = None;
                    }
                })
                .await;
            }
            _ => {}
        }
    }

    /// The moment a migrating source's processors stopped, if they have.
    pub async fn stopped_at(&self) -> Option<u64> {
        self.current().await?.passage?.stopped_at
    }

    /// Number of a look that begins now.
    fn begin_look(&self) -> u64 {
        self.looks.fetch_add(1, Ordering::AcqRel)
    }

    /// Looks at the domain: asks libvirt and the kernel, within the bound, and tells what is new.
    pub async fn look(&self) -> Sight {
        let number = self.begin_look();
        let uuid = self.current().await.map(|record| record.uuid);
        if let Some(sight) = self.still_departed(uuid.as_deref()).await {
            return sight;
        }
        let sight = sight::take(&self.node, &self.vm, uuid.as_deref()).await;
        self.see(number, sight, Urgency::Soon).await
    }

    /// For some 200 ms after the source's process has died libvirt answers nobody about its domain,
    /// and the server stands still meanwhile. The kernel knows: where there is no process, nothing
    /// runs, and the sight that came with its death still holds.
    async fn still_departed(&self, uuid: Option<&str>) -> Option<Sight> {
        let uuid = uuid?;
        {
            let page = self.page.lock().await;
            let off = matches!(page.sight.domain, Domain::Off(_));
            let just_now = clock::boot_millis().saturating_sub(page.departed_at) < WHILE_LIBVIRT_ENDS_IT_MS;
            if !off || !just_now || page.departed.as_deref() != Some(uuid) {
                return None;
            }
        }
        match self.node.hypervisor.process(self.vm.as_str(), uuid).await {
            Ok(None) => Some(self.page.lock().await.sight.clone()),
            _ => None,
        }
    }

    /// Tells what is known to be so now without a look: the caller has the proof.
    pub async fn assert(&self, domain: Domain, urgency: Urgency) {
        let number = self.begin_look();
        let uuid = self.current().await.map(|record| record.uuid);
        self.see(number, Sight { domain, uuid, ..Sight::unknown() }, urgency).await;
    }

    async fn see(&self, number: u64, sight: Sight, urgency: Urgency) -> Sight {
        let current = self.current().await;
        let disk = match &current {
            Some(record) => tokio::fs::try_exists(stack::top(&self.node.layout, record)).await.unwrap_or(false),
            None => false,
        };
        let mut page = self.page.lock().await;
        if number < page.look {
            return page.sight.clone();
        }
        page.look = number;
        page.disk = disk;
        let departed = page.departed.is_some() && page.departed == sight.uuid;
        let sight = match sight.domain {
            // Dead is dead, whether or not libvirt can be asked: only an order of ours starts it again.
            Domain::Unknown if page.departed.is_some() && page.departed == current.as_ref().map(|r| r.uuid.clone()) => {
                page.sight.clone()
            }
            Domain::Off(OffReason::Unknown) if departed => Sight { domain: Domain::Off(OffReason::Migrated), ..sight },
            _ => sight,
        };
        if matches!(sight.domain, Domain::Running | Domain::Paused | Domain::Incoming) {
            page.departed = None;
        }
        page.sight = sight.clone();
        page.stall = if page.is_to_run() {
            Stall::after(page.stall, sight.domain, sight.still, clock::boot_millis())
        } else {
            None
        };
        if let Some(record) = current {
            self.claim_room(&record, sight.domain);
        }
        self.tell(&page, urgency);
        sight
    }

    /// A server that is here takes room; one that is off takes none, unless it is awaited.
    fn claim_room(&self, record: &Record, domain: Domain) {
        let awaited = record.passage.as_ref().is_some_and(|p| p.side == Side::Target && p.phase != Phase::Ended);
        match domain {
            Domain::Running | Domain::Paused | Domain::Incoming => {
                if let Some(server) = &record.server {
                    self.node.room.found(&self.vm, &record.uuid, server.memory_mib);
                }
            }
            Domain::Off(_) | Domain::Absent if !awaited => self.node.room.release(&record.uuid),
            _ => {}
        }
    }

    /// The source's process is dead: no vCPU of it runs here any more. Told at once.
    pub async fn departed(&self, uuid: &str) {
        let number = self.begin_look();
        let mut page = self.page.lock().await;
        let stopped = match page.records.get_mut(uuid).and_then(|record| record.passage.as_mut()) {
            Some(passage) => {
                passage.phase = Phase::Ended;
                passage.stopped_at.is_some()
            }
            None => false,
        };
        page.departed = Some(uuid.to_owned());
        page.departed_at = clock::boot_millis();
        page.look = number;
        // A process that died without its processors having been stopped for the switch-over crashed.
        let reason = if stopped { OffReason::Migrated } else { OffReason::Unknown };
        page.sight = Sight { domain: Domain::Off(reason), uuid: Some(uuid.to_owned()), ..Sight::unknown() };
        page.stall = None;
        self.node.room.release(uuid);
        self.tell(&page, Urgency::Now);
    }

    /// A whole, paused copy stands here. Told at once.
    pub async fn arrived(&self) {
        let at = clock::boot_millis();
        self.note(Urgency::Whenever, |passage, _| {
            if passage.side == Side::Target && passage.arrived_at.is_none() {
                passage.arrived_at = Some(at);
            }
        })
        .await;
        self.assert(Domain::Paused, Urgency::Now).await;
    }

    /// The fact as of now, also when there is nothing to tell.
    pub async fn fact(&self) -> VmFact {
        self.entry(&*self.page.lock().await).now()
    }

    /// The last sight.
    pub async fn sight(&self) -> Sight {
        self.page.lock().await.sight.clone()
    }

    /// The server, if it stands still and it is to be tried now whether it goes on; and what it stands still by.
    pub(super) async fn due(&self) -> Option<(Record, Standstill)> {
        let page = self.page.lock().await;
        // What it is to do may have changed since, and a look that nobody answered says nothing of what it does.
        let counts = page.is_to_run() && page.sight.still.is_some();
        let stall = page.stall.filter(|stall| counts && stall.is_due(clock::boot_millis()))?;
        Some((page.current()?.clone(), stall.still))
    }

    /// Notes that this was tried, and whether QEMU has said that it never will.
    pub(super) async fn tried(&self, needs_reset: bool) {
        let mut page = self.page.lock().await;
        page.stall = page.stall.map(|stall| stall.tried(clock::boot_millis(), needs_reset));
    }

    /// Tells again, for instance when an operation has ended.
    pub async fn publish(&self, urgency: Urgency) {
        self.tell(&*self.page.lock().await, urgency);
    }

    fn tell(&self, page: &Page, urgency: Urgency) {
        let something = page.current().is_some() || page.sight.foreign;
        self.node.facts.set(&self.vm, something.then(|| self.entry(page)), urgency);
    }

    fn entry(&self, page: &Page) -> Entry {
        let record = page.current();
        let passage = record.and_then(|record| record.passage.as_ref());
        let gone = passage.filter(|p| p.side == Side::Source && p.phase == Phase::Ended);
        let gone = gone.filter(|_| page.sight.domain != Domain::Running);
        Entry {
            stopped_at: gone.and_then(|p| p.stopped_at),
            fact: VmFact {
                vm: self.vm.clone(),
                uuid: record.map(|r| r.uuid.clone()).or_else(|| page.sight.uuid.clone()),
                domain: page.sight.domain,
                generation: record.map_or(0, |r| r.seen.generation),
                granted: record.is_some_and(|r| r.seen.is_granted()),
                disk: page.disk,
                passage: passage.map(|p| Passage {
                    migration: p.migration.clone(),
                    phase: p.phase,
                    transfer: p.transfer,
                    complaint: p.complaint.clone(),
                    stalled_seconds: p.stalled_seconds,
                    paused_ms: p.paused_ms,
                    answers: p.answers,
                }),
                stack: record.map(|r| r.stack.clone()).unwrap_or_default(),
                still: page.still(),
            },
        }
    }
}
