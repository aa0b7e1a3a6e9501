//! The list of servers: asked for by every screen that refreshes itself, most of it each time the
//! same. So the JSON of each server's view is kept, and a page is put together from the pieces.

use std::{
    collections::HashMap,
    ops::Bound,
    sync::{Arc, Mutex, PoisonError},
};

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use watari_chassis::{Entry, Written, clock};
use watari_contracts::scheduler::{ListVms, VmPage};
use watari_model::{
    NodeName, Refusal, VmName,
    vm::{State, Vm},
};

use super::super::{Desk, PAGE_BYTES, page};
use crate::views::{self, Whereabouts};

/// The views that were shown last, by server.
#[derive(Default)]
pub(in crate::inbound) struct Shown(Mutex<HashMap<String, Piece>>);

struct Piece {
    /// The document that it shows. A document that was written again is another entry.
    entry: Arc<Entry<Vm>>,
    whereabouts: Whereabouts,
    json: Arc<RawValue>,
}

impl Shown {
    /// The JSON of a server's view.
    fn json(&self, entry: &Arc<Entry<Vm>>, whereabouts: &Whereabouts) -> serde_json::Result<Arc<RawValue>> {
        let name = entry.value.name.as_str();
        let mut pieces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(piece) = pieces.get(name)
            && Arc::ptr_eq(&piece.entry, entry)
            && piece.whereabouts == *whereabouts
        {
            return Ok(Arc::clone(&piece.json));
        }
        let json: Arc<RawValue> = to_raw_value(&views::vm(&entry.value, whereabouts))?.into();
        let piece = Piece { entry: Arc::clone(entry), whereabouts: whereabouts.clone(), json: Arc::clone(&json) };
        pieces.insert(name.to_owned(), piece);
        Ok(json)
    }

    /// Forgets servers that are no more.
    fn keep(&self, there: &watari_chassis::Snapshot<Vm>) {
        let mut pieces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pieces.len() > there.len() {
            pieces.retain(|name, _| there.contains_key(name));
        }
    }
}

/// Of a page, what its servers and the commas between them do not take.
const FRAME_BYTES: usize = 128;

/// The form of a [`VmPage`], of pieces.
#[derive(Serialize)]
struct Page<'a> {
    vms: Vec<&'a RawValue>,
    next: Option<VmName>,
}

impl Desk {
    #[allow(clippy::unused_async, reason = "a handler")]
    pub(in crate::inbound) async fn list_vms(self, request: ListVms) -> Result<Written<VmPage>, Refusal> {
        let limit = page(request.limit, 500)?;
        let unwritable = |error: serde_json::Error| Refusal::Internal { detail: error.to_string() };
        let (vms, now) = (self.stores().vms.snapshot(), clock::now());
        // Those of one node are few among all, and are not looked for among all.
        let there = request.node.as_ref().map(|node| self.stores().vms.belonging_to(node.as_str()));
        let mut snap = self.executor.whereabouts(None);
        self.shown.keep(&vms);
        let mut nodes: HashMap<Option<&NodeName>, Whereabouts> = HashMap::new();
        let after = request.after.as_ref().map_or(Bound::Unbounded, |name| Bound::Excluded(name.as_str()));
        let (mut pieces, mut bytes) = (Vec::new(), 0);
        let (mut last, mut next): (Option<&VmName>, _) = (None, None);
        let entries: Box<dyn Iterator<Item = &Arc<Entry<Vm>>> + Send> = match &there {
            Some(there) => Box::new(there.iter().filter(|entry| is_after(request.after.as_ref(), &entry.value.name))),
            None => Box::new(vms.range::<str, _>((after, Bound::Unbounded)).map(|(_, entry)| entry)),
        };
        let told = |vm: &Vm| vm.fault.as_ref().map(Refusal::code);
        for entry in entries {
            let vm = &entry.value;
            // What is not wanted is passed by as cheaply as can be: it may be nearly all.
            if request.state.is_some_and(|state| vm.state != state)
                || request.project.as_ref().is_some_and(|project| vm.project != *project)
                || request.fault.as_deref().is_some_and(|code| told(vm) != Some(code))
            {
                continue;
            }
            let whereabouts = nodes.entry(vm.node()).or_insert_with(|| {
                if let Some(node) = vm.node() {
                    self.executor.memory.fill_sight(&mut snap, node);
                }
                views::whereabouts(&snap, vm.node(), self.rules.silent_ms)
            });
            if request.site.as_ref().is_some_and(|site| whereabouts.site.as_ref() != Some(site)) {
                continue;
            }
            // Only of one that is to go off more must be said than of all others on its node.
            let its = (vm.state == State::Stopping).then(|| whereabouts.of(vm, self.rules.deadline.stop_ms, now));
            let json = self.shown.json(entry, its.as_ref().unwrap_or(whereabouts)).map_err(unwritable)?;
            bytes += json.get().len();
            // The first always fits.
            if pieces.len() == limit || (bytes > PAGE_BYTES && last.is_some()) {
                next = last.cloned();
                break;
            }
            pieces.push(json);
            last = Some(&vm.name);
        }
        let page = Page { vms: pieces.iter().map(AsRef::as_ref).collect(), next };
        Written::of(&page, bytes + pieces.len() + FRAME_BYTES).map_err(unwritable)
    }
}

