//! A real PostgreSQL server, for histories that are kept on one.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

use crate::{TempDir, free_port};

const START: Duration = Duration::from_secs(60);
/// Where Debian puts each version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// PostgreSQL does not run as root.
const NOBODY: u32 = 65_534;
const USER: &str = "watari";
const PASSWORD: &str = "secret of a test";

/// A server of its own for one test. Dropped, it is ended and its data are removed.
#[derive(Debug)]
pub struct PostgresServer {
    port: u16,
    programs: PathBuf,
    child: Option<Child>,
    databases: AtomicU32,
    dir: TempDir,
}

impl PostgresServer {
    /// Starts a server on a free port of the loopback, which wants a password.
    ///
    /// # Panics
    /// If PostgreSQL is not installed or does not start, with its log.
    #[must_use]
    pub fn start() -> Self {
        let dir = TempDir::new();
        if is_root() {
            chown(dir.path(), Some(NOBODY), Some(NOBODY))
                .unwrap_or_else(|e| panic!("cannot give the folder away: {e}"));
        }
        let databases = AtomicU32::new(0);
        let mut server = Self { port: free_port(), programs: newest(), child: None, databases, dir };
        fs::write(server.password_file(), format!("{PASSWORD}\n")).unwrap_or_else(|e| panic!("no password: {e}"));
        server.run(
            server
                .program("initdb")
                .args(["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", "--username", USER])
                .arg("--pwfile")
                .arg(server.password_file())
                .arg("--pgdata")
                .arg(server.data()),
        );
        server.launch();
        server
    }

    /// The file whose first line is the password.
    #[must_use]
    pub fn password_file(&self) -> PathBuf {
        self.dir.path().join("password")
    }

    /// Makes an empty database, and tells its URL, without the password.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn database(&self) -> String {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.run(self.program("createdb").env("PGPASSWORD", PASSWORD).args(self.address()).args(["-U", USER, &name]));
        format!("postgres://{USER}@127.0.0.1:{}/{name}", self.port)
    }

    /// Ends it at once, as a power cut would; the data stay.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // The server ends its processes, which otherwise hold on to the data for a while. It may have ended by itself.
            let _ = self
                .program("pg_ctl")
                .args(["stop", "--mode=immediate", "--silent", "--pgdata"])
                .arg(self.data())
                .status();
            let _ = child.wait();
        }
    }

    /// Starts it again on the same port with the same data, ending it first if it runs.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart(&mut self) {
        self.kill();
        self.launch();
    }

    fn launch(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.log());
        let log = log.unwrap_or_else(|e| panic!("cannot write the log: {e}"));
        let mut command = self.program("postgres");
        command.arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]);
        // What a test writes need not outlive it.
        for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "shared_buffers=16MB"] {
            command.args(["-c", setting]);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        self.child = Some(child.unwrap_or_else(|e| panic!("cannot start postgres: {e}")));
        let until = Instant::now() + START;
        while !self.answers() {
            let ended = self.child.as_mut().and_then(|c| c.try_wait().ok().flatten());
            let told = || fs::read_to_string(self.log()).unwrap_or_default();
            assert!(ended.is_none() && Instant::now() < until, "PostgreSQL does not start:\n{}", told());
            sleep(Duration::from_millis(20));
        }
    }

    fn answers(&self) -> bool {
        self.program("pg_isready").arg("--quiet").args(self.address()).status().is_ok_and(|status| status.success())
    }

    fn address(&self) -> [String; 4] {
        ["-h".to_owned(), "127.0.0.1".to_owned(), "-p".to_owned(), self.port.to_string()]
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("postgres.log")
    }

    /// One of PostgreSQL's programs, as somebody who may run it.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.current_dir(self.dir.path());
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    fn run(&self, command: &mut Command) {
        let ran = command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("cannot run {command:?}: {e}"));
        assert!(ran.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ran.stderr));
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|us| us.uid() == 0)
}

/// The folder with the programs of the newest version.
fn newest() -> PathBuf {
    let versions = fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let numbered = versions.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let programs = |version: u32| Path::new(VERSIONS).join(version.to_string()).join("bin");
    let newest = numbered.filter(|version| programs(*version).join("initdb").exists()).max();
    programs(newest.unwrap_or_else(|| panic!("PostgreSQL is not installed; deploy/prerequisites installs it")))
}
