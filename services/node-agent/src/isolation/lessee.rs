//! The node's lease. It is on the disk before it counts, so that an agent that starts again knows how long it lasts.

use std::{fs, time::Duration};

use tokio::sync::watch;
use watari_chassis::clock;
use watari_model::isolation::{Duty, Lease, OnIsolation, Terms};

use crate::store::{Journal, JournalError, KeptLease};

/// Differs after each boot of the machine (random(4)).
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// A lease is renewed only by one that ends later by such a part of it, since facts are told whenever anything changes.
const WORTH: u64 = 8;

/// How long a lease is waited for that is asked for already.
const COMES: Duration = Duration::from_secs(3);

/// Who holds the lease.
pub struct Lessee {
    lease: watch::Sender<Lease>,
    terms: Terms,
    /// Without it nothing that is kept can be understood later, and no lease is taken.
    boot: Option<String>,
}

impl Lessee {
    /// With the lease that was kept in this boot of the machine, if one was.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub async fn open(journal: &Journal, terms: Terms) -> Result<Self, JournalError> {
        let boot = fs::read_to_string(BOOT).ok().map(|id| id.trim().to_owned()).filter(|id| !id.is_empty());
        let kept = journal.lease().await?.filter(|kept| Some(&kept.boot) == boot.as_ref());
        let lease = kept.map_or(Lease::Never, |kept| Lease::Never.granted(kept.asked_at, kept.terms));
        Ok(Self { lease: watch::Sender::new(lease), terms, boot })
    }

    /// With which terms the node asks.
    #[must_use]
    pub const fn terms(&self) -> Terms {
        self.terms
    }

    /// The lease as it is.
    #[must_use]
    pub fn now(&self) -> Lease {
        *self.lease.borrow()
    }

    /// Whether nothing speaks against it that servers run which are to stop without a lease.
    #[must_use]
    pub fn holds(&self) -> bool {
        holds(&self.now())
    }

    /// Whether a server of this policy may begin to run, now or within a moment.
    pub async fn comes(&self, policy: OnIsolation) -> bool {
        if policy == OnIsolation::Keep || self.holds() {
            return true;
        }
        let mut lease = self.lease.subscribe();
        matches!(tokio::time::timeout(COMES, lease.wait_for(holds)).await, Ok(Ok(_)))
    }

    /// What was asked for at `asked_at`, on the boot clock, is granted; whether the lease holds. One that would last
    /// hardly longer than the present one is not worth its being kept: to hold less than was granted harms nobody.
    ///
    /// # Errors
    /// It cannot be kept, and then does not count.
    pub async fn granted(&self, journal: &Journal, asked_at: u64) -> Result<bool, JournalError> {
        let Some(boot) = self.boot.clone() else { return Ok(false) };
        if let Lease::Last { asked_at: known, terms } = self.now()
            && terms == self.terms
            && asked_at < known.saturating_add(terms.lease_ms / WORTH)
        {
            return Ok(self.holds());
        }
        journal.keep_lease(&KeptLease { boot, asked_at, terms: self.terms }).await?;
        self.lease.send_modify(|lease| *lease = lease.granted(asked_at, self.terms));
        Ok(self.holds())
    }
}

fn holds(lease: &Lease) -> bool {
    lease.duty(clock::boot_millis()) == Duty::RunOn
}
