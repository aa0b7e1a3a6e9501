//! The faults: one at a time, as precise as a signal.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    lab::{Lab, NODES, Trunks, front_of},
    scenarios::until_some,
};

/// How long a process that was killed may take to be there again.
const PATIENCE_SECONDS: u64 = 60;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The link of the source's site is cut for two seconds.
    CutShortly,
    /// … for twelve seconds: longer than every keep-alive.
    CutLong,
    /// The schedulers are killed.
    Scheduler,
    /// The network services, which tell all nodes where the server is, are killed.
    NetworkService,
    /// The source's agent is killed.
    SourceAgent,
    /// The target's agent is killed.
    TargetAgent,
    /// The source's libvirtd is killed.
    SourceLibvirtd,
    /// The target's libvirtd is killed.
    TargetLibvirtd,
    /// The source's site loses its NATS server.
    NatsServer,
}

impl Fault {
    pub(crate) const ALL: [Self; 9] = [
        Self::CutShortly,
        Self::SourceLibvirtd,
        Self::TargetLibvirtd,
        Self::Scheduler,
        Self::SourceAgent,
        Self::NetworkService,
        Self::TargetAgent,
        Self::NatsServer,
        Self::CutLong,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::CutShortly => "link cut for 2 s",
            Self::CutLong => "link cut for 12 s",
            Self::Scheduler => "schedulers killed",
            Self::NetworkService => "network services killed",
            Self::SourceAgent => "source's agent killed",
            Self::TargetAgent => "target's agent killed",
            Self::SourceLibvirtd => "source's libvirtd killed",
            Self::TargetLibvirtd => "target's libvirtd killed",
            Self::NatsServer => "source site's NATS server killed",
        }
    }

    /// Looks up beforehand whom to kill, so that the stroke itself is quick. Who was killed before may
    /// still be on the way back: that is waited for.
    pub(crate) fn arm(self, lab: &Lab) -> anyhow::Result<Armed> {
        let fronts = ["m-front", "y-front"];
        let pids = match self {
            Self::CutShortly | Self::CutLong => Vec::new(),
            Self::Scheduler => there(lab, "watari-scheduler", &fronts)?,
            Self::NetworkService => there(lab, "watari-network", &fronts)?,
            Self::SourceAgent | Self::TargetAgent => there(lab, "watari-node-agent", &NODES)?,
            Self::SourceLibvirtd | Self::TargetLibvirtd => there(lab, "libvirtd", &NODES)?,
            Self::NatsServer => there(lab, "nats-server", &fronts)?,
        };
        let trunks = match self {
            Self::CutShortly | Self::CutLong => Some(lab.trunks()?),
            _ => None,
        };
        Ok(Armed { fault: self, trunks, pids })
    }
}

/// The program's processes, once there is one on each of the hosts.
fn there(lab: &Lab, program: &str, hosts: &[&str]) -> anyhow::Result<Vec<(String, i32)>> {
    let mut found = Vec::new();
    for host in hosts {
        let pids = until_some(PATIENCE_SECONDS, &format!("{program} is on {host}"), || {
            Ok(Some(lab.pids(host, program)).filter(|pids| !pids.is_empty()))
        })?;
        found.extend(pids.into_iter().map(|pid| ((*host).to_owned(), pid)));
    }
    Ok(found)
}

/// A fault that is ready to strike.
pub(crate) struct Armed {
    fault: Fault,
    trunks: Option<Trunks>,
    pids: Vec<(String, i32)>,
}

/// When a fault struck and when it was over.
pub(crate) struct Struck {
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
}

impl Armed {
    /// Strikes now, at a migration from `source` (at `site`) to `target`.
    pub(crate) fn strike(mut self, source: &str, target: &str, site: &str) -> anyhow::Result<Struck> {
        let began = Instant::now();
        match self.fault {
            Fault::CutShortly => self.cut(site, Duration::from_secs(2))?,
            Fault::CutLong => self.cut(site, Duration::from_secs(12))?,
            Fault::Scheduler | Fault::NetworkService => self.kill(&["m-front", "y-front"])?,
            Fault::SourceAgent | Fault::SourceLibvirtd => self.kill(&[source])?,
            Fault::TargetAgent | Fault::TargetLibvirtd => self.kill(&[target])?,
            Fault::NatsServer => self.kill(&[front_of(site)])?,
        }
        Ok(Struck { began, ended: Instant::now() })
    }

    fn cut(&mut self, site: &str, lasting: Duration) -> anyhow::Result<()> {
        let mut trunks = self.trunks.take().context("not armed for a cut")?;
        trunks.set(site, "down")?;
        thread::sleep(lasting);
        trunks.set(site, "up")?;
        trunks.done()
    }

    /// A stroke that hits nobody is no fault. Of two, one may be gone already.
    fn kill(&self, hosts: &[&str]) -> anyhow::Result<()> {
        let aimed = self.pids.iter().filter(|(host, _)| hosts.contains(&host.as_str()));
        let pids = aimed.filter_map(|(_, pid)| Pid::from_raw(*pid));
        let struck = pids.filter(|pid| kill_process(*pid, Signal::KILL).is_ok()).count();
        ensure!(struck > 0, "nobody was there to be killed: {}", self.fault.name());
        Ok(())
    }
}
