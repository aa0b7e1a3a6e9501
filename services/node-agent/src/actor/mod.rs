//! One server's actor: a task with a bounded mailbox through which everything passes that happens
//! to that server, one after another.
//!
//! ```text
//!  order ─▶ epoch? ─▶ done before? ─▶ rules ─▶ journal (fsync) ─▶ operation ─▶ journal ─▶ fact
//!             │stale      │its state    │stale
//!             └───────────┴─────────────┴──▶ answer
//! ```
//!
//! One operation runs at a time. Breaking off a sending runs beside it. A newer order that takes
//! away (stop, remove, discard, release) overtakes one that makes, or that waits for a guest.

mod abort;
mod book;
mod cx;
mod discard;
mod reboot;
mod receive;
mod recover;
mod release;
mod remove;
mod resume;
mod send;
mod sight;
mod start;
mod stop;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use watari_contracts::agent::{Phase, Progress};
use watari_model::{Refusal, VmName};

pub use book::Book;
pub use sight::Sight;

use crate::{
    blueprint,
    facts::Urgency,
    hypervisor::{self, Change, Grant, Incoming, Start},
    node::Node,
    record::{Record, Removal, Side},
    rules::Seen,
    store::{Accepted, Key},
    work::Work,
};
use cx::Cx;

/// Orders that may wait for the one under way to give way.
const WAITING: usize = 4;
/// How long an arrival is watched before looking whether it is still awaited.
const ARRIVAL: Duration = Duration::from_secs(600);
/// libvirt has no event for the beginning of an arrival.
const WHILE_ARRIVING: Duration = Duration::from_secs(1);

/// What an actor is told.
pub enum Message {
    /// An order; the answer says how to follow it.
    Order(Box<Work>, oneshot::Sender<Result<watch::Receiver<Progress>, Refusal>>),
    /// libvirt says that the domain changed; the moment is on the boot clock in milliseconds.
    Changed(Change, u64),
    /// Look again.
    Look,
    /// A domain of ours that the journal does not know: it was lost, and the domain's own
    /// definition says what is known.
    Found(Box<Record>),
}

/// An operation under way or waiting.
struct Operation {
    key: Key,
    uuid: Option<String>,
    work: Arc<Work>,
    progress: watch::Sender<Progress>,
    superseded: CancellationToken,
    /// Whether it was under way when the agent was restarted.
    recovered: bool,
}

struct Running {
    operation: Operation,
    task: JoinHandle<Result<(), Refusal>>,
}

/// The actor.
pub struct Actor {
    node: Arc<Node>,
    book: Arc<Book>,
    inbox: mpsc::Receiver<Message>,
    running: Option<Running>,
    /// What runs beside a sending: its breaking off.
    aside: Option<Running>,
    waiting: VecDeque<Operation>,
    look: Arc<Notify>,
    arrival: Option<AbortOnDropHandle<()>>,
    _looker: AbortOnDropHandle<()>,
}

/// Carries an order out.
async fn perform(cx: &Cx, work: &Work) -> Result<(), Refusal> {
    match work {
        Work::Start(order) => start::run(cx, order).await,
        Work::Stop(order) => stop::run(cx, order).await,
        Work::Reboot(order) => reboot::run(cx, order).await,
        Work::Remove(order) => remove::run(cx, order).await,
        Work::Receive(order) => receive::run(cx, order).await,
        Work::Send(order) => send::run(cx, order).await,
        Work::Abort(order) => abort::run(cx, order).await,
        Work::Resume(order) => resume::run(cx, order).await,
        Work::Discard(order) => discard::run(cx, order).await,
        Work::Release(order) => release::run(cx, order).await,
    }
}

/// Whether `newer` may end the time of `older`, which makes something or waits for a guest.
fn overtakes(newer: &Work, older: &Work) -> bool {
    let takes_away = matches!(newer, Work::Stop(_) | Work::Remove(_) | Work::Discard(_) | Work::Release(_));
    match older {
        Work::Start(_) | Work::Receive(_) | Work::Reboot(_) => takes_away,
        Work::Stop(order) => takes_away && !order.force && !matches!(newer, Work::Stop(newer) if !newer.force),
        _ => false,
    }
}

impl Actor {
    /// An actor with what was left unfinished before the agent's restart, in order.
    #[must_use]
    pub fn new(
        node: Arc<Node>,
        book: Arc<Book>,
        inbox: mpsc::Receiver<Message>,
        unfinished: Vec<(String, Work)>,
    ) -> Self {
        let look = Arc::new(Notify::new());
        let looker = tokio::spawn({
            let (book, look) = (Arc::clone(&book), Arc::clone(&look));
            async move {
                loop {
                    look.notified().await;
                    book.look().await;
                }
            }
        });
        let waiting = unfinished
            .into_iter()
            .map(|(server, work)| Operation {
                key: Key { verb: work.verb(), operation: work.order().operation.clone(), server: server.clone() },
                uuid: blueprint::is_uuid(&server).then_some(server),
                work: Arc::new(work),
                progress: watch::Sender::new(Progress::Working),
                superseded: CancellationToken::new(),
                recovered: true,
            })
            .collect();
        Self {
            node,
            book,
            inbox,
            running: None,
            aside: None,
            waiting,
            look,
            arrival: None,
            _looker: AbortOnDropHandle::new(looker),
        }
    }

