//! The short way through the switch-over. While the guest stands still every millisecond counts,
//! so here the steps follow one another without the loop: both sides are asked at once, unless both
//! have just reported all there is to know; the grant goes over with one compare-and-set; the copy
//! is resumed. If anything comes between, the loop goes on from the documents, which are written in
//! the same order.

use std::time::Instant;

use watari_chassis::clock;
use watari_contracts::agent::{self, Observe, Resume};
use watari_model::{
    Refusal,
    vm::{Change, Vm},
};

use super::Executor;
use crate::core::{
    Both, Order, Outcome, Settle,
    crossing::{Verdict, may_switch, verdict},
    resume_key, resume_operation,
};

impl Executor {
    pub(super) async fn settle(&self, settle: &Settle, key: &str) {
        let begun = Instant::now();
        let asked = self.memory.asking(&[&settle.from, &settle.to]);
        let both = match &settle.reported {
            Some(both) => both.as_ref().clone(),
            None => self.ask_both(settle).await,
        };
        let verdict = verdict(&settle.migration, &both);
        tracing::info!(migration = %settle.migration, ?verdict, source = ?both.source.as_ref().map(|f| f.domain),
            target = ?both.target.as_ref().map(|f| f.domain), reported = settle.reported.is_some(),
            took_ms = millis(begun), "heard both sides");
        self.metrics.action("settle", word(verdict));
        self.memory.answered(key.to_owned(), 0, Outcome::Both(both), asked);
        if verdict == Verdict::Switch
            && self.leads(settle.epoch)
            && let Some(vm) = self.switch(settle).await
        {
            let written_ms = millis(begun);
            self.resume(settle, &vm).await;
            tracing::info!(migration = %settle.migration, written_ms, resumed_ms = millis(begun), "switched over");
        }
    }

    async fn ask_both(&self, settle: &Settle) -> Both {
        let look = Observe { vm: settle.vm.clone() };
        let (a, b) = tokio::join!(self.look(&settle.from, &look), self.look(&settle.to, &look));
        Both { copy: settle.copy, source: a.ok(), target: b.ok(), off: settle.off }
    }

    /// Gives the grant to the target, if nothing has happened to the server's document meanwhile.
    async fn switch(&self, settle: &Settle) -> Option<Vm> {
        let entry = self.stores.vms.get(settle.vm.as_str())?;
        let mut vm = entry.value.clone();
        if !may_switch(&vm, &settle.migration) || vm.node() != Some(&settle.from) {
            return None;
        }
        vm.apply(Change::Switched, clock::now()).ok()?;
        match self.stores.vms.update(&vm, entry.revision).await {
            Ok(_) => Some(vm),
            Err(error) => {
                tracing::warn!(%error, migration = %settle.migration, "the switch-over was not written; it is decided anew");
                None
            }
        }
    }

    async fn resume(&self, settle: &Settle, vm: &Vm) {
        let (Some(grant), Some(key)) = (vm.grant.clone(), resume_key(vm)) else { return };
        let order = agent::Order { epoch: settle.epoch, operation: resume_operation(vm) };
        let asked = self.memory.asking(&[&settle.to]);
        let resume = Order::Resume(Resume { order, vm: vm.name.clone(), grant });
        let outcome = self.order(&settle.to, &resume).await;
        if let Outcome::Silent(Refusal::NotPrimary { .. }) = outcome {
            return;
        }
        self.memory.answered(key, 0, outcome, asked);
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Switch => "switch",
        Verdict::GiveUp => "give-up",
        Verdict::Wait => "wait",
        Verdict::Double => "double",
    }
}
