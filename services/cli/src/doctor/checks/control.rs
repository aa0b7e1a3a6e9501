//! The front ends: who leads, who could take over, what they keep images in, and how many copies there are of everything.

use std::collections::{BTreeMap, BTreeSet};

use watari_contracts::frontend::{Quorum, StreamView, Voter};

use super::joined;
use crate::{
    doctor::{
        facts::Facts,
        finding::{Finding, said},
    },
    frontend::status::{ServiceStatus, Status},
    texts::troubles::Trouble,
};

/// A standby that lacks more writes is behind; it follows within milliseconds.
const LAG_MOST: u64 = 100;
/// NATS keeps so many copies of a bucket, where there are as many servers.
const COPIES: usize = 3;

fn services(facts: &Facts) -> impl Iterator<Item = &ServiceStatus> {
    facts.control.iter().flat_map(|control| &control.services)
}

/// Services that nobody leads.
pub(super) fn leaders(facts: &Facts) -> Vec<Finding> {
    let orphans = services(facts).filter(|service| service.leader.is_none());
    orphans.map(|one| Finding::of(Trouble::NoLeader { service: said(one.service.name()) })).collect()
}

/// Services that nobody would take over, or not at once. While a site is dark on purpose that is so.
pub(super) fn standbys(facts: &Facts) -> Vec<Finding> {
    // Where nobody leads either, that is told and is the worse.
    let nobody = services(facts).filter(|one| facts.all_active() && one.leader.is_some() && one.standbys.is_empty());
    let nobody = nobody.map(|one| Trouble::NoStandby { service: said(one.service.name()) });
    let behind = services(facts).flat_map(|one| {
        let late = one.standbys.iter().filter(|standby| standby.lag > LAG_MOST);
        late.map(|standby| Trouble::StandbyLags {
            service: said(one.service.name()),
            instance: said(&standby.instance),
            lag: said(standby.lag),
        })
    });
    nobody.chain(behind).map(Finding::of).collect()
}

/// Services whose processes are of different versions.
pub(super) fn versions(facts: &Facts) -> Vec<Finding> {
    let found = services(facts).filter_map(|one| {
        let all: BTreeSet<&String> = one.leader.iter().chain(&one.standbys).map(|process| &process.version).collect();
        let service = said(one.service.name());
        (all.len() > 1).then(|| Finding::of(Trouble::ServiceVersionsDiffer { service, versions: joined(all) }))
    });
    found.collect()
}

/// Object stores that do not do their part, by the word of the image service of each front end, which writes, reads,
/// removes and lists objects all the time.
pub(super) fn stores(facts: &Facts) -> Vec<Finding> {
    let processes = services(facts).flat_map(|one| one.leader.iter().chain(&one.standbys));
    let away = processes.filter_map(|process| {
        let standing = process.store.as_ref()?;
        let trouble = Trouble::ObjectStoreAway {
            store: said(&standing.store.url),
            site: process.site.as_ref().map_or_else(|| said(&process.instance), said),
            cause: said(standing.fault.as_ref()?),
        };
        Some(Finding::of(trouble))
    });
    away.collect()
}

fn is_sound(server: &Voter) -> bool {
    server.votes && server.online && server.current
}

/// NATS servers that are missing, and whether the others are enough.
pub(super) fn quorum(facts: &Facts) -> Vec<Finding> {
    let Some(Quorum { leader, needed, servers, .. }) = facts.control.as_ref().and_then(|c| c.quorum.as_ref()) else {
        return Vec::new();
    };
    let votes = servers.iter().filter(|server| server.votes && server.online).count();
    let lost = leader.is_none() || u32::try_from(votes).is_ok_and(|votes| votes < *needed);
    let lost = lost.then(|| Trouble::NoMajority { votes: said(votes), needed: said(needed) });
    // What stands where the power is about to go has been done without on purpose.
    let on_purpose = |server: &Voter| server.site.as_ref().is_some_and(|site| !facts.is_active(site));
    let away = servers.iter().filter(|server| !is_sound(server) && !on_purpose(server));
    let away = away.map(|server| Trouble::ServerAway { host: said(&server.host) });
    lost.into_iter().chain(away).map(Finding::of).collect()
}

