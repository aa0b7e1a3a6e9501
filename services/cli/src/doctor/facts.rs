//! Everything that the checks look at, asked once and at the same time.

use std::path::{Path, PathBuf};

use futures_util::future::join_all;
use watari_chassis::clock;
use watari_contracts::{
    image::{ImageView, ListImages},
    monitor::{ListHealth, ListUpses, NodeHealth, UpsView},
    network::{ListNetworks, NetworkView},
    scheduler::{ListOutages, ListSites, ListVms, OutagePlan, OutageView, PlanOutage, SiteView, VmView},
};
use watari_model::{NodeName, Said, SiteName, Timestamp, node, outage::Scope, vm};

use super::{
    checks::here,
    host::{self, Host, around::Around},
};
use crate::{
    Context,
    failure::Failure,
    frontend::status::Status,
    lang::Lang,
    session::Session,
    texts::{faults::Fault, troubles::Trouble},
};

/// What a site's state is called while it receives servers.
const ACTIVE: &str = "active";
/// What is told of a server that is to run and stands still.
const STANDS_STILL: &str = "vm.stands-still";

/// The cluster at one moment.
pub(super) struct Facts {
    /// That moment.
    pub(super) now: Timestamp,
    /// The host on which the doctor is called, if it is one of the cluster's.
    pub(super) host: Option<Host>,
    /// What it sees of the other nodes, if it is one.
    pub(super) around: Option<Around>,
    pub(super) nodes: Vec<NodeHealth>,
    pub(super) sites: Vec<SiteView>,
    /// The servers that do not run.
    pub(super) idle: Vec<VmView>,
    /// Those that run by their documents, and stand still.
    pub(super) still: Vec<VmView>,
    /// What an evacuation of each active site would come to.
    pub(super) plans: Vec<OutagePlan>,
    pub(super) images: Vec<ImageView>,
    pub(super) networks: Vec<NetworkView>,
    pub(super) outages: Vec<OutageView>,
    pub(super) upses: Vec<UpsView>,
    /// The front ends, unless they cannot be looked at.
    pub(super) control: Option<Status>,
    /// What could not be asked.
    pub(super) unasked: Vec<Trouble>,
}

impl Facts {
    const fn none(now: Timestamp) -> Self {
        Self {
            now,
            host: None,
            around: None,
            nodes: Vec::new(),
            sites: Vec::new(),
            idle: Vec::new(),
            still: Vec::new(),
            plans: Vec::new(),
            images: Vec::new(),
            networks: Vec::new(),
            outages: Vec::new(),
            upses: Vec::new(),
            control: None,
            unasked: Vec::new(),
        }
    }

    /// Asks everybody. Who does not answer is a finding, and keeps nothing else from being looked at.
    ///
    /// # Errors
    /// [`Failure`] if there is no connection at all, and nothing wrong with this host that could be why.
    pub(super) async fn gather(ctx: &Context, root: &Path) -> Result<Self, Failure> {
        let session = &ctx.session;
        let (host, bus) = tokio::join!(Host::look(root), session.bus());
        if let Err(failure) = bus {
            return Self::without_a_bus(host, failure);
        }
        let (list_sites, list_images, list_networks) = (ListSites {}, ListImages {}, ListNetworks {});
        let (list_outages, list_upses) = (ListOutages {}, ListUpses {});
        let (nodes, idle, still, sites, images, networks, outages, upses, control) = tokio::join!(
            session.pages(ListHealth::default(), |page| (page.nodes, page.next), |r, after| r.after = after),
            idle(session),
            still(session),
            session.ask(&list_sites),
            session.ask(&list_images),
            session.ask(&list_networks),
            session.ask(&list_outages),
            session.ask(&list_upses),
            Status::look(ctx),
        );
        let mut facts = Self { host, ..Self::none(clock::now()) };
        facts.nodes = facts.keep(("the nodes", "ノード"), nodes);
        facts.idle = facts.keep(("the servers", "サーバ"), idle);
        facts.still = facts.keep(("the servers", "サーバ"), still);
        facts.sites = facts.keep(("the sites", "サイト"), sites.map(|page| page.sites));
        facts.images = facts.keep(("the images", "イメージ"), images.map(|page| page.images));
        facts.networks = facts.keep(("the networks", "ネットワーク"), networks.map(|page| page.networks));
        facts.outages = facts.keep(("the outages", "停電計画"), outages.map(|page| page.outages));
        facts.upses = facts.keep(("the UPSes", "UPS"), upses.map(|page| page.upses));
        facts.control = facts.keep(("the front ends", "フロントエンド"), control.map(Some));
        if let Some(host) = &mut facts.host {
            host.refused_keys = refused(session, host::identities(root)).await;
        }
        facts.around = Around::look(&facts).await;
        facts.foresee(session).await;
        Ok(facts)
    }

