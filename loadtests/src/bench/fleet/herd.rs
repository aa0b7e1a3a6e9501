//! The beats of thousands of nodes, with samples of their servers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{task::JoinHandle, time::interval};
use watari_chassis::{Bus, clock, codec};
use watari_contracts::{
    beat::{Beat, Sample, VERSION},
    subjects,
};

use super::{documents::Place, stage::Stage};

/// So many connections carry all nodes' beats.
const CONNECTIONS: usize = 4;
/// A node has its moment within the second, so that the beats come evenly.
const MOMENTS: u32 = 100;
/// One node of so many falls silent.
const SILENT: usize = 100;

/// Whether a node is among those that fall silent.
pub(super) fn is_silent(number: usize) -> bool {
    number % SILENT == SILENT - 1
}

/// The nodes' beats, until it is dropped.
pub(super) struct Herd {
    pub(super) pace: Arc<Pace>,
    beating: Vec<JoinHandle<()>>,
}

/// How they beat.
pub(super) struct Pace {
    /// As fast as the bus takes it, instead of once a second.
    pub(super) flood: AtomicBool,
    /// One of a hundred is silent.
    pub(super) silence: AtomicBool,
    sent: AtomicU64,
    /// When each beat last, on the boot clock.
    pub(super) last: Vec<AtomicU64>,
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

    /// How many beats have left.
    pub(super) fn sent(&self) -> u64 {
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
    let mut moments = interval(Duration::from_secs(1) / MOMENTS);
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
