//! Stops one server whose node's lease has run out.

use std::time::Duration;

use watari_contracts::agent::Domain;
use watari_model::isolation::Duty;

use crate::{
    actor::{Book, Ward},
    facts::Urgency,
};

/// How long libvirt may take to do what it is told; after that its process is killed without it.
const LIBVIRT_DOES: Duration = Duration::from_secs(3);

/// Asks the guest to shut down, if that is `due`, or forces it off; whether it is off.
pub(super) async fn halt(book: &Book, ward: &Ward, duty: Duty, due: bool) -> bool {
    let (domain, foreign) = look(book).await;
    if domain.is_off() || (domain == Domain::Unknown && is_gone(book, ward).await) {
        return true;
    }
    if !ward.stopped {
        mark(book, ward).await;
    }
    match (duty, domain) {
        (Duty::ForceOff, _) => force(book, ward, foreign).await,
        (Duty::ShutDown, Domain::Running) if due => press(book).await,
        // One that stands still does no harm yet, and may be about to be gone by a migration.
        (Duty::RunOn | Duty::ShutDown, _) => return false,
    }
    look(book).await.0.is_off() || is_gone(book, ward).await
}

/// What it does, and whether another's domain has its name. A book that is held up tells neither; then libvirt is told
/// nothing.
async fn look(book: &Book) -> (Domain, bool) {
    let seen = tokio::time::timeout(LIBVIRT_DOES, book.look()).await;
    seen.map_or((Domain::Unknown, true), |sight| (sight.domain, sight.foreign))
}

/// Whether no process of it lives, by the kernel's word: libvirt may be away.
async fn is_gone(book: &Book, ward: &Ward) -> bool {
    let found = book.node.hypervisor.process(book.vm.as_str(), &ward.uuid);
    matches!(tokio::time::timeout(LIBVIRT_DOES, found).await, Ok(Ok(None)))
}

/// Written down first, so that nobody takes it for its users' wish, nor starts it again by an order of before.
async fn mark(book: &Book, ward: &Ward) {
    tracing::warn!(vm = %book.vm, "the node is cut off and its lease has run out: the server is stopped");
    let marked = book.amend(&ward.uuid, Urgency::Now, |record| {
        record.isolated = Some(record.seen.generation);
        record.seen.operation = None;
    });
    // A disk that takes nothing must not keep it running.
    match tokio::time::timeout(LIBVIRT_DOES, marked).await {
        Ok(Ok(_)) => {}
        Ok(Err(refusal)) => tracing::error!(vm = %book.vm, %refusal, "that it is stopped is not written down"),
        Err(_) => tracing::error!(vm = %book.vm, "that it is stopped is not written down yet"),
    }
}

async fn press(book: &Book) {
    let pressed = tokio::time::timeout(LIBVIRT_DOES, book.node.hypervisor.shutdown(book.vm.as_str())).await;
    if !matches!(pressed, Ok(Ok(()))) {
        tracing::warn!(vm = %book.vm, "the guest could not be asked to shut down");
    }
}

/// By libvirt, if it answers; and whether or not it does, what is left of the process is killed. Another's domain of
/// that name is not touched.
async fn force(book: &Book, ward: &Ward, foreign: bool) {
    let (hypervisor, name) = (&book.node.hypervisor, book.vm.as_str());
    if !foreign {
        let forced = tokio::time::timeout(LIBVIRT_DOES, hypervisor.destroy(name)).await;
        if !matches!(forced, Ok(Ok(()))) {
            tracing::warn!(vm = name, "libvirt does not force the server off");
        }
    }
    match hypervisor.process(name, &ward.uuid).await {
        Ok(Some(process)) => {
            if let Err(error) = process.kill() {
                tracing::error!(vm = name, %error, "the server's process is not killed");
            }
        }
        Ok(None) => {}
        Err(error) => tracing::error!(vm = name, %error, "the server's process cannot be found"),
    }
}
