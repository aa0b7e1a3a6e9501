use proptest::prelude::*;
use watari_contracts::frontend::Follower;

use super::*;

/// A small NATS cluster: what is decided is done to it, one act at a time.
#[derive(Clone, Debug)]
struct World {
    servers: Vec<Server>,
    streams: Vec<StreamView>,
    leader: usize,
}

#[derive(Clone, Debug)]
struct Server {
    name: String,
    host: String,
    site: Option<SiteName>,
    votes: bool,
    online: bool,
}

fn site(name: &str) -> SiteName {
    name.parse().unwrap()
}

impl World {
    /// m-front in Myodaiji and y-front in Yamate, without a witness.
    fn of_two() -> Self {
        let mut world = Self::new(None);
        world.servers.pop();
        for stream in &mut world.streams {
            let leader = stream.leader.take().filter(|name| name != "witness");
            let leader = leader.unwrap_or_else(|| "y-front".to_owned());
            stream.followers.retain(|follower| follower.name != "witness" && follower.name != leader);
            (stream.leader, stream.replicas) = (Some(leader), 2);
        }
        world
    }

    /// m-front in Myodaiji, y-front in Yamate, and a witness.
    fn new(witness: Option<&str>) -> Self {
        let server = |host: &str, at: Option<&str>| Server {
            name: host.to_owned(),
            host: host.to_owned(),
            site: at.map(site),
            votes: true,
            online: true,
        };
        let servers =
            vec![server("m-front", Some("myodaiji")), server("y-front", Some("yamate")), server("witness", witness)];
        let follower = |name: &str| Follower { name: name.to_owned(), current: true, offline: false, lag: 0 };
        let stream = |bucket: &str, leader: &str, others: [&str; 2]| StreamView {
            bucket: bucket.to_owned(),
            replicas: 3,
            leader: Some(leader.to_owned()),
            followers: others.map(follower).into(),
            last: 1,
        };
        let streams =
            vec![stream("vms", "m-front", ["y-front", "witness"]), stream("leases", "witness", ["m-front", "y-front"])];
        Self { servers, streams, leader: 0 }
    }

    fn has_majority(&self) -> bool {
        let votes = self.servers.iter().filter(|s| s.votes);
        votes.clone().filter(|s| s.online).count() > votes.count() / 2
    }

    fn quorum(&self) -> Quorum {
        let votes = u32::try_from(self.servers.iter().filter(|s| s.votes).count()).unwrap();
        Quorum {
            leader: self.has_majority().then(|| self.servers[self.leader].name.clone()),
            needed: votes / 2 + 1,
            servers: self
                .servers
                .iter()
                .map(|s| Voter {
                    host: s.host.clone(),
                    site: s.site.clone(),
                    name: Some(s.name.clone()),
                    votes: s.votes,
                    online: s.online,
                    current: s.online,
                })
                .collect(),
            others: Vec::new(),
        }
    }

    fn decide(&self, quorum: &Quorum, lead_from: &str, leaving: &[&str], dark: &[&str]) -> Vec<Act> {
        let wished = site(lead_from);
        let sites = |names: &[&str]| names.iter().map(|name| site(name)).collect();
        Scene {
            quorum,
            streams: &self.streams,
            expected: self.streams.len(),
            lead_from: Some(&wished),
            leaving: sites(leaving),
            dark: sites(dark),
            copies: self.servers.len(),
            handing_over: false,
        }
        .decide()
    }

    fn find(&mut self, name: &str) -> usize {
        self.servers.iter().position(|s| s.name == name).unwrap()
    }

