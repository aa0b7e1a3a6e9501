//! What a node's servers stand on: bridges, disks, certificates, programs.

use watari_contracts::monitor::{NodeHealth, NodeView};
use watari_model::{
    NodeName, Timestamp,
    node::{
        Health,
        health::{Bridge, Certificate, RevocationList},
    },
};

use super::joined;
use crate::{
    doctor::{
        facts::Facts,
        finding::{Finding, said},
    },
    format,
    texts::troubles::Trouble,
};

/// Less than this part of a disk is little.
const DISK_LEAST_PART: u64 = 10;
/// Fewer percent of the files that may still be made are few.
const FILES_LEAST_PERCENT: u8 = 10;
/// A disk that takes longer than this to make 4 KiB safe is slow; one that turns takes 10.
const FSYNC_MOST_MS: u32 = 100;
/// A certificate that ends sooner is to be made anew.
pub(super) const DAYS_LEAST: u64 = 30;
pub(super) const DAY_MS: u64 = 86_400_000;

/// What each node that is heard finds.
fn examined(facts: &Facts) -> impl Iterator<Item = (&NodeView, &Health)> {
    facts.heard().filter_map(|NodeHealth { node, health, .. }| Some((node, health.as_ref()?)))
}

/// Programs that are not there.
pub(super) fn programs(facts: &Facts) -> Vec<Finding> {
    let lacking = examined(facts).filter(|(_, health)| !health.missing_programs.is_empty());
    let trouble = |node: &NodeView, health: &Health| Trouble::ProgramMissing {
        node: said(&node.name),
        programs: joined(&health.missing_programs),
    };
    lacking.map(|(node, health)| Finding::on(&node.name, trouble(node, health))).collect()
}

/// Bridges that do not lead where they should.
pub(super) fn bridges(facts: &Facts) -> Vec<Finding> {
    let of_bridge = |(node, bridge): (&NodeView, &Bridge)| {
        let link = Trouble::of_link(bridge.link, said(&node.name), said(&bridge.name), said(&bridge.segment));
        let misplaced = bridge.addressed_ports.iter().map(|port| Trouble::AddressOnPort {
            node: said(&node.name),
            bridge: said(&bridge.name),
            port: said(port),
        });
        let troubles: Vec<Trouble> = link.into_iter().chain(misplaced).collect();
        troubles.into_iter().map(|trouble| Finding::on(&node.name, trouble)).collect::<Vec<_>>()
    };
    let all = examined(facts).flat_map(|(node, health)| health.bridges.iter().map(move |bridge| (node, bridge)));
    all.flat_map(of_bridge).collect()
}

/// Disks with little room.
pub(super) fn room(facts: &Facts) -> Vec<Finding> {
    let found = facts.heard().filter_map(|NodeHealth { node, .. }| {
        let (free, total) = (node.disk_gib_free, node.disk_gib_total);
        let trouble = if free == 0 {
            Trouble::DiskFull { node: said(&node.name), total: said(total) }
        } else if free.saturating_mul(DISK_LEAST_PART) < total {
            Trouble::DiskFilling { node: said(&node.name), free: said(free), total: said(total) }
        } else {
            return None;
        };
        Some(Finding::on(&node.name, trouble))
    });
    found.collect()
}

/// Disks on which hardly a file can be made.
pub(super) fn files(facts: &Facts) -> Vec<Finding> {
    let few = |health: &Health| health.files_free_percent.is_some_and(|percent| percent < FILES_LEAST_PERCENT);
    let found = examined(facts).filter(|(_, health)| few(health));
    found.map(|(node, _)| Finding::on(&node.name, Trouble::FilesFilling { node: said(&node.name) })).collect()
}

/// Disks that are slow to make safe what is written.
pub(super) fn pace(facts: &Facts) -> Vec<Finding> {
    let found = examined(facts).filter_map(|(node, health)| {
        let took = health.fsync_ms.filter(|ms| *ms > FSYNC_MOST_MS)?;
        let took = said(format::millis(took.into()));
        Some(Finding::on(&node.name, Trouble::DiskSlow { node: said(&node.name), took }))
    });
    found.collect()
}

/// Certificates that end.
pub(super) fn certificates(facts: &Facts) -> Vec<Finding> {
    let all = examined(facts).flat_map(|(node, health)| health.certificates.iter().map(move |one| (node, one)));
    all.filter_map(|(node, one)| Some(Finding::on(&node.name, ending(facts.now, node, one)?))).collect()
}

fn ending(now: Timestamp, node: &NodeView, certificate: &Certificate) -> Option<Trouble> {
    let (node, path) = (said(&node.name), said(&certificate.path));
    let Some(not_after) = certificate.not_after else { return Some(Trouble::CertificateUnreadable { node, path }) };
    let end = said(format::moment(not_after));
    if not_after <= now {
        return Some(Trouble::CertificateExpired { node, path, end });
    }
    let days = not_after.millis_since(now) / DAY_MS;
    (days < DAYS_LEAST).then(|| Trouble::CertificateExpiring { node, path, days: said(days), end })
}

