//! `watari-campaign`: faults in the running lab, and what came of them.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;
use serde::Serialize;
use watari_loadtests::campaign::{Order, chaos, fronts, run};

/// Cuts the link and kills each process concerned around the switch-over of live migrations, and
/// judges by the guest's own beacon. The lab must be up and the server must run.
#[derive(Parser)]
struct Arguments {
    /// The lab's command.
    #[arg(long, default_value = "deploy/lab")]
    lab: PathBuf,
    /// The server to move.
    #[arg(long, default_value = "mail")]
    vm: String,
    /// How many faults.
    #[arg(long, default_value_t = 20)]
    points: usize,
    /// Milliseconds between two points of time.
    #[arg(long, default_value_t = 5)]
    step_ms: u64,
    /// How far before and after the expected switch-over, in milliseconds.
    #[arg(long, default_value_t = 150)]
    around_ms: u64,
    /// The most that the paused protocol may add to a migration without a fault at the median, in
    /// milliseconds: for release programs on a quiet machine.
    #[arg(long)]
    most_pause_ms: Option<u64>,
    /// Instead: so many runs of each thing that befalls a front end, or a node, while requests write; how long that
    /// takes, beside its bounds.
    #[arg(long, conflicts_with_all = ["vm", "points", "step_ms", "around_ms", "most_pause_ms", "chaos"])]
    fronts: Option<usize>,
    /// With --fronts: only these.
    #[arg(long, value_delimiter = ',', requires = "fronts")]
    trials: Vec<fronts::Trial>,
    /// Instead: faults of all kinds at random, one to three at once, under requests and mails.
    #[arg(long, conflicts_with_all = ["vm", "points", "step_ms", "around_ms", "most_pause_ms"])]
    chaos: bool,
    /// With --chaos: for how many minutes.
    #[arg(long, default_value_t = 5, requires = "chaos")]
    minutes: u64,
    /// With --chaos: only these kinds of faults.
    #[arg(long, value_delimiter = ',', requires = "chaos")]
    kinds: Vec<chaos::Kind>,
    /// With --fronts and --chaos: what strikes, when, and for how long.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the report is written as JSON.
    #[arg(long)]
    out: Option<PathBuf>,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let (lab, seed, out) = (arguments.lab.canonicalize()?, arguments.seed, arguments.out.as_deref());
    if let Some(runs) = arguments.fronts {
        let account = fronts::run(&fronts::Order { lab, runs, seed, trials: arguments.trials })?;
        return told(out, &account, &account.table(), account.sound());
    }
    if arguments.chaos {
        let (minutes, kinds) = (arguments.minutes, arguments.kinds);
        let report = chaos::run(&chaos::Order { lab, minutes, seed, kinds })?;
        return told(out, &report, &report.table(), report.sound());
    }
    let report = run(&Order {
        lab,
        vm: arguments.vm,
        points: arguments.points,
        step_ms: arguments.step_ms.max(1),
        around_ms: arguments.around_ms,
    })?;
    let kept = arguments.most_pause_ms.is_none_or(|most| report.pause_median_ms <= most);
    if !kept {
        eprintln!("the extra pause is {} ms at the median, more than asked", report.pause_median_ms);
    }
    told(out, &report, &report.table(), report.sound() && kept)
}

/// Writes the report, shows its table, and tells by the exit status whether it is sound.
fn told(out: Option<&Path>, report: &impl Serialize, table: &str, sound: bool) -> anyhow::Result<ExitCode> {
    if let Some(file) = out {
        std::fs::write(file, serde_json::to_vec_pretty(report)?)?;
    }
    println!("{table}");
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