    /// Does it as NATS would, and checks that it could be done at all.
    fn apply(&mut self, act: &Act) {
        assert!(self.has_majority() || matches!(act, Act::Tell(..)), "{act:?} without a majority");
        match act {
            Act::LeadStream { bucket, server } => {
                let stream = self.streams.iter_mut().find(|s| s.bucket == *bucket).unwrap();
                let old = stream.leader.replace(server.clone()).unwrap();
                stream.followers.iter_mut().find(|f| f.name == *server).unwrap().name = old;
            }
            Act::LeadServers(server) => self.leader = self.find(server),
            Act::Scale { bucket, copies } => {
                let names: Vec<String> =
                    self.servers.iter().filter(|s| s.votes && s.online).map(|s| s.name.clone()).collect();
                let silent: Vec<&Server> = self.servers.iter().filter(|s| s.votes && !s.online).collect();
                let stream = self.streams.iter_mut().find(|s| s.bucket == *bucket).unwrap();
                let fewer = *copies < stream.replicas;
                stream.replicas = *copies;
                if fewer && stream.followers.iter().any(|f| silent.iter().any(|s| s.name == f.name)) {
                    // A consumer stands there, and does not move: NATS waits for it.
                    return;
                }
                let leader = stream.leader.clone().unwrap();
                let others = names.into_iter().filter(|name| *name != leader).take(copies - 1);
                stream.followers =
                    others.map(|name| Follower { name, current: true, offline: false, lag: 0 }).collect();
            }
            Act::Remove(server) => {
                let at = self.find(server);
                self.servers[at].votes = false;
                assert!(self.has_majority(), "no majority after {act:?}");
                assert!(self.streams.iter().all(|s| s.leader.as_deref() != Some(server)), "{act:?} leads a stream");
                for stream in &mut self.streams {
                    let asked = stream.replicas == 1;
                    stream.followers.retain(|follower| follower.name != *server && !asked);
                }
            }
            Act::Tell(host, Duty::Retire) => {
                self.servers.iter_mut().filter(|s| s.host == *host).for_each(|s| s.online = false);
            }
            Act::Tell(host, Duty::Serve) => {
                let at = self.servers.iter().rposition(|s| s.host == *host).unwrap();
                if !self.servers[at].votes {
                    let number = self.servers.iter().filter(|s| s.host == *host).count() + 1;
                    let reborn = Server { name: format!("{host}-g{number}"), votes: true, ..self.servers[at].clone() };
                    self.servers[at] = reborn;
                }
                self.servers[at].online = true;
            }
            Act::Tell(_, Duty::Alone) => panic!("only an operator says {act:?}"),
        }
    }

    fn settle(&mut self, lead_from: &str, leaving: &[&str], dark: &[&str]) -> Vec<Act> {
        let mut done = Vec::new();
        for _ in 0..40 {
            let acts = self.decide(&self.quorum(), lead_from, leaving, dark);
            if acts.is_empty() {
                return done;
            }
            acts.iter().for_each(|act| self.apply(act));
            done.extend(acts);
        }
        panic!("it never settles: {done:?}");
    }

    /// The power of a site goes.
    fn cut(&mut self, dark: &str) {
        self.servers.iter_mut().filter(|s| s.site == Some(site(dark))).for_each(|s| s.online = false);
    }
}

fn removed(acts: &[Act]) -> usize {
    acts.iter().filter(|act| matches!(act, Act::Remove(_))).count()
}

#[test]
fn with_the_witness_elsewhere_only_leaders_move_and_nobody_loses_a_vote() {
    let mut world = World::new(None);
    let done = world.settle("yamate", &["myodaiji"], &[]);
    assert_eq!(removed(&done), 0, "{done:?}");
    world.cut("myodaiji");
    assert!(world.has_majority());
    assert!(world.streams.iter().all(|s| s.leader.as_deref() == Some("y-front")));
    assert!(world.settle("yamate", &[], &["myodaiji"]).is_empty(), "in the dark nothing is done");
    let home = world.settle("yamate", &[], &[]);
    assert_eq!(home, [Act::Tell("m-front".to_owned(), Duty::Serve)]);
}

#[test]
fn while_services_are_handed_over_no_leader_moves_and_no_server_stops() {
    let mut world = World::new(None);
    let (quorum, wished) = (world.quorum(), site("yamate"));
    let decided = |streams: &[StreamView], quorum: &Quorum, handing_over| {
        let leaving = BTreeSet::from([site("myodaiji")]);
        let (lead_from, expected) = (Some(&wished), streams.len());
        Scene { quorum, streams, expected, lead_from, leaving, dark: BTreeSet::new(), copies: 3, handing_over }.decide()
    };
    assert_eq!(decided(&world.streams, &quorum, true), []);
    let moved = decided(&world.streams, &quorum, false);
    assert!(moved.iter().all(|act| matches!(act, Act::LeadStream { .. })) && moved.len() == 2, "{moved:?}");
    moved.iter().for_each(|act| world.apply(act));
    world.apply(&Act::LeadServers("y-front".to_owned()));
    let quorum = world.quorum();
    assert_eq!(decided(&world.streams, &quorum, true), []);
    assert_eq!(decided(&world.streams, &quorum, false), [Act::Tell("m-front".to_owned(), Duty::Retire)]);
}