    /// Runs until the mailbox closes. Guests are not touched by its end.
    pub async fn run(mut self) {
        self.resume_watches().await;
        self.look.notify_one();
        loop {
            self.begin_waiting().await;
            tokio::select! {
                message = self.inbox.recv() => match message {
                    Some(message) => self.handle(message).await,
                    None => return,
                },
                result = ended(&mut self.running), if self.running.is_some() => {
                    if let Some(running) = self.running.take() {
                        self.finish(running.operation, result).await;
                    }
                }
                result = ended(&mut self.aside), if self.aside.is_some() => {
                    if let Some(aside) = self.aside.take() {
                        self.finish(aside.operation, result).await;
                    }
                }
            }
        }
    }

    async fn handle(&mut self, message: Message) {
        match message {
            Message::Order(work, reply) => {
                let answer = self.order(*work).await;
                // Who asked may have gone; the order stands.
                let _ = reply.send(answer);
            }
            Message::Changed(change, at) => {
                self.book.stamp(change, at).await;
                if change == Change::Started(Start::Incoming) {
                    self.watch_arrival();
                }
                self.look.notify_one();
            }
            Message::Look => self.look.notify_one(),
            Message::Found(record) => {
                self.found(*record).await;
                self.look.notify_one();
            }
        }
    }

    async fn found(&mut self, record: Record) {
        if self.book.record(&record.uuid).await.is_some() {
            return;
        }
        tracing::warn!(vm = %self.book.vm, uuid = record.uuid, generation = record.seen.generation, "found a domain of ours that the journal does not know; it is left as it is");
        match self.node.journal.save(&record).await {
            Ok(()) => self.book.adopt(record).await,
            Err(error) => tracing::error!(vm = %self.book.vm, %error, "a found domain is not written down"),
        }
    }

    /// Takes an order, or says how far it is.
    async fn order(&mut self, work: Work) -> Result<watch::Receiver<Progress>, Refusal> {
        self.node.journal.heed_epoch(work.order().epoch).await?;
        self.node.facts.set_epoch(work.order().epoch);
        if let Some(server) = work.server() {
            blueprint::check(server)?;
        }
        let record = self.subject(&work).await?;
        let server = record.as_ref().map_or_else(|| format!("name:{}", self.book.vm), |record| record.uuid.clone());
        let key = Key { server, verb: work.verb(), operation: work.order().operation.clone() };
        if let Some(progress) = self.known(&key).await? {
            return Ok(progress);
        }
        let record = record.map(|record| self.admit(record, &work)).transpose()?;
        if let Work::Receive(_) | Work::Send(_) = work
            && let Some(migration) = work.migration()
            && self.node.journal.is_closed(migration).await?
        {
            return Err(Refusal::MigrationCancelled { vm: self.book.vm.to_string() });
        }
        let lane = self.lane(&work)?;
        let accepted = Accepted { key: &key, work: &work, record: record.as_ref() };
        self.node.journal.accept(accepted).await?;
        let uuid = record.as_ref().map(|record| record.uuid.clone());
        if let Some(record) = record {
            self.book.adopt(record).await;
        }
        let operation = Operation {
            key,
            uuid,
            work: Arc::new(work),
            progress: watch::Sender::new(Progress::Working),
            superseded: CancellationToken::new(),
            recovered: false,
        };
        let progress = operation.progress.subscribe();
        match lane {
            Lane::Main => self.running = Some(self.begin(operation)),
            Lane::Aside => self.aside = Some(self.begin(operation)),
            Lane::Overtake => {
                if let Some(running) = &self.running {
                    running.operation.superseded.cancel();
                }
                self.waiting.push_back(operation);
            }
        }
        Ok(progress)
    }

    /// The record that an order is about: by UUID if it says one, else by name. A start, a
    /// reception or a removal of a server that is not known yet begins a record.
    async fn subject(&self, work: &Work) -> Result<Option<Record>, Refusal> {
        let Some(uuid) = work.uuid() else { return Ok(self.book.current().await) };
        if !blueprint::is_uuid(uuid) {
            return Err(Refusal::OutOfRange {
                field: "uuid".to_owned(),
                value: uuid.chars().take(80).collect(),
                allowed: "a UUID in lower case".to_owned(),
            });
        }
        let known = self.book.record(uuid).await;
        Ok(Some(known.unwrap_or_else(|| Record::new(self.book.vm.clone(), uuid.to_owned()))))
    }

