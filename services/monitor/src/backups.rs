//! How old the newest backup is: that nobody makes them any more is else noticed on the day on which one is needed.

use std::time::Duration;

use prometheus::IntGauge;
use tokio::time::{MissedTickBehavior, interval};
use watari_chassis::{Context, backups::newest, metrics::added, prometheus};

use crate::{metric_names::BACKUP_NEWEST, settings::backups::Backups};

/// Begins to look, if there is a folder to look at.
///
/// # Errors
/// Another metric has the name.
pub(crate) fn watch(ctx: &Context, settings: &Backups) -> Result<(), prometheus::Error> {
    let Backups { folder, look_seconds } = settings.clone();
    if folder.as_os_str().is_empty() {
        return Ok(());
    }
    let shown = added(&ctx.metrics, IntGauge::new(BACKUP_NEWEST, "When the newest backup was made.")?)?;
    let shutdown = ctx.shutdown.clone();
    ctx.spawn("backups", async move {
        let mut pace = interval(Duration::from_secs(look_seconds));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut complaint = None;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = pace.tick() => {}
            }
            let place = folder.clone();
            // It falls only with the runtime.
            let Ok(looked) = tokio::task::spawn_blocking(move || newest(&place)).await else { return };
            let (made, fault) = match looked {
                Ok(made) => (made.map_or(0, |at| at.0.unix_timestamp()), None),
                Err(error) => (0, Some(error.to_string())),
            };
            shown.set(made);
            if complaint != fault {
                if let Some(error) = &fault {
                    tracing::warn!(folder = %folder.display(), error, "the folder of backups cannot be read");
                }
                complaint = fault;
            }
        }
    });
    Ok(())
}
