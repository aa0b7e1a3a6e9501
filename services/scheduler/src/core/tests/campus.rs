//! A cloud as small as one with two sites can be, and what is decided about its outages.

use watari_model::{
    node::{self, Node},
    outage::{self, Outage, State as Leg},
    site::{Change, Supply},
    vm,
};

use super::documents::{Documents, at, node as a_node, put, site, vm as server};
use crate::core::{Action, Rules, Snapshot, turn::Turn};

pub(crate) const SECOND: u64 = 1_000;

/// Two sites with a node each, and a server that runs in Myodaiji.
pub(crate) struct Campus {
    pub(crate) docs: Documents,
    pub(crate) rules: Rules,
}

impl Campus {
    pub(crate) fn new(rules: Rules) -> Self {
        let mut docs = Documents::default();
        let mut counter = 0;
        for name in ["myodaiji", "yamate"] {
            put(&mut docs.sites, &mut counter, site(name), 0);
        }
        put(&mut docs.nodes, &mut counter, a_node("m1", "myodaiji", 4096), 0);
        put(&mut docs.nodes, &mut counter, a_node("y1", "yamate", 4096), 0);
        let mut mail = server("mail", 128);
        mail.apply(vm::Change::Granted("m1".parse().unwrap()), at(0)).unwrap();
        mail.apply(vm::Change::SeenRunning, at(0)).unwrap();
        put(&mut docs.vms, &mut counter, mail, 0);
        docs.revision = counter;
        Self { docs, rules }
    }

    pub(crate) fn told(&mut self, supply: Supply, left: Option<u64>, second: u64) {
        let there = self.docs.sites["myodaiji"].clone();
        let mut site = there.value.clone();
        site.apply(Change::Told(supply, left), at(second * SECOND));
        put(&mut self.docs.sites, &mut self.docs.revision, site, there.revision);
    }

    pub(crate) fn node_is(&mut self, name: &str, state: node::State) {
        let there = self.docs.nodes[name].clone();
        let changed = Node { state, ..there.value.clone() };
        put(&mut self.docs.nodes, &mut self.docs.revision, changed, there.revision);
    }

    /// The documents, as a decision sees them.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            vms: self.docs.vms.clone(),
            migrations: self.docs.migrations.clone(),
            outages: self.docs.outages.clone(),
            sites: self.docs.sites.clone(),
            nodes: self.docs.nodes.clone(),
            images: self.docs.images.clone(),
            ..Snapshot::default()
        }
    }

    /// What `decide` decides about outages at a second; it is done. An alarm reads as cancelled.
    pub(crate) fn decided(&mut self, decide: fn(&mut Turn<'_>), second: u64) -> Vec<(String, Leg)> {
        let snap = self.snapshot();
        let mut turn = Turn::new(&snap, &self.rules, at(second * SECOND));
        decide(&mut turn);
        let mut done = Vec::new();
        for action in turn.actions {
            let (outage, revision) = match action {
                Action::NewOutage(outage) => (outage, 0),
                Action::StoreOutage { outage, revision } => (outage, revision),
                Action::Alarm { key, .. } => {
                    done.push((key, Leg::Cancelled));
                    continue;
                }
                other => panic!("{other:?}"),
            };
            done.push((outage.id.to_string(), outage.state));
            assert!(put(&mut self.docs.outages, &mut self.docs.revision, *outage, revision));
        }
        done
    }

    /// What an operator asks at a second.
    pub(crate) fn asked(&mut self, change: outage::Change, second: u64) {
        let there = self.docs.outages["myodaiji-1"].clone();
        let mut outage = there.value.clone();
        outage.apply(change, at(second * SECOND)).unwrap();
        put(&mut self.docs.outages, &mut self.docs.revision, outage, there.revision);
    }

    pub(crate) fn end(&mut self, state: Leg) {
        let there = self.docs.outages["myodaiji-1"].clone();
        let outage = Outage { state, ..there.value.clone() };
        put(&mut self.docs.outages, &mut self.docs.revision, outage, there.revision);
    }
}
