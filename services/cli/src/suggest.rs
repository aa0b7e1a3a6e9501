//! Names that are nearly the one that was typed: a slip of the finger is answered with what was meant. For options
//! the parser does it, and for commands `texts::parsing`.

use std::time::Duration;

use tokio::time::timeout;
use watari_contracts::{
    firewall::ListFirewalls,
    image::ListImages,
    monitor::ListNodes,
    network::ListNetworks,
    scheduler::{GetVm, ListDisks, ListKeys, ListMigrations, ListOutages, ListProjects, ListSites, ListVms},
};
use watari_model::Refusal;

use crate::{failure::Failure, input, session::Session};

/// So long a list is waited for: a hint is not worth more.
const PATIENCE: Duration = Duration::from_secs(1);
/// So many names are shown: among few one can choose.
const MOST: usize = 3;
/// So many slips are believed in.
const SLIPS: usize = 3;
/// What is begun has so many letters at least,
const LEAST_BEGUN: usize = 2;
/// and what goes on beyond a name so many more at most.
const MOST_MORE: usize = 2;

/// The names nearest to one that a service does not know; none if nothing is near, if nobody tells the names soon,
/// or if something else is the matter.
pub async fn nearest(session: &Session, failure: &Failure) -> Vec<String> {
    let Failure::Refused(body) = failure else { return Vec::new() };
    let Some(typed) = unknown(&body.refusal) else { return Vec::new() };
    match timeout(PATIENCE, names(session, &body.refusal)).await {
        Ok(Ok(names)) => near(typed, names),
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}

/// The name that is not known, if that is what the refusal says. Addresses are no names: of two that differ in a digit
/// neither is a slip of the other.
const fn unknown(refusal: &Refusal) -> Option<&String> {
    match refusal {
        Refusal::VmUnknown { vm: name }
        | Refusal::NodeUnknown { node: name }
        | Refusal::SiteUnknown { site: name }
        | Refusal::MigrationUnknown { migration: name }
        | Refusal::OutageUnknown { outage: name }
        | Refusal::ImageUnknown { image: name }
        | Refusal::NetworkUnknown { network: name }
        | Refusal::SnapshotUnknown { snapshot: name, .. }
        | Refusal::DiskUnknown { disk: name }
        | Refusal::KeyUnknown { key: name }
        | Refusal::ProjectUnknown { project: name }
        | Refusal::FirewallUnknown { firewall: name } => Some(name),
        _ => None,
    }
}

/// All names that could have been meant.
async fn names(session: &Session, refusal: &Refusal) -> Result<Vec<String>, Failure> {
    Ok(match refusal {
        Refusal::VmUnknown { .. } => {
            let vms = session.pages(ListVms::default(), |page| (page.vms, page.next), |r, after| r.after = after);
            vms.await?.iter().map(|vm| vm.name.to_string()).collect()
        }
        // A server's own, which is named with it.
        Refusal::SnapshotUnknown { vm, .. } => {
            let view = session.ask(&GetVm { name: input::name(vm)? }).await?;
            view.snapshots.list.iter().map(|snapshot| snapshot.name.to_string()).collect()
        }
        Refusal::NodeUnknown { .. } => {
            let nodes = session.pages(ListNodes::default(), |page| (page.nodes, page.next), |r, after| r.after = after);
            nodes.await?.iter().map(|node| node.name.to_string()).collect()
        }
        Refusal::KeyUnknown { .. } => {
            let request = ListKeys { after: None, limit: None };
            let keys = session.pages(request, |page| (page.keys, page.next), |r, after| r.after = after);
            keys.await?.iter().map(|key| key.name.to_string()).collect()
        }
        Refusal::ProjectUnknown { .. } => {
            session.ask(&ListProjects {}).await?.projects.iter().map(|project| project.name.to_string()).collect()
        }
        Refusal::DiskUnknown { .. } => {
            let disks = session.pages(ListDisks::default(), |page| (page.disks, page.next), |r, after| r.after = after);
            disks.await?.iter().map(|disk| disk.name.to_string()).collect()
        }
        Refusal::SiteUnknown { .. } => sites(session).await?,
        Refusal::MigrationUnknown { .. } => {
            let page = session.ask(&ListMigrations::default()).await?;
            page.migrations.iter().map(|migration| migration.id.to_string()).collect()
        }
        // Where an outage is named, its site may be instead.
        Refusal::OutageUnknown { .. } => {
            let page = session.ask(&ListOutages {}).await?;
            let outages = page.outages.iter().map(|outage| outage.id.to_string());
            outages.chain(sites(session).await?).collect()
        }
        Refusal::ImageUnknown { .. } => {
            session.ask(&ListImages {}).await?.images.iter().map(|image| image.name.to_string()).collect()
        }
        Refusal::NetworkUnknown { .. } => {
            session.ask(&ListNetworks {}).await?.networks.iter().map(|network| network.name.to_string()).collect()
        }
        Refusal::FirewallUnknown { .. } => {
            session.ask(&ListFirewalls {}).await?.firewalls.iter().map(|firewall| firewall.name.to_string()).collect()
        }
        _ => Vec::new(),
    })
}

async fn sites(session: &Session) -> Result<Vec<String>, Failure> {
    Ok(session.ask(&ListSites {}).await?.sites.iter().map(|site| site.name.to_string()).collect())
}

/// Those of `names` that the fewest slips make of what was typed: in a short name few are believed in, and one that
/// shares no letter is another name.
pub(crate) fn near(typed: &str, names: impl IntoIterator<Item = String>) -> Vec<String> {
    let letters = typed.chars().count();
    let most = (letters / 3).clamp(1, SLIPS).min(letters.saturating_sub(1));
    let slips = names.into_iter().map(|name| (strsim::osa_distance(typed, &name), name));
    let mut found: Vec<_> = slips.filter(|(slips, _)| (1..=most).contains(slips)).collect();
    found.sort();
    let fewest = found.first().map(|(slips, _)| *slips);
    found.into_iter().filter(|(slips, _)| Some(*slips) == fewest).map(|(_, name)| name).take(MOST).collect()
}

/// Those of `names` that begin with what was typed, or have it with a letter or two behind: who leaves off early, or adds
/// an s, has made no slip. If there are none, [`near`].
pub(crate) fn begun_or_near(typed: &str, names: Vec<String>) -> Vec<String> {
    let begins = |name: &&String| {
        let more = typed.strip_prefix(name.as_str()).is_some_and(|more| more.len() <= MOST_MORE);
        typed.len() >= LEAST_BEGUN && (name.starts_with(typed) || more)
    };
    let begun: Vec<String> = names.iter().filter(begins).take(MOST).cloned().collect();
    if begun.is_empty() { near(typed, names) } else { begun }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_begun_goes_before_what_is_near() {
        let names = ["create", "reboot", "list", "resize", "vm", "stop", "start"];
        let of = |typed: &str| begun_or_near(typed, names.map(str::to_owned).to_vec());
        assert_eq!(of("creat"), ["create"]);
        assert_eq!(of("re"), ["reboot", "resize"]);
        assert_eq!(of("vms"), ["vm"]);
        assert_eq!(of("strat"), ["start"], "two letters that are swapped");
        assert_eq!(of("s"), [""; 0], "of one letter nothing is said");
        assert_eq!(of("listening"), [""; 0]);
    }

    #[test]
    fn what_is_nearest_is_meant_and_what_is_far_is_not() {
        let of = |typed: &str| near(typed, ["web", "mail", "mail-copy", "db1", "db2", "x"].map(str::to_owned));
        assert_eq!(of("web2"), ["web"]);
        assert_eq!(of("mial"), ["mail"], "two letters that are swapped are one slip");
        assert_eq!(of("mail-cpoyy"), ["mail-copy"]);
        assert_eq!(of("db"), ["db1", "db2"]);
        assert_eq!(of("y"), [""; 0], "of one letter nothing is left");
        assert_eq!(of("gateway"), [""; 0]);
        assert_eq!(of("web"), [""; 0], "who typed it right means something else");
    }
}
