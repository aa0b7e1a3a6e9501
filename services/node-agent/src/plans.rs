//! The node's network plan: taken, kept on the disk, and handed to the plumbing to be laid.
//!
//! Laying and keeping go side by side, since a server may stand still until its neighbours know where
//! it is. If the agent dies before a plan is kept it has not been acknowledged either, and comes again.

use tokio::sync::Mutex;
use watari_contracts::plan::{Edition, LayPlan, PlanLaid};
use watari_model::{Refusal, admission::heed};

use crate::{plumbing::Plumbing, store::Journal};

/// The plan that is laid, by its edition.
#[derive(Default)]
pub struct Plans {
    newest: Mutex<Edition>,
}

impl Plans {
    /// Takes up the plan that was kept, after the agent's start. The plumbing lays it with what the
    /// servers here need.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub async fn restore(&self, journal: &Journal, plumbing: &Plumbing) -> Result<(), Refusal> {
        if let Some((edition, plan)) = journal.plan().await? {
            *self.newest.lock().await = edition;
            plumbing.know(plan).await;
        }
        Ok(())
    }

    /// Lays a plan, unless a newer one is here; that one is then what is answered.
    ///
    /// # Errors
    /// [`Refusal::Stale`] if it comes from an overtaken network service; the journal's.
    pub async fn lay(&self, journal: &Journal, plumbing: &Plumbing, order: LayPlan) -> Result<PlanLaid, Refusal> {
        let mut newest = self.newest.lock().await;
        heed(newest.epoch, order.edition.epoch)?;
        if order.edition < *newest {
            return Ok(PlanLaid { edition: *newest, fault: None });
        }
        let keep = async {
            let plan = plumbing.with_known_rules(order.plan.clone()).await;
            journal.keep_plan(order.edition, &plan).await
        };
        let (kept, fault) = tokio::join!(keep, plumbing.lay(order.plan.clone()));
        kept?;
        *newest = order.edition;
        Ok(PlanLaid { edition: order.edition, fault })
    }
}
