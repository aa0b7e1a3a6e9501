//! One life of the server: its name, its store, its process.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    time::timeout,
};
use watari_chassis::generation;

use crate::{Error, Settings};

/// Holds the number of the present life.
const NUMBER: &str = "life";
/// How long a server may take to stop before it is killed.
const STOPPING: Duration = Duration::from_secs(20);

/// A life, counted from 1.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    host: String,
    config: PathBuf,
    root: PathBuf,
    number: u32,
}

impl Life {
    /// The present life; none before the first.
    pub(crate) fn find(settings: &Settings) -> Result<Option<Self>, Error> {
        let path = settings.store.join(NUMBER);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let number = text.trim().parse().map_err(|_| Error::Settings(format!("{} holds no number", path.display())))?;
        Ok(Some(Self::numbered(settings, number)))
    }

    /// The first life.
    pub(crate) fn first(settings: &Settings) -> Result<Self, Error> {
        let first = Self::numbered(settings, 1);
        first.keep()?;
        Ok(first)
    }

    fn numbered(settings: &Settings, number: u32) -> Self {
        let Settings { host, config, store, .. } = settings;
        Self { host: host.clone(), config: config.clone(), root: store.clone(), number }
    }

    /// The next one, with a store that is empty. That of this one stays for the time being: what it
    /// holds has been copied from others, but it is not thrown away in the same moment. Older ones go.
    pub(crate) fn next(&self) -> Result<Self, Error> {
        let next = Self { number: self.number + 1, ..self.clone() };
        remove(&next.store())?;
        next.keep()?;
        for old in 1..self.number {
            remove(&Self { number: old, ..self.clone() }.store())?;
        }
        Ok(next)
    }

    /// Remembers the number over a power cut.
    fn keep(&self) -> Result<(), Error> {
        keep(&self.root, NUMBER, &format!("{}\n", self.number))
    }

    /// What the server of the next one is called.
    pub(crate) fn next_name(&self) -> String {
        generation(&self.host, self.number + 1)
    }

    /// What the server is called.
    pub(crate) fn name(&self) -> String {
        generation(&self.host, self.number)
    }

    fn store(&self) -> PathBuf {
        self.root.join(self.name())
    }

    /// Whether its store is that of a server of a cluster: it holds what the servers have agreed upon.
    pub(crate) fn is_clustered(&self) -> Result<bool, Error> {
        let accounts = match fs::read_dir(self.store().join("jetstream")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            read => read?,
        };
        for account in accounts {
            if account?.path().join("_js_/_meta_").is_dir() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Starts the server. It dies with this process, however that dies.
    pub(crate) fn start(&self) -> Result<Child, Error> {
        self.start_as(&self.config)
    }

    /// Starts it with another configuration.
    pub(crate) fn start_as(&self, config: &Path) -> Result<Child, Error> {
        start(config, &self.name(), &self.store())
    }

    /// Has the server read its configuration again.
    pub(crate) fn reload(&self, server: &Child) -> Result<(), Error> {
        signal(server, Signal::HUP)
    }

    /// Stops the server in order.
    pub(crate) async fn stop(&self, server: &mut Child) -> Result<(), Error> {
        stop(server).await
    }
}

/// Stops a server in order.
pub(crate) async fn stop(server: &mut Child) -> Result<(), Error> {
    signal(server, Signal::TERM)?;
    if timeout(STOPPING, server.wait()).await.is_err() {
        server.kill().await?;
    }
    Ok(())
}

/// Starts a server, which dies with this process.
pub(crate) fn start(config: &Path, name: &str, store: &Path) -> Result<Child, Error> {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", "nats-server", "-c"]).arg(config);
    command.env("WATARI_NATS_NAME", name).env("WATARI_NATS_STORE", store);
    Ok(command.stdin(Stdio::null()).kill_on_drop(true).spawn()?)
}

/// Writes a small file so that it is there after a power cut, or is as it was.
pub(crate) fn keep(folder: &Path, name: &str, text: &str) -> Result<(), Error> {
    fs::create_dir_all(folder)?;
    let fresh = folder.join(format!("{name}.new"));
    fs::write(&fresh, text)?;
    fs::File::open(&fresh)?.sync_all()?;
    fs::rename(&fresh, folder.join(name))?;
    fs::File::open(folder)?.sync_all()?;
    Ok(())
}

/// Sends a signal to the server, unless it has ended.
fn signal(server: &Child, signal: Signal) -> Result<(), Error> {
    if let Some(pid) = server.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw) {
        kill_process(pid, signal).map_err(io::Error::from)?;
    }
    Ok(())
}

pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
