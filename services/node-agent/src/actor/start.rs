//! Start a server under a grant to this node.
//!
//! ```text
//!  room ─▶ image ─▶ journal: held ─┬─▶ disk, seed ────────┬─▶ QEMU, standing still ─┬─▶ journal: released ─▶ runs ─▶ seen
//!    │                             └─▶ rules, definition ─┴─▶ DHCP, metadata ───────┤
//!    └─▶ before its first start: does a stranger have its address? ─────────────────┘
//! ```
//!
//! QEMU is started with its processors standing still, so that whatever needs time, and above all hearing that nobody has
//! the address, goes on beside it: the guest runs its first instruction when all of that is well. Until then it is *held*,
//! which is written down before there is a domain: what is held has run nothing and is destroyed, by this order if anything
//! fails, and by whatever is done next with the server if the agent dies. That it may run is written down before it does, so
//! that a guest which may have run is never taken for one which has not; if it is found standing still, the next order to
//! start it lets it go. A memory that was saved runs as soon as it is read, and begins when all else is ready.

use std::{path::Path, time::Duration};

use watari_chassis::CancellationToken;
use watari_contracts::agent::{DiskUse, Domain, OffReason, Start};
use watari_model::{Refusal, size::GIB};

use super::{cx::Cx, from_copy};
use crate::{
    blueprint,
    facts::Urgency,
    hypervisor::{self, DiskFormat, DomainState, Kind, PauseReason, StartMode, disk, save::Place},
    layers::stack,
    record::{Disk, Launch, Record},
    room::Need,
};

const WANTED: &str = "start";
/// What a server does whose memory is on the disk.
const SAVED: Domain = Domain::Off(OffReason::Saved);

pub(super) async fn run(cx: &Cx, order: &Start) -> Result<(), Refusal> {
    let (was, launch) = (cx.look(WANTED).await?, cx.record().await?.launch);
    match was {
        Domain::Absent | Domain::Off(_) => {}
        Domain::Running => return confirm(cx, order).await,
        // It was about to be let go when the agent died.
        Domain::Paused if launch == Launch::Released => {
            cx.may_run(&order.server, WANTED).await?;
            go(cx, None).await?;
            return confirm(cx, order).await;
        }
        other => return Err(cx.not_now(other, WANTED)),
    }
    let mut outcome = make(cx, order, was).await;
    if was == SAVED && outcome.is_ok() {
        // It goes on with the definition that was saved with its memory, and so with the grant of that time.
        outcome = confirm(cx, order).await;
    }
    if outcome.is_err() {
        cx.node.room.release(&order.server.uuid);
        // Whatever happened, tell what is there now.
        cx.book.look().await;
    }
    outcome
}

async fn make(cx: &Cx, order: &Start, was: Domain) -> Result<(), Refusal> {
    let server = &order.server;
    cx.check_display(server).await?;
    // The disk grows as the server writes; what is reserved for it is the scheduler's account.
    let need = Need { memory_mib: server.memory_mib, disk_gib: 0 };
    // No room is made by dropping what is needed next.
    let _here = cx.node.images.hold(&server.base);
    cx.node.claim(&server.name, &server.uuid, need).await?;
    let (ready, strange) = (CancellationToken::new(), CancellationToken::new());
    let stands = async {
        let stood = stand(cx, order, was, &strange).await;
        ready.cancel();
        stood
    };
    let asks = async {
        let asked = ask_for_strangers(cx, order, &ready).await;
        if asked.is_err() {
            strange.cancel();
        }
        asked
    };
    // A disk that is being made is not left half done for a stranger's sake.
    let (stood, asked) = tokio::join!(stands, asks);
    let released = match stood.and(asked) {
        Ok(()) => release(cx, order, was).await,
        Err(refusal) => Err(refusal),
    };
    match released {
        Ok(place) => go(cx, place).await,
        Err(refusal) => {
            if let Err(error) = withdraw(cx, order, was).await {
                tracing::warn!(vm = %cx.book.vm, %error, "what was begun of its start is not all taken back yet");
            }
            Err(refusal)
        }
    }
}

/// An address that the server has never used may be somebody else's. One that it has is its own, whoever says otherwise.
async fn ask_for_strangers(cx: &Cx, order: &Start, ready: &CancellationToken) -> Result<(), Refusal> {
    match order.disk {
        DiskUse::MayCreate => cx.node.plumbing.ask_for_strangers(&order.server, ready).await,
        DiskUse::Existing => Ok(()),
    }
}

