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
//! reaches either of them meanwhile. What was begun is gone on with.

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

/// Whether the server has to be made a cluster first. `fresh` is one that was never started.
///
/// # Errors
/// [`Error::Settings`] if its store is that of a server without a cluster.
pub(crate) fn is_due(settings: &Settings, fresh: bool) -> Result<bool, Error> {
    if settings.founding().is_none() {
        return Ok(false);
    }
    let path = settings.store.join(MARK);
    let mark = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        read => Some(read?),
    };
    match mark.as_deref() {
        Some(DONE) => Ok(false),
        Some(_) => Ok(true),
        None if fresh => life::keep(&settings.store, MARK, BEGUN).map(|()| true),
        // As part of a cluster it would delete what it holds.
        None => Err(Error::Settings(format!(
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
