//! Requests about sites, and the outages that they begin.

use watari_chassis::{WriteError, clock, telemetry::trace};
use watari_contracts::scheduler::{
    DrainNode, EvacuateSite, ListSites, OutagePage, OutageView, ReturnSite, SitePage, SiteView, TellPower,
    WithdrawOutage,
};
use watari_model::{
    OutageId, Refusal, Said, SiteName, Timestamp,
    outage::{Change, Outage, Scope, State},
    site::{self, MOST_SECONDS_LEFT},
    vm,
};

use super::{Desk, TRIES, check_request_id, find, newest, out_of_range, outages::check_note, unwritten};
use crate::{
    core::{Rooms, Snapshot, next_outage},
    views,
};

impl Desk {
    #[allow(clippy::unused_async, reason = "a handler")]
    pub(super) async fn list_sites(self, _: ListSites) -> Result<SitePage, Refusal> {
        let snap = self.executor.view();
        Ok(SitePage { sites: snap.sites.values().map(|entry| views::site(&snap, &entry.value)).collect() })
    }

    pub(super) async fn check_site(&self, site: &SiteName) -> Result<(), Refusal> {
        let found = find(&self.stores().sites, site.as_str()).await?;
        found.map(|_| ()).ok_or_else(|| Refusal::SiteUnknown { site: site.to_string() })
    }

    pub(super) async fn tell_power(self, request: TellPower) -> Result<SiteView, Refusal> {
        if let Some(left) = request.seconds_left.filter(|left| *left > MOST_SECONDS_LEFT) {
            return Err(out_of_range("seconds_left", left, Said::between(0, MOST_SECONDS_LEFT)));
        }
        let unknown = || Refusal::SiteUnknown { site: request.site.to_string() };
        let store = &self.stores().sites;
        let mut entry = find(store, request.site.as_str()).await?.ok_or_else(unknown)?;
        for _ in 0..TRIES {
            let mut site = entry.value.clone();
            site.apply(site::Change::Told(request.supply, request.seconds_left), clock::now());
            let written = if site == entry.value { Ok(0) } else { store.update(&site, entry.revision).await };
            match written {
                Ok(_) => return Ok(views::site(&self.executor.view(), &site)),
                Err(WriteError::Conflict { .. }) => {
                    entry = newest(store, request.site.as_str()).await?.ok_or_else(unknown)?;
                }
                Err(error) => return Err(unwritten(&error)),
            }
        }
        Err(Refusal::NoAnswer { who: format!("the document of site {}", request.site) })
    }

    pub(super) async fn evacuate_site(self, request: EvacuateSite) -> Result<OutageView, Refusal> {
        check_request_id(request.request_id.as_deref())?;
        check_note(request.propose.as_deref().unwrap_or_default())?;
        self.check_site(&request.site).await?;
        let scope = Scope::Site(request.site.clone());
        let _turn = self.turns.take(&format!("outage {}", request.site)).await;
        let snap = self.executor.view();
        if let Some(known) = asked_before(&snap, request.request_id.as_deref(), &scope)? {
            return Ok(self.show_outage(known));
        }
        if let Some(note) = request.propose {
            return self.propose(&snap, &request.site, note, request.request_id).await;
        }
        if let Some(open) = open(&snap, &scope) {
            return self.empty_again(&snap, open.id.clone(), &scope).await;
        }
        let busy = snap.vms.values().any(|entry| runs_within(&snap, &entry.value, &scope));
        if busy {
            self.check_refuge(&snap, &request.site)?;
        }
        self.begin(&snap, request.site.as_str(), scope, request.request_id, Outage::begun).await
    }

