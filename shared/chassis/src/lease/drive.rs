//! The lease's thin driver: asks the core, does it, and tells the core how it went.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{sync::watch, time::timeout};
use watari_contracts::Service;

use super::{
    Leadership, LeaseDocument,
    core::{Core, Millis, Outcome, Record, Step},
    wishes::Wishes,
};
use crate::{Bucket, Context, Revision, bucket::PutFault, clock::boot_millis};

/// How long requests in hand that may change something may take while somebody waits to lead.
const FINISHING: Duration = Duration::from_millis(300);

/// Competes until the process closes, then gives up the lease.
pub(super) async fn drive(
    ctx: Context,
    service: Service,
    bucket: Bucket<LeaseDocument>,
    core: Core,
    told: watch::Sender<Leadership>,
    wishes: Wishes,
) {
    let mut driver = Driver { ctx: ctx.clone(), service, bucket, core, told, wishes, looked_at: None };
    let pulse = ctx.pulse("lease");
    loop {
        pulse.begins();
        driver.give_way().await;
        let step = driver.core.step(boot_millis());
        driver.tell();
        if matches!(step, Step::Wait { .. }) {
            pulse.rests();
        }
        tokio::select! {
            () = driver.take(step) => {}
            () = ctx.closing().cancelled() => break,
        }
    }
    driver.release().await;
}

struct Driver {
    ctx: Context,
    service: Service,
    bucket: Bucket<LeaseDocument>,
    core: Core,
    told: watch::Sender<Leadership>,
    wishes: Wishes,
    /// When the lease was last read: from there a standby takes it.
    looked_at: Option<Millis>,
}

