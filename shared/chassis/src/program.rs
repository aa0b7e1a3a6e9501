//! What every program has in common that a service runs for others: where it is looked for, how much of what it
//! says is heard, and how one is confined that reads hostile files.

mod sandbox;

pub use sandbox::{Confined, Ended, NotRun, Ran, Run, Sandbox};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Where programs are looked for, whatever this process itself was started with.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Reads up to `most` bytes and swallows the rest, so that the program is not held up. What cannot be read is lost.
pub async fn bounded(pipe: Option<impl AsyncRead + Unpin>, most: u64) -> Vec<u8> {
    let mut kept = Vec::new();
    if let Some(mut pipe) = pipe {
        let _ = (&mut pipe).take(most).read_to_end(&mut kept).await;
        let _ = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn as_much_is_kept_as_may_be_and_all_of_it_is_read() {
        let mut said = &b"on and on and on"[..];
        assert_eq!(bounded(Some(&mut said), 6).await, b"on and");
        assert!(said.is_empty(), "the program would wait for a reader");
        assert!(bounded(None::<&[u8]>, 6).await.is_empty());
    }
}
