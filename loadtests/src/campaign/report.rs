//! What the campaign found.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;
use serde_json::Value;

use super::Order;

/// One fault and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Point {
    /// The fault.
    pub fault: String,
    /// Where it was aimed, in milliseconds from the expected switch-over.
    pub offset_ms: i64,
    /// When it struck, in milliseconds from the start of copying.
    pub struck_after_copying_ms: u64,
    /// The migration's state when it struck.
    pub phase: String,
    /// The migration.
    pub migration: String,
    /// From where.
    pub from: String,
    /// To where.
    pub to: String,
    /// How the migration ended.
    pub outcome: String,
    /// From the fault's end until the server was heard and the books were right.
    pub healed_ms: u64,
    /// For how long two copies computed.
    pub overlap_ms: u64,
    /// How many beacons came from a second copy.
    pub told_twice: u64,
    /// How many beacons missed on the server's disk what had been written there.
    pub unwritten: u64,
    /// What was still wrong at the end of the time to heal.
    pub complaint: Option<String>,
}

impl Point {
    /// Whether every claim held.
    #[must_use]
    pub fn sound(&self) -> bool {
        self.overlap_ms == 0 && self.told_twice == 0 && self.unwritten == 0 && self.complaint.is_none()
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fault, offset_ms, phase, outcome, healed_ms, .. } = self;
        write!(f, "{fault} at {offset_ms:+} ms ({phase}): {outcome}, healed after {healed_ms} ms")?;
        if !self.sound() {
            write!(
                f,
                " — WRONG: two for {} ms, {} doubled beacons, {} without their disk, {}",
                self.overlap_ms,
                self.told_twice,
                self.unwritten,
                self.complaint.as_deref().unwrap_or("healed")
            )?;
        }
        Ok(())
    }
}

/// The whole campaign.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What was asked for.
    pub points_wanted: usize,
    /// Milliseconds between two points of time.
    pub step_ms: u64,
    /// The migrations without a fault, as measured by the cloud.
    pub undisturbed: Vec<Value>,
    /// The median of their extra pause: what the paused protocol adds to QEMU's downtime.
    pub pause_median_ms: u64,
    /// The faults.
    pub points: Vec<Point>,
}

impl Report {
    pub(super) fn new(order: &Order) -> Self {
        Self {
            points_wanted: order.points,
            step_ms: order.step_ms,
            undisturbed: Vec::new(),
            pause_median_ms: 0,
            points: Vec::new(),
        }
    }

    /// Takes in what the cloud measured of a migration without a fault.
    pub(super) fn undisturbed(&mut self, measured: Value) {
        self.undisturbed.push(measured);
        let mut pauses: Vec<_> = self.undisturbed.iter().filter_map(|m| m["pause_ms"].as_u64()).collect();
        pauses.sort_unstable();
        self.pause_median_ms = pauses.get(pauses.len() / 2).copied().unwrap_or_default();
    }

    /// Whether every claim held at every point, and every point was reached.
    #[must_use]
    pub fn sound(&self) -> bool {
        self.points.len() == self.points_wanted && self.points.iter().all(Point::sound)
    }

    /// A table for people: by kind of fault and by phase in which it struck.
    #[must_use]
    pub fn table(&self) -> String {
        let mut rows: BTreeMap<(&str, &str), Vec<&Point>> = BTreeMap::new();
        for point in &self.points {
            rows.entry((&point.fault, &point.phase)).or_default().push(point);
        }
        let mut text = String::from(
            "| fault | struck while | points | moved | stayed | longest healing ms | two | disk behind | none or books wrong |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        );
        for ((fault, phase), points) in rows {
            let count = |wanted: &dyn Fn(&Point) -> bool| points.iter().filter(|p| wanted(p)).count();
            text += &format!(
                "| {fault} | {phase} | {} | {} | {} | {} | {} | {} | {} |\n",
                points.len(),
                count(&|p| p.outcome == "completed"),
                count(&|p| p.outcome != "completed"),
                points.iter().map(|p| p.healed_ms).max().unwrap_or(0),
                count(&|p| p.overlap_ms > 0 || p.told_twice > 0),
                count(&|p| p.unwritten > 0),
                count(&|p| p.complaint.is_some()),
            );
        }
        let (migrations, median) = (self.undisturbed.len(), self.pause_median_ms);
        text + &format!("\nThe extra pause of {migrations} migrations without a fault: {median} ms at the median.\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It takes hours, and is therefore recorded.
    #[test]
    fn the_recorded_campaign_has_at_least_200_points_and_every_claim_held() {
        let report: Value = serde_json::from_str(include_str!("../../reports/campaign.json")).unwrap();
        let points = report["points"].as_array().unwrap();
        let sound = |point: &&Value| {
            let none = |field: &str| point[field].as_u64() == Some(0);
            let healed = point["healed_ms"].as_u64().is_some_and(|healed| healed <= 60_000);
            none("overlap_ms") && none("told_twice") && none("unwritten") && point["complaint"].is_null() && healed
        };
        assert!(points.len() >= 200, "{} points", points.len());
        assert_eq!(points.iter().find(|point| !sound(point)), None);
        assert_eq!(report["step_ms"], 5);
        assert!(report["pause_median_ms"].as_u64().is_some_and(|pause| pause <= 50), "{}", report["pause_median_ms"]);
    }
}
