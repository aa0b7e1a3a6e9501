//! Servers' consoles that somebody has open, one session a server, beside the servers' actors.
//!
//! ```text
//!  open ──▶ session (pure: whose is it?) ──▶ hypervisor's terminal ──▶ tail (bounded) ──▶ followed
//!  type ──▶ session (what is new of it?) ──▶ hypervisor's terminal
//! ```
//!
//! Who follows asks for what comes after what they have seen, and so sets the pace; what the server says is always
//! taken, and the oldest is lost to who is slow. Nothing of this is in the journal: a session ends with the agent, with
//! the domain's process (so that after a migration it is opened anew at the other node), when its holder closes it or
//! is not heard for a while, and when somebody takes it over.

pub(crate) mod log;
mod session;
mod tail;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{Mutex as Turn, watch};
use watari_chassis::clock;
use watari_contracts::agent::{Bytes, ConsoleAct, ConsolePart, LONGEST_SESSION, MOST_SHOWN, MOST_TYPED, UseConsole};
use watari_model::{Refusal, Said, VmName, said};

use crate::{
    hypervisor::{self, Kind, Take, Terminal},
    node::Node,
};
use session::{Claim, Session};
use tail::Tail;

/// How long an answer waits for the server to say something. Short, since a front end that hands over waits for it.
const FOLLOWS: Duration = Duration::from_millis(500);
/// Each takes a connection to libvirt and a thread.
const MOST_OPEN: usize = 32;
/// What is refused, in refusals.
const WANTED: &str = "open its console";

/// The open consoles of this node.
#[derive(Default)]
pub struct Consoles {
    seats: Mutex<HashMap<VmName, Arc<Seat>>>,
    /// Consoles are opened one after the other.
    opening: Turn<()>,
}

/// An open console and whose it is.
struct Seat {
    session: Mutex<Session>,
    tail: Arc<Mutex<Tail>>,
    /// How much the server has said.
    said: watch::Receiver<u64>,
    terminal: Terminal,
}

impl Consoles {
    /// Does what is asked for at a server's console. That the server is here is known.
    ///
    /// # Errors
    /// [`Refusal::ConsoleHeld`], [`Refusal::ConsoleOver`], [`Refusal::ConsoleReadOnly`]; the domain is not there or off;
    /// what is asked makes no sense; libvirt's own.
    pub async fn serve(&self, node: &Node, order: UseConsole) -> Result<ConsolePart, Refusal> {
        let UseConsole { vm, session, by, act, .. } = order;
        check_name(&session)?;
        match act {
            ConsoleAct::Open { take_over } => self.open(node, vm, session, by, take_over).await,
            ConsoleAct::Type { from, bytes } => self.own(node, &vm, &session)?.type_in(node, &vm, from, &bytes.0),
            ConsoleAct::Follow { from } => self.own(node, &vm, &session)?.follow(node, &vm, from).await,
            ConsoleAct::Close => {
                let seat = self.own(node, &vm, &session)?;
                self.remove(&vm, &seat);
                seat.terminal.close().await;
                Ok(seat.part(0, Vec::new()))
            }
        }
    }

    /// Closes consoles whose holders have gone.
    pub(crate) fn tend(&self) {
        let now = clock::boot_millis();
        self.seats().retain(|_, seat| !seat.session().is_silent(now));
    }