    /// Makes an outage that waits for an operator. Where the site is emptied already, or another one waits, that is what was
    /// asked for; where servers come home just now it is not.
    async fn propose(
        &self,
        snap: &Snapshot,
        site: &SiteName,
        note: String,
        request_id: Option<String>,
    ) -> Result<OutageView, Refusal> {
        let scope = Scope::Site(site.clone());
        if let Some(emptied) = open(snap, &scope).filter(|open| open.state.drains()) {
            return Ok(self.show_outage(emptied));
        }
        if let Some(known) = outages_of(snap, &scope).find(|outage| outage.is_proposed()) {
            let too = |outage: &mut Outage| match request_id.clone().filter(|_| outage.is_proposed()) {
                Some(request) => apply(outage, Change::AlsoAsked(request)),
                None => Ok(()),
            };
            return self.amend_outage(&known.id, too).await;
        }
        let id = next_id(snap, site.as_str(), &scope)?;
        let outage = Outage::proposed(id, scope, note, request_id.unwrap_or_default(), clock::now());
        tracing::warn!(
            outage = outage.id.as_str(),
            note = outage.note,
            "an outage is proposed and waits for an operator"
        );
        self.store_new(&outage).await
    }

    /// What has begun meanwhile, or was given a time, is an operator's word and stands.
    pub(super) async fn withdraw_outage(self, request: WithdrawOutage) -> Result<OutagePage, Refusal> {
        let WithdrawOutage { site, request_id } = request;
        check_request_id(Some(&request_id))?;
        self.check_site(&site).await?;
        let _turn = self.turns.take(&format!("outage {site}")).await;
        let snap = self.executor.view();
        let over = |outage: &mut Outage| {
            let unasked = Change::Unasked(request_id.clone());
            if outage.waits_for(&request_id) { apply(outage, unasked) } else { Ok(()) }
        };
        let mut outages = Vec::new();
        for outage in outages_of(&snap, &Scope::Site(site)).filter(|outage| outage.waits_for(&request_id)) {
            outages.push(self.amend_outage(&outage.id, over).await?);
        }
        Ok(OutagePage { outages })
    }

    pub(super) async fn drain_node(self, request: DrainNode) -> Result<OutageView, Refusal> {
        check_request_id(request.request_id.as_deref())?;
        if find(&self.stores().nodes, request.node.as_str()).await?.is_none() {
            return Err(Refusal::NodeUnknown { node: request.node.to_string() });
        }
        let scope = Scope::Node(request.node.clone());
        let _turn = self.turns.take(&format!("outage {}", request.node)).await;
        let snap = self.executor.view();
        if let Some(known) = asked_before(&snap, request.request_id.as_deref(), &scope)? {
            return Ok(self.show_outage(known));
        }
        match open(&snap, &scope) {
            Some(open) => self.empty_again(&snap, open.id.clone(), &scope).await,
            None => self.begin(&snap, request.node.as_str(), scope, request.request_id, Outage::begun).await,
        }
    }

    pub(super) async fn return_site(self, request: ReturnSite) -> Result<OutageView, Refusal> {
        check_request_id(request.request_id.as_deref())?;
        self.check_site(&request.site).await?;
        let scope = Scope::Site(request.site.clone());
        let _turn = self.turns.take(&format!("outage {}", request.site)).await;
        let snap = self.executor.view();
        if let Some(open) = open(&snap, &scope) {
            let back = |outage: &mut Outage| match outage.state {
                State::Evacuating | State::Evacuated => apply(outage, Change::ReturnAsked),
                State::Scheduled | State::Returning | State::Completed | State::Cancelled => Ok(()),
            };
            return self.amend_outage(&open.id, back).await;
        }
        if let Some(known) = asked_before(&snap, request.request_id.as_deref(), &scope)? {
            return Ok(self.show_outage(known));
        }
        let away = |vm: &vm::Vm| {
            vm.home_site == request.site
                && vm.node().and_then(|node| snap.site_of(node)).is_some_and(|site| *site != request.site)
        };
        if !snap.vms.values().any(|entry| away(&entry.value)) {
            return Err(Refusal::NothingToReturn { site: request.site.to_string() });
        }
        self.begin(&snap, request.site.as_str(), scope, request.request_id, Outage::returning).await
    }

