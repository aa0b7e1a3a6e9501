//! What the monitor counts, and what it shows of the nodes.

use std::sync::{Arc, Weak};

use prometheus::{
    GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use watari_chassis::prometheus;
use watari_model::{
    NodeName,
    node::{
        Node, State,
        fencing::{Act, Outcome},
    },
    size::MIB,
};

use crate::{
    documents::{Unwritten, Written},
    fleet::{Doubtful, Heard},
    metric_names::{
        BEAT_LAG, BEATS, BEATS_REFUSED, CAPACITIES, INVENTORIES_REFUSED, NODE_BUSY, NODE_FENCING, NODE_LOAD,
        NODE_MEMORY, NODE_STRAIN, NODE_VCPUS, NODE_WRITES, NODES,
    },
    watch::Watch,
};

/// Why a beat is not believed before anything of it is: its subject names no node, or it cannot be read. The other reasons
/// are [`Doubtful`]'s.
pub(crate) const NO_SUBJECT: &str = "subject";
pub(crate) const MALFORMED: &str = "malformed";

const STATES: [State; 3] = [State::Ready, State::Suspect, State::Lost];

pub(crate) struct Metrics {
    pub(crate) beats: IntCounter,
    pub(crate) beats_refused: IntCounterVec,
    lag: Histogram,
    pub(crate) inventories_refused: IntCounterVec,
    writes: IntCounterVec,
    pub(crate) capacities: IntCounter,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let lags = vec![0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];
        let metrics = Self {
            beats: IntCounter::new(BEATS, "Beats received.")?,
            beats_refused: IntCounterVec::new(Opts::new(BEATS_REFUSED, "Beats not believed."), &["why"])?,
            lag: Histogram::with_opts(HistogramOpts::new(BEAT_LAG, "Age of a beat when it is taken.").buckets(lags))?,
            inventories_refused: IntCounterVec::new(
                Opts::new(INVENTORIES_REFUSED, "Inventories not believed."),
                &["why"],
            )?,
            writes: IntCounterVec::new(Opts::new(NODE_WRITES, "Writes of nodes' documents."), &["what", "outcome"])?,
            capacities: IntCounter::new(CAPACITIES, "Capacity events told.")?,
        };
        registry.register(Box::new(metrics.beats.clone()))?;
        registry.register(Box::new(metrics.beats_refused.clone()))?;
        // Whoever looks for a rise must find where it rose from.
        for why in [NO_SUBJECT, MALFORMED].into_iter().chain(Doubtful::ALL.map(Doubtful::word)) {
            metrics.beats_refused.with_label_values(&[why]).inc_by(0);
        }
        registry.register(Box::new(metrics.lag.clone()))?;
        registry.register(Box::new(metrics.inventories_refused.clone()))?;
        registry.register(Box::new(metrics.writes.clone()))?;
        registry.register(Box::new(metrics.capacities.clone()))?;
        Ok(metrics)
    }

    /// Observes the age of a beat that was made at `at_ms`, milliseconds since 1970 on the node's
    /// clock, when it is `now_ms` on ours. One from a clock that is ahead counts as fresh.
    pub(crate) fn lag(&self, at_ms: u64, now_ms: u64) {
        self.lag.observe(std::time::Duration::from_millis(now_ms.saturating_sub(at_ms)).as_secs_f64());
    }

    /// Counts a write, and says why one did not happen: the next look tries again.
    pub(crate) fn wrote(&self, what: &str, node: &NodeName, outcome: &Result<Written, Unwritten>) {
        self.count(what, node, outcome.as_ref().copied());
    }

    /// The same.
    pub(crate) fn count(&self, what: &str, node: &NodeName, outcome: Result<Written, &Unwritten>) {
        let word = match outcome {
            Ok(Written::Yes) => "written",
            Ok(Written::AsBefore) => "as-before",
            Err(error) => {
                tracing::warn!(%node, what, %error, "a node's document was not written");
                "failed"
            }
        };
        self.writes.with_label_values(&[what, word]).inc();
    }
}

/// Shows the nodes when somebody asks; until then they cost nothing.
pub(crate) fn gauges(registry: &Registry, watch: &Arc<Watch>) -> Result<(), prometheus::Error> {
    registry.register(Box::new(Gauges::new(watch)?))
}

struct Gauges {
    watch: Weak<Watch>,
    whole: [IntGaugeVec; 5],
    /// The load, and how many processors are busy.
    parts: [GaugeVec; 2],
}

