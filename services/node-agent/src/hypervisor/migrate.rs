//! Live migration, always peer-to-peer, always under TLS, always arriving paused.
//!
//! The call's result is a hint. libvirt may report an error for a migration that happened, and
//! its word comes later than the fact; what counts is what both nodes' [`super::Witness`] say.
//! The source's definition is never removed here: that is a step of its own, after the grant.

use std::ffi::CStr;
use std::thread;

use tokio::sync::oneshot;
use virt::domain::Domain;
use virt::enumutil::Enum;
use virt::error::ErrorNumber;
use virt_sys as sys;
use watari_chassis::telemetry::trace;

use super::error::{Error, Kind, Result};
use super::ffi::{self, Params, Value};
use super::{Hypervisor, failure};

/// Asks for what a job that has completed leaves, and leaves it there.
const LAST_JOB: u32 = sys::VIR_DOMAIN_JOB_STATS_COMPLETED | sys::VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED;

/// When the target writes its persistent definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persist {
    /// During the switch-over, while the guest is paused.
    AtSwitchOver,
    /// Later, by [`Hypervisor::persist`] after the resume: the arrival is transient until then.
    AfterResume,
}

/// One migration to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// The domain.
    pub name: String,
    /// The target's libvirt, `qemu+tls://HOST/system`; HOST is in its certificate.
    pub target_uri: String,
    /// The target's address on the migration network, in its certificate too.
    pub migration_address: String,
    /// Most MiB a second, for memory and for disks each; none is unlimited.
    pub bandwidth_mib_s: Option<u64>,
    /// Longest switch-over pause that QEMU may plan.
    pub max_downtime_ms: Option<u64>,
    /// Slow the guest's vCPUs down by this initial percentage, then by the increment, until memory converges.
    pub auto_converge: Option<(u8, u8)>,
    /// Several connections for the memory.
    pub parallel_connections: Option<u8>,
    /// When the target writes its definition.
    pub persist: Persist,
}

/// What a job is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum JobKind {
    /// No job.
    #[default]
    None,
    /// One is at work.
    Running,
    /// It has completed.
    Completed,
    /// It has failed.
    Failed,
    /// It was cancelled.
    Cancelled,
}

/// What a job is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum JobPurpose {
    /// A migration that comes in, mostly.
    #[default]
    Other,
    /// A migration to another host.
    Departure,
    /// Copying its disk while it runs ([`Hypervisor::begin_backup`]).
    Backup,
}

/// A job's figures. While it runs they grow; when it ends they are final.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JobStats {
    /// What the job is doing.
    pub kind: JobKind,
    /// What it is for.
    pub purpose: JobPurpose,
    /// Since its start.
    pub elapsed_ms: u64,
    /// The switch-over's pause: expected while it runs, measured when it has ended.
    pub downtime_ms: u64,
    /// The same without the hosts' clock difference, where libvirt knows it.
    pub downtime_net_ms: Option<u64>,
    /// Guest memory.
    pub memory_total_bytes: u64,
    /// Memory sent, resent pages included.
    pub memory_processed_bytes: u64,
    /// Memory that waits to be sent.
    pub memory_remaining_bytes: u64,
    /// Speed of memory.
    pub memory_bytes_per_s: u64,
    /// Pages that the guest dirties each second.
    pub dirty_pages_per_s: u64,
    /// Bytes a page.
    pub page_bytes: u64,
    /// Passes over memory.
    pub iterations: u64,
    /// Disks' bytes in all.
    pub disk_total_bytes: u64,
    /// Disks' bytes sent.
    pub disk_processed_bytes: u64,
    /// Disks' bytes that wait.
    pub disk_remaining_bytes: u64,
    /// By how much auto-converge slows the guest.
    pub throttle_percent: u64,
}

/// Which job holds a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Job {
    None,
    Incoming,
    Outgoing,
}

impl JobKind {
    /// Of the job that a domain has now. One that has failed or was cancelled holds the domain until libvirt has undone
    /// what it began: it is not over.
    const fn of_current(kind: u32) -> Self {
        match Self::of_last(kind) {
            Self::Failed | Self::Cancelled => Self::Running,
            other => other,
        }
    }

