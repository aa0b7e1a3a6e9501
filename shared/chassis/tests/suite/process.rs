//! A whole process: this test program starts itself as a service and sends it signals.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixDatagram,
    path::PathBuf,
    process::{Child, ChildStderr, Command, ExitCode, ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use watari_chassis::{
    Context, Options, Readiness, StartError, Wake, config::NoSettings, http, looper, run_with, telemetry::trace,
};
use watari_contracts::Service;
use watari_testkit::{NatsServer, TempDir, eventually};

const CONFIG: &str = "TEST_SERVICE_CONFIG";
const MODE: &str = "TEST_SERVICE_MODE";
/// A trace that somebody else has begun, and its last step there.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// Not a test by itself: the service that the others start.
#[test]
fn the_service() {
    let Ok(config) = env::var(CONFIG) else { return };
    let mode = env::var(MODE).unwrap_or_default();
    let options = Options { config: Some(config.into()), print_config: mode == "print" };
    let code = run_with(Service::Scheduler, "", &options, |ctx: Context, _: NoSettings| async move {
        ctx.ready.set(if mode == "standby" { Readiness::Standby } else { Readiness::Primary });
        if mode == "wedged" || mode == "patient" {
            let (own, patient) = (ctx.clone(), mode == "patient");
            ctx.spawn("loop", async move {
                let step = || async {
                    match patient {
                        true => looper::patiently(pending()).await,
                        false => pending().await,
                    }
                };
                looper::run(&own, "the loop", Wake::new(), Duration::from_secs(1), step).await;
            });
        }
        if mode == "trace" {
            tracing::info_span!("a step worth tracing").in_scope(|| tracing::info!("within"));
            let noted = format!("00-{TRACE}-{PARENT}-01").parse().ok();
            trace::step(noted, "send", "mail", async { tracing::info!("noted before") }).await;
        }
        if mode == "fail" {
            return Err("the work failed");
        }
        let own = ctx.clone();
        ctx.spawn("work", async move {
            own.shutdown.cancelled().await;
            if mode == "stuck" {
                std::future::pending::<()>().await;
            }
        });
        ctx.shutdown.cancelled().await;
        Ok(())
    });
    assert_eq!(code, ExitCode::SUCCESS);
}

/// A step that does not end.
async fn pending() -> Result<(), String> {
    std::future::pending().await
}

struct Running {
    child: Child,
    lines: BufReader<ChildStderr>,
    _dir: TempDir,
}

fn start(config: &str, mode: &str) -> Running {
    start_with(config, mode, &[])
}

fn start_with(config: &str, mode: &str, variables: &[(&str, &str)]) -> Running {
    let dir = TempDir::new();
    let path = dir.path().join("scheduler.toml");
    fs::write(&path, config).unwrap();
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "process::the_service", "--nocapture"])
        .env(CONFIG, path)
        .env(MODE, mode)
        .envs(variables.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap());
    Running { child, lines, _dir: dir }
}

