//! Asking a server whether it answers. What is at the other end is anybody's: it is bounded in time and bytes, and
//! of what it says only the first line is looked at.

use std::{
    io::{self, ErrorKind},
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream},
    net::TcpStream,
    time::timeout,
};
use watari_contracts::probe::{Trouble, Unasked};
use watari_model::vm::Probe;

use super::echo::echo;

/// The longest first line that is read, in bytes; RFC 5321 allows a greeting 512.
const MOST_BYTES: u64 = 1_024;

/// Asks once, and says what came of it; or why it could not be asked. It takes no longer than `bound`.
pub(super) async fn ask(probe: &Probe, to: Ipv4Addr, bound: Duration) -> Result<Result<(), Trouble>, Unasked> {
    let answer = async {
        match probe {
            Probe::Tcp { port } | Probe::Smtp { port } | Probe::Http { port, .. } => {
                Ok(exchange(probe, SocketAddr::from((to, *port))).await)
            }
            Probe::Icmp => echo(to).await,
        }
    };
    timeout(bound, answer).await.unwrap_or(Ok(Err(Trouble::Silent)))
}

async fn exchange(probe: &Probe, to: SocketAddr) -> Result<(), Trouble> {
    let mut server = BufStream::new(TcpStream::connect(to).await.map_err(|error| trouble(&error))?);
    match probe {
        // An echo has no connection.
        Probe::Tcp { .. } | Probe::Icmp => Ok(()),
        Probe::Smtp { .. } => {
            let greets = first_line(&mut server).await?.starts_with(b"220");
            // It is polite to say so before one leaves, and no matter if it is not heard.
            let _ = say(&mut server, "QUIT\r\n").await;
            if greets { Ok(()) } else { Err(Trouble::Wrong) }
        }
        Probe::Http { path, .. } => {
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: {to}\r\nUser-Agent: watari\r\nConnection: close\r\n\r\n");
            say(&mut server, &request).await.map_err(|error| trouble(&error))?;
            let status = status(&first_line(&mut server).await?).ok_or(Trouble::Wrong)?;
            if status < 500 { Ok(()) } else { Err(Trouble::Wrong) }
        }
    }
}

async fn say(server: &mut BufStream<TcpStream>, text: &str) -> io::Result<()> {
    server.write_all(text.as_bytes()).await?;
    server.flush().await
}

async fn first_line(server: &mut BufStream<TcpStream>) -> Result<Vec<u8>, Trouble> {
    let mut line = Vec::new();
    server.take(MOST_BYTES).read_until(b'\n', &mut line).await.map_err(|error| trouble(&error))?;
    match line.last() {
        Some(b'\n') => Ok(line),
        Some(_) if line.len() as u64 >= MOST_BYTES => Err(Trouble::Wrong),
        _ => Err(Trouble::Closed),
    }
}

/// The status in the first line of an answer (RFC 9112, section 4).
fn status(line: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(line).ok()?;
    let status = line.strip_prefix("HTTP/1.")?.get(1..)?.strip_prefix(' ')?.get(..3)?;
    status.parse().ok().filter(|status| (100..600).contains(status))
}

pub(super) fn trouble(error: &io::Error) -> Trouble {
    match error.kind() {
        ErrorKind::ConnectionRefused => Trouble::Refused,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Trouble::Unreachable,
        ErrorKind::TimedOut => Trouble::Silent,
        _ => Trouble::Closed,
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    const BOUND: Duration = Duration::from_millis(400);

    async fn come(probe: &Probe, to: SocketAddr) -> Result<(), Trouble> {
        let SocketAddr::V4(to) = to else { panic!("{to}") };
        ask(probe, *to.ip(), BOUND).await.unwrap()
    }

    /// What becomes of a probe whose connection is taken, answered with `answer` and closed; or held without a word.
    async fn against(probe: &str, answer: Option<&'static str>) -> Result<(), Trouble> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let probe: Probe = format!("{probe}{}", to.port()).parse().unwrap();
        let served = tokio::spawn(async move {
            let (mut taken, _) = listener.accept().await.unwrap();
            match answer {
                Some(answer) => {
                    let mut heard = [0; 512];
                    // A page is asked for first; a mail server speaks first.
                    if answer.starts_with("HTTP") {
                        let read = taken.read(&mut heard).await.unwrap();
                        assert!(heard[..read].starts_with(b"GET / HTTP/1.1\r\nHost: 127.0.0.1:"));
                    }
                    taken.write_all(answer.as_bytes()).await.unwrap();
                    taken.shutdown().await.unwrap();
                    // Until the other one has read it: a reset would take it back.
                    while taken.read(&mut heard).await.is_ok_and(|read| read > 0) {}
                }
                None => std::future::pending().await,
            }
        });
        let came = come(&probe, to).await;
        served.abort();
        came
    }

    #[tokio::test]
    async fn who_answers_as_such_a_server_does_has_answered() {
        assert_eq!(against("tcp:", None).await, Ok(()));
        assert_eq!(against("smtp:", Some("220 mail.example.jp ESMTP\r\n")).await, Ok(()));
        for status in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.0 404 Not Found\r\n\r\n", "HTTP/1.1 301 Moved\r\n"] {
            assert_eq!(against("http:", Some(status)).await, Ok(()), "{status}");
        }
    }

    #[tokio::test]
    async fn who_is_silent_closes_or_says_something_else_has_not() {
        for probe in ["smtp:", "http:"] {
            assert_eq!(against(probe, None).await, Err(Trouble::Silent), "{probe}");
        }
        assert_eq!(against("smtp:", Some("")).await, Err(Trouble::Closed));
        assert_eq!(against("smtp:", Some("220 cut off")).await, Err(Trouble::Closed));
        assert_eq!(against("smtp:", Some("554 no service\r\n")).await, Err(Trouble::Wrong));
        assert_eq!(against("smtp:", Some(include_str!("ask.rs"))).await, Err(Trouble::Wrong));
        assert_eq!(against("http:", Some("HTTP/1.1 503 Overloaded\r\n\r\n")).await, Err(Trouble::Wrong));
    }

    #[tokio::test]
    async fn where_nobody_listens_it_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        drop(listener);
        let probe = Probe::Tcp { port: to.port() };
        assert_eq!(come(&probe, to).await, Err(Trouble::Refused));
    }

    #[test]
    fn only_an_answer_of_that_protocol_has_a_status() {
        let read = |line: &str| status(line.as_bytes());
        assert_eq!((read("HTTP/1.1 200 OK\r\n"), read("HTTP/1.0 404\r\n")), (Some(200), Some(404)));
        for bad in
            ["", "HTTP/1.1", "HTTP/1.1 ", "HTTP/1.1 20", "HTTP/2 200", "HTTP/1.1 999 x", "SSH-2.0-x", "HTTP/1.1 ２００"]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
