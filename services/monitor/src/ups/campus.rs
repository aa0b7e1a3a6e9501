//! One site's UPSes, asked over and over.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{MissedTickBehavior, interval};
use watari_chassis::{Context, Mirror, clock};
use watari_contracts::scheduler::TellPower;
use watari_model::{
    SiteName,
    site::{Site, Supply},
};

use super::{
    client::Client,
    metrics::Metrics,
    reading::{self, Reading},
    roll::Roll,
    verdict::{Heard, Verdict, news, verdict},
};
use crate::settings::{Settings, power::Ups};

/// What all sites' rounds need.
#[derive(Clone)]
pub(super) struct Post {
    pub(super) ctx: Context,
    pub(super) sites: Mirror<Site>,
    pub(super) metrics: Metrics,
    pub(super) roll: Roll,
}

/// A site with its UPSes.
pub(super) struct Campus {
    site: SiteName,
    needs: usize,
    poll: Duration,
    low_battery_seconds: u64,
    watched: Vec<Watched>,
    judged: Option<Verdict>,
    /// Why the last word could not be passed on, so that it is said once.
    untold: Option<String>,
}

/// One UPS, with what has been heard of it.
struct Watched {
    client: Client,
    answers: Option<bool>,
    last: Option<Reading>,
}

impl Campus {
    pub(super) fn new(site: &SiteName, settings: &Settings) -> Self {
        let power = &settings.power;
        let bound = Duration::from_millis(power.answer_ms);
        let watched = |ups: &Ups| Watched { client: Client::new(ups, bound), answers: None, last: None };
        Self {
            needs: power.needs(site),
            poll: Duration::from_millis(power.poll_ms),
            low_battery_seconds: power.low_battery_seconds,
            watched: settings.ups.iter().filter(|ups| ups.site == *site).map(watched).collect(),
            judged: None,
            untold: None,
            site: site.clone(),
        }
    }

    /// Asks and tells until the process shuts down.
    pub(super) async fn watch(mut self, post: Post) {
        let shutdown = post.ctx.shutdown.clone();
        let mut pace = interval(self.poll);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = async { pace.tick().await; self.round(&post).await; } => {}
            }
        }
    }

    /// Asks all of them at once, and tells what is news. A question that is lost costs a round.
    async fn round(&mut self, post: &Post) {
        let (site, low, metrics) = (&self.site, self.low_battery_seconds, &post.metrics);
        let asked = self.watched.iter_mut().map(|ups| ups.ask(site, low, metrics));
        let heard: Vec<Heard> = join_all(asked).await;
        for ups in &self.watched {
            post.roll.note(site, ups.client.name(), ups.answers == Some(true));
        }
        let verdict = verdict(&heard, self.needs);
        post.metrics.judged(&self.site, verdict);
        if self.judged.replace(verdict).is_none_or(|before| word(before) != word(verdict)) {
            tracing::info!(site = %self.site, power = word(verdict), "what the UPSes say of a site");
        }
        let known = post.sites.get(self.site.as_str()).and_then(|entry| entry.value.power);
        if let Some((supply, seconds_left)) = news(known, verdict, clock::now()) {
            self.tell(post, supply, seconds_left).await;
        }
    }

    /// Passes it on. Who leads the scheduler writes it down, and saying it twice does no harm.
    async fn tell(&mut self, post: &Post, supply: Supply, seconds_left: Option<u64>) {
        let told = TellPower { site: self.site.clone(), supply, seconds_left };
        match post.ctx.bus.request(&told).await {
            Ok(_) => {
                self.untold = None;
                tracing::info!(site = %self.site, supply = supply.word(), ?seconds_left, "told the scheduler");
            }
            Err(error) => {
                let error = error.to_string();
                if self.untold.as_ref() != Some(&error) {
                    tracing::warn!(site = %self.site, supply = supply.word(), error, "not told; it is told again");
                }
                self.untold = Some(error);
            }
        }
    }
}

impl Watched {
    async fn ask(&mut self, site: &SiteName, low_battery_seconds: u64, metrics: &Metrics) -> Heard {
        let answer = self.client.ask().await;
        let ups = self.client.name();
        let before = self.answers.replace(answer.is_ok());
        match answer {
            Ok(answer) => {
                let reading = reading::read(&answer, low_battery_seconds);
                metrics.heard(site, ups, Some((&answer, reading)));
                if before != Some(true) || self.last.map(Reading::word) != Some(reading.word()) {
                    tracing::info!(%site, %ups, status = answer.status, says = reading.word(), "a UPS answers");
                }
                self.last = Some(reading);
                Heard::Said(reading)
            }
            Err(error) => {
                metrics.heard(site, ups, None);
                if before != Some(false) {
                    tracing::warn!(%site, %ups, %error, "a UPS does not answer; nothing is concluded from that");
                }
                Heard::Silent { last: self.last }
            }
        }
    }
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Mains => "mains",
        Verdict::Battery { .. } => "battery",
        Verdict::Unknown => "unknown",
    }
}