/// Whether a server is beyond the last of the page before.
fn is_after(after: Option<&VmName>, name: &VmName) -> bool {
    after.is_none_or(|after| name.as_str() > after.as_str())
}

#[cfg(test)]
mod tests {
    use watari_contracts::scheduler::VmView;

    use super::*;

    fn entry(revision: u64, change: impl FnOnce(&mut Vm)) -> Arc<Entry<Vm>> {
        const SAMPLES: &str = include_str!("../../../../../shared/contracts/tests/golden/document.vms.json");
        let [mut vm, ..]: [Vm; 2] = serde_json::from_str(SAMPLES).unwrap();
        change(&mut vm);
        let created = vm.created_at;
        Arc::new(Entry { value: vm, revision, created })
    }

    #[test]
    fn a_page_of_pieces_has_the_form_of_a_page() {
        let (shown, entry) = (Shown::default(), entry(7, |_| ()));
        let nowhere = Whereabouts::default();
        let next = Some(entry.value.name.clone());
        let piece = shown.json(&entry, &nowhere).unwrap();
        let page = Page { vms: vec![&*piece], next: next.clone() };
        let written = Written::<VmPage>::of(&page, FRAME_BYTES).unwrap();
        let whole = VmPage { vms: vec![views::vm(&entry.value, &nowhere)], next };
        assert_eq!(written.json(), serde_json::to_vec(&whole).unwrap());
    }

    #[test]
    fn a_view_is_written_again_when_its_document_or_its_whereabouts_changed_and_only_then() {
        let (shown, before) = (Shown::default(), entry(7, |_| ()));
        let (nowhere, heard) = (Whereabouts::default(), Whereabouts { reachable: true, ..Whereabouts::default() });
        let first = shown.json(&before, &nowhere).unwrap();
        assert!(Arc::ptr_eq(&first, &shown.json(&before, &nowhere).unwrap()));

        let view = |json: &RawValue| serde_json::from_str::<VmView>(json.get()).unwrap();
        let there = shown.json(&before, &heard).unwrap();
        assert_eq!((view(&first).reachable, view(&there).reachable), (false, true));

        let after = entry(8, |vm| vm.spec.priority += 1);
        assert_eq!(view(&shown.json(&after, &heard).unwrap()).priority, view(&there).priority + 1);

        shown.keep(&watari_chassis::Snapshot::default());
        assert!(shown.0.lock().unwrap().is_empty());
    }
}
