//! Starts a host's NATS server under the right name and with the right store.
//!
//! ```text
//!             ┌── never started before, or has its vote, or nobody knows ──▶ serving ◀─┐
//!   starting ─┤                                                              │     ▲   │ told to serve,
//!             └── has lost its vote ──▶ out ── told to serve: begin anew ────┼─────┘   │ its vote lost
//!                                        ▲                                   ▼         │
//!                                        └────────── told to retire ── (server stopped)┘
//! ```
//!
//! A server that was taken out of its cluster, as before its campus goes dark, is never let in again
//! under its old name. It begins anew: next name, empty store, and everything is copied to it. Whether
//! it was taken out is asked of the others, since this host may have lost its power in that moment; what it
//! remembers counts only where nobody answers (`vote.rs`). When it may come back is theirs to say as well: a server
//! that joined while its campus may still go dark any moment would take the majority with it.
//!
//! While it serves, the server reads its configuration again whenever that or its certificate is another one: so a host that
//! has joined is known, a renewed certificate is shown, and nobody who is connected notices. What the server cannot use
//! changes nothing.

mod founding;
mod life;
mod metric_names;
mod metrics;
mod newcomer;
mod orders;
mod settings;
mod vote;
mod watch;

pub use settings::Settings;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use tokio::{
    process::Child,
    signal::unix::{Signal, SignalKind, signal},
    time::{MissedTickBehavior, interval},
};
use watari_chassis::Membership;
use watari_contracts::frontend::Duty;

use life::Life;
use newcomer::{Newcomer, Place};
use orders::Orders;
use vote::{Begin, Vote};
use watch::Watch;

/// Why the server is not started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings.
    #[error("{0}")]
    Settings(String),
    /// It is no cluster yet.
    #[error("the server is no cluster yet: {0}")]
    Unfounded(String),
    /// Files, processes, signals.
    #[error("{0}")]
    System(#[from] std::io::Error),
}

/// How long the other servers may take to say whether this one has a vote. Who cannot be asked, as
/// when all start at once, is not waited for.
const ASKING: Duration = Duration::from_secs(4);

/// How long a server may take until it has its vote.
const JOINING: Duration = Duration::from_secs(20);

/// How often it is looked who has a vote, and how long that may take: meanwhile nothing else is heeded.
const VOTED: Duration = Duration::from_secs(2);
const LOOKING: Duration = Duration::from_secs(1);

/// Starts the server, and again when that is due, until it ends or this process is told to.
///
/// # Errors
/// [`Error`].
pub async fn run(settings: Settings) -> Result<ExitCode, Error> {
    let mut signals = Signals::listen()?;
    let mut orders = Orders::follow(&settings);
    metrics::serve(&settings);
    let mut life = Life::find(&settings)?;
    let mut newcomer = Newcomer::find(&settings, life.as_ref())?;
    let mut only = false;
    // A newcomer had no vote that could have been taken away.
    if let Some(now) = life.as_ref().filter(|_| settings.has_others() && newcomer.is_none()) {
        let (name, vote) = (now.name(), Vote::of(&settings, now.name())?);
        let mut standing = orders.membership(&name, ASKING).await;
        if vote.begin(standing) == Begin::Ask {
            say(&format!("{name} was taken out of the cluster; waiting until somebody leads it"));
            let Some(known) = signals.or(orders.led(&name)).await else { return Ok(ExitCode::SUCCESS) };
            standing = known;
        }
        match vote.begin(standing) {
            Begin::Wait => {
                say(&format!("{name} has no vote any more; waiting until it may begin anew"));
                if signals.or(orders.told(Duty::Serve)).await.is_none() {
                    return Ok(ExitCode::SUCCESS);
                }
                let (next, new) = Newcomer::anew(&settings, now)?;
                (life, newcomer) = (Some(next), new);
            }
            Begin::InCompany => {
                say(&format!("nobody else has a vote or answers; {name} goes on alone"));
                only = now.is_clustered()?;
            }
            Begin::Serve | Begin::Ask => {}
        }
    }
    let due = founding::is_due(&settings, life.as_ref())?;
    let mut life = life.map_or_else(|| Life::first(&settings), Ok)?;
    if due && signals.or(founding::make(&settings, &life)).await.transpose()?.is_none() {
        return Ok(ExitCode::SUCCESS);
    }
    let mut company = founding::company(&settings, only)?;
    loop {
        if let Some(new) = newcomer.as_mut()
            && signals.or(new.welcome(&mut orders)).await.transpose()?.is_none()
        {
            return Ok(ExitCode::SUCCESS);
        }
        match serve(&settings, &life, &mut orders, &mut signals, &mut newcomer, &mut company).await? {
            Turn::Ended(code) => return Ok(code),
            Turn::Again => {}
            Turn::Anew => (life, newcomer) = Newcomer::anew(&settings, &life)?,
            Turn::Retired => {
                say("stopped, as told; waiting until it may serve");
                if signals.or(orders.told(Duty::Serve)).await.is_none() {
                    return Ok(ExitCode::SUCCESS);
                }
                if orders.membership(&life.name(), ASKING).await == Membership::Stranger {
                    (life, newcomer) = Newcomer::anew(&settings, &life)?;
                }
            }
        }
    }
}

