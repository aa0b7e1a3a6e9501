//! What the chassis itself counts. Names are constants, so that alerts and dashboards can be
//! checked against them.

use prometheus::{
    Gauge, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    core::Collector,
};

use crate::process::Process;

/// Requests answered, by endpoint and code ("ok" or a refusal's).
pub const REQUESTS: &str = "watari_requests_total";
/// Time from taking a request to having answered it, by endpoint.
pub const REQUEST_SECONDS: &str = "watari_request_duration_seconds";
/// Requests that are being answered. The most is `limits.in_flight`; further ones wait.
pub const IN_HAND: &str = "watari_requests_in_hand";
/// Handlers that panicked, by endpoint.
pub const PANICS: &str = "watari_request_panics_total";
/// Messages dropped because their reply subject is no inbox.
pub const EVIL_REPLIES: &str = "watari_reply_subjects_refused_total";
/// Time of one turn of a loop, by loop.
pub const LOOP_SECONDS: &str = "watari_loop_duration_seconds";
/// Turns of a loop that failed, by loop.
pub const LOOP_ERRORS: &str = "watari_loop_errors_total";
/// 1 while connected to NATS.
pub const BUS_CONNECTED: &str = "watari_bus_connected";
/// Messages dropped because a subscription's queue was full.
pub const BUS_DROPPED: &str = "watari_bus_slow_consumer_total";
/// Documents that cannot be read, by bucket.
pub const UNREADABLE: &str = "watari_documents_unreadable";
/// Documents that are gone without having been deleted, by bucket. Never zero is an alarm.
pub const VANISHED: &str = "watari_documents_vanished";
/// Full re-lists of a bucket, by bucket and outcome.
pub const RELISTS: &str = "watari_bucket_relists_total";
/// Buckets that were found made anew, their contents lost, by bucket.
pub const REMADE: &str = "watari_bucket_remade_total";
/// 1 while this process leads, by service.
pub const PRIMARY: &str = "watari_lease_primary";
/// Always 1; its labels say which program this is, of which version, and which start of it (`process`).
pub const BUILD: &str = "watari_build_info";
/// The epoch of this process's tenure, by service; 0 while it does not lead.
pub const EPOCH: &str = "watari_lease_epoch";

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
        let times = |name: &str, help: &str, label: &str| {
            added(registry, HistogramVec::new(HistogramOpts::new(name, help).buckets(LATENCY.to_vec()), &[label])?)
        };
        Ok(Self {
            requests: counters(REQUESTS, "Requests answered, by endpoint and code.", &["endpoint", "code"])?,
            request_seconds: times(REQUEST_SECONDS, "Time to answer a request.", "endpoint")?,
            in_hand: added(registry, IntGauge::new(IN_HAND, "Requests that are being answered.")?)?,
            panics: counters(PANICS, "Handlers that panicked.", &["endpoint"])?,
            evil_replies: added(
                registry,
                IntCounter::new(EVIL_REPLIES, "Messages dropped because their reply subject is no inbox.")?,
            )?,
            loop_seconds: times(LOOP_SECONDS, "Time of one turn of a loop.", "loop")?,
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
    let labels = ["service", "process", "version"];
    let build = added(registry, IntGaugeVec::new(Opts::new(BUILD, "Which program this is."), &labels)?)?;
    build.with_label_values(&[service, instance, env!("CARGO_PKG_VERSION")]).set(1);
    let start = added(registry, Gauge::new("process_start_time_seconds", "When the process started, in Unix time.")?)?;
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
