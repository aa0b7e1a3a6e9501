//! A domain's serial console, to type at.
//!
//! Each open console has a thread and a connection of its own. The thread always reads what there is, since a guest
//! whose console nobody reads stands still when it writes. What a guest does not take of what is typed waits in
//! libvirtd, which then reads nothing more of that connection: nothing else may depend on it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    },
    thread,
    time::Duration,
};

use tokio::sync::watch;
use virt::{enumutil::Enum, error::ErrorNumber, stream::Stream};
use virt_sys as sys;

use super::{
    Hypervisor, blocking,
    connection::Link,
    error::{Error, Result},
    failure, within,
};

const ACT: &str = "open the console";
/// How long opening may take.
const OPENS: Duration = Duration::from_secs(10);
/// How long closing is waited for.
const CLOSES: Duration = Duration::from_secs(2);
/// Between two looks at what the guest has said, if nothing is typed: libvirt's stream tells it by a callback that
/// `virt` 0.5 lets dangle, and a thread that looks is there only while somebody has the console open.
const LOOK: Duration = Duration::from_millis(20);
/// What is read at a time, in bytes.
const CHUNK: usize = 16 << 10;
/// So many pieces that are to be typed may wait, and no more is taken while this many bytes of them wait for the guest.
const PIECES: usize = 16;
const MOST_WAITING: usize = 4 << 10;

/// Whether another's session is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    /// Only if nobody has the console open.
    IfFree,
    /// Whoever has it open loses it.
    Over,
}

/// An open console. Dropped, it closes.
pub struct Terminal {
    keys: SyncSender<Vec<u8>>,
    leave: Arc<AtomicBool>,
    ended: watch::Receiver<bool>,
}

impl Hypervisor {
    /// Opens the console of a domain that runs, or is paused. `shown` is given what the guest says, on a thread of its
    /// own; it must not block. None if another program has it open.
    ///
    /// # Errors
    /// The domain is not there or off, its console is none that can be opened, or libvirt's own errors.
    pub async fn open_terminal(
        &self,
        name: &str,
        take: Take,
        shown: impl FnMut(&[u8]) + Send + 'static,
    ) -> Result<Option<Terminal>> {
        let (name, connection) = (name.to_owned(), Arc::clone(&self.connection));
        let opened = blocking(ACT, move || {
            let link = connection.open_private()?;
            match open(&link, &name, take) {
                Ok(stream) => Terminal::begin(link, stream, shown).map(Some),
                Err(error) if take == Take::IfFree && is_held(&error) => Ok(None),
                Err(error) => Err(failure(ACT, &link.connect, error)),
            }
        });
        within(ACT, OPENS, opened).await
    }
}

fn open(link: &Link, name: &str, take: Take) -> std::result::Result<Stream, virt::error::Error> {
    let flags = match take {
        Take::IfFree => 0,
        Take::Over => sys::VIR_DOMAIN_CONSOLE_FORCE,
    };
    let domain = link.connect.lookup_domain_by_name(name)?;
    let stream = Stream::new(&link.connect, sys::VIR_STREAM_NONBLOCK)?;
    domain.open_console(None, &stream, flags)?;
    Ok(stream)
}

/// libvirt has no code of its own for a console that is in use.
fn is_held(error: &virt::error::Error) -> bool {
    matches!(error.code(), Enum::Known(ErrorNumber::OperationFailed))
}

impl Terminal {
    fn begin(link: Link, stream: Stream, shown: impl FnMut(&[u8]) + Send + 'static) -> Result<Self> {
        let (keys, typed) = mpsc::sync_channel(PIECES);
        let (over, ended) = watch::channel(false);
        let leave = Arc::new(AtomicBool::new(false));
        let left = Arc::clone(&leave);
        let work = move || {
            carry(&stream, &typed, &left, shown);
            // One that broke cannot be ended, and need not be.
            let _ = stream.abort();
            drop(link);
            over.send_replace(true);
        };
        let started = thread::Builder::new().name("console".to_owned()).spawn(work);
        let failed = |source| Error::Io { act: "start the thread", path: "console".into(), source };
        started.map(|_| Self { keys, leave, ended }).map_err(failed)
    }

    /// Has something typed; not if too much waits to be typed already.
    #[must_use]
    pub fn type_in(&self, bytes: &[u8]) -> bool {
        self.keys.try_send(bytes.to_vec()).is_ok()
    }

    /// Whether it is closed: by us, by the domain's end, or because another program took it over.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }

    /// Closes it, so that it can be opened again.
    pub async fn close(&self) {
        self.leave.store(true, Ordering::Release);
        let mut ended = self.ended.clone();
        // Whoever opens it next ends it by force if need be.
        let _ = tokio::time::timeout(CLOSES, ended.wait_for(|ended| *ended)).await;
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.leave.store(true, Ordering::Release);
    }
}

/// Carries bytes both ways until the console ends or is left.
fn carry(stream: &Stream, typed: &Receiver<Vec<u8>>, left: &AtomicBool, mut shown: impl FnMut(&[u8])) {
    let mut buffer = vec![0; CHUNK];
    let mut waiting: Vec<u8> = Vec::new();
    while !left.load(Ordering::Acquire) {
        let read = match stream.recv(&mut buffer) {
            Ok(0) | Err(_) => return,
            // Below zero: there is nothing just now.
            Ok(read) => usize::try_from(read).unwrap_or(0),
        };
        if let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) {
            shown(bytes);
        }
        let pause = if read > 0 { Duration::ZERO } else { LOOK };
        if waiting.len() < MOST_WAITING {
            match typed.recv_timeout(pause) {
                Ok(bytes) => waiting.extend(bytes),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        } else {
            // The guest takes nothing just now.
            thread::park_timeout(pause);
        }
        if !waiting.is_empty() {
            let Ok(sent) = stream.send(&waiting) else { return };
            let sent = usize::try_from(sent).unwrap_or(0).min(waiting.len());
            waiting.drain(..sent);
        }
    }
}
