//! The power of the sites, by their UPSes, which are asked through Network UPS Tools (RFC 9271).
//!
//! ```text
//!   upsd ◀── client ──▶ reading ─┐
//!                                ├─▶ verdict ──▶ news? ──▶ watari.v1.site.power
//!   upsd ◀── client ──▶ reading ─┘
//! ```
//!
//! A monitor asks whether or not it leads: the front end of the campus that goes dark is the one that can
//! reach its UPS, and the other may lead. So both may say the same, which does no harm. Only what a UPS
//! answers in this very round is said: silence is neither mains nor battery, and orders nothing. What is
//! done about a site's power is the scheduler's to decide.

mod campus;
mod client;
mod line;
mod metrics;
mod reading;
mod roll;
mod verdict;

use std::collections::BTreeSet;

use watari_chassis::{Context, Mirror, prometheus};
use watari_model::site::Site;

use crate::settings::Settings;
use campus::{Campus, Post};
use metrics::Metrics;
pub(crate) use roll::Roll;

/// Begins to ask the UPSes that the settings name; who of them answers is on the roll.
///
/// # Errors
/// If two metrics have one name.
pub(crate) fn watch(ctx: &Context, settings: &Settings) -> Result<Roll, prometheus::Error> {
    let (metrics, roll) = (Metrics::register(&ctx.metrics)?, Roll::default());
    let sites: BTreeSet<_> = settings.ups.iter().map(|ups| &ups.site).collect();
    let campuses: Vec<Campus> = sites.into_iter().map(|site| Campus::new(site, settings)).collect();
    if campuses.is_empty() {
        return Ok(roll);
    }
    let (ctx, calling) = (ctx.clone(), roll.clone());
    ctx.clone().spawn("upses", async move {
        // A site's document says what is known of its power already.
        let Ok(sites) = Mirror::<Site>::of_another(&ctx).await else { return };
        let post = Post { ctx: ctx.clone(), sites, metrics, roll: calling };
        for campus in campuses {
            ctx.spawn("ups", campus.watch(post.clone()));
        }
    });
    Ok(roll)
}
