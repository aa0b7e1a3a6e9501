//! Taking an order: whether it is heeded, known already, allowed by the rules, and possible now;
//! and writing down that it is taken, before anything is done.

use std::{sync::Arc, time::Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use watari_chassis::{TraceParent, clock};
use watari_contracts::agent::Progress;
use watari_model::Refusal;

use super::{Actor, Operation};
use crate::{
    blueprint,
    record::{Disk, Launch, Record, Removal},
    store::Key,
    work::Work,
};

/// Orders that may wait for the one under way to give way.
const WAITING: usize = 4;
/// Where an order runs.
enum Lane {
    /// As the operation.
    Main,
    /// Beside a sending.
    Aside,
    /// As the next one, which the present one gives way to.
    Overtake,
    /// As the next one, when the present one has ended by itself.
    Behind,
}

/// Whether `newer` may end the time of `older`, which makes something or waits for a guest.
fn overtakes(newer: &Work, older: &Work) -> bool {
    let takes_away =
        matches!(newer, Work::Stop(_) | Work::Suspend(_) | Work::Remove(_) | Work::Discard(_) | Work::Release(_));
    match older {
        Work::Start(_) | Work::Receive(_) | Work::Reboot(_) | Work::Grow(_) => takes_away,
        // Merging layers takes long, and QEMU may hang: what is left in the middle of it is gone on with later.
        Work::Freeze(_) | Work::TakeSnapshot(_) => takes_away || matches!(newer, Work::Send(_) | Work::Reboot(_)),
        // Not by what can wait for it, or come to nothing: the guest stands still until its memory is saved.
        Work::Suspend(_) => match newer {
            Work::Stop(order) => order.force,
            Work::Remove(order) => !order.spare_running,
            _ => false,
        },
        Work::Stop(order) => takes_away && !order.force && !matches!(newer, Work::Stop(newer) if !newer.force),
        _ => false,
    }
}

impl Actor {
    /// Takes an order, or says how far it is.
    pub(super) async fn order(
        &mut self,
        work: Work,
        trace: Option<TraceParent>,
    ) -> Result<watch::Receiver<Progress>, Refusal> {
        let since = Instant::now();
        self.node.heed(work.order()).await?;
        if let Some(server) = work.server() {
            blueprint::check(server)?;
        }
        let record = self.subject(&work).await?;
        let server = record.as_ref().map_or_else(|| format!("name:{}", self.book.vm), |record| record.uuid.clone());
        let key = Key { server, verb: work.verb(), operation: work.order().operation.clone() };
        if let Some(progress) = self.known(&key).await? {
            return Ok(progress);
        }
        let closed = match (&work, work.migration()) {
            (Work::Receive(_) | Work::Send(_), Some(migration)) => self.node.journal.is_closed(migration).await?,
            _ => false,
        };
        let uuid = record.as_ref().map(|record| record.uuid.clone());
        // The rules first: a stale order is told so, and not that the server is busy.
        let judge = |present: Option<Record>| {
            let record = present.map(|present| self.admit(present, &work)).transpose()?;
            if closed {
                return Err(Refusal::MigrationCancelled { vm: self.book.vm.to_string() });
            }
            Ok((record, self.lane(&work)?))
        };
        let lane = self.book.take(record, judge, (&key, &work)).await?;
        let operation = Operation {
            key,
            uuid,
            work: Arc::new(work),
            progress: watch::Sender::new(Progress::Working),
            superseded: CancellationToken::new(),
            since,
            recovered: false,
            trace,
        };
        let progress = operation.progress.subscribe();
        match lane {
            Lane::Main => self.running = Some(self.begin(operation)),
            Lane::Aside => self.aside = Some(self.begin(operation)),
            Lane::Overtake => {
                let before = self.running.iter().map(|running| &running.operation).chain(&self.waiting);
                before.for_each(|operation| operation.superseded.cancel());
                self.waiting.push_back(operation);
            }
            Lane::Behind => self.waiting.push_back(operation),
        }
        Ok(progress)
    }

    /// The record that an order is about: by UUID if it says one, else by name. A start, a
    /// reception or a removal of a server that is not known yet begins a record.
    async fn subject(&self, work: &Work) -> Result<Option<Record>, Refusal> {
        let Some(uuid) = work.uuid() else { return Ok(self.book.current().await) };
        blueprint::check_uuid(uuid)?;
        let known = self.book.record(uuid).await;
        Ok(Some(known.unwrap_or_else(|| Record::new(self.book.vm.clone(), uuid.to_owned()))))
    }

    /// What is known of this operation, if it need not be done (again).
    async fn known(&mut self, key: &Key) -> Result<Option<watch::Receiver<Progress>>, Refusal> {
        let all = self.running.iter().chain(&self.aside).map(|running| &running.operation).chain(&self.waiting);
        if let Some(operation) = all.into_iter().find(|operation| operation.key == *key) {
            return Ok(Some(operation.progress.subscribe()));
        }
        let untold = self.untold.take_if(|untold| untold == key).is_some();
        Ok(match self.node.journal.progress(key).await? {
            // What failed and may succeed later is done again, under the rules as they are then; but
            // first it is told, or an operation that takes longer than an answer waits would be said
            // to be under way for ever.
            Some(Progress::Failed(refusal)) if refusal.retryable() && !untold => None,
            // Under way by the journal and yet not here: it ended and that could not be written down.
            Some(Progress::Working) | None => None,
            Some(over) => Some(watch::Sender::new(over).subscribe()),
        })
    }

    /// The record as it is once the order is taken.
    fn admit(&self, mut record: Record, work: &Work) -> Result<Record, Refusal> {
        if let Some(ask) = work.ask() {
            record.seen = record.seen.admit(&self.node.name, ask)?;
        }
        // If it stands still after this, that has nothing to do with its start. To be stopped never makes a guest stand
        // still, and may be refused because it does.
        if record.launch == Launch::Released && !matches!(work, Work::Start(_) | Work::Stop(_)) {
            record.launch = Launch::Idle;
        }
        match work {
            // What was removed here is not made anew; from a copy that was sent since, the server comes back.
            Work::Start(order)
                if record.removal == Removal::Begun || (record.removal == Removal::Done && order.copy.is_none()) =>
            {
                return Err(self.node.not_now(&self.book.vm, "removed", work.verb()));
            }
            Work::Receive(_) if record.removal == Removal::Begun => {
                return Err(self.node.not_now(&self.book.vm, "being removed", work.verb()));
            }
            Work::Start(_) | Work::Receive(_) => {
                // What was removed here was an old copy: the server itself lives elsewhere, and may
                // come back. What it then runs under is a grant newer than any seen.
                record.removal = Removal::No;
                record.server = work.server().cloned();
                record.passage = None;
                record.isolated = None;
                record.chosen = u64::try_from(clock::now().0.unix_timestamp_nanos() / 1_000).unwrap_or(0);
            }
            // One that is refused while the server lives begins when it is seen not to.
            Work::Remove(order) if !order.spare_running && record.removal == Removal::No => {
                record.removal = Removal::Begun;
            }
            // From now on the copy is the server, and its disk the server's disk.
            Work::Resume(_) => {
                if matches!(record.disk, Disk::Copy { .. }) {
                    record.disk = Disk::Whole;
                }
            }
            _ => {}
        }
        Ok(record)
    }

    /// Where an order can run now.
    fn lane(&self, work: &Work) -> Result<Lane, Refusal> {
        let busy = |verb: &str| self.node.not_now(&self.book.vm, &format!("busy ({verb})"), work.verb());
        let Some(running) = &self.running else {
            return if self.waiting.is_empty() { Ok(Lane::Main) } else { Err(busy("restarting")) };
        };
        let older = &running.operation.work;
        if matches!((&**older, work), (Work::Send(_), Work::Abort(_))) && self.aside.is_none() {
            return Ok(Lane::Aside);
        }
        // The server has left: the sending is at its figures, and whoever waits for the release need
        // not come again.
        if matches!((&**older, work), (Work::Send(_), Work::Release(_))) && self.waiting.is_empty() {
            return Ok(Lane::Behind);
        }
        let queued = self.waiting.len() < WAITING;
        if queued && overtakes(work, older) && self.waiting.iter().all(|waiting| overtakes(work, &waiting.work)) {
            return Ok(Lane::Overtake);
        }
        Err(busy(older.verb()))
    }
}

#[cfg(test)]
mod tests {
    use watari_contracts::agent::{Freeze, Named, Order, Reboot, Remove, Send, Stop, Suspend, TakeSnapshot};

    use super::*;

    fn order() -> Order {
        Order { epoch: 1, operation: "one".to_owned() }
    }

    fn stop(force: bool) -> Work {
        Work::Stop(Stop { order: order(), vm: "mail".parse().unwrap(), generation: 1, force })
    }

    #[test]
    fn nothing_that_is_done_to_a_disk_for_later_holds_up_who_moves_or_ends_its_server() {
        let vm = || "mail".parse().unwrap();
        let freeze =
            Work::Freeze(Freeze { order: order(), vm: vm(), generation: 1, least_mib: 1, named: Named::default() });
        let reboot = Work::Reboot(Reboot { order: order(), vm: vm(), generation: 1, force: true });
        let send = Work::Send(Send {
            order: order(),
            migration: "mail-1".parse().unwrap(),
            vm: vm(),
            generation: 1,
            to: "y1".parse().unwrap(),
            address: "192.0.2.21".to_owned(),
            bandwidth_mib: 0,
            downtime_ms: 0,
            top: 0,
            disk_gib: None,
            max_downtime_seconds: None,
        });
        let (number, named) = (1, Named::default());
        let take = Work::TakeSnapshot(TakeSnapshot { order: order(), vm: vm(), generation: 1, number, named });
        for newer in [stop(true), stop(false), reboot, send.clone()] {
            assert!(overtakes(&newer, &freeze) && overtakes(&newer, &take), "{}", newer.verb());
        }
        assert!(!overtakes(&freeze, &freeze));
        assert!(!overtakes(&stop(true), &send), "a sending is broken off by its own order");
        assert!(overtakes(&stop(true), &stop(false)) && !overtakes(&stop(false), &stop(true)));
    }

    #[test]
    fn a_memory_that_is_being_saved_is_given_up_only_for_who_wants_the_server_off_or_gone() {
        let vm = || "mail".parse().unwrap();
        let suspend = Work::Suspend(Suspend { order: order(), vm: vm(), generation: 1 });
        let remove = |spare_running| {
            let uuid = "6c8a3b1e-0f0d-4c55-9d2a-1f1e4a9f7c11".to_owned();
            Work::Remove(Remove {
                order: order(),
                vm: vm(),
                uuid,
                generation: 1,
                keep_layers: false,
                spare_running,
                keep_disk: None,
            })
        };
        assert!(overtakes(&stop(true), &suspend) && overtakes(&remove(false), &suspend));
        assert!(!overtakes(&stop(false), &suspend) && !overtakes(&remove(true), &suspend));
        assert!(!overtakes(&suspend, &suspend));
    }
}