    /// What this host shows of itself. Nobody is asked.
    ///
    /// # Errors
    /// [`Failure`] if nothing of Watari's is set up on it.
    pub(super) async fn of_host(root: &Path) -> Result<Self, Failure> {
        let host = Host::look(root).await.ok_or(Fault::NothingHere {})?;
        Ok(Self { host: Some(host), ..Self::none(clock::now()) })
    }

    /// What is known of this host alone, where no NATS server answers.
    fn without_a_bus(host: Option<Host>, failure: Failure) -> Result<Self, Failure> {
        let now = clock::now();
        if host.as_ref().is_none_or(|host| here::found(host, now).is_empty()) {
            return Err(failure);
        }
        let mut facts = Self { host, ..Self::none(now) };
        facts.keep::<()>(("the cluster", "クラスタ"), Err(failure));
        Ok(facts)
    }

    /// Asks what would become of the servers of each active site.
    async fn foresee(&mut self, session: &Session) {
        let active = self.sites.iter().filter(|site| site.state == ACTIVE);
        let asked: Vec<PlanOutage> = active.map(|site| PlanOutage { site: site.name.clone(), seconds: None }).collect();
        for plan in join_all(asked.iter().map(|plan| session.ask(plan))).await {
            let plan = self.keep(("the plan of an evacuation", "退避の見込み"), plan.map(Some));
            self.plans.extend(plan);
        }
    }

    /// What was answered, or nothing and a finding.
    fn keep<T: Default>(&mut self, subject: (&str, &str), answer: Result<T, Failure>) -> T {
        let failure = match answer {
            Ok(answer) => return answer,
            Err(failure) => failure,
        };
        let subject = Said::new(subject.0, subject.1);
        let cause = Said::new(failure.rendered(Lang::En).cause, failure.rendered(Lang::Ja).cause);
        self.unasked.push(match failure.code() {
            "bus.not-permitted" | "bus.forbidden" => Trouble::NotPermitted { subject },
            _ => Trouble::Unasked { subject, cause },
        });
        T::default()
    }

    /// The nodes of which what they told last may still be so.
    pub(super) fn heard(&self) -> impl Iterator<Item = &NodeHealth> {
        self.nodes.iter().filter(|one| one.node.state != node::State::Lost)
    }

    /// Whether a site receives servers.
    pub(super) fn is_active(&self, site: &SiteName) -> bool {
        self.sites.iter().any(|one| one.name == *site && one.state == ACTIVE)
    }

    /// Whether every site receives servers: then nothing is switched off on purpose.
    pub(super) fn all_active(&self) -> bool {
        self.sites.iter().all(|site| site.state == ACTIVE)
    }

    /// Whether an outage of this one node keeps servers away from it.
    pub(super) fn is_drained(&self, node: &NodeName) -> bool {
        self.outages.iter().any(|outage| outage.state.drains() && outage.scope == Scope::Node(node.clone()))
    }
}

/// Those of these keys that NATS does not know.
async fn refused(session: &Session, keys: Vec<PathBuf>) -> Vec<PathBuf> {
    let told = join_all(keys.iter().map(|key| session.is_refused(key))).await;
    keys.into_iter().zip(told).filter_map(|(key, is_refused)| is_refused.then_some(key)).collect()
}

/// Those in a state in which none runs; of many thousands these are few.
async fn idle(session: &Session) -> Result<Vec<VmView>, Failure> {
    use vm::State::{Failed, Pending, Starting, Stopped, Suspended};
    let mut idle = Vec::new();
    for state in [Pending, Starting, Stopped, Suspended, Failed] {
        let request = ListVms { state: Some(state), ..ListVms::default() };
        idle.extend(session.pages(request, |page| (page.vms, page.next), |r, after| r.after = after).await?);
    }
    Ok(idle)
}

/// Those of which that is told.
async fn still(session: &Session) -> Result<Vec<VmView>, Failure> {
    let request = ListVms { fault: Some(STANDS_STILL.to_owned()), ..ListVms::default() };
    let mut told = session.pages(request, |page| (page.vms, page.next), |r, after| r.after = after).await?;
    told.retain(|vm| vm.fault.as_ref().is_some_and(|fault| fault.code == STANDS_STILL));
    Ok(told)
}

#[cfg(test)]
pub(super) mod sample;
