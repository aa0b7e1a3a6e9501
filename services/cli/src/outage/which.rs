//! Which outage is meant: by its own name, or by its site's. Where a site has the name, the site is meant.

use clap::Args;
use watari_contracts::scheduler::{GetOutage, ListOutages, ListSites, OutageView, SiteView};
use watari_model::{
    OutageId, Refusal, SiteName,
    outage::{Scope, State},
};

use crate::{
    Context,
    failure::Failure,
    format, input,
    lang::Lang,
    texts::{faults::Fault, off},
};

/// One that is under way.
#[derive(Debug, Args)]
pub struct Begun {
    /// The outage, or the site that it empties
    #[arg(value_name = "ID|SITE")]
    which: String,
}

/// One that has begun, over or not.
#[derive(Debug, Args)]
pub(super) struct Latest {
    /// The outage, or a site: its last one that has begun
    #[arg(value_name = "ID|SITE")]
    which: String,
}

/// One whose servers are away.
#[derive(Debug, Args)]
pub(super) struct Away {
    /// The outage, or its site
    #[arg(value_name = "ID|SITE")]
    which: String,
}

/// One that is under way or to come.
#[derive(Debug, Args)]
pub struct Nearest {
    /// The outage, or a site: its outage that has begun and is not over, else its next scheduled one
    #[arg(value_name = "ID|SITE")]
    which: String,
}

impl Begun {
    /// A site has one outage at a time that has begun.
    pub(super) async fn id(&self, ctx: &Context) -> Result<OutageId, Failure> {
        let id = input::name(&self.which)?;
        match site(ctx, &self.which).await? {
            Some(site) => Ok(site.outage.ok_or(Fault::NoOutageThere { site: self.which.clone() })?),
            None => Ok(id),
        }
    }
}

/// Picks one of the outages, which come newest first, for a site where none has begun.
type Pick = for<'o> fn(&'o [OutageView], &SiteName) -> Option<&'o OutageView>;

impl Nearest {
    /// One that is named elsewhere than in its own argument.
    pub(super) const fn of(which: String) -> Self {
        Self { which }
    }

    /// What has begun goes before what is to come.
    pub(super) async fn id(&self, ctx: &Context) -> Result<OutageId, Failure> {
        self.picked(ctx, next).await
    }

    /// The same; where there is neither, the last one, which is over: whoever calls it off once more is told so, by
    /// whichever name.
    pub(super) async fn or_last(&self, ctx: &Context) -> Result<OutageId, Failure> {
        self.picked(ctx, next_or_last).await
    }

    async fn picked(&self, ctx: &Context, pick: Pick) -> Result<OutageId, Failure> {
        let id = input::name(&self.which)?;
        let Some(site) = site(ctx, &self.which).await? else { return Ok(id) };
        if let Some(open) = site.outage {
            return Ok(open);
        }
        let outages = ctx.session.ask(&ListOutages {}).await?.outages;
        let picked = pick(&outages, &site.name).ok_or(Fault::NoOutageAhead { site: self.which.clone() })?;
        Ok(picked.id.clone())
    }
}

impl Latest {
    /// Of a site's the newest, which may be under way.
    pub(super) async fn id(&self, ctx: &Context) -> Result<OutageId, Failure> {
        let id = input::name(&self.which)?;
        let Some(site) = site(ctx, &self.which).await? else { return Ok(id) };
        let outages = ctx.session.ask(&ListOutages {}).await?.outages;
        Ok(latest(&outages, &site.name).ok_or(Fault::NoOutageThere { site: self.which.clone() })?)
    }
}

impl Away {
    /// Servers come home to a site. One that has another outage meanwhile is not turned round by the name of an old one.
    pub(super) async fn site(&self, ctx: &Context) -> Result<SiteName, Failure> {
        let id: OutageId = input::name(&self.which)?;
        if let Some(site) = site(ctx, &self.which).await? {
            return Ok(site.name);
        }
        let outage = id.to_string();
        let view = ctx.session.ask(&GetOutage { id: id.clone() }).await?;
        let name = match &view.scope {
            Scope::Site(name) => name.clone(),
            Scope::Node(node) => return Err(Fault::OutageOfNode { outage, node: node.to_string() }.into()),
        };
        match site(ctx, name.as_str()).await?.and_then(|site| site.outage) {
            Some(open) if open != id => {
                let (site, open) = (name.to_string(), open.to_string());
                Err(Fault::OtherOutageOpen { outage, site, open }.into())
            }
            _ if view.state == State::Scheduled => Err(ahead(&view, &name).into()),
            _ => Ok(name),
        }
    }
}

