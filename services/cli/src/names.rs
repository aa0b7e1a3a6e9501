//! What things are called: for slips of the finger (`suggest`), and for shells that complete (`completion`).

use std::{collections::BTreeSet, time::Duration};

use tokio::time::timeout;
use watari_contracts::{
    address::ListAddresses,
    firewall::ListFirewalls,
    image::ListImages,
    monitor::ListNodes,
    network::ListNetworks,
    scheduler::{
        GetVm, ListDisks, ListKeys, ListMigrations, ListOutages, ListProjects, ListSites, ListVms, OutageView,
    },
};
use watari_model::outage::{Scope, State};

use crate::{failure::Failure, input, session::Session};

/// So long a list is waited for, the connection included: a hint is not worth more.
const PATIENCE: Duration = Duration::from_secs(1);

/// Of what the names are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Servers.
    Vm,
    /// One server's snapshots, which are named with it.
    Snapshot {
        /// The server.
        vm: String,
    },
    Node,
    Site,
    Image,
    Disk,
    Network,
    /// Public addresses.
    Address,
    Firewall,
    Key,
    Project,
    Migration,
    Outage(Outages),
    /// Where an outage is named, its site may be instead.
    OutageOrSite(Outages),
}

/// Which outages a command can do something about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outages {
    All,
    /// Those that have not begun.
    Ahead,
    /// Those that are not over.
    Current,
    /// Those of which more would begin.
    Going,
    Paused,
    /// Those of sites whose servers are away, or on their way.
    Away,
}

impl Outages {
    fn contain(self, outage: &OutageView) -> bool {
        match self {
            Self::All => true,
            Self::Ahead => outage.state == State::Scheduled,
            Self::Current => !outage.state.is_over(),
            Self::Going => outage.state.is_under_way() && outage.paused_at.is_none(),
            Self::Paused => outage.paused_at.is_some(),
            Self::Away => outage.state.is_open() && matches!(outage.scope, Scope::Site(_)),
        }
    }

    /// Whether a site may be named that has none of them: servers may be away for another reason.
    const fn need_no_outage(self) -> bool {
        matches!(self, Self::All | Self::Away)
    }
}

/// All of a kind; none if nobody tells them soon.
pub(crate) async fn soon(session: &Session, kind: &Kind) -> Vec<String> {
    match timeout(PATIENCE, all(session, kind)).await {
        Ok(Ok(names)) => names,
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}

async fn all(session: &Session, kind: &Kind) -> Result<Vec<String>, Failure> {
    Ok(match kind {
        Kind::Vm => {
            let vms = session.pages(ListVms::default(), |page| (page.vms, page.next), |r, after| r.after = after);
            vms.await?.iter().map(|vm| vm.name.to_string()).collect()
        }
        Kind::Snapshot { vm } => {
            let view = session.ask(&GetVm { name: input::name(vm)? }).await?;
            view.snapshots.list.iter().map(|snapshot| snapshot.name.to_string()).collect()
        }
        Kind::Node => {
            let nodes = session.pages(ListNodes::default(), |page| (page.nodes, page.next), |r, after| r.after = after);
            nodes.await?.iter().map(|node| node.name.to_string()).collect()
        }
        Kind::Key => {
            let request = ListKeys { after: None, limit: None };
            let keys = session.pages(request, |page| (page.keys, page.next), |r, after| r.after = after);
            keys.await?.iter().map(|key| key.name.to_string()).collect()
        }
        Kind::Project => {
            session.ask(&ListProjects {}).await?.projects.iter().map(|project| project.name.to_string()).collect()
        }
        Kind::Disk => {
            let disks = session.pages(ListDisks::default(), |page| (page.disks, page.next), |r, after| r.after = after);
            disks.await?.iter().map(|disk| disk.name.to_string()).collect()
        }
        Kind::Site => sites(session).await?,
        Kind::Migration => {
            let page = session.ask(&ListMigrations::default()).await?;
            page.migrations.iter().map(|migration| migration.id.to_string()).collect()
        }
        Kind::Outage(which) => ids(&outages(session, *which).await?),
        Kind::OutageOrSite(which) => {
            let outages = outages(session, *which).await?;
            let sites = if which.need_no_outage() { sites(session).await? } else { sites_of(&outages) };
            [ids(&outages), sites].concat()
        }
        Kind::Image => session.ask(&ListImages {}).await?.images.iter().map(|image| image.name.to_string()).collect(),
        Kind::Network => {
            session.ask(&ListNetworks {}).await?.networks.iter().map(|network| network.name.to_string()).collect()
        }
        Kind::Address => {
            let page = session.ask(&ListAddresses { network: None, vm: None }).await?;
            page.addresses.iter().map(|view| view.address.to_string()).collect()
        }
        Kind::Firewall => {
            session.ask(&ListFirewalls {}).await?.firewalls.iter().map(|firewall| firewall.name.to_string()).collect()
        }
    })
}

async fn outages(session: &Session, which: Outages) -> Result<Vec<OutageView>, Failure> {
    let mut outages = session.ask(&ListOutages {}).await?.outages;
    outages.retain(|outage| which.contain(outage));
    Ok(outages)
}

fn ids(outages: &[OutageView]) -> Vec<String> {
    outages.iter().map(|outage| outage.id.to_string()).collect()
}

/// The sites that go dark with them, each once.
fn sites_of(outages: &[OutageView]) -> Vec<String> {
    let site = |outage: &OutageView| match &outage.scope {
        Scope::Site(site) => Some(site.to_string()),
        Scope::Node(_) => None,
    };
    outages.iter().filter_map(site).collect::<BTreeSet<_>>().into_iter().collect()
}

async fn sites(session: &Session) -> Result<Vec<String>, Failure> {
    Ok(session.ask(&ListSites {}).await?.sites.iter().map(|site| site.name.to_string()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_offered_the_outages_that_it_can_do_something_about() {
        let text = include_str!("../../../shared/contracts/tests/golden/reply.OutageView.json");
        let sample: OutageView = serde_json::from_str::<Vec<_>>(text).unwrap().swap_remove(0);
        let site = Scope::Site("myodaiji".parse().unwrap());
        let of = |state: State, paused: bool| {
            let paused_at = paused.then_some(sample.created_at);
            let outage = OutageView { state, paused_at, scope: site.clone(), ..sample.clone() };
            let kinds = [Outages::Ahead, Outages::Current, Outages::Going, Outages::Paused, Outages::Away];
            assert!(Outages::All.contain(&outage));
            kinds.map(|which| which.contain(&outage))
        };
        assert_eq!(of(State::Scheduled, false), [true, true, false, false, false]);
        assert_eq!(of(State::Evacuating, false), [false, true, true, false, true]);
        assert_eq!(of(State::Evacuating, true), [false, true, false, true, true]);
        assert_eq!(of(State::Evacuated, false), [false, true, false, false, true]);
        assert_eq!(of(State::Returning, false), [false, true, true, false, true]);
        for state in [State::Completed, State::Cancelled] {
            assert_eq!(of(state, false), [false; 5], "{state:?}");
        }
        // Servers come home to a site.
        let scope = Scope::Node("m1".parse().unwrap());
        let of_node = OutageView { state: State::Evacuated, scope, ..sample.clone() };
        assert!(Outages::Current.contain(&of_node) && !Outages::Away.contain(&of_node));
        let of_site = OutageView { scope: site.clone(), ..sample.clone() };
        assert_eq!(sites_of(&[of_site.clone(), of_node, of_site]), ["myodaiji"]);
    }
}
