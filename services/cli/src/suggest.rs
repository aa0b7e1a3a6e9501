//! Names that are nearly the one that was typed: a slip of the finger is answered with what was meant. For options
//! the parser does it, and for commands `texts::parsing`.

use watari_model::Refusal;

use crate::{
    failure::Failure,
    names::{self, Kind, Outages},
    session::Session,
};

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
    match unknown(&body.refusal) {
        Some((kind, typed)) => near(typed, names::soon(session, &kind).await),
        None => Vec::new(),
    }
}

/// The name that is not known and of what it should be, if that is what the refusal says. Addresses are no names: of two
/// that differ in a digit neither is a slip of the other.
fn unknown(refusal: &Refusal) -> Option<(Kind, &String)> {
    Some(match refusal {
        Refusal::VmUnknown { vm } => (Kind::Vm, vm),
        Refusal::NodeUnknown { node } => (Kind::Node, node),
        Refusal::SiteUnknown { site } => (Kind::Site, site),
        Refusal::MigrationUnknown { migration } => (Kind::Migration, migration),
        Refusal::OutageUnknown { outage } => (Kind::OutageOrSite(Outages::All), outage),
        Refusal::ImageUnknown { image } => (Kind::Image, image),
        Refusal::NetworkUnknown { network } => (Kind::Network, network),
        Refusal::SnapshotUnknown { vm, snapshot } => (Kind::Snapshot { vm: vm.clone() }, snapshot),
        Refusal::DiskUnknown { disk } => (Kind::Disk, disk),
        Refusal::KeyUnknown { key } => (Kind::Key, key),
        Refusal::ProjectUnknown { project } => (Kind::Project, project),
        Refusal::FirewallUnknown { firewall } => (Kind::Firewall, firewall),
        _ => return None,
    })
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