    /// What is known of this operation, if it need not be done (again).
    async fn known(&self, key: &Key) -> Result<Option<watch::Receiver<Progress>>, Refusal> {
        let all = self.running.iter().chain(&self.aside).map(|running| &running.operation).chain(&self.waiting);
        if let Some(operation) = all.into_iter().find(|operation| operation.key == *key) {
            return Ok(Some(operation.progress.subscribe()));
        }
        Ok(match self.node.journal.progress(key).await? {
            // What failed and may succeed later is done again, under the rules as they are then.
            Some(Progress::Failed(refusal)) if refusal.retryable() => None,
            // Under way by the journal and yet not here: it ended and that could not be written down.
            Some(Progress::Working) | None => None,
            Some(over) => Some(watch::Sender::new(over).subscribe()),
        })
    }

    /// The record as it is once the order is taken.
    fn admit(&self, mut record: Record, work: &Work) -> Result<Record, Refusal> {
        if let Some(ask) = work.ask() {
            record.seen = record.seen.admit(&self.node.name, ask)?;
        }
        match work {
            Work::Start(_) if record.removal != Removal::No => {
                return Err(self.node.not_now(&self.book.vm, "removed", work.verb()));
            }
            Work::Receive(_) if record.removal == Removal::Begun => {
                return Err(self.node.not_now(&self.book.vm, "being removed", work.verb()));
            }
            Work::Start(_) | Work::Receive(_) => {
                // What was removed here was an old copy: the server itself lives elsewhere, and may
                // come back. What it then runs under is a grant newer than any seen.
                record.removal = Removal::No;
                record.server = work.server().cloned();
                record.passage = None;
                record.chosen =
                    u64::try_from(watari_chassis::clock::now().0.unix_timestamp_nanos() / 1_000).unwrap_or(0);
            }
            Work::Remove(_) if record.removal == Removal::No => record.removal = Removal::Begun,
            // From now on the copy is the server, and its disk the server's disk.
            Work::Resume(_) => {
                if matches!(record.disk, crate::record::Disk::Copy { .. }) {
                    record.disk = crate::record::Disk::Whole;
                }
            }
            _ => {}
        }
        Ok(record)
    }

    /// Where an order can run now.
    fn lane(&self, work: &Work) -> Result<Lane, Refusal> {
        let busy = |verb: &str| self.node.not_now(&self.book.vm, &format!("busy ({verb})"), work.verb());
        let Some(running) = &self.running else {
            return if self.waiting.is_empty() { Ok(Lane::Main) } else { Err(busy("restarting")) };
        };
        let older = &running.operation.work;
        if matches!((&**older, work), (Work::Send(_), Work::Abort(_))) && self.aside.is_none() {
            return Ok(Lane::Aside);
        }
        let queued = self.waiting.len() < WAITING;
        if queued && overtakes(work, older) && self.waiting.iter().all(|waiting| overtakes(work, &waiting.work)) {
            return Ok(Lane::Overtake);
        }
        Err(busy(older.verb()))
    }

    /// Begins what waits, when nothing is in its way.
    async fn begin_waiting(&mut self) {
        while self.running.is_none() {
            let Some(operation) = self.waiting.pop_front() else { return };
            // An order that waited may have been overtaken itself.
            if operation.superseded.is_cancelled() {
                let refusal = self.node.not_now(&self.book.vm, "wanted otherwise since", operation.work.verb());
                self.finish(operation, Err(refusal)).await;
            } else {
                self.running = Some(self.begin(operation));
            }
        }
    }

    fn begin(&self, operation: Operation) -> Running {
        let sending = self.running.as_ref().map(|running| &running.operation).filter(|other| match &*operation.work {
            Work::Abort(order) => matches!(&*other.work, Work::Send(send) if send.migration == order.migration),
            _ => false,
        });
        if let Some(sending) = sending {
            // It may not have called libvirt yet.
            sending.superseded.cancel();
        }
        let cx = Cx {
            node: Arc::clone(&self.node),
            book: Arc::clone(&self.book),
            uuid: operation.uuid.clone(),
            superseded: operation.superseded.clone(),
            sending: sending.map(|sending| sending.progress.subscribe()),
        };
        let (work, recovered) = (Arc::clone(&operation.work), operation.recovered);
        tracing::info!(vm = %self.book.vm, verb = operation.key.verb, operation = operation.key.operation, recovered, "begins");
        let task =
            tokio::spawn(
                async move { if recovered { recover::run(&cx, &work).await } else { perform(&cx, &work).await } },
            );
        Running { operation, task }
    }

