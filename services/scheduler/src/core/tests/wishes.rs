//! What operators want in the simulated world, written as the requests would.

use watari_model::{
    NodeName, VmName,
    migration::{Migration, Reason, State},
    outage::{Change, Outage, Scope, Window},
    site::{self, Supply},
    vm,
};

use super::{
    documents::{at, put},
    sim::Sim,
};

/// What an operator does.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    Evacuate(&'static str),
    Drain(&'static str),
    Return(&'static str),
    /// A site's servers come home that are away for no outage.
    FetchHome(&'static str),
    /// The power of a site will be off from some milliseconds from now on until some others.
    Schedule(&'static str, u64, u64),
    /// A site's power comes from there now, for so many seconds if that is said.
    Power(&'static str, Supply, Option<u64>),
    Pause(&'static str),
    Resume(&'static str),
    /// An outage is called off.
    CallOff(&'static str),
    /// A migration is.
    Cancel,
    Migrate(VmName),
}

impl Sim {
    pub(crate) fn wish(&mut self, wish: &Wish) {
        self.log(format!("the operator wants {wish:?}"));
        let now = at(self.now);
        match wish {
            Wish::Evacuate(name) => {
                let scope = Scope::Site(name.parse().unwrap());
                self.make(Outage::begun(first(name), scope, String::new(), now));
            }
            Wish::Drain(name) => {
                let scope = Scope::Node(name.parse().unwrap());
                self.make(Outage::begun(first(name), scope, String::new(), now));
            }
            Wish::Schedule(site, from, until) => {
                let window = Window { from: now.plus_millis(*from), until: now.plus_millis(*until) };
                let scope = Scope::Site(site.parse().unwrap());
                self.make(Outage::scheduled(first(site), scope, window, String::new(), String::new(), now));
            }
            Wish::FetchHome(name) => {
                let scope = Scope::Site(name.parse().unwrap());
                self.make(Outage::returning(first(name), scope, String::new(), now));
            }
            Wish::Return(site) => self.change(site, Change::ReturnAsked),
            Wish::Power(site, supply, left) => {
                let there = self.docs.sites[*site].clone();
                let mut told = there.value.clone();
                told.apply(site::Change::Told(*supply, *left), now);
                let docs = &mut self.docs;
                assert!(put(&mut docs.sites, &mut docs.revision, told, there.revision));
            }
            Wish::Pause(site) => self.change(site, Change::PauseAsked),
            Wish::Resume(site) => self.change(site, Change::ResumeAsked),
            Wish::CallOff(site) => self.change(site, Change::CancelAsked),
            Wish::Cancel => self.cancel_one(),
            Wish::Migrate(name) => self.migrate(name),
        }
        self.wake();
    }

    fn make(&mut self, outage: Outage) {
        let docs = &mut self.docs;
        let _ = put(&mut docs.outages, &mut docs.revision, outage, 0);
    }

    /// What its state does not allow is refused, and changes nothing.
    fn change(&mut self, site: &str, change: Change) {
        let Some(entry) = self.docs.outages.get(&format!("{site}-1")).cloned() else { return };
        let mut outage = entry.value.clone();
        if outage.apply(change, at(self.now)).is_ok() {
            let docs = &mut self.docs;
            let _ = put(&mut docs.outages, &mut docs.revision, outage, entry.revision);
        }
    }

    fn cancel_one(&mut self) {
        let docs = &mut self.docs;
        let active: Vec<_> = docs.migrations.values().filter(|m| !m.value.state.over()).cloned().collect();
        if let Some(entry) = active.first() {
            let asked = Migration { cancel_asked: true, ..entry.value.clone() };
            let _ = put(&mut docs.migrations, &mut docs.revision, asked, entry.revision);
        }
    }

    fn migrate(&mut self, name: &VmName) {
        let docs = &self.docs;
        let Some(vm) = docs.vms.get(name.as_str()).map(|entry| entry.value.clone()) else { return };
        let nodes: Vec<NodeName> = self.hosts.keys().filter(|n| Some(*n) != vm.node()).cloned().collect();
        let busy = docs.migrations.values().any(|m| m.value.vm == *name && !m.value.state.over());
        if busy || vm.state != vm::State::Running {
            return;
        }
        let to = self.rng.pick(&nodes).clone();
        self.carry(name, to);
    }

    /// An operator has a server migrate to a node.
    pub(crate) fn carry(&mut self, name: &VmName, to: NodeName) {
        let docs = &mut self.docs;
        let vm = docs.vms[name.as_str()].value.clone();
        let known = docs.migrations.values().map(|entry| &entry.value);
        let id = crate::core::next_migration(&vm, known).unwrap();
        let migration = Migration {
            v: 1,
            id,
            vm: name.clone(),
            from: vm.node().unwrap().clone(),
            to,
            reason: Reason::Operator,
            outage: None,
            state: State::Queued,
            request_id: None,
            trace: None,
            cancel_asked: false,
            measured: None,
            fault: None,
            created_at: at(self.now),
            copying_at: None,
            changed_at: at(self.now),
        };
        let _ = put(&mut docs.migrations, &mut docs.revision, migration, 0);
    }
}

fn first(scope: &str) -> watari_model::OutageId {
    format!("{scope}-1").parse().unwrap()
}
