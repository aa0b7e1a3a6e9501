//! Ten thousand nodes beat: what that costs the monitor, how late it hears them, when it knows that some are lost, and
//! what becomes of the books when more beats come than it can hear.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use anyhow::ensure;
use serde::Serialize;
use tokio::time::interval;
use watari_chassis::{Mirror, clock};
use watari_contracts::monitor::CordonNode;
use watari_model::node::{Node, State};

use super::{
    FLAT_MIB, Measured,
    agents::Agents,
    documents::{Place, places},
    exposition::Exposition,
    herd::{Herd, is_silent},
    plan,
    stage::{LOOK, LOOKS, LOST_AFTER, READY, Stage, since},
};
use crate::bench::{
    Bound,
    latency::{Latency, Taken},
};

/// How long writing it down may take when a hundred are lost at a time.
const WRITING: Duration = Duration::from_secs(1);
/// Lag and memory are looked at in so many parts of the time, to see whether they grow.
const PARTS: u32 = 5;
/// A lag below this has not grown.
const SMALL_LAG_MS: f64 = 10.0;
/// So many nodes are cordoned while more beats come than can be heard, if there are so many that are heard.
const CHANGES: usize = 100;
/// After so long a change is taken for one that is not answered.
const ANSWER: Duration = Duration::from_secs(30);

/// The monitor's metrics: how late beats are, and how many it has heard.
const LAG: &str = "watari_beat_lag_seconds";
pub(super) const BEATS: &str = "watari_beats_total";

/// What came of it.
#[derive(Clone, Debug, Serialize)]
struct Beaten {
    nodes: usize,
    samples_a_second: usize,
    seconds: u64,
    /// Until all nodes were written down and ready.
    known_after_seconds: f64,
    monitor_cpu_percent: f64,
    /// At the end of each part of the time.
    monitor_resident_mib: Vec<f64>,
    /// The limit within which 99 of 100 beats were taken, in each part of the time.
    lag_p99_ms: Vec<f64>,
    /// Their mean, which shows growth between two of the limits.
    lag_mean_ms: Vec<f64>,
    beats_missed_percent: f64,
    nodes_fallen_silent: usize,
    /// From a node's last beat to its being written down as lost.
    lost_after_seconds_most: f64,
    overload: Overload,
}

/// What came of more beats than can be heard.
#[derive(Clone, Debug, Serialize)]
struct Overload {
    beats_a_second: f64,
    heard_a_second: f64,
    shed_percent: f64,
    shedding: Shedding,
    /// How long a change of a node took meanwhile.
    change: Latency,
    changes: usize,
    changes_unanswered: usize,
    /// Acknowledged, and not to be seen afterwards.
    changes_lost: usize,
    nodes_lost_wrongly: usize,
    monitor_resident_mib: f64,
}

/// Whether a run says anything of what becomes of beats that cannot be heard.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
enum Shedding {
    #[serde(rename = "shown")]
    Shown,
    /// All that the bus took was heard, as far as can be counted.
    #[serde(rename = "not shown")]
    NotShown,
}

impl Shedding {
    /// Beats are counted as they are sent and as they are heard, so that some are always under way: fewer than each node sends
    /// in a second say nothing.
    fn of(shed: f64, nodes: usize) -> Self {
        #[allow(clippy::cast_precision_loss, reason = "a number of nodes")]
        let unclear = nodes as f64;
        if shed > unclear { Self::Shown } else { Self::NotShown }
    }
}

/// Measures.
pub(super) async fn run(stage: &mut Stage, plan: plan::Beats) -> anyhow::Result<Measured> {
    let places = places(plan.nodes)?;
    stage.start("monitor").await?;
    let _agents = Agents::start(stage, &places).await?;
    let begun = Instant::now();
    let herd = Herd::start(stage, &places, plan.samples).await?;
    let nodes = Mirror::<Node>::of_another(&stage.ctx).await?;
    until("all nodes are ready", || count(&nodes, State::Ready) == plan.nodes).await?;
    let known_after = begun.elapsed();
    stage.tell(format!("all nodes are ready; {} s of beats", plan.seconds));

    let steady = steady(stage, &herd, plan.seconds).await?;
    let (silent, lost_after) = fall_silent(&herd, &nodes, &places).await?;
    stage.tell(format!("{silent} nodes are silent and lost; more beats than can be heard"));
    let overload = overload(stage, &herd, &nodes, &places, plan).await?;
    if overload.shedding == Shedding::NotShown {
        stage.tell("that beats are shed is not shown: the monitor heard all that the bus took");
    }
    let beaten = Beaten {
        nodes: plan.nodes,
        samples_a_second: plan.nodes * (plan.samples + 1),
        seconds: plan.seconds,
        known_after_seconds: known_after.as_secs_f64(),
        monitor_cpu_percent: steady.cpu_percent,
        monitor_resident_mib: steady.resident_mib,
        lag_p99_ms: steady.lag_p99_ms,
        lag_mean_ms: steady.lag_mean_ms,
        beats_missed_percent: steady.missed_percent,
        nodes_fallen_silent: silent,
        lost_after_seconds_most: lost_after.as_secs_f64(),
        overload,
    };
    Measured::of(&beaten, beaten.bounds())
}

