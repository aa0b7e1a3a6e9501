//! Asking the server on the loopback.

use std::{io, net::SocketAddr, time::Duration};

use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::answers::{Jetstream, Server, Sight};

/// How long both answers may take together: Prometheus waits longer.
const BOUND: Duration = Duration::from_secs(3);
/// The largest answer that is read, in bytes: a stream takes less than a thousand, and there is one a bucket.
const LARGEST: u64 = 4 << 20;

/// What the server says of itself; none if it does not.
pub(super) async fn look(server: SocketAddr) -> Option<Sight> {
    let both = async {
        let varz: Server = get(server, "/varz").await.ok()?;
        let jsz: Jetstream = get(server, "/jsz?accounts=true&streams=true").await.ok()?;
        Some(Sight::of(&varz, &jsz))
    };
    timeout(BOUND, both).await.ok().flatten()
}

/// By HTTP/1.0, whose answers have neither pieces nor a connection that stays: no client is worth its weight for
/// two questions over the loopback.
async fn get<T: DeserializeOwned>(server: SocketAddr, path: &str) -> io::Result<T> {
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(LARGEST).read_to_end(&mut answer).await?;
    let strange = || io::Error::new(io::ErrorKind::InvalidData, "it does not answer as a NATS server does");
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").ok_or_else(strange)?;
    let (head, body) = answer.split_at(end + 4);
    let status = head.split(|byte| *byte == b' ').nth(1);
    if status != Some(b"200") {
        return Err(strange());
    }
    Ok(serde_json::from_slice(body)?)
}
