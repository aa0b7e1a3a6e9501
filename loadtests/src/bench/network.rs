//! How long the lab's `client` hears nothing of a server that is carried to the other campus, beside how long QEMU
//! says that it stood still in the same migration: by datagrams every 5 ms, and by one page after the other over
//! one HTTP connection that stays open. Once on the provider network, once on an overlay network by a public address.

use std::{
    io::{BufReader, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, ensure};
use serde::Serialize;

use super::{Bound, Spread};
use crate::{answer, gap::Gap, lab::Lab, scenarios::Stage};

/// What a silence may be longer than QEMU's downtime.
const MOST_BEYOND_MS: f64 = 50.0;
/// Between two datagrams, and between a page and the next question.
const EVERY: Duration = Duration::from_millis(5);
/// Who is silent for longer is not waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// The guest's echo: see deploy/guest/build.
const ECHO: u16 = 7;
const HTTP: u16 = 80;
const QUESTION: &[u8] = b"GET /uptime HTTP/1.1\r\nHost: guest\r\n\r\n";
/// The overlay network, and the server on it.
const OVERLAY: (&str, &str) = ("roam", "10.9.0");
const ROAMER: &str = "roamer";

/// What was heard on both networks.
#[derive(Clone, Debug, Serialize)]
pub struct Silences {
    /// How many migrations on each.
    pub runs: usize,
    /// `mail`, on the campus's own segment.
    pub provider: Heard,
    /// A server on an overlay network, by its public address.
    pub overlay: Heard,
}

/// What was heard of one server. Times in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Heard {
    /// QEMU's downtime.
    pub downtime_ms: Spread,
    /// The paused protocol's price: a part of what is heard beyond it.
    pub pause_ms: Spread,
    /// Datagrams.
    pub udp: Silence,
    /// Pages over one connection.
    pub http: Silence,
}

/// The longest silence of each migration.
#[derive(Clone, Debug, Serialize)]
pub struct Silence {
    /// All of it.
    pub longest_ms: Spread,
    /// What it was longer than QEMU's downtime of that migration.
    pub beyond_ms: Spread,
    /// The same of every migration, sorted.
    pub distribution: Vec<f64>,
}

impl Silence {
    fn of(longest: &[f64], downtime: &[f64]) -> Self {
        let mut distribution: Vec<f64> = longest.iter().zip(downtime).map(|(gap, still)| gap - still).collect();
        distribution.sort_by(f64::total_cmp);
        Self { longest_ms: Spread::of(longest.to_vec()), beyond_ms: Spread::of(distribution.clone()), distribution }
    }
}

impl Silences {
    /// No silence is longer than QEMU's own downtime and 50 ms.
    #[must_use]
    pub fn bounds(&self) -> Vec<Bound> {
        let networks = [("provider", &self.provider), ("overlay", &self.overlay)];
        let each =
            networks.into_iter().flat_map(|(name, heard)| [(name, "udp", &heard.udp), (name, "http", &heard.http)]);
        each.map(|(name, by, silence)| {
            Bound::most(format!("{name}.{by}.beyond_ms.most"), silence.beyond_ms.most, MOST_BEYOND_MS)
        })
        .collect()
    }
}

/// Carries a server of each network `runs` times to and fro.
///
/// # Errors
/// When a migration fails, or a connection does not survive it.
pub fn run(stage: &Stage, runs: usize) -> anyhow::Result<Silences> {
    let lab = &stage.lab;
    stage.ready("mail")?;
    let mail = lab.watari(&["vm", "show", "mail"])?;
    let address = mail["addresses"][0].as_str().context("mail has no address")?;
    let provider = heard(stage, "mail", address, runs)?;

    let (network, subnet) = OVERLAY;
    stage.overlay(network, subnet)?;
    stage.server_at(ROAMER, network, "myodaiji")?;
    let public = stage.public_address(ROAMER)?;
    stage.until_page(&public, 120)?;
    let overlay = heard(stage, ROAMER, &public, runs);
    lab.watari(&["address", "release", &public, "--yes"])?;
    lab.watari(&["vm", "delete", ROAMER, "--yes", "--wait"])?;
    for made in ["outside", network] {
        lab.watari(&["network", "delete", made, "--yes"])?;
    }
    Ok(Silences { runs, provider, overlay: overlay? })
}

fn heard(stage: &Stage, vm: &str, address: &str, runs: usize) -> anyhow::Result<Heard> {
    let (mut downtime, mut pause) = (Vec::new(), Vec::new());
    let (mut udp, mut http) = (Vec::new(), Vec::new());
    // One uncounted crossing: a guest's first migration takes two to three times as long as its next.
    for run in 0..=runs {
        let crossing = Crossing::of(stage, vm, address)?;
        if run == 0 {
            continue;
        }
        eprintln!("{vm}: {crossing:?}");
        downtime.push(crossing.downtime_ms);
        pause.push(crossing.pause_ms);
        udp.push(crossing.udp_ms);
        http.push(crossing.http_ms);
    }
    let (datagrams, pages) = (Silence::of(&udp, &downtime), Silence::of(&http, &downtime));
    Ok(Heard { downtime_ms: Spread::of(downtime), pause_ms: Spread::of(pause), udp: datagrams, http: pages })
}

