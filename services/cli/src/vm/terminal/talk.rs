//! The loop between a person and a console: one question of each kind is under way at a time.

use std::{io, time::Duration};

use futures_util::{FutureExt, future::LocalBoxFuture};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, sleep},
};
use watari_contracts::{
    agent::{Bytes, ConsoleAct, ConsolePart, MOST_TYPED},
    scheduler::ConsoleView,
};
use watari_model::{Refusal, Said, vm::State};

use super::{
    Line, keys,
    raw::{Raw, keyboard, show},
};
use crate::{
    failure::Failure,
    lang::Lang,
    texts::{faults::Fault, terminal},
};

/// The most that may wait to be typed, in bytes; what is pasted beyond waits in the terminal.
const MOST_WAITING: usize = 64 << 10;
/// Between the first two tries of what the server does not take, or the node does not open.
const PAUSE: Duration = Duration::from_millis(200);
/// Between later ones, at most.
const MOST_PAUSE: Duration = Duration::from_secs(2);
/// For how long nothing is told of a console that broke off.
const QUIET: Duration = Duration::from_secs(3);
/// For how long a console that broke off is looked for: longer than any pause of a migration.
const RETURNS: Duration = Duration::from_secs(60);

type Asking<'l> = Option<LocalBoxFuture<'l, Result<ConsoleView, Failure>>>;

/// How far both sides are, in bytes of the session.
#[derive(Debug, Default, PartialEq, Eq)]
struct Talk {
    seen: u64,
    typed: u64,
    waiting: Vec<u8>,
}

impl Talk {
    /// A session begins.
    fn begin(part: &ConsolePart) -> Self {
        Self { seen: part.from, typed: part.typed, waiting: Vec::new() }
    }

    /// What is to be typed next, if anything waits.
    fn due(&self) -> Option<ConsoleAct> {
        let piece = self.waiting.get(..MOST_TYPED.min(self.waiting.len())).filter(|piece| !piece.is_empty())?;
        Some(ConsoleAct::Type { from: self.typed, bytes: Bytes(piece.to_vec()) })
    }

    /// So many bytes are typed in all.
    fn took(&mut self, typed: u64) {
        let more = usize::try_from(typed.saturating_sub(self.typed)).unwrap_or(usize::MAX);
        self.waiting.drain(..more.min(self.waiting.len()));
        self.typed = self.typed.max(typed);
    }

    /// Takes what the server said; how many bytes before it are lost.
    fn sees(&mut self, part: &ConsolePart) -> u64 {
        let lost = part.from.saturating_sub(self.seen);
        self.seen = part.from.saturating_add(u64::try_from(part.output.0.len()).unwrap_or(0));
        lost
    }
}

/// How a session ends of which nothing has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The person has left, or the terminal has gone.
    Left,
    /// Somebody else has the console now.
    TakenOver(Said),
    /// The server has gone off.
    Off,
    /// The server was deleted.
    Gone,
}

impl End {
    /// What it means that a console broke off and does not open again.
    fn of(failure: Failure) -> Result<Self, Failure> {
        let Failure::Refused(body) = failure else { return Err(failure) };
        match &body.refusal {
            Refusal::ConsoleHeld { by, .. } => Ok(Self::TakenOver(by.clone())),
            Refusal::VmUnknown { .. } => Ok(Self::Gone),
            Refusal::VmState { state, .. } if *state == State::Deleting.word() => Ok(Self::Gone),
            Refusal::VmState { .. } => Ok(Self::Off),
            _ => Err(Failure::Refused(body)),
        }
    }
}

