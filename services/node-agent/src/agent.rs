//! All servers of this node: who has an actor, and how orders and events reach it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{broadcast::error::RecvError, mpsc, oneshot, watch};
use watari_chassis::{CancellationToken, Pulse, clock, telemetry::trace};
use watari_contracts::{
    agent::{
        Answer, ConsoleKept, ConsolePart, ConsoleText, Domain, DropDisk, DropLayers, Freeze, Held, Hold, KeepConsole,
        MeasureWay, Measuring, Named, NodeFacts, Order, Phase, Picture, Progress, ReadConsole, SendAhead, Stack,
        TakePicture, UseConsole, VmFact,
    },
    plan::{LayPlan, PlanLaid},
    saving::{DiskSaving, SaveDisk},
};
use watari_model::{Refusal, VmName, admission::Seen};

use crate::{
    actor::{Actor, Book, Message, Ward},
    consoles::log,
    hypervisor::{DomainRecord, Event},
    layers::{self, stack},
    node::Node,
    picture,
    record::{Disk, Record, Side},
    store::JournalError,
    work::Work,
};

/// The most that one answer carries of a console log, in bytes.
const CONSOLE_MOST: u64 = 128 * 1024;
/// How long an answer waits for the operation's end, so that what is quick needs no second order.
const PATIENCE: Duration = Duration::from_millis(400);
/// The same for a resume, whose sender waits for nothing else.
const RESUME_PATIENCE: Duration = Duration::from_secs(3);
/// Between two looks at what lives, since events may be lost.
const LOOK: Duration = Duration::from_secs(5);
/// Every how many of these what is off is looked at too: to know that there is no process, every
/// process of the machine is looked at.
const LOOK_AT_ALL: u64 = 6;

/// A book that does not open for so long is held up.
const BOOK_OPENS: Duration = Duration::from_millis(200);

/// At which servers to look.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    All,
    Live,
}

struct Handle {
    inbox: mpsc::Sender<Message>,
    book: Arc<Book>,
}

/// The agent; clones share it.
#[derive(Clone)]
pub struct Agent {
    node: Arc<Node>,
    servers: Arc<Mutex<HashMap<VmName, Handle>>>,
}

