//! What operators ask. Each request is checked, its intent stored by compare-and-set, and
//! answered; the loop makes it true. Refused requests change nothing.

mod bounds;
mod dark;
mod disks;
mod frontends;
mod keys;
mod migrations;
mod outages;
mod projects;
mod rehearsals;
mod sites;
mod vms;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};
use watari_chassis::{Call, Entry, Mirror, ReadError, Server, WriteError};
use watari_contracts::{
    Service,
    scheduler::{
        AddKey, CancelMigration, CancelOutage, CreateProject, CreateSnapshot, CreateVm, DeleteDisk, DeleteKey,
        DeleteProject, DeleteSnapshot, DeleteVm, DrainNode, EditVm, EvacuateSite, GetDisk, GetKey, GetMigration,
        GetOutage, GetProject, GetVm, ListDisks, ListKeys, ListMigrations, ListOutages, ListProjects, ListSites,
        ListVms, MigrateVm, PauseOutage, PlanOutage, PreseedVm, PromoteFrontEnd, RebootVm, RehearseOutage,
        RescheduleOutage, ResizeVm, ResumeOutage, ReturnSite, RevertSnapshot, ScheduleOutage, SetProject,
        ShutDownNodes, StartOutage, StartVm, StopVm, TellPower, VmConsole, VmConsoleLog, VmScreenshot, WithdrawOutage,
    },
};
use watari_model::{Document, Refusal, Said, said};

use crate::{
    core::Rules,
    doing::Executor,
    settings::{Servers, Settings},
    stores::Stores,
};

/// How often a write is tried again when somebody else was faster.
const TRIES: usize = 16;

/// What handlers need. Cloning shares it.
#[derive(Clone)]
pub(crate) struct Desk {
    executor: Executor,
    rules: Arc<Rules>,
    servers: Servers,
    most_keys: usize,
    most_projects: usize,
    turns: Arc<Turns>,
    shown: Arc<vms::Shown>,
    lately: Arc<vms::Lately>,
    rehearsed: Arc<Turn<Option<rehearsals::Last>>>,
    people: Arc<BTreeMap<String, String>>,
}

/// One request at a time for each name: a server that is being made is not made twice.
#[derive(Default)]
struct Turns(Mutex<HashMap<String, Weak<Turn<()>>>>);

impl Turns {
    async fn take(&self, name: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| turn.strong_count() > 0);
            let known = turns.get(name).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let turn = Arc::new(Turn::new(()));
                turns.insert(name.to_owned(), Arc::downgrade(&turn));
                turn
            })
        };
        turn.lock_owned().await
    }
}

impl Desk {
    pub(crate) fn new(executor: Executor, rules: Arc<Rules>, settings: &Settings) -> Self {
        Self {
            executor,
            rules,
            servers: settings.servers,
            most_keys: settings.keys.most,
            most_projects: settings.projects.most,
            turns: Arc::default(),
            shown: Arc::default(),
            lately: Arc::default(),
            rehearsed: Arc::default(),
            people: Arc::new(settings.people.clone()),
        }
    }

    fn stores(&self) -> &Stores {
        &self.executor.stores
    }

    /// All endpoints of the scheduler.
    pub(crate) fn endpoints(self, server: Server) -> Server {
        macro_rules! endpoints {
            ($server:expr; $($request:ty => $handler:ident $(if $check:ident)?),* $(,)?) => {{
                let server = $server;
                $(let desk = self.clone();
                let server = server.endpoint(move |call: Call, request: $request| {
                    let desk = desk.clone();
                    async move {
                        $(desk.$check(&call, &request).await?;)?
                        drop(call);
                        desk.$handler(request).await
                    }
                });)*
                server
            }};
        }
        endpoints!(server;
            CreateVm => create_vm if within_project, StartVm => start_vm if within_project, StopVm => stop_vm if within_project,
            RebootVm => reboot_vm if within_project, ResizeVm => resize_vm if within_project, EditVm => edit_vm if within_project,
            DeleteVm => delete_vm if within_project, VmConsole => console if within_project,
            CreateSnapshot => create_snapshot if within_project, RevertSnapshot => revert_snapshot if within_project,
            DeleteSnapshot => delete_snapshot if within_project,
            GetVm => get_vm, ListVms => list_vms, MigrateVm => migrate_vm, PreseedVm => preseed_vm, VmConsoleLog => console_log, VmScreenshot => screenshot,
            ListMigrations => list_migrations, GetMigration => get_migration, CancelMigration => cancel_migration,
            ListSites => list_sites, EvacuateSite => evacuate_site, ReturnSite => return_site, TellPower => tell_power,
            PromoteFrontEnd => promote_front_end, DrainNode => drain_node, GetOutage => get_outage, ListOutages => list_outages, PlanOutage => plan_outage, RehearseOutage => rehearse_outage, ScheduleOutage => schedule_outage, RescheduleOutage => reschedule_outage, StartOutage => start_outage, PauseOutage => pause_outage, ResumeOutage => resume_outage, ShutDownNodes => shut_down_nodes, WithdrawOutage => withdraw_outage, CancelOutage => cancel_outage,
            GetDisk => get_disk, ListDisks => list_disks, DeleteDisk => delete_disk if within_project,
            AddKey => add_key, GetKey => get_key, ListKeys => list_keys, DeleteKey => delete_key,
            CreateProject => create_project, GetProject => get_project, ListProjects => list_projects, SetProject => set_project, DeleteProject => delete_project,
        )
    }
}

