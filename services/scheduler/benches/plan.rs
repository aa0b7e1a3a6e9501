//! How fast a whole evacuation is planned, and how good the plan is. It prints its figures as JSON, each with what is
//! asked of it, and fails when one is missed.
//!
//! ```text
//!  seed ─▶ cloud with a planted solution ─▶ plan (`outage plan`), turn, rehearsal ─▶ figures
//! ```
//!
//! A plan is placement, order, rate and estimate of all servers of a site, made from the documents as they are stored;
//! what of it is decided once more in each turn of the scheduler is measured beside it.

#[path = "plan/cloud.rs"]
mod cloud;
#[path = "plan/clouds.rs"]
mod clouds;
#[path = "plan/figures.rs"]
mod figures;
#[path = "plan/quality.rs"]
mod quality;

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use cloud::Shape;
use figures::{Figure, growth, median, peak_mib, quantile, timed};
use serde_json::json;
use watari_model::{
    Refusal, VmName,
    node::State,
    outage::{Outage, Scope},
};
use watari_scheduler::{
    Troubles,
    core::{
        Action, Rules, Snapshot, decide,
        forecast::{Forecast, Halting, forecast, forecast_within},
    },
    makespan,
};
use watari_testkit::Dice;

type Fault = Box<dyn Error>;