impl Agent {
    /// Takes up every server that the journal knows, and what was unfinished.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub async fn restore(node: Arc<Node>) -> Result<Self, JournalError> {
        // First, since what the actors take up may need a disk.
        node.saves.sweep(&node);
        node.journal.tidy().await?;
        node.facts.set_epoch(node.journal.epoch().await);
        let mut records: BTreeMap<VmName, Vec<Record>> = BTreeMap::new();
        for record in node.journal.records().await? {
            records.entry(record.vm.clone()).or_default().push(record);
        }
        let whole = records.values().flatten().filter(|record| record.disk == Disk::Whole);
        let whole = whole.map(|record| record.uuid.clone()).collect();
        if let Err(error) = node.kept.restore(&node, whole).await {
            tracing::error!(%error, "nobody knows which disks are kept; servers are not held up by that");
        }
        let mut unfinished: BTreeMap<VmName, Vec<(String, Work)>> = BTreeMap::new();
        for left in node.journal.unfinished().await? {
            unfinished.entry(left.work.vm().clone()).or_default().push((left.server, left.work));
        }
        let wired: Vec<_> = records
            .values()
            .flatten()
            .filter(|record| record.wired)
            .filter_map(|record| record.server.clone())
            .collect();
        if let Err(error) = node.plans.restore(&node.journal, &node.plumbing).await {
            tracing::error!(%error, "the kept network plan cannot be read; the network service sends another");
        }
        node.plumbing.restore(&wired).await;
        for record in records.values().flatten() {
            // What was promised to a server that is still to arrive stays promised.
            let awaited = record.passage.as_ref().is_some_and(|p| p.side == Side::Target && p.phase != Phase::Ended);
            if let Some(server) = record.server.as_ref().filter(|_| awaited) {
                node.room.found(&record.vm, &record.uuid, server.memory_mib);
            }
        }
        let agent = Self { node, servers: Arc::default() };
        let names: Vec<VmName> = records.keys().chain(unfinished.keys()).cloned().collect();
        for vm in names {
            let left = unfinished.remove(&vm).unwrap_or_default();
            if let Some(records) = records.remove(&vm) {
                agent.open(&mut agent.servers(), &vm, records, left);
            } else if !left.is_empty() {
                agent.open(&mut agent.servers(), &vm, Vec::new(), left);
            }
        }
        Ok(agent)
    }

    /// This node.
    #[must_use]
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    fn servers(&self) -> MutexGuard<'_, HashMap<VmName, Handle>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(
        &self,
        servers: &mut HashMap<VmName, Handle>,
        vm: &VmName,
        records: Vec<Record>,
        left: Vec<(String, Work)>,
    ) {
        let (inbox, messages) = mpsc::channel(self.node.settings.bounds.mailbox);
        let book = Arc::new(Book::new(Arc::clone(&self.node), vm.clone(), records));
        tokio::spawn(Actor::new(Arc::clone(&self.node), Arc::clone(&book), messages, left).run());
        servers.insert(vm.clone(), Handle { inbox, book });
    }

    /// Puts a message into a server's mailbox; the server gets an actor if it has none.
    fn put(&self, vm: &VmName, message: Message) -> Result<Arc<Book>, Refusal> {
        let mut servers = self.servers();
        if servers.get(vm).is_none_or(|handle| handle.inbox.is_closed()) {
            self.open(&mut servers, vm, Vec::new(), Vec::new());
        }
        let Some(handle) = servers.get(vm) else {
            return Err(Refusal::Internal { detail: format!("server {vm} has no actor") });
        };
        match handle.inbox.try_send(message) {
            Ok(()) => Ok(Arc::clone(&handle.book)),
            Err(_) => Err(self.node.not_now(vm, "busy (its mailbox is full)", "take another order")),
        }
    }

    /// Carries an order out, or says how far it is.
    ///
    /// # Errors
    /// The order is refused, and nothing was done. An operation that failed is no error but an answer.
    pub async fn order(&self, work: impl Into<Work>) -> Result<Answer, Refusal> {
        let work = work.into();
        let vm = work.vm().clone();
        let patience = if matches!(work, Work::Resume(_)) { RESUME_PATIENCE } else { PATIENCE };
        let (reply, answer) = oneshot::channel();
        let book = self.put(&vm, Message::Order(Box::new(work), trace::recorded(), reply))?;
        let fell = || Refusal::Internal { detail: format!("the actor of server {vm} fell") };
        let mut progress: watch::Receiver<Progress> = answer.await.map_err(|_| fell())??;
        // Neither a closed channel nor the end of patience is an error: what is known is told.
        let _ = tokio::time::timeout(patience, progress.wait_for(|p| *p != Progress::Working)).await;
        let progress = progress.borrow().clone();
        Ok(Answer { progress, fact: book.fact().await, brought: None })
    }

    fn book(&self, vm: &VmName) -> Option<Arc<Book>> {
        self.servers().get(vm).map(|handle| Arc::clone(&handle.book))
    }

    /// Lays the node's network plan.
    ///
    /// # Errors
    /// As [`crate::plans::Plans::lay`].
    pub async fn lay(&self, order: LayPlan) -> Result<PlanLaid, Refusal> {
        let laid = self.node.plans.lay(&self.node.journal, &self.node.plumbing, order).await;
        // The next plan does not wait for those who may answer.
        let node = self.node.clone();
        tokio::spawn(async move { node.plumbing.ask_after_plan().await });
        laid
    }

    /// Copies a server's disk for an image, or says how far that is.
    ///
    /// # Errors
    /// As [`crate::saving::Saves::save`].
    pub async fn save(&self, order: SaveDisk) -> Result<DiskSaving, Refusal> {
        let book = self.book(&order.vm);
        self.node.saves.save(&self.node, book, order).await
    }

    /// Sends a server's frozen layers ahead to another node, or says how far that is.
    ///
    /// # Errors
    /// As [`crate::layers::Couriers::send_ahead`].
    pub async fn send_ahead(&self, order: SendAhead) -> Result<Answer, Refusal> {
        let book = self.book(&order.vm);
        if let Some(book) = &book {
            self.settle(book, &order).await;
        }
        self.node.couriers.send_ahead(&self.node, book, order).await
    }

    /// Has what an order left in the middle of a freezing finished, since nothing can be sent before: as an order that
    /// freezes nothing. Whether it is taken is no matter; who sends ahead asks again.
    async fn settle(&self, book: &Book, ahead: &SendAhead) {
        let record = book.current().await.filter(|record| record.uuid == ahead.uuid);
        if !record.is_some_and(|record| layers::in_the_middle(&record)) {
            return;
        }
        let order = Order { epoch: ahead.order.epoch, operation: format!("settle-{}", ahead.order.operation) };
        let (vm, named) = (ahead.vm.clone(), Named::default());
        let freeze = Freeze { order, vm, generation: ahead.generation, least_mib: u64::MAX, named };
        if let Err(refusal) = self.order(freeze).await {
            tracing::debug!(vm = %ahead.vm, %refusal, "what was left in the middle of a freezing stays so for now");
        }
    }

    /// Sends some bytes to another node to see how fast the way there is.
    ///
    /// # Errors
    /// As [`crate::layers::Couriers::measure`].
    pub async fn measure(&self, order: MeasureWay) -> Result<Measuring, Refusal> {
        self.node.couriers.measure(&self.node, order).await
    }

    /// Deletes frozen layers that are kept for a server elsewhere and are of no use.
    ///
    /// # Errors
    /// As [`crate::layers::drop_kept`].
    pub async fn drop_layers(&self, order: DropLayers) -> Result<NodeFacts, Refusal> {
        layers::drop_kept(&self.node, order).await
    }

    /// Deletes a kept disk.
    ///
    /// # Errors
    /// As [`crate::kept::KeptDisks::drop_disk`].
    pub async fn drop_disk(&self, order: DropDisk) -> Result<NodeFacts, Refusal> {
        self.node.kept.drop_disk(&self.node, &order).await?;
        Ok(self.node.facts.all())
    }

    /// Takes the lease that was asked for with certain facts.
    ///
    /// # Errors
    /// Whoever grants it has been succeeded; the journal cannot keep it.
    pub async fn hold(&self, order: Hold) -> Result<Held, Refusal> {
        let node = &self.node;
        node.heed(&order.order).await?;
        let holds = match node.facts.asked_at(&order.instance, order.seq) {
            Some(asked_at) => node.lease.granted(&node.journal, asked_at).await?,
            None => node.lease.now().is_promised() && node.lease.holds(),
        };
        Ok(Held { holds })
    }

    /// The servers that are to stop when the node is cut off, those among them that are still to arrive. One whose book is
    /// held up, as by a disk that takes nothing, is as it was `known` before.
    pub(crate) async fn wards(&self, known: &[(Arc<Book>, Ward)]) -> Vec<(Arc<Book>, Ward)> {
        let books: Vec<_> = self.servers().values().map(|handle| Arc::clone(&handle.book)).collect();
        let wards = books.into_iter().map(|book| async move {
            let read = tokio::time::timeout(BOOK_OPENS, book.ward()).await;
            let before = || known.iter().find(|(other, _)| Arc::ptr_eq(other, &book)).map(|(_, ward)| ward.clone());
            let ward = read.unwrap_or_else(|_| before());
            ward.map(|ward| (book, ward))
        });
        futures_util::future::join_all(wards).await.into_iter().flatten().collect()
    }

    /// Looks at one server now.
    pub async fn observe(&self, vm: &VmName) -> VmFact {
        let book = self.book(vm).unwrap_or_else(|| Arc::new(Book::new(Arc::clone(&self.node), vm.clone(), Vec::new())));
        book.look().await;
        book.fact().await
    }

    /// Looks at everything now.
    pub async fn observe_all(&self) -> NodeFacts {
        let books: Vec<_> = self.servers().values().map(|handle| Arc::clone(&handle.book)).collect();
        let looks = books.into_iter().map(|book| async move { drop(book.look().await) });
        futures_util::future::join_all(looks).await;
        self.node.facts.all()
    }

    /// The end of a server's console log.
    ///
    /// # Errors
    /// [`Refusal::VmUnknown`]; the file cannot be read.
    pub async fn console(&self, request: &ReadConsole) -> Result<ConsoleText, Refusal> {
        let unknown = || Refusal::VmUnknown { vm: request.vm.to_string() };
        let book = self.book(&request.vm).ok_or_else(unknown)?;
        let record = book.current().await.ok_or_else(unknown)?;
        log::end(&self.node, &record.uuid, request.bytes.min(CONSOLE_MOST)).await
    }

    /// Keeps what a server that is here wrote to its console where it ran before.
    ///
    /// # Errors
    /// The sender has been succeeded; [`Refusal::VmUnknown`]; the file cannot be written.
    pub async fn keep_console(&self, order: KeepConsole) -> Result<ConsoleKept, Refusal> {
        self.node.heed(&order.order).await?;
        let unknown = || Refusal::VmUnknown { vm: order.vm.to_string() };
        let record = self.book(&order.vm).ok_or_else(unknown)?.current().await;
        let is_here = |record: &Record| record.uuid == order.uuid && record.server.is_some();
        record.filter(is_here).ok_or_else(unknown)?;
        log::keep(&self.node, &order.uuid, order.text).await
    }

    /// What a server's screen shows.
    ///
    /// # Errors
    /// [`Refusal::VmUnknown`], [`Refusal::NoDisplay`]; it does not run; libvirt's own.
    pub async fn picture(&self, order: &TakePicture) -> Result<Picture, Refusal> {
        let unknown = || Refusal::VmUnknown { vm: order.vm.to_string() };
        let record = self.book(&order.vm).ok_or_else(unknown)?.current().await;
        let record = record.filter(|record| record.uuid == order.uuid).ok_or_else(unknown)?;
        if record.server.is_some_and(|server| !server.display) {
            return Err(Refusal::NoDisplay { vm: order.vm.to_string() });
        }
        picture::of(&self.node, &order.vm).await
    }

    /// Does something at a server's console.
    ///
    /// # Errors
    /// [`Refusal::VmUnknown`]; as [`crate::consoles::Consoles::serve`].
    pub async fn use_console(&self, order: UseConsole) -> Result<ConsolePart, Refusal> {
        let unknown = || Refusal::VmUnknown { vm: order.vm.to_string() };
        let record = self.book(&order.vm).ok_or_else(unknown)?.current().await;
        record.filter(|record| record.uuid == order.uuid).ok_or_else(unknown)?;
        self.node.consoles.serve(&self.node, order).await
    }

    /// Hands libvirt's events to the actors, and looks at everything from time to time, until shutdown.
    pub async fn watch(&self, shutdown: &CancellationToken, pulse: &Pulse) {
        let mut events = self.node.hypervisor.events();
        let mut tick = tokio::time::interval(LOOK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut looks = 0_u64;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                event = events.recv() => match event {
                    Ok(Event::Domain { name, change }) => {
                        if let Ok(vm) = name.parse::<VmName>() {
                            // A full mailbox: the next look at everything makes up for it.
                            let _ = self.put(&vm, Message::Changed(change, clock::boot_millis()));
                        }
                    }
                    Ok(Event::JobCompleted { .. }) => {}
                    Ok(Event::Disconnected(_)) => {
                        self.node.facts.set_answers(false);
                        self.look_at(Which::All);
                    }
                    Ok(Event::Connected) | Err(RecvError::Lagged(_)) => {
                        self.find_strangers().await;
                        self.look_at(Which::All);
                    }
                    Err(RecvError::Closed) => return,
                },
                _ = tick.tick() => {
                    pulse.begins();
                    self.find_strangers().await;
                    self.look_at(if looks.is_multiple_of(LOOK_AT_ALL) { Which::All } else { Which::Live });
                    looks += 1;
                    self.node.consoles.tend();
                    self.node.plumbing.tend().await;
                    pulse.rests();
                }
            }
        }
    }

    fn look_at(&self, which: Which) {
        let off = |vm: &VmName| {
            self.node.facts.of(vm).is_none_or(|fact| matches!(fact.domain, Domain::Off(_) | Domain::Absent))
        };
        for (vm, handle) in self.servers().iter() {
            if which == Which::All || !off(vm) {
                // One that is full has looks enough to come.
                let _ = handle.inbox.try_send(Message::Look);
            }
        }
    }

    /// Gives every domain an actor that has none yet, so that it is reported; and tells one that knows nothing of its server
    /// what the domain's definition says. libvirt may have been too slow to say so before. None is touched.
    async fn find_strangers(&self) {
        let bound = self.node.settings.bounds.libvirt_answer();
        let Ok(Ok(names)) = tokio::time::timeout(bound, self.node.hypervisor.names()).await else { return };
        for vm in names.iter().filter_map(|name| name.parse::<VmName>().ok()) {
            let book = self.book(&vm);
            if let Some(book) = &book
                && book.current().await.is_some()
            {
                continue;
            }
            let lost = match tokio::time::timeout(bound, self.node.hypervisor.record(vm.as_str())).await {
                Ok(Ok(Some(domain))) => self.lost(&vm, domain).await,
                _ => None,
            };
            let message = match lost {
                Some(record) => Message::Found(Box::new(record)),
                None if book.is_none() => Message::Look,
                None => continue,
            };
            let _ = self.put(&vm, message);
        }
    }

    /// What a domain's own definition says, for a journal that was lost.
    async fn lost(&self, vm: &VmName, domain: DomainRecord) -> Option<Record> {
        let grant = domain.grant?;
        let mut record = Record::new(vm.clone(), domain.uuid);
        let granted = if grant.owner == self.node.name.as_str() { grant.generation } else { 0 };
        record.seen = Seen { generation: grant.generation, granted, operation: None };
        let top = domain.disks.iter().find_map(|disk| self.node.layout.layer_index(&record.uuid, disk));
        if let Some(top) = top {
            let under = match top {
                0 => Ok(Vec::new()),
                _ => stack::read(&self.node.layout, &record.uuid, top).await,
            };
            match under {
                Ok(layers) => (record.disk, record.stack) = (Disk::Whole, Stack { layers, top, marks: Vec::new() }),
                // What cannot be understood is not touched.
                Err(error) => tracing::error!(%vm, %error, "nobody knows what the disk stands on"),
            }
        }
        Some(record)
    }
}
