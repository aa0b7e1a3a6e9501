//! A server that comes into a cluster which was there before, as long as it was never seen with a vote.
//!
//! It does not begin before somebody leads and the first server can be reached as servers reach one another: newcomers
//! that find each other and not the cluster would be another one, and what they then agree upon would go before what
//! the cluster holds. That it has no vote yet does not mean that its vote was taken away: it waits for nobody's order.

use std::{fs, io, mem, net::SocketAddr, path::PathBuf, time::Duration};

use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use watari_chassis::generation;

use crate::{Error, Settings, life, orders::Orders, say};

/// Is there as long as the server had no vote.
const MARK: &str = "joining";
/// How long a server that is there may take to answer.
const ANSWERED: Duration = Duration::from_secs(2);
/// How long one that was started before waits for a leader. The cluster may wait for this very server, if the power went
/// in the moment in which it got its vote.
const LED: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// One that was never seen with a vote.
pub(crate) struct Newcomer {
    mark: PathBuf,
    fresh: bool,
}

impl Newcomer {
    /// Whether this host's server is one. `fresh` is one that was never started.
    pub(crate) fn find(settings: &Settings, fresh: bool) -> Result<Option<Self>, Error> {
        if !settings.joins || !settings.has_others() {
            return Ok(None);
        }
        if fresh {
            life::keep(&settings.store, MARK, "")?;
        }
        let mark = settings.store.join(MARK);
        Ok(mark.try_exists()?.then_some(Self { mark, fresh }))
    }

    /// Waits for the cluster.
    pub(crate) async fn welcome(&self, orders: &mut Orders, settings: &Settings) {
        say("waiting until the cluster that this host has joined has a leader");
        let name = generation(&settings.host, 1);
        if self.fresh {
            orders.led(&name).await;
        } else if timeout(LED, orders.led(&name)).await.is_err() {
            say("nobody leads; perhaps this server is needed for that");
        }
        let mut told = false;
        while !reached(settings.route).await {
            if let Some(route) = settings.route.filter(|_| !mem::replace(&mut told, true)) {
                say(&format!("waiting until the first server of the cluster can be reached at {route}"));
            }
            sleep(PAUSE).await;
        }
    }

    /// It has its vote.
    pub(crate) fn voted(self) -> Result<(), Error> {
        match fs::remove_file(&self.mark) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// Whether the first server takes a connection: newcomers that all reach it are no other cluster.
async fn reached(route: Option<SocketAddr>) -> bool {
    let Some(route) = route else { return true };
    matches!(timeout(ANSWERED, TcpStream::connect(route)).await, Ok(Ok(_)))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use watari_testkit::TempDir;

    use super::*;

    #[test]
    fn who_has_joined_is_a_newcomer_until_it_had_a_vote() {
        let dir = TempDir::new();
        let settings = |joins: bool, urls: &str| {
            let store = dir.path().join("store");
            let text =
                format!("host = \"n2\"\nconfig = \"c\"\nstore = {store:?}\njoins = {joins}\n[bus]\nurls = [{urls}]\n");
            fs::write(dir.path().join("toml"), text).unwrap();
            Settings::read(&dir.path().join("toml")).unwrap()
        };
        let is = |settings: &Settings, fresh| Newcomer::find(settings, fresh).unwrap();
        let joins = settings(true, "\"nats://a:1\", \"nats://b:1\"");
        assert!(is(&joins, false).is_none(), "it was there before it was called one that joins");
        assert!(is(&settings(false, "\"nats://a:1\", \"nats://b:1\""), true).is_none());
        assert!(is(&settings(true, "\"nats://a:1\""), true).is_none());
        assert!(is(&joins, true).is_some() && is(&joins, false).is_some(), "a restart makes it no other");
        is(&joins, false).unwrap().voted().unwrap();
        assert!(is(&joins, false).is_none());
    }

    #[tokio::test]
    async fn the_first_server_must_be_reached() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        assert!(reached(None).await && reached(Some(open)).await);
        assert!(!reached(Some("127.0.0.1:1".parse().unwrap())).await);
    }
}