impl Beaten {
    fn bounds(&self) -> Vec<Bound> {
        // What is no number in one part is none in all.
        let later = |most: f64, lag: f64| if most.is_nan() || lag <= most { most } else { lag };
        let lag = self.lag_p99_ms.iter().copied().fold(0.0, later);
        let grown = |what: &str, lag: &[f64]| {
            let (first, last) = ends(lag);
            Bound::most(format!("beats: {what} in its last part"), last, SMALL_LAG_MS.max(2.0 * first))
        };
        let resident = self.monitor_resident_mib.iter().copied().fold(0.0, f64::max);
        let (first_mib, last_mib) = ends(&self.monitor_resident_mib);
        let loss = LOST_AFTER + LOOKS + WRITING;
        #[allow(clippy::cast_precision_loss, reason = "numbers of nodes")]
        let [unanswered, unkept, wrongly] =
            [self.overload.changes_unanswered, self.overload.changes_lost, self.overload.nodes_lost_wrongly]
                .map(|nodes| nodes as f64);
        vec![
            Bound::most("beats: monitor_cpu_percent", self.monitor_cpu_percent, 50.0),
            Bound::most("beats: monitor_resident_mib", resident, 512.0),
            Bound::most("beats: monitor_resident_mib, last part less the first", last_mib - first_mib, FLAT_MIB),
            Bound::most("beats: lag_p99_ms in its worst part", lag, 100.0),
            grown("lag_p99_ms", &self.lag_p99_ms),
            grown("lag_mean_ms", &self.lag_mean_ms),
            Bound::most("beats: lost_after_seconds_most", self.lost_after_seconds_most, loss.as_secs_f64()),
            Bound::most("beats: overload, changes unanswered", unanswered, 0.0),
            Bound::most("beats: overload, changes acknowledged and lost", unkept, 0.0),
            Bound::most("beats: overload, nodes_lost_wrongly", wrongly, 0.0),
            Bound::most("beats: overload, monitor_resident_mib", self.overload.monitor_resident_mib, 512.0),
        ]
    }
}

/// The first and the last of them.
fn ends(parts: &[f64]) -> (f64, f64) {
    let or_none = |part: Option<&f64>| part.copied().unwrap_or(f64::NAN);
    (or_none(parts.first()), or_none(parts.last()))
}

/// While all nodes beat once a second.
struct Steady {
    cpu_percent: f64,
    resident_mib: Vec<f64>,
    lag_p99_ms: Vec<f64>,
    lag_mean_ms: Vec<f64>,
    missed_percent: f64,
}

async fn steady(stage: &Stage, herd: &Herd, seconds: u64) -> anyhow::Result<Steady> {
    let first = stage.scrape("monitor").await?;
    let (begun, sent, cpu) = (Instant::now(), herd.sent(), stage.cpu()?);
    let (sums, counts) = (format!("{LAG}_sum"), format!("{LAG}_count"));
    let total = |shown: &Exposition| (shown.total(&sums), shown.total(&counts));
    let (mut before, mut totals) = (first.buckets(LAG), total(&first));
    let (mut resident, mut lags, mut means) = (Vec::new(), Vec::new(), Vec::new());
    for part in 1..=PARTS {
        tokio::time::sleep(Duration::from_secs(seconds) / PARTS).await;
        let mib = stage.resident_mib("monitor")?;
        let shown = stage.scrape("monitor").await?;
        let (now, (sum, count)) = (shown.buckets(LAG), total(&shown));
        let lag = now.since(&before).within(0.99) * 1_000.0;
        stage.tell(format!("part {part} of {PARTS}: lag_p99_ms {lag}, {mib:.0} MiB"));
        resident.push(mib);
        lags.push(lag);
        means.push((sum - totals.0) / (count - totals.1) * 1_000.0);
        (before, totals) = (now, (sum, count));
    }
    let used = since(&cpu, &stage.cpu()?);
    let elapsed = begun.elapsed().as_secs_f64();
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
    let sent = (herd.sent() - sent) as f64;
    let heard = stage.scrape("monitor").await?.total(BEATS) - first.total(BEATS);
    Ok(Steady {
        cpu_percent: used.get("monitor").copied().unwrap_or(f64::NAN) / elapsed * 100.0,
        resident_mib: resident,
        lag_p99_ms: lags,
        lag_mean_ms: means,
        missed_percent: (1.0 - heard / sent).max(0.0) * 100.0,
    })
}

