//! Servers over a shaped link: Watari's evacuation beside loops of `virsh migrate`, one by one, two at a time and all at once,
//! of as many twins. While the twins travel Watari's servers are off, so that each has the machine to itself. Each is done
//! several times, and its median counts: emulated guests wake when they like.
//!
//! The guests are idle, or write to their memory, each at a rate of its own. What they write while they travel is sent
//! again, and counts among the bytes for which the link needs its time: the bound is what was sent, not how little could have been.
//!
//! What `outage plan` and `outage rehearse` say of each evacuation beforehand is compared with what it then takes. The link
//! is the same all the time, there and back: they know it by what travelled before, and the guests by that and by what their nodes
//! have sampled since.

mod loops;

use anyhow::{Context, ensure};
use serde::Serialize;
use serde_json::Value;
use watari_model::Timestamp;

use self::loops::Twins;
use super::{Bound, Spread, idle};
use crate::{lab::Lab, scenarios::Stage};

/// Of each, so many: odd, for a median.
const ROUNDS: usize = 5;
/// To so much memory each of those that write does, in MiB.
const WRITTEN_MIB: u32 = 16;
/// The first writes so many KiB a second, and each next one as many more. Even eight that are emulated take a small part of one
/// processor for that, and none comes near to what the link carries.
const STEP_KIB: u32 = 512;

/// What the guests do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Guests {
    /// Nothing.
    Idle,
    /// They write to their memory all the time, each faster than the one before.
    Write,
}

impl Guests {
    /// What the one of this number is told, if anything.
    fn told(self, number: u8) -> Option<String> {
        (self == Self::Write).then(|| format!("write {WRITTEN_MIB} {}", u32::from(number) * STEP_KIB))
    }

    /// Has the one of this number begin.
    fn begin(self, stage: &Stage, address: &str, number: u8) -> anyhow::Result<()> {
        let Some(line) = self.told(number) else { return Ok(()) };
        let answer = stage.ask_guest(address, &line)?;
        ensure!(answer == "done", "{address} does not write: it says {answer:?}");
        Ok(())
    }

    /// How many times as long as the bytes need an evacuation may take.
    const fn most_times(self) -> f64 {
        match self {
            Self::Idle => 1.25,
            Self::Write => 1.20,
        }
    }
}

/// The comparison. Times in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The link in Mbit/s.
    pub link_mbit: u64,
    /// How many servers.
    pub servers: u8,
    /// What they do meanwhile.
    pub guests: Guests,
    /// Watari's makespan.
    pub watari_ms: Spread,
    /// The time that the bytes it moved need at the link's rate.
    pub bound_ms: Spread,
    /// Their ratio, of each evacuation.
    pub watari_to_bound: Spread,
    /// The part of the time between the first and the last copy in which the link was idle.
    pub link_idle: Spread,
    /// By which part `outage plan` was wrong about each.
    pub estimate_error: Spread,
    /// By which part `outage rehearse` was, which was told how fast the link is.
    pub rehearsal_error: Spread,
    /// A loop of `virsh migrate`, one after another.
    pub virsh_one_by_one_ms: Spread,
    /// Two of them at a time.
    pub virsh_two_at_a_time_ms: Spread,
    /// All of them at once.
    pub virsh_all_at_once_ms: Spread,
}

impl Comparison {
    /// Little slower than the bytes need, and faster than all loops; the link all but never idle; foreseen to a fifth by the
    /// plan, each time, and to a tenth by the rehearsal.
    #[must_use]
    pub fn bounds(&self) -> Vec<Bound> {
        let beside = |name: &str, virsh: Spread| {
            Bound::most(format!("watari_ms (beside {name})"), self.watari_ms.median, virsh.median)
        };
        vec![
            Bound::most("watari_to_bound", self.watari_to_bound.median, self.guests.most_times()),
            Bound::most("link_idle", self.link_idle.median, 0.03),
            Bound::most("estimate_error (the largest)", self.estimate_error.most, 0.20),
            Bound::most("rehearsal_error", self.rehearsal_error.median, 0.10),
            beside("virsh_one_by_one_ms", self.virsh_one_by_one_ms),
            beside("virsh_two_at_a_time_ms", self.virsh_two_at_a_time_ms),
            beside("virsh_all_at_once_ms", self.virsh_all_at_once_ms),
        ]
    }
}

