//! A NATS server of its own, and the real services as built programs on it.

use std::{
    collections::BTreeMap,
    fmt::Display,
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
/// How long the lease of a service that was killed keeps its successor waiting. It is what it is by default, said here for the
/// same reason.
pub(super) const LEASE: Duration = Duration::from_millis(4_000);

/// What runs. Dropped, all of it ends; the services before their bus.
pub(super) struct Stage {
    scenario: &'static str,
    opened: Instant,
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

/// How long a service took after its start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Started {
    /// Until it led or stood by: it has read all that there is.
    pub(super) ready: Duration,
    /// Until it led.
    pub(super) leads: Duration,
}

/// Processor time by program, in seconds, the NATS server's included.
pub(super) type Cpu = BTreeMap<&'static str, f64>;

impl Stage {
    /// A bus with what services read of one another, and no service yet. The programs are in `folder`.
    pub(super) async fn open(folder: &Path, scenario: &'static str) -> anyhow::Result<Self> {
        let opened = Instant::now();
        let nats = NatsServer::start();
        let ctx = Context::new(Service::Scheduler, &Common::at([nats.url()])?).await?;
        open_buckets(&ctx).await?;
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build()?;
        Ok(Self { scenario, opened, programs: BTreeMap::new(), folder: folder.to_owned(), ctx, http, nats })
    }

    /// Tells whoever watches how far the scenario is.
    pub(super) fn tell(&self, what: impl Display) {
        eprintln!("{}, {} s: {what}", self.scenario, self.opened.elapsed().as_secs());
    }

    pub(super) fn url(&self) -> String {
        self.nats.url()
    }

    /// One more connection.
    pub(super) async fn bus(&self) -> anyhow::Result<Bus> {
        Ok(Bus::connect(&BusSettings { urls: vec![self.url()], ..BusSettings::default() }).await?)
    }

    /// Starts a service and waits until it leads; how long that took.
    pub(super) async fn start(&mut self, service: &'static str) -> anyhow::Result<Started> {
        let (begun, mut ready) = (Instant::now(), None);
        let program = self.launch(service)?;
        self.programs.insert(service, program);
        loop {
            // Whoever is not ready says so by the status of the answer.
            if let Ok(word) = self.told(service, "ready").await {
                let now = begun.elapsed();
                let ready = *ready.get_or_insert(now);
                if word.trim() == "primary" {
                    self.tell(format!("{service} leads"));
                    return Ok(Started { ready, leads: now });
                }
            }
            let ended = self.programs.get_mut(service).and_then(|program| program.child.try_wait().ok().flatten());
            ensure!(ended.is_none() && begun.elapsed() < READY, "{service} does not come to lead ({ended:?})");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Ends a service in order, as an upgrade does.
    pub(super) async fn stop(&mut self, service: &'static str) -> anyhow::Result<()> {
        let mut program = self.taken(service)?;
        kill_process(program.pid, Signal::TERM)?;
        tokio::time::timeout(READY, program.child.wait())
            .await
            .with_context(|| format!("{service} does not end"))??;
        Ok(())
    }

    /// Kills a service, which has no time to give its lease up.
    pub(super) async fn kill(&mut self, service: &'static str) -> anyhow::Result<()> {
        Ok(self.taken(service)?.child.kill().await?)
    }

    fn taken(&mut self, service: &str) -> anyhow::Result<Program> {
        self.programs.remove(service).with_context(|| format!("{service} does not run"))
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
            .env("WATARI_LEASE_TTL_MS", millis(LEASE))
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
