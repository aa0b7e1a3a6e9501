//! A site on battery, minute by minute.

use watari_model::{
    outage::{Outage, State as Leg},
    site::{Change, Supply},
    vm,
};

use crate::core::{
    Action, PowerRules, Rules, Snapshot,
    tests::documents::{Documents, at, node, put, site, vm as server},
};

const SECOND: u64 = 1_000;

/// Two sites with a node each, and a server that runs in Myodaiji.
struct Campus {
    docs: Documents,
    rules: Rules,
}

impl Campus {
    fn new(power: PowerRules) -> Self {
        let mut docs = Documents::default();
        let mut counter = 0;
        for name in ["myodaiji", "yamate"] {
            put(&mut docs.sites, &mut counter, site(name), 0);
        }
        put(&mut docs.nodes, &mut counter, node("m1", "myodaiji", 4096), 0);
        put(&mut docs.nodes, &mut counter, node("y1", "yamate", 4096), 0);
        let mut mail = server("mail", 128);
        mail.apply(vm::Change::Granted("m1".parse().unwrap()), at(0)).unwrap();
        mail.apply(vm::Change::SeenRunning, at(0)).unwrap();
        put(&mut docs.vms, &mut counter, mail, 0);
        docs.revision = counter;
        Self { docs, rules: Rules { power, ..Rules::default() } }
    }

    fn told(&mut self, supply: Supply, left: Option<u64>, second: u64) {
        let there = self.docs.sites["myodaiji"].clone();
        let mut site = there.value.clone();
        site.apply(Change::Told(supply, left), at(second * SECOND));
        put(&mut self.docs.sites, &mut self.docs.revision, site, there.revision);
    }

    /// What is decided about outages at a second; it is done.
    fn decided(&mut self, second: u64) -> Vec<(String, Leg)> {
        let snap = Snapshot {
            vms: self.docs.vms.clone(),
            outages: self.docs.outages.clone(),
            sites: self.docs.sites.clone(),
            nodes: self.docs.nodes.clone(),
            ..Snapshot::default()
        };
        let mut turn = crate::core::turn::Turn::new(&snap, &self.rules, at(second * SECOND));
        super::decide(&mut turn);
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

    fn end(&mut self, state: Leg) {
        let there = self.docs.outages["myodaiji-1"].clone();
        let outage = Outage { state, ..there.value.clone() };
        put(&mut self.docs.outages, &mut self.docs.revision, outage, there.revision);
    }
}

const ACTS: PowerRules =
    PowerRules { evacuates: true, battery_ms: 60_000, low_ms: 300_000, returns: true, mains_ms: 120_000 };

fn began(state: Leg) -> Vec<(String, Leg)> {
    vec![("myodaiji-1".to_owned(), state)]
}

#[test]
fn a_flicker_moves_nobody_and_a_lasting_loss_empties_the_site_once() {
    let mut campus = Campus::new(ACTS);
    campus.told(Supply::Battery, None, 10);
    assert_eq!(campus.decided(69), []);
    campus.told(Supply::Mains, None, 69);
    assert_eq!(campus.decided(300), []);
    campus.told(Supply::Battery, None, 400);
    // Said again and again, as a UPS does.
    campus.told(Supply::Battery, Some(900), 450);
    assert_eq!(campus.decided(459), []);
    assert_eq!(campus.decided(460), began(Leg::Evacuating));
    assert_eq!(campus.decided(461), [], "it has begun");
    campus.end(Leg::Evacuated);
    campus.told(Supply::Mains, None, 800);
    assert_eq!(campus.decided(919), []);
    assert_eq!(campus.decided(920), began(Leg::Returning));
    assert_eq!(campus.decided(921), []);
    campus.told(Supply::Battery, Some(100), 925);
    assert_eq!(campus.decided(925), began(Leg::Evacuating), "it turns round");
}

#[test]
fn a_low_battery_is_not_waited_for() {
    let mut campus = Campus::new(ACTS);
    campus.told(Supply::Battery, Some(301), 10);
    assert_eq!(campus.decided(10), []);
    campus.told(Supply::Battery, Some(300), 11);
    assert_eq!(campus.decided(11), began(Leg::Evacuating));
}

#[test]
fn what_an_operator_called_off_is_not_begun_again_and_his_own_outage_is_left_alone() {
    let mut campus = Campus::new(ACTS);
    campus.told(Supply::Battery, None, 10);
    assert_eq!(campus.decided(70), began(Leg::Evacuating));
    campus.end(Leg::Cancelled);
    assert_eq!(campus.decided(80), []);
    campus.told(Supply::Mains, None, 90);
    campus.told(Supply::Battery, None, 100);
    assert_eq!(campus.decided(160).len(), 1, "another loss is another outage");

    let mut campus = Campus::new(ACTS);
    let own = Outage::begun(
        "myodaiji-1".parse().unwrap(),
        watari_model::outage::Scope::Site("myodaiji".parse().unwrap()),
        "r1".to_owned(),
        at(0),
    );
    put(&mut campus.docs.outages, &mut campus.docs.revision, own, 0);
    campus.end(Leg::Evacuated);
    campus.told(Supply::Mains, None, 10);
    assert_eq!(campus.decided(1_000), []);
}

#[test]
fn nothing_is_done_unless_the_rules_say_so_nor_without_a_refuge_or_a_server() {
    let mut campus = Campus::new(PowerRules { evacuates: false, returns: false, ..ACTS });
    campus.told(Supply::Battery, Some(1), 10);
    assert_eq!(campus.decided(1_000), []);

    let mut campus = Campus::new(ACTS);
    let there = campus.docs.nodes["y1"].clone();
    let lost = watari_model::node::Node { state: watari_model::node::State::Lost, ..there.value.clone() };
    put(&mut campus.docs.nodes, &mut campus.docs.revision, lost, there.revision);
    campus.told(Supply::Battery, Some(1), 10);
    assert_eq!(campus.decided(10), [("alarm/power/myodaiji".to_owned(), Leg::Cancelled)]);

    let mut campus = Campus::new(ACTS);
    campus.docs.vms = std::sync::Arc::default();
    campus.told(Supply::Battery, Some(1), 10);
    assert_eq!(campus.decided(10), []);
}
