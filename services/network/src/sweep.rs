//! The loops: the index is built anew now and then, and ports without a server go back.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::watch;
use watari_chassis::{Context, Entry, Leadership, Mirror, Wake, WriteError, clock, looper};
use watari_model::vm::Vm;

use crate::{
    book::Book,
    orphans::{Servers, Suspicion, Verdict},
};

/// Builds the index anew at every tick and whenever a network comes or goes.
pub(crate) async fn index(ctx: Context, book: Arc<Book>, leadership: watch::Receiver<Leadership>) {
    let (wake, tick) = (Wake::new(), tick(&book));
    book.networks().wakes(&wake);
    looper::run_as_primary(&ctx, "index", leadership, wake, tick, |epoch| {
        book.rebuild(epoch);
        std::future::ready(Ok::<(), std::convert::Infallible>(()))
    })
    .await;
}

/// Gives addresses out again that are strangers' no more.
pub(crate) async fn strangers(ctx: Context, book: Arc<Book>, leadership: watch::Receiver<Leadership>) {
    let tick = tick(&book);
    looper::run_as_primary(&ctx, "strangers", leadership, Wake::new(), tick, |epoch| book.forget_strangers(epoch))
        .await;
}

/// Gives back ports whose server has been gone for long. It begins when the scheduler has made
/// its bucket; until then nobody can say which servers there are.
pub(crate) async fn orphans(ctx: Context, book: Arc<Book>, leadership: watch::Receiver<Leadership>) {
    let Ok(vms) = book.servers(&ctx).await else { return };
    let tick = tick(&book);
    let suspicion = Mutex::new(Suspicion::default());
    looper::run_as_primary(&ctx, "orphans", leadership, Wake::new(), tick, |epoch| {
        let verdict = {
            let mut suspicion = suspicion.lock().unwrap_or_else(PoisonError::into_inner);
            let patience = book.settings().orphan_seconds * 1000;
            let ports = book.ports().snapshot();
            let each = ports.iter().map(|(key, entry)| (key, &entry.value));
            let verdict = suspicion.in_tenure(epoch).judge(each, &Seen::of(&vms), clock::boot_millis(), patience);
            book.metrics().orphans.set(i64::try_from(suspicion.count()).unwrap_or(i64::MAX));
            verdict
        };
        carry_out(&book, epoch, verdict)
    })
    .await;
}

async fn carry_out(book: &Book, epoch: u64, verdict: Verdict) -> Result<(), Kept> {
    match verdict {
        Verdict::Release(keys) => {
            book.metrics().alarm.set(0);
            for key in keys {
                book.give_back_orphan(epoch, &key).await?;
                looper::goes_on();
            }
            Ok(())
        }
        Verdict::Alarm(what) => {
            book.metrics().alarm.set(1);
            Err(Kept::Alarm(what))
        }
    }
}

/// Why ports without a server are kept.
#[derive(Debug, thiserror::Error)]
enum Kept {
    #[error(
        "ALARM: {0}; none is given back. If the servers are really gone, send watari.service.port.release for each"
    )]
    Alarm(String),
    #[error(transparent)]
    Write(#[from] WriteError),
}

fn tick(book: &Book) -> Duration {
    Duration::from_secs(book.settings().sweep_seconds)
}

struct Seen<'a> {
    vms: &'a Mirror<Vm>,
    unreadable: Vec<String>,
}

impl<'a> Seen<'a> {
    fn of(vms: &'a Mirror<Vm>) -> Self {
        Self { vms, unreadable: vms.unreadable() }
    }
}

impl Servers for Seen<'_> {
    fn any(&self) -> bool {
        !self.vms.snapshot().is_empty()
    }

    fn get(&self, key: &str) -> Option<Arc<Entry<Vm>>> {
        self.vms.get(key)
    }

    fn is_unreadable(&self, key: &str) -> bool {
        self.unreadable.iter().any(|k| k == key)
    }
}
