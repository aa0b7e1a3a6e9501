//! What is shown of the UPSes. What one that does not answer said before is not shown on.

use prometheus::{GaugeVec, IntGaugeVec, Opts, Registry};
use watari_chassis::prometheus;
use watari_model::SiteName;

use super::{
    reading::{Answer, Reading},
    verdict::Verdict,
};
use crate::{
    metric_names::{SITE_ON_BATTERY, UPS_CHARGE, UPS_ON_LINE, UPS_REACHABLE, UPS_RUNTIME},
    settings::power::UpsName,
};

/// Cheap to clone: every clone is the same.
#[derive(Clone)]
pub(super) struct Metrics {
    reachable: IntGaugeVec,
    on_line: IntGaugeVec,
    charge: GaugeVec,
    runtime: IntGaugeVec,
    on_battery: IntGaugeVec,
}

impl Metrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            let gauge = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let charge = GaugeVec::new(Opts::new(UPS_CHARGE, "How full the UPS's battery is."), &["site", "ups"])?;
        registry.register(Box::new(charge.clone()))?;
        Ok(Self {
            reachable: gauge(UPS_REACHABLE, "1 while the UPS answers.", &["site", "ups"])?,
            on_line: gauge(UPS_ON_LINE, "1 while the UPS is on line.", &["site", "ups"])?,
            charge,
            runtime: gauge(UPS_RUNTIME, "How long the UPS's battery would last.", &["site", "ups"])?,
            on_battery: gauge(SITE_ON_BATTERY, "1 while the site is on battery, by its UPSes.", &["site"])?,
        })
    }

    /// What a UPS answered, or that it did not.
    pub(super) fn heard(&self, site: &SiteName, ups: &UpsName, said: Option<(&Answer, Reading)>) {
        let name = ups.to_string();
        let labels = [site.as_str(), name.as_str()];
        show(&self.reachable, &labels, Some(u64::from(said.is_some())));
        show(&self.on_line, &labels, said.and_then(|(_, reading)| on_line(reading)));
        match said.and_then(|(answer, _)| answer.charge) {
            Some(percent) => self.charge.with_label_values(&labels).set(percent as f64 / 100.0),
            None => drop(self.charge.remove_label_values(&labels)),
        }
        show(&self.runtime, &labels, said.and_then(|(answer, _)| answer.runtime));
    }

    pub(super) fn judged(&self, site: &SiteName, verdict: Verdict) {
        let on_battery = match verdict {
            Verdict::Mains => Some(0),
            Verdict::Battery { .. } => Some(1),
            Verdict::Unknown => None,
        };
        show(&self.on_battery, &[site.as_str()], on_battery);
    }
}

const fn on_line(reading: Reading) -> Option<u64> {
    match reading {
        Reading::OnLine => Some(1),
        Reading::OnBattery { .. } | Reading::Off => Some(0),
        Reading::Unclear => None,
    }
}

fn show(gauge: &IntGaugeVec, labels: &[&str], value: Option<u64>) {
    match value {
        Some(value) => gauge.with_label_values(labels).set(i64::try_from(value).unwrap_or(i64::MAX)),
        // Whether there was one to remove does not matter.
        None => drop(gauge.remove_label_values(labels)),
    }
}
