//! How long the lab's `client` hears nothing of a server that is carried to the other campus, beside how long QEMU
//! says that it stood still in the same migration: by datagrams every 5 ms, and by one page after the other over
//! one HTTP connection that stays open. Once on the provider network, in turn with a twin that `virsh` carries and that is
//! heard in the same way, and once on an overlay network by a public address.

mod listening;
mod twin;

use anyhow::Context;
use serde::Serialize;

use super::{Bound, Spread, migrate::MOST_PAUSE_MS};
use crate::scenarios::Stage;
use listening::while_heard;
use twin::Carried;

/// What a silence may be longer than QEMU's downtime.
const MOST_BEYOND_MS: f64 = 50.0;
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
    /// A twin of it there that `virsh` carried, each time after it.
    pub virsh: Heard,
    /// What the silences of `mail` are longer beyond QEMU's downtime than those of its twin.
    pub added: Added,
    /// A server on an overlay network, by its public address.
    pub overlay: Heard,
}

/// What was heard of one server. Times in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Heard {
    /// QEMU's downtime.
    pub downtime_ms: Spread,
    /// The paused protocol's price: a part of what is heard beyond it. `virsh` alone has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause_ms: Option<Spread>,
    /// Datagrams.
    pub udp: Silence,
    /// Pages over one connection.
    pub http: Silence,
}

impl Heard {
    fn of(crossings: &[Crossing]) -> Self {
        let all = |part: fn(&Crossing) -> f64| crossings.iter().map(part).collect::<Vec<f64>>();
        let downtime = all(|crossing| crossing.downtime_ms);
        let pauses: Vec<f64> = crossings.iter().filter_map(|crossing| crossing.pause_ms).collect();
        Self {
            udp: Silence::of(&all(|crossing| crossing.udp_ms), &downtime),
            http: Silence::of(&all(|crossing| crossing.http_ms), &downtime),
            downtime_ms: Spread::of(downtime),
            pause_ms: (!pauses.is_empty()).then(|| Spread::of(pauses)),
        }
    }
}

/// What Watari adds to what is heard beyond QEMU's downtime, pair by pair.
#[derive(Clone, Debug, Serialize)]
pub struct Added {
    /// By datagrams.
    pub udp_ms: Spread,
    /// By pages over one connection.
    pub http_ms: Spread,
}

impl Added {
    fn of(ours: &[Crossing], theirs: &[Crossing]) -> Self {
        let each = |beyond: fn(&Crossing) -> f64| {
            Spread::of(ours.iter().zip(theirs).map(|(our, their)| beyond(our) - beyond(their)).collect())
        };
        Self {
            udp_ms: each(|crossing| crossing.udp_ms - crossing.downtime_ms),
            http_ms: each(|crossing| crossing.http_ms - crossing.downtime_ms),
        }
    }
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
    /// No silence is longer than QEMU's own downtime and 50 ms; and at the median Watari adds to what is heard under
    /// `virsh` no more than the paused protocol may cost.
    #[must_use]
    pub fn bounds(&self) -> Vec<Bound> {
        let networks = [("provider", &self.provider), ("overlay", &self.overlay)];
        let each =
            networks.into_iter().flat_map(|(name, heard)| [(name, "udp", &heard.udp), (name, "http", &heard.http)]);
        let beyond = each.map(|(name, by, silence)| {
            Bound::most(format!("{name}.{by}.beyond_ms.most"), silence.beyond_ms.most, MOST_BEYOND_MS)
        });
        let added = [("udp", &self.added.udp_ms), ("http", &self.added.http_ms)];
        let added =
            added.map(|(by, spread)| Bound::most(format!("added.{by}_ms.median"), spread.median, MOST_PAUSE_MS));
        beyond.chain(added).collect()
    }
}

/// Carries a server of each network `runs` times to and fro.
///
/// # Errors
/// When a migration fails, or a connection does not survive it.
pub fn run(stage: &Stage, runs: usize) -> anyhow::Result<Silences> {
    let lab = &stage.lab;
    let (ours, theirs) = in_turn(stage, "mail", runs)?;

    let (network, subnet) = OVERLAY;
    stage.overlay(network, subnet)?;
    stage.server_at(ROAMER, network, "myodaiji")?;
    let public = stage.public_address(ROAMER)?;
    stage.until_page(&public, 120)?;
    let overlay = alone(stage, ROAMER, &public, runs);
    lab.watari(&["address", "release", &public, "--yes"])?;
    lab.watari(&["vm", "delete", ROAMER, "--yes", "--wait"])?;
    for made in ["outside", network] {
        lab.watari(&["network", "delete", made, "--yes"])?;
    }
    let (provider, virsh, added) = (Heard::of(&ours), Heard::of(&theirs), Added::of(&ours, &theirs));
    Ok(Silences { runs, provider, virsh, added, overlay: Heard::of(&overlay?) })
}