/// Measures with `mail` and as many more servers as it takes, all in Myodaiji.
///
/// # Errors
/// When a server cannot be made, a guest does not do as it is told, or a migration fails.
pub fn run(stage: &Stage, guests: Guests, servers: u8, link_mbit: u32) -> anyhow::Result<Comparison> {
    let lab = &stage.lab;
    let name = |number: u8| if number == 1 { "mail".to_owned() } else { format!("server{number}") };
    let names: Vec<String> = (1..=servers).map(name).collect();
    for (number, name) in (1..).zip(&names) {
        stage.ready(name)?;
        guests.begin(stage, &stage.address(name)?, number)?;
    }
    let shaped = |mbit: u32| lab.run(&["link", "--mbit", &mbit.to_string()]);
    shaped(link_mbit)?;
    let watari = Evacuations::measure(lab, names.len(), link_mbit)?;
    shaped(0)?;
    lab.watari(&["site", "return", "myodaiji", "--wait"])?;
    let mut twins = Twins::start(stage, &names, guests)?;
    twins.cross_unmeasured()?;
    shaped(link_mbit)?;
    let [one_by_one, two_at_a_time, all_at_once] = twins.loops(ROUNDS)?;
    shaped(0)?;
    twins.end()?;
    let ratios = watari.took.iter().zip(&watari.needed).map(|(took, needed)| took / needed).collect();
    Ok(Comparison {
        link_mbit: link_mbit.into(),
        servers,
        guests,
        watari_ms: Spread::of(watari.took),
        bound_ms: Spread::of(watari.needed),
        watari_to_bound: Spread::of(ratios),
        link_idle: Spread::of(watari.idle),
        estimate_error: Spread::of(watari.estimate),
        rehearsal_error: Spread::of(watari.rehearsal),
        virsh_one_by_one_ms: Spread::of(one_by_one),
        virsh_two_at_a_time_ms: Spread::of(two_at_a_time),
        virsh_all_at_once_ms: Spread::of(all_at_once),
    })
}

/// What was measured of each of Watari's evacuations.
#[derive(Default)]
struct Evacuations {
    took: Vec<f64>,
    needed: Vec<f64>,
    idle: Vec<f64>,
    estimate: Vec<f64>,
    rehearsal: Vec<f64>,
}

impl Evacuations {
    fn measure(lab: &Lab, servers: usize, link_mbit: u32) -> anyhow::Result<Self> {
        let mut all = Self::default();
        // A guest's first migration takes two to three times as long as its next: nobody's counts.
        evacuated(lab)?;
        for _ in 0..ROUNDS {
            lab.watari(&["site", "return", "myodaiji", "--wait"])?;
            let (estimated, rehearsed) = foreseen(lab, link_mbit)?;
            let (report, unused) = idle::during(lab, link_mbit, || evacuated(lab))?;
            let (took, needed) = figures(&report, servers, link_mbit)?;
            eprintln!(
                "evacuated in {took:.0} ms; the bytes need {needed:.0} ms; planned {estimated:.0} ms, rehearsed {rehearsed:.0} ms"
            );
            all.took.push(took);
            all.needed.push(needed);
            all.idle.push(unused);
            all.estimate.push((estimated / took - 1.0).abs());
            all.rehearsal.push((rehearsed / took - 1.0).abs());
        }
        Ok(all)
    }
}

/// How long an evacuation took, and how long its bytes need, in milliseconds.
fn figures(report: &Value, servers: usize, link_mbit: u32) -> anyhow::Result<(f64, f64)> {
    let moved = report["moved"].as_array().context("no report")?;
    ensure!(moved.len() == servers, "not everybody moved: {report}");
    let bytes: u64 = moved.iter().flat_map(|m| [&m["memory_bytes"], &m["disk_bytes"]]).filter_map(Value::as_u64).sum();
    #[allow(clippy::cast_precision_loss, reason = "bytes of an evacuation are far below 2^53")]
    let needed = bytes as f64 * 8.0 / (f64::from(link_mbit) * 1000.0);
    Ok((report["makespan_ms"].as_f64().context("no makespan")?, needed))
}

