//! Ten thousand nodes beat: what that costs the monitor, how late it hears them, when it knows that some are lost, and
//! what becomes of the books when more beats come than it can hear.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::ensure;
use serde::Serialize;
use tokio::task::JoinHandle;
use watari_chassis::{Bus, Mirror, clock, codec};
use watari_contracts::{
    beat::{Beat, Sample, VERSION},
    monitor::CordonNode,
    subjects,
};
use watari_model::node::{Node, State};

use super::{
    Measured,
    agents::Agents,
    documents::{Place, places},
    plan,
    stage::{LOOK, LOOKS, LOST_AFTER, READY, Stage, since},
};
use crate::bench::Bound;

/// So many connections carry all nodes' beats.
const CONNECTIONS: usize = 4;
/// A node has its moment within the second, so that the beats come evenly.
const MOMENTS: u32 = 100;
/// One node of so many falls silent.
const SILENT: usize = 100;
/// How long writing it down may take when a hundred are lost at a time.
const WRITING: Duration = Duration::from_secs(1);
/// The lag is looked at in so many parts of the time, to see whether it grows.
const PARTS: u32 = 5;

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
    monitor_resident_mib: f64,
    /// The limit within which 99 of 100 beats were taken, in each part of the time.
    lag_p99_ms: Vec<f64>,
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
    /// How long a change of a node took meanwhile.
    change_ms: f64,
    change_kept: bool,
    nodes_lost_wrongly: usize,
    monitor_resident_mib: f64,
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

    let steady = steady(stage, &herd, plan.seconds).await?;
    let (silent, lost_after) = fall_silent(&herd, &nodes, &places).await?;
    let overload = overload(stage, &herd, &nodes, &places, plan).await?;
    let beaten = Beaten {
        nodes: plan.nodes,
        samples_a_second: plan.nodes * (plan.samples + 1),
        seconds: plan.seconds,
        known_after_seconds: known_after.as_secs_f64(),
        monitor_cpu_percent: steady.cpu_percent,
        monitor_resident_mib: steady.resident_mib,
        lag_p99_ms: steady.lag_p99_ms,
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
        let loss = LOST_AFTER + LOOKS + WRITING;
        let unkept = if self.overload.change_kept { 0.0 } else { 1.0 };
        #[allow(clippy::cast_precision_loss, reason = "a number of nodes")]
        let wrongly = self.overload.nodes_lost_wrongly as f64;
        vec![
            Bound::most("beats: monitor_cpu_percent", self.monitor_cpu_percent, 50.0),
            Bound::most("beats: monitor_resident_mib", self.monitor_resident_mib, 512.0),
            Bound::most("beats: lag_p99_ms in its worst part", lag, 100.0),
            Bound::most("beats: lost_after_seconds_most", self.lost_after_seconds_most, loss.as_secs_f64()),
            Bound::most("beats: overload, changes acknowledged and lost", unkept, 0.0),
            Bound::most("beats: overload, nodes_lost_wrongly", wrongly, 0.0),
            Bound::most("beats: overload, monitor_resident_mib", self.overload.monitor_resident_mib, 512.0),
        ]
    }
}

/// While all nodes beat once a second.
struct Steady {
    cpu_percent: f64,
    resident_mib: f64,
    lag_p99_ms: Vec<f64>,
    missed_percent: f64,
}

