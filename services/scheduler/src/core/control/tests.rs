use std::collections::BTreeMap;

use watari_contracts::frontend::Follower;

use super::*;

fn site(name: &str) -> SiteName {
    name.parse().unwrap()
}

fn standings(leads_from: &str) -> Vec<Standing> {
    let one = |service: Service, at: &str| Standing {
        service,
        instance: format!("{}.{at}", service.name()),
        site: Some(site(at)),
        leads: at == leads_from,
        epoch: (at == leads_from).then_some(1),
        leader: None,
        nats: String::new(),
        followed: BTreeMap::new(),
        wish: None,
        quorum: None,
        store: None,
        version: String::new(),
    };
    Service::OF_FRONT.into_iter().flat_map(|service| ["myodaiji", "yamate"].map(|at| one(service, at))).collect()
}

fn sight(leads_from: &str, nats_leader: &str, witness_online: bool) -> Sight {
    let voter = |host: &str, at: Option<&str>, online| Voter {
        host: host.to_owned(),
        site: at.map(site),
        name: Some(host.to_owned()),
        votes: true,
        online,
        current: online,
    };
    let follower = |name: &str| Follower { name: name.to_owned(), current: true, offline: false, lag: 0 };
    let others: Vec<_> = ["m-front", "y-front", "witness"].into_iter().filter(|name| *name != nats_leader).collect();
    Sight {
        standings: standings(leads_from),
        quorum: Some(Quorum {
            leader: Some(nats_leader.to_owned()),
            needed: 2,
            servers: vec![
                voter("m-front", Some("myodaiji"), true),
                voter("y-front", Some("yamate"), true),
                voter("witness", None, witness_online),
            ],
            others: Vec::new(),
        }),
        streams: vec![StreamView {
            bucket: "vms".to_owned(),
            replicas: 3,
            leader: Some(nats_leader.to_owned()),
            followers: others.into_iter().map(follower).collect(),
            last: 1,
        }],
        expected: 1,
    }
}

#[test]
fn a_site_may_go_dark_when_neither_services_nor_nats_need_it() {
    let dark = site("myodaiji");
    let before = sight("myodaiji", "m-front", true);
    assert!(before.stands_at(&dark) && before.nats_needs(&dark).is_some());
    assert_eq!(before.not_led_from(&site("yamate")).len(), 4);
    let after = sight("yamate", "y-front", true);
    assert!(after.not_led_from(&site("yamate")).is_empty() && after.nats_needs(&dark).is_none());
    let thin = sight("yamate", "y-front", false);
    assert!(thin.nats_needs(&dark).unwrap().contains("no majority"));
}

#[test]
fn services_are_being_handed_over_while_some_that_could_lead_from_there_do_not() {
    let yamate = site("yamate");
    let mut sight = sight("myodaiji", "m-front", true);
    assert!(sight.is_handed_over_to(&yamate) && !sight.is_handed_over_to(&site("myodaiji")));
    let leads =
        |service: Service, s: &mut Standing| s.leads = (s.service == service) == (s.site == Some(site("yamate")));
    sight.standings.iter_mut().for_each(|s| leads(Service::Image, s));
    assert!(sight.is_handed_over_to(&yamate), "one of four");
    sight.standings = standings("yamate");
    assert!(!sight.is_handed_over_to(&yamate));
    // Who has no process there is waited for by nobody.
    sight.standings = standings("myodaiji");
    sight.standings.retain(|s| s.leads);
    assert!(!sight.is_handed_over_to(&yamate));
}

#[test]
fn nats_is_whole_when_every_server_votes_and_every_stream_has_its_copies() {
    assert_eq!(sight("yamate", "y-front", true).nats_lacks(None), None);
    assert!(sight("yamate", "y-front", false).nats_lacks(None).unwrap().contains("witness"));
    let mut thin = sight("yamate", "y-front", true);
    thin.streams[0].followers.pop();
    assert!(thin.nats_lacks(None).unwrap().contains("vms"));
    let mut silent = sight("yamate", "y-front", true);
    silent.streams.clear();
    assert!(silent.nats_lacks(None).unwrap().contains("no leader"));
    assert!(silent.nats_needs(&site("myodaiji")).unwrap().contains("no leader"), "what is not known is not fine");
}

#[test]
fn a_silent_witness_keeps_nobody_from_coming_home_and_a_server_at_home_does() {
    let home = site("myodaiji");
    let mut sight = sight("yamate", "y-front", false);
    sight.streams[0].followers.iter_mut().for_each(|f| f.current = f.name != "witness");
    assert_eq!(sight.nats_lacks(Some(&home)), None);
    sight.streams[0].followers.iter_mut().for_each(|f| f.current = false);
    assert!(sight.nats_lacks(Some(&home)).unwrap().contains("vms"), "the server at home has no copy yet");
    let witness = &mut sight.quorum.as_mut().unwrap().servers[2];
    (witness.online, witness.votes) = (true, false);
    assert!(sight.nats_lacks(Some(&home)).unwrap().contains("witness"), "it is on its way");
    let servers = &mut sight.quorum.as_mut().unwrap().servers;
    (servers[2].online, servers[0].online) = (false, false);
    assert!(sight.nats_lacks(Some(&home)).unwrap().contains("m-front"));
}

#[test]
fn while_somebody_votes_who_is_not_known_no_site_may_go_dark_and_nats_is_not_whole() {
    let mut joined = sight("yamate", "y-front", true);
    assert!(joined.nats_needs(&site("myodaiji")).is_none() && joined.is_whole());
    joined.quorum.as_mut().unwrap().others.push("new".to_owned());
    assert!(joined.nats_needs(&site("myodaiji")).unwrap().contains("new"));
    assert!(!joined.is_whole(), "it is looked again soon");
}

#[test]
fn a_standby_of_every_service_is_needed() {
    let mut known = standings("myodaiji");
    assert!(missing_at(&known, &site("yamate"), &Service::OF_FRONT).is_empty());
    known.retain(|s| s.service != Service::Image || s.site != Some(site("yamate")));
    assert_eq!(missing_at(&known, &site("yamate"), &Service::OF_FRONT), [Service::Image]);
}
