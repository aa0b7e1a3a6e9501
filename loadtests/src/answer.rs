//! Reading an answer of HTTP/1.1 from a connection that stays open, and a single page.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, ensure};

/// How long a page may pause.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads a page of a guest's web server, which must take the call in this time.
pub(crate) fn page(address: &str, path: &str, call: Duration) -> anyhow::Result<String> {
    page_of(format!("{address}:80").parse()?, path, call)
}

/// The same of whoever serves pages.
pub(crate) fn page_of(server: SocketAddr, path: &str, call: Duration) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect_timeout(&server, call)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let (status, text) = read(&mut BufReader::new(stream))?;
    ensure!(status == 200, "http://{server}{path} is answered with {status}");
    Ok(text)
}

/// Reads one answer whose length is told, or that has no text: the status and the text.
pub(crate) fn read(stream: &mut impl BufRead) -> anyhow::Result<(u16, String)> {
    let mut line = String::new();
    stream.read_line(&mut line).context("no answer")?;
    let status: u16 = line.split(' ').nth(1).context("no status")?.parse()?;
    let mut length: usize = 0;
    while !line.trim_end().is_empty() {
        line.clear();
        stream.read_line(&mut line)?;
        if let Some(told) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = told.trim().parse()?;
        }
    }
    let mut text = vec![0_u8; length];
    stream.read_exact(&mut text)?;
    Ok((status, String::from_utf8(text)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_one_after_the_other() {
        let mut stream = &b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyesHTTP/1.1 204 No Content\r\n\r\n"[..];
        assert_eq!(read(&mut stream).unwrap(), (200, "yes".to_owned()));
        assert_eq!(read(&mut stream).unwrap(), (204, String::new()));
        assert!(read(&mut stream).is_err(), "the connection is closed");
    }
}
