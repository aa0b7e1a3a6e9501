//! `watari-bench`: the benchmarks. Each prints its figures as JSON, and fails when a bound is missed.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use clap::{Parser, Subcommand};
use serde::Serialize;
use watari_loadtests::{
    bench::{
        Bound, addresses, crowd, evacuate,
        fleet::{
            self, Report,
            plan::{Plan, Scale},
        },
        footprint, history, image, listing, migrate, network,
    },
    lab::Lab,
    scenarios::Stage,
};

/// Measures. Build with --release, and let the lab use those binaries (WATARI_BIN=target/release).
#[derive(Parser)]
struct Arguments {
    /// The lab's command.
    #[arg(long, default_value = "deploy/lab")]
    lab: PathBuf,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// `watari vm migrate` beside `virsh migrate`.
    Migrate {
        /// How many pairs.
        #[arg(long, default_value_t = 10)]
        runs: usize,
    },
    /// Imports beside `qemu-img convert`, starts beside `virsh`, and what a copy moves between the campuses.
    Image {
        /// How many pairs of each.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
        runs: u16,
    },
    /// How long a client hears nothing of a server that migrates, on a provider network (beside a twin that virsh carries)
    /// and on an overlay network.
    Network {
        /// How many migrations on each.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
        runs: u16,
    },
    /// An evacuation beside loops of `virsh migrate`.
    Evacuate {
        /// How many servers.
        #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u8).range(1..=20))]
        servers: u8,
        /// They write to their memory all the time, each faster than the one before.
        #[arg(long)]
        write: bool,
        /// The link in Mbit/s.
        #[arg(long, default_value_t = 200)]
        mbit: u32,
    },
    /// Memory and idle processor time of the lab's processes, and how long a scrape of each takes.
    Footprint {
        /// For how long.
        #[arg(long, default_value_t = 30)]
        seconds: u64,
        /// Looks besides at the agent of one node with so many guests, which are made for it and removed.
        #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(..=60))]
        guests: u16,
    },
    /// `vm.list` with a nats-server and a scheduler of its own; no lab is needed.
    List {
        /// How many servers there are.
        #[arg(long, default_value_t = 1000)]
        servers: usize,
        /// How many requests.
        #[arg(long, default_value_t = 1000)]
        requests: u64,
    },
    /// History and usage of a year, with a nats-server and a monitor of its own; no lab is needed.
    History {
        /// How many servers there were.
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
        servers: u64,
        /// How often each was written.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
        writes: u64,
        /// How many requests of each kind.
        #[arg(long, default_value_t = 500)]
        requests: u64,
        /// An empty database of a PostgreSQL server, postgres://USER@HOST/DATABASE; without it a file.
        #[arg(long)]
        url: Option<String>,
        /// The file whose first line is the password for it.
        #[arg(long, requires = "url")]
        password_file: Option<PathBuf>,
    },
    /// Thousands of nodes and servers, with a nats-server and services of its own; no lab is needed.
    Fleet {
        /// How large and how long, by scenario.
        #[arg(long, default_value = "loadtests/fleet/recorded.toml")]
        plan: PathBuf,
        /// Only the scenarios whose names contain this: beats, lists, creations, reads, slope, scrapes.
        #[arg(long, default_value = "")]
        only: String,
        #[command(flatten)]
        scale: Scale,
        /// Compares with the report in this file.
        #[arg(long)]
        baseline: Option<PathBuf>,
        /// Keeps what the report in this file has of the other scenarios, so that one report can be made in parts.
        #[arg(long)]
        onto: Option<PathBuf>,
    },
    /// Addresses drawn by many at once, with a nats-server and a network service of its own; no lab is needed.
    Addresses {
        /// How many servers want one.
        #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=65_000))]
        servers: u32,
        /// How many of them at the same time.
        #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
        at_once: u16,
    },
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let stage = || Stage::set(arguments.lab.canonicalize()?);
    match &arguments.what {
        What::Migrate { runs } => {
            let figures = migrate::run(&stage()?, *runs)?;
            tell(&figures, &figures.bounds())
        }
        What::Image { runs } => {
            let figures = image::run(&stage()?, usize::from(*runs))?;
            tell(&figures, &figures.bounds())
        }
        What::Network { runs } => {
            let figures = network::run(&stage()?, usize::from(*runs))?;
            tell(&figures, &figures.bounds())
        }
        What::Evacuate { servers, write, mbit } => {
            let guests = if *write { evacuate::Guests::Write } else { evacuate::Guests::Idle };
            let figures = evacuate::run(&stage()?, guests, *servers, *mbit)?;
            tell(&figures, &figures.bounds())
        }
        What::Footprint { seconds, guests } => {
            let (lab, lasting) = (Lab::new(arguments.lab.canonicalize()?), Duration::from_secs(*seconds));
            let mut figures = footprint::run(&lab, lasting)?;
            if *guests > 0 {
                figures.crowd = Some(crowd::run(&stage()?, *guests, lasting)?);
            }
            tell(&figures, &figures.bounds())
        }
        What::List { servers, requests } => {
            let scheduler = std::env::current_exe()?.with_file_name("watari-scheduler");
            let runtime = tokio::runtime::Runtime::new()?;
            let figures = runtime.block_on(listing::run(&scheduler, *servers, *requests))?;
            tell(&figures, &figures.bounds())
        }
        What::History { servers, writes, requests, url, password_file } => {
            let monitor = std::env::current_exe()?.with_file_name("watari-monitor");
            let place = history::Place { url: url.clone(), password_file: password_file.clone() };
            let runtime = tokio::runtime::Runtime::new()?;
            let measured = history::run(&monitor, &place, *servers, *writes, *requests);
            let figures = runtime.block_on(measured)?;
            tell(&figures, &figures.bounds())
        }
        What::Fleet { plan, only, scale, baseline, onto } => {
            let (plan, program) = (Plan::read(plan, *scale)?, std::env::current_exe()?);
            let baseline = baseline.as_ref().map(|file| read(file)).transpose()?;
            let earlier = onto.as_ref().map(|file| read(file)).transpose()?;
            let runtime = tokio::runtime::Runtime::new()?;
            let folder = program.parent().context("the program is nowhere")?;
            let report = runtime.block_on(fleet::run(folder, &plan, only, earlier))?;
            if let Some(baseline) = baseline {
                report.beside(&baseline).iter().for_each(|line| eprintln!("{line}"));
            }
            tell(&report, &report.bounds)
        }
        What::Addresses { servers, at_once } => {
            let network = std::env::current_exe()?.with_file_name("watari-network");
            let runtime = tokio::runtime::Runtime::new()?;
            let figures = runtime.block_on(addresses::run(&network, *servers, *at_once))?;
            tell(&figures, &figures.bounds())
        }
    }
}

/// The report of an earlier run.
fn read(file: &Path) -> anyhow::Result<Report> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    serde_json::from_str(&text).with_context(|| file.display().to_string())
}

/// Prints the figures, and beside them what they had to keep to.
fn tell(figures: &impl Serialize, bounds: &[Bound]) -> anyhow::Result<ExitCode> {
    println!("{}", serde_json::to_string_pretty(figures)?);
    bounds.iter().for_each(|bound| eprintln!("{bound}"));
    Ok(if bounds.iter().all(Bound::is_kept) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
