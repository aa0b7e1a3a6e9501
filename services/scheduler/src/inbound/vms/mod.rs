//! Requests about servers.

mod after;
mod check;
mod console;
mod create;
mod edit;
mod listing;
mod power;
mod preseed;
mod resize;
mod rooms;
mod snapshots;

use watari_chassis::{clock, telemetry::trace};
use watari_contracts::scheduler::{GetVm, VmView};
use watari_model::{
    Refusal,
    vm::{AnsweredRequest, REQUESTS_KEPT, Vm},
};

use super::{Desk, TRIES, check_request_id, find, newest, unwritten};
use crate::{core::digest, views};

pub(super) use listing::Shown;
pub(super) use rooms::Lately;

/// A request's contents without its name, as a digest.
fn digest_of(request: &impl serde::Serialize) -> String {
    digest(&serde_json::to_vec(request).unwrap_or_default())
}

/// Whether a document remembers the request: answered before with the same contents, or misused.
fn answered(vm: &Vm, request_id: Option<&str>, digest: &str) -> Result<bool, Refusal> {
    let Some(request_id) = request_id else { return Ok(false) };
    match vm.requests.iter().find(|answered| answered.request_id == request_id) {
        Some(answered) if answered.digest == digest => Ok(true),
        Some(_) => Err(Refusal::RequestIdReused { request_id: request_id.to_owned() }),
        None => Ok(false),
    }
}

/// Remembers a request in the document that it changes.
fn remember(vm: &mut Vm, request_id: Option<&str>, digest: &str) {
    if let Some(request_id) = request_id {
        vm.requests.push(AnsweredRequest { request_id: request_id.to_owned(), digest: digest.to_owned() });
        let surplus = vm.requests.len().saturating_sub(REQUESTS_KEPT);
        vm.requests.drain(..surplus);
    }
}

impl Desk {
    pub(super) fn show(&self, vm: &Vm) -> VmView {
        let there = views::whereabouts(&self.executor.whereabouts(vm.node()), vm.node(), self.rules.silent_ms);
        views::vm(vm, &there.of(vm, self.rules.deadline.stop_ms, clock::now()))
    }

    pub(super) async fn get_vm(self, request: GetVm) -> Result<VmView, Refusal> {
        let entry = find(&self.stores().vms, request.name.as_str()).await?;
        let entry = entry.ok_or_else(|| Refusal::VmUnknown { vm: request.name.to_string() })?;
        // All servers are gone through for it, so that no other answer has it.
        let before = after::users(&self.stores().vms.snapshot(), &request.name).cloned().collect();
        let weight = views::weight(&self.executor.whereabouts(None), &entry.value);
        let sending = self.executor.brought(&entry.value.name);
        Ok(VmView { before: Some(before), weight, sending, ..self.show(&entry.value) })
    }

    /// Changes a server's document by compare-and-set, as often as somebody else is faster.
    async fn amend(
        &self,
        name: &watari_model::VmName,
        request_id: Option<&str>,
        digest: &str,
        change: impl Fn(&mut Vm) -> Result<(), Refusal>,
    ) -> Result<VmView, Refusal> {
        check_request_id(request_id)?;
        let unknown = || Refusal::VmUnknown { vm: name.to_string() };
        let mut entry = find(&self.stores().vms, name.as_str()).await?.ok_or_else(unknown)?;
        for _ in 0..TRIES {
            if answered(&entry.value, request_id, digest)? {
                return Ok(self.show(&entry.value));
            }
            let mut vm = entry.value.clone();
            change(&mut vm)?;
            remember(&mut vm, request_id, digest);
            if vm == entry.value {
                return Ok(self.show(&vm));
            }
            // Before the loop can see what is wanted.
            self.executor.memory.note_trace(name, trace::recorded());
            match self.stores().vms.update(&vm, entry.revision).await {
                Ok(_) => return Ok(self.show(&vm)),
                Err(watari_chassis::WriteError::Conflict { .. }) => {
                    entry = newest(&self.stores().vms, name.as_str()).await?.ok_or_else(unknown)?;
                }
                Err(error) => return Err(unwritten(&error)),
            }
        }
        Err(Refusal::NoAnswer { who: format!("the document of server {name}") })
    }
}
