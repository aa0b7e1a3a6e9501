//! One primary, fenced by an epoch.
//!
//! Each service has one document in the bucket `leases`. Whoever wins the compare-and-set on it
//! leads, and the revision of that write is the *epoch* of the tenure: it only grows, and every
//! command carries it, so that agents refuse whoever has been overtaken without knowing it. Whoever competes
//! writes other documents only while its lease holds ([`Context::may_act`]).
//!
//! A planned change of leaders needs no waiting: a standby at the site that is wished for
//! ([`watari_model::frontend::Primacy`]) announces itself; the holder, on hearing it, takes no more
//! requests, finishes those in hand, and gives the lease up *for that standby*, which takes it at once.
//!
//! [`core`] decides and knows no clock and no bus; the driver feeds it both.

mod beginning;
mod core;
mod drive;
mod standing;
mod wishes;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use watari_contracts::Service;
use watari_model::{Document, SiteName, frontend::Primacy};

use crate::{
    Bucket, Context, Mirror,
    bucket::{Shape, Stopped},
    clock,
};

/// What this process may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leadership {
    /// Nothing but watch.
    Standby {
        /// The instance that leads, as far as is known.
        leader: Option<String>,
    },
    /// Lead.
    Primary {
        /// What every command carries.
        epoch: u64,
    },
}

impl Leadership {
    /// The epoch, if this process leads.
    #[must_use]
    pub fn epoch(&self) -> Option<u64> {
        match self {
            Self::Primary { epoch } => Some(*epoch),
            Self::Standby { .. } => None,
        }
    }
}

/// Who leads a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseDocument {
    /// The schema's version.
    pub v: u8,
    /// The service.
    pub service: Service,
    /// The instance that leads; none when it has given up the lease.
    pub holder: Option<String>,
    /// The epoch of its tenure. The write that begins a tenure cannot know its own revision, so
    /// it has none, and the epoch is the revision of that write.
    pub epoch: Option<u64>,
    /// Milliseconds that the lease holds without renewal.
    pub ttl_ms: u64,
    /// Where its holder stands, or stood.
    #[serde(default)]
    pub site: Option<SiteName>,
    /// The instance for which it was given up: the others let it go first.
    #[serde(default)]
    pub successor: Option<String>,
}

impl Document for LeaseDocument {
    const BUCKET: &'static str = "leases";

    fn key(&self) -> String {
        self.service.name().to_owned()
    }
}

/// Competing for a service's lease.
pub struct Lease;

impl Lease {
    /// Competes for the lease of `service` until the process shuts down, and then gives it up, so
    /// that a standby takes over at once. What it returns begins as standby.
    ///
    /// # Errors
    /// [`Stopped`] only.
    pub async fn campaign(
        ctx: &Context,
        service: Service,
        ttl: Duration,
    ) -> Result<watch::Receiver<Leadership>, Stopped> {
        Self::campaign_following(ctx, service, ttl, None).await
    }

    /// The same for a process that may follow the wish for a site already: one watch of it is enough.
    ///
    /// # Errors
    /// [`Stopped`] only.
    pub async fn campaign_following(
        ctx: &Context,
        service: Service,
        ttl: Duration,
        wish: Option<Mirror<Primacy>>,
    ) -> Result<watch::Receiver<Leadership>, Stopped> {
        // Revisions are epochs: they must grow even if the bucket is lost and made anew.
        let shape = Shape { history: 1, revisions_from_time: true };
        let bucket = Bucket::<LeaseDocument>::open_as(ctx, shape).await?;
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        let core = core::Core::new(ctx.instance.to_string(), ttl_ms, clock::boot_millis());
        ctx.set_leads_until(0);
        let (told, leadership) = watch::channel(Leadership::Standby { leader: None });
        let wishes = wishes::Wishes::follow(ctx, service, leadership.clone(), wish);
        standing::answer(ctx, service, leadership.clone(), wishes.wish.clone());
        ctx.spawn_closer("lease", drive::drive(ctx.clone(), service, bucket, core, told, wishes));
        Ok(leadership)
    }
}
