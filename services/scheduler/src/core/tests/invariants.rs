//! What must hold at every moment, whatever is cut or dies; and what must hold in the end.

use watari_model::{
    NodeName, VmName,
    migration::{Migration, State as MigrationState},
    outage,
    vm::{Desired, State, Vm},
};

use super::{
    agent::{Disk, Effect, Process},
    faults::Faults,
    flow::{Flow, Stage},
    sim::{Broken, Sim},
};
use crate::core::{Action, Amount, Snapshot};

/// Whether a node may receive nothing.
fn drains(snap: &Snapshot, node: &NodeName) -> bool {
    let there = &snap.nodes[node.as_str()].value;
    let covers = |scope: &outage::Scope| match scope {
        outage::Scope::Site(site) => *site == there.site,
        outage::Scope::Node(node) => *node == there.name,
    };
    snap.outages.values().any(|entry| entry.value.state.drains() && covers(&entry.value.scope))
}

impl Sim {
    /// After each event.
    pub(crate) fn check_world(&mut self) {
        let docs = self.docs.clone();
        for vm in docs.vms.values().map(|entry| &entry.value.name) {
            let running = self.running(vm);
            if running.len() > 1 {
                let what = format!("invariant 1: {vm} runs on {running:?}");
                self.violate(what);
            }
        }
        // One copy at a time in each direction. A scheduler that died may have begun one, and a fact
        // that comes seconds late may end one too early in the books.
        if self.epoch == 1 && self.calm {
            let site = |node: &NodeName| self.hosts[node].site.clone();
            let copying = self.flows.values().filter(|flow| flow.stage == Stage::Copying);
            let mut ways: Vec<_> = copying.map(|flow| (site(&flow.from), site(&flow.to))).collect();
            ways.sort();
            if ways.windows(2).any(|pair| pair[0] == pair[1]) {
                self.violate(format!("the link carries more than one copy: {ways:?}"));
            }
        }
        // Invariant 4, its sum: nothing is promised twice. It changes with what is written.
        if self.summed_at == docs.revision {
            return;
        }
        self.summed_at = docs.revision;
        for (name, entry) in docs.nodes.iter() {
            let holds = |v: &Vm| v.state != State::Pending && v.reserves_on().any(|n| n.as_str() == name);
            let used = docs.vms.values().filter(|e| holds(&e.value)).map(|e| Amount::of(e.value.claims()));
            let used = used.fold(Amount::default(), Amount::plus);
            if used.memory_mib > entry.value.inventory.memory_mib {
                self.violate(format!("invariant 4: {} MiB are reserved on {name}", used.memory_mib));
            }
        }
    }

    /// Before anything travels.
    pub(crate) fn check_first_byte(&mut self, flow: &Flow) {
        let reserved = self.document(&flow.vm).is_some_and(|vm| vm.reserves_on().any(|node| *node == flow.to));
        let prepared = self.hosts[&flow.to].guests.get(&flow.vm).is_some_and(|g| matches!(g.disk, Disk::Copy(_)));
        // A late order of a migration that was given up finds nothing prepared, and moves nothing.
        if prepared && !reserved {
            self.violate(format!("invariant 4: {} begins to move to {} unreserved", flow.vm, flow.to));
        }
    }

    /// Nothing begins for an outage that is paused.
    fn check_pause(&mut self, snap: &Snapshot, action: &Action) {
        let (migration, begins) = match action {
            Action::NewMigration(migration) => (Some(migration.as_ref()), true),
            Action::StoreMigration { migration, .. } => {
                let before = snap.migrations.get(migration.id.as_str()).map(|entry| entry.value.state);
                let travels = migration.state == MigrationState::Copying;
                (Some(migration.as_ref()), travels && before == Some(MigrationState::Preparing))
            }
            Action::StoreVm { vm, .. } => {
                let before = snap.vms.get(vm.name.as_str()).and_then(|entry| entry.value.crossing.as_ref());
                let id = vm.crossing.as_ref().map(|crossing| crossing.id.as_str());
                (id.and_then(|id| snap.migrations.get(id)).map(|entry| &entry.value), before.is_none())
            }
            _ => (None, false),
        };
        if begins && migration.is_some_and(|migration| snap.is_paused(migration)) {
            self.violate(format!("invariant 10: its outage is paused, and this begins: {action:?}"));
        }
        let ends = |outage: &outage::Outage| {
            let before = snap.outages.get(outage.id.as_str()).map(|entry| &entry.value);
            before.is_some_and(|before| before.paused_at.is_some() && outage.state != before.state)
        };
        if let Action::StoreOutage { outage, .. } = action
            && ends(outage)
        {
            self.violate(format!("invariant 10: {} is paused and becomes {}", outage.id, outage.state.word()));
        }
    }

