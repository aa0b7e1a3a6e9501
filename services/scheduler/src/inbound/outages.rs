//! Requests about outages.

use std::cmp::Reverse;

use watari_chassis::{WriteError, clock};
use watari_contracts::scheduler::{
    CancelOutage, GetOutage, ListOutages, OutagePage, OutagePlan, OutageView, PlanOutage,
};
use watari_model::{
    OutageId, Refusal,
    outage::{Change, Outage, State},
};

use super::{Desk, TRIES, fill, find, newest, sites::apply, unwritten};
use crate::{core::forecast::forecast, views};

impl Desk {
    pub(super) fn show_outage(&self, outage: &Outage) -> OutageView {
        views::outage(&self.executor.view(), &self.rules, outage, clock::now())
    }

    pub(super) async fn get_outage(self, request: GetOutage) -> Result<OutageView, Refusal> {
        let entry = find(&self.stores().outages, request.id.as_str()).await?;
        let entry = entry.ok_or_else(|| Refusal::OutageUnknown { outage: request.id.to_string() })?;
        Ok(self.show_outage(&entry.value))
    }

    #[allow(clippy::unused_async, reason = "a handler")]
    pub(super) async fn list_outages(self, _: ListOutages) -> Result<OutagePage, Refusal> {
        let (snap, now) = (self.executor.view(), clock::now());
        let mut found: Vec<&Outage> = snap.outages.values().map(|entry| &entry.value).collect();
        found.sort_by_key(|outage| (Reverse(outage.created_at), outage.id.clone()));
        let views = found.into_iter().map(|outage| views::outage(&snap, &self.rules, outage, now));
        Ok(OutagePage { outages: fill(views, usize::MAX) })
    }

    pub(super) async fn plan_outage(self, request: PlanOutage) -> Result<OutagePlan, Refusal> {
        self.check_site(&request.site).await?;
        let now = clock::now();
        let forecast = forecast(&self.executor.view(), &self.rules, &request.site, now);
        let forecast = forecast.ok_or_else(|| Refusal::Internal { detail: format!("no name for {}", request.site) })?;
        Ok(views::plan(request.site, forecast, now))
    }

    pub(super) async fn cancel_outage(self, request: CancelOutage) -> Result<OutageView, Refusal> {
        let cancel = |outage: &mut Outage| match outage.state {
            State::Evacuating | State::Evacuated | State::Returning => apply(outage, Change::CancelAsked),
            State::Completed | State::Cancelled => Ok(()),
        };
        self.amend_outage(&request.id, cancel).await
    }

    /// Changes an outage's document by compare-and-set, as often as somebody else is faster.
    pub(super) async fn amend_outage(
        &self,
        id: &OutageId,
        change: impl Fn(&mut Outage) -> Result<(), Refusal>,
    ) -> Result<OutageView, Refusal> {
        let unknown = || Refusal::OutageUnknown { outage: id.to_string() };
        let mut entry = find(&self.stores().outages, id.as_str()).await?.ok_or_else(unknown)?;
        for _ in 0..TRIES {
            let mut outage = entry.value.clone();
            change(&mut outage)?;
            if outage == entry.value {
                return Ok(self.show_outage(&outage));
            }
            match self.stores().outages.update(&outage, entry.revision).await {
                Ok(_) => return Ok(self.show_outage(&outage)),
                Err(WriteError::Conflict { .. }) => {
                    entry = newest(&self.stores().outages, id.as_str()).await?.ok_or_else(unknown)?;
                }
                Err(error) => return Err(unwritten(&error)),
            }
        }
        Err(Refusal::NoAnswer { who: "the bus".to_owned() })
    }
}