    /// Of one that is over, as it was when it ended.
    const fn of_last(kind: u32) -> Self {
        match kind {
            sys::VIR_DOMAIN_JOB_BOUNDED | sys::VIR_DOMAIN_JOB_UNBOUNDED => Self::Running,
            sys::VIR_DOMAIN_JOB_COMPLETED => Self::Completed,
            sys::VIR_DOMAIN_JOB_FAILED => Self::Failed,
            sys::VIR_DOMAIN_JOB_CANCELLED => Self::Cancelled,
            _ => Self::None,
        }
    }
}

impl JobPurpose {
    fn of(params: &Params) -> Self {
        let operation = params.get(&*sys::VIR_DOMAIN_JOB_OPERATION.to_string_lossy()).and_then(Value::as_u64);
        let is = |of: u32| operation == Some(of.into());
        if is(sys::VIR_DOMAIN_JOB_OPERATION_BACKUP) {
            Self::Backup
        } else if is(sys::VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT) {
            Self::Departure
        } else {
            Self::Other
        }
    }
}

impl JobStats {
    pub(super) fn from_params(params: &Params) -> Self {
        let maybe = |name: &CStr| params.get(&*name.to_string_lossy()).and_then(Value::as_u64);
        let get = |name: &CStr| maybe(name).unwrap_or(0);
        let kind = match maybe(sys::VIR_DOMAIN_JOB_SUCCESS) {
            Some(0) => JobKind::Failed,
            Some(_) => JobKind::Completed,
            None => JobKind::None,
        };
        Self {
            kind,
            purpose: JobPurpose::of(params),
            elapsed_ms: get(sys::VIR_DOMAIN_JOB_TIME_ELAPSED),
            downtime_ms: get(sys::VIR_DOMAIN_JOB_DOWNTIME),
            downtime_net_ms: maybe(sys::VIR_DOMAIN_JOB_DOWNTIME_NET),
            memory_total_bytes: get(sys::VIR_DOMAIN_JOB_MEMORY_TOTAL),
            memory_processed_bytes: get(sys::VIR_DOMAIN_JOB_MEMORY_PROCESSED),
            memory_remaining_bytes: get(sys::VIR_DOMAIN_JOB_MEMORY_REMAINING),
            memory_bytes_per_s: get(sys::VIR_DOMAIN_JOB_MEMORY_BPS),
            dirty_pages_per_s: get(sys::VIR_DOMAIN_JOB_MEMORY_DIRTY_RATE),
            page_bytes: get(sys::VIR_DOMAIN_JOB_MEMORY_PAGE_SIZE),
            iterations: get(sys::VIR_DOMAIN_JOB_MEMORY_ITERATION),
            disk_total_bytes: get(sys::VIR_DOMAIN_JOB_DISK_TOTAL),
            disk_processed_bytes: get(sys::VIR_DOMAIN_JOB_DISK_PROCESSED),
            disk_remaining_bytes: get(sys::VIR_DOMAIN_JOB_DISK_REMAINING),
            throttle_percent: get(sys::VIR_DOMAIN_JOB_AUTO_CONVERGE_THROTTLE),
        }
    }
}

impl Migration {
    fn flags(&self) -> u32 {
        let mut flags = sys::VIR_MIGRATE_LIVE
            | sys::VIR_MIGRATE_PEER2PEER
            | sys::VIR_MIGRATE_PAUSED
            | sys::VIR_MIGRATE_NON_SHARED_INC
            | sys::VIR_MIGRATE_TLS
            | sys::VIR_MIGRATE_ABORT_ON_ERROR;
        if self.persist == Persist::AtSwitchOver {
            flags |= sys::VIR_MIGRATE_PERSIST_DEST;
        }
        if self.auto_converge.is_some() {
            flags |= sys::VIR_MIGRATE_AUTO_CONVERGE;
        }
        if self.parallel_connections.is_some() {
            flags |= sys::VIR_MIGRATE_PARALLEL;
        }
        flags
    }