    /// An open outage is what was asked for; if it is over but for servers that run there (again),
    /// it is gone through once more.
    async fn empty_again(&self, snap: &Snapshot, id: OutageId, scope: &Scope) -> Result<OutageView, Refusal> {
        let busy = snap.vms.values().any(|entry| runs_within(snap, &entry.value, scope));
        let again = |outage: &mut Outage| match outage.state {
            State::Evacuated if busy => apply(outage, Change::EvacuateAsked),
            State::Returning => apply(outage, Change::EvacuateAsked),
            _ => Ok(()),
        };
        self.amend_outage(&id, again).await
    }

    /// Any node of another site may receive something.
    pub(super) fn check_refuge(&self, snap: &Snapshot, site: &SiteName) -> Result<(), Refusal> {
        let found = Rooms::of(snap, &self.rules).have_refuge(&Scope::Site(site.clone()));
        if found { Ok(()) } else { Err(Refusal::NoRefuge { site: site.to_string() }) }
    }

    async fn begin(
        &self,
        snap: &Snapshot,
        name: &str,
        scope: Scope,
        request_id: Option<String>,
        make: fn(OutageId, Scope, String, Timestamp) -> Outage,
    ) -> Result<OutageView, Refusal> {
        let id = next_id(snap, name, &scope)?;
        self.store_new(&make(id, scope, request_id.unwrap_or_default(), clock::now())).await
    }

    pub(super) async fn store_new(&self, outage: &Outage) -> Result<OutageView, Refusal> {
        let outage = Outage { trace: trace::noted(), ..outage.clone() };
        match self.stores().outages.create(&outage).await {
            Ok(_) => Ok(self.show_outage(&outage)),
            Err(error) => Err(unwritten(&error)),
        }
    }
}

/// The name of a scope's next outage.
pub(super) fn next_id(snap: &Snapshot, name: &str, scope: &Scope) -> Result<OutageId, Refusal> {
    let known = snap.outages.values().filter(|entry| entry.value.scope == *scope).map(|entry| entry.value.id.as_str());
    next_outage(name, known).ok_or_else(|| Refusal::Internal { detail: format!("no name for {name}") })
}

pub(super) fn apply(outage: &mut Outage, change: Change) -> Result<(), Refusal> {
    outage.apply(change, clock::now()).map_err(|refused| Refusal::Internal { detail: refused.to_string() })
}

/// The outage of a scope that has begun and is not over.
pub(super) fn open<'s>(snap: &'s Snapshot, scope: &Scope) -> Option<&'s Outage> {
    outages_of(snap, scope).find(|outage| outage.state.is_open())
}

fn outages_of<'s>(snap: &'s Snapshot, scope: &Scope) -> impl Iterator<Item = &'s Outage> {
    snap.outages.values().map(|entry| &entry.value).filter(move |outage| outage.scope == *scope)
}

/// The outage that the same request made, or asked for as well.
pub(super) fn asked_before<'s>(
    snap: &'s Snapshot,
    request_id: Option<&str>,
    scope: &Scope,
) -> Result<Option<&'s Outage>, Refusal> {
    let Some(id) = request_id else { return Ok(None) };
    let asked = |outage: &&Outage| outage.request_id == id || outage.asked_by.iter().any(|asked| asked == id);
    match snap.outages.values().map(|entry| &entry.value).find(asked) {
        Some(outage) if outage.scope == *scope => Ok(Some(outage)),
        Some(_) => Err(Refusal::RequestIdReused { request_id: id.to_owned() }),
        None => Ok(None),
    }
}

/// Whether a server runs where it would go dark.
fn runs_within(snap: &Snapshot, vm: &vm::Vm, scope: &Scope) -> bool {
    let node = vm.node().and_then(|node| snap.nodes.get(node.as_str()));
    let live = matches!(vm.state, vm::State::Running | vm::State::Starting | vm::State::Migrating);
    live && node.is_some_and(|node| scope.covers(&node.value))
}
