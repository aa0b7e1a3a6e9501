//! One look at a domain: libvirt's word and the process's existence, within a bound.

use watari_contracts::agent::{Domain, OffReason};
use watari_model::{VmName, vm::Standstill};

use crate::{
    hypervisor::{DomainState, Error, PauseReason, StopReason, Witness},
    node::Node,
};

/// What was seen under a server's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// What our domain is doing.
    pub domain: Domain,
    /// The UUID of the domain that was seen.
    pub uuid: Option<String>,
    /// A domain of that name is here which is none of ours.
    pub foreign: bool,
    /// Why our domain stands still, if it does though no job is at work on it, and libvirt says so.
    pub still: Option<Standstill>,
}

impl Sight {
    /// Before the first look.
    #[must_use]
    pub fn unknown() -> Self {
        Self { domain: Domain::Unknown, uuid: None, foreign: false, still: None }
    }
}

/// Looks; what does not answer in time is unknown.
pub(super) async fn take(node: &Node, vm: &VmName, uuid: Option<&str>) -> Sight {
    let bound = node.settings.bounds.libvirt_answer();
    match tokio::time::timeout(bound, ask(node, vm, uuid)).await {
        Ok(Ok(sight)) => sight,
        Ok(Err(error)) => {
            tracing::debug!(%vm, %error, "libvirt cannot say what the domain is doing");
            Sight { uuid: uuid.map(str::to_owned), ..Sight::unknown() }
        }
        Err(_) => Sight { uuid: uuid.map(str::to_owned), ..Sight::unknown() },
    }
}

async fn ask(node: &Node, vm: &VmName, uuid: Option<&str>) -> Result<Sight, Error> {
    let there = node.hypervisor.uuid(vm.as_str()).await?;
    match (uuid, there) {
        // Another's domain has the name: ours is not here, and theirs is not touched.
        (Some(ours), Some(there)) if ours != there => {
            let process = node.hypervisor.process(vm.as_str(), ours).await?;
            let domain = if process.is_some() { Domain::Unknown } else { Domain::Absent };
            Ok(Sight { domain, uuid: Some(there), foreign: true, still: None })
        }
        (Some(ours), _) => {
            let witness = node.hypervisor.witness(vm.as_str(), ours).await?;
            Ok(Sight { domain: domain(witness), uuid: Some(ours.to_owned()), foreign: false, still: still(witness) })
        }
        (None, Some(there)) => {
            let witness = node.hypervisor.witness(vm.as_str(), &there).await?;
            Ok(Sight { domain: domain(witness), uuid: Some(there), foreign: true, still: None })
        }
        (None, None) => Ok(Sight { domain: Domain::Absent, uuid: None, foreign: false, still: None }),
    }
}

/// What a testimony is in the words of the contract. *Off* is said only if no process lives.
fn domain(witness: Witness) -> Domain {
    match witness {
        Witness::Absent => Domain::Absent,
        Witness::Gone(state) => Domain::Off(reason(state)),
        Witness::Running(_) => Domain::Running,
        Witness::Arriving(_) => Domain::Incoming,
        Witness::Paused(_) => Domain::Paused,
        Witness::Unclear(..) => Domain::Unknown,
    }
}

/// Why a domain that is whole stands still. What is just being started, saved or moved is not meant.
const fn still(witness: Witness) -> Option<Standstill> {
    match witness {
        Witness::Paused(_) => Some(Standstill::Suspended),
        Witness::Unclear(DomainState::Crashed, Some(_)) => Some(Standstill::Crashed),
        Witness::Unclear(DomainState::Paused(reason), Some(_)) => match reason {
            PauseReason::IoError => Some(Standstill::IoError),
            PauseReason::Crashed => Some(Standstill::Crashed),
            PauseReason::Ending => Some(Standstill::Ended),
            PauseReason::ApiError | PauseReason::Other => Some(Standstill::Stopped),
            PauseReason::User
            | PauseReason::Migration
            | PauseReason::StartingUp
            | PauseReason::Saving
            | PauseReason::PostCopy => None,
        },
        _ => None,
    }
}

fn reason(state: DomainState) -> OffReason {
    match state {
        DomainState::ShutOff(StopReason::Shutdown) => OffReason::Shutdown,
        DomainState::ShutOff(StopReason::Destroyed) => OffReason::Destroyed,
        DomainState::ShutOff(StopReason::Crashed | StopReason::Failed) | DomainState::Crashed => OffReason::Crashed,
        DomainState::ShutOff(StopReason::Migrated) => OffReason::Migrated,
        DomainState::ShutOff(StopReason::Saved) => OffReason::Saved,
        _ => OffReason::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypervisor::ProcessId;

    #[test]
    fn only_what_is_whole_and_at_no_job_stands_still_and_each_for_its_reason() {
        let process = ProcessId { pid: 7, start_ticks: 7 };
        let paused = |reason| still(Witness::Unclear(DomainState::Paused(reason), Some(process)));
        assert_eq!(still(Witness::Paused(process)), Some(Standstill::Suspended));
        assert_eq!(still(Witness::Unclear(DomainState::Crashed, Some(process))), Some(Standstill::Crashed));
        for (reason, told) in [
            (PauseReason::IoError, Standstill::IoError),
            (PauseReason::Crashed, Standstill::Crashed),
            (PauseReason::Ending, Standstill::Ended),
            (PauseReason::ApiError, Standstill::Stopped),
            (PauseReason::Other, Standstill::Stopped),
        ] {
            assert_eq!(paused(reason), Some(told), "{reason:?}");
        }
        let by_a_job = [PauseReason::Migration, PauseReason::StartingUp, PauseReason::Saving, PauseReason::PostCopy];
        assert!(by_a_job.into_iter().all(|reason| paused(reason).is_none()));
        let moves = [Witness::Running(process), Witness::Arriving(process), Witness::Absent];
        assert!(moves.into_iter().all(|witness| still(witness).is_none()));
        let dead = DomainState::Paused(PauseReason::IoError);
        assert_eq!(still(Witness::Gone(dead)), None, "no process of it lives");
        assert_eq!(still(Witness::Unclear(dead, None)), None);
    }
}
