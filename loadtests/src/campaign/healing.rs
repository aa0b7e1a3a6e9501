//! Blows to processes, and giving everything its life, its links and its power back.

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};
use watari_contracts::Service;

use crate::lab::{Lab, NODES, VOTERS};

/// Wakes what is frozen, joins what is cut and switches on what is off; all of it may be so already.
pub(super) fn everything(lab: &Lab) -> anyhow::Result<()> {
    for host in VOTERS.into_iter().chain(NODES) {
        thaw(lab, host);
    }
    for site in ["myodaiji", "yamate"] {
        lab.run(&["heal", site])?;
        lab.run(&["power-on", site])?;
    }
    lab.run(&["power-on", VOTERS[2]]).map(drop)
}

/// Kills a host's processes of a program.
pub(super) fn kill(lab: &Lab, host: &str, program: &str) -> anyhow::Result<()> {
    signal(lab, host, Signal::KILL, &|name| name == program).with_context(|| format!("{program} on {host}"))
}

/// Makes a host's processes of a program stand still.
pub(super) fn pause(lab: &Lab, host: &str, program: &str) -> anyhow::Result<()> {
    signal(lab, host, Signal::STOP, &|name| name == program).with_context(|| format!("{program} on {host}"))
}

/// Makes a whole front end stand still, its NATS server too.
pub(super) fn freeze(lab: &Lab, host: &str) -> anyhow::Result<()> {
    signal(lab, host, Signal::STOP, &|name| name == "nats-server" || name.starts_with("watari-"))
}

/// Makes a front end's services stand still, and leaves its NATS server alone.
pub(super) fn freeze_services(lab: &Lab, host: &str) -> anyhow::Result<()> {
    let named = |program: &str| {
        program.strip_prefix("watari-").is_some_and(|name| Service::OF_FRONT.iter().any(|of| of.name() == name))
    };
    signal(lab, host, Signal::STOP, &named)
}

/// Lets everything on a host go on. Who has been killed meanwhile needs nothing.
pub(super) fn thaw(lab: &Lab, host: &str) {
    for (_, pid) in lab.processes(host) {
        let _ = Pid::from_raw(pid).map(|pid| kill_process(pid, Signal::CONT));
    }
}

/// A blow that hits nobody is none. Of several, some may be gone already.
fn signal(lab: &Lab, host: &str, signal: Signal, whom: &dyn Fn(&str) -> bool) -> anyhow::Result<()> {
    let aimed = lab.processes(host).into_iter().filter(|(name, _)| whom(name));
    let struck =
        aimed.filter_map(|(_, pid)| Pid::from_raw(pid)).filter(|pid| kill_process(*pid, signal).is_ok()).count();
    ensure!(struck > 0, "nobody was there to be struck on {host}");
    Ok(())
}
