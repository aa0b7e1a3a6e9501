//! A NATS server of its own, and the real services as built programs on it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use watari_chassis::{Bus, BusSettings, Context, config::Common};
use watari_contracts::Service;
use watari_testkit::{NatsServer, free_port};

use super::exposition::Exposition;
use crate::bench::{
    consumption::{cpu_seconds, resident_mib},
    program::open_buckets,
};

/// How long a service may take to lead, with whatever there is.
pub(super) const READY: Duration = Duration::from_secs(300);
/// Between two looks at what is waited for.
pub(super) const LOOK: Duration = Duration::from_millis(10);
/// Silence after which a node is lost, and how often the monitor looks. They are what it has by default, said here since
/// a bound follows from them.
pub(super) const LOST_AFTER: Duration = Duration::from_millis(10_000);
pub(super) const LOOKS: Duration = Duration::from_millis(500);

/// What runs. Dropped, all of it ends; the services before their bus.
pub(super) struct Stage {
    programs: BTreeMap<&'static str, Program>,
    folder: PathBuf,
    pub(super) ctx: Context,
    http: reqwest::Client,
    nats: NatsServer,
}

struct Program {
    child: Child,
    pid: Pid,
    /// Where it tells how it fares.
    port: u16,
}

/// Processor time by program, in seconds, the NATS server's included.
pub(super) type Cpu = BTreeMap<&'static str, f64>;

impl Stage {
    /// A bus with what services read of one another, and no service yet. The programs are in `folder`.
    pub(super) async fn open(folder: &Path) -> anyhow::Result<Self> {
        let nats = NatsServer::start();
        let ctx = Context::new(Service::Scheduler, &Common::at([nats.url()])?).await?;
        open_buckets(&ctx).await?;
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build()?;
        Ok(Self { programs: BTreeMap::new(), folder: folder.to_owned(), ctx, http, nats })
    }

    pub(super) fn url(&self) -> String {
        self.nats.url()
    }

    /// One more connection.
    pub(super) async fn bus(&self) -> anyhow::Result<Bus> {
        Ok(Bus::connect(&BusSettings { urls: vec![self.url()], ..BusSettings::default() }).await?)
    }

    /// Starts a service and waits until it leads; how long that took.
    pub(super) async fn start(&mut self, service: &'static str) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let program = self.launch(service)?;
        self.programs.insert(service, program);
        while !self.leads(service).await {
            let ended = self.programs.get_mut(service).and_then(|program| program.child.try_wait().ok().flatten());
            ensure!(ended.is_none() && begun.elapsed() < READY, "{service} does not come to lead ({ended:?})");
            tokio::time::sleep(LOOK).await;
        }
        Ok(begun.elapsed())
    }

    /// Ends a service in order, as an upgrade does.
    pub(super) async fn stop(&mut self, service: &'static str) -> anyhow::Result<()> {
        let mut program = self.programs.remove(service).with_context(|| format!("{service} does not run"))?;
        kill_process(program.pid, Signal::TERM)?;
        tokio::time::timeout(READY, program.child.wait())
            .await
            .with_context(|| format!("{service} does not end"))??;
        Ok(())
    }

    fn launch(&self, service: &str) -> anyhow::Result<Program> {
        let (program, port) = (self.folder.join(format!("watari-{service}")), free_port());
        let millis = |time: Duration| time.as_millis().to_string();
        let mut command = Command::new(&program);
        command
            .env("WATARI_BUS_URLS", format!("[\"{}\"]", self.url()))
            .env("WATARI_TELEMETRY_LOG", "warn")
            .env("WATARI_TELEMETRY_LISTEN", format!("127.0.0.1:{port}"))
            .env("WATARI_HISTORY_PATH", self.nats.dir().join("history.db"))
            .env("WATARI_NODES_LOST_AFTER_MS", millis(LOST_AFTER))
            .env("WATARI_NODES_LOOK_MS", millis(LOOKS))
            // More than an installation of two campuses is meant for.
            .env("WATARI_SERVERS_MOST", "1000000")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)).context("it has ended")?;
        Ok(Program { child, pid, port })
    }

    async fn leads(&self, service: &str) -> bool {
        self.told(service, "ready").await.is_ok_and(|word| word.trim() == "primary")
    }

    async fn told(&self, service: &str, what: &str) -> anyhow::Result<String> {
        let program = self.programs.get(service).with_context(|| format!("{service} does not run"))?;
        let url = format!("http://127.0.0.1:{}/{what}", program.port);
        Ok(self.http.get(url).send().await?.error_for_status()?.text().await?)
    }

    /// What a service shows to Prometheus.
    pub(super) async fn scrape(&self, service: &str) -> anyhow::Result<Exposition> {
        self.told(service, "metrics").await.map(Exposition)
    }

    fn pid(&self, service: &str) -> anyhow::Result<i32> {
        let program = self.programs.get(service).with_context(|| format!("{service} does not run"))?;
        Ok(program.pid.as_raw_nonzero().get())
    }

    /// Resident memory of a service in MiB.
    pub(super) fn resident_mib(&self, service: &str) -> anyhow::Result<f64> {
        resident_mib(self.pid(service)?)
    }

    /// What every program has used so far.
    pub(super) fn cpu(&self) -> anyhow::Result<Cpu> {
        let mut used = Cpu::new();
        for service in self.programs.keys() {
            used.insert(*service, cpu_seconds(self.pid(service)?)?);
        }
        let nats = self.nats.pid().and_then(|pid| i32::try_from(pid).ok()).context("the NATS server is gone")?;
        used.insert(NATS, cpu_seconds(nats)?);
        Ok(used)
    }
}

/// The NATS server among the programs.
pub(super) const NATS: &str = "nats-server";

/// What each program has used since `before`.
pub(super) fn since(before: &Cpu, now: &Cpu) -> Cpu {
    now.iter().map(|(program, seconds)| (*program, seconds - before.get(program).copied().unwrap_or(0.0))).collect()
}

/// What the services among them have used together.
pub(super) fn of_services(used: &Cpu) -> f64 {
    used.iter().filter(|(program, _)| **program != NATS).map(|(_, seconds)| seconds).sum()
}

/// Resident memory of this process in MiB.
pub(super) fn own_resident_mib() -> anyhow::Result<f64> {
    resident_mib(i32::try_from(std::process::id())?)
}
