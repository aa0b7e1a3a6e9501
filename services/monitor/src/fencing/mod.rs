//! Fencing: nodes that are lost are cut off their power by the programs that the settings name, and operators switch
//! nodes by the same.
//!
//! ```text
//!   documents, fleet ──▶ due (the model's, pure) ──▶ begun, in the node's document
//!                                                        │
//!   power controller ◀── program ◀── switched ◀──────────┘
//!                           └──▶ reading ──▶ done or failed, in the document; with it the word that it is off
//! ```
//!
//! Only the primary does it. What it has begun and did not end, as when it dies, its successor begins anew. Nothing
//! is concluded from what a command to switch says of itself: the controller is asked afterwards.

mod program;

use std::{
    collections::BTreeSet,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OnceCell, OwnedSemaphorePermit, Semaphore, watch::Receiver},
    time::{Instant, sleep},
};
use watari_chassis::{Leadership, Mirror, Snapshot, Wake, clock, looper};
use watari_model::{
    NodeName, Refusal, Said,
    node::{
        Fencing, Node, State,
        fencing::{self, Act, BY_ITSELF, Case, Means, Outcome, Step},
    },
    outage::Outage,
};

use crate::{
    documents::{self, Unwritten},
    settings::fencing::{Commands, commands, is_configured},
    watch::Watch,
};
use program::{Ran, Reading, reading, run};

/// How often a controller is asked whether it has done what it was told.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// Who switches nodes; there is one a process.
pub(crate) struct Desk {
    watch: Arc<Watch>,
    leadership: Receiver<Leadership>,
    busy: Mutex<BTreeSet<NodeName>>,
    hands: Arc<Semaphore>,
}

/// What is to be done with one node's power.
pub(crate) struct Errand {
    pub(crate) act: Act,
    pub(crate) by: String,
    pub(crate) tries: u32,
}

/// The right to switch a node; dropped, another may.
struct Turn {
    desk: Arc<Desk>,
    node: NodeName,
    _hand: OwnedSemaphorePermit,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.desk.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.node);
    }
}

impl Desk {
    pub(crate) fn new(watch: &Arc<Watch>, leadership: Receiver<Leadership>) -> Arc<Self> {
        let hands = Arc::new(Semaphore::new(watch.settings.fence.at_once));
        Arc::new(Self { watch: Arc::clone(watch), leadership, busy: Mutex::default(), hands })
    }

    /// The programs for a node, if any are configured.
    pub(crate) fn commands(&self, node: &Node) -> Option<Commands> {
        commands(&self.watch.settings.fencing, node)
    }

    fn busy(&self) -> BTreeSet<NodeName> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// None is kept waiting: who is due later is decided then, by what is so then.
    fn take(self: &Arc<Self>, node: &NodeName) -> Option<Turn> {
        let hand = Arc::clone(&self.hands).try_acquire_owned().ok()?;
        let free = self.busy.lock().unwrap_or_else(PoisonError::into_inner).insert(node.clone());
        free.then(|| Turn { desk: Arc::clone(self), node: node.clone(), _hand: hand })
    }

    /// Asks the controller whether the node is on.
    ///
    /// # Errors
    /// [`Refusal::FencingFailed`] if it does not say so.
    pub(crate) async fn ask(&self, node: &NodeName, commands: &Commands) -> Result<Act, Refusal> {
        match self.status(commands).await {
            Reading::Is(act) => Ok(act),
            Reading::Unclear(detail) => Err(Refusal::FencingFailed { node: node.to_string(), detail }),
        }
    }

    async fn status(&self, commands: &Commands) -> Reading {
        let words = commands.status();
        let ran = run(words, &commands.secrets, self.watch.settings.fence.program()).await;
        reading(&ran, words.first().map_or("", String::as_str))
    }

    /// Writes down that a node is being switched, and has it done beside everything else; what was begun. None if
    /// something is under way for the node already, or for as many as there may be, or it is heard by now.
    ///
    /// # Errors
    /// [`Unwritten`], if that could not be written down: then nothing is done.
    pub(crate) async fn begin(
        self: &Arc<Self>,
        node: &Node,
        commands: Commands,
        errand: Errand,
    ) -> Result<Option<Fencing>, Unwritten> {
        let Some(turn) = self.take(&node.name) else { return Ok(None) };
        let Errand { act, by, tries } = errand;
        let begun = Fencing::of(node, act, by, tries, Outcome::Begun, clock::now());
        let written = self.write(&node.name, begun.clone()).await?;
        if written.fencing.as_ref() != Some(&begun) {
            return Ok(None);
        }
        let (desk, told) = (Arc::clone(self), begun.clone());
        self.watch.ctx.spawn("power", async move { desk.carry_out(turn, begun, commands).await });
        Ok(Some(told))
    }

