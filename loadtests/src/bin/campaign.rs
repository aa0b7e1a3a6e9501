//! `watari-campaign`: one fault per migration around the switch-over, in the running lab.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use watari_loadtests::campaign::{Order, fronts, run};

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
    /// Instead: kill, stop or cut off so many times the front end that leads, while requests write.
    #[arg(long, conflicts_with_all = ["vm", "points", "step_ms", "around_ms", "most_pause_ms"])]
    fronts: Option<usize>,
    /// When that happens, and for how long.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the report is written as JSON.
    #[arg(long)]
    out: Option<PathBuf>,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    if let Some(blows) = arguments.fronts {
        let account = fronts::run(arguments.lab.canonicalize()?, blows, arguments.seed)?;
        let json = serde_json::to_string_pretty(&account)?;
        if let Some(file) = arguments.out {
            std::fs::write(file, &json)?;
        }
        println!("{json}");
        return Ok(if account.sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let report = run(&Order {
        lab: arguments.lab.canonicalize()?,
        vm: arguments.vm,
        points: arguments.points,
        step_ms: arguments.step_ms.max(1),
        around_ms: arguments.around_ms,
    })?;
    if let Some(file) = arguments.out {
        std::fs::write(file, serde_json::to_vec_pretty(&report)?)?;
    }
    println!("{}", report.table());
    let kept = arguments.most_pause_ms.is_none_or(|most| report.pause_median_ms <= most);
    if !kept {
        eprintln!("the extra pause is {} ms at the median, more than asked", report.pause_median_ms);
    }
    Ok(if report.sound() && kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
