//! What the monitor's parts share: the fleet as it is heard, the nodes as they are written down.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64};

use watari_chassis::{Context, Mirror, Wake, clock, prometheus};
use watari_model::node::Node;

use crate::{
    fleet::{Fleet, listening::Listening},
    metrics::Metrics,
    settings::Settings,
};

/// Cheap to share; there is one a process.
pub(crate) struct Watch {
    pub(crate) ctx: Context,
    pub(crate) nodes: Mirror<Node>,
    pub(crate) settings: Settings,
    pub(crate) metrics: Metrics,
    /// Wakes the loop that judges.
    pub(crate) judge: Wake,
    /// Wakes the loop that takes inventories.
    pub(crate) ask: Wake,
    /// When a beat was complained about last, in boot-time milliseconds.
    pub(crate) complained_at: AtomicU64,
    fleet: Mutex<Fleet>,
    listening: Mutex<Listening>,
}

impl Watch {
    pub(crate) fn new(ctx: &Context, nodes: Mirror<Node>, settings: Settings) -> Result<Arc<Self>, prometheus::Error> {
        let watched = &settings.nodes;
        let fleet = Fleet::new(watched.most_nodes, watched.limits()).measuring(watched.most_measured);
        let watch = Arc::new(Self {
            ctx: ctx.clone(),
            metrics: Metrics::register(&ctx.metrics)?,
            nodes,
            settings,
            judge: Wake::new(),
            ask: Wake::new(),
            complained_at: AtomicU64::new(0),
            fleet: Mutex::new(fleet),
            listening: Mutex::default(),
        });
        watch.nodes.wakes(&watch.judge);
        crate::metrics::gauges(&ctx.metrics, &watch)?;
        crate::usage::gauges(&ctx.metrics, &watch)?;
        Ok(watch)
    }

    /// The fleet, for a moment: nobody awaits while holding it.
    pub(crate) fn fleet(&self) -> MutexGuard<'_, Fleet> {
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The monitor's own ears, likewise.
    pub(crate) fn listening(&self) -> MutexGuard<'_, Listening> {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since a node was heard; if it never was, since beats are heard at all.
    pub(crate) fn silent_ms(&self, heard_at: Option<u64>) -> u64 {
        let since = heard_at.unwrap_or_else(|| self.listening().since());
        clock::boot_millis().saturating_sub(since)
    }
}