impl Running {
    /// Reads the log until a line has `word`.
    fn line_with(&mut self, word: &str) -> String {
        let mut all = String::new();
        loop {
            let begun = all.len();
            assert!(self.lines.read_line(&mut all).unwrap() > 0, "ended before saying {word:?}:\n{all}");
            if all[begun..].contains(word) {
                return all[begun..].to_owned();
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap(), signal).unwrap();
    }

    fn ended(mut self) -> (ExitStatus, String, String) {
        let (mut out, mut err) = (String::new(), String::new());
        self.lines.read_to_string(&mut err).unwrap();
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        (self.child.wait().unwrap(), out, err)
    }
}

fn bus(nats: &NatsServer) -> String {
    format!("[bus]\nurls = [{:?}]\n", nats.url())
}

#[test]
fn told_to_stop_it_drains_and_ends_well() {
    let nats = NatsServer::start();
    for signal in [Signal::TERM, Signal::INT] {
        let mut service = start(&bus(&nats), "");
        service.line_with("started");
        service.signal(signal);
        service.line_with("drained and stopped");
        assert!(service.ended().0.success());
    }
}

#[test]
fn work_that_does_not_end_is_left_after_the_bound_and_the_exit_code_says_so() {
    let nats = NatsServer::start();
    let mut service = start(&format!("{}[limits]\ndrain_seconds = 1\n", bus(&nats)), "stuck");
    service.line_with("started");
    service.signal(Signal::TERM);
    service.line_with("stopped with work in hand");
    assert!(!service.ended().0.success());
}

#[test]
fn an_error_of_the_work_ends_the_process_with_its_text() {
    let nats = NatsServer::start();
    let (status, _, err) = start(&bus(&nats), "fail").ended();
    assert!(!status.success() && err.contains("watari-scheduler stopped: the work failed"), "{err}");
}

#[test]
fn a_failing_start_says_what_and_how_to_mend_it() {
    for (config, cause, remedy) in [
        ("[bus]\nurl = []\n", "did you mean bus.urls?", "--print-config"),
        ("[bus]\nnkey = \"/nonexistent/seed\"\n", "cannot read /nonexistent/seed", "permissions"),
        ("[telemetry]\nlisten = \"0.0.0.0:0\"\n", "plain text", "correct the value"),
        ("[telemetry]\nlog = \"=what=\"\n", "telemetry.log", "[telemetry]"),
        ("[bus\n", "is not TOML", "correct the file"),
    ] {
        let (status, _, err) = start(config, "").ended();
        assert!(!status.success(), "{config}");
        assert!(err.contains("watari-scheduler cannot start") && err.contains(cause) && err.contains(remedy), "{err}");
    }
}

#[test]
fn the_effective_settings_are_printed_with_their_origins() {
    let (status, out, _) = start("[limits]\nin_flight = 9\n", "print").ended();
    assert!(status.success() && out.contains("in_flight = 9 # ") && out.contains("ttl_ms = 4000 # default"), "{out}");
}

#[test]
fn logs_are_json_where_collectors_want_it() {
    let nats = NatsServer::start();
    let mut service = start(&format!("{}[telemetry]\nformat = \"json\"\n", bus(&nats)), "");
    let line: serde_json::Value = serde_json::from_str(&service.line_with("\"started\"")).unwrap();
    assert_eq!((&line["level"], &line["service"]), (&"INFO".into(), &"scheduler".into()));
    service.signal(Signal::TERM);
    assert!(service.ended().0.success());
}

#[test]
fn traces_are_sent_where_that_is_configured_the_last_ones_at_the_end() {
    let nats = NatsServer::start();
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1/traces", collector.local_addr().unwrap());
    // Whoever wants few lines in the log has the traces whole.
    let telemetry = format!("[telemetry]\notlp = {url:?}\nlog = \"watari_chassis=info\"\n");
    let mut service = start(&format!("{}{telemetry}", bus(&nats)), "trace");
    service.line_with("started");
    service.signal(Signal::TERM);
    let (mut exporter, _) = collector.accept().unwrap();
    exporter.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut post = Vec::new();
    let mut buffer = [0; 4096];
    // A span's name, with its length before it.
    let has = |post: &[u8], name: &str| String::from_utf8_lossy(post).contains(name);
    while !has(&post, "a step worth tracing") || !has(&post, "\u{4}send") {
        let read = exporter.read(&mut buffer).unwrap();
        assert!(read > 0, "ended early: {}", String::from_utf8_lossy(&post));
        post.extend_from_slice(&buffer[..read]);
    }
    let text = String::from_utf8_lossy(&post);
    assert!(text.starts_with("POST /v1/traces ") && text.contains("watari-scheduler"), "{text}");
    for id in [TRACE, PARENT] {
        let bytes: Vec<u8> =
            (0..id.len()).step_by(2).map(|at| u8::from_str_radix(&id[at..at + 2], 16).unwrap()).collect();
        assert!(post.windows(bytes.len()).any(|part| part == bytes), "the step is no part of the trace: {text}");
    }
    exporter.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    assert!(service.ended().0.success());
}

/// In systemd's place: what a service tells it.
struct Systemd {
    socket: UnixDatagram,
    path: PathBuf,
    _dir: TempDir,
}

impl Systemd {
    fn listen() -> Self {
        let dir = TempDir::new();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(crate::support::SOON)).unwrap();
        Self { socket, path, _dir: dir }
    }

    fn start(&self, nats: &NatsServer, mode: &str, watchdog: Duration) -> Running {
        let micros = watchdog.as_micros().to_string();
        let config = format!("{}[limits]\ndrain_seconds = 1\n", bus(nats));
        start_with(&config, mode, &[("NOTIFY_SOCKET", self.path.to_str().unwrap()), ("WATCHDOG_USEC", micros.as_str())])
    }