/// Brings it to where it needs only be let go. Nothing is begun any more for one whose address is a stranger's.
async fn stand(cx: &Cx, order: &Start, was: Domain, strange: &CancellationToken) -> Result<(), Refusal> {
    prepare(cx, order, was).await?;
    cx.checkpoint(WANTED)?;
    cx.may_run(&order.server, WANTED).await?;
    if strange.is_cancelled() {
        return Ok(());
    }
    let started = async { if was == SAVED { Ok(()) } else { start_held(cx).await } };
    let (started, attended) = tokio::join!(started, cx.node.plumbing.attend(&order.server));
    started.and(attended)
}

/// Everything that its domain stands on, and its definition.
async fn prepare(cx: &Cx, order: &Start, was: Domain) -> Result<(), Refusal> {
    let server = &order.server;
    // Until its disk stands on it.
    let _base = cx.unless_superseded(WANTED, cx.node.images.ensure(&server.base)).await?;
    if let Some(of) = &order.kept {
        cx.node.kept.take(&cx.node, &cx.book, &server.uuid, of).await?;
    }
    if let Some(copy) = &order.copy {
        from_copy::provide(cx, server, copy).await?;
    }
    let record = stack::settled(&cx.node, &cx.book, &server.uuid).await?;
    let found = find_disk(cx, order, &record).await?;
    cx.checkpoint(WANTED)?;
    let begun = |record: &mut Record| {
        record.wired = true;
        record.launch = if was == SAVED { Launch::Idle } else { Launch::Held };
    };
    let record = cx.book.amend(&server.uuid, Urgency::Whenever, begun).await?;
    // Side by side, since none needs the others.
    let (disk, defined, seed) =
        tokio::join!(provide_disk(cx, order, &record, found), define(cx, order, &record), cx.write_seed(server));
    disk.and(defined).and(seed)
}

/// Its definition, and the rules for the taps that it names, which must stand before there are any.
async fn define(cx: &Cx, order: &Start, record: &Record) -> Result<(), Refusal> {
    let (plumbing, server) = (&cx.node.plumbing, &order.server);
    let nics = plumbing.link_up(server).await?;
    let spec = blueprint::domain(&cx.node, server, &record.stack, nics, record.seen.granted);
    let (plugged, defined) = tokio::join!(plumbing.plug(server), cx.node.hypervisor.define(&spec));
    plugged?;
    defined.map_err(|error| refuse(cx, &error))
}

/// Has QEMU make the machine, and nothing run on it.
async fn start_held(cx: &Cx) -> Result<(), Refusal> {
    match cx.node.hypervisor.start(cx.name(), StartMode::Paused).await {
        // It is there already, or the answer was lost: what is seen decides.
        Err(error) if error.kind() == Kind::InvalidState || error.outcome_unknown() => {
            seen(cx, |domain| matches!(domain, Domain::Paused | Domain::Running)).await
        }
        outcome => outcome.map_err(|error| refuse(cx, &error)),
    }
}

/// Writes down that it may run, if it may. Of one whose memory is saved, gives what it takes to read that.
async fn release(cx: &Cx, order: &Start, was: Domain) -> Result<Option<Place>, Refusal> {
    let place = match was {
        SAVED => Some(cx.unless_superseded(WANTED, async { Ok(cx.node.hypervisor.place(0).await) }).await?),
        _ => None,
    };
    cx.checkpoint(WANTED)?;
    cx.may_run(&order.server, WANTED).await?;
    if place.is_none() {
        let released = |record: &mut Record| record.launch = Launch::Released;
        cx.book.amend(&order.server.uuid, Urgency::Whenever, released).await?;
    }
    Ok(place)
}

/// Lets it run. Success is being seen running, not a call's result.
async fn go(cx: &Cx, place: Option<Place>) -> Result<(), Refusal> {
    let hypervisor = &cx.node.hypervisor;
    let went = match place {
        Some(place) => hypervisor.start_saved(cx.name(), place).await,
        None => hypervisor.resume(cx.name()).await,
    };
    match went {
        // It runs already, or the answer was lost: what is seen decides.
        Err(error) if error.kind() == Kind::InvalidState || error.outcome_unknown() => {}
        outcome => outcome.map_err(|error| refuse(cx, &error))?,
    }
    seen(cx, |domain| domain == Domain::Running).await?;
    // A public address is answered only while the server's cards are there, and they are now.
    let node = cx.node.clone();
    tokio::spawn(async move { node.plumbing.publish().await });
    Ok(())
}