async fn steady(stage: &Stage, herd: &Herd, seconds: u64) -> anyhow::Result<Steady> {
    let first = stage.scrape("monitor").await?;
    let (begun, sent, cpu) = (Instant::now(), herd.sent(), stage.cpu()?);
    let (mut before, mut resident, mut lags) = (first.buckets(LAG), 0.0_f64, Vec::new());
    for _ in 0..PARTS {
        tokio::time::sleep(Duration::from_secs(seconds) / PARTS).await;
        resident = resident.max(stage.resident_mib("monitor")?);
        let now = stage.scrape("monitor").await?.buckets(LAG);
        lags.push(now.since(&before).within(0.99) * 1_000.0);
        before = now;
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

fn is_silent(number: usize) -> bool {
    number % SILENT == SILENT - 1
}

/// Sends as many beats as the bus takes, and changes a node meanwhile.
async fn overload(
    stage: &Stage,
    herd: &Herd,
    nodes: &Mirror<Node>,
    places: &[Place],
    plan: plan::Beats,
) -> anyhow::Result<Overload> {
    let half = Duration::from_secs(plan.overload_seconds) / 2;
    let (begun, sent, heard) = (Instant::now(), herd.sent(), stage.scrape("monitor").await?.total(BEATS));
    herd.pace.flood.store(true, Ordering::Relaxed);
    tokio::time::sleep(half).await;
    let (asked, cordoned) = (Instant::now(), &places[0].name);
    let request = CordonNode { name: cordoned.clone() };
    let acknowledged = stage.ctx.bus.request_within(&request, READY).await.is_ok();
    let change = asked.elapsed();
    tokio::time::sleep(half).await;
    herd.pace.flood.store(false, Ordering::Relaxed);
    let (elapsed, flooded) = (begun.elapsed().as_secs_f64(), herd.sent() - sent);
    let resident = stage.resident_mib("monitor")?;
    // So long a node that was wrongly thought silent would have to be lost by now; and what waited has been heard.
    tokio::time::sleep(LOST_AFTER + LOOKS + WRITING).await;
    let heard = stage.scrape("monitor").await?.total(BEATS) - heard;
    let kept = nodes.get(cordoned.as_str()).is_some_and(|node| node.value.cordoned);
    let is_lost =
        |number: &usize| nodes.get(places[*number].name.as_str()).is_none_or(|node| node.value.state == State::Lost);
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
    let (flooded, sent) = (flooded as f64, (herd.sent() - sent) as f64);
    let shed = (sent - heard).clamp(0.0, flooded);
    Ok(Overload {
        beats_a_second: flooded / elapsed,
        heard_a_second: (flooded - shed) / elapsed,
        shed_percent: shed / flooded * 100.0,
        change_ms: change.as_secs_f64() * 1_000.0,
        change_kept: acknowledged && kept,
        nodes_lost_wrongly: (0..places.len()).filter(|number| !is_silent(*number)).filter(is_lost).count(),
        monitor_resident_mib: resident,
    })
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

/// The nodes' beats, until it is dropped.
pub(super) struct Herd {
    pace: Arc<Pace>,
    beating: Vec<JoinHandle<()>>,
}

/// How they beat.
struct Pace {
    /// As fast as the bus takes it, instead of once a second.
    flood: AtomicBool,
    /// One of a hundred is silent.
    silence: AtomicBool,
    sent: AtomicU64,
    /// When each beat last, on the boot clock.
    last: Vec<AtomicU64>,
}

struct Speaker {
    number: usize,
    subject: String,
    beat: Beat,
}

impl Herd {
    /// Has every node beat once a second, with samples of so many servers.
    pub(super) async fn start(stage: &Stage, places: &[Place], samples: usize) -> anyhow::Result<Self> {
        let pace = Arc::new(Pace {
            flood: AtomicBool::new(false),
            silence: AtomicBool::new(false),
            sent: AtomicU64::new(0),
            last: places.iter().map(|_| AtomicU64::new(0)).collect(),
        });
        let mut beating = Vec::new();
        for part in 0..CONNECTIONS {
            let own = places.iter().enumerate().skip(part).step_by(CONNECTIONS);
            let speakers = own.map(|(number, place)| Speaker::new(number, place, samples)).collect();
            beating.push(tokio::spawn(speak(stage.bus().await?, speakers, Arc::clone(&pace))));
        }
        Ok(Self { pace, beating })
    }

    fn sent(&self) -> u64 {
        self.pace.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Herd {
    fn drop(&mut self) {
        self.beating.iter().for_each(JoinHandle::abort);
    }
}

impl Speaker {
    fn new(number: usize, place: &Place, samples: usize) -> Self {
        let sample = |server: usize| Sample {
            vm: format!("server-{number:05}-{server}"),
            cpu_ns: 0,
            rss_mib: 190,
            disk_read: 0,
            disk_written: 0,
            net_received: 0,
            net_sent: 0,
        };
        let beat = Beat {
            node: place.name.to_string(),
            site: place.site.to_string(),
            seq: 0,
            instance: 1,
            at_ms: 0,
            hypervisor_answers: true,
            vcpus_used: 10,
            memory_used_mib: 1_920,
            disk_free_gib: 1 << 15,
            load_centi: 120,
            servers: (0..samples).map(sample).collect(),
        };
        Self { number, subject: subjects::beat(&place.site, &place.name), beat }
    }

    async fn beat(&mut self, bus: &Bus, pace: &Pace) {
        if is_silent(self.number) && pace.silence.load(Ordering::Relaxed) {
            return;
        }
        self.beat.seq += 1;
        self.beat.at_ms = u64::try_from(clock::now().0.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
        for sample in &mut self.beat.servers {
            sample.cpu_ns += 20_000_000;
            sample.disk_written += 4_096;
            sample.net_sent += 1_500;
        }
        // A beat that does not leave is a beat that was not sent.
        let Ok(bytes) = codec::encode(VERSION, &self.beat) else { return };
        if bus.publish_beat(&self.subject, bytes).await.is_ok() {
            pace.sent.fetch_add(1, Ordering::Relaxed);
            pace.last[self.number].store(clock::boot_millis(), Ordering::Relaxed);
        }
    }
}

async fn speak(bus: Bus, mut speakers: Vec<Speaker>, pace: Arc<Pace>) {
    // A moment that was missed is made up for: each node beats once a second, however late.
    let mut moments = tokio::time::interval(Duration::from_secs(1) / MOMENTS);
    let mut moment = 0;
    loop {
        if pace.flood.load(Ordering::Relaxed) {
            for speaker in &mut speakers {
                speaker.beat(&bus, &pace).await;
            }
            tokio::task::yield_now().await;
            moments.reset();
            continue;
        }
        moments.tick().await;
        for speaker in speakers.iter_mut().skip(moment).step_by(MOMENTS as usize) {
            speaker.beat(&bus, &pace).await;
        }
        moment = (moment + 1) % MOMENTS as usize;
    }
}
