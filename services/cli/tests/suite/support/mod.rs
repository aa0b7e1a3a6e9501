//! A cloud's bus as `watari setup` configures it: a real nats-server, on a free port of the
//! loopback, with the generated keys and certificates.

#![allow(
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "its items are for the other files of this program, and a test may end where it stands"
)]

pub mod stub;
pub mod terminal;
pub mod wire;

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use watari_testkit::{TempDir, free_port};

/// What is waited for is there within this, or never.
const SOON: Duration = Duration::from_secs(30);
/// Between two looks at what is waited for.
const PAUSE: Duration = Duration::from_millis(10);

/// Two sites, one front end (so that one server is the whole cluster), two nodes, a client.
pub const CLUSTER: &str = r#"
name = "test"
[[site]]
name = "myodaiji"
title = "明大寺"
[[site]]
name = "yamate"
[[host]]
name = "m-front"
role = "front"
site = "myodaiji"
address = "127.0.0.1"
[[host]]
name = "m1"
role = "node"
site = "myodaiji"
address = "127.0.0.11"
[[host]]
name = "y1"
role = "node"
site = "yamate"
address = "127.0.0.21"
[[host]]
name = "client"
role = "client"
address = "127.0.0.10"
"#;

/// Beside those, a front end on the other campus and a witness: NATS has three servers.
pub const THREE: &str = r#"
[[host]]
name = "y-front"
role = "front"
site = "yamate"
address = "127.0.0.2"
[[host]]
name = "witness"
role = "witness"
address = "127.0.0.3"
"#;

/// The files of `watari setup` in a folder of their own.
pub struct Files {
    dir: TempDir,
}

impl Files {
    pub fn make(cluster: &str) -> Self {
        let dir = TempDir::new();
        fs::write(dir.path().join("cluster.toml"), cluster).unwrap();
        let files = Self { dir };
        let run = files.setup(&[]);
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        files
    }

    /// Runs `watari setup` (again).
    pub fn setup(&self, more: &[&str]) -> std::process::Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_watari"));
        command.args(["--lang", "en", "setup", "--cluster"]).arg(self.path("cluster.toml"));
        command.arg("--out").arg(self.path("out")).args(more).output().unwrap()
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// A file of a host, by its absolute path there without the slash.
    pub fn of_host(&self, host: &str, path: &str) -> PathBuf {
        self.path("out/hosts").join(host).join(path)
    }

    pub fn read(&self, host: &str, path: &str) -> String {
        let path = self.of_host(host, path);
        fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    pub fn seed_file(&self, identity: &str) -> PathBuf {
        self.path("out/nkeys").join(format!("{identity}.nk"))
    }

    pub fn authority(&self) -> PathBuf {
        self.path("out/ca/ca.crt")
    }
}

/// A nats-server with a generated configuration.
pub struct Server {
    pub port: u16,
    log: PathBuf,
    child: Child,
}

impl Server {
    /// Starts `host`'s server as its generated file says, save that ports and paths, which are
    /// those of a whole machine, become the test's own. `ports` maps `ADDRESS:PORT` to another.
    pub fn start(files: &Files, host: &str, port: u16, ports: &[(String, String)]) -> Self {
        let log = files.path(&format!("{host}.log"));
        let path = Self::configure(files, host, ports);
        let child = Command::new("nats-server")
            .arg("-c")
            .arg(&path)
            .env("WATARI_NATS_NAME", host)
            .env("WATARI_NATS_STORE", files.path(&format!("{host}.store")))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats-server is installed by deploy/prerequisites");
        let mut server = Self { port, log, child };
        server.wait();
        server
    }