    async fn write(&self, node: &NodeName, told: Fencing) -> Result<Node, Unwritten> {
        let written = documents::fenced(&self.watch, node, told).await;
        self.watch.metrics.count("fencing", node, written.as_ref().map(|(written, _)| *written));
        written.map(|(_, node)| node)
    }

    /// Does what was begun, and writes down what came of it.
    async fn carry_out(&self, turn: Turn, begun: Fencing, commands: Commands) {
        // Who stood still since that was written leads no more, and the node may be heard by now.
        if !self.watch.ctx.may_act() {
            return;
        }
        let node = &turn.node;
        tracing::warn!(%node, act = ?begun.act, by = %begun.by, tries = begun.tries, "a node's power is being switched");
        let shutdown = self.watch.ctx.shutdown.clone();
        let outcome = tokio::select! {
            outcome = self.switched(node, begun.act, &commands) => outcome,
            // Whoever leads then finds what was begun, and begins anew.
            () = shutdown.cancelled() => return,
        };
        let outcome = match outcome {
            Outcome::Done if begun.lost_at.is_some() && begun.act == Act::Off && !self.is_silent(node) => {
                let detail = Said::new("it was heard meanwhile", "その間にノードから応答がありました");
                Outcome::Failed { why: Refusal::FencingFailed { node: node.to_string(), detail } }
            }
            other => other,
        };
        // Who leads no more has no word; its successor asks for itself.
        if self.leadership.borrow().epoch().is_none() {
            return;
        }
        match &outcome {
            Outcome::Failed { why } => tracing::warn!(%node, %why, "a node's power is not as wanted"),
            _ => tracing::warn!(%node, act = ?begun.act, "a node's power is as wanted"),
        }
        let ended = Fencing { outcome, ended_at: Some(clock::now()), ..begun };
        // Unwritten it is begun anew.
        let _ = self.write(node, ended).await;
    }

    /// Runs the program that switches, then asks until the controller says that it is so.
    async fn switched(&self, node: &NodeName, act: Act, commands: &Commands) -> Outcome {
        let fence = &self.watch.settings.fence;
        let order = commands.switch(act);
        let ran = run(order, &commands.secrets, fence.program()).await;
        // What has failed is not waited for, though it may be so already.
        let until = Instant::now() + if ran.failed() { Duration::ZERO } else { fence.settle() };
        loop {
            let says = self.status(commands).await;
            if says == Reading::Is(act) {
                return Outcome::Done;
            }
            if Instant::now() >= until {
                let detail = told(&ran, order.first().map_or("", String::as_str), says);
                return Outcome::Failed { why: Refusal::FencingFailed { node: node.to_string(), detail } };
            }
            sleep(ASK_AGAIN).await;
        }
    }

    /// Whether nothing is heard of a node.
    fn is_silent(&self, node: &NodeName) -> bool {
        let heard = self.watch.fleet().get(node.as_str()).map(|heard| heard.at);
        self.watch.silent_ms(heard) >= self.watch.settings.nodes.suspect_after_ms
    }
}

/// Why it is not so: what the command said, if it failed, and what the controller says.
fn told(ran: &Ran, program: &str, says: Reading) -> Said {
    let says = match says {
        Reading::Is(Act::On) => {
            Said::new("its power controller says that it is on", "電源制御装置は電源が入っていると答えています")
        }
        Reading::Is(Act::Off) => {
            Said::new("its power controller says that it is off", "電源制御装置は電源が切れていると答えています")
        }
        Reading::Unclear(why) => why,
    };
    if !ran.failed() && *ran != Ran::TimedOut {
        return says;
    }
    let failed = ran.told(program);
    Said::new(format!("{}; {}", failed.en, says.en), format!("{}。{}", failed.ja, says.ja))
}

/// Fences lost nodes while this process leads, if any power controller is configured.
pub(crate) async fn fence(desk: Arc<Desk>, outages: Arc<OnceCell<Mirror<Outage>>>) {
    let watch = Arc::clone(&desk.watch);
    if watch.settings.fencing.is_empty() {
        return;
    }
    let (ctx, leadership) = (watch.ctx.clone(), desk.leadership.clone());
    // Who is dark on purpose is known by the outages, without which nobody is fenced.
    let Ok(outages) = outages.get_or_try_init(|| Mirror::of_another(&ctx)).await.cloned() else { return };
    let tick = Duration::from_millis(watch.settings.nodes.look_ms);
    looper::run_as_primary(&ctx, "fencing", leadership, Wake::new(), tick, |_| {
        let (desk, outages) = (Arc::clone(&desk), outages.clone());
        async move {
            step(&desk, &outages).await;
            Ok::<(), Infallible>(())
        }
    })
    .await;
}