/// A server of the provider network and its twin, in turn between m1 and y1.
fn in_turn(stage: &Stage, vm: &str, runs: usize) -> anyhow::Result<(Vec<Crossing>, Vec<Crossing>)> {
    let lab = &stage.lab;
    stage.ready(vm)?;
    let shown = lab.watari(&["vm", "show", vm])?;
    let address = shown["addresses"][0].as_str().with_context(|| format!("{vm} has no address"))?;
    if shown["node"] != "m1" {
        lab.watari(&["vm", "migrate", vm, "--to", "m1", "--wait"])?;
    }
    let twin = Carried::start(stage, vm, "m1")?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    // One uncounted pair: a guest's first migration takes two to three times as long as its next.
    for run in 0..=runs {
        let (from, to) = if run.is_multiple_of(2) { ("m1", "y1") } else { ("y1", "m1") };
        let our = Crossing::of(stage, vm, address, to)?;
        let their = twin.cross(from, to)?;
        if run == 0 {
            continue;
        }
        eprintln!("{vm}: {our:?}, its twin: {their:?}");
        ours.push(our);
        theirs.push(their);
    }
    twin.end(if runs.is_multiple_of(2) { "y1" } else { "m1" })?;
    Ok((ours, theirs))
}

fn alone(stage: &Stage, vm: &str, address: &str, runs: usize) -> anyhow::Result<Vec<Crossing>> {
    let mut crossings = Vec::new();
    // One uncounted crossing, as above.
    for run in 0..=runs {
        let crossing = Crossing::of(stage, vm, address, stage.other_side(vm)?)?;
        if run == 0 {
            continue;
        }
        eprintln!("{vm}: {crossing:?}");
        crossings.push(crossing);
    }
    Ok(crossings)
}

/// One migration, as it was measured and heard.
#[derive(Debug)]
struct Crossing {
    downtime_ms: f64,
    /// None under `virsh`.
    pause_ms: Option<f64>,
    udp_ms: f64,
    http_ms: f64,
}

impl Crossing {
    fn of(stage: &Stage, vm: &str, address: &str, to: &str) -> anyhow::Result<Self> {
        let lab = &stage.lab;
        let (moved, silent) = while_heard(lab, address, || lab.watari(&["vm", "migrate", vm, "--to", to, "--wait"]))?;
        let measured = |field: &str| moved["measured"][field].as_f64().with_context(|| format!("no {field}"));
        Ok(Self {
            downtime_ms: measured("downtime_ms")?,
            pause_ms: Some(measured("pause_ms")?),
            udp_ms: silent.udp_ms,
            http_ms: silent.http_ms,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Crossings with these silences of datagrams, after QEMU's downtimes of 100 and 40 ms.
    fn crossings(udp: [f64; 2]) -> Vec<Crossing> {
        let one = |(udp_ms, downtime_ms)| Crossing { downtime_ms, pause_ms: Some(5.0), udp_ms, http_ms: udp_ms };
        udp.into_iter().zip([100.0, 40.0]).map(one).collect()
    }

    fn silences(udp: [f64; 2], virsh: [f64; 2]) -> Silences {
        let (ours, theirs) = (crossings(udp), crossings(virsh));
        Silences {
            runs: 2,
            provider: Heard::of(&ours),
            virsh: Heard::of(&theirs),
            added: Added::of(&ours, &theirs),
            overlay: Heard::of(&crossings([120.0, 60.0])),
        }
    }

    fn missed(silences: &Silences) -> Vec<String> {
        silences.bounds().into_iter().filter(|bound| !bound.is_kept()).map(|bound| bound.what).collect()
    }

    #[test]
    fn the_longest_silence_of_all_is_bounded_by_the_downtime_of_its_own_migration() {
        let kept = silences([149.0, 50.0], [120.0, 60.0]);
        assert_eq!(kept.provider.udp.distribution, [10.0, 49.0]);
        assert_eq!(missed(&kept), [""; 0]);
        let beyond = ["provider.udp.beyond_ms.most", "provider.http.beyond_ms.most"];
        assert_eq!(missed(&silences([110.0, 91.0], [120.0, 60.0])), beyond);
    }

    #[test]
    fn what_is_heard_under_virsh_as_well_is_nothing_that_watari_adds() {
        // 98 and 102 ms beyond, 70 and 60 of which virsh has by itself.
        let slow = silences([198.0, 142.0], [170.0, 100.0]);
        assert_eq!((slow.added.udp_ms.least, slow.added.udp_ms.most), (28.0, 42.0));
        assert_eq!(missed(&slow).iter().filter(|what| what.starts_with("added")).count(), 0);
        let ours = silences([198.0, 142.0], [130.0, 80.0]);
        assert_eq!(missed(&ours).iter().filter(|what| what.starts_with("added")).count(), 2);
    }
}
