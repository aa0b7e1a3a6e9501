//! Who of an outage begins, and who takes the link.

use std::collections::{BTreeMap, HashMap};

use watari_contracts::agent::{NodeFacts, Progress};
use watari_model::{
    migration::State as Moved,
    outage::{Outage, Scope},
};

use super::*;
use crate::core::{
    Answer, Heard, Outcome, Rules, Snapshot, crossing,
    tests::documents::{Documents, at, facts, migration as a_migration, name, node, put, runs, vm as a_vm},
};

fn outage() -> Outage {
    let scope = Scope::Site("myodaiji".parse().unwrap());
    Outage::begun("myodaiji-1".parse().unwrap(), scope, String::new(), at(0))
}

fn migration(vm: &Vm, state: Moved) -> Migration {
    Migration { reason: Reason::Evacuation, outage: Some(outage().id), state, ..a_migration(vm.name.as_str()) }
}

/// A server that runs on m1; one that is on its way has begun that.
fn server(called: &str, priority: u8, state: Moved) -> Vm {
    let mut vm = a_vm(called, 128);
    vm.spec.priority = priority;
    vm.apply(vm::Change::Granted(name("m1")), at(0)).unwrap();
    vm.apply(vm::Change::SeenRunning, at(0)).unwrap();
    if state != Moved::Queued {
        let id = migration(&vm, state).id;
        vm.apply(vm::Change::MigrationBegan { id, to: name("y1") }, at(0)).unwrap();
        vm.migrations = 1;
    }
    vm
}

/// A campus of which one site is emptied, with these servers; those that are named first have a migration.
fn emptied(servers: &[Vm], moving: usize, state: Moved) -> Snapshot {
    let (mut docs, mut counter) = (Documents::default(), 0);
    put(&mut docs.nodes, &mut counter, node("m1", "myodaiji", 4096), 0);
    put(&mut docs.nodes, &mut counter, node("y1", "yamate", 4096), 0);
    put(&mut docs.outages, &mut counter, outage(), 0);
    for vm in servers {
        put(&mut docs.vms, &mut counter, vm.clone(), 0);
    }
    for vm in servers.iter().take(moving) {
        put(&mut docs.migrations, &mut counter, migration(vm, state), 0);
    }
    let vms: BTreeMap<_, _> = servers.iter().map(|vm| (vm.name.clone(), runs(vm))).collect();
    let facts = Arc::new(NodeFacts { vms, ..facts("m1", "myodaiji") });
    let Documents { vms, migrations, outages, nodes, .. } = docs;
    let heard = BTreeMap::from([(name("m1"), Heard { facts, age_ms: 0 })]);
    Snapshot { epoch: 1, vms, migrations, outages, nodes, heard, ..Snapshot::default() }
}

fn decided(snap: &Snapshot, now: u64) -> Vec<Action> {
    let rules = Rules::default();
    let mut turn = Turn::new(snap, &rules, at(now));
    crossing::decide(&mut turn);
    turn.actions
}

#[test]
fn the_link_waits_two_seconds_for_one_whose_turn_it_is_and_no_longer() {
    let servers = [("worthy", 90), ("other", 0)].map(|(called, priority)| server(called, priority, Moved::Preparing));
    let copies = |ready: &[&Vm], now: u64| -> Vec<String> {
        let prepared = |vm: &Vm| {
            let operation = naming::of_migration("receive", &migration(vm, Moved::Preparing).id, vm);
            let outcome = Outcome::Order(Progress::Done, runs(vm));
            (naming::at(&operation, &name("y1")), Answer { attempt: 0, outcome, age_ms: 0, news: false })
        };
        let answers: HashMap<_, _> = ready.iter().copied().map(prepared).collect();
        let snap = Snapshot { answers, ..emptied(&servers, 2, Moved::Preparing) };
        let begun = |action: &Action| match action {
            Action::StoreMigration { migration, .. } if migration.state == Moved::Copying => {
                Some(migration.vm.to_string())
            }
            _ => None,
        };
        decided(&snap, now).iter().filter_map(begun).collect()
    };
    let [worthy, other] = &servers;
    assert_eq!(copies(&[other], 1_999), [""; 0], "the worthier one is nearly ready");
    assert_eq!(copies(&[other], 2_000), ["other"]);
    assert_eq!(copies(&[worthy, other], 1_999), ["worthy"], "one at a time");
}