#[test]
fn with_the_witness_in_the_dark_campus_who_stays_is_a_majority_by_itself() {
    let mut world = World::new(Some("myodaiji"));
    let done = world.settle("yamate", &["myodaiji"], &[]);
    assert_eq!(removed(&done), 2, "{done:?}");
    world.cut("myodaiji");
    assert!(world.has_majority());
    assert!(world.streams.iter().all(|s| s.followers.is_empty() && s.leader.as_deref() == Some("y-front")));
    // The power flickers: whoever comes back has no vote and is not given one.
    world.servers.iter_mut().for_each(|s| s.online = true);
    assert!(world.settle("yamate", &[], &["myodaiji"]).is_empty());
    let home = world.settle("myodaiji", &[], &[]);
    assert!(world.servers.iter().all(|s| s.votes && s.online), "{home:?}");
    assert!(world.streams.iter().all(|s| s.replicas == 3 && s.leader.as_deref() == Some("m-front-g2")), "{world:?}");
}

/// The witness is silent, and known as one that is.
fn without_witness() -> World {
    let mut world = World::new(None);
    world.servers[2].online = false;
    world.streams[1].leader = Some("m-front".to_owned());
    world.streams[1].followers[0].name = "witness".to_owned();
    world
}

#[test]
fn a_witness_that_is_silent_loses_its_vote_before_any_copy_is_given_up() {
    let mut world = without_witness();
    let done = world.settle("yamate", &["myodaiji"], &[]);
    let votes: Vec<&Act> = done.iter().filter(|act| matches!(act, Act::Remove(_))).collect();
    assert_eq!(votes, [&Act::Remove("witness".to_owned()), &Act::Remove("m-front".to_owned())]);
    let first = |which: fn(&Act) -> bool| done.iter().position(which).unwrap();
    assert!(first(|act| matches!(act, Act::Remove(_))) < first(|act| matches!(act, Act::Scale { .. })), "{done:?}");
    world.cut("myodaiji");
    assert!(world.has_majority() && world.streams.iter().all(|s| s.followers.is_empty()), "{world:?}");
    // It comes back in the dark: whoever is a majority by itself is not made to need it.
    world.servers[2].online = true;
    assert!(world.settle("yamate", &[], &["myodaiji"]).is_empty());
    let home = world.settle("myodaiji", &[], &[]);
    assert!(world.servers.iter().all(|s| s.votes && s.online), "{home:?}");
    assert!(world.streams.iter().all(|s| s.replicas == 3), "{world:?}");
}

#[test]
fn a_hand_over_that_hangs_on_a_silent_witness_goes_on() {
    let mut world = without_witness();
    // It fell silent when the copies were being given up already.
    for stream in &mut world.streams {
        stream.leader = Some("y-front".to_owned());
        stream.replicas = 1;
        stream.followers[0].name = "m-front".to_owned();
        stream.followers[1].name = "witness".to_owned();
    }
    let done = world.settle("yamate", &["myodaiji"], &[]);
    assert_eq!(removed(&done), 2, "{done:?}");
    world.cut("myodaiji");
    assert!(world.has_majority());
}

#[test]
fn copies_are_kept_by_those_that_are_back_while_the_witness_stays_away() {
    let mut world = without_witness();
    world.settle("yamate", &["myodaiji"], &[]);
    world.cut("myodaiji");
    // Both are told to come; the witness does not hear it.
    let tell = |host: &str| Act::Tell(host.to_owned(), Duty::Serve);
    assert_eq!(world.decide(&world.quorum(), "myodaiji", &[], &[]), [tell("m-front"), tell("witness")]);
    world.apply(&tell("m-front"));
    let acts = world.decide(&world.quorum(), "myodaiji", &[], &[]);
    let two = |bucket: &str| Act::Scale { bucket: bucket.to_owned(), copies: 2 };
    assert!(acts.contains(&two("vms")) && acts.contains(&two("leases")), "{acts:?}");
}