    /// Writes `host`'s configuration as it is generated now.
    fn configure(files: &Files, host: &str, ports: &[(String, String)]) -> PathBuf {
        let log = files.path(&format!("{host}.log"));
        let mut config = files.read(host, "etc/nats/nats.conf");
        let root = files.of_host(host, "etc/watari/");
        config = config.replace("\"/etc/watari/", &format!("\"{}/", root.display().to_string().trim_end_matches('/')));
        config = config.replace("http: \"127.0.0.1:8222\"", &format!("log_file: {log:?}"));
        for (from, to) in ports {
            config = config.replace(&format!("{from}\""), &format!("{to}\""));
        }
        let path = files.path(&format!("{host}.conf"));
        fs::write(&path, config).unwrap();
        path
    }

    /// Has it read its configuration again, as `watari-nats` does.
    pub fn reload(&self, files: &Files, host: &str, ports: &[(String, String)]) {
        Self::configure(files, host, ports);
        let told = Command::new("nats-server").arg("--signal").arg(format!("reload={}", self.child.id())).status();
        assert!(told.unwrap().success());
    }

    fn wait(&mut self) {
        eventually(|| {
            let mut word = [0; 4];
            let answers = TcpStream::connect(("127.0.0.1", self.port)).and_then(|mut s| s.read_exact(&mut word));
            if answers.is_ok() && &word == b"INFO" {
                return Ok(());
            }
            let why = format!("nats-server does not start:\n{}", self.log());
            assert!(self.child.try_wait().ok().flatten().is_none(), "{why}");
            Err(why)
        });
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One front end's bus.
pub struct Cloud {
    pub server: Server,
    pub files: Files,
}

impl Cloud {
    pub fn start() -> Self {
        Self::of(CLUSTER)
    }

    /// The same of a cluster that is described otherwise.
    pub fn of(cluster: &str) -> Self {
        let files = Files::make(cluster);
        let port = free_port();
        let ports = [("127.0.0.1:4222".to_owned(), format!("127.0.0.1:{port}"))];
        Self { server: Server::start(&files, "m-front", port, &ports), files }
    }

    pub fn url(&self) -> String {
        format!("tls://127.0.0.1:{}", self.server.port)
    }

    /// Connects under an identity.
    pub fn client(&self, identity: &str) -> wire::Client {
        let seed = fs::read_to_string(self.files.seed_file(identity)).unwrap();
        wire::Client::connect(self.server.port, &self.files.authority(), Some(&seed))
            .unwrap_or_else(|e| panic!("{identity}: {e}\n{}", self.server.log()))
    }

    /// `watari` as whoever has this identity has it, with nothing else set.
    pub fn command(&self, identity: &str, words: &[&str]) -> Command {
        let mut command = bare(words);
        command.env("WATARI_NATS", self.url()).env("WATARI_NKEY", self.files.seed_file(identity));
        command.env("WATARI_CA", self.files.authority());
        command
    }

    /// Runs `watari` as an administrator to its end.
    pub fn run(&self, words: &[&str]) -> Ran {
        Ran::of(self.command("administrator", words).output().unwrap())
    }
}

/// `watari` with nothing set but the time zone, which would else be this machine's.
pub fn bare(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_watari"));
    command.args(words).env_clear().env("TZ", "UTC").stdin(Stdio::null());
    command
}

/// How a command ended.
#[derive(Debug)]
pub struct Ran {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn of(output: std::process::Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { status: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    /// What it printed, as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// A sample of what a service answers, from the contracts' golden files.
pub fn sample(name: &str) -> serde_json::Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/contracts/tests/golden").join(name);
    let samples: serde_json::Value = serde_json::from_str(&read(&path)).unwrap();
    samples[0].clone()
}

pub fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Looks until there is what is looked for, else says why there is not.
#[track_caller]
pub fn eventually<T>(mut look: impl FnMut() -> Result<T, String>) -> T {
    let until = Instant::now() + SOON;
    loop {
        match look() {
            Ok(found) => return found,
            Err(why) => assert!(Instant::now() < until, "{why}"),
        }
        sleep(PAUSE);
    }
}

/// Every file below a folder: its mode and what is in it.
pub fn tree(folder: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
                found.insert(path.clone(), (mode, fs::read(path).unwrap()));
            }
        }
    }
    found
}