async fn step(desk: &Arc<Desk>, outages: &Mirror<Outage>) {
    // First: what became of a node that is let go of meanwhile is then in its document.
    let busy = desk.busy();
    let nodes = desk.watch.nodes.snapshot();
    // Mostly nobody is.
    if !nodes.values().any(|entry| entry.value.state == State::Lost) {
        return;
    }
    let outages = outages.snapshot();
    let cases: Vec<Case<'_>> = nodes.values().map(|entry| case(desk, &busy, &outages, &entry.value)).collect();
    for (name, step) in fencing::due(&cases, clock::now(), desk.watch.settings.fence.rules()) {
        looper::goes_on();
        let Some(entry) = nodes.get(name.as_str()) else { continue };
        let node = &entry.value;
        match step {
            Step::Cut { tries } => {
                let Some(commands) = desk.commands(node) else { continue };
                let errand = Errand { act: Act::Off, by: BY_ITSELF.to_owned(), tries };
                // Unwritten it is due at the next look.
                let _ = desk.begin(node, commands, errand).await;
            }
            Step::Withhold(why) => {
                tracing::warn!(node = %name, %why, "a node is not fenced");
                let (by, outcome) = (BY_ITSELF.to_owned(), Outcome::Withheld { why });
                let told = Fencing::of(node, Act::Off, by, 1, outcome, clock::now());
                let _ = desk.write(&name, told).await;
            }
        }
    }
}

fn case<'a>(desk: &Desk, busy: &BTreeSet<NodeName>, outages: &Snapshot<Outage>, node: &'a Node) -> Case<'a> {
    // Whoever stops an agent to see after its node cordons it first.
    let means = if node.cordoned || fencing::is_spared(node, outages.values().map(|entry| &entry.value)) {
        Means::Spared
    } else if busy.contains(&node.name) {
        Means::Busy
    } else if is_configured(&desk.watch.settings.fencing, node) {
        Means::Ready
    } else {
        Means::Missing
    };
    Case { node, silent: desk.is_silent(&node.name), means }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use watari_chassis::{Context, Lease, config::Common};
    use watari_contracts::Service;
    use watari_testkit::{NatsServer, TempDir};

    use super::*;
    use crate::settings::{Settings, fencing::Controller};

    async fn context(nats: &NatsServer) -> Context {
        Context::new(Service::Monitor, &Common::at([nats.url()]).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn what_was_begun_while_the_lease_held_is_not_done_once_it_holds_no_more() {
        let (nats, dir) = (NatsServer::start(), TempDir::new());
        let (ctx, other) = (context(&nats).await, context(&nats).await);
        let sample = include_str!("../../../../shared/contracts/tests/golden/document.nodes.json");
        let node: Node = serde_json::from_str::<Vec<_>>(sample).unwrap().swap_remove(0);
        let watch = Watch::new(&ctx, Mirror::open(&ctx).await.unwrap(), Settings::embedded().unwrap()).unwrap();
        let leadership = tokio::sync::watch::Sender::new(Leadership::Primary { epoch: 1 }).subscribe();
        let desk = Desk::new(&watch, leadership);
        let is_cut = |file: &str| {
            let (desk, node, path) = (Arc::clone(&desk), node.clone(), dir.path().join(file));
            async move {
                let controller = Controller {
                    node: Some(node.name.clone()),
                    site: None,
                    off: vec!["touch".to_owned(), path.display().to_string()],
                    status: vec!["echo".to_owned(), "off".to_owned()],
                    on: Vec::new(),
                    secrets: BTreeMap::new(),
                };
                let commands = commands(&[controller], &node).unwrap();
                let begun = Fencing::of(&node, Act::Off, BY_ITSELF.to_owned(), 1, Outcome::Begun, clock::now());
                desk.carry_out(desk.take(&node.name).unwrap(), begun, commands).await;
                path.exists()
            }
        };
        assert!(is_cut("before").await, "it competes for no lease yet");

        let ttl = Duration::from_secs(60);
        let mut elsewhere = Lease::campaign(&other, Service::Monitor, ttl).await.unwrap();
        elsewhere.wait_for(|leadership| leadership.epoch().is_some()).await.unwrap();
        drop(Lease::campaign(&ctx, Service::Monitor, ttl).await.unwrap());
        assert!(!is_cut("after").await, "another leads, though nobody has told it");
    }
}
