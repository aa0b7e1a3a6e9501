//! Every world there is, one story after another, on all processors: at every moment the invariants hold, and once
//! faults stop all becomes well. `WATARI_SEEDS` says how many stories, `WATARI_SEED` tells one of them again.

use std::{
    collections::BTreeMap,
    ops::Range,
    panic::catch_unwind,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Instant,
};

use super::{
    dependencies::chained,
    faults::{CALM, DARK, Fault, Faults, LOSSY, ROUGH, WORST},
    fencing::fenced,
    isolation::isolated,
    scenarios::tell,
    sim::{Broken, SERVERS, Sim},
};

/// How many stories every run of the tests tells.
const USUAL: u64 = 20_000;
/// From so many on every kind of fault must have come.
const ENOUGH: u64 = 1_000;
/// How often a long run says how far it is.
const TELLS: u64 = 50_000;
/// How long trouble lasts. Short stories find as much as long ones do, and there are more of them.
const TROUBLE: u64 = 40_000;

type Counts = BTreeMap<Fault, u64>;

/// What it is called, and its beginning from a seed.
type World = (&'static str, fn(u64) -> Sim);

/// Where stories take place, seed after seed in turn.
const WORLDS: [World; 12] = [
    ("all is well", |seed| campus(seed, CALM)),
    ("messages are lost", |seed| campus(seed, LOSSY)),
    ("processes and links die", |seed| campus(seed, ROUGH)),
    ("nodes lose power", |seed| campus(seed, DARK)),
    ("nodes lose power and somebody looks", |seed| campus(seed, Faults { looks: 30, ..DARK })),
    ("nodes are fenced", |seed| fenced(seed, DARK)),
    ("nodes stop what they are not to run", |seed| isolated(seed, SERVERS, DARK, Broken::Nothing)),
    ("servers depend on others", |seed| chained(seed, if seed.is_multiple_of(2) { LOSSY } else { DARK })),
    ("everything fails", |seed| campus(seed, WORST)),
    ("everything fails and nodes are fenced", |seed| fenced(seed, WORST)),
    ("everything fails and nodes stop servers", |seed| isolated(seed, SERVERS, WORST, Broken::Nothing)),
    ("everything fails and servers depend on others", |seed| chained(seed, WORST)),
];

fn campus(seed: u64, faults: Faults) -> Sim {
    Sim::new(seed, SERVERS, faults, Broken::Nothing)
}

/// One story to its end; or what went wrong, and how it is told again.
fn told(seed: u64) -> Result<Sim, String> {
    let index = usize::try_from(seed % WORLDS.len() as u64).unwrap();
    let (name, world) = WORLDS[index];
    let again = format!("WATARI_SEED={seed} cargo test -p watari-scheduler --lib in_every_world -- --nocapture");
    let wrong = |what: &str| format!("seed {seed}, {name}: {what}\nit is told again by: {again}");
    // What panics has said so.
    let sim = catch_unwind(|| tell(world(seed / WORLDS.len() as u64), TROUBLE)).map_err(|_| wrong("it panicked"))?;
    match &sim.violation {
        Some(violation) => Err(format!("{}\n{}", sim.story(), wrong(violation))),
        None => Ok(sim),
    }
}

/// Tells stories until there are no more; how often which fault came.
fn work(next: &AtomicU64, end: u64) -> Result<Counts, String> {
    let mut counts = Counts::new();
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            return Ok(counts);
        }
        // The others need not go on.
        let sim = told(seed).inspect_err(|_| next.store(end, Ordering::Relaxed))?;
        for (fault, count) in sim.counts {
            *counts.entry(fault).or_default() += count;
        }
        if seed > 0 && seed.is_multiple_of(TELLS) {
            println!("{seed} stories");
        }
    }
}

fn all(seeds: &Range<u64>) -> Counts {
    let (next, end) = (AtomicU64::new(seeds.start), seeds.end);
    let hands = thread::available_parallelism().map_or(1, usize::from);
    let results: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..hands).map(|_| scope.spawn(|| work(&next, end))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut counts = Counts::new();
    for result in results {
        for (fault, count) in result.unwrap_or_else(|wrong| panic!("{wrong}")) {
            *counts.entry(fault).or_default() += count;
        }
    }
    counts
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("not a number"))
}

#[test]
fn invariant_1_and_all_others_hold_in_every_world_whatever_the_seed() {
    let seeds = match number("WATARI_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("WATARI_SEEDS").unwrap_or(USUAL),
    };
    let begun = Instant::now();
    let counts = all(&seeds);
    let told = seeds.end - seeds.start;
    println!("{told} stories in {:?}, with these faults: {counts:#?}", begun.elapsed());
    let missing: Vec<_> = Fault::ALL.into_iter().filter(|fault| !counts.contains_key(fault)).collect();
    assert!(told < ENOUGH || missing.is_empty(), "these never came: {missing:?}");
}
