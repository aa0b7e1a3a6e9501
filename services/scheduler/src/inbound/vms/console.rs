//! The end of a server's console log, read on its node.

use watari_contracts::{
    agent::ReadConsole,
    scheduler::{ConsoleLog, VmConsoleLog},
};
use watari_model::{Refusal, Said};

use super::{super::out_of_range, Desk, find};

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
        let Some(node) = entry.value.node().cloned() else {
            let state = entry.value.state.word().to_owned();
            return Err(Refusal::VmState { vm, state, wanted: "show a console".to_owned() });
        };
        let read = ReadConsole { vm: request.name.clone(), bytes };
        match self.executor.ctx.bus.command(&node, &read).await {
            Ok(console) => Ok(ConsoleLog { name: request.name, node, text: console.text }),
            Err(watari_chassis::CallError::Refused(body)) => Err(body.refusal),
            Err(error) => {
                tracing::debug!(%error, %node, "no console");
                Err(Refusal::VmUnreachable { vm, node: node.to_string() })
            }
        }
    }
}
