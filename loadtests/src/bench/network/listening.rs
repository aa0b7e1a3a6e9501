//! Listening from the lab's client to a server that is carried: to echoes of datagrams, and to pages over one connection.

use std::{
    io::{BufReader, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, ensure};

use crate::{answer, gap::Gap, lab::Lab};

/// Between two datagrams, and between a page and the next question.
const EVERY: Duration = Duration::from_millis(5);
/// Who is silent for longer is not waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// The guest's echo: see deploy/guest/build.
const ECHO: u16 = 7;
const HTTP: u16 = 80;
const QUESTION: &[u8] = b"GET /uptime HTTP/1.1\r\nHost: guest\r\n\r\n";

/// The longest silences, in milliseconds.
pub(super) struct Silent {
    pub(super) udp_ms: f64,
    pub(super) http_ms: f64,
}

/// Does it while the server at the address is heard, and listens until it is heard afterwards.
///
/// # Errors
/// What the act says, or when the server is not heard again or its connection does not survive.
pub(super) fn while_heard<T>(
    lab: &Lab,
    address: &str,
    act: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<(T, Silent)> {
    let (datagrams, mut pages) = (Datagrams::to(lab, address)?, Pages::of(lab, address)?);
    // Whoever has been spoken to before has been found in the network.
    pages.ask().context("the web server does not answer")?;
    let over = AtomicBool::new(false);
    let (done, udp, http) = thread::scope(|scope| {
        let echoes = scope.spawn(|| datagrams.keep_sending(&over));
        let read = scope.spawn(|| pages.keep_reading(&over));
        let done = act();
        over.store(true, Ordering::Relaxed);
        (done, echoes.join(), read.join())
    });
    let done = done?;
    let fell = || anyhow!("a listener fell");
    let (udp, http) = (udp.map_err(|_| fell())??, http.map_err(|_| fell())??);
    let millis = |silence: Duration| silence.as_secs_f64() * 1000.0;
    Ok((done, Silent { udp_ms: millis(udp), http_ms: millis(http) }))
}

/// Datagrams that the guest echoes.
struct Datagrams(UdpSocket);

impl Datagrams {
    fn to(lab: &Lab, address: &str) -> anyhow::Result<Self> {
        let socket = lab.within("client", || {
            let socket = UdpSocket::bind(("0.0.0.0", 0))?;
            socket.connect((address, ECHO))?;
            Ok(socket)
        })?;
        socket.set_read_timeout(Some(EVERY * 20))?;
        Ok(Self(socket))
    }

    /// Sends until an echo comes after `over`; the longest time between two echoes.
    fn keep_sending(&self, over: &AtomicBool) -> anyhow::Result<Duration> {
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    // What the network says of one that did not arrive is silence, too.
                    let _ = self.0.send(b"echo");
                    thread::sleep(EVERY);
                }
            });
            let heard = self.keep_listening(over);
            ended.store(true, Ordering::Relaxed);
            heard
        })
    }

    fn keep_listening(&self, over: &AtomicBool) -> anyhow::Result<Duration> {
        let (mut gap, mut last, mut buffer) = (Gap::default(), Instant::now(), [0; 16]);
        loop {
            if self.0.recv(&mut buffer).is_ok() {
                last = Instant::now();
                gap.seen(last);
                if over.load(Ordering::Relaxed) {
                    return Ok(gap.longest(last));
                }
            }
            ensure!(last.elapsed() < PATIENCE, "no echo for {} s", PATIENCE.as_secs());
        }
    }
}

/// Pages over one connection.
struct Pages(BufReader<TcpStream>);

impl Pages {
    fn of(lab: &Lab, address: &str) -> anyhow::Result<Self> {
        let server: SocketAddr = format!("{address}:{HTTP}").parse()?;
        let stream = lab.within("client", || Ok(TcpStream::connect_timeout(&server, PATIENCE)?))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(stream)))
    }

    fn ask(&mut self) -> anyhow::Result<()> {
        self.0.get_mut().write_all(QUESTION)?;
        let (status, _) = answer::read(&mut self.0)?;
        ensure!(status == 200, "the page is answered with {status}");
        Ok(())
    }

    /// Reads until a page comes after `over`; the longest time between two pages.
    fn keep_reading(&mut self, over: &AtomicBool) -> anyhow::Result<Duration> {
        let mut gap = Gap::default();
        loop {
            self.ask().context("the connection did not survive")?;
            let now = Instant::now();
            gap.seen(now);
            if over.load(Ordering::Relaxed) {
                return Ok(gap.longest(now));
            }
            thread::sleep(EVERY);
        }
    }
}
