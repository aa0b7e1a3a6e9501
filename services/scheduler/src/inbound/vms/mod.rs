//! Requests about servers.

mod check;
mod console;
mod create;
mod power;

use std::ops::Bound;

use watari_contracts::scheduler::{GetVm, ListVms, VmPage, VmView};
use watari_model::{
    Refusal,
    vm::{AnsweredRequest, REQUESTS_KEPT, Vm},
};

use super::{Desk, TRIES, check_request_id, fill, find, newest, page, unwritten};
use crate::{
    core::{Snapshot, digest},
    views,
};

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
        views::vm(&self.executor.view(), vm, self.rules.silent_ms)
    }

    pub(super) async fn get_vm(self, request: GetVm) -> Result<VmView, Refusal> {
        let entry = find(&self.stores().vms, request.name.as_str()).await?;
        entry.map(|entry| self.show(&entry.value)).ok_or_else(|| Refusal::VmUnknown { vm: request.name.to_string() })
    }

    #[allow(clippy::unused_async, reason = "a handler")]
    pub(super) async fn list_vms(self, request: ListVms) -> Result<VmPage, Refusal> {
        let limit = page(request.limit, 500)?;
        let snap = self.executor.view();
        let after = request.after.as_ref().map_or(Bound::Unbounded, |name| Bound::Excluded(name.as_str()));
        let wanted = snap
            .vms
            .range::<str, _>((after, Bound::Unbounded))
            .map(|(_, entry)| &entry.value)
            .filter(|vm| request.state.is_none_or(|state| vm.state == state))
            .filter(|vm| request.node.as_ref().is_none_or(|node| vm.node() == Some(node)))
            .filter(|vm| request.site.as_ref().is_none_or(|site| at(&snap, vm, site)));
        let (mut wanted, mut rest) = (wanted.clone(), wanted);
        let vms = fill(wanted.by_ref().map(|vm| views::vm(&snap, vm, self.rules.silent_ms)), limit);
        let more = rest.nth(vms.len()).is_some();
        let next = if more { vms.last().map(|vm| vm.name.clone()) } else { None };
        Ok(VmPage { vms, next })
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

fn at(snap: &Snapshot, vm: &Vm, site: &watari_model::SiteName) -> bool {
    vm.node().and_then(|node| snap.nodes.get(node.as_str())).is_some_and(|entry| entry.value.site == *site)
}
