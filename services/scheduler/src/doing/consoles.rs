//! What a server wrote to its console before it came to its node. Its log begins anew on each, and the one that it left
//! goes with what else was left there.

use watari_contracts::agent::{KeepConsole, MOST_KEPT, ReadConsole, Release};
use watari_model::NodeName;

use super::Executor;

impl Executor {
    /// Has the node that a server came to keep the end of the log on the one that it left. It runs by then and nothing
    /// waits for this: what fails is not tried again, and is lost with the old log.
    pub(super) fn carry_console(&self, from: &NodeName, release: &Release) {
        let Some(entry) = self.stores.vms.get(release.vm.as_str()) else { return };
        let Some(to) = entry.value.node().filter(|to| *to != from).cloned() else { return };
        let read = ReadConsole { vm: release.vm.clone(), bytes: u64::try_from(MOST_KEPT).unwrap_or(u64::MAX) };
        let (order, uuid) = (release.order.clone(), entry.value.uuid.clone());
        let (bus, from) = (self.ctx.bus.clone(), from.clone());
        self.ctx.spawn("console", async move {
            let vm = read.vm.clone();
            let carried = match bus.command(&from, &read).await {
                Ok(log) if log.text.is_empty() => return,
                Ok(log) => {
                    bus.command(&to, &KeepConsole { order, vm: vm.clone(), uuid, text: log.text }).await.map(drop)
                }
                Err(error) => Err(error),
            };
            if let Err(error) = carried {
                tracing::debug!(%error, %vm, %from, %to, "what it wrote to its console before is not kept");
            }
        });
    }
}