/// Buckets of which there are fewer copies than there could be.
pub(super) fn copies(facts: &Facts) -> Vec<Finding> {
    let Some(control) = facts.control.as_ref().filter(|_| facts.all_active()) else { return Vec::new() };
    let mut few: BTreeMap<usize, Vec<&String>> = BTreeMap::new();
    for stream in &control.streams {
        let current = current_copies(stream);
        if current < wanted_copies(control, stream) {
            few.entry(current).or_default().push(&stream.bucket);
        }
    }
    let trouble = |(copies, buckets): (usize, Vec<&String>)| Trouble::FewCopies {
        buckets: joined(buckets),
        copies: said(copies),
    };
    few.into_iter().map(trouble).map(Finding::of).collect()
}

/// The leader's own, and those that have everything.
fn current_copies(stream: &StreamView) -> usize {
    1 + stream.followers.iter().filter(|follower| follower.current && !follower.offline).count()
}

fn wanted_copies(control: &Status, stream: &StreamView) -> usize {
    let servers = control.quorum.as_ref().map_or(1, |quorum| quorum.servers.len());
    stream.replicas.max(servers.min(COPIES))
}

#[cfg(test)]
mod tests {
    use watari_contracts::frontend::StoreStanding;
    use watari_model::image::ObjectStore;

    use super::*;
    use crate::doctor::{
        checks::tests::codes,
        facts::sample::{NOW, healthy},
    };

    fn with(break_it: impl FnOnce(&mut Status)) -> Facts {
        let mut facts = healthy();
        break_it(facts.control.as_mut().unwrap());
        facts
    }

    #[test]
    fn a_service_that_nobody_leads_or_would_take_over_is_named() {
        assert_eq!(codes(&leaders(&with(|control| control.services[0].leader = None))), ["service.no-leader"]);
        let mut facts = with(|control| control.services[1].standbys.clear());
        assert_eq!(codes(&standbys(&facts)), ["service.no-standby"]);
        facts.sites[1].state = "evacuated".to_owned();
        assert_eq!(standbys(&facts), [], "it is dark on purpose");
        let facts = with(|control| {
            control.services[1].standbys.clear();
            control.services[1].leader = None;
        });
        assert_eq!(standbys(&facts), [], "that nobody leads says it all");
        let facts = with(|control| control.services[2].standbys[0].lag = 101);
        assert_eq!(codes(&standbys(&facts)), ["service.standby-lags"]);
        let facts = with(|control| control.services[3].standbys[0].version = "0.0.9".to_owned());
        assert_eq!(codes(&versions(&facts)), ["service.versions-differ"]);
    }

    #[test]
    fn an_object_store_that_is_away_is_named_with_the_site_that_misses_it() {
        let stands = |fault: Option<&str>| {
            let store = ObjectStore { url: "s3://images".to_owned(), campus: None };
            Some(StoreStanding { store, fault: fault.map(str::to_owned), since: NOW })
        };
        let with_store = |fault| with(|control| control.services[1].standbys[0].store = stands(fault));
        assert_eq!(stores(&with_store(None)), []);
        let found = stores(&with_store(Some("the object store cannot be written")));
        assert_eq!(codes(&found), ["image.store-away"]);
        assert!(matches!(&found[0].trouble, Trouble::ObjectStoreAway { site, .. } if site.en == "yamate"));
    }

    #[test]
    fn a_missing_nats_server_is_named_and_so_is_a_missing_majority() {
        let mut facts = with(|control| control.quorum.as_mut().unwrap().servers[1].online = false);
        assert_eq!(codes(&quorum(&facts)), ["quorum.server-away"]);
        facts.sites[1].state = "evacuated".to_owned();
        assert_eq!(quorum(&facts), [], "it is dark on purpose");
        let facts = with(|control| {
            let quorum = control.quorum.as_mut().unwrap();
            quorum.leader = None;
            quorum.servers[1].online = false;
            quorum.servers[2].votes = false;
        });
        assert_eq!(codes(&quorum(&facts)), ["quorum.lost", "quorum.server-away", "quorum.server-away"]);
    }

    #[test]
    fn buckets_with_few_copies_are_named_together() {
        let facts = with(|control| {
            control.streams[0].followers[0].current = false;
            control.streams[1].followers[1].offline = true;
            // Nobody asked for more copies of this one yet.
            control.streams[2].replicas = 1;
            control.streams[2].followers.clear();
        });
        let found = copies(&facts);
        assert_eq!(codes(&found), ["quorum.few-copies", "quorum.few-copies"]);
        assert!(matches!(&found[1].trouble, Trouble::FewCopies { copies, .. } if copies.en == "2"));
        assert_eq!(copies(&with(|control| control.streams.clear())), []);
    }
}
