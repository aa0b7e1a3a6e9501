//! Reading an answer of HTTP/1.1 from a connection that stays open.

use std::io::BufRead;

use anyhow::Context;

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