fn main() -> Result<ExitCode, Fault> {
    // The tests compile this and run it as one of them; they mean no benchmark.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(ExitCode::SUCCESS);
    }
    let folder = |option: &str| std::env::args().skip_while(|argument| argument != option).nth(1).map(PathBuf::from);
    if let Some(folder) = folder("--beside") {
        return beside(&folder).map(|()| ExitCode::SUCCESS);
    }
    let mut figures = sizes()?;
    figures.extend(placement(folder("--clouds").as_deref())?);
    figures.extend(simulated("calm", 1_000, 1.05, CALM, |_, _, _| Ok(Troubles::default()))?);
    figures.extend(simulated("a target fails, the link is cut to a quarter", 1_000, 1.10, HARD, troubles)?);
    figures.extend(deadline()?);
    let missed = figures.iter().filter(|figure| !figure.is_met()).count();
    println!("{}", serde_json::to_string_pretty(&json!({ "figures": figures, "missed": missed }))?);
    Ok(if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn plan(snap: &Snapshot, rules: &Rules) -> Result<Forecast, Fault> {
    forecast(snap, rules, &cloud::dark()?, cloud::now()?).ok_or_else(|| "no outage could be named".into())
}

/// So many nodes at two sites, used to 40 % by so many servers.
fn sized(nodes: u64, servers: u64) -> Result<Shape, Fault> {
    const LOAD: u64 = 400;
    let memory_gib = servers * 108 * 100 / (nodes * LOAD);
    Ok(Shape { seed: servers, nodes: usize::try_from(nodes / 2)?, memory_gib, load: LOAD })
}

/// Plans clouds of three sizes and writes them with what came of it into a folder, where another planner is asked the same.
fn beside(folder: &Path) -> Result<(), Fault> {
    let rules = Rules::default();
    for (nodes, servers) in [(20, 200), (200, 2_000), (1_000, 10_000)] {
        let snap = cloud::build(sized(nodes, servers)?)?;
        let (made, _) = growth(|| plan(&snap, &rules))?;
        let (made, mib) = (made?, peak_mib()?);
        let ms = median((0..5).map(|_| timed(|| plan(&snap, &rules)).1).collect());
        let seen = quality::look(&snap, &made)?;
        let told = json!({ "ms": ms, "mib": mib, "left": seen.left + seen.faults, "fullest": seen.fullest });
        clouds::write(folder, &format!("{nodes:05}-{servers:06}"), &snap, &told)?;
    }
    Ok(())
}

/// Plans for a thousand to a million servers, on ten thousand nodes at the most, of which half are used to 40 %.
fn sizes() -> Result<Vec<Figure>, Fault> {
    let mut figures = Vec::new();
    let mut took: Vec<(f64, f64)> = Vec::new();
    for servers in [1_000_u64, 10_000, 100_000, 1_000_000] {
        let shape = sized((servers / 10).min(10_000), servers)?;
        let (snap, rules) = (cloud::build(shape)?, Rules::default());
        let (first, grown_mib) = growth(|| plan(&snap, &rules))?;
        let (first, whole_mib) = (first?, peak_mib()?);
        let mut times = Vec::new();
        let mut differ = 0.0;
        for _ in 0..5 {
            let (again, ms) = timed(|| plan(&snap, &rules));
            times.push(ms);
            differ += f64::from(u8::from(!quality::are_same(&first, &again?)));
        }
        let ms = median(times);
        took.push((snap.vms.len() as f64, ms));
        let seen = quality::look(&snap, &first)?;
        let name = |what: &str| format!("{what}, {servers} servers");
        figures.push(Figure::at_most(name("left or misplaced"), (seen.left + seen.faults) as f64, 0.0));
        figures.push(Figure::at_most(name("plans that differ"), differ, 0.0));
        match servers {
            100_000 => {
                figures.push(Figure::at_most(name("plan, ms"), ms, 50.0));
                figures.push(Figure::at_most(name("memory beside the documents, MiB"), grown_mib, 200.0));
                figures.push(Figure::told(name("memory with the documents, MiB"), whole_mib));
                figures.extend(turns(snap, &rules)?);
            }
            1_000_000 => figures.push(Figure::at_most(name("plan, ms"), ms, 800.0)),
            _ => {}
        }
    }
    if let (Some((few, fast)), Some((many, slow))) = (took.first(), took.last()) {
        // As n log n does between these two.
        let asked = 1.0 + (many.ln() / few.ln()).ln() / (many / few).ln();
        let slope = (slow / fast).ln() / (many / few).ln();
        figures.push(Figure::at_most("growth, log-log slope", slope, asked));
    }
    Ok(figures)
}

/// The scheduler's turn that begins an evacuation, and those in mid-course after which a target is lost.
fn turns(mut snap: Snapshot, rules: &Rules) -> Result<Vec<Figure>, Fault> {
    let now = cloud::now()?;
    let outage = Outage::begun("myodaiji-1".parse()?, Scope::Site(cloud::dark()?), String::new(), now);
    snap.outages = cloud::bucket([outage], now);
    let (actions, began_ms) = timed(|| decide(&snap, rules, now));
    let begun = actions.into_iter().filter_map(|action| match action {
        Action::NewMigration(migration) => Some(*migration),
        _ => None,
    });
    snap.migrations = cloud::bucket(begun, now);
    let targets: Vec<String> = snap.nodes.keys().filter(|name| name.starts_with('y')).take(30).cloned().collect();
    let whole = Arc::clone(&snap.nodes);
    let mut times = Vec::new();
    for target in &targets {
        let mut nodes: BTreeMap<_, _> = (*whole).clone();
        if let Some(entry) = nodes.get_mut(target) {
            Arc::make_mut(entry).value.state = State::Lost;
        }
        snap.nodes = Arc::new(nodes);
        times.push(timed(|| decide(&snap, rules, now)).1);
    }
    Ok(vec![
        Figure::at_most("the turn that begins, ms, 100000 servers", began_ms, 1_000.0),
        Figure::at_most("a turn after a target is lost, ms at p99, 100000 servers", quantile(times, 990), 5.0),
    ])
}

/// A hundred seeds at two loads that leave next to no room, where it is known that everybody has a place. The clouds are
/// written into a folder for a solver, if one is given.
fn placement(folder: Option<&Path>) -> Result<Vec<Figure>, Fault> {
    let rules = Rules::default();
    let mut figures = Vec::new();
    for load in [490_u64, 495] {
        let (mut left, mut faults) = (0_usize, 0_usize);
        let mut fullest: f64 = 0.0;
        for seed in 0..100 {
            let snap = cloud::build(Shape { seed, nodes: 50, memory_gib: 512, load })?;
            let seen = quality::look(&snap, &plan(&snap, &rules)?)?;
            if let Some(folder) = folder {
                clouds::write(folder, &format!("{load}-{seed:03}"), &snap, &json!({ "left": seen.left }))?;
            }
            (left, faults, fullest) = (left + seen.left, faults + seen.faults, fullest.max(seen.fullest));
        }
        let percent = load as f64 / 10.0;
        figures.push(Figure::at_most(format!("left behind at {percent} %, 100 seeds"), left as f64, 0.0));
        figures.push(Figure::at_most(format!("misplaced at {percent} %, 100 seeds"), faults as f64, 0.0));
        figures.push(Figure::at_most(format!("fullest node at {percent} %, against the mean"), fullest, 1.01));
    }
    Ok(figures)
}

/// What evacuations are like.
#[derive(Clone, Copy)]
struct Kind {
    /// Bytes a second that the link carries, at the least and how many more at the most.
    link: (u64, u64),
    /// How many percent of a memory are written anew while it travels, at the most.
    anew: u64,
}

/// From half a gigabit to ten.
const CALM: Kind = Kind { link: (50_000_000, 1_200_000_000), anew: 40 };
/// A guest that writes more than a quarter of the link carries never arrives over that quarter: hypervisors slow it down
/// until it does, and no planner can do anything about that. And over faster links than these it is all over before a node
/// that is silent is taken for lost.
const HARD: Kind = Kind { link: (80_000_000, 120_000_000), anew: 10 };

/// At any moment of an evacuation that would take so many milliseconds the link is cut to a quarter of its rate, and at any
/// moment a target fails.
fn troubles(snap: &Snapshot, (rate, takes_ms): (u64, u64), dice: &mut Dice) -> Result<Troubles, Fault> {
    let targets: Vec<&String> = snap.nodes.keys().filter(|name| name.starts_with('y')).collect();
    let target = targets.get(usize::try_from(dice.below(targets.len().max(1) as u64))?).ok_or("there is no target")?;
    let fails = vec![(target.parse()?, dice.below(takes_ms.max(1)))];
    Ok(Troubles { fails, slows: Some((dice.below(takes_ms.max(1)), rate / 4)) })
}

/// Evacuations of random clouds over random links, as the scheduler's own core carries them out in a rehearsal.
fn simulated(
    what: &str,
    cases: u64,
    asked: f64,
    kind: Kind,
    troubles: impl Fn(&Snapshot, (u64, u64), &mut Dice) -> Result<Troubles, Fault>,
) -> Result<Vec<Figure>, Fault> {
    let (rules, dark, now) = (Rules::default(), cloud::dark()?, cloud::now()?);
    let (mut spans, mut errors) = (Vec::new(), Vec::new());
    let mut stayed = 0_usize;
    for seed in 0..cases {
        let mut dice = Dice::new(seed);
        let shape = Shape { seed, nodes: 6, memory_gib: 60 + dice.below(60), load: 200 };
        let mut snap = cloud::build(shape)?;
        let rate = kind.link.0 + dice.below(kind.link.1);
        cloud::remember(&mut snap, rate, kind.anew, &mut dice)?;
        let foreseen = plan(&snap, &rules)?.estimated_ms();
        let troubles = troubles(&snap, (rate, foreseen.unwrap_or(0)), &mut dice)?;
        // Nobody foresees what goes wrong.
        let foreseen = foreseen.filter(|_| troubles == Troubles::default());
        // A small cloud may have nobody who leaves.
        let Some(span) = makespan(snap, &rules, &dark, troubles, now) else { continue };
        stayed += span.stayed;
        spans.push(span.took_ms as f64 / span.bound_ms.max(1) as f64);
        errors.extend(foreseen.map(|ms| (ms as f64 / span.took_ms.max(1) as f64 - 1.0).abs()));
    }
    let name = |figure: &str| format!("{figure}, {what}, {cases} cases");
    let mut figures = vec![
        Figure::at_least(name("rehearsed"), spans.len() as f64, cases as f64 * 0.99),
        Figure::at_most(name("makespan against the link's bound, median"), median(spans.clone()), asked),
        Figure::at_most(name("makespan against the link's bound, largest"), quantile(spans, 1_000), asked),
        Figure::at_most(name("not moved"), stayed as f64, 0.0),
    ];
    if !errors.is_empty() {
        figures.push(Figure::at_most(name("estimate's error, largest"), quantile(errors, 1_000), 0.2));
    }
    Ok(figures)
}

/// What of the worth leaves in the time for 70 % of the bytes, against what would if servers were divisible (Dantzig's
/// bound of the knapsack problem). The least of ten clouds. Whoever does not leave is named with the reason.
fn deadline() -> Result<[Figure; 2], Fault> {
    const RATE: u64 = 125_000_000;
    let mut rules = Rules::default();
    // All the time that is reckoned with is for crossing.
    (rules.deadline.stop_ms, rules.handover_ms) = (0, 0);
    let (dark, now) = (cloud::dark()?, cloud::now()?);
    let (mut least, mut untold) = (f64::INFINITY, 0_usize);
    for seed in 0..10 {
        let mut dice = Dice::new(seed);
        let mut snap = cloud::build(Shape { seed, nodes: 50, memory_gib: 512, load: 400 })?;
        cloud::remember(&mut snap, RATE, 40, &mut dice)?;
        let bytes = cloud::bytes(&snap);
        let leaving = plan(&snap, &rules)?;
        let mut all: Vec<(f64, f64)> = Vec::new();
        for one in &leaving.moves {
            all.push((worth(&snap, one.vm.as_str()), bytes.get(&one.vm).copied().unwrap_or(0) as f64));
        }
        let fit = all.iter().map(|(_, bytes)| bytes).sum::<f64>() * 0.7;
        // Of a battery's time 90 % is reckoned with.
        let time_ms = fit / RATE as f64 * 1_000.0 / 0.9;
        let foreseen = forecast_within(&snap, &rules, &dark, Some(time_ms as u64), now).ok_or("no plan")?;
        let named = foreseen.moves.len() + foreseen.halts.len();
        if named != all.len() {
            return Err(format!("{} servers run, and {named} are named", all.len()).into());
        }
        let late = foreseen.halts.iter().filter(|halting| has_reason(halting)).map(|halting| &halting.vm);
        let told: BTreeSet<&VmName> = foreseen.moves.iter().map(|one| &one.vm).chain(late).collect();
        untold += leaving.moves.iter().filter(|one| !told.contains(&one.vm)).count();
        let done: f64 = foreseen.moves.iter().map(|one| worth(&snap, one.vm.as_str())).sum();
        least = least.min(done / divisible(all, fit));
    }
    Ok([
        Figure::at_least("worth that leaves in the time for 70 % of the bytes", least, 0.98),
        Figure::at_most("left behind then and not named with the reason", untold as f64, 0.0),
    ])
}

/// Whether it is said that there is no time for that server, and why, in both languages.
fn has_reason(halting: &Halting) -> bool {
    match &halting.fault {
        Refusal::NoTime { vm, detail } => {
            vm == halting.vm.as_str() && ![&detail.en, &detail.ja].iter().any(|text| text.is_empty())
        }
        _ => false,
    }
}

/// What leaving is worth, as the scheduler reckons it.
fn worth(snap: &Snapshot, vm: &str) -> f64 {
    snap.vms.get(vm).map_or(0.0, |entry| f64::from(entry.value.spec.priority) + 1.0)
}

/// The most worth of so many bytes, if each of these, worth and bytes, were divisible.
fn divisible(mut all: Vec<(f64, f64)>, mut bytes: f64) -> f64 {
    all.sort_by(|(worth_a, bytes_a), (worth_b, bytes_b)| (worth_b * bytes_a).total_cmp(&(worth_a * bytes_b)));
    let mut done = 0.0;
    for (worth, takes) in all {
        let part = (bytes / takes).clamp(0.0, 1.0);
        done += worth * part;
        bytes -= takes * part;
    }
    done
}