#[test]
fn invariant_5_a_prepared_migration_to_where_it_drains_by_now_ends_with_that_and_copies_nothing() {
    let mail = server("mail", 0, Moved::Preparing);
    let operation = naming::of_migration("receive", &migration(&mail, Moved::Preparing).id, &mail);
    let prepared = Answer { attempt: 0, outcome: Outcome::Order(Progress::Done, runs(&mail)), age_ms: 0, news: false };
    let decided_of = |mail: &Vm, scope: Option<Scope>| {
        let answers = HashMap::from([(naming::at(&operation, &name("y1")), prepared.clone())]);
        let mut snap = Snapshot { answers, ..emptied(std::slice::from_ref(mail), 1, Moved::Preparing) };
        if let Some(scope) = scope {
            let other = Outage::begun("other-1".parse().unwrap(), scope, String::new(), at(500));
            put(&mut snap.outages, &mut 100, other, 0);
        }
        decided(&snap, 1_000)
    };
    let copies = |action: &Action| matches!(action, Action::StoreMigration { migration, .. } if migration.state == Moved::Copying);
    let abandoned = |action: &Action| match action {
        Action::StoreVm { vm, .. } if vm.crossing.as_ref().is_some_and(|crossing| crossing.abandoned) => {
            Some(Vm::clone(vm))
        }
        _ => None,
    };
    assert!(decided_of(&mail, None).iter().any(copies), "nothing is the matter with its target");
    for scope in [Scope::Site("yamate".parse().unwrap()), Scope::Node(name("y1"))] {
        let first = decided_of(&mail, Some(scope.clone()));
        let given_up = first.iter().find_map(abandoned).expect("the grant stays where it is");
        assert!(!first.iter().any(copies), "{first:?}");
        let told = |action: &Action| match action {
            Action::StoreMigration { migration, .. } => {
                Some((migration.state, migration.fault.clone()?.english().cause))
            }
            _ => None,
        };
        let then = decided_of(&given_up, Some(scope)).iter().find_map(told);
        let cause = "node y1 cannot take the server: it is draining".to_owned();
        assert_eq!(then, Some((Moved::Aborting, cause)));
    }
}

#[test]
fn nobody_of_an_outage_begins_while_a_migration_of_it_is_only_being_made() {
    let servers = [("other", 0), ("worthy", 90)].map(|(called, priority)| server(called, priority, Moved::Queued));
    let begin = |made: Option<Migration>| -> Vec<String> {
        let mut snap = emptied(&servers, 1, Moved::Queued);
        if let Some(made) = made {
            let action = Action::NewMigration(Box::new(made));
            snap.busy.insert(action.key(), Arc::new(action));
        }
        let begun = |action: &Action| match action {
            Action::StoreVm { vm, .. } if vm.crossing.is_some() => Some(vm.name.to_string()),
            _ => None,
        };
        decided(&snap, 1_000).iter().filter_map(begun).collect()
    };
    let [_, worthy] = &servers;
    let made = migration(worthy, Moved::Queued);
    assert_eq!(begin(Some(made.clone())), [""; 0]);
    assert_eq!(begin(None), ["other"], "its document is there, or came to nothing");
    assert_eq!(begin(Some(Migration { outage: None, ..made })), ["other"], "an operator's own has its own turn");
}

#[test]
fn of_a_server_that_stands_still_nothing_begins_and_its_migration_says_why() {
    let mut still = server("still", 0, Moved::Queued);
    still.fault = Some(vm::Standstill::IoError.refusal(&still.name, &name("m1")));
    let given_up = |action: &Action| match action {
        Action::StoreMigration { migration, .. } => migration.fault.as_ref().map(Refusal::code),
        _ => None,
    };
    let decided = decided(&emptied(&[still], 1, Moved::Queued), 1_000);
    assert_eq!(decided.iter().filter_map(given_up).collect::<Vec<_>>(), ["vm.stands-still"]);
}
