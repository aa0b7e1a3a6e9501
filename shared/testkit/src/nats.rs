//! A real nats-server with JetStream, configured as Watari's own: every acknowledged write is on
//! the disk.

use std::{
    fs,
    io::Read,
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use futures_util::TryStreamExt;

use crate::{TempDir, free_port};

const START: Duration = Duration::from_secs(20);

/// A nats-server of its own for one test. Dropped, it is killed and its store removed.
#[derive(Debug)]
pub struct NatsServer {
    pub(crate) port: u16,
    config: PathBuf,
    log: PathBuf,
    child: Option<Child>,
    dir: TempDir,
}

impl NatsServer {
    /// Starts a server on a free port of the loopback.
    ///
    /// # Panics
    /// If nats-server is not installed or does not start, with its log.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// The same with more configuration, such as users and their permissions.
    ///
    /// # Panics
    /// As [`NatsServer::start`].
    #[must_use]
    pub fn start_with(more: &str) -> Self {
        let mut server = Self::prepared(free_port(), more);
        server.launch();
        server.wait_until_it_answers();
        server
    }

    pub(crate) fn prepared(port: u16, more: &str) -> Self {
        let dir = TempDir::new();
        let store = dir.path().join("store");
        let (config, log) = (dir.path().join("nats.conf"), dir.path().join("nats.log"));
        let text = format!(
            "listen: \"127.0.0.1:{port}\"\nlog_file: {log:?}\n\
             jetstream {{ store_dir: {store:?}, sync_interval: always, max_mem: 64M, max_file: 1G }}\n{more}\n"
        );
        fs::write(&config, text).unwrap_or_else(|e| panic!("cannot write {}: {e}", config.display()));
        Self { port, config, log, child: None, dir }
    }

    pub(crate) fn launch(&mut self) {
        let mut command = Command::new("nats-server");
        command.arg("-c").arg(&self.config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start nats-server ({e}); deploy/prerequisites installs it"));
        self.child = Some(child);
    }

    pub(crate) fn wait_until_it_answers(&mut self) {
        let until = Instant::now() + START;
        while !self.answers() {
            let ended = self.child.as_mut().and_then(|c| c.try_wait().ok().flatten());
            assert!(ended.is_none() && Instant::now() < until, "nats-server does not start:\n{}", self.log());
            sleep(Duration::from_millis(10));
        }
    }

    /// A NATS server speaks first. (JetStream is ready before the port is open.)
    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        let mut word = [0; 4];
        stream.set_read_timeout(Some(Duration::from_secs(1))).is_ok()
            && stream.read_exact(&mut word).is_ok()
            && &word == b"INFO"
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Asks with a header that a server would set elsewhere, and gives the answer's text.
    ///
    /// # Panics
    /// If nobody answers with text.
    pub async fn ask_with(&self, subject: &str, (header, value): (&str, &str), payload: &str) -> String {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert(header, value);
        let client = async_nats::connect(self.url()).await.unwrap_or_else(|e| panic!("no connection: {e}"));
        let asked = client.request_with_headers(subject.to_owned(), headers, payload.to_owned().into()).await;
        let answer = asked.unwrap_or_else(|e| panic!("{subject}: {e}"));
        String::from_utf8(answer.payload.to_vec()).unwrap_or_else(|e| panic!("{subject}: {e}"))
    }

    /// By what a bucket is watched: a name for each watch.
    ///
    /// # Panics
    /// If the server does not tell it.
    pub async fn watches(&self, bucket: &str) -> Vec<String> {
        let told = self.stream_of(bucket).await.consumer_names().try_collect().await;
        told.unwrap_or_else(|e| panic!("the watches of {bucket} are not told: {e}"))
    }

    /// Takes from all who watch a bucket what they watch it by: from here on their copies get older, without their noticing
    /// it for some seconds.
    ///
    /// # Panics
    /// If the server does not do it.
    pub async fn make_copies_old(&self, bucket: &str) {
        let stream = self.stream_of(bucket).await;
        for watch in self.watches(bucket).await {
            stream.delete_consumer(&watch).await.unwrap_or_else(|e| panic!("{watch} stays: {e}"));
        }
    }

    async fn stream_of(&self, bucket: &str) -> async_nats::jetstream::stream::Stream {
        let client = async_nats::connect(self.url()).await.unwrap_or_else(|e| panic!("no connection: {e}"));
        let stream = async_nats::jetstream::new(client).get_stream(format!("KV_{bucket}")).await;
        stream.unwrap_or_else(|e| panic!("no bucket {bucket}: {e}"))
    }

    /// Its process, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The folder that goes with it, for keys and the like.
    #[must_use]
    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Kills it (SIGKILL), as a power cut would; the store stays.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again on the same port with the same store, killing it first if it runs.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart(&mut self) {
        self.kill();
        self.launch();
        self.wait_until_it_answers();
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}