    fn params(&self) -> Vec<(&'static CStr, Value)> {
        let host = if self.migration_address.contains(':') {
            format!("[{}]", self.migration_address)
        } else {
            self.migration_address.clone()
        };
        let mut params = vec![(sys::VIR_MIGRATE_PARAM_URI, Value::Text(format!("tcp://{host}")))];
        if let Some(mib_s) = self.bandwidth_mib_s {
            params.push((sys::VIR_MIGRATE_PARAM_BANDWIDTH, Value::Unsigned(mib_s)));
        }
        if let Some((initial, increment)) = self.auto_converge {
            params.push((sys::VIR_MIGRATE_PARAM_AUTO_CONVERGE_INITIAL, Value::Signed(initial.into())));
            params.push((sys::VIR_MIGRATE_PARAM_AUTO_CONVERGE_INCREMENT, Value::Signed(increment.into())));
        }
        if let Some(connections) = self.parallel_connections {
            params.push((sys::VIR_MIGRATE_PARAM_PARALLEL_CONNECTIONS, Value::Signed(connections.into())));
        }
        params
    }
}

impl Hypervisor {
    /// Migrates, and returns when libvirt says that it is over. Success means: the copy at the target
    /// is whole and paused, the source's process is dead. An error means nothing before both nodes
    /// have been asked. Dropping the future does not stop it; [`Self::abort_job`] does.
    ///
    /// # Errors
    /// Whatever libvirt reports, as a hint.
    pub async fn migrate(&self, migration: Migration) -> Result<()> {
        const ACT: &str = "migrate the domain";
        let permit = std::sync::Arc::clone(&self.migrations).acquire_owned().await;
        let connection = std::sync::Arc::clone(&self.connection);
        connection.link()?;
        let (done, outcome) = oneshot::channel();
        thread::Builder::new()
            .name("migration".into())
            .spawn(move || {
                let _permit = permit;
                let result = connection.open_private().and_then(|link| {
                    let run = || {
                        let domain = link.connect.lookup_domain_by_name(&migration.name)?;
                        if let Some(ms) = migration.max_downtime_ms {
                            domain.migrate_set_max_downtime(ms, 0)?;
                        }
                        ffi::migrate(&domain, &migration.target_uri, &migration.params(), migration.flags())
                    };
                    run().map_err(|source| failure(ACT, &link.connect, source))
                });
                // Nobody waits any more: the outcome was a hint anyway.
                let _ = done.send(result);
            })
            .map_err(|source| Error::Io { act: "start the thread", path: "migration".into(), source })?;
        let outcome = trace::step(trace::recorded(), ACT, "hypervisor", outcome).await;
        outcome.unwrap_or_else(|_| {
            Err(Error::Io {
                act: ACT,
                path: "migration thread".into(),
                source: std::io::Error::other("it ended without an answer"),
            })
        })
    }

    /// The running job's figures; of a job that has just completed at a target, the final ones. During
    /// the switch-over libvirt answers only after it: never await this where something must react.
    ///
    /// # Errors
    /// No such domain, or libvirt is away.
    pub async fn job_stats(&self, name: &str) -> Result<JobStats> {
        let (kind, params) = self
            .on_domain("read the job's figures", name, |domain| match ffi::job_stats(domain, 0)? {
                (sys::VIR_DOMAIN_JOB_NONE, _) => {
                    ffi::job_stats(domain, LAST_JOB).map(|(kind, params)| (JobKind::of_last(kind), params))
                }
                (kind, params) => Ok((JobKind::of_current(kind), params)),
            })
            .await?;
        Ok(JobStats { kind, ..JobStats::from_params(&params) })
    }

