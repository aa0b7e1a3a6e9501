//! Which outage is meant: by its own name, or by its site's. Where a site has the name, the site is meant.

use clap::Args;
use watari_contracts::scheduler::{GetOutage, ListOutages, ListSites, OutageView, SiteView};
use watari_model::{
    OutageId, SiteName,
    outage::{Scope, State},
};

use crate::{Context, failure::Failure, input, texts::faults::Fault};

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

impl Nearest {
    /// One that is named elsewhere than in its own argument.
    pub(super) const fn of(which: String) -> Self {
        Self { which }
    }

    /// What has begun goes before what is to come.
    pub(super) async fn id(&self, ctx: &Context) -> Result<OutageId, Failure> {
        let id = input::name(&self.which)?;
        let Some(site) = site(ctx, &self.which).await? else { return Ok(id) };
        if let Some(open) = site.outage {
            return Ok(open);
        }
        let outages = ctx.session.ask(&ListOutages {}).await?.outages;
        Ok(next(&outages, &site.name).ok_or(Fault::NoOutageAhead { site: self.which.clone() })?)
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
        let name = match ctx.session.ask(&GetOutage { id: id.clone() }).await?.scope {
            Scope::Site(name) => name,
            Scope::Node(node) => return Err(Fault::OutageOfNode { outage, node: node.to_string() }.into()),
        };
        match site(ctx, name.as_str()).await?.and_then(|site| site.outage) {
            Some(open) if open != id => {
                let (site, open) = (name.to_string(), open.to_string());
                Err(Fault::OtherOutageOpen { outage, site, open }.into())
            }
            _ => Ok(name),
        }
    }
}

async fn site(ctx: &Context, name: &str) -> Result<Option<SiteView>, Failure> {
    let sites = ctx.session.ask(&ListSites {}).await?.sites;
    Ok(sites.into_iter().find(|site| site.name.as_str() == name))
}

/// The scheduled one that comes first.
fn next(outages: &[OutageView], site: &SiteName) -> Option<OutageId> {
    let scope = Scope::Site(site.clone());
    let ahead = outages.iter().filter(|outage| outage.state == State::Scheduled && outage.scope == scope);
    ahead.min_by_key(|outage| outage.window.map(|window| window.from)).map(|outage| outage.id.clone())
}

/// The last one that has begun; they come newest first.
fn latest(outages: &[OutageView], site: &SiteName) -> Option<OutageId> {
    let scope = Scope::Site(site.clone());
    outages.iter().find(|outage| outage.out.is_some() && outage.scope == scope).map(|outage| outage.id.clone())
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
        assert_eq!(next(&[begun.clone(), of_node, later.clone()], &site), Some(later.id.clone()));
        assert_eq!(next(&[later, sooner], &site), Some("myodaiji-9".parse().unwrap()));
        assert_eq!(next(std::slice::from_ref(&begun), &site), None);
        // What has not begun has nothing to report.
        let out = watari_model::outage::Leg { began_at: begun.created_at, ended_at: None };
        let reported = OutageView { out: Some(out), ..begun.clone() };
        assert_eq!(latest(&[begun.clone(), reported.clone()], &site), Some(reported.id));
        assert_eq!(latest(&[begun], &site), None);
    }

    fn site_of(outage: &OutageView) -> SiteName {
        match &outage.scope {
            Scope::Site(site) => site.clone(),
            Scope::Node(node) => panic!("{node}"),
        }
    }
}
