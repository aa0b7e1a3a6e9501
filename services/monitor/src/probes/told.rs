//! What is shown of probes while an outage is under way.

use std::time::Duration;

use prometheus::{GaugeVec, IntCounterVec, Opts, Registry};
use watari_chassis::prometheus;
use watari_model::{VmName, vm::Probe};

use crate::metric_names::{PROBE_ANSWERS, PROBE_LONGEST_GAP};

const ANSWERED: &str = "answered";
const FAILED: &str = "failed";

/// Cheap to clone: every clone is the same.
#[derive(Clone)]
pub(crate) struct Told {
    answers: IntCounterVec,
    longest_gap: GaugeVec,
}

impl Told {
    /// Makes them and shows them in the registry.
    ///
    /// # Errors
    /// Another metric has the name.
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let answers = IntCounterVec::new(Opts::new(PROBE_ANSWERS, "Questions to probes, by what came."), &["came"])?;
        let gap = Opts::new(PROBE_LONGEST_GAP, "The longest time for which a server did not answer.");
        let longest_gap = GaugeVec::new(gap, &["vm", "probe"])?;
        registry.register(Box::new(answers.clone()))?;
        registry.register(Box::new(longest_gap.clone()))?;
        // Whoever looks for a rise must find where it rose from.
        for came in [ANSWERED, FAILED] {
            answers.with_label_values(&[came]).inc_by(0);
        }
        Ok(Self { answers, longest_gap })
    }

    /// What came of a question, and the longest gap so far.
    pub(super) fn asked(&self, vm: &VmName, probe: &Probe, has_answered: bool, longest_gap_ms: u64) {
        self.answers.with_label_values(&[if has_answered { ANSWERED } else { FAILED }]).inc();
        let seconds = Duration::from_millis(longest_gap_ms).as_secs_f64();
        self.longest_gap.with_label_values(&[vm.as_str(), probe.to_string().as_str()]).set(seconds);
    }

    /// An outage is over: what was seen in it is the history's. What is seen in others is shown again with the next
    /// question.
    pub(super) fn forget(&self) {
        self.longest_gap.reset();
    }
}

#[cfg(test)]
mod tests {
    use watari_chassis::prometheus::TextEncoder;

    use super::*;

    #[test]
    fn questions_are_counted_and_the_longest_gap_is_shown_until_the_outage_is_over() {
        let registry = Registry::new();
        let told = Told::register(&registry).unwrap();
        let shown = || TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        assert!(shown().contains("watari_probe_answers_total{came=\"failed\"} 0"), "{}", shown());
        let (vm, probe) = ("mail".parse().unwrap(), "smtp:25".parse().unwrap());
        told.asked(&vm, &probe, true, 0);
        told.asked(&vm, &probe, false, 1_250);
        for line in [
            "watari_probe_answers_total{came=\"answered\"} 1",
            "watari_probe_answers_total{came=\"failed\"} 1",
            "watari_probe_longest_gap_seconds{probe=\"smtp:25\",vm=\"mail\"} 1.25",
        ] {
            assert!(shown().lines().any(|shown| shown == line), "{line} is missing:\n{}", shown());
        }
        told.forget();
        assert!(!shown().contains(PROBE_LONGEST_GAP) && shown().contains(PROBE_ANSWERS));
    }
}