/// What comes after a server has run.
enum Turn {
    Ended(ExitCode),
    Retired,
    /// The same life, once it may.
    Again,
    Anew,
}

async fn serve(
    settings: &Settings,
    life: &Life,
    orders: &mut Orders,
    signals: &mut Signals,
    newcomer: &mut Option<Newcomer>,
    company: &mut Option<Child>,
) -> Result<Turn, Error> {
    say(&format!("starting {}", life.name()));
    // Before the server reads it, so that no change is missed.
    let mut files = Watch::on(&[&settings.config, &settings.certificate]);
    let mut vote = Vote::of(settings, life.name())?;
    let server = &mut life.start()?;
    let begun = Instant::now();
    let mut look = interval(VOTED);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            ended = server.wait() => {
                let status = ended?;
                say(&format!("nats-server ended: {status}"));
                let code = status.code().and_then(|code| u8::try_from(code).ok());
                return Ok(Turn::Ended(code.map_or(ExitCode::FAILURE, ExitCode::from)));
            }
            () = signals.any() => {
                life.stop(server).await?;
                return Ok(Turn::Ended(ExitCode::SUCCESS));
            }
            () = files.changed() => {
                say("the configuration or the certificate has changed; both are read again");
                life.reload(server)?;
            }
            _ = look.tick() => match newcomer.as_mut() {
                None => noted(vote.saw(orders.membership(&life.name(), LOOKING).await)),
                Some(new) => match new.looks(&orders.electorate(LOOKING).await) {
                    Place::Home => {}
                    Place::Voter => newcomer.take().map_or(Ok(()), Newcomer::voted)?,
                    Place::Alone => {
                        say("nobody leads, and none of those is there to whom it came; it stops until one is");
                        life.stop(server).await?;
                        return Ok(Turn::Again);
                    }
                    Place::Astray => {
                        say("another cluster leads than that to which it came; it begins anew");
                        life.stop(server).await?;
                        return Ok(Turn::Anew);
                    }
                },
            },
            duty = orders.next() => match duty {
                Duty::Retire => {
                    noted(vote.leaves(orders.membership(&life.name(), ASKING).await));
                    life.stop(server).await?;
                    return Ok(Turn::Retired);
                }
                Duty::Serve => {
                    // It is told to do what it does: perhaps it only seems to.
                    // One that has just begun has its vote after a few seconds; it is told meanwhile too.
                    let settled = begun.elapsed() > JOINING;
                    if settled && orders.membership(&life.name(), ASKING).await == Membership::Stranger {
                        say(&format!("{} has no vote any more; it begins anew", life.name()));
                        life.stop(server).await?;
                        return Ok(Turn::Anew);
                    }
                }
                // That makes it no majority yet, and harms nothing where others are there.
                Duty::Alone => {
                    if company.is_none() {
                        say(&format!("an operator says that the others are lost; {} goes on in company", life.name()));
                        *company = founding::company(settings, true)?;
                    }
                }
            },
        }
    }
}

/// What asks this process to end.
struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    fn listen() -> Result<Self, Error> {
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }

    /// What `work` gives, or nothing when this process is to end before.
    async fn or<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = self.any() => None,
        }
    }
}

/// A full disk is no reason to take the server away; the next look tries again.
fn noted(done: Result<(), Error>) {
    if let Err(error) = done {
        say(&format!("how the server's vote stands is not written down: {error}"));
    }
}

fn say(text: &str) {
    eprintln!("watari-nats: {text}");
}