/// One migration, as it was measured and heard.
#[derive(Debug)]
struct Crossing {
    downtime_ms: f64,
    pause_ms: f64,
    udp_ms: f64,
    http_ms: f64,
}

impl Crossing {
    fn of(stage: &Stage, vm: &str, address: &str) -> anyhow::Result<Self> {
        let lab = &stage.lab;
        let to = stage.other_side(vm)?;
        let (datagrams, mut pages) = (Datagrams::to(lab, address)?, Pages::of(lab, address)?);
        // Whoever has been spoken to before has been found in the network.
        pages.ask().context("the web server does not answer")?;
        let over = AtomicBool::new(false);
        let (moved, udp, http) = thread::scope(|scope| {
            let echoes = scope.spawn(|| datagrams.keep_sending(&over));
            let read = scope.spawn(|| pages.keep_reading(&over));
            let moved = lab.watari(&["vm", "migrate", vm, "--to", to, "--wait"]);
            over.store(true, Ordering::Relaxed);
            (moved, echoes.join(), read.join())
        });
        let moved = moved?;
        let fell = || anyhow!("a listener fell");
        let (udp, http) = (udp.map_err(|_| fell())??, http.map_err(|_| fell())??);
        let measured = |field: &str| moved["measured"][field].as_f64().with_context(|| format!("no {field}"));
        let millis = |silence: Duration| silence.as_secs_f64() * 1000.0;
        Ok(Self {
            downtime_ms: measured("downtime_ms")?,
            pause_ms: measured("pause_ms")?,
            udp_ms: millis(udp),
            http_ms: millis(http),
        })
    }
}

/// Datagrams that the guest echoes.
struct Datagrams(UdpSocket);

impl Datagrams {
    fn to(lab: &Lab, address: &str) -> anyhow::Result<Self> {
        let socket = lab.within("client", || {
            let socket = UdpSocket::bind(("0.0.0.0", 0))?;
            socket.connect((address, ECHO))?;
            Ok(socket)
        })?;
        socket.set_read_timeout(Some(EVERY * 20))?;
        Ok(Self(socket))
    }

    /// Sends until an echo comes after `over`; the longest time between two echoes.
    fn keep_sending(&self, over: &AtomicBool) -> anyhow::Result<Duration> {
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    // What the network says of one that did not arrive is silence, too.
                    let _ = self.0.send(b"echo");
                    thread::sleep(EVERY);
                }
            });
            let heard = self.keep_listening(over);
            ended.store(true, Ordering::Relaxed);
            heard
        })
    }

    fn keep_listening(&self, over: &AtomicBool) -> anyhow::Result<Duration> {
        let (mut gap, mut last, mut buffer) = (Gap::default(), Instant::now(), [0; 16]);
        loop {
            if self.0.recv(&mut buffer).is_ok() {
                last = Instant::now();
                gap.seen(last);
                if over.load(Ordering::Relaxed) {
                    return Ok(gap.longest(last));
                }
            }
            ensure!(last.elapsed() < PATIENCE, "no echo for {} s", PATIENCE.as_secs());
        }
    }
}

/// Pages over one connection.
struct Pages(BufReader<TcpStream>);

impl Pages {
    fn of(lab: &Lab, address: &str) -> anyhow::Result<Self> {
        let server: SocketAddr = format!("{address}:{HTTP}").parse()?;
        let stream = lab.within("client", || Ok(TcpStream::connect_timeout(&server, PATIENCE)?))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(stream)))
    }

    fn ask(&mut self) -> anyhow::Result<()> {
        self.0.get_mut().write_all(QUESTION)?;
        let (status, _) = answer::read(&mut self.0)?;
        ensure!(status == 200, "the page is answered with {status}");
        Ok(())
    }

    /// Reads until a page comes after `over`; the longest time between two pages.
    fn keep_reading(&mut self, over: &AtomicBool) -> anyhow::Result<Duration> {
        let mut gap = Gap::default();
        loop {
            self.ask().context("the connection did not survive")?;
            let now = Instant::now();
            gap.seen(now);
            if over.load(Ordering::Relaxed) {
                return Ok(gap.longest(now));
            }
            thread::sleep(EVERY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_silence_of_all_is_bounded_by_the_downtime_of_its_own_migration() {
        let silence = |longest: &[f64]| Silence::of(longest, &[100.0, 40.0]);
        let heard = |udp| Heard {
            downtime_ms: Spread::of(vec![100.0, 40.0]),
            pause_ms: Spread::of(vec![5.0, 5.0]),
            udp,
            http: silence(&[150.0, 90.0]),
        };
        let silences = |udp| Silences { runs: 2, provider: heard(udp), overlay: heard(silence(&[120.0, 60.0])) };
        let kept = silences(silence(&[149.0, 50.0]));
        assert_eq!(kept.provider.udp.distribution, [10.0, 49.0]);
        assert!(kept.bounds().iter().all(Bound::is_kept), "{:?}", kept.bounds());
        let missed = silences(silence(&[110.0, 91.0])).bounds();
        assert_eq!(missed.iter().filter(|bound| !bound.is_kept()).count(), 1, "{missed:?}");
    }
}
