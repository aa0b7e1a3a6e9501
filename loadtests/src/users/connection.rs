//! One TCP connection to the echo port, held open.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    time::timeout,
};

use super::Connection;
use crate::gap::Gap;

/// The connection.
pub(super) struct Open {
    stream: TcpStream,
}

impl Open {
    /// Opens it and waits for the first echo.
    pub(super) async fn connect(server: Ipv4Addr) -> anyhow::Result<Self> {
        let mut stream = timeout(Duration::from_secs(10), TcpStream::connect((server, 7)))
            .await
            .context("the echo port does not answer")??;
        stream.set_nodelay(true)?;
        stream.write_all(b"w").await?;
        timeout(Duration::from_secs(10), stream.read_u8()).await.context("no echo")??;
        Ok(Self { stream })
    }

    /// Sends a byte now and then, until `stop`; it survived if every byte came back in order.
    pub(super) async fn keep(self, every: Duration, mut stop: watch::Receiver<bool>) -> Connection {
        let (mut from, mut to) = self.stream.into_split();
        let reader = tokio::spawn(async move {
            let mut gap = Gap::default();
            let (mut echoes, mut in_order, mut expected) = (0_u64, true, 0_u8);
            let mut buffer = [0_u8; 512];
            gap.seen(Instant::now());
            while let Ok(Ok(read @ 1..)) = timeout(Duration::from_secs(60), from.read(&mut buffer)).await {
                for byte in &buffer[..read] {
                    in_order &= *byte == expected;
                    expected = expected.wrapping_add(1);
                    echoes += 1;
                }
                gap.seen(Instant::now());
            }
            (echoes, in_order, gap.longest_ms(Instant::now()))
        });
        let mut sent = 0_u64;
        let mut pace = tokio::time::interval(every);
        let mut broken = false;
        loop {
            tokio::select! {
                _ = pace.tick() => {
                    #[allow(clippy::cast_possible_truncation, reason = "the pattern counts modulo 256")]
                    if to.write_u8(sent as u8).await.is_err() {
                        broken = true;
                        break;
                    }
                    sent += 1;
                }
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        // Our end is closed; the echo server answers what is under way and closes too, which
        // ends the reader. So every byte that was sent is waited for.
        let _ = to.shutdown().await;
        let (echoes, in_order, longest_gap_ms) = reader.await.unwrap_or((0, false, u64::MAX));
        Connection { survived: !broken && in_order && echoes == sent, longest_gap_ms, echoes }
    }
}