    /// Who of an outage is under way, and depends on a server or has it depend on itself.
    fn at_once<'s>(&self, snap: &'s Snapshot, moved: &Migration) -> Option<&'s Migration> {
        let depends = |one: &VmName, other: &VmName| {
            snap.vms.get(one.as_str()).is_some_and(|entry| entry.value.spec.after.contains(other))
        };
        let gone = |vm: &VmName| {
            let node = snap.vms.get(vm.as_str()).and_then(|entry| entry.value.node());
            node.is_none_or(|node| snap.unreachable(node, self.rules.silent_ms))
        };
        snap.migrations.values().map(|entry| &entry.value).find(|m| {
            m.outage == moved.outage
                && !m.state.over()
                && m.state != MigrationState::Queued
                && (depends(&m.vm, &moved.vm) || depends(&moved.vm, &m.vm))
                && !gone(&m.vm)
        })
    }

    /// Never under way at once with what it depends on, in one outage.
    fn check_begin(&mut self, snap: &Snapshot, action: &Action) {
        let Action::StoreVm { vm, .. } = action else { return };
        let began = snap.vms.get(vm.name.as_str()).is_some_and(|entry| entry.value.crossing.is_none());
        let crossing = vm.crossing.as_ref().filter(|_| began);
        let migration = crossing.and_then(|crossing| snap.migrations.get(crossing.id.as_str()));
        let Some(moved) = migration.map(|entry| &entry.value).filter(|m| m.outage.is_some()) else { return };
        if let Some(other) = self.at_once(snap, moved) {
            self.violate(format!("dependencies: {} begins while {} is {}", vm.name, other.id, other.state.word()));
        }
    }

    /// What is decided, against what it was decided upon.
    pub(crate) fn check_action(&mut self, snap: &Snapshot, action: &Action) {
        self.check_pause(snap, action);
        self.check_begin(snap, action);
        self.check_copy(snap, action);
        let Action::StoreVm { vm, .. } = action else { return };
        let before = snap.vms.get(vm.name.as_str()).map(|entry| &entry.value);
        let was = |node: &NodeName| before.is_some_and(|b| b.reserves_on().any(|n| n == node));
        for node in vm.reserves_on().filter(|node| !was(node) && drains(snap, node)) {
            self.violate(format!("invariant 5: {} is sent to {node}, which drains", vm.name));
        }
    }

    /// What was prepared before its target began to drain does not begin to travel there.
    fn check_copy(&mut self, snap: &Snapshot, action: &Action) {
        let Action::StoreMigration { migration, .. } = action else { return };
        let before = snap.migrations.get(migration.id.as_str()).map(|entry| entry.value.state);
        let begins = migration.state == MigrationState::Copying && before == Some(MigrationState::Preparing);
        if begins && drains(snap, &migration.to) {
            self.violate(format!("invariant 5: {} begins to copy to where it drains", migration.id));
        }
    }

    /// What an order has done.
    pub(crate) fn check_effect(&mut self, node: &NodeName, vm: &VmName, effect: Effect) {
        let wanted_gone = self.document(vm).is_none_or(|vm| vm.desired == Desired::Deleted);
        let truth = self.truth.entry(vm.clone()).or_default().clone();
        match effect {
            Effect::Booted => {
                if !truth.disk.is_empty() && !truth.disk.contains(node) {
                    self.violate(format!(
                        "invariant 1: {vm} is started on {node} from an old disk; the new one is on {:?}",
                        truth.disk
                    ));
                }
                if truth.boots > 0 && !truth.hurt {
                    self.violate(format!("invariant 2: {vm} was booted anew though nothing killed it"));
                }
                let truth = self.truth.entry(vm.clone()).or_default();
                truth.boots += 1;
                truth.disk = [node.clone()].into();
                truth.hurt = false;
            }
            Effect::FromCopy => {
                if !truth.hurt {
                    self.violate(format!("invariant 2: {vm} is started from a copy though nothing killed it"));
                }
                let (boots, disk) = (truth.boots + 1, [node.clone()].into());
                let truth = self.truth.entry(vm.clone()).or_default();
                (truth.boots, truth.disk, truth.hurt) = (boots, disk, false);
            }
            Effect::Resumed => self.truth.entry(vm.clone()).or_default().disk = [node.clone()].into(),
            Effect::Stopped | Effect::Suspended => {
                let document = self.document(vm);
                // An order that was repeated may come when the outage is over already.
                let halted = document.is_some_and(|vm| vm.halt.is_some());
                // One that has crashed and stands still is off already, as its users see it.
                if document.is_some_and(|vm| vm.desired == Desired::Running) && !halted && !truth.hurt {
                    self.violate(format!("invariant 2: {vm} was stopped though it is wanted"));
                }
                // It had no time to leave: what was not saved of it boots.
                if halted && effect == Effect::Stopped {
                    self.hurt(vm);
                }
            }
            Effect::Removed | Effect::RemovedAlive => {
                if !wanted_gone
                    && ((truth.disk.contains(node) && truth.disk.len() == 1) || effect == Effect::RemovedAlive)
                {
                    self.violate(format!("invariant 1: the disk of {vm} on {node} is removed while it is the newest"));
                }
            }
            Effect::Nothing => {}
        }
    }

    /// The same by the documents themselves, where nothing goes wrong.
    fn check_under_way(&mut self, migration: &Migration) {
        let Faults { loss, every, aim, .. } = self.faults;
        let is_under_way = self.calm
            && migration.outage.is_some()
            && !migration.state.over()
            && migration.state != MigrationState::Queued
            && [loss, every, aim] == [0; 3];
        if !is_under_way {
            return;
        }
        let snap = Snapshot {
            vms: self.docs.vms.clone(),
            migrations: self.docs.migrations.clone(),
            nodes: self.docs.nodes.clone(),
            ..Snapshot::default()
        };
        if let Some(other) = self.at_once(&snap, migration) {
            self.violate(format!("dependencies: {} and {} are under way at once", migration.id, other.id));
        }
    }

    /// A migration's document is written.
    pub(crate) fn check_migration(&mut self, migration: &Migration) {
        self.log(format!("migration {} is {}", migration.id, migration.state.word()));
        self.check_under_way(migration);
        if migration.state != MigrationState::Completed {
            return;
        }
        let (vm, from) = (&migration.vm, &migration.from);
        let source = self.hosts[from].guests.get(vm).map(|g| g.process.clone());
        let later = self.document(vm).is_none_or(|doc| doc.node() != Some(&migration.to));
        let alive = self.running(vm).contains(&&migration.to);
        let hurt = self.truth.get(vm).is_some_and(|t| t.hurt);
        if !later && !alive && !hurt {
            self.violate(format!(
                "invariant 6: {} is completed and {vm} does not run at {}",
                migration.id, migration.to
            ));
        }
        if !later && matches!(source, Some(Process::Running | Process::Paused)) {
            self.violate(format!("invariant 6: {} is completed and {vm} is still at {from}", migration.id));
        }
    }

    /// After everything has been well for a while: the books are right and closed.
    pub(crate) fn check_end(&mut self) {
        if let Some(ill) = self.ills().into_iter().next() {
            self.violate(ill);
        }
    }

    /// What is not as it is to be in the end.
    pub(crate) fn ills(&self) -> Vec<String> {
        let open = self.docs.migrations.values().map(|entry| &entry.value).filter(|m| !m.state.over());
        let mut ills: Vec<String> =
            open.map(|m| format!("invariant 10: still under way: {} is {}", m.id, m.state.word())).collect();
        for entry in self.docs.vms.values() {
            self.ills_of(&entry.value, &mut ills);
        }
        for entry in self.docs.outages.values() {
            let outage = &entry.value;
            if matches!(outage.state, outage::State::Evacuating | outage::State::Returning) {
                ills.push(format!("invariant 10: outage {} is still {}", outage.id, outage.state.word()));
            }
            self.ills_of_outage(outage, &mut ills);
        }
        ills
    }

    /// It is where and as its document says, and nothing of it is anywhere else.
    fn ills_of(&self, vm: &Vm, ills: &mut Vec<String>) {
        let running = self.running(&vm.name);
        let (wanted, runs) = if self.stopped.contains(&vm.name) {
            (State::Stopped, Vec::new())
        } else {
            (State::Running, vm.node().into_iter().collect())
        };
        if vm.state != wanted || running != runs {
            let state = vm.state.word();
            ills.push(format!("in the end {} is {state} at {:?} and runs on {running:?}", vm.name, vm.grant));
        }
        for host in self.hosts.values().filter(|host| Some(&host.name) != vm.node()) {
            let Some(guest) = host.guests.get(&vm.name) else { continue };
            if guest.disk != Disk::None || guest.process != Process::None {
                ills.push(format!("in the end {:?} of {} is left on {}", guest.disk, vm.name, host.name));
            }
        }
        if !vm.leftovers.is_empty() {
            ills.push(format!("in the end {} has leftovers {:?}", vm.name, vm.leftovers));
        }
    }

    /// Everybody has moved, or is left with a reason.
    fn ills_of_outage(&self, outage: &outage::Outage, ills: &mut Vec<String>) {
        let outage::Scope::Site(site) = &outage.scope else { return };
        let emptied = outage.state == outage::State::Evacuated;
        for vm in self.docs.vms.values().map(|entry| &entry.value) {
            let at_site = vm.node().is_some_and(|n| self.docs.nodes[n.as_str()].value.site == *site);
            let misplaced = if emptied { at_site } else { !at_site && vm.home_site == *site };
            // An operator's own migration may have moved it since.
            let moved_since =
                || self.docs.migrations.values().any(|m| m.value.vm == vm.name && m.value.outage.is_none());
            if misplaced && !outage.left.iter().any(|left| left.vm == vm.name) && !moved_since() {
                ills.push(format!("invariant 10: {} is at {:?} after {}", vm.name, vm.node(), outage.id));
            }
        }
    }

    /// Fails the test with the story, unless all is well.
    pub(crate) fn assert_sound(&self) {
        if let (Some(violation), Broken::Nothing) = (&self.violation, self.broken) {
            panic!("seed {}: {violation}\n{}", self.seed, self.story());
        }
    }
}