impl Gauges {
    fn new(watch: &Arc<Watch>) -> Result<Self, prometheus::Error> {
        let vector = |name: &str, help: &str, labels: &[&str]| IntGaugeVec::new(Opts::new(name, help), labels);
        let part = |name: &str, help: &str, labels: &[&str]| GaugeVec::new(Opts::new(name, help), labels);
        let whole = [
            vector(NODES, "Nodes by state.", &["state"])?,
            vector(NODE_MEMORY, "A node's memory.", &["node", "site", "which"])?,
            vector(NODE_VCPUS, "A node's processors.", &["node", "site", "which"])?,
            vector(NODE_FENCING, "What became of fencing a node that is lost.", &["node", "site", "outcome"])?,
            vector(NODE_STRAIN, "What a node has hardly any left of.", &["node", "site", "strain"])?,
        ];
        let parts = [
            part(NODE_LOAD, "A node's load average over one minute.", &["node", "site"])?,
            part(NODE_BUSY, "How many of a node's processors its servers keep busy.", &["node", "site"])?,
        ];
        Ok(Self { watch: Arc::downgrade(watch), whole, parts })
    }

    fn read(&self, watch: &Watch) {
        let ([states, memory, vcpus, fencing, strain], [load, busy]) = (&self.whole, &self.parts);
        self.whole.iter().for_each(IntGaugeVec::reset);
        self.parts.iter().for_each(GaugeVec::reset);
        for state in STATES {
            states.with_label_values(&[state.word()]).set(0);
        }
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let nodes = watch.nodes.snapshot();
        // Beats wait for the fleet, and showing thousands of nodes takes long: what was heard is copied first.
        let fleet = watch.fleet();
        let used = |heard: &Heard| (heard.memory_used_mib, heard.vcpus_used, heard.load_centi, heard.busy_milli());
        let heard: Vec<_> = nodes.keys().map(|name| fleet.get(name).map(used)).collect();
        drop(fleet);
        for ((name, entry), heard) in nodes.iter().zip(heard) {
            let node = &entry.value;
            let (name, site) = (name.as_str(), node.site.as_str());
            states.with_label_values(&[node.state.word()]).inc();
            memory.with_label_values(&[name, site, "total"]).set(signed(node.inventory.memory_mib.saturating_mul(MIB)));
            vcpus.with_label_values(&[name, site, "total"]).set(node.inventory.vcpus.into());
            if let Some(outcome) = fenced(node) {
                fencing.with_label_values(&[name, site, outcome]).set(1);
            }
            for one in node.strains.iter().filter(|_| node.state == State::Ready) {
                strain.with_label_values(&[name, site, one.word()]).set(1);
            }
            if let Some((memory_used_mib, vcpus_used, load_centi, busy_milli)) = heard {
                if let Some(milli) = busy_milli {
                    busy.with_label_values(&[name, site]).set(milli as f64 / 1_000.0);
                }
                memory.with_label_values(&[name, site, "used"]).set(signed(memory_used_mib.saturating_mul(MIB)));
                vcpus.with_label_values(&[name, site, "used"]).set(vcpus_used.into());
                load.with_label_values(&[name, site]).set(f64::from(load_centi) / 100.0);
            }
        }
    }
}

/// How fencing stands of a node that is lost. A further try after one that failed is no news yet.
fn fenced(node: &Node) -> Option<&'static str> {
    let told = node.fencing.as_ref().filter(|told| told.concerns(node) && node.off.is_none())?;
    match (told.act, &told.outcome) {
        (Act::On, _) | (Act::Off, Outcome::Done) => None,
        (Act::Off, Outcome::Failed { .. }) => Some("failed"),
        (Act::Off, Outcome::Begun) if told.tries > 1 => Some("failed"),
        (Act::Off, Outcome::Begun) => Some("begun"),
        (Act::Off, Outcome::Withheld { .. }) => Some("withheld"),
    }
}

impl Collector for Gauges {
    fn desc(&self) -> Vec<&Desc> {
        self.whole.iter().flat_map(Collector::desc).chain(self.parts.iter().flat_map(Collector::desc)).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Some(watch) = self.watch.upgrade() else { return Vec::new() };
        self.read(&watch);
        let parts = self.parts.iter().flat_map(Collector::collect);
        self.whole.iter().flat_map(Collector::collect).chain(parts).collect()
    }
}