    /// The final figures of the migration by which the domain has left; none if its last job was another. They are
    /// kept as long as the domain is defined here, though it does not run any more.
    ///
    /// # Errors
    /// No such domain, or libvirt is away.
    pub async fn departure_stats(&self, name: &str) -> Result<Option<JobStats>> {
        let (_, params) =
            self.on_domain("read the last job's figures", name, |domain| ffi::job_stats(domain, LAST_JOB)).await?;
        let stats = JobStats { kind: JobKind::Completed, ..JobStats::from_params(&params) };
        Ok((stats.purpose == JobPurpose::Departure).then_some(stats))
    }

    /// Which job is at work on the domain now. libvirt refuses figures where a migration comes in
    /// ("available only on the source host"): that refusal is how an incoming one is known.
    pub(super) async fn job_at_work(&self, name: &str) -> Result<Job> {
        let look = |domain: &Domain| match ffi::job_stats(domain, 0) {
            Ok((kind, params))
                if JobKind::of_current(kind) == JobKind::Running && JobPurpose::of(&params) != JobPurpose::Backup =>
            {
                Ok(Job::Outgoing)
            }
            Ok(_) => Ok(Job::None),
            Err(error) => match error.code() {
                Enum::Known(ErrorNumber::OperationUnsupported) => Ok(Job::Incoming),
                // A driver that knows no jobs has none; a domain that has just stopped neither.
                Enum::Known(ErrorNumber::NoSupport | ErrorNumber::OperationInvalid) => Ok(Job::None),
                _ => Err(error),
            },
        };
        match self.on_domain("look for a job", name, look).await {
            Err(error) if error.kind() == Kind::NoDomain => Ok(Job::None),
            outcome => outcome,
        }
    }

    /// Cancels the domain's job. The source goes on running; no job is success.
    ///
    /// # Errors
    /// libvirt's own.
    pub async fn abort_job(&self, name: &str) -> Result<()> {
        match self.on_domain("cancel the job", name, ffi::abort_job).await {
            Err(error) if matches!(error.kind(), Kind::NoDomain | Kind::InvalidState) => Ok(()),
            outcome => outcome,
        }
    }

    /// Changes the running migration's longest planned pause.
    ///
    /// # Errors
    /// No such domain, or libvirt's own.
    pub async fn set_migration_downtime(&self, name: &str, ms: u64) -> Result<()> {
        self.on_domain("limit the migration's pause", name, move |domain| {
            domain.migrate_set_max_downtime(ms, 0).map(drop)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_connections_are_asked_for_by_flag_and_number_and_one_by_neither() {
        let asked = |parallel_connections| {
            let migration = Migration {
                name: "mail".to_owned(),
                target_uri: "qemu+tls://192.0.2.1/system".to_owned(),
                migration_address: "192.0.2.1".to_owned(),
                bandwidth_mib_s: None,
                max_downtime_ms: None,
                auto_converge: None,
                parallel_connections,
                persist: Persist::AfterResume,
            };
            let params = migration.params();
            let number = params.iter().find(|(name, _)| *name == sys::VIR_MIGRATE_PARAM_PARALLEL_CONNECTIONS);
            (migration.flags() & sys::VIR_MIGRATE_PARALLEL != 0, number.and_then(|(_, value)| value.as_u64()))
        };
        assert_eq!([asked(None), asked(Some(4))], [(false, None), (true, Some(4))]);
    }

    #[test]
    fn a_job_that_was_cancelled_or_has_failed_is_over_when_libvirt_has_let_go_of_the_domain() {
        let cases = [
            (sys::VIR_DOMAIN_JOB_NONE, JobKind::None, JobKind::None),
            (sys::VIR_DOMAIN_JOB_UNBOUNDED, JobKind::Running, JobKind::Running),
            (sys::VIR_DOMAIN_JOB_COMPLETED, JobKind::Completed, JobKind::Completed),
            (sys::VIR_DOMAIN_JOB_FAILED, JobKind::Running, JobKind::Failed),
            (sys::VIR_DOMAIN_JOB_CANCELLED, JobKind::Running, JobKind::Cancelled),
        ];
        for (kind, current, last) in cases {
            assert_eq!((JobKind::of_current(kind), JobKind::of_last(kind)), (current, last), "{kind}");
        }
    }
}