/// Why nobody came home to a site: where its outage has not begun, that is what is to be said of it.
pub(super) async fn not_begun(ctx: &Context, site: &SiteName, failure: Failure) -> Failure {
    let is_nobody_away =
        matches!(&failure, Failure::Refused(body) if matches!(body.refusal, Refusal::NothingToReturn { .. }));
    if !is_nobody_away {
        return failure;
    }
    let Ok(page) = ctx.session.ask(&ListOutages {}).await else { return failure };
    next(&page.outages, site).map_or(failure, |outage| ahead(outage, site).into())
}

fn ahead(outage: &OutageView, site: &SiteName) -> Fault {
    let from = outage.window.map(|window| format::moment(window.from));
    let [state, state_ja] = [Lang::En, Lang::Ja].map(|lang| off::ahead(lang, from.as_deref()));
    Fault::OutageAhead { outage: outage.id.to_string(), site: site.to_string(), state, state_ja }
}

async fn site(ctx: &Context, name: &str) -> Result<Option<SiteView>, Failure> {
    let sites = ctx.session.ask(&ListSites {}).await?.sites;
    Ok(sites.into_iter().find(|site| site.name.as_str() == name))
}

/// The scheduled one that comes first.
fn next<'o>(outages: &'o [OutageView], site: &SiteName) -> Option<&'o OutageView> {
    let scope = Scope::Site(site.clone());
    let ahead = outages.iter().filter(|outage| outage.state == State::Scheduled && outage.scope == scope);
    ahead.min_by_key(|outage| outage.window.map(|window| window.from))
}

/// The same, or else the newest of all.
fn next_or_last<'o>(outages: &'o [OutageView], site: &SiteName) -> Option<&'o OutageView> {
    let scope = Scope::Site(site.clone());
    next(outages, site).or_else(|| outages.iter().find(|outage| outage.scope == scope))
}

/// The last one that has begun; they come newest first.
fn latest(outages: &[OutageView], site: &SiteName) -> Option<OutageId> {
    let scope = Scope::Site(site.clone());
    let begun = |outage: &&OutageView| outage.out.is_some() || outage.home.is_some();
    outages.iter().filter(begun).find(|outage| outage.scope == scope).map(|outage| outage.id.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_sites_scheduled_outages_the_first_to_come_is_meant() {
        let text = include_str!("../../../../shared/contracts/tests/golden/reply.OutageView.json");
        let samples: Vec<OutageView> = serde_json::from_str(text).unwrap();
        let [begun, of_node, later]: [OutageView; 3] = samples.try_into().unwrap();
        let window = later.window.map(|window| watari_model::outage::Window {
            from: window.from.minus_millis(86_400_000),
            until: window.until.minus_millis(86_400_000),
        });
        let sooner = OutageView { id: "myodaiji-9".parse().unwrap(), window, ..later.clone() };
        let site = site_of(&later);
        assert_eq!(next(&[begun.clone(), of_node.clone(), later.clone()], &site), Some(&later));
        assert_eq!(next(&[later.clone(), sooner.clone()], &site), Some(&sooner));
        assert_eq!(next(std::slice::from_ref(&begun), &site), None);
        // What is over is meant only where nothing is to come.
        let over = OutageView { id: "myodaiji-8".parse().unwrap(), state: State::Cancelled, ..later.clone() };
        let all = [over.clone(), of_node, later.clone()];
        assert_eq!(next_or_last(&all, &site), Some(&later));
        assert_eq!(next_or_last(&all[..2], &site), Some(&over));
        // What has not begun has nothing to report.
        let out = watari_model::outage::Leg { began_at: begun.created_at, ended_at: None };
        let reported = OutageView { out: Some(out), ..begun.clone() };
        assert_eq!(latest(&[begun.clone(), reported.clone()], &site), Some(reported.id));
        // One that only brings servers home has begun as well.
        let home = OutageView { home: Some(out), ..begun.clone() };
        assert_eq!(latest(std::slice::from_ref(&home), &site), Some(home.id.clone()));
        assert_eq!(latest(&[begun], &site), None);
    }

    fn site_of(outage: &OutageView) -> SiteName {
        match &outage.scope {
            Scope::Site(site) => site.clone(),
            Scope::Node(node) => panic!("{node}"),
        }
    }
}
