//! What one node can testify about a server, for the decision who may run it.
//!
//! ```text
//!   source                                   target
//!   Running ─▶ Running (switching over)      Absent ─▶ Arriving ─▶ Arrived ─resume─▶ Running
//!      ▲            │ vCPUs stopped                        │ failed
//!      └─ failed ───┤                                      ▼
//!                   ▼                                    Absent
//!                 Gone (process dead)
//! ```
//!
//! The testimony joins libvirt's word with the process's existence, and says the less certain of both.

use std::time::Duration;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::Hypervisor;
use super::error::{Error, Result};
use super::events::{Change, Event};
use super::migrate::Job;
use super::process::ProcessId;
use super::state::{DomainState, PauseReason};

/// When no event comes, look anyway this often: events can be lost, the state cannot.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// How often an arriving copy is asked whether its job is over.
const JOB_POLL: Duration = Duration::from_millis(1);
/// One node's testimony about one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Witness {
    /// No QEMU process exists for it, libvirt agrees, and no definition is left.
    Absent,
    /// No QEMU process exists for it, whatever libvirt still says; a definition may be left.
    Gone(DomainState),
    /// Its vCPUs run, or may run at any moment without anybody's order: a running, rebooting or outgoing domain.
    Running(ProcessId),
    /// A migration is coming in and not whole. It may still fail; it cannot run by itself.
    Arriving(ProcessId),
    /// Paused with no job at work, and whole: it runs only when resumed by request. An arrived copy, and also a
    /// source that libvirtd's restart has left stopped: force that one off before the other side is resumed.
    Paused(ProcessId),
    /// A process exists that libvirt does not know, or the other way about, or a state that nobody
    /// planned for. Treat as possibly running.
    Unclear(DomainState, Option<ProcessId>),
}

impl Witness {
    /// Whether this node is certain that no vCPU of the server runs here, and none can unless resumed by request.
    #[must_use]
    pub fn is_stopped(self) -> bool {
        matches!(self, Self::Absent | Self::Gone(_) | Self::Paused(_))
    }
}

/// How an awaited arrival ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incoming {
    /// Whole, paused, and a resume is accepted now.
    Arrived,
    /// It runs: somebody has resumed it.
    Running,
    /// It was there and is gone: the migration failed.
    Failed,
}

impl Hypervisor {
    /// What this node can testify about the server, now. Cheap enough to ask at every decision.
    ///
    /// # Errors
    /// libvirt is away. The process alone can then be asked by [`Self::process`].
    pub async fn witness(&self, name: &str, uuid: &str) -> Result<Witness> {
        // The process is looked at last: if it is gone now, it was not made again behind our back,
        // because only this agent starts domains.
        let state = self.state(name).await?;
        let job = match state {
            DomainState::Paused(_) => self.job_at_work(name).await?,
            _ => Job::None,
        };
        let process = self.process(name, uuid).await?.map(|process| process.id());
        Ok(match (process, state, job) {
            (None, DomainState::Absent, _) => Witness::Absent,
            (None, state, _) => Witness::Gone(state),
            (Some(id), DomainState::Running | DomainState::ShuttingDown | DomainState::Slept, _) => {
                Witness::Running(id)
            }
            (Some(id), DomainState::Paused(PauseReason::User), Job::None) => Witness::Paused(id),
            // "User" too, while the job is not over: if libvirtd died now, it would kill the copy when it
            // starts again (seen), and let the source go on.
            (Some(id), DomainState::Paused(_), Job::Incoming) => Witness::Arriving(id),
            // A source in its switch-over: if the migration fails, libvirt lets it go on.
            (Some(id), DomainState::Paused(_), Job::Outgoing) => Witness::Running(id),
            (Some(id), DomainState::Paused(PauseReason::Migration), Job::None) => Witness::Paused(id),
            (process, state, _) => Witness::Unclear(state, process),
        })
    }

    /// Waits until an incoming migration of that name is whole and paused, or has failed. Call it
    /// before the source starts; it waits for the domain to appear, too.
    ///
    /// # Errors
    /// [`Error::Timeout`] after `bound`. While libvirt is away it goes on waiting.
    pub async fn wait_incoming_paused(&self, name: &str, bound: Duration) -> Result<Incoming> {
        let mut events = self.events();
        let wait = async {
            let mut seen = false;
            loop {
                match self.state(name).await {
                    Ok(DomainState::Paused(PauseReason::User)) => {
                        if self.job_at_work(name).await.is_ok_and(|job| job == Job::None) {
                            return Ok(Incoming::Arrived);
                        }
                        // Its job ends within a millisecond or two, and no event tells.
                        seen = true;
                        tokio::time::sleep(JOB_POLL).await;
                        continue;
                    }
                    Ok(DomainState::Running) => return Ok(Incoming::Running),
                    Ok(DomainState::Absent | DomainState::ShutOff(_)) if seen => {
                        return Ok(Incoming::Failed);
                    }
                    Ok(state) => seen |= state.may_have_process(),
                    Err(error) if error.is_retryable() => {}
                    Err(error) => return Err(error),
                }
                let ours = async {
                    loop {
                        match events.recv().await {
                            Ok(Event::Domain { name: other, .. }) if other != name => {}
                            Ok(Event::JobCompleted { .. }) => {}
                            Ok(_) | Err(RecvError::Lagged(_)) => return,
                            // The sender lives in `self`; if it were gone, the tick below goes on.
                            Err(RecvError::Closed) => std::future::pending().await,
                        }
                    }
                };
                // Either way, look again.
                let _ = tokio::time::timeout(LOOK_AGAIN, ours).await;
            }
        };
        tokio::time::timeout(bound, wait).await.unwrap_or(Err(Error::Timeout { act: "arrive", after: bound }))
    }

    /// Waits until no QEMU process of the server can execute anything here. Call it before the migration
    /// starts. It needs no libvirt, but for the hint that makes it look every millisecond.
    ///
    /// # Errors
    /// [`Error::Timeout`] after `bound`; `/proc` cannot be read.
    pub async fn wait_source_gone(&self, name: &str, uuid: &str, bound: Duration) -> Result<()> {
        let mut events = self.events();
        let wait = async {
            // After the one that we know, a look whether there is another.
            while let Some(process) = self.process(name, uuid).await? {
                tokio::select! {
                    exited = process.exited() => exited?,
                    () = switch_over(&mut events, name) => process.ended().await?,
                }
            }
            Ok(())
        };
        tokio::time::timeout(bound, wait)
            .await
            .unwrap_or(Err(Error::Timeout { act: "end the source's process", after: bound }))
    }
}

/// Ends when the domain's vCPUs stop, which may be a switch-over, or when events were missed.
async fn switch_over(events: &mut broadcast::Receiver<Event>, name: &str) {
    loop {
        match events.recv().await {
            Ok(Event::Domain { name: stopped, change: Change::Suspended(_) }) if stopped == name => return,
            Err(RecvError::Lagged(_)) => return,
            Err(RecvError::Closed) => std::future::pending().await,
            Ok(_) => {}
        }
    }
}
