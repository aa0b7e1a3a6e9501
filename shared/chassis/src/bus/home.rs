//! Going back to one's own NATS server.
//!
//! The first URL is the server of this process's own host, or of its own site. When that one is away
//! another serves as well, but whoever stays there shares the fate of another host: its power may be
//! about to go, and a connection that nobody closes is missed after seconds only.

use std::time::Duration;

use async_nats::ServerAddr;
use tokio::{net::TcpStream, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{Bus, next::is_there};

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(10);
/// A server that takes longer to answer is no better than the present one.
const ANSWER: Duration = Duration::from_secs(1);

/// Looks until `shutdown`.
pub(crate) async fn go_home(bus: Bus, shutdown: CancellationToken) {
    let settings = bus.settings();
    let Some(home) = settings.urls.first().and_then(|url| url.parse::<ServerAddr>().ok()) else {
        return;
    };
    if settings.urls.len() < 2 {
        return;
    }
    let is_home = || is_there(home.host(), home.port(), &bus.client().server_info());
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = shutdown.cancelled() => return,
        }
        let at = (home.host(), home.port());
        if is_home() || !matches!(timeout(ANSWER, TcpStream::connect(at)).await, Ok(Ok(_))) {
            continue;
        }
        tracing::info!(home = home.as_url_str(), "going back to this process's own NATS server");
        let mut doubt = bus.doubt();
        doubt.mark_unchanged();
        if bus.client().force_reconnect().await.is_err() || timeout(LOOK, doubt.changed()).await.is_err() {
            continue;
        }
        if !is_home() {
            // A server that calls itself otherwise than the URL does: this cannot be told apart.
            return;
        }
    }
}
