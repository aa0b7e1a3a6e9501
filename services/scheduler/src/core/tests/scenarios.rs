//! Evacuations and returns under every fault, many seeds. `WATARI_SEEDS` sets how many,
//! `WATARI_SEED` replays one.

use super::sim::{Broken, Event, Faults, Sim, Wish};

const SERVERS: &[(&str, u64)] = &[("mail", 192), ("web", 128), ("a", 256), ("b", 96)];
const MINUTE: u64 = 60_000;

fn seeds(default: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("WATARI_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("WATARI_SEEDS").unwrap_or(default),
    }
}

/// Servers start, the site is emptied, and brought home; an operator meddles. Then everything is
/// healed, and the end must be good.
fn story(seed: u64, faults: Faults, broken: Broken) -> Sim {
    let mut sim = Sim::new(seed, SERVERS, faults, broken);
    sim.run(3_000);
    sim.trouble_until = 2 * MINUTE;
    if faults.every > 0 {
        sim.after(sim.seed % 500, Event::Fault);
    }
    sim.after(500, Event::Operator(Wish::Evacuate("myodaiji")));
    if seed % 3 > 0 {
        sim.after(MINUTE, Event::Operator(Wish::Return("myodaiji")));
    }
    if seed % 4 == 1 {
        for n in 0..6 {
            let when = sim.rng.between(0, 100_000);
            let wish = if n % 2 == 0 { Wish::Cancel } else { Wish::Migrate("mail".parse().unwrap()) };
            sim.after(when, Event::Operator(wish));
        }
    }
    sim.run(2 * MINUTE);
    if sim.violation.is_none() {
        sim.heal();
        sim.run(9 * MINUTE);
    }
    if sim.violation.is_none() {
        sim.check_end();
    }
    sim
}

const CALM: Faults = Faults { loss: 0, twice: 0, every: 0, power: false, aim: 0 };
const LOSSY: Faults = Faults { loss: 5, twice: 5, every: 0, power: false, aim: 10 };
const ROUGH: Faults = Faults { loss: 2, twice: 3, every: 4_000, power: false, aim: 15 };
const DARK: Faults = Faults { loss: 2, twice: 3, every: 5_000, power: true, aim: 15 };

fn all_sound(faults: Faults, count: u64) {
    for seed in seeds(count) {
        story(seed, faults, Broken::Nothing).assert_sound();
    }
}

fn is_caught(broken: Broken, faults: Faults, invariant: &str) {
    let caught = (0..100).find_map(|seed| story(seed, faults, broken).violation);
    assert!(caught.as_ref().is_some_and(|text| text.contains(invariant)), "{broken:?} gave {caught:?}");
}

#[test]
fn in_a_calm_world_everybody_moves_and_comes_home_without_a_reboot() {
    for seed in seeds(12) {
        let sim = story(seed, CALM, Broken::Nothing);
        sim.assert_sound();
        assert!(sim.truth.values().all(|truth| truth.boots == 1), "seed {seed}:\n{}", sim.story());
    }
}

#[test]
fn invariant_1_a_server_runs_on_at_most_one_node_when_messages_are_lost_late_and_doubled() {
    all_sound(LOSSY, 40);
}

#[test]
fn invariant_1_a_server_runs_on_at_most_one_node_when_schedulers_agents_and_links_die() {
    all_sound(ROUGH, 80);
}

#[test]
fn invariant_1_a_server_runs_on_at_most_one_node_when_nodes_lose_power() {
    all_sound(DARK, 80);
}

#[test]
fn a_copy_that_runs_on_arrival_is_caught() {
    is_caught(Broken::ArrivesRunning, ROUGH, "invariant 1");
}

#[test]
fn a_scheduler_that_asks_only_the_target_is_caught() {
    is_caught(Broken::AsksOnlyTarget, ROUGH, "invariant");
}
