//! `watari-campaign`: faults in the running lab, and what came of them.

use std::{env, fs, path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use serde::Serialize;
use watari_loadtests::campaign::{HEALING, Order, chaos, fronts, run};

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
    /// Instead: faults of all kinds at random, several at once, under requests and mails.
    #[arg(long, conflicts_with_all = ["vm", "points", "step_ms", "around_ms", "most_pause_ms"])]
    chaos: bool,
    /// With --chaos: for how many minutes.
    #[arg(long, default_value_t = 5, requires = "chaos")]
    minutes: u64,
    /// With --chaos: only these kinds of faults.
    #[arg(long, value_delimiter = ',', requires = "chaos")]
    kinds: Vec<chaos::Kind>,
    /// With --chaos: at most so many faults at once.
    #[arg(long, default_value_t = 3, requires = "chaos")]
    at_once: usize,
    /// With --chaos: within how many seconds everything has to hold again after the faults, unless guests have to boot.
    #[arg(long, default_value_t = HEALING.as_secs(), requires = "chaos")]
    healing: u64,
    /// With --fronts and --chaos: what strikes, when, and for how long.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the report is written as JSON: after each fault what there is of it, so that it is there whatever ends the
    /// campaign.
    #[arg(long)]
    out: Option<PathBuf>,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let (lab, seed, file) = (arguments.lab.canonicalize()?, arguments.seed, File::of(arguments.out));
    if let Some(runs) = arguments.fronts {
        let order = fronts::Order { lab, runs, seed, trials: arguments.trials };
        let account = fronts::run(&order, |account| file.keep(account))?;
        return file.told(&account, &account.table(), account.sound());
    }
    if arguments.chaos {
        let order = chaos::Order {
            lab,
            minutes: arguments.minutes,
            seed,
            kinds: arguments.kinds,
            at_once: arguments.at_once,
            healing: Duration::from_secs(arguments.healing),
        };
        let report = chaos::run(&order, |report| file.keep(report))?;
        return file.told(&report, &report.table(), report.sound());
    }
    let order = Order {
        lab,
        vm: arguments.vm,
        points: arguments.points,
        step_ms: arguments.step_ms.max(1),
        around_ms: arguments.around_ms,
    };
    let report = run(&order, |report| file.keep(report))?;
    let kept = arguments.most_pause_ms.is_none_or(|most| report.pause_median_ms <= most);
    if !kept {
        eprintln!("the extra pause is {} ms at the median, more than asked", report.pause_median_ms);
    }
    file.told(&report, &report.table(), report.sound() && kept)
}

/// Where the report is written, if anywhere.
struct File {
    path: Option<PathBuf>,
    command: String,
}

/// A report as it is written: with the command that made it, and whether every claim held.
#[derive(Serialize)]
struct Written<'a, R> {
    command: &'a str,
    sound: bool,
    #[serde(flatten)]
    report: &'a R,
}

impl File {
    fn of(path: Option<PathBuf>) -> Self {
        let words = env::args().skip(1);
        let command = words.fold("watari-campaign".to_owned(), |command, word| format!("{command} {word}"));
        Self { path, command }
    }

    /// Writes it, so that there is always a whole one.
    fn write(&self, report: &impl Serialize, sound: bool) -> anyhow::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let fresh = path.with_extension("new");
        fs::write(&fresh, serde_json::to_vec_pretty(&Written { command: &self.command, sound, report })?)?;
        Ok(fs::rename(&fresh, path)?)
    }

    /// Writes what there is so far. The end of the campaign tells whether that can be done.
    fn keep(&self, report: &impl Serialize) {
        if let Err(error) = self.write(report, false) {
            eprintln!("the report was not written: {error:#}");
        }
    }

    /// Writes the report, shows its table, and tells by the exit status whether it is sound.
    fn told(&self, report: &impl Serialize, table: &str, sound: bool) -> anyhow::Result<ExitCode> {
        println!("{table}");
        self.write(report, sound)?;
        Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
