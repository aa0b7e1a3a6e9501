//! The fault campaign: one fault per migration, in steps of a few milliseconds around the
//! switch-over; the guest's own beacon and its processors judge.
//!
//! Never two: no two copies of the server compute at once, and no count of its beacon is told
//! twice with different contents. Never none: within [`HEALING`] of the fault's end the same boot
//! of the server is heard again. The books are right: the server's document names the node where
//! the one copy is, and the migration is over.

pub mod chaos;
pub mod fronts;
mod healing;
mod load;
mod measure;
mod processors;
mod report;

use std::{
    collections::VecDeque,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

pub use self::report::Report;
use self::{processors::Processors, report::Point};
use crate::{beacon::Beacons, faults::Fault, lab::Lab, watch::Watch};

/// How long a server may take to be heard and its books to be right after the fault has ended.
pub const HEALING: Duration = Duration::from_secs(60);

/// Every so many points one migration without a fault shows where the switch-over is by now: it
/// drifts with what else the machine does.
const POINTS_PER_AIM: usize = 8;
/// How many migrations in a row may be refused or go by unheard.
const MISSED: usize = 3;
/// The aim is the median of so many of those.
const AIMS: usize = 5;

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Order {
    /// `deploy/lab`.
    pub lab: PathBuf,
    /// The server to move to and fro; it must exist and run.
    pub vm: String,
    /// How many faults.
    pub points: usize,
    /// Between two points of time, in milliseconds.
    pub step_ms: u64,
    /// How far before and after the expected switch-over faults are placed, in milliseconds.
    pub around_ms: u64,
}

/// Runs the campaign and gives its report. A violated claim is in the report, not an error. After each fault `keep` is
/// given what there is of the report.
///
/// # Errors
/// When the lab or the server is not there, or a migration without fault fails.
pub fn run(order: &Order, mut keep: impl FnMut(&Report)) -> anyhow::Result<Report> {
    let lab = Lab::new(order.lab.clone());
    let watch = Watch::start(&lab)?;
    watch.listen_for_beacons(&lab)?;
    let processors = Processors::start(&lab, &order.vm);
    let mut campaign = Campaign {
        lab,
        vm: order.vm.clone(),
        watch,
        processors,
        beacons: Beacons::default(),
        switched_after: VecDeque::new(),
    };
    campaign.wait_settled(Instant::now()).context("the server must be running and heard before the campaign")?;
    let mut report = Report::new(order);
    for _ in 1..AIMS {
        report.undisturbed(campaign.undisturbed()?);
    }
    let steps = (2 * order.around_ms / order.step_ms).max(1);
    for number in 0..order.points {
        if number % POINTS_PER_AIM == 0 {
            report.undisturbed(campaign.undisturbed()?);
        }
        let fault = Fault::ALL[number % Fault::ALL.len()];
        let offset_ms = (slot(number, steps) * order.step_ms).cast_signed() - order.around_ms.cast_signed();
        let point = campaign.point(fault, offset_ms)?;
        eprintln!("{}/{}: {point}", number + 1, order.points);
        report.points.push(point);
        keep(&report);
    }
    Ok(report)
}

/// At which of `steps` points of time the fault of this number strikes. The kinds take turns; each goes
/// through all points of time before it comes to one again, in strides, so that a short campaign sees the
/// whole stretch too.
const fn slot(number: usize, steps: u64) -> u64 {
    let (kind, round) = ((number % Fault::ALL.len()) as u64, (number / Fault::ALL.len()) as u64);
    let mut stride = 7;
    while shared_factor(stride, steps) != 1 {
        stride += 1;
    }
    (round * stride + kind * 11) % steps
}

const fn shared_factor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { shared_factor(b, a % b) }
}

struct Campaign {
    lab: Lab,
    vm: String,
    watch: Watch,
    processors: Processors,
    beacons: Beacons,
    /// From the start of copying to the switch-over, in the last migrations without a fault.
    switched_after: VecDeque<Duration>,
}

/// Where the server stands.
struct Place {
    node: String,
    site: String,
}

impl Campaign {
    fn place(&self) -> anyhow::Result<Place> {
        let vm = self.lab.watari(&["vm", "show", &self.vm])?;
        let text = |field: &str| vm[field].as_str().map(str::to_owned).context("the server is nowhere");
        Ok(Place { node: text("node")?, site: text("site")? })
    }

    /// Asks for a migration to the other site and waits until it copies. One that was not heard to do
    /// so, since the ears had just lost their own NATS server, is let go by, and another is asked for; so it is where one is
    /// refused, since the last fault's cut made a node doubtful only after everything had been looked at.
    fn begin(&mut self) -> anyhow::Result<(String, Place, String, Instant)> {
        for _ in 0..MISSED {
            let begun = self.ask()?;
            if let Some(begun) = begun {
                return Ok(begun);
            }
            self.wait_settled(Instant::now())?;
        }
        bail!("{MISSED} migrations in a row were refused, or not heard to copy")
    }

    fn ask(&mut self) -> anyhow::Result<Option<(String, Place, String, Instant)>> {
        let from = self.place()?;
        let to = match (from.site.as_str(), from.node.ends_with('1')) {
            ("myodaiji", true) => "y1",
            ("myodaiji", false) => "y2",
            (_, true) => "m2",
            (_, false) => "m1",
        };
        self.watch.forget();
        let asked = match self.lab.watari(&["vm", "migrate", &self.vm, "--to", to]) {
            Err(error) if format!("{error:#}").contains("placement.node-unfit") => return Ok(None),
            asked => asked?,
        };
        let id = asked["id"].as_str().context("no migration id")?.to_owned();
        let begun = |state: &str| !matches!(state, "queued" | "preparing");
        let Ok(began) = self.watch.wait(&id, Duration::from_secs(30), begun) else { return Ok(None) };
        Ok((began.state == "copying").then(|| (id, from, to.to_owned(), began.at)))
    }

