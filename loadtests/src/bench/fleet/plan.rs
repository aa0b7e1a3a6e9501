//! How large the fleet is and how long it is watched, as a file says and the command line corrects.

use std::{fs, path::Path};

use anyhow::{Context as _, ensure};
use serde::Deserialize;

/// Fewer than there are addresses in a network of 256.
const MOST_ON_A_NETWORK: usize = 250;

/// All of them, each the section of its scenario.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    pub(super) beats: Beats,
    pub(super) lists: Listed,
    pub(super) creations: Creations,
    pub(super) reads: Listed,
    pub(super) slope: Slope,
    pub(super) scrapes: Scrapes,
}

/// What the command line may say otherwise.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Scale {
    /// So many nodes, in every scenario.
    #[arg(long)]
    pub nodes: Option<usize>,
    /// So many servers, in every scenario; of `slope` it is the most.
    #[arg(long)]
    pub servers: Option<usize>,
    /// The seconds of the scenario that lasts: `beats`.
    #[arg(long = "for")]
    pub seconds: Option<u64>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Beats {
    pub(super) nodes: usize,
    pub(super) samples: usize,
    pub(super) seconds: u64,
    pub(super) overload_seconds: u64,
}

/// Servers that stand, on nodes that say so.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listed {
    pub(super) nodes: usize,
    pub(super) servers: usize,
    pub(super) requests: usize,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Creations {
    pub(super) nodes: usize,
    pub(super) servers: usize,
    pub(super) on_a_network: usize,
    pub(super) at_once: usize,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Slope {
    pub(super) nodes: usize,
    pub(super) servers: Vec<usize>,
    pub(super) requests: usize,
    pub(super) starts: usize,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scrapes {
    pub(super) nodes: usize,
    pub(super) servers: usize,
    pub(super) times: usize,
}

impl Plan {
    /// Reads a plan and scales it.
    ///
    /// # Errors
    /// When the file is no plan, or there is nothing to measure in one of its scenarios.
    pub fn read(path: &Path, scale: Scale) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let plan: Self = toml::from_str(&text).with_context(|| path.display().to_string())?;
        plan.scaled(scale)
    }

    fn scaled(mut self, scale: Scale) -> anyhow::Result<Self> {
        let Self { beats, lists, creations, reads, slope, scrapes } = &mut self;
        if let Some(nodes) = scale.nodes {
            let all = [&mut lists.nodes, &mut creations.nodes, &mut reads.nodes, &mut slope.nodes, &mut scrapes.nodes];
            all.into_iter().for_each(|there| *there = nodes);
            beats.nodes = nodes;
        }
        if let Some(servers) = scale.servers {
            let all = [&mut lists.servers, &mut creations.servers, &mut reads.servers, &mut scrapes.servers];
            all.into_iter().for_each(|there| *there = servers);
            slope.servers = vec![servers / 100, servers / 10, servers];
        }
        if let Some(seconds) = scale.seconds {
            beats.seconds = seconds;
        }
        ensure!(beats.nodes >= 100, "beats wants at least 100 nodes: one of a hundred falls silent");
        ensure!(beats.seconds >= 5, "beats wants at least 5 seconds: its lag is looked at in fifths");
        ensure!(beats.overload_seconds > 0, "beats wants more beats than can be heard for at least 1 second");
        let counts = [lists.servers, lists.requests, reads.servers, reads.requests, scrapes.times];
        let sloped = [slope.requests, slope.starts];
        ensure!(
            counts.iter().chain(&sloped).all(|count| *count > 0),
            "a scenario without servers or requests measures nothing"
        );
        let at_least_one = [lists.nodes, creations.nodes, reads.nodes, slope.nodes, scrapes.nodes];
        ensure!(at_least_one.iter().all(|count| *count > 0), "servers need nodes");
        ensure!(
            (1..=MOST_ON_A_NETWORK).contains(&creations.on_a_network),
            "a network has 1 to {MOST_ON_A_NETWORK} servers"
        );
        ensure!(creations.servers >= creations.at_once && creations.at_once > 0, "fewer creations than at once");
        let grows = slope.servers.windows(2).all(|pair| pair[0] < pair[1]);
        ensure!(grows && slope.servers.len() > 1 && slope.servers[0] > 0, "slope wants sizes that grow");
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn committed(name: &str, scale: Scale) -> anyhow::Result<Plan> {
        Plan::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fleet").join(name), scale)
    }

    #[test]
    fn the_committed_plans_are_plans_and_the_recorded_one_has_the_sizes_of_the_bounds() {
        committed("short.toml", Scale::default()).unwrap();
        let recorded = committed("recorded.toml", Scale::default()).unwrap();
        assert_eq!((recorded.beats.nodes, recorded.beats.samples, recorded.beats.seconds), (10_000, 10, 600));
        assert_eq!((recorded.lists.servers, recorded.reads.servers), (100_000, 100_000));
        assert_eq!(recorded.slope.servers, [1_000, 10_000, 100_000]);
    }

    #[test]
    fn the_command_line_scales_every_scenario() {
        let scale = Scale { nodes: Some(300), servers: Some(5_000), seconds: Some(7) };
        let plan = committed("short.toml", scale).unwrap();
        assert_eq!((plan.beats.nodes, plan.scrapes.nodes, plan.beats.seconds), (300, 300, 7));
        assert_eq!((plan.creations.servers, plan.slope.servers), (5_000, vec![50, 500, 5_000]));
    }

    #[test]
    fn a_plan_that_would_measure_nothing_is_refused() {
        for scale in [
            Scale { nodes: Some(50), ..Scale::default() },
            Scale { servers: Some(10), ..Scale::default() },
            Scale { seconds: Some(1), ..Scale::default() },
        ] {
            assert!(committed("short.toml", scale).is_err(), "{scale:?}");
        }
    }
}
