//! A server's console, on its node: the end of its log, and sessions of who types at it; and what its display shows.
//! Which node that is may change from one request to the next; a session is of one node.

use watari_chassis::clock;
use watari_contracts::{
    Command,
    agent::{ConsoleAct, ReadConsole, TakePicture, UseConsole},
    history::named,
    scheduler::{ConsoleLog, ConsoleView, Screenshot, VmConsole, VmConsoleLog, VmScreenshot},
};
use watari_model::{
    NodeName, Refusal, Said, VmName,
    vm::{Opening, State, Vm},
};

use super::{super::out_of_range, Desk, digest_of, find};

/// What is read if nothing is said.
const USUAL_BYTES: u64 = 16 << 10;
/// The most that is read.
const MOST_BYTES: u64 = 128 << 10;

impl Desk {
    pub(in crate::inbound) async fn console_log(self, request: VmConsoleLog) -> Result<ConsoleLog, Refusal> {
        let bytes = request.bytes.unwrap_or(USUAL_BYTES);
        if !(1..=MOST_BYTES).contains(&bytes) {
            return Err(out_of_range("bytes", bytes, Said::between(1, MOST_BYTES)));
        }
        let vm = request.name.to_string();
        let Some(entry) = find(&self.stores().vms, &vm).await? else { return Err(Refusal::VmUnknown { vm }) };
        let Some(node) = entry.value.node().cloned() else { return Err(not_now(&entry.value, "show a console")) };
        let read = ReadConsole { vm: request.name.clone(), bytes };
        let text = self.at_node(&node, &request.name, &read).await?.text;
        Ok(ConsoleLog { name: request.name, node, text })
    }

    pub(in crate::inbound) async fn screenshot(self, request: VmScreenshot) -> Result<Screenshot, Refusal> {
        let vm = request.name.to_string();
        let Some(entry) = find(&self.stores().vms, &vm).await? else { return Err(Refusal::VmUnknown { vm }) };
        if !entry.value.spec.display {
            return Err(Refusal::NoDisplay { vm });
        }
        let Some(node) = entry.value.node().filter(|_| lives(&entry.value)).cloned() else {
            return Err(not_now(&entry.value, "show its screen"));
        };
        let take = TakePicture { vm: request.name.clone(), uuid: entry.value.uuid.clone() };
        let png = self.at_node(&node, &request.name, &take).await?.png;
        Ok(Screenshot { name: request.name, node, png })
    }

    /// Nothing of what is typed or shown is kept; that somebody opens a console is: the server's document remembers the
    /// request, and the history says whose it was.
    pub(in crate::inbound) async fn console(self, request: VmConsole) -> Result<ConsoleView, Refusal> {
        let VmConsole { name, session, act, again } = request;
        let unknown = || Refusal::VmUnknown { vm: name.to_string() };
        let entry = find(&self.stores().vms, name.as_str()).await?.ok_or_else(unknown)?;
        let vm = &entry.value;
        let opening = match &act {
            ConsoleAct::Open { .. } if again => Some(Opening::Again),
            ConsoleAct::Open { take_over: true } => Some(Opening::Forced),
            ConsoleAct::Open { take_over: false } => Some(Opening::First),
            _ => None,
        };
        let Some(node) = vm.node().filter(|_| lives(vm) || opening.is_none()).cloned() else {
            return Err(not_now(vm, "open its console"));
        };
        if let Some(opening) = opening {
            // Before it is, so that nobody is at a console of which nobody knows, and each time, whatever the session is
            // called. Who knows its name can type in it, and documents are read by many: hence the digest.
            let opening = format!("{}{}", opening.mark(), digest_of(&("console", &session, clock::now())));
            // The one before it is forgotten: openings push out no request whose repetition must still be known.
            let forget = |vm: &mut Vm| {
                vm.requests.retain(|known| known.request_id != known.digest);
                Ok(())
            };
            self.amend(&name, Some(&opening), &opening, forget).await?;
        }
        // As the history calls them, for others that are told who has it open.
        let by = named(&watari_chassis::asker().unwrap_or_default(), &self.people);
        let order = UseConsole { vm: name.clone(), uuid: vm.uuid.clone(), session, by, act };
        let part = self.at_node(&node, &order.vm, &order).await?;
        Ok(ConsoleView { name, node, part })
    }

    /// What the server's node says, if it says anything.
    async fn at_node<C: Command>(&self, node: &NodeName, vm: &VmName, order: &C) -> Result<C::Reply, Refusal> {
        match self.executor.ctx.bus.command(node, order).await {
            Ok(reply) => Ok(reply),
            Err(watari_chassis::CallError::Refused(body)) => Err(body.refusal),
            Err(error) => {
                tracing::debug!(%error, %node, verb = C::VERB, "no answer");
                Err(Refusal::VmUnreachable { vm: vm.to_string(), node: node.to_string() })
            }
        }
    }
}

/// Whether its domain lives the agent knows better; of one that is off nobody waits for a console, or a picture.
fn lives(vm: &Vm) -> bool {
    matches!(vm.state, State::Starting | State::Running | State::Migrating | State::Stopping)
}

fn not_now(vm: &Vm, wanted: &str) -> Refusal {
    Refusal::VmState { vm: vm.name.to_string(), state: vm.state.word().to_owned(), wanted: wanted.to_owned() }
}
