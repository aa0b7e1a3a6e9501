//! What is shown of the UPSes. What one that does not answer said before is not shown on.

use prometheus::{GaugeVec, IntGaugeVec, Opts, Registry};
use watari_chassis::prometheus;
use watari_model::SiteName;

use super::{
    reading::{Answer, Reading},
    verdict::Verdict,
};
use crate::settings::power::UpsName;

/// 1 while a UPS answers, by site and UPS.
pub(super) const REACHABLE: &str = "watari_ups_reachable";
/// 1 while it is on line, likewise; none while that is not known.
pub(super) const ON_LINE: &str = "watari_ups_on_line";
/// How full its battery is, from 0 to 1.
pub(super) const CHARGE: &str = "watari_ups_charge_ratio";
/// How long its battery would last.
pub(super) const RUNTIME: &str = "watari_ups_runtime_seconds";
/// 1 while the UPSes of a site say that it is on battery, by site; none while that cannot be told.
pub(super) const ON_BATTERY: &str = "watari_site_on_battery";

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
        let of_ups = ["site", "ups"];
        let charge = GaugeVec::new(Opts::new(CHARGE, "How full the UPS's battery is."), &of_ups)?;
        registry.register(Box::new(charge.clone()))?;
        Ok(Self {
            reachable: gauge(REACHABLE, "1 while the UPS answers.", &of_ups)?,
            on_line: gauge(ON_LINE, "1 while the UPS is on line.", &of_ups)?,
            charge,
            runtime: gauge(RUNTIME, "How long the UPS's battery would last.", &of_ups)?,
            on_battery: gauge(ON_BATTERY, "1 while the site is on battery, by its UPSes.", &of_ups[..1])?,
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
