//! Alertmanager's webhook: what happens at a site that no UPS tells of, such as heat or water.
//!
//! ```text
//!   Alertmanager ──POST /alertmanager──▶ meaning ──▶ watari.v1.site.evacuate, watari.v1.outage.withdraw,
//!                                                    or a line in the log
//! ```
//!
//! Only alerts that the settings list empty a site, or propose that a person does, and only a person brings it home. What is
//! proposed is withdrawn when the alert is over; what has begun goes on. Each
//! front end takes the alerts of its own host, leading or not; whoever leads the scheduler is asked, and who cannot be
//! asked just now is asked again by Alertmanager, which repeats what was not taken.

mod meaning;

use std::{io, net::SocketAddr, sync::Arc};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    routing::post,
};
use prometheus::{IntCounterVec, Opts};
use tokio::net::TcpListener;
use watari_chassis::{Context, clock, prometheus};
use watari_contracts::scheduler::{EvacuateSite, WithdrawOutage};

use crate::{Error, metric_names::ALERTS, settings::alerts::Alerts};
use meaning::{Meaning, Webhook, meaning};

/// More than Alertmanager puts into one message in any sensible configuration.
const MOST_BYTES: usize = 1 << 20;

struct Desk {
    ctx: Context,
    rules: Alerts,
    taken: IntCounterVec,
}

/// Begins to take alerts at an address.
///
/// # Errors
/// If the address cannot be had, or two metrics have one name.
pub(crate) async fn take(ctx: &Context, address: SocketAddr, rules: Alerts) -> Result<(), Error> {
    let taken = IntCounterVec::new(Opts::new(ALERTS, "Alerts taken, by what they led to."), &["led_to"])?;
    ctx.metrics.register(Box::new(taken.clone()))?;
    let fault = |source: io::Error| Error::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(fault)?;
    tracing::info!(%address, "taking alerts");
    let desk = Arc::new(Desk { ctx: ctx.clone(), rules, taken });
    let routes =
        Router::new().route("/alertmanager", post(posted)).layer(DefaultBodyLimit::max(MOST_BYTES)).with_state(desk);
    let shutdown = ctx.shutdown.clone();
    ctx.spawn("alerts", async move {
        let served = axum::serve(listener, routes).with_graceful_shutdown(shutdown.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!(%error, "the listener for alerts failed");
        }
    });
    Ok(())
}

/// JSON alone is read, and only where it says that it is: no page in a browser can send that unasked.
async fn posted(State(desk): State<Arc<Desk>>, Json(webhook): Json<Webhook>) -> StatusCode {
    let mut status = StatusCode::OK;
    for alert in &webhook.alerts {
        let led_to = match meaning(alert, &desk.rules, clock::now()) {
            Meaning::Nothing => "nothing",
            // Those beside it are not kept waiting.
            Meaning::TooYoung => {
                status = StatusCode::SERVICE_UNAVAILABLE;
                "again"
            }
            Meaning::Note { alert, site } => {
                tracing::warn!(alert, site, "an alert about a site: it is for a person to decide");
                "note"
            }
            Meaning::Evacuate(request) => match desk.evacuate(&request).await {
                Ok(led_to) => led_to,
                Err(again) => return again,
            },
            Meaning::Withdraw(request) => match desk.withdraw(&request).await {
                Ok(led_to) => led_to,
                Err(again) => return again,
            },
        };
        desk.taken.with_label_values(&[led_to]).inc();
    }
    status
}

impl Desk {
    /// Asks for the evacuation; an error when it is to be asked for again later.
    async fn evacuate(&self, request: &EvacuateSite) -> Result<&'static str, StatusCode> {
        let (site, id) = (&request.site, request.request_id.as_deref().unwrap_or_default());
        match self.ctx.bus.request(request).await {
            Ok(outage) if request.propose.is_some() => {
                tracing::warn!(%site, id, outage = %outage.id, "an alert asks for a site to be emptied: a person decides");
                Ok("proposal")
            }
            Ok(outage) => {
                tracing::warn!(%site, id, outage = %outage.id, "an alert empties a site");
                Ok("evacuation")
            }
            Err(error) if error.retryable() => {
                tracing::warn!(%site, id, %error, "an alert could not empty a site yet");
                self.taken.with_label_values(&["again"]).inc();
                Err(StatusCode::SERVICE_UNAVAILABLE)
            }
            Err(error) => {
                tracing::error!(%site, id, %error, "an alert cannot empty a site");
                Ok("refusal")
            }
        }
    }

    /// Says that an alert is over; an error when it is to be said again later.
    async fn withdraw(&self, request: &WithdrawOutage) -> Result<&'static str, StatusCode> {
        let (site, id) = (&request.site, request.request_id.as_str());
        match self.ctx.bus.request(request).await {
            Ok(page) => {
                for outage in page.outages {
                    let state = outage.state.word();
                    tracing::info!(%site, id, outage = %outage.id, state, "an alert that asked first is over");
                }
                Ok("withdrawal")
            }
            Err(error) if error.retryable() => {
                tracing::warn!(%site, id, %error, "it could not be said yet that an alert is over");
                self.taken.with_label_values(&["again"]).inc();
                Err(StatusCode::SERVICE_UNAVAILABLE)
            }
            Err(error) => {
                tracing::error!(%site, id, %error, "it cannot be said that an alert is over");
                Ok("refusal")
            }
        }
    }
}
