//! What systemd is told, if it started the process (sd_notify(3), units of `Type=notify`): that it is
//! ready, how it stands, that it stops, and, as long as its loops turn, that it lives.
//!
//! Nothing here waits for systemd: a message that finds no room is lost. The variables stay set for the
//! programs that a service starts, whose word systemd does not take (`NotifyAccess=main`).

use std::{
    env,
    ffi::{OsStr, OsString},
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    process,
    time::Duration,
};

use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use crate::{Context, Readiness};

/// Whoever started the process and wants to hear of it.
#[derive(Debug)]
pub(crate) struct Supervisor {
    socket: OsString,
    /// How long it waits for a sign of life before it ends the process.
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// Nobody, if the environment names none.
    pub(crate) fn of_environment() -> Option<Self> {
        let socket = env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty())?;
        Some(Self { socket, watchdog: watchdog(|name| env::var(name).ok(), process::id()) })
    }

    /// Says one or several lines of sd_notify(3).
    pub(crate) fn tell(&self, text: &str) {
        if let Err(error) = send(&self.socket, text) {
            tracing::debug!(%error, text, "the supervisor was not told");
        }
    }

    /// Says what there is to say until the process closes.
    pub(crate) async fn attend(self, ctx: Context) {
        let mut readiness = ctx.ready.watch();
        let mut look = self.watchdog.map(often);
        let mut stops = false;
        self.tell(told(*readiness.borrow_and_update()));
        loop {
            tokio::select! {
                // That it stops is told even where nothing is in hand and it closes the same moment.
                biased;
                () = ctx.shutdown.cancelled(), if !stops => {
                    stops = true;
                    self.tell(told(Readiness::Draining));
                }
                () = ctx.closing().cancelled() => return,
                Ok(()) = readiness.changed(), if !stops => self.tell(told(*readiness.borrow_and_update())),
                () = next(&mut look) => self.show_life(&ctx),
            }
        }
    }

    /// A sign of life, unless a loop is stuck: then the watchdog is to end the process, and whoever
    /// starts it again finds everything in its documents. While NATS is away loops wait for it.
    fn show_life(&self, ctx: &Context) {
        let (now, Some(bound)) = (Instant::now(), self.watchdog) else { return };
        if !*ctx.bus.connected().borrow() {
            ctx.pulses().excuse(now);
        }
        match ctx.pulses().stuck(now, bound) {
            None => self.tell("WATCHDOG=1"),
            Some((name, lasted)) => {
                let seconds = lasted.as_secs();
                tracing::error!(
                    name,
                    seconds,
                    "this loop does not turn any more; the watchdog is left to end the process"
                );
            }
        }
    }
}

/// How a state reads in `systemctl status`. One that stands by is ready too.
const fn told(readiness: Readiness) -> &'static str {
    match readiness {
        Readiness::Starting => "STATUS=starting: reading what is stored",
        Readiness::Standby => "READY=1\nSTATUS=standby: another instance leads, or none yet",
        Readiness::Primary => "READY=1\nSTATUS=leading",
        Readiness::Serving => "READY=1\nSTATUS=serving",
        Readiness::Draining => "STOPPING=1\nSTATUS=finishing what is in hand",
    }
}

/// The time within which a sign of life is wanted from this very process.
fn watchdog(variable: impl Fn(&str) -> Option<String>, own: u32) -> Option<Duration> {
    let micros = variable("WATCHDOG_USEC")?.parse::<u64>().ok().filter(|micros| *micros > 0)?;
    let meant = variable("WATCHDOG_PID").is_none_or(|pid| pid.parse::<u32>() == Ok(own));
    meant.then_some(Duration::from_micros(micros))
}

/// Twice within the watchdog's time, so that one message may be lost or late.
fn often(watchdog: Duration) -> Interval {
    let mut look = interval((watchdog / 2).max(Duration::from_millis(1)));
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    look
}

async fn next(look: &mut Option<Interval>) {
    match look {
        Some(look) => {
            look.tick().await;
        }
        None => std::future::pending().await,
    }
}

/// Connects anew for each message: there are few, and systemd may have been started anew meanwhile.
fn send(socket: &OsStr, text: &str) -> io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    let sender = UnixDatagram::unbound()?;
    sender.set_nonblocking(true)?;
    sender.connect_addr(&address)?;
    sender.send(text.as_bytes()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdogs_time_is_for_the_process_that_it_names() {
        let of = |usec: &str, pid: Option<&str>| {
            let pid = pid.map(str::to_owned);
            watchdog(|name| if name == "WATCHDOG_PID" { pid.clone() } else { Some(usec.to_owned()) }, 7)
        };
        assert_eq!(of("60000000", None), Some(Duration::from_secs(60)));
        assert_eq!(of("60000000", Some("7")), Some(Duration::from_secs(60)));
        assert_eq!(of("60000000", Some("8")), None);
        assert_eq!((of("0", None), of("soon", None)), (None, None));
        assert_eq!(watchdog(|_| None, 7), None);
    }

    #[test]
    fn a_message_arrives_at_a_path_and_at_an_abstract_name() {
        let folder = watari_testkit::TempDir::new();
        let path = folder.path().join("notify");
        let name = format!("watari-notify-{}", process::id());
        let abstract_name = SocketAddr::from_abstract_name(&name).unwrap();
        for (heard, socket) in [
            (UnixDatagram::bind(&path).unwrap(), path.into_os_string()),
            (UnixDatagram::bind_addr(&abstract_name).unwrap(), OsString::from(format!("@{name}"))),
        ] {
            heard.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            Supervisor { socket, watchdog: None }.tell("READY=1");
            let mut text = [0; 32];
            let length = heard.recv(&mut text).unwrap();
            assert_eq!(&text[..length], b"READY=1");
        }
    }

    #[test]
    fn a_supervisor_that_does_not_listen_holds_nobody_up() {
        let folder = watari_testkit::TempDir::new();
        let path = folder.path().join("notify");
        let _deaf = UnixDatagram::bind(&path).unwrap();
        let full = |sent: io::Result<()>| sent.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        assert!((0..100_000).any(|_| full(send(path.as_os_str(), "WATCHDOG=1"))), "its queue never fills up");
        assert!(send(OsStr::new("/nonexistent/notify"), "READY=1").is_err());
    }
}