impl Driver {
    async fn take(&mut self, step: Step) {
        let sent = boot_millis();
        let patience = Duration::from_millis(self.core.patience(sent));
        match step {
            Step::Wait { until } => {
                let nudge = Arc::clone(&self.wishes.nudge);
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(until.saturating_sub(sent))) => {}
                    () = nudge.notified() => self.core.hurry(boot_millis()),
                    () = self.ctx.bus.doubted() => self.core.doubted(boot_millis()),
                    Some(renewal) = self.wishes.renewed() => self.core.on_heard(renewal, boot_millis()),
                }
            }
            Step::Read => {
                self.looked_at = Some(sent);
                match timeout(patience, self.read()).await {
                    Ok(Some(record)) => self.core.on_read(record, sent, boot_millis()),
                    Ok(None) | Err(_) => self.core.on_read_failed(boot_millis()),
                }
            }
            Step::Write { expected, epoch } => {
                let holder = Some(self.ctx.instance.to_string());
                let outcome = match timeout(patience, self.write(expected, holder, epoch, None)).await {
                    Ok(outcome) => outcome,
                    Err(_) => Outcome::Unknown,
                };
                self.core.on_written(outcome, sent, boot_millis());
            }
        }
        self.tell();
    }

    /// The record; the outer option is empty when it could not be read.
    async fn read(&self) -> Option<Option<Record>> {
        match self.bucket.raw(self.service.name()).await {
            Ok(Some(raw)) if !raw.deleted => match raw.entry::<LeaseDocument>() {
                Ok(entry) => Some(Some(Record::of(entry.revision, entry.value))),
                Err(error) => {
                    // Somebody holds it in a form that this version does not know: never free.
                    tracing::error!(%error, "the lease cannot be read");
                    None
                }
            },
            Ok(Some(marker)) => {
                Some(Some(Record { revision: marker.revision, holder: None, epoch: None, successor: None }))
            }
            Ok(None) => Some(None),
            Err(error) => {
                tracing::debug!(%error, "the lease cannot be read");
                None
            }
        }
    }

    async fn write(
        &self,
        expected: Revision,
        holder: Option<String>,
        epoch: Option<u64>,
        successor: Option<String>,
    ) -> Outcome {
        let (service, ttl_ms, site) = (self.service, self.core.ttl(), self.ctx.site().cloned());
        let document = LeaseDocument { v: 1, service, holder, epoch, ttl_ms, site, successor };
        let Ok(json) = serde_json::to_vec(&document) else { return Outcome::Unknown };
        match self.bucket.put(self.service.name(), expected, Bytes::from(json)).await {
            Ok(revision) => Outcome::Acknowledged(revision),
            Err(PutFault::Conflict) => Outcome::Conflict,
            Err(fault) => {
                tracing::debug!(?fault, "the lease's renewal was not acknowledged");
                Outcome::Unknown
            }
        }
    }

    /// Makes the core's opinion known, if it has changed.
    fn tell(&self) {
        let taking_ms = self.looked_at.map_or(0, |at| boot_millis().saturating_sub(at));
        self.ctx.set_leads_until(self.core.deadline().unwrap_or(0));
        let now = self.core.leadership();
        let epoch = now.epoch();
        let before = self.told.send_if_modified(|told| {
            if *told == now {
                return false;
            }
            match (&*told, &now) {
                (_, Leadership::Primary { epoch }) => {
                    tracing::info!(service = self.service.name(), epoch, taking_ms, "leading");
                }
                (Leadership::Primary { .. }, _) => tracing::warn!(service = self.service.name(), "no longer leading"),
                (_, Leadership::Standby { leader }) => {
                    tracing::info!(service = self.service.name(), leader, "standing by")
                }
            }
            *told = now;
            true
        });
        if before {
            let counts = self.ctx.counts();
            counts.primary.with_label_values(&[self.service.name()]).set(i64::from(epoch.is_some()));
            counts
                .epoch
                .with_label_values(&[self.service.name()])
                .set(i64::try_from(epoch.unwrap_or(0)).unwrap_or(i64::MAX));
        }
    }

    /// Lets a standby at the site that is wished for lead: no more requests are taken, those in
    /// hand are finished while the lease still holds, and then it is given up for that standby.
    async fn give_way(&mut self) {
        let Some(deadline) = self.core.deadline() else { return };
        let Some(candidate) = self.wishes.successor(self.ctx.site(), boot_millis()) else { return };
        let Some((revision, epoch)) = self.core.release() else { return };
        let begun = boot_millis();
        self.told.send_replace(Leadership::Standby { leader: Some(candidate.instance.clone()) });
        let left = Duration::from_millis(deadline.saturating_sub(begun));
        let mut in_hand = self.ctx.in_hand().subscribe();
        let finished = timeout(left.min(FINISHING), in_hand.wait_for(|requests| *requests == 0)).await.is_ok();
        let finishing_ms = boot_millis().saturating_sub(begun);
        let left = Duration::from_millis(deadline.saturating_sub(boot_millis()).max(1));
        // The successor may lead before this process hears that it has given way.
        self.ctx.set_leads_until(0);
        let given = timeout(left, self.write(revision, None, Some(epoch), Some(candidate.instance.clone()))).await;
        // Whatever became of the write: who has said that it does not lead does not lead.
        self.core.gave_way(boot_millis());
        tracing::info!(
            service = self.service.name(),
            epoch,
            successor = candidate.instance,
            site = %candidate.site,
            finished,
            finishing_ms,
            given = matches!(given, Ok(Outcome::Acknowledged(_))),
            took_ms = boot_millis().saturating_sub(begun),
            "gave way"
        );
    }

    /// A standby need not wait when the holder says that it has finished.
    async fn release(&mut self) {
        self.ctx.set_leads_until(0);
        if let Some((revision, epoch)) = self.core.release() {
            let given_up = timeout(Duration::from_secs(1), self.write(revision, None, Some(epoch), None)).await;
            tracing::info!(
                service = self.service.name(),
                epoch,
                given_up = matches!(given_up, Ok(Outcome::Acknowledged(_))),
                "gave up the lease"
            );
        }
        self.told.send_replace(Leadership::Standby { leader: None });
    }
}