/// Takes back what was begun. Of a server that was not here before, the disk stays and nothing else.
async fn withdraw(cx: &Cx, order: &Start, was: Domain) -> Result<(), Refusal> {
    let uuid = &order.server.uuid;
    // Of one that was not written down to be held nothing was begun: what may stand there is not this order's.
    let begun = cx.record().await?.launch == Launch::Held;
    if !begun || undo(cx, uuid).await? != Launch::Idle || was != Domain::Absent {
        return Ok(());
    }
    // Another's may be why it could not be defined.
    if is_ours(cx, uuid).await? {
        cx.node.hypervisor.undefine(cx.name()).await.map_err(|error| cx.refuse(&error))?;
    }
    cx.node.plumbing.disconnect(&order.server).await?;
    cx.book.amend(uuid, Urgency::Whenever, |record| record.wired = false).await.map(drop)
}

/// Before anything else is done with a server: what an earlier start, or an agent before this one, left held goes.
///
/// # Errors
/// libvirt's, or the journal's; it is tried again with the next order.
pub(super) async fn take_back(cx: &Cx) -> Result<(), Refusal> {
    let Some(uuid) = cx.uuid.as_deref() else { return Ok(()) };
    let held = cx.book.record(uuid).await.is_some_and(|record| record.launch == Launch::Held);
    if held { undo(cx, uuid).await.map(drop) } else { Ok(()) }
}

/// Destroys what stands still and has run nothing. What runs all the same was let go by somebody else, and goes on. Tells
/// which of both.
async fn undo(cx: &Cx, uuid: &str) -> Result<Launch, Refusal> {
    let ours = is_ours(cx, uuid).await?;
    let state = cx.node.hypervisor.state(cx.name()).await.map_err(|error| cx.refuse(&error))?;
    let launch = if ours && has_run(state) { Launch::Released } else { Launch::Idle };
    if ours && launch == Launch::Idle {
        cx.force_off(uuid).await?;
    }
    cx.book.amend(uuid, Urgency::Whenever, |record| record.launch = launch).await?;
    Ok(launch)
}

/// Whether the domain of its name is its own: one of another UUID is another server.
async fn is_ours(cx: &Cx, uuid: &str) -> Result<bool, Refusal> {
    let there = cx.node.hypervisor.uuid(cx.name()).await.map_err(|error| cx.refuse(&error))?;
    Ok(there.is_some_and(|there| there == uuid))
}

/// Whether a domain that was begun with its processors standing still cannot be in this state but by having run since.
fn has_run(state: DomainState) -> bool {
    let still = matches!(state, DomainState::Paused(PauseReason::User | PauseReason::StartingUp | PauseReason::Other));
    !still && state.may_have_process()
}

fn refuse(cx: &Cx, error: &hypervisor::Error) -> Refusal {
    match error.kind() {
        Kind::Exists => cx.node.not_now(&cx.book.vm, "in the way of one of another UUID", WANTED),
        _ => cx.refuse(error),
    }
}

/// It runs already, under an older grant whose news was lost: the new one is recorded.
async fn confirm(cx: &Cx, order: &Start) -> Result<(), Refusal> {
    let grant = hypervisor::Grant { owner: cx.node.name.to_string(), generation: order.grant.generation };
    cx.node.hypervisor.set_grant(cx.name(), &grant).await.map_err(|error| cx.refuse(&error))
}

/// What is there of a disk that a server may start from.
enum Found {
    /// Its file.
    File,
    /// Nothing yet: it is to be made.
    Nothing,
}