    /// Writes down and tells how an operation ended.
    async fn finish(&mut self, operation: Operation, result: Result<(), Refusal>) {
        let (vm, key) = (&self.book.vm, &operation.key);
        let progress = match result {
            Ok(()) => {
                tracing::info!(%vm, verb = key.verb, operation = key.operation, "done");
                Progress::Done
            }
            Err(refusal) => {
                tracing::warn!(%vm, verb = key.verb, operation = key.operation, code = refusal.code(), %refusal, "failed");
                Progress::Failed(refusal)
            }
        };
        let outcome = match &progress {
            Progress::Failed(refusal) => refusal.code(),
            Progress::Working | Progress::Done => "ok",
        };
        self.node.counts.operations.with_label_values(&[key.verb, outcome]).inc();
        if let Err(error) = self.node.journal.finish(key, &operation.work, &progress).await {
            // It is judged anew after a restart; until then memory knows.
            tracing::error!(%vm, %error, "the end of an operation is not written down");
        }
        self.book.publish(Urgency::Soon).await;
        operation.progress.send_replace(progress);
        if matches!(*operation.work, Work::Receive(_)) {
            self.watch_arrival();
        }
    }

    /// After a restart, an arrival that is awaited is watched again, and a server that was resumed
    /// just before gets its definition.
    async fn resume_watches(&mut self) {
        let Some(record) = self.book.current().await else { return };
        if record.passage.as_ref().is_some_and(|p| p.side == Side::Target && p.phase != Phase::Ended) {
            self.watch_arrival();
        }
        // While it is being sent libvirt lets nobody change it.
        let leaving = record.passage.as_ref().is_some_and(|p| p.side == Side::Source && p.phase == Phase::Copying);
        if record.seen.is_granted() && !leaving {
            let (node, vm, seen) = (Arc::clone(&self.node), self.book.vm.clone(), record.seen.clone());
            tokio::spawn(async move { confirm(&node, &vm, &seen).await });
        }
    }

    /// Watches for the copy to be whole: no event tells, and every millisecond counts.
    fn watch_arrival(&mut self) {
        if self.arrival.as_ref().is_some_and(|watch| !watch.is_finished()) {
            return;
        }
        let (node, book, look) = (Arc::clone(&self.node), Arc::clone(&self.book), Arc::clone(&self.look));
        self.arrival = Some(AbortOnDropHandle::new(tokio::spawn(async move {
            let mut tick = tokio::time::interval(WHILE_ARRIVING);
            loop {
                let arrival = node.hypervisor.wait_incoming_paused(book.vm.as_str(), ARRIVAL);
                tokio::pin!(arrival);
                let outcome = loop {
                    tokio::select! {
                        // First: what stands still waits for it.
                        biased;
                        outcome = &mut arrival => break outcome,
                        _ = tick.tick() => look.notify_one(),
                    }
                };
                match outcome {
                    Ok(Incoming::Arrived) => return book.arrived().await,
                    Ok(Incoming::Running | Incoming::Failed) => return drop(book.look().await),
                    Err(error) => tracing::debug!(vm = %book.vm, %error, "the arrival is still awaited"),
                }
                let awaited = book.current().await.and_then(|record| record.passage);
                if !awaited.is_some_and(|p| p.side == Side::Target && p.phase != Phase::Ended) {
                    return;
                }
            }
        })));
    }
}

/// Where an order runs.
enum Lane {
    /// As the operation.
    Main,
    /// Beside a sending.
    Aside,
    /// As the next one, which the present one gives way to.
    Overtake,
}

/// The end of an operation's task. One that panicked has failed.
async fn ended(running: &mut Option<Running>) -> Result<(), Refusal> {
    match running {
        Some(running) => (&mut running.task).await.unwrap_or_else(|error| {
            Err(Refusal::Internal { detail: format!("the operation {}: {error}", running.operation.key.verb) })
        }),
        None => std::future::pending().await,
    }
}

/// A server that runs here under our grant is persistent, and its definition names the grant.
async fn confirm(node: &Node, vm: &VmName, seen: &Seen) {
    node.hypervisor.ready().await;
    let outcome: hypervisor::Result<()> = async {
        if node.hypervisor.state(vm.as_str()).await? != hypervisor::DomainState::Running {
            return Ok(());
        }
        let grant = Grant { owner: node.name.to_string(), generation: seen.granted };
        node.hypervisor.persist(vm.as_str()).await?;
        let written = node.hypervisor.record(vm.as_str()).await?.and_then(|record| record.grant);
        if written.as_ref() == Some(&grant) {
            return Ok(());
        }
        node.hypervisor.set_grant(vm.as_str(), &grant).await
    }
    .await;
    if let Err(error) = outcome {
        tracing::warn!(%vm, %error, "the domain's definition is not up to date");
    }
}
