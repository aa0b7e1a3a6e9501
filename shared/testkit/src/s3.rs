//! A real server of others that speaks S3: moto's, which keeps everything in memory.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use crate::{TempDir, free_port};

const START: Duration = Duration::from_secs(60);

/// An S3 server of its own for one test, with one bucket. Dropped, it is killed, and everything in it is gone.
#[derive(Debug)]
pub struct S3Server {
    port: u16,
    log: PathBuf,
    child: Child,
    _dir: TempDir,
}

impl S3Server {
    /// The bucket that is there. Any credentials will do.
    pub const BUCKET: &str = "images";

    /// Starts a server on a free port of the loopback.
    ///
    /// # Panics
    /// If moto_server is not installed or does not start, with its log.
    #[must_use]
    pub fn start() -> Self {
        let (port, dir) = (free_port(), TempDir::new());
        let log = dir.path().join("s3.log");
        let written = File::create(&log).unwrap_or_else(|e| panic!("cannot write {}: {e}", log.display()));
        let child = Command::new("moto_server")
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(written)
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start moto_server ({e}); deploy/prerequisites installs it"));
        let mut server = Self { port, log, child, _dir: dir };
        server.wait_until_it_has_a_bucket();
        server
    }

    fn wait_until_it_has_a_bucket(&mut self) {
        let until = Instant::now() + START;
        while !self.makes_the_bucket() {
            let ended = self.child.try_wait().ok().flatten();
            assert!(ended.is_none() && Instant::now() < until, "moto_server does not start:\n{}", self.log());
            sleep(Duration::from_millis(20));
        }
    }

    fn makes_the_bucket(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(self.address()) else { return false };
        let request =
            format!("PUT /{} HTTP/1.0\r\nHost: {}\r\nContent-Length: 0\r\n\r\n", Self::BUCKET, self.address());
        let mut answer = String::new();
        let asked = stream.set_read_timeout(Some(Duration::from_secs(10))).and_then(|()| {
            stream.write_all(request.as_bytes())?;
            stream.read_to_string(&mut answer)
        });
        asked.is_ok() && answer.split(' ').nth(1) == Some("200")
    }

    /// Where it listens, in plain HTTP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