/// The disk is the server's own, or a new one if it may be. A copy that never became whole, or
/// what was left when the server went elsewhere, is not its disk.
async fn find_disk(cx: &Cx, order: &Start, record: &Record) -> Result<Found, Refusal> {
    let path = stack::top(&cx.node.layout, record);
    let exists = tokio::fs::try_exists(&path)
        .await
        .map_err(|error| Refusal::Internal { detail: format!("{}: {error}", path.display()) })?;
    let lost = |state: &str| Refusal::VmState {
        vm: order.server.name.to_string(),
        state: format!("{state} on node {}", cx.node.name),
        wanted: WANTED.to_owned(),
    };
    match (&record.disk, exists, order.disk) {
        // One that is being made was made, perhaps, when it was to be smaller.
        (Disk::Whole | Disk::Making, true, _) => Ok(Found::File),
        (Disk::None | Disk::Making, false, DiskUse::MayCreate) => Ok(Found::Nothing),
        (Disk::Whole, false, _) | (Disk::None | Disk::Making, false, DiskUse::Existing) => {
            Err(lost("without its disk"))
        }
        (Disk::Copy { .. }, ..) => Err(lost("only a migration's unfinished copy")),
        (Disk::Leftover { .. }, ..) => Err(lost("only an old copy left by a migration")),
        (Disk::None, true, _) => Err(lost("beside a disk file that the agent's journal does not know")),
    }
}

/// Its disk as large as it is to be, and what its firmware knows.
async fn provide_disk(cx: &Cx, order: &Start, record: &Record, found: Found) -> Result<(), Refusal> {
    let (server, path) = (&order.server, stack::top(&cx.node.layout, record));
    cx.provide_variables(server).await?;
    match found {
        Found::File => grow(cx, &path, server.disk_gib).await?,
        Found::Nothing => {
            cx.book.amend(&server.uuid, Urgency::Whenever, |record| record.disk = Disk::Making).await?;
            let backing = blueprint::backing(&cx.node, &server.base);
            let made = disk::create_overlay(&path, &backing, server.disk_gib.saturating_mul(GIB)).await;
            made.map_err(|error| cx.refuse(&error))?;
        }
    }
    if record.disk != Disk::Whole {
        cx.book.amend(&server.uuid, Urgency::Whenever, |record| record.disk = Disk::Whole).await?;
    }
    stack::verify(&cx.node, &cx.book, record).await
}

/// A disk that is smaller than it is to be grows; one that is larger stays as it is.
async fn grow(cx: &Cx, path: &Path, disk_gib: u64) -> Result<(), Refusal> {
    let wanted = disk_gib.saturating_mul(GIB);
    let is = disk::info(path, DiskFormat::Qcow2).await.map_err(|error| cx.refuse(&error))?.virtual_bytes;
    if is < wanted {
        disk::grow(path, wanted).await.map_err(|error| cx.refuse(&error))?;
    }
    Ok(())
}

/// Waits until it does what it is to do. Being seen counts, not a call's result.
async fn seen(cx: &Cx, is: impl Fn(Domain) -> bool) -> Result<(), Refusal> {
    let bound = Duration::from_secs(cx.node.settings.bounds.start_seconds);
    let mut events = cx.node.hypervisor.events();
    let wait = async {
        loop {
            match cx.book.look().await.domain {
                domain if is(domain) => return Ok(()),
                domain @ (Domain::Off(_) | Domain::Absent) => return Err(cx.not_now(domain, "go on running")),
                _ => {}
            }
            // Any event is a reason to look again, and so is a while without one.
            let _ = tokio::time::timeout(Duration::from_millis(250), events.recv()).await;
        }
    };
    tokio::time::timeout(bound, wait).await.unwrap_or_else(|_| Err(cx.not_now(Domain::Unknown, "be seen running")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypervisor::StopReason;

    #[test]
    fn whatever_a_guest_can_have_done_since_it_was_held_is_taken_for_its_having_run() {
        let off = [StopReason::Destroyed, StopReason::Failed, StopReason::Crashed].map(DomainState::ShutOff);
        let still = [PauseReason::User, PauseReason::StartingUp].map(DomainState::Paused);
        for state in off.into_iter().chain(still).chain([DomainState::Absent]) {
            assert!(!has_run(state), "{state:?}");
        }
        let paused = [PauseReason::IoError, PauseReason::Saving, PauseReason::Ending, PauseReason::Migration];
        let alive = [DomainState::Running, DomainState::ShuttingDown, DomainState::Slept, DomainState::Crashed];
        for state in paused.map(DomainState::Paused).into_iter().chain(alive).chain([DomainState::Unknown(42)]) {
            assert!(has_run(state), "{state:?}");
        }
    }
}