/// One of a hundred nodes falls silent; how many, and the longest until one of them is written down as lost.
async fn fall_silent(herd: &Herd, nodes: &Mirror<Node>, places: &[Place]) -> anyhow::Result<(usize, Duration)> {
    let mut waiting: Vec<usize> = (0..places.len()).filter(|number| is_silent(*number)).collect();
    let silent = waiting.len();
    herd.pace.silence.store(true, Ordering::Relaxed);
    let (mut longest, begun) = (Duration::ZERO, Instant::now());
    while !waiting.is_empty() {
        waiting.retain(|number| {
            let lost = nodes.get(places[*number].name.as_str()).is_some_and(|node| node.value.state == State::Lost);
            if lost {
                let last = herd.pace.last[*number].load(Ordering::Relaxed);
                longest = longest.max(Duration::from_millis(clock::boot_millis().saturating_sub(last)));
            }
            !lost
        });
        ensure!(begun.elapsed() < READY, "{} silent nodes are not lost", waiting.len());
        tokio::time::sleep(LOOK).await;
    }
    Ok((silent, longest))
}

/// Sends as many beats as the bus takes, and changes nodes meanwhile.
async fn overload(
    stage: &Stage,
    herd: &Herd,
    nodes: &Mirror<Node>,
    places: &[Place],
    plan: plan::Beats,
) -> anyhow::Result<Overload> {
    let heard_nodes = (0..places.len()).filter(|number| !is_silent(*number));
    let changed: Vec<&Place> = heard_nodes.clone().take(CHANGES).map(|number| &places[number]).collect();
    let (begun, sent, heard) = (Instant::now(), herd.sent(), stage.scrape("monitor").await?.total(BEATS));
    herd.pace.flood.store(true, Ordering::Relaxed);
    let (acknowledged, change) = cordon(stage, &changed, Duration::from_secs(plan.overload_seconds)).await?;
    herd.pace.flood.store(false, Ordering::Relaxed);
    let (elapsed, flooded) = (begun.elapsed().as_secs_f64(), herd.sent() - sent);
    let resident = stage.resident_mib("monitor")?;
    // So long a node that was wrongly thought silent would have to be lost by now; and what waited has been heard.
    tokio::time::sleep(LOST_AFTER + LOOKS + WRITING).await;
    let sent = herd.sent() - sent;
    let heard = stage.scrape("monitor").await?.total(BEATS) - heard;
    let is_cordoned = |place: &&&Place| nodes.get(place.name.as_str()).is_some_and(|node| node.value.cordoned);
    let is_lost =
        |number: &usize| nodes.get(places[*number].name.as_str()).is_none_or(|node| node.value.state == State::Lost);
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
    let (flooded, sent) = (flooded as f64, sent as f64);
    let shed = (sent - heard).clamp(0.0, flooded);
    Ok(Overload {
        beats_a_second: flooded / elapsed,
        heard_a_second: (flooded - shed) / elapsed,
        shed_percent: shed / flooded * 100.0,
        shedding: Shedding::of(shed, places.len()),
        change,
        changes: changed.len(),
        changes_unanswered: changed.len() - acknowledged.len(),
        changes_lost: acknowledged.len() - acknowledged.iter().filter(is_cordoned).count(),
        nodes_lost_wrongly: heard_nodes.filter(is_lost).count(),
        monitor_resident_mib: resident,
    })
}