    fn next(&self) -> String {
        let mut text = [0; 256];
        let length = self.socket.recv(&mut text).expect("the service tells nothing");
        String::from_utf8_lossy(&text[..length]).into_owned()
    }

    /// Everything up to the first message that begins so.
    fn heard_until(&self, beginning: &str) -> Vec<String> {
        let mut heard = vec![self.next()];
        while heard.last().is_some_and(|text| !text.starts_with(beginning)) {
            heard.push(self.next());
        }
        heard
    }

    /// Forgets what has been told and not been heard yet.
    fn forget(&self) {
        self.socket.set_nonblocking(true).unwrap();
        while self.socket.recv(&mut [0; 256]).is_ok() {}
        self.socket.set_nonblocking(false).unwrap();
    }
}

#[test]
fn systemd_is_told_of_readiness_life_and_the_end() {
    let nats = NatsServer::start();
    for (mode, standing) in [("", "READY=1\nSTATUS=leading"), ("standby", "READY=1\nSTATUS=standby")] {
        let systemd = Systemd::listen();
        let mut service = systemd.start(&nats, mode, Duration::from_secs(2));
        let heard = systemd.heard_until("READY=1");
        assert_eq!(heard[0], "STATUS=starting: waiting for NATS");
        assert!(heard.last().unwrap().starts_with(standing), "{heard:?}");
        systemd.heard_until("WATCHDOG=1");
        service.line_with("started");
        service.signal(Signal::TERM);
        systemd.heard_until("STOPPING=1");
        assert!(service.ended().0.success());
    }
}

#[test]
fn a_loop_that_does_not_turn_lets_the_watchdog_bite() {
    let nats = NatsServer::start();
    let systemd = Systemd::listen();
    let mut service = systemd.start(&nats, "wedged", Duration::from_millis(300));
    systemd.heard_until("WATCHDOG=1");
    service.line_with("does not turn any more");
    systemd.forget();
    // By now signs of life were due several times.
    service.line_with("does not turn any more");
    service.line_with("does not turn any more");
    service.signal(Signal::TERM);
    let heard = systemd.heard_until("STOPPING=1");
    assert!(!heard.iter().any(|text| text.contains("WATCHDOG")), "{heard:?}");
    service.line_with("stopped with work in hand");
    assert!(!service.ended().0.success());
}

#[test]
fn a_loop_that_waits_for_what_may_take_long_is_left_alone() {
    let nats = NatsServer::start();
    let systemd = Systemd::listen();
    let mut service = systemd.start(&nats, "patient", Duration::from_millis(200));
    // Each comes a hundred milliseconds after the other, so that the time is over several times.
    for _ in 0..10 {
        systemd.heard_until("WATCHDOG=1");
    }
    service.line_with("started");
    service.signal(Signal::TERM);
    systemd.heard_until("STOPPING=1");
    service.line_with("stopped with work in hand");
    assert!(!service.ended().0.success());
}

fn get(address: std::net::SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_live_and_ready_are_served() {
    let nats = NatsServer::start();
    let ctx = crate::support::context(&nats.url()).await;
    let address = http::serve(&ctx, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    assert!(get(address, "/live").contains(" 200 "));
    let starting = get(address, "/ready");
    assert!(starting.contains(" 503 ") && starting.ends_with("starting\n"), "{starting}");
    ctx.ready.set(Readiness::Standby);
    let standby = get(address, "/ready");
    assert!(standby.contains(" 200 ") && standby.ends_with("standby\n"), "{standby}");

    eventually("the connection shows", crate::support::SOON, || async {
        get(address, "/metrics").contains("watari_bus_connected 1")
    })
    .await;
    let metrics = get(address, "/metrics");
    for name in ["process_resident_memory_bytes", "process_cpu_seconds_total", "watari_build_info"] {
        assert!(metrics.contains(name), "{name} is missing");
    }
    // A gauge that is called so is taken for a counter by whoever asks for its rate, and by its type for none.
    let typed = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let wrong: Vec<_> = typed.filter(|(name, kind)| name.ends_with("_total") != (*kind == "counter")).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    for label in ["instance=", "job="] {
        assert!(!metrics.contains(label), "Prometheus says that itself: {label}");
    }
    assert!(matches!(http::serve(&ctx, address).await, Err(StartError::Listen { .. })));
}