/// Lists of revoked certificates that are not the newest that is to be seen: whoever was expelled since is let in there.
pub(super) fn revocation_lists(facts: &Facts) -> Vec<Finding> {
    let of_nodes = examined(facts).map(|(node, health)| (&node.name, &health.revocation_lists));
    let of_host = facts.host.iter().map(|host| (&host.name, &host.revocation_lists));
    let all: Vec<(&NodeName, &RevocationList)> =
        of_nodes.chain(of_host).flat_map(|(host, lists)| lists.iter().map(move |list| (host, list))).collect();
    let newest = all.iter().filter_map(|(_, list)| list.updated_at).max();
    let old = all.into_iter().filter(|(_, list)| list.updated_at < newest);
    let trouble = |host: &NodeName, list: &RevocationList| Trouble::RevocationListOld {
        host: said(host),
        path: said(&list.path),
    };
    old.map(|(host, list)| Finding::on(host, trouble(host, list))).collect()
}

#[cfg(test)]
mod tests {
    use watari_model::node::health::Link;

    use super::*;
    use crate::doctor::{
        checks::tests::codes,
        facts::sample::{self, NOW, healthy},
    };

    fn with(break_it: impl FnOnce(&mut Health)) -> Facts {
        let mut facts = healthy();
        break_it(facts.nodes[0].health.as_mut().unwrap());
        facts
    }

    #[test]
    fn a_missing_program_is_named() {
        let facts = with(|health| health.missing_programs = vec!["dnsmasq".to_owned(), "nft".to_owned()]);
        let found = programs(&facts);
        assert_eq!(codes(&found), ["node.program-missing"]);
        assert_eq!(found[0].nodes, [facts.nodes[0].node.name.clone()]);
    }

    #[test]
    fn every_way_in_which_a_bridge_leads_nowhere_is_named() {
        for (link, code) in [
            (Link::Missing, "bridge.missing"),
            (Link::NotABridge, "bridge.not-a-bridge"),
            (Link::Down, "bridge.down"),
            (Link::NoUplink, "bridge.no-uplink"),
            (Link::UplinkDown, "bridge.no-uplink"),
        ] {
            assert_eq!(codes(&bridges(&with(|health| health.bridges[0].link = link))), [code]);
        }
        let facts = with(|health| health.bridges[0].addressed_ports = vec!["eth0".to_owned()]);
        assert_eq!(codes(&bridges(&facts)), ["bridge.address-on-port"]);
    }

    #[test]
    fn a_disk_is_filling_and_then_full() {
        let mut facts = healthy();
        for (free, total, wanted) in [
            (20, 200, vec![]),
            (19, 200, vec!["disk.filling"]),
            (0, 200, vec!["disk.full"]),
            (0, 0, vec!["disk.full"]),
            (u64::MAX, u64::MAX, vec![]),
        ] {
            (facts.nodes[0].node.disk_gib_free, facts.nodes[0].node.disk_gib_total) = (free, total);
            assert_eq!(codes(&room(&facts)), wanted, "{free} of {total}");
        }
    }

    #[test]
    fn few_files_and_a_slow_disk_are_named() {
        assert_eq!(codes(&files(&with(|health| health.files_free_percent = Some(5)))), ["disk.files"]);
        assert_eq!(files(&with(|health| health.files_free_percent = None)), []);
        assert_eq!(codes(&pace(&with(|health| health.fsync_ms = Some(101)))), ["disk.slow"]);
        assert_eq!(pace(&with(|health| health.fsync_ms = None)), []);
    }

    #[test]
    fn a_certificate_is_named_before_and_after_its_end_and_if_it_is_none() {
        for (not_after, wanted) in [
            (Some(NOW), vec!["certificate.expired"]),
            (Some(NOW.plus_millis(1)), vec!["certificate.expiring"]),
            (Some(NOW.plus_millis(30 * DAY_MS - 1)), vec!["certificate.expiring"]),
            (Some(NOW.plus_millis(30 * DAY_MS)), vec![]),
            (None, vec!["certificate.unreadable"]),
        ] {
            let facts = with(|health| health.certificates[0].not_after = not_after);
            assert_eq!(codes(&certificates(&facts)), wanted, "{not_after:?}");
        }
    }

    #[test]
    fn a_list_of_revoked_certificates_that_is_older_than_anothers_or_missing_is_named_with_its_host() {
        let mut facts = with(|health| health.revocation_lists.clear());
        assert_eq!(revocation_lists(&facts), [], "an earlier version says nothing of it, and nobody was expelled");
        // The second node has the newest one.
        facts.nodes[1].health.as_mut().unwrap().revocation_lists[0].updated_at = Some(NOW);
        assert_eq!(revocation_lists(&facts), []);
        let list = |path: &str, updated_at| RevocationList { path: path.to_owned(), updated_at };
        let before = Timestamp(NOW.0 - time::Duration::DAY);
        facts.nodes[0].health.as_mut().unwrap().revocation_lists =
            vec![list("a", Some(NOW)), list("b", Some(before)), list("c", None)];
        let mut host = sample::host();
        host.revocation_lists = vec![list("d", None)];
        facts.host = Some(host);
        let found = revocation_lists(&facts);
        assert_eq!(codes(&found), ["certificate.list-old"; 3]);
        let path = |one: &Finding| match &one.trouble {
            Trouble::RevocationListOld { path, .. } => path.en.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(found.iter().map(path).collect::<Vec<_>>(), ["b", "c", "d"]);
        assert!(found.iter().all(|one| one.nodes == [facts.nodes[0].node.name.clone()]), "m1 is this host as well");
        // One of which nothing is heard any more is not asked for it.
        facts.nodes[0].node.state = watari_model::node::State::Lost;
        assert_eq!(revocation_lists(&facts).len(), 1);
    }
}