    /// Migrates without a fault, and gives what the cloud measured.
    fn undisturbed(&mut self) -> anyhow::Result<Value> {
        let (id, _, _, copying) = self.begin()?;
        let switched = self.watch.wait(&id, Duration::from_secs(60), |s| s == "switching" || is_over(s))?;
        let over = self.watch.wait(&id, Duration::from_secs(60), is_over)?;
        if over.state != "completed" {
            bail!("migration {id} without a fault ended {}", over.state);
        }
        self.switched_after.push_front(switched.at.saturating_duration_since(copying));
        self.switched_after.truncate(AIMS);
        self.wait_settled(Instant::now())?;
        let overlap_ms = self.processors.overlap_ms();
        ensure!(overlap_ms == 0, "two copies computed for {overlap_ms} ms in migration {id} without a fault");
        Ok(over.document["measured"].clone())
    }

    /// When the switch-over is expected, after the start of copying: the median.
    fn expected(&self) -> Duration {
        let mut times: Vec<_> = self.switched_after.iter().copied().collect();
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or_default()
    }

    /// One migration with one fault.
    fn point(&mut self, fault: Fault, offset_ms: i64) -> anyhow::Result<Point> {
        let armed = fault.arm(&self.lab)?;
        let (id, from, to, copying) = self.begin()?;
        let aim = copying + self.expected();
        let at = if offset_ms < 0 {
            aim.checked_sub(Duration::from_millis(offset_ms.unsigned_abs())).unwrap_or(copying)
        } else {
            aim + Duration::from_millis(offset_ms.unsigned_abs())
        };
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
        let struck = armed.strike(&from.node, &to, &from.site)?;
        let phase = self.watch.state_at(&id, struck.began);
        let complaint = match self.wait_settled(struck.ended) {
            Ok(()) => None,
            Err(error) => Some(format!("{error:#}")),
        };
        let healed_ms = millis(struck.ended.elapsed());
        let outcome = self.watch.last_state(&id);
        let overlap_ms = self.processors.overlap_ms();
        let (told_twice, unwritten) = (self.beacons.told_twice(), self.beacons.unwritten());
        Ok(Point {
            fault: fault.name().to_owned(),
            offset_ms,
            struck_after_copying_ms: millis(struck.began.saturating_duration_since(copying)),
            phase,
            migration: id,
            from: from.node,
            to,
            outcome,
            healed_ms,
            overlap_ms,
            told_twice,
            unwritten,
            complaint,
        })
    }

    /// Waits until the server is heard in the same boot, exactly one copy exists, the books agree
    /// and every node is ready; at most [`HEALING`] after `since`.
    fn wait_settled(&mut self, since: Instant) -> anyhow::Result<()> {
        until_right(since + HEALING, Duration::from_millis(100), || self.wrong())
    }

    /// What does not hold now, if anything.
    fn wrong(&mut self) -> anyhow::Result<Option<String>> {
        self.beacons.take(self.watch.beacons(), &self.vm);
        if let Some(what) = self.beacons.silent_or_rebooted() {
            return Ok(Some(what));
        }
        let copies = self.lab.copies(&self.vm);
        let [(host, _)] = copies.as_slice() else { return Ok(Some(format!("{} copies: {copies:?}", copies.len()))) };
        let vm = self.lab.watari(&["vm", "show", &self.vm])?;
        if vm["state"] != "running" || vm["node"].as_str() != Some(host) {
            return Ok(Some(format!("the books say {} on {}, the copy is on {host}", vm["state"], vm["node"])));
        }
        let active = self.lab.watari(&["migration", "list", "--active"])?;
        let open = active.as_array().map_or(0, Vec::len);
        if open > 0 {
            return Ok(Some(format!("{open} migrations are not over")));
        }
        // Whoever was cut off is known to be back: the next migration may go there.
        let nodes = self.lab.watari(&["node", "list"])?;
        let away = nodes.as_array().map_or(0, |nodes| nodes.iter().filter(|node| node["state"] != "ready").count());
        Ok((away > 0).then(|| format!("{away} nodes are not ready")))
    }
}

/// Waits until `wrong` finds nothing any more, looking again after each `pause`.
///
/// # Errors
/// What it still finds when `deadline` is over.
fn until_right(
    deadline: Instant,
    pause: Duration,
    mut wrong: impl FnMut() -> anyhow::Result<Option<String>>,
) -> anyhow::Result<()> {
    loop {
        match wrong() {
            Ok(None) => return Ok(()),
            Ok(Some(what)) if Instant::now() > deadline => bail!("{what}"),
            Err(error) if Instant::now() > deadline => return Err(error),
            _ => std::thread::sleep(pause),
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn is_over(state: &str) -> bool {
    matches!(state, "completed" | "failed" | "cancelled")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_strikes_at_every_point_of_time_before_it_repeats_one() {
        for steps in [1, 7, 60, 61, 77] {
            for kind in 0..Fault::ALL.len() {
                let of_kind = (0..usize::try_from(steps).unwrap()).map(|round| round * Fault::ALL.len() + kind);
                let slots: BTreeSet<u64> = of_kind.map(|number| slot(number, steps)).collect();
                assert_eq!(slots.len() as u64, steps, "kind {kind} of {steps}");
            }
        }
    }
}
