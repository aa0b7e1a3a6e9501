//! `watari-scenarios`: the end-to-end scenarios, in the running lab.

use std::{path::PathBuf, process::ExitCode, time::Instant};

use anyhow::Context;
use clap::Parser;
use watari_loadtests::scenarios::{Lane, Scenario, Stage, all};

/// Runs the end-to-end scenarios in the lab, which must be up.
#[derive(Parser)]
struct Arguments {
    /// The lab's command.
    #[arg(long, default_value = "deploy/lab")]
    lab: PathBuf,
    /// Only those whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Only a part, as in 2/3, so that several labs may share them (`WATARI_LAB_DIR` and `WATARI_LAB_PREFIX` say which lab).
    #[arg(long, value_name = "N/M", default_value = "1/1")]
    lane: Lane,
    /// The rate of the sites' links meanwhile, in Mbit/s; afterwards it is what it was. Those that need a slow one make
    /// it slow themselves.
    #[arg(long, default_value_t = 1000)]
    link_mbit: u64,
    /// Print the names and end.
    #[arg(long)]
    list: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let chosen: Vec<_> = all(arguments.lane).into_iter().filter(|s| s.name.contains(&arguments.only)).collect();
    if arguments.list {
        chosen.iter().for_each(|s| println!("{}", s.name));
        return Ok(ExitCode::SUCCESS);
    }
    let stage = Stage::set(arguments.lab.canonicalize()?)?;
    let failed = stage.at_rate(arguments.link_mbit, |stage| run(stage, &chosen))?;
    Ok(if failed == 0 && !chosen.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the scenarios one after another; how many failed.
fn run(stage: &Stage, chosen: &[Scenario]) -> anyhow::Result<usize> {
    let mut failed = 0;
    for (number, scenario) in chosen.iter().enumerate() {
        if holds(stage, scenario) {
            continue;
        }
        failed += 1;
        // Whoever came next would fail for what this one left behind.
        stage.mend().with_context(|| {
            format!("{} scenarios are not run: the stage is not as it was before", chosen.len() - number - 1)
        })?;
    }
    println!("{} passed, {failed} failed", chosen.len() - failed);
    Ok(failed)
}

/// Runs a scenario, and tells how long it took or why it failed.
fn holds(stage: &Stage, scenario: &Scenario) -> bool {
    let began = Instant::now();
    let outcome = (scenario.run)(stage);
    let seconds = began.elapsed().as_secs_f32();
    match &outcome {
        Ok(()) => println!("ok      {} ({seconds:.1} s)", scenario.name),
        Err(error) => println!("FAILED  {} ({seconds:.1} s): {error:#}\n{}", scenario.name, stage.look()),
    }
    outcome.is_ok()
}
