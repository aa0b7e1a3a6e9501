//! A line that breaks: forwards TCP, and cuts each connection after a number of bytes.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

pub struct Proxy {
    pub address: SocketAddr,
    /// Bytes that each further connection may bring from the server before it is cut.
    pub allowance: Arc<AtomicU64>,
    /// Connections cut so far.
    pub cuts: Arc<AtomicUsize>,
}

impl Proxy {
    pub async fn to(server: SocketAddr, allowance: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            allowance: Arc::new(AtomicU64::new(allowance)),
            cuts: Arc::default(),
        };
        let (allowance, cuts) = (Arc::clone(&proxy.allowance), Arc::clone(&proxy.cuts));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (left, cuts) = (allowance.load(Ordering::SeqCst), Arc::clone(&cuts));
                tokio::spawn(async move {
                    if forward(client, server, left).await {
                        cuts.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        proxy
    }
}

/// Whether the connection was cut by us.
async fn forward(client: TcpStream, server: SocketAddr, mut left: u64) -> bool {
    let Ok(server) = TcpStream::connect(server).await else { return false };
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let up = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
    let mut buffer = vec![0; 16 << 10];
    let cut = loop {
        match from_server.read(&mut buffer).await {
            Ok(n) if n > 0 => {
                let pass = n.min(usize::try_from(left).unwrap_or(n));
                if to_client.write_all(&buffer[..pass]).await.is_err() {
                    break false;
                }
                left -= pass as u64;
                if left == 0 {
                    break true;
                }
            }
            _ => break false,
        }
    };
    up.abort();
    cut
}
