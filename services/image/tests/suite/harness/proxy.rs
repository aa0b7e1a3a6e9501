//! A line that breaks: forwards TCP, and after a number of bytes cuts the connection or goes silent.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

pub struct Proxy {
    pub address: SocketAddr,
    line: watch::Sender<Line>,
}

/// What the line still does, over all connections.
#[derive(Clone, Copy)]
struct Line {
    /// Bytes that may still come from the server.
    left: u64,
    then: Then,
    /// How often it has come to where nothing may come any more.
    points: usize,
}

/// What becomes of a connection when nothing may come any more.
#[derive(Clone, Copy, PartialEq)]
pub enum Then {
    Cut,
    /// It stays, and nothing comes. Other ones go on once more is allowed.
    Hold,
}

impl Proxy {
    /// One over which everything comes.
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let line = watch::Sender::new(Line { left: u64::MAX, then: Then::Cut, points: 0 });
        let forwarding = line.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, server, forwarding.clone()));
            }
        });
        Self { address, line }
    }

    /// Lets so many bytes more come from the server.
    pub fn allow(&self, left: u64, then: Then) {
        self.line.send_modify(|line| (line.left, line.then) = (left, then));
    }

    /// How often it has come to where nothing may come any more.
    pub fn points(&self) -> usize {
        self.line.borrow().points
    }
}

async fn forward(client: TcpStream, server: SocketAddr, line: watch::Sender<Line>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let up = async { tokio::io::copy(&mut from_client, &mut to_server).await };
    let down = async {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(n @ 1..) = from_server.read(&mut buffer).await {
            let mut rest = &buffer[..n];
            while !rest.is_empty() {
                let (pass, end) = take(&line, rest.len()).await;
                if to_client.write_all(&rest[..pass]).await.is_err() || end == Some(Then::Cut) {
                    return;
                }
                if end == Some(Then::Hold) {
                    std::future::pending::<()>().await;
                }
                rest = &rest[pass..];
            }
        }
    };
    // Whose client has gone is not waited for.
    tokio::select! {
        _ = up => {}
        () = down => {}
    }
}

/// How many bytes may come, at most so many as are wanted, and what becomes of the connection behind them.
async fn take(line: &watch::Sender<Line>, wanted: usize) -> (usize, Option<Then>) {
    let mut opened = line.subscribe();
    loop {
        let mut taken = (0, None);
        line.send_if_modified(|line| {
            let pass = line.left.min(wanted as u64);
            line.left -= pass;
            taken = (pass as usize, (line.left == 0).then_some(line.then));
            let at_point = pass > 0 && line.left == 0;
            line.points += usize::from(at_point);
            at_point
        });
        if taken != (0, Some(Then::Hold)) {
            return taken;
        }
        drop(opened.wait_for(|line| line.left > 0).await);
    }
}
