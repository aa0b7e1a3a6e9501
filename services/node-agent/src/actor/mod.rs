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
//! away (stop, suspend, remove, discard, release) overtakes one that makes, grows, freezes, or waits for a
//! guest; a sending or reboot overtakes a freezing, and what forces a server off or removes it
//! overtakes the saving of its memory; a release waits for the sending that it follows.

mod abort;
mod answers;
mod arrival;
mod book;
mod breaking_off;
mod cx;
mod discard;
mod freeze;
mod from_copy;
mod grow;
mod headway;
mod reboot;
mod receive;
mod recover;
mod release;
mod remove;
mod resume;
mod revert;
mod send;
mod sight;
mod snapshot;
mod stall;
mod standstill;
mod start;
mod stop;
mod suspend;
mod taking;

use std::{collections::VecDeque, sync::Arc, time::Instant};

use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use watari_chassis::{TraceParent, telemetry::trace};
use watari_contracts::agent::Progress;
use watari_model::Refusal;

pub use book::{Book, Ward};
pub(crate) use send::target_uri;
pub use sight::Sight;

use crate::{
    blueprint,
    facts::Urgency,
    hypervisor::{Change, Start},
    node::Node,
    record::Record,
    store::Key,
    work::Work,
};
use cx::Cx;

/// What an actor is told.
pub enum Message {
    /// An order, and to which trace what is done for it belongs; the answer says how to follow it.
    Order(Box<Work>, Option<TraceParent>, oneshot::Sender<Result<watch::Receiver<Progress>, Refusal>>),
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
    /// When the order came, or the agent was restarted.
    since: Instant,
    /// Whether it was under way when the agent was restarted.
    recovered: bool,
    /// To which trace it belongs.
    trace: Option<TraceParent>,
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
    /// The operation that failed last, if nobody has been told so yet: who ordered it was told that
    /// it is under way.
    untold: Option<Key>,
    look: Arc<Notify>,
    arrival: Option<AbortOnDropHandle<()>>,
    _looker: AbortOnDropHandle<()>,
}

/// Whether an order breaks off what is under way.
fn breaks_off(order: &Work, under_way: &Work) -> bool {
    matches!((order, under_way), (Work::Abort(abort), Work::Send(send)) if abort.migration == send.migration)
}

/// Carries an order out.
async fn perform(cx: &Cx, work: &Work) -> Result<(), Refusal> {
    match work {
        Work::Start(order) => start::run(cx, order).await,
        Work::Stop(order) => stop::run(cx, order).await,
        Work::Suspend(_) => suspend::run(cx).await,
        Work::Reboot(order) => reboot::run(cx, order).await,
        Work::Remove(order) => remove::run(cx, order).await,
        Work::Receive(order) => receive::run(cx, order).await,
        Work::Send(order) => send::run(cx, order).await,
        Work::Abort(order) => abort::run(cx, order).await,
        Work::Resume(order) => resume::run(cx, order).await,
        Work::Grow(order) => grow::run(cx, order).await,
        Work::Freeze(order) => freeze::run(cx, order).await,
        Work::TakeSnapshot(order) => snapshot::run(cx, order).await,
        Work::RevertDisk(order) => revert::run(cx, order).await,
        Work::Discard(order) => discard::run(cx, order).await,
        Work::Release(order) => release::run(cx, order).await,
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
                since: Instant::now(),
                recovered: true,
                trace: None,
            })
            .collect();
        Self {
            node,
            book,
            inbox,
            running: None,
            aside: None,
            waiting,
            untold: None,
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
            Message::Order(work, trace, reply) => {
                let answer = self.order(*work, trace).await;
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
            Message::Look => {
                self.look.notify_one();
                // What an order does with it may make it stand still, and is not interfered with.
                if self.running.is_none() && self.aside.is_none() && self.waiting.is_empty() {
                    stall::go_on(&self.node, &self.book).await;
                }
            }
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
        // What was breaking a sending off before the agent's restart does so beside it again.
        if self.aside.is_none()
            && let Some(running) = &self.running
            && let Some(abort) = self.waiting.pop_front_if(|next| breaks_off(&next.work, &running.operation.work))
        {
            self.aside = Some(self.begin(abort));
        }
    }

    fn begin(&self, operation: Operation) -> Running {
        let under_way = self.running.as_ref().map(|running| &running.operation);
        let sending = under_way.filter(|other| breaks_off(&operation.work, &other.work));
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
        let doing = async move {
            if recovered {
                return recover::run(&cx, &work).await;
            }
            start::take_back(&cx).await?;
            let _way = cx.make_way(&work).await?;
            perform(&cx, &work).await
        };
        let task = tokio::spawn(trace::step(operation.trace, operation.key.verb, self.book.vm.as_str(), doing));
        Running { operation, task }
    }

    /// Writes down and tells how an operation ended.
    async fn finish(&mut self, operation: Operation, result: Result<(), Refusal>) {
        let (vm, key) = (&self.book.vm, &operation.key);
        let progress = match result {
            Ok(()) => {
                tracing::info!(%vm, verb = key.verb, operation = key.operation, "done");
                let took = operation.since.elapsed().as_secs_f64();
                self.node.counts.operation_seconds.with_label_values(&[key.verb]).observe(took);
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
        // Those who still listen hear it now, anyone else when the order is repeated.
        let unheard = matches!(progress, Progress::Failed(_)) && operation.progress.receiver_count() == 0;
        operation.progress.send_replace(progress);
        self.untold = unheard.then_some(operation.key);
        match *operation.work {
            Work::Receive(_) => self.watch_arrival(),
            Work::Discard(_) | Work::Remove(_) | Work::Release(_) => self.arrival = None,
            _ => {}
        }
    }
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
