//! `watari-bench`: the benchmarks. Each prints its figures as JSON.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, Subcommand};
use watari_loadtests::{
    bench::{evacuate, footprint, listing, migrate},
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
    /// An evacuation beside loops of `virsh migrate`.
    Evacuate {
        /// How many servers.
        #[arg(long, default_value_t = 6)]
        servers: usize,
        /// The link in Mbit/s.
        #[arg(long, default_value_t = 200)]
        mbit: u32,
    },
    /// Memory and idle processor time of the lab's processes.
    Footprint {
        /// For how long.
        #[arg(long, default_value_t = 30)]
        seconds: u64,
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
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let stage = || Stage::set(arguments.lab.canonicalize()?);
    let figures = match &arguments.what {
        What::Migrate { runs } => serde_json::to_value(migrate::run(&stage()?, *runs)?)?,
        What::Evacuate { servers, mbit } => serde_json::to_value(evacuate::run(&stage()?, *servers, *mbit)?)?,
        What::Footprint { seconds } => {
            let lab = Lab::new(arguments.lab.canonicalize()?);
            serde_json::to_value(footprint::run(&lab, Duration::from_secs(*seconds))?)?
        }
        What::List { servers, requests } => {
            let scheduler = std::env::current_exe()?.with_file_name("watari-scheduler");
            let runtime = tokio::runtime::Runtime::new()?;
            serde_json::to_value(runtime.block_on(listing::run(&scheduler, *servers, *requests))?)?
        }
    };
    println!("{}", serde_json::to_string_pretty(&figures)?);
    Ok(())
}
