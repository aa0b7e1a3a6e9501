//! What the chassis itself counts.

use prometheus::{
    Gauge, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    core::Collector,
};

use crate::{
    metric_names::{
        BUILD, BUS_CONNECTED, BUS_DROPPED, EPOCH, EVIL_REPLIES, IN_HAND, LOOP_ERRORS, LOOP_SECONDS, PANICS, PRIMARY,
        PROCESS_START, RELISTS, REMADE, REQUEST_SECONDS, REQUESTS, UNREADABLE, VANISHED,
    },
    process::Process,
};

/// The handles. Cloning shares them.
#[derive(Clone)]
pub(crate) struct Metrics {
    pub(crate) requests: IntCounterVec,
    pub(crate) request_seconds: HistogramVec,
    pub(crate) in_hand: IntGauge,
    pub(crate) panics: IntCounterVec,
    pub(crate) evil_replies: IntCounter,
    pub(crate) loop_seconds: HistogramVec,
    pub(crate) loop_errors: IntCounterVec,
    pub(crate) unreadable: IntGaugeVec,
    pub(crate) vanished: IntGaugeVec,
    pub(crate) relists: IntCounterVec,
    pub(crate) remade: IntCounterVec,
    pub(crate) primary: IntGaugeVec,
    pub(crate) epoch: IntGaugeVec,
}

/// What a bus counts, whether or not a registry shows it (the CLI has none).
#[derive(Clone)]
pub(crate) struct BusMetrics {
    pub(crate) connected: IntGauge,
    pub(crate) dropped: IntCounter,
}

/// From 100 µs, a fast answer over loopback, to 10 s.
const LATENCY: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            added(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        let gauges =
            |name: &str, help: &str, labels: &[&str]| added(registry, IntGaugeVec::new(Opts::new(name, help), labels)?);
        let times = |name: &str, help: &str, labels: &[&str]| {
            added(registry, HistogramVec::new(HistogramOpts::new(name, help).buckets(LATENCY.to_vec()), labels)?)
        };
        Ok(Self {
            requests: counters(REQUESTS, "Requests answered, by endpoint and code.", &["endpoint", "code"])?,
            request_seconds: times(REQUEST_SECONDS, "Time to answer a request.", &["endpoint"])?,
            in_hand: added(registry, IntGauge::new(IN_HAND, "Requests that are being answered.")?)?,
            panics: counters(PANICS, "Handlers that panicked.", &["endpoint"])?,
            evil_replies: added(
                registry,
                IntCounter::new(EVIL_REPLIES, "Messages dropped because their reply subject is no inbox.")?,
            )?,
            loop_seconds: times(LOOP_SECONDS, "Time of one turn of a loop.", &["loop"])?,
            loop_errors: counters(LOOP_ERRORS, "Turns of a loop that failed.", &["loop"])?,
            unreadable: gauges(UNREADABLE, "Documents that cannot be read.", &["bucket"])?,
            vanished: gauges(VANISHED, "Documents gone without having been deleted.", &["bucket"])?,
            relists: counters(RELISTS, "Full re-lists of a bucket.", &["bucket", "outcome"])?,
            remade: counters(REMADE, "Buckets found made anew.", &["bucket"])?,
            primary: gauges(PRIMARY, "1 while this process leads.", &["service"])?,
            epoch: gauges(EPOCH, "The epoch of this process's tenure.", &["service"])?,
        })
    }
}

impl BusMetrics {
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            connected: IntGauge::new(BUS_CONNECTED, "1 while connected to NATS.")?,
            dropped: IntCounter::new(BUS_DROPPED, "Messages dropped because a queue was full.")?,
        })
    }

    pub(crate) fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        added(registry, self.connected.clone())?;
        added(registry, self.dropped.clone()).map(drop)
    }
}

/// Adds what every process shows of itself: which program it is, since when it runs, and what it uses.
///
/// # Errors
/// That was added before.
pub fn register_process(registry: &Registry, service: &str, instance: &str) -> Result<(), prometheus::Error> {
    registry.register(Box::new(Process::new()?))?;
    // Prometheus has a label `instance` of its own.
    let build = IntGaugeVec::new(Opts::new(BUILD, "Which program this is."), &["service", "process", "version"])?;
    let build = added(registry, build)?;
    build.with_label_values(&[service, instance, env!("CARGO_PKG_VERSION")]).set(1);
    let start = added(registry, Gauge::new(PROCESS_START, "When the process started, in Unix time.")?)?;
    start.set(crate::clock::now().0.unix_timestamp() as f64);
    Ok(())
}

/// Registers a metric and gives it back.
///
/// # Errors
/// Another of its name is registered.
pub fn added<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}
