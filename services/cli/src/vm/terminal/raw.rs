//! The person's terminal: every key is the server's while this is held.

use std::{
    io::{self, ErrorKind, Read, Write},
    thread,
};

use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use tokio::sync::mpsc;

/// So many pieces of what is typed may wait.
const PIECES: usize = 16;
/// Colours and a hidden cursor are the server's, and do not stay; then a line of our own.
const CALM: &[u8] = b"\x1b[0m\x1b[?25h\r\n";

/// The terminal without an opinion on keys. It is again as it was when this is dropped.
pub(super) struct Raw(());

impl Raw {
    pub(super) fn enter() -> io::Result<Self> {
        enable_raw_mode().map(Self)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that has gone needs nothing.
        let _ = show(CALM);
        let _ = disable_raw_mode();
    }
}

/// Shows bytes as they are.
pub(super) fn show(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// What is typed from now on. A thread of its own waits for it, and ends with the process: nothing else can be asked to
/// stop waiting for a key.
pub(super) fn keyboard() -> io::Result<mpsc::Receiver<Vec<u8>>> {
    let (keys, typed) = mpsc::channel(PIECES);
    thread::Builder::new().name("keyboard".to_owned()).spawn(move || {
        let mut stdin = io::stdin().lock();
        let mut buffer = [0; 1024];
        loop {
            let read = match stdin.read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                // A terminal that says nothing more is closed.
                Ok(0) | Err(_) => return,
                Ok(read) => read,
            };
            let bytes = buffer.get(..read).unwrap_or_default().to_vec();
            if keys.blocking_send(bytes).is_err() {
                return;
            }
        }
    })?;
    Ok(typed)
}
