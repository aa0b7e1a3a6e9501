//! What things are called: for slips of the finger (`suggest`), and for shells that complete (`completion`).

use std::time::Duration;

use tokio::time::timeout;
use watari_contracts::{
    address::ListAddresses,
    firewall::ListFirewalls,
    image::ListImages,
    monitor::ListNodes,
    network::ListNetworks,
    scheduler::{GetVm, ListDisks, ListKeys, ListMigrations, ListOutages, ListProjects, ListSites, ListVms},
};

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
    Outage,
    /// Where an outage is named, its site may be instead.
    OutageOrSite,
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
        Kind::Outage => outages(session).await?,
        Kind::OutageOrSite => {
            let mut names = outages(session).await?;
            names.extend(sites(session).await?);
            names
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

async fn outages(session: &Session) -> Result<Vec<String>, Failure> {
    Ok(session.ask(&ListOutages {}).await?.outages.iter().map(|outage| outage.id.to_string()).collect())
}

async fn sites(session: &Session) -> Result<Vec<String>, Failure> {
    Ok(session.ask(&ListSites {}).await?.sites.iter().map(|site| site.name.to_string()).collect())
}
