//! The first server of a cluster that is to grow: it begins as a cluster of one, since a server that began without a
//! cluster would lose its streams by becoming part of one.
//!
//! ```text
//!  never started ──▶ begun ── founder and midwife run, the founder leads, the midwife's vote is taken away ──▶ done
//!                      ▲                     │                                                                  │
//!                      └── power cut, bound ─┘                                    the server starts as always ◀─┘
//! ```
//!
//! NATS waits for a second server before anybody leads; so there is one, on this host alone, for seconds. Nobody else
//! reaches either of them meanwhile. What was begun is gone on with, whoever has joined since: they wait for it. So an
//! operator whose servers have all lost what they held has the first one begin again, by the mark alone.
//!
//! A server of a cluster that starts does not vote before it has met another one (nats-server's `raft.run`, though it
//! may be its own majority). As long as nobody else is configured, or nobody else has a vote, a server that stores
//! nothing keeps it company.

use std::{fs, io, time::Duration};

use tokio::{
    process::Child,
    time::{sleep, timeout},
};
use watari_chassis::{Bus, found};

use crate::{
    Error, Settings,
    life::{self, Life},
    say,
    settings::Founding,
};

/// Holds how far it is.
const MARK: &str = "founding";
const BEGUN: &str = "begun\n";
const DONE: &str = "done\n";
/// All of it takes seconds. Who is not done by then begins again.
const BOUND: Duration = Duration::from_secs(90);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// Whether the server has to be made a cluster first. `life` is its present one, if it was ever started.
///
/// # Errors
/// [`Error::Settings`] if its store is that of a server without a cluster.
pub(crate) fn is_due(settings: &Settings, life: Option<&Life>) -> Result<bool, Error> {
    if settings.founding().is_none() {
        return Ok(false);
    }
    let path = settings.store.join(MARK);
    let mark = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        read => Some(read?),
    };
    match (mark.as_deref(), life) {
        (Some(DONE), _) => Ok(false),
        (Some(_), _) => Ok(true),
        // They may hold what it has lost: as a cluster by itself it would go before that.
        (None, None) if settings.has_others() => {
            say(&format!(
                "the store is empty, and the other servers are waited for; if they have lost everything as well, put {} \
                 aside again, and write `begun` into {} before this starts",
                settings.store.display(),
                path.display()
            ));
            Ok(false)
        }
        (None, None) => life::keep(&settings.store, MARK, BEGUN).map(|()| true),
        (None, Some(life)) if life.is_clustered()? => Ok(false),
        // As part of a cluster it would delete what it holds.
        (None, Some(_)) => Err(Error::Settings(format!(
            "{} is the store of a server without a cluster: take `grows` out of the cluster's description, or make a \
             backup and begin anew",
            settings.store.display()
        ))),
    }
}

/// Makes it one.
///
/// # Errors
/// [`Error`]: a server does not start, or it takes too long. It may be tried again.
pub(crate) async fn make(settings: &Settings, life: &Life) -> Result<(), Error> {
    let Some(founding) = settings.founding() else { return Ok(()) };
    say("making a cluster of this server alone");
    let mut founder = life.start_as(&founding.founder)?;
    let made = tokio::select! {
        ended = founder.wait() => Err(Error::Unfounded(format!("nats-server ended: {}", ended?))),
        made = timeout(BOUND, alone(settings, founding, life)) => {
            made.unwrap_or_else(|_| Err(Error::Unfounded("it takes too long".to_owned())))
        }
    };
    life::stop(&mut founder).await?;
    made?;
    life::keep(&settings.store, MARK, DONE)?;
    life::remove(&settings.store.join(midwife(settings)))
}

/// Starts a server beside one that is to lead by itself: it knows of no other, or is the `only` one with a vote. It ends
/// when it is dropped. It stores nothing and has no vote, so that nobody becomes a majority by it.
///
/// # Errors
/// No process can be started.
pub(crate) fn company(settings: &Settings, only: bool) -> Result<Option<Child>, Error> {
    let founded = settings.founding().is_some() && !settings.has_others();
    let Some(config) = settings.company().filter(|config| (founded || only) && config.is_file()) else {
        if only {
            say("nothing is here that could keep it company (`company` in the settings): it waits for another server");
        }
        return Ok(None);
    };
    let name = format!("{}-company", settings.host);
    life::start(config, &name, &settings.store.join(&name)).map(Some)
}

/// What the server that goes is called: no name that this host's own server ever has.
fn midwife(settings: &Settings) -> String {
    format!("{}-midwife", settings.host)
}

/// Has a second server come and go until the first is a cluster without it.
async fn alone(settings: &Settings, founding: &Founding, life: &Life) -> Result<(), Error> {
    let (name, other) = (life.name(), midwife(settings));
    let bus = Bus::connect(&settings.bus_at(vec![founding.url.clone()])).await;
    let bus = bus.map_err(|error| Error::Unfounded(error.to_string()))?;
    let look = || async {
        found(&bus, &name, &other).await.unwrap_or_else(|error| {
            say(&format!("the founding goes on: {error}"));
            false
        })
    };
    loop {
        let mut second: Child = life::start(&founding.midwife, &other, &settings.store.join(&other))?;
        while !look().await {
            sleep(PAUSE).await;
        }
        life::stop(&mut second).await?;
        // It may have come back in the moment in which it went.
        if look().await {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use watari_testkit::TempDir;

    use super::*;

    fn settings(dir: &Path, urls: &str) -> Settings {
        let store = dir.join("store");
        let text = format!(
            "host = \"n1\"\nconfig = \"c\"\nstore = {store:?}\n[bus]\nurls = [{urls}]\n[founding]\nurl = \"-\"\nfounder = \"-\"\nmidwife = \"-\"\ncompany = \"-\"\n"
        );
        fs::write(dir.join("toml"), text).unwrap();
        Settings::read(&dir.join("toml")).unwrap()
    }

    #[test]
    fn a_founding_is_begun_by_a_lone_server_only_and_gone_on_with_whoever_is_there() {
        let dir = TempDir::new();
        let store = dir.path().join("store");
        let settings = |urls: &str| settings(dir.path(), urls);
        let (alone, three) = ("\"nats://a:1\"", "\"nats://b:1\", \"nats://c:1\", \"nats://a:1\"");
        assert!(!is_due(&settings(three), None).unwrap() && !store.join(MARK).exists(), "others may hold what it lost");
        assert!(is_due(&settings(alone), None).unwrap());
        let life = Life::first(&settings(alone)).unwrap();
        // It broke off, and others have joined; or an operator has written it.
        assert!(is_due(&settings(three), None).unwrap() && is_due(&settings(three), Some(&life)).unwrap());
        life::keep(&store, MARK, DONE).unwrap();
        assert!(!is_due(&settings(three), Some(&life)).unwrap() && !is_due(&settings(alone), Some(&life)).unwrap());
    }

    #[test]
    fn what_a_server_without_a_cluster_holds_is_not_made_part_of_one() {
        let dir = TempDir::new();
        let settings = settings(dir.path(), "\"nats://b:1\", \"nats://a:1\"");
        let life = Life::first(&settings).unwrap();
        let store = dir.path().join("store/n1/jetstream");
        fs::create_dir_all(store.join("CLOUD/streams/KV_vms")).unwrap();
        assert!(is_due(&settings, Some(&life)).is_err());
        fs::create_dir_all(store.join("SYS/_js_/_meta_")).unwrap();
        assert!(!is_due(&settings, Some(&life)).unwrap(), "it was part of one before");
    }
}
