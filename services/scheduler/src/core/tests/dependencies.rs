//! Servers that depend on others: through an evacuation and back; whatever fails, in [`super::worlds`]. That the two are never under way at
//! once is looked at with every decision ([`super::invariants`]).

use watari_model::{VmName, migration, vm::State};

use super::{
    documents::at,
    faults::{CALM, Faults},
    sim::{Broken, Event, MINUTE, SERVERS, Sim},
    wishes::Wish,
};
use crate::core::forecast::forecast;

fn vm(name: &str) -> VmName {
    name.parse().unwrap()
}

/// Web after a, and mail after both, though it is worth the most.
pub(super) fn chained(seed: u64, faults: Faults) -> Sim {
    let mut sim = Sim::new(seed, SERVERS, faults, Broken::Nothing);
    sim.amend("web", |web| web.spec.after = vec![vm("a")]);
    sim.amend("mail", |mail| {
        mail.spec.after = vec![vm("web"), vm("a")];
        mail.spec.priority = 90;
    });
    sim
}

#[test]
fn they_are_started_in_their_order() {
    let mut sim = chained(1, CALM);
    let begun = |sim: &Sim, name: &str| sim.document(&vm(name)).unwrap().state != State::Pending;
    for (name, before) in [("web", "a"), ("mail", "web")] {
        while !begun(&sim, name) && sim.now < MINUTE {
            sim.run(sim.now + 1);
        }
        assert_eq!(sim.document(&vm(before)).unwrap().state, State::Running, "{name}:\n{}", sim.story());
    }
}

#[test]
fn in_a_calm_world_they_leave_and_come_home_one_after_another() {
    for seed in 0..8 {
        let mut sim = chained(seed, CALM);
        sim.run(20_000);
        for (wish, reason) in [
            (Wish::Evacuate("myodaiji"), migration::Reason::Evacuation),
            (Wish::Return("myodaiji"), migration::Reason::Return),
        ] {
            sim.after(0, Event::Operator(wish));
            sim.run(sim.now + 3 * MINUTE);
            sim.assert_sound();
            let moved = |name: &str| {
                let mut all = sim.docs.migrations.values().map(|entry| &entry.value);
                all.find(|m| m.vm == vm(name) && m.reason == reason).cloned().unwrap()
            };
            let mut all = SERVERS.iter().map(|(name, _)| moved(name));
            assert!(all.all(|m| m.state == migration::State::Completed), "seed {seed}:\n{}", sim.story());
            for (name, before) in [("web", "a"), ("mail", "web")] {
                // It may be in the queue before.
                let (began, arrived) = (moved(name).copying_at.unwrap(), moved(before).changed_at);
                assert!(began >= arrived, "seed {seed}: {name} does not wait for {before}:\n{}", sim.story());
            }
        }
        assert!(sim.truth.values().all(|truth| truth.boots == 1), "seed {seed}:\n{}", sim.story());
    }
}

#[test]
fn one_that_comes_to_depend_on_another_while_both_wait_is_still_not_under_way_with_it() {
    for seed in 0..8 {
        let mut sim = Sim::new(seed, SERVERS, CALM, Broken::Nothing);
        sim.run(3_000);
        sim.after(0, Event::Operator(Wish::Evacuate("myodaiji")));
        while sim.docs.migrations.len() < SERVERS.len() && sim.now < MINUTE {
            sim.run(sim.now + 1);
        }
        // The largest goes first; whoever is next now depends on it.
        sim.amend("mail", |mail| mail.spec.after = vec![vm("a")]);
        sim.run(5 * MINUTE);
        sim.assert_sound();
        let completed = sim.docs.migrations.values().filter(|m| m.value.state == migration::State::Completed);
        assert_eq!(completed.count(), SERVERS.len(), "seed {seed}:\n{}", sim.story());
    }
}

#[test]
fn a_plan_has_them_as_they_would_begin_and_says_for_whom_they_wait() {
    let mut sim = chained(1, CALM);
    sim.run(20_000);
    let plan = forecast(&sim.snapshot(), &sim.rules, &"myodaiji".parse().unwrap(), at(sim.now)).unwrap();
    let moves: Vec<(&str, Vec<&str>)> =
        plan.moves.iter().map(|m| (m.vm.as_str(), m.after.iter().map(VmName::as_str).collect())).collect();
    // While web waits for a, b goes, though its turn is the last.
    let wanted = [("a", vec![]), ("b", vec![]), ("web", vec!["a"]), ("mail", vec!["web", "a"])];
    assert_eq!(moves, wanted);

    sim.after(0, Event::Operator(Wish::Evacuate("myodaiji")));
    sim.run(sim.now + 3 * MINUTE);
    let mut begun: Vec<_> = sim.docs.migrations.values().map(|entry| &entry.value).collect();
    begun.sort_by_key(|migration| migration.copying_at);
    let begun: Vec<&str> = begun.iter().map(|migration| migration.vm.as_str()).collect();
    assert_eq!(begun, ["a", "b", "web", "mail"], "{}", sim.story());
}
