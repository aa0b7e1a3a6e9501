//! `watari top`: sites, what is under way, nodes and servers, as they change.
//!
//! ```text
//!  events ──▶ watch (what is old, asked for anew once a second at most) ──▶ state ──▶ draw (pure) ──▶ terminal
//! ```
//!
//! Nothing is polled for a server: a change is heard, and then its whole list is asked for.

mod draw;
mod keys;
mod state;
mod watch;

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use clap::Args;
use crossterm::event::EventStream;
use futures_util::{FutureExt, StreamExt, future::LocalBoxFuture};
use ratatui::{DefaultTerminal, layout::Size};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, MissedTickBehavior, interval},
};
use watari_contracts::subjects;

use crate::{
    Context,
    failure::Failure,
    lang::{Lang, Signs},
    texts::faults::Fault,
};
use state::State;
use watch::{Fresh, Stale};

/// What has changed is asked for at most so often.
const LOOK: Duration = Duration::from_secs(1);
/// A change that was not heard is seen after so long.
const ANEW: Duration = Duration::from_secs(30);

/// Watch sites, nodes, servers and what moves, on the whole terminal
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  watari top

Keys: q or Esc leaves; arrows, Page Up, Page Down, Home and End scroll.")]
pub struct Top {}

impl Top {
    /// Shows it until the person leaves.
    ///
    /// # Errors
    /// [`Fault::NoTerminal`] if there is none; [`Failure`] if nobody can be asked, or the terminal is gone.
    pub async fn run(self, ctx: &Context) -> Result<(), Failure> {
        if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
            return Err(Fault::NoTerminal {}.into());
        }
        // Heard first and listed then, so that nothing falls between. Whoever may not hear is told so on the plain
        // terminal.
        let mut events = ctx.session.hear(subjects::EVENTS).await?;
        let (mut ended, mut hung_up) = (ends(SignalKind::terminate())?, ends(SignalKind::hangup())?);
        let mut screen = Screen::enter().map_err(broken)?;
        let mut keys = EventStream::new();
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut state = State { signs: Signs::of_environment(), ..State::default() };
        let (mut stale, mut listed) = (Stale::ALL, Instant::now());
        let mut asking: Option<LocalBoxFuture<'_, Fresh>> = None;
        let mut seen = false;
        loop {
            if !seen {
                screen.show(&state, ctx.out.lang).map_err(broken)?;
                seen = true;
            }
            tokio::select! {
                key = keys.next() => {
                    // A terminal that says nothing more is closed.
                    let Some(Ok(key)) = key else { return Ok(()) };
                    let most = draw::overflow(&state, ctx.out.lang, screen.size().map_err(broken)?);
                    let Some(scroll) = keys::react(&key, state.scroll) else { return Ok(()) };
                    state.scroll = scroll.min(most);
                    seen = false;
                }
                fresh = answered(&mut asking) => {
                    asking = None;
                    stale.also(state.take(fresh));
                    seen = false;
                }
                Some(message) = events.next() => stale.note(&message.subject),
                _ = look.tick() => {
                    if listed.elapsed() >= ANEW {
                        (stale, listed) = (Stale::ALL, Instant::now());
                    }
                    // How far a copy is, is no event.
                    stale.outages |= state.moves();
                    if asking.is_none() && stale != Stale::default() {
                        let wanted = std::mem::take(&mut stale);
                        asking = Some(watch::ask(&ctx.session, wanted).boxed_local());
                    }
                }
                _ = ended.recv() => return Ok(()),
                _ = hung_up.recv() => return Ok(()),
            }
        }
    }
}

/// What was asked for, once it is there.
async fn answered(asking: &mut Option<LocalBoxFuture<'_, Fresh>>) -> Fresh {
    match asking {
        Some(fresh) => fresh.await,
        None => std::future::pending().await,
    }
}

fn ends(kind: SignalKind) -> Result<tokio::signal::unix::Signal, Failure> {
    signal(kind).map_err(broken)
}

fn broken(error: io::Error) -> Failure {
    Fault::File { path: "terminal".to_owned(), detail: error.to_string() }.into()
}

/// The whole terminal. It is again as it was when this is dropped, and also before a panic is told.
struct Screen(DefaultTerminal);

impl Screen {
    fn enter() -> io::Result<Self> {
        // Half of it may have been done when it fails.
        ratatui::try_init().map(Self).inspect_err(|_| ratatui::restore())
    }

    fn size(&self) -> io::Result<Size> {
        self.0.size()
    }

    fn show(&mut self, state: &State, lang: Lang) -> io::Result<()> {
        self.0.draw(|frame| draw::draw(frame, state, lang)).map(drop)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}