/// How long an evacuation would take that begins now, in milliseconds: by the plan, and as it is rehearsed.
fn foreseen(lab: &Lab, link_mbit: u32) -> anyhow::Result<(f64, f64)> {
    let plan = lab.watari(&["outage", "plan", "myodaiji"])?;
    let estimated = plan["estimated_ms"].as_f64().context("the plan has no estimate")?;
    // What Ethernet, IP and TCP leave of a frame (`deploy/lab.d/net.sh`).
    let payload = (link_mbit * 956 / 1_000).to_string();
    let rehearsal = lab.watari(&["outage", "rehearse", "--site", "myodaiji", "--link-mbit", &payload])?;
    let at = |field: &str| serde_json::from_value::<Timestamp>(rehearsal[field].clone()).context("no moment");
    #[allow(clippy::cast_precision_loss, reason = "milliseconds of an evacuation are far below 2^53")]
    let rehearsed = at("empty_at")?.millis_since(at("begins_at")?) as f64;
    let servers = rehearsal["servers"].as_array().context("nobody is rehearsed")?;
    let bytes: u64 = servers.iter().filter_map(|server| server["bytes"].as_u64()).sum();
    // Where they are wrong this tells if it is what travels, or how fast.
    eprintln!(
        "planned with {} bytes, {} a second and {} ms for each server; rehearsed with {bytes} bytes",
        plan["bytes"], plan["bytes_per_second"], plan["fixed_ms"]
    );
    Ok((estimated, rehearsed))
}

fn evacuated(lab: &Lab) -> anyhow::Result<Value> {
    lab.watari(&["site", "evacuate", "myodaiji", "--wait"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_guest_that_writes_does_so_at_a_rate_of_its_own_and_one_that_is_idle_is_told_nothing() {
        assert_eq!((1..=3).filter_map(|number| Guests::Idle.told(number)).count(), 0);
        let told: Vec<String> = (1..=8).filter_map(|number| Guests::Write.told(number)).collect();
        assert_eq!((told.len(), told[0].as_str(), told[7].as_str()), (8, "write 16 512", "write 16 4096"));
    }

    /// Which bounds are missed.
    fn missed(comparison: &Comparison) -> Vec<String> {
        comparison.bounds().into_iter().filter(|bound| !bound.is_kept()).map(|bound| bound.what).collect()
    }

    #[test]
    fn busy_guests_leave_less_room_every_estimate_counts_and_each_loop_is_to_be_beaten() {
        let always = |figure: f64| Spread::of(vec![figure; ROUNDS]);
        let well = Comparison {
            link_mbit: 200,
            servers: 8,
            guests: Guests::Idle,
            watari_ms: always(1_220.0),
            bound_ms: always(1_000.0),
            watari_to_bound: always(1.22),
            link_idle: always(0.02),
            estimate_error: always(0.1),
            rehearsal_error: always(0.05),
            virsh_one_by_one_ms: always(1_500.0),
            virsh_two_at_a_time_ms: always(1_400.0),
            virsh_all_at_once_ms: always(1_300.0),
        };
        assert_eq!(missed(&well), Vec::<String>::new());
        assert_eq!(missed(&Comparison { guests: Guests::Write, ..well.clone() }), ["watari_to_bound"]);
        let once_wrong = Spread::of(vec![0.1, 0.1, 0.3]);
        let wrong = Comparison { estimate_error: once_wrong, ..well.clone() };
        assert_eq!(missed(&wrong), ["estimate_error (the largest)"]);
        let beaten = Comparison { virsh_two_at_a_time_ms: always(1_219.0), ..well };
        assert_eq!(missed(&beaten), ["watari_ms (beside virsh_two_at_a_time_ms)"]);
    }
}