#[test]
fn a_silent_server_keeps_its_vote_while_the_rest_would_be_no_majority() {
    let mut world = without_witness();
    world.streams.iter_mut().for_each(|s| s.leader = Some("y-front".to_owned()));
    world.leader = 1;
    let mut quorum = world.quorum();
    // Myodaiji's server is there, and behind: of two, one alone would be left to say what was written.
    quorum.servers[0].current = false;
    assert!(world.decide(&quorum, "yamate", &["myodaiji"], &[]).is_empty());
}

#[test]
fn a_stream_that_lacks_copies_is_not_told_to_have_fewer() {
    let mut world = World::of_two();
    world.leader = 1;
    for stream in &mut world.streams {
        stream.leader = Some("y-front".to_owned());
        stream.followers.clear();
    }
    assert!(world.decide(&world.quorum(), "yamate", &["myodaiji"], &[]).is_empty());
}

#[test]
fn two_servers_are_enough_for_a_planned_outage_and_either_is_missed_without_a_plan() {
    let mut world = World::of_two();
    let done = world.settle("yamate", &["myodaiji"], &[]);
    assert_eq!(removed(&done), 1, "{done:?}");
    world.cut("myodaiji");
    assert!(world.has_majority());
    assert!(world.streams.iter().all(|s| s.followers.is_empty() && s.leader.as_deref() == Some("y-front")));
    assert!(world.settle("yamate", &[], &["myodaiji"]).is_empty(), "in the dark nothing is done");
    let home = world.settle("myodaiji", &[], &[]);
    assert!(world.servers.iter().all(|s| s.votes && s.online), "{home:?}");
    assert!(world.streams.iter().all(|s| s.replicas == 2 && s.leader.as_deref() == Some("m-front-g2")), "{world:?}");

    world.cut("myodaiji");
    assert!(!world.has_majority());
    assert_eq!(world.decide(&world.quorum(), "yamate", &[], &[]), [Act::Tell("m-front".to_owned(), Duty::Serve)]);
}

#[test]
fn nothing_is_done_about_votes_while_somebody_has_one_who_is_not_known() {
    let world = World::new(Some("myodaiji"));
    let mut quorum = world.quorum();
    quorum.others.push("new".to_owned());
    assert!(world.decide(&quorum, "yamate", &["myodaiji"], &[]).is_empty());
}

#[test]
fn nothing_is_removed_while_a_stream_does_not_tell_where_it_is() {
    let mut world = World::new(Some("myodaiji"));
    world.streams.pop();
    let quorum = world.quorum();
    let wished = site("yamate");
    let scene = |streams| Scene {
        quorum: &quorum,
        streams,
        expected: 2,
        lead_from: Some(&wished),
        leaving: BTreeSet::from([site("myodaiji")]),
        dark: BTreeSet::new(),
        copies: 3,
        handing_over: false,
    };
    world.streams[0].leader = Some("y-front".to_owned());
    let acts = scene(&world.streams).decide();
    assert!(acts.iter().all(|act| matches!(act, Act::LeadServers(_))), "{acts:?}");
}

proptest! {
    /// Whoever else fails at any moment: no step takes away a majority that is there.
    #[test]
    fn no_step_gives_up_a_majority(
        in_dark in any::<bool>(),
        losses in proptest::collection::vec((0_usize..12, 0_usize..3), 0..3),
    ) {
        let mut world = World::new(in_dark.then_some("myodaiji"));
        for turn in 0..12 {
            for (_, server) in losses.iter().filter(|(at, _)| *at == turn) {
                world.servers[*server].online = false;
                let leaders = world.streams.iter().any(|s| s.leader.as_ref() == Some(&world.servers[*server].name));
                if leaders || world.leader == *server {
                    // What then happens is an election, which is NATS' own matter.
                    return Ok(());
                }
            }
            for act in world.decide(&world.quorum(), "yamate", &["myodaiji"], &[]) {
                let before = world.has_majority();
                if !before && !matches!(act, Act::Tell(..)) {
                    break;
                }
                world.apply(&act);
                prop_assert!(!before || world.has_majority(), "{act:?}: {world:?}");
            }
        }
    }
}
