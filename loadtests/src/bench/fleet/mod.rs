//! A fleet far larger than any lab: real services on a real NATS server, and simulated agents by the thousand that
//! follow the contract. Each scenario has a stage of its own and says what its figures have to keep to.
//!
//! | scenario | how the services are asked |
//! | --- | --- |
//! | `beats` | every node beats once a second; some fall silent; more come than can be heard |
//! | `lists` | servers are listed, filtered and whole; services are ended and killed, and start with all of them |
//! | `creations` | servers are made as fast as they come to run |
//! | `reads` | one server is shown, beside a bare echo |
//! | `slope` | the same with ever more servers |
//! | `scrapes` | Prometheus looks, when there is all that there may be |

mod agents;
mod beats;
mod creations;
mod documents;
mod exposition;
mod herd;
mod lists;
pub mod plan;
mod reads;
mod scrapes;
mod slope;
mod stage;
mod standing;

use std::{collections::BTreeMap, path::Path, time::Instant};

use anyhow::ensure;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Bound;
use plan::Plan;
use stage::Stage;

/// What can be measured, in the order in which it is.
pub const SCENARIOS: [&str; 6] = ["beats", "lists", "creations", "reads", "slope", "scrapes"];

/// So much worse than the baseline is worth a word: the machines are shared.
const WORSE: f64 = 1.5;
/// Memory that grows by no more is flat. Allocators keep what they had.
const FLAT_MIB: f64 = 16.0;

/// What was measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// Processors of the machine, on which load and services run together.
    pub processors: usize,
    /// By scenario.
    pub figures: BTreeMap<String, Value>,
    /// What they have to keep to.
    pub bounds: Vec<Bound>,
}

/// One scenario's figures, and what they have to keep to.
struct Measured {
    figures: Value,
    bounds: Vec<Bound>,
}

impl Measured {
    fn of(figures: &impl Serialize, bounds: Vec<Bound>) -> anyhow::Result<Self> {
        Ok(Self { figures: serde_json::to_value(figures)?, bounds })
    }

    /// What is told of a scenario that did not come to its end: the others took long, and are told all the same.
    fn broken_off(scenario: &str, why: &anyhow::Error) -> Self {
        let bounds = vec![Bound::most(format!("{scenario}: broken off"), 1.0, 0.0)];
        Self { figures: json!({"broken_off": format!("{why:#}")}), bounds }
    }
}

/// Goes through the scenarios whose names contain `only`. The services' programs are in `folder`. What `earlier` has of other
/// scenarios is kept. One that is broken off is a missed bound.
///
/// # Errors
/// When there is no such scenario, or the earlier report is of another machine.
pub async fn run(folder: &Path, plan: &Plan, only: &str, earlier: Option<Report>) -> anyhow::Result<Report> {
    let processors = std::thread::available_parallelism()?.get();
    let mut report = earlier.unwrap_or_else(|| Report { processors, ..Report::default() });
    ensure!(report.processors == processors, "the earlier report is of {} processors", report.processors);
    let chosen: Vec<_> = SCENARIOS.into_iter().filter(|scenario| scenario.contains(only)).collect();
    ensure!(!chosen.is_empty(), "no scenario is called {only}; there are {}", SCENARIOS.join(", "));
    for scenario in chosen {
        let begun = Instant::now();
        eprintln!("{scenario} ...");
        let measured = measure(folder, plan, scenario).await.unwrap_or_else(|why| {
            eprintln!("{scenario} is broken off: {why:#}");
            Measured::broken_off(scenario, &why)
        });
        eprintln!("{scenario} took {} s", begun.elapsed().as_secs());
        report.take(scenario, measured);
    }
    Ok(report)
}

async fn measure(folder: &Path, plan: &Plan, scenario: &'static str) -> anyhow::Result<Measured> {
    let mut stage = Stage::open(folder, scenario).await?;
    match scenario {
        "beats" => beats::run(&mut stage, plan.beats).await,
        "lists" => lists::run(&mut stage, plan.lists).await,
        "creations" => creations::run(&mut stage, plan.creations).await,
        "reads" => reads::run(&mut stage, plan.reads).await,
        "slope" => slope::run(&mut stage, plan.slope.clone()).await,
        _ => scrapes::run(&mut stage, plan.scrapes).await,
    }
}

impl Report {
    /// A scenario's figures, in the place of those that there were of it.
    fn take(&mut self, scenario: &str, measured: Measured) {
        let its = format!("{scenario}: ");
        self.bounds.retain(|bound| !bound.what.starts_with(&its));
        self.bounds.extend(measured.bounds);
        self.figures.insert(scenario.to_owned(), measured.figures);
    }

    /// A line for each figure that was measured before too, and by how much it differs; those that are worse by half
    /// are marked.
    #[must_use]
    pub fn beside(&self, baseline: &Self) -> Vec<String> {
        let line = |now: &Bound| {
            let before = baseline.bounds.iter().find(|before| before.what == now.what)?;
            let (measured, was) = (now.measured?, before.measured?);
            let ratio = now.asked.worse_by(measured, was);
            let mark = if ratio > WORSE { "WORSE" } else { "as before" };
            Some(format!("{mark}: {} is {measured:.2}, was {was:.2}", now.what))
        };
        self.bounds.iter().filter_map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(rate: f64, lag: f64) -> Report {
        let bounds = vec![Bound::least("rate", rate, 500.0), Bound::most("lag", lag, 100.0)];
        Report { bounds, ..Report::default() }
    }

    #[test]
    fn a_figure_is_worse_than_before_by_the_way_that_its_bound_points() {
        let before = report(600.0, 50.0);
        let lines = report(300.0, 51.0).beside(&before);
        assert_eq!(lines, ["WORSE: rate is 300.00, was 600.00", "as before: lag is 51.00, was 50.00"]);
        let lines = report(900.0, 90.0).beside(&before);
        assert_eq!(lines, ["as before: rate is 900.00, was 600.00", "WORSE: lag is 90.00, was 50.00"]);
    }

    #[test]
    fn a_scenario_takes_the_place_of_what_there_was_of_it_and_of_nothing_else() {
        let mut report = Report::default();
        let of = |what: &str, measured: f64| Measured {
            figures: json!({"measured": measured}),
            bounds: vec![Bound::most(what, measured, 5.0)],
        };
        report.take("lists", of("lists: by_node.p99_ms", 1.0));
        report.take("reads", of("reads: p99_to_echo", 2.0));
        report.take("lists", of("lists: by_site.p99_ms", 3.0));
        let told: Vec<_> = report.bounds.iter().map(|bound| bound.what.as_str()).collect();
        assert_eq!(told, ["reads: p99_to_echo", "lists: by_site.p99_ms"]);
        assert_eq!((report.figures.len(), &report.figures["lists"]["measured"]), (2, &json!(3.0)));
        report.take("reads", Measured::broken_off("reads", &anyhow::anyhow!("no answer")));
        assert!(!report.bounds.iter().all(Bound::is_kept));
    }

    #[test]
    fn a_report_is_read_again_as_a_baseline_and_what_it_lacks_is_passed_over() {
        let now = report(600.0, f64::NAN);
        let baseline: Report = serde_json::from_str(&serde_json::to_string(&now).unwrap()).unwrap();
        assert_eq!(now.beside(&baseline).len(), 1);
        assert!(now.beside(&Report::default()).is_empty());
    }
}