/// A document by the mirror, or by the bucket itself if the mirror does not have it yet: what an
/// operator made a moment ago is there.
async fn find<T: Document>(mirror: &Mirror<T>, key: &str) -> Result<Option<Arc<Entry<T>>>, Refusal> {
    if let Some(entry) = mirror.get(key) {
        return Ok(Some(entry));
    }
    match mirror.bucket().get(key).await {
        Ok(entry) => Ok(entry.map(Arc::new)),
        Err(ReadError::Unreadable(unreadable)) => Err(Refusal::Internal { detail: unreadable.to_string() }),
        Err(ReadError::Bus { bucket, .. }) => Err(Refusal::NoAnswer { who: format!("the bucket {bucket}") }),
    }
}

/// The newest document by the bucket itself, after somebody else was faster.
async fn newest<T: Document>(mirror: &Mirror<T>, key: &str) -> Result<Option<Arc<Entry<T>>>, Refusal> {
    match mirror.bucket().get(key).await {
        Ok(entry) => Ok(entry.map(Arc::new)),
        Err(ReadError::Unreadable(unreadable)) => Err(Refusal::Internal { detail: unreadable.to_string() }),
        Err(ReadError::Bus { bucket, .. }) => Err(Refusal::NoAnswer { who: format!("the bucket {bucket}") }),
    }
}

/// What a write that was not made, or is not known to have been, is to the caller: to be repeated.
fn unwritten(error: &WriteError) -> Refusal {
    tracing::warn!(%error, "an intent was not stored");
    error.refusal(Service::Scheduler, "the bus")
}

/// The most bytes of an answer, about: NATS takes one of a MiB.
const PAGE_BYTES: usize = 800_000;

/// Takes views until the page is full by number or by size; the first always fits.
fn fill<V: serde::Serialize>(views: impl Iterator<Item = V>, limit: usize) -> Vec<V> {
    let mut bytes = 0;
    let mut taken = Vec::new();
    for view in views.take(limit) {
        bytes += size(&view);
        if bytes > PAGE_BYTES && !taken.is_empty() {
            break;
        }
        taken.push(view);
    }
    taken
}

/// The size of a view as JSON, without keeping it.
fn size(view: &impl serde::Serialize) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // A view that cannot be written is found out when it is sent.
    let _ = serde_json::to_writer(&mut count, view);
    count.0
}

/// The size of a page within its bounds.
fn page(limit: Option<u32>, default: usize) -> Result<usize, Refusal> {
    const MOST: u32 = 1_000;
    match limit {
        None => Ok(default),
        Some(limit) if (1..=MOST).contains(&limit) => Ok(limit as usize),
        Some(limit) => Err(out_of_range("limit", limit, Said::between(1, MOST))),
    }
}

fn out_of_range(field: &str, value: impl ToString, allowed: Said) -> Refusal {
    let value: String = value.to_string().chars().take(80).collect();
    Refusal::OutOfRange { field: field.to_owned(), value, allowed }
}

/// A caller's name for a request is kept in documents, so it has a bound.
fn check_request_id(request_id: Option<&str>) -> Result<(), Refusal> {
    const MOST: usize = 128;
    match request_id {
        Some(id) if id.is_empty() || id.len() > MOST || id.chars().any(char::is_control) => {
            Err(out_of_range("request_id", id, said!("1 to {MOST} bytes of text", "1～{MOST} バイトの文字列")))
        }
        _ => Ok(()),
    }
}