/// Cordons nodes at even intervals within so long a time, or longer if the answers come slower; those that were acknowledged,
/// and how long each took.
async fn cordon<'p>(
    stage: &Stage,
    places: &[&'p Place],
    within: Duration,
) -> anyhow::Result<(Vec<&'p Place>, Latency)> {
    let (mut acknowledged, mut taken) = (Vec::new(), Taken::none()?);
    let (all, mut moments) = (Instant::now(), interval(within / u32::try_from(places.len())?));
    for place in places {
        moments.tick().await;
        if all.elapsed() > READY {
            break;
        }
        let begun = Instant::now();
        if stage.ctx.bus.request_within(&CordonNode { name: place.name.clone() }, ANSWER).await.is_ok() {
            acknowledged.push(*place);
        }
        taken.take(begun)?;
    }
    Ok((acknowledged, taken.latency()))
}

/// How many nodes are in a state.
pub(super) fn count(nodes: &Mirror<Node>, state: State) -> usize {
    nodes.snapshot().values().filter(|node| node.value.state == state).count()
}

/// Waits until it is so.
pub(super) async fn until(what: &str, holds: impl Fn() -> bool) -> anyhow::Result<()> {
    let begun = Instant::now();
    while !holds() {
        ensure!(begun.elapsed() < READY, "it is not so that {what}");
        // Looking at all nodes is work, too.
        tokio::time::sleep(LOOK * 10).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beaten(lag_p99_ms: &[f64], monitor_resident_mib: &[f64]) -> Beaten {
        let overload = Overload {
            beats_a_second: 60_000.0,
            heard_a_second: 40_000.0,
            shed_percent: 33.0,
            shedding: Shedding::Shown,
            change: Taken::none().unwrap().latency(),
            changes: 100,
            changes_unanswered: 0,
            changes_lost: 0,
            nodes_lost_wrongly: 0,
            monitor_resident_mib: 200.0,
        };
        Beaten {
            nodes: 10_000,
            samples_a_second: 110_000,
            seconds: 600,
            known_after_seconds: 1.0,
            monitor_cpu_percent: 40.0,
            monitor_resident_mib: monitor_resident_mib.to_vec(),
            lag_p99_ms: lag_p99_ms.to_vec(),
            lag_mean_ms: vec![2.0, 3.0],
            beats_missed_percent: 0.0,
            nodes_fallen_silent: 100,
            lost_after_seconds_most: 10.5,
            overload,
        }
    }

    fn missed(beaten: &Beaten) -> Vec<String> {
        beaten.bounds().into_iter().filter(|bound| !bound.is_kept()).map(|bound| bound.what).collect()
    }

    #[test]
    fn lag_and_memory_may_be_low_all_the_time_and_grow_all_the_same() {
        assert!(missed(&beaten(&[50.0, 50.0, 100.0], &[190.0, 199.0, 200.0])).is_empty());
        assert!(missed(&beaten(&[1.0, 5.0, 10.0], &[200.0])).is_empty(), "so small a lag has not grown");
        assert_eq!(missed(&beaten(&[10.0, 10.0, 50.0], &[200.0])), ["beats: lag_p99_ms in its last part"]);
        assert_eq!(
            missed(&beaten(&[5.0], &[100.0, 120.0, 140.0])),
            ["beats: monitor_resident_mib, last part less the first"]
        );
        let between = Beaten { lag_mean_ms: vec![12.0, 20.0, 45.0], ..beaten(&[50.0, 50.0], &[200.0]) };
        assert_eq!(missed(&between), ["beats: lag_mean_ms in its last part"]);
        let both = ["beats: lag_p99_ms in its worst part", "beats: lag_p99_ms in its last part"];
        assert_eq!(missed(&beaten(&[5.0, f64::NAN], &[100.0])), both, "nothing was heard");
    }

    #[test]
    fn a_change_that_is_not_answered_or_lost_is_told() {
        let mut beaten = beaten(&[5.0], &[100.0]);
        (beaten.overload.changes_unanswered, beaten.overload.changes_lost) = (1, 2);
        let both = ["beats: overload, changes unanswered", "beats: overload, changes acknowledged and lost"];
        assert_eq!(missed(&beaten), both);
    }

    #[test]
    fn that_beats_are_shed_is_shown_by_more_than_are_under_way() {
        assert_eq!(Shedding::of(0.0, 200), Shedding::NotShown);
        assert_eq!(Shedding::of(200.0, 200), Shedding::NotShown);
        assert_eq!(Shedding::of(201.0, 200), Shedding::Shown);
        assert_eq!(serde_json::to_value(Shedding::NotShown).unwrap(), "not shown");
    }
}