    fn seats(&self) -> MutexGuard<'_, HashMap<VmName, Arc<Seat>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seat(&self, vm: &VmName) -> Option<Arc<Seat>> {
        self.seats().get(vm).cloned()
    }

    /// Forgets a console, unless another was opened in its place.
    fn remove(&self, vm: &VmName, seat: &Arc<Seat>) {
        let mut seats = self.seats();
        if seats.get(vm).is_some_and(|there| Arc::ptr_eq(there, seat)) {
            seats.remove(vm);
        }
    }

    /// The console of a session that is not over.
    fn own(&self, node: &Node, vm: &VmName, session: &str) -> Result<Arc<Seat>, Refusal> {
        let now = clock::boot_millis();
        self.seat(vm).filter(|seat| seat.session().hear(session, now)).ok_or_else(|| over(node, vm))
    }

    async fn open(
        &self,
        node: &Node,
        vm: VmName,
        session: String,
        by: String,
        take_over: bool,
    ) -> Result<ConsolePart, Refusal> {
        let _turn = self.opening.lock().await;
        let mut take = if take_over { Take::Over } else { Take::IfFree };
        if let Some(seat) = self.seat(&vm) {
            let claim = seat.session().claim(&session, take_over, clock::boot_millis());
            match claim {
                _ if seat.terminal.has_ended() => {}
                Claim::GoesOn => {
                    let (from, _) = seat.tail().after(0, 0);
                    return Ok(seat.part(from, Vec::new()));
                }
                Claim::Held(by) => {
                    return Err(Refusal::ConsoleHeld { vm: vm.to_string(), by: Said::both(by) });
                }
                Claim::Over => take = Take::Over,
            }
            self.remove(&vm, &seat);
            seat.terminal.close().await;
        }
        let refuse = |error: hypervisor::Error| match error.kind() {
            Kind::InvalidState | Kind::NoDomain => node.not_now(&vm, "not running", WANTED),
            _ => node.refuse(&error),
        };
        let record = node.hypervisor.record(vm.as_str()).await.map_err(refuse)?;
        match record {
            None => return Err(node.not_now(&vm, "absent", WANTED)),
            Some(record) if !record.interactive => return Err(Refusal::ConsoleReadOnly { vm: vm.to_string() }),
            Some(_) => {}
        }
        if self.seats().len() >= MOST_OPEN {
            return Err(node.not_now(&vm, "one of too many whose consoles are open", WANTED));
        }
        let tail = Arc::new(Mutex::new(Tail::default()));
        let (told, said) = watch::channel(0);
        let fed = Arc::clone(&tail);
        let shown = move |bytes: &[u8]| {
            let mut tail = lock(&fed);
            tail.push(bytes);
            told.send_replace(tail.end());
        };
        let opened = node.hypervisor.open_terminal(vm.as_str(), take, shown).await.map_err(refuse)?;
        let Some(terminal) = opened else {
            let name = &node.name;
            let by = said!("another program on node {name}", "ノード {name} の別のプログラム");
            return Err(Refusal::ConsoleHeld { vm: vm.to_string(), by });
        };
        tracing::info!(%vm, by, "a console is opened");
        let session = Mutex::new(Session::new(session, by, clock::boot_millis()));
        let seat = Arc::new(Seat { session, tail, said, terminal });
        let part = seat.part(0, Vec::new());
        self.seats().insert(vm, seat);
        Ok(part)
    }
}

impl Seat {
    fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tail(&self) -> MutexGuard<'_, Tail> {
        lock(&self.tail)
    }

    fn part(&self, from: u64, output: Vec<u8>) -> ConsolePart {
        ConsolePart { from, output: Bytes(output), typed: self.session().typed() }
    }

    fn type_in(&self, node: &Node, vm: &VmName, from: u64, bytes: &[u8]) -> Result<ConsolePart, Refusal> {
        if bytes.len() > MOST_TYPED {
            return Err(Refusal::TooLarge { bytes: bytes.len().to_string(), limit: MOST_TYPED.to_string() });
        }
        if self.terminal.has_ended() {
            return Err(over(node, vm));
        }
        let mut session = self.session();
        let Some(fresh) = session.fresh(from, bytes) else {
            let detail = format!("from is {from}, and only {} bytes were typed before", session.typed());
            return Err(Refusal::Malformed { detail });
        };
        if !fresh.is_empty() && self.terminal.type_in(fresh) {
            session.took(fresh.len());
        }
        Ok(ConsolePart { from: self.tail().end(), output: Bytes::default(), typed: session.typed() })
    }

    async fn follow(&self, node: &Node, vm: &VmName, from: u64) -> Result<ConsolePart, Refusal> {
        let mut said = self.said.clone();
        // At the end nobody says anything more, and what is left is told.
        let _ = tokio::time::timeout(FOLLOWS, said.wait_for(|said| *said > from)).await;
        let (begin, output) = self.tail().after(from, MOST_SHOWN);
        if output.is_empty() && self.terminal.has_ended() {
            return Err(over(node, vm));
        }
        Ok(self.part(begin, output))
    }
}

fn lock(tail: &Mutex<Tail>) -> MutexGuard<'_, Tail> {
    tail.lock().unwrap_or_else(PoisonError::into_inner)
}

fn over(node: &Node, vm: &VmName) -> Refusal {
    Refusal::ConsoleOver { vm: vm.to_string(), node: node.name.to_string() }
}

fn check_name(session: &str) -> Result<(), Refusal> {
    let is_plain = session.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if is_plain && (1..=LONGEST_SESSION).contains(&session.len()) {
        return Ok(());
    }
    let value = session.chars().take(40).collect();
    let allowed =
        said!("1 to {LONGEST_SESSION} letters, digits or '-'", "1～{LONGEST_SESSION} 文字の英数字またはハイフン");
    Err(Refusal::OutOfRange { field: "session".to_owned(), value, allowed })
}