/// Until the person leaves, the terminal goes away, or there is no console any more that is theirs.
///
/// # Errors
/// [`Failure`]: nobody answers, or the console cannot be opened for another reason.
pub(super) async fn run(line: &Line<'_>, opened: ConsoleView) -> Result<End, Failure> {
    let lang = line.ctx.out.lang;
    let (mut ended, mut hung_up) = (ends(SignalKind::terminate())?, ends(SignalKind::hangup())?);
    let _raw = Raw::enter().map_err(broken)?;
    let mut keyboard = keyboard().map_err(broken)?;
    let mut talk = Talk::begin(&opened.part);
    let (mut following, mut typing, mut opening): (Asking<'_>, Asking<'_>, Asking<'_>) = (None, None, None);
    loop {
        if opening.is_none() {
            if following.is_none() {
                following = Some(patiently(line, ConsoleAct::Follow { from: talk.seen }).boxed_local());
            }
            if typing.is_none() {
                typing = talk.due().map(|act| types(line, talk.typed, act).boxed_local());
            }
        }
        let broke = tokio::select! {
            view = answered(&mut following) => {
                following = None;
                view.and_then(|view| shown(&mut talk, &view.part, lang)).err()
            }
            view = answered(&mut typing) => {
                typing = None;
                view.map(|view| talk.took(view.part.typed)).err()
            }
            view = answered(&mut opening) => {
                opening = None;
                let view = match view {
                    Ok(view) => view,
                    Err(failure) => return End::of(failure),
                };
                talk = Talk::begin(&view.part);
                say(&terminal::again(lang, line.name.as_str(), view.node.as_str()))?;
                None
            }
            typed = keyboard.recv(), if talk.waiting.len() < MOST_WAITING => {
                let Some(typed) = typed else { return Ok(End::Left) };
                let (bytes, leaves) = keys::meant(&typed);
                if leaves {
                    return Ok(End::Left);
                }
                // Nobody knows what a server that comes back makes of keys that were meant for the one that left.
                if opening.is_none() {
                    talk.waiting.extend(bytes);
                }
                None
            }
            _ = ended.recv() => return Ok(End::Left),
            _ = hung_up.recv() => return Ok(End::Left),
        };
        match broke {
            None => {}
            Some(failure) if is_over(&failure) => {
                (following, typing, opening) = (None, None, Some(again(line).boxed_local()));
                // It may have been typed, and is not typed twice.
                talk.waiting.clear();
            }
            Some(failure) => return End::of(failure),
        }
    }
}

/// What was asked for, once it is there.
async fn answered(asking: &mut Asking<'_>) -> Result<ConsoleView, Failure> {
    match asking {
        Some(asking) => asking.await,
        None => std::future::pending().await,
    }
}

/// Asks until there is an answer that waiting does not change. What was done is not done twice.
async fn patiently(line: &Line<'_>, act: ConsoleAct) -> Result<ConsoleView, Failure> {
    let (until, mut pause) = (Instant::now() + RETURNS, PAUSE);
    loop {
        match line.does(act.clone()).await {
            Err(Failure::Refused(body)) if body.refusal.retryable() && Instant::now() < until => {}
            done => return done,
        }
        sleep(pause).await;
        pause = (pause * 2).min(MOST_PAUSE);
    }
}

/// Opens the console where the server is by now; whoever has taken it over keeps it. Not at once, since each opening is
/// written into the server's document, in which a server that moves is just then given to its other node. That it is
/// looked for is told once that takes a while: mostly it is there again at once, or it is known why it is not.
async fn again(line: &Line<'_>) -> Result<ConsoleView, Failure> {
    let (begun, mut pause, mut is_told) = (Instant::now(), PAUSE, false);
    loop {
        sleep(pause).await;
        pause = (pause * 2).min(MOST_PAUSE);
        match line.reopens().await {
            Err(Failure::Refused(body)) if body.refusal.retryable() && begun.elapsed() < RETURNS => {}
            done => return done,
        }
        if !is_told && begun.elapsed() > QUIET {
            is_told = true;
            say(&terminal::interrupted(line.ctx.out.lang, line.name.as_str()))?;
        }
    }
}

/// Has a piece typed. If none of it was taken, a moment passes before it is tried again.
async fn types(line: &Line<'_>, typed: u64, act: ConsoleAct) -> Result<ConsoleView, Failure> {
    let view = patiently(line, act).await?;
    if view.part.typed <= typed {
        sleep(PAUSE).await;
    }
    Ok(view)
}

fn shown(talk: &mut Talk, part: &ConsolePart, lang: Lang) -> Result<(), Failure> {
    let lost = talk.sees(part);
    if lost > 0 {
        say(&terminal::lost(lang, lost))?;
    }
    show(&part.output.0).map_err(broken)
}

/// A line of our own, in the midst of what the server shows.
fn say(text: &str) -> Result<(), Failure> {
    show(format!("\r\n{text}\r\n").as_bytes()).map_err(broken)
}

/// Whether the session has ended, of which nobody says that it cannot begin again.
fn is_over(failure: &Failure) -> bool {
    matches!(failure, Failure::Refused(body) if matches!(body.refusal, Refusal::ConsoleOver { .. }))
}

fn ends(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(broken)
}

fn broken(error: io::Error) -> Failure {
    Fault::File { path: "terminal".to_owned(), detail: error.to_string() }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(from: u64, output: &[u8], typed: u64) -> ConsolePart {
        ConsolePart { from, output: Bytes(output.to_vec()), typed }
    }

    #[test]
    fn what_is_not_taken_is_typed_again_from_where_it_was_and_no_more_than_fits() {
        let mut talk = Talk::begin(&part(0, b"", 7));
        assert_eq!(talk.due(), None);
        talk.waiting.resize(MOST_TYPED + 2, b'x');
        let wanted = ConsoleAct::Type { from: 7, bytes: Bytes(vec![b'x'; MOST_TYPED]) };
        assert_eq!(talk.due(), Some(wanted.clone()));
        talk.took(7);
        assert_eq!(talk.due(), Some(wanted));
        let all = 7 + u64::try_from(MOST_TYPED).unwrap();
        talk.took(all);
        assert_eq!(talk.due(), Some(ConsoleAct::Type { from: all, bytes: Bytes(vec![b'x'; 2]) }));
        talk.took(3);
        assert_eq!((talk.typed, talk.waiting.len()), (all, 2), "an answer that comes late");
    }

    #[test]
    fn what_is_missing_of_the_output_is_counted() {
        let mut talk = Talk::begin(&part(0, b"", 0));
        assert_eq!((talk.sees(&part(0, b"log", 0)), talk.seen), (0, 3));
        assert_eq!((talk.sees(&part(10, b"in", 0)), talk.seen), (7, 12));
        assert_eq!((talk.sees(&part(12, b"", 0)), talk.seen), (0, 12));
    }

    #[test]
    fn only_a_session_that_is_over_is_begun_again() {
        let (vm, node) = ("mail".to_owned(), "m1".to_owned());
        let refused = |refusal: Refusal| Failure::Refused(Box::new(refusal.into()));
        assert!(is_over(&refused(Refusal::ConsoleOver { vm: vm.clone(), node: node.clone() })));
        assert!(!is_over(&refused(Refusal::VmUnreachable { vm, node })));
    }
}
