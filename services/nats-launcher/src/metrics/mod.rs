//! `/metrics` of this host's NATS server, for Prometheus.
//!
//! The server tells about itself on the loopback alone, as JSON (`http` in its configuration). It is asked when
//! somebody asks here, so that until then this costs nothing, and whatever goes wrong here is told and otherwise
//! nothing: the server does not depend on it.

mod answers;
mod ask;

use std::{io, net::SocketAddr};

use axum::{Router, response::IntoResponse, routing::get};
use tokio::net::TcpListener;
use watari_chassis::{
    http::{encoded, exposition},
    instance,
    metrics::{added, register_process},
    prometheus::{self, IntCounter, IntGauge, IntGaugeVec, Opts, Registry},
};

use crate::{
    Settings,
    metric_names::{BYTES, CONNECTIONS, HAS_LEADER, LAG, LEADERLESS, LEADS, LIMIT, SLOW, UP, VOTERS},
    say,
};
use answers::Sight;

/// By which name this program is told from services.
const LAUNCHER: &str = "nats-launcher";

/// Begins to serve, if the settings say where.
pub(crate) fn serve(settings: &Settings) {
    let (address, server) = match settings.metrics() {
        Ok(Some(places)) => places,
        Ok(None) => return,
        Err(error) => return say(&format!("no metrics are served: {error}")),
    };
    let process = match process(settings.identity()) {
        Ok(process) => process,
        Err(error) => return say(&format!("no metrics are served: {error}")),
    };
    tokio::spawn(async move {
        if let Err(error) = listen(address, server, process).await {
            say(&format!("no metrics are served on {address}: {error}"));
        }
    });
}

async fn listen(address: SocketAddr, server: SocketAddr, process: Registry) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    axum::serve(listener, Router::new().route("/metrics", get(move || answer(server, process.clone())))).await
}

async fn answer(server: SocketAddr, process: Registry) -> impl IntoResponse {
    exposition(text(&process, ask::look(server).await.as_ref()))
}

/// What this process shows of itself, for as long as it runs.
fn process(identity: &str) -> Result<Registry, prometheus::Error> {
    let registry = Registry::new();
    register_process(&registry, LAUNCHER, &instance(LAUNCHER, identity))?;
    Ok(registry)
}

/// This process, and what was seen of the server, as Prometheus reads it. What is not known is not there.
fn text(process: &Registry, sight: Option<&Sight>) -> Result<Vec<u8>, prometheus::Error> {
    let mut text = encoded(process)?;
    text.extend(encoded(&seen(sight)?)?);
    Ok(text)
}

fn seen(sight: Option<&Sight>) -> Result<Registry, prometheus::Error> {
    let registry = Registry::new();
    added(&registry, IntGauge::new(UP, "1 while the NATS server answers.")?)?.set(sight.is_some().into());
    if let Some(sight) = sight {
        tell(&registry, sight)?;
    }
    Ok(registry)
}

fn tell(registry: &Registry, sight: &Sight) -> Result<(), prometheus::Error> {
    let gauge = |name: &str, help: &str| added(registry, IntGauge::new(name, help)?);
    let gauges =
        |name: &str, help: &str, labels: &[&str]| added(registry, IntGaugeVec::new(Opts::new(name, help), labels)?);
    gauge(CONNECTIONS, "Clients that are connected.")?.set(signed(sight.connections));
    added(registry, IntCounter::new(SLOW, "Clients that were too slow.")?)?.inc_by(sight.slow_consumers);
    let bytes = gauges(BYTES, "Bytes of JetStream.", &["kind"])?;
    let limits = gauges(LIMIT, "The most bytes of JetStream.", &["kind"])?;
    for (kind, store) in [("file", sight.file), ("memory", sight.memory)] {
        bytes.with_label_values(&[kind]).set(signed(store.bytes));
        limits.with_label_values(&[kind]).set(signed(store.limit));
    }
    gauge(HAS_LEADER, "1 while there is a majority.")?.set(sight.has_leader.into());
    gauge(LEADS, "1 while this server leads.")?.set(sight.leads.into());
    let voters = gauges(VOTERS, "Servers with a vote.", &["state"])?;
    for (state, count) in sight.voters.iter().flatten() {
        voters.with_label_values(&[state]).set(signed(*count));
    }
    let lag = gauges(LAG, "Writes that the copy furthest behind lacks.", &["stream"])?;
    for (stream, behind) in &sight.lags {
        lag.with_label_values(&[stream]).set(signed(*behind));
    }
    gauge(LEADERLESS, "Streams that nobody leads.")?.set(signed(sight.leaderless));
    Ok(())
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use watari_testkit::{NatsServer, free_port};

    use super::*;

    #[tokio::test]
    async fn a_server_that_runs_is_told_of_and_one_that_does_not_is_down_and_nothing_else() {
        let server = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let process = process("nats-m-front").unwrap();
        let told = async || String::from_utf8(text(&process, ask::look(server).await.as_ref()).unwrap()).unwrap();
        let down = told().await;
        assert!(down.contains("\nwatari_nats_up 0\n") && !down.contains(HAS_LEADER), "{down}");
        // Of itself this process tells in either case.
        for own in ["process_resident_memory_bytes ", "process_cpu_seconds_total ", "process_start_time_seconds "] {
            assert!(down.lines().any(|line| line.starts_with(own)), "{own} is not in {down}");
        }
        let build = down.lines().find(|line| line.starts_with("watari_build_info{")).unwrap();
        assert!(build.contains("service=\"nats-launcher\"") && build.contains("process=\"nats-m-front."), "{build}");
        let nats = NatsServer::start_with(&format!("http: \"{server}\""));
        let up = told().await;
        for line in
            ["watari_nats_up 1", "watari_nats_has_leader 1", "watari_nats_leads 1", "watari_nats_streams_leaderless 0"]
        {
            assert!(up.contains(&format!("\n{line}\n")), "{line} is not in {up}");
        }
        assert!(up.contains("watari_nats_jetstream_limit_bytes{kind=\"file\"} 1"), "{up}");
        drop(nats);
        assert!(told().await.contains("\nwatari_nats_up 0\n"));
    }
}
