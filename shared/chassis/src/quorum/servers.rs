//! What the NATS servers say of their cluster (`$SYS.REQ.SERVER.PING.JSZ`), put together.
//!
//! Each server has its own opinion; that of the one that leads counts, since it alone hears all.

use serde::Deserialize;
use watari_contracts::frontend::{Quorum, Voter};

use super::{
    keeper::{Electorate, Membership, NatsHost},
    names::{generation, is_of, peer},
    recovery::{Recovery, Unfit},
};

/// As many lives of one server are looked for where only an id is known.
const LIVES: u32 = 64;

/// One server's answer.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Answer {
    server: Named,
    data: Option<Data>,
}

#[derive(Clone, Debug, Deserialize)]
struct Named {
    name: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Data {
    meta_cluster: Option<Meta>,
}

#[derive(Clone, Debug, Deserialize)]
struct Meta {
    leader: Option<String>,
    #[serde(default)]
    replicas: Vec<Replica>,
    #[serde(default)]
    quorum_needed: u32,
}

#[derive(Clone, Debug, Deserialize)]
struct Replica {
    name: String,
    #[serde(default)]
    current: bool,
    #[serde(default)]
    offline: bool,
    #[serde(default)]
    peer: String,
}

/// The word of the one that leads, with its name.
fn leading(answers: &[Answer]) -> Option<(&str, &Meta)> {
    answers.iter().find_map(|answer| {
        let meta = answer.data.as_ref()?.meta_cluster.as_ref()?;
        let leads = meta.leader.as_deref() == Some(&answer.server.name);
        leads.then_some((answer.server.name.as_str(), meta))
    })
}

/// Whether the server called `name` has a vote.
pub(super) fn membership(answers: &[Answer], name: &str) -> Membership {
    let Some((leader, meta)) = leading(answers) else { return Membership::Unknown };
    // Servers that have voted and are not known yet count as well.
    if leader == name && meta.replicas.is_empty() && meta.quorum_needed == 1 {
        return Membership::Only;
    }
    let id = peer(name);
    let votes = leader == name || meta.replicas.iter().any(|r| r.name == name || r.peer == id);
    if votes { Membership::Member } else { Membership::Stranger }
}

/// Who has a vote and who is there.
pub(super) fn electorate(answers: &[Answer]) -> Electorate {
    let voters = leading(answers).map(|(leader, meta)| {
        let id = |replica: &Replica| if replica.peer.is_empty() { peer(&replica.name) } else { replica.peer.clone() };
        meta.replicas.iter().map(id).chain([peer(leader)]).collect::<Vec<_>>()
    });
    Electorate {
        voters: voters.unwrap_or_default(),
        present: answers.iter().map(|answer| peer(&answer.server.name)).collect(),
    }
}

/// What is next on the way to a cluster of one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Founding {
    /// Nobody leads yet, or somebody else is there.
    Waits,
    /// The one that goes leads: the other has to.
    Leads,
    /// The vote of the one that goes has to.
    Removes,
    /// One server is a majority.
    Done,
}

/// How far it is: `founder` stays, `midwife` goes.
pub(super) fn founding(answers: &[Answer], founder: &str, midwife: &str) -> Founding {
    let Some((leader, meta)) = leading(answers) else { return Founding::Waits };
    let id = peer(midwife);
    let goes = |replica: &Replica| replica.name == midwife || replica.peer == id;
    if leader == midwife {
        return Founding::Leads;
    }
    match meta.replicas.as_slice() {
        [] if membership(answers, founder) == Membership::Only => Founding::Done,
        [only] if leader == founder && goes(only) => Founding::Removes,
        _ => Founding::Waits,
    }
}

/// What is next for the server on `survivor`, that on `lost` being lost for good.
pub(super) fn recovery(answers: &[Answer], survivor: &str, lost: &str) -> Result<Recovery, Unfit> {
    if let Some(there) = answers.iter().find(|answer| is_of(&answer.server.name, lost)) {
        return Err(Unfit::Answers(there.server.name.clone()));
    }
    let Some(own) = answers.iter().find(|answer| is_of(&answer.server.name, survivor)) else {
        return Ok(Recovery::Waits);
    };
    let name = &own.server.name;
    let Some(meta) = own.data.as_ref().and_then(|data| data.meta_cluster.as_ref()) else {
        return Err(Unfit::Voteless);
    };
    // As long as nobody leads it names itself among those that have a vote.
    let (own, others): (Vec<&Replica>, Vec<&Replica>) = meta.replicas.iter().partition(|replica| replica.name == *name);
    let enough = meta.quorum_needed == 1;
    match (meta.leader.as_deref().filter(|leader| !leader.is_empty()), others.as_slice()) {
        (Some(leader), []) if leader == name && enough => Ok(Recovery::Done),
        (Some(leader), [other]) if leader == name && enough && is_on(other, lost) => {
            Ok(Recovery::Removes(other.peer.clone()))
        }
        (Some(leader), _) => Err(Unfit::Led(leader.to_owned())),
        (None, _) if own.is_empty() => Err(Unfit::Voteless),
        (None, [other]) if is_on(other, lost) => Ok(if enough { Recovery::Waits } else { Recovery::Lowers }),
        (None, others) => {
            Err(Unfit::Others(others.iter().map(|other| other.name.as_str()).collect::<Vec<_>>().join(", ")))
        }
    }
}

/// Everything, by host. A host has more than one entry while a former life of its server has a vote.
pub(super) fn quorum(answers: &[Answer], hosts: &[NatsHost]) -> Quorum {
    let leading = leading(answers);
    let mut servers = Vec::new();
    for host in hosts {
        let online = |name: &str| answers.iter().any(|answer| answer.server.name == name);
        let voter = |name: Option<String>, votes, current| Voter {
            host: host.name.to_string(),
            site: host.site.clone(),
            online: name.as_deref().is_some_and(online),
            current,
            name,
            votes,
        };
        let before = servers.len();
        if let Some((leader, meta)) = &leading {
            if is_of(leader, host.name.as_str()) {
                servers.push(voter(Some((*leader).to_owned()), true, true));
            }
            for replica in &meta.replicas {
                if let Some(name) = name_on(replica, host.name.as_str()) {
                    servers.push(voter(Some(name), true, replica.current && !replica.offline));
                }
            }
        }
        let known = |name: &str| servers[before..].iter().any(|v: &Voter| v.name.as_deref() == Some(name));
        let voteless: Vec<String> = answers
            .iter()
            .map(|answer| answer.server.name.clone())
            .filter(|name| is_of(name, host.name.as_str()) && !known(name))
            .collect();
        servers.extend(voteless.into_iter().map(|name| voter(Some(name), false, false)));
        if servers.len() == before {
            servers.push(voter(None, false, false));
        }
    }
    let mut others = Vec::new();
    if let Some((leader, meta)) = &leading {
        let known = |replica: &Replica| hosts.iter().any(|host| is_on(replica, host.name.as_str()));
        let leads = !hosts.iter().any(|host| is_of(leader, host.name.as_str()));
        others.extend(leads.then(|| (*leader).to_owned()));
        others.extend(meta.replicas.iter().filter(|replica| !known(replica)).map(|replica| replica.name.clone()));
    }
    let (leader, needed) = leading.map_or((None, 0), |(name, meta)| (Some(name.to_owned()), meta.quorum_needed));
    Quorum { leader, needed, servers, others }
}

/// The replica's name, if it is a server of this host.
fn name_on(replica: &Replica, host: &str) -> Option<String> {
    if is_of(&replica.name, host) {
        return Some(replica.name.clone());
    }
    (1..=LIVES).map(|n| generation(host, n)).find(|name| peer(name) == replica.peer)
}

fn is_on(replica: &Replica, host: &str) -> bool {
    name_on(replica, host).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(name: &str, leader: &str, replicas: &str) -> Answer {
        let text = format!(
            r#"{{"server":{{"name":"{name}","host":"h"}},"data":{{"meta_cluster":{{"name":"t","leader":"{leader}","replicas":{replicas},"quorum_needed":2}}}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn hosts() -> Vec<NatsHost> {
        ["s1", "s2", "s3"].map(|name| NatsHost { name: name.parse().unwrap(), site: "here".parse().ok() }).into()
    }

    #[test]
    fn the_leaders_word_counts_and_who_is_known_by_its_id_alone_is_found() {
        let replicas = r#"[{"name":"s1-g2","current":true,"peer":"1w7ShoPB"},{"name":"Server name unknown at this time (peerID: 3ahZoO2Q)","current":false,"offline":true,"peer":"3ahZoO2Q"}]"#;
        let disabled = r#"{"server":{"name":"s1-g2"},"data":{"disabled":true}}"#;
        let answers = [serde_json::from_str(disabled).unwrap(), answer("s2", "s2", replicas)];
        let quorum = quorum(&answers, &hosts());
        assert_eq!((quorum.leader.as_deref(), quorum.needed), (Some("s2"), 2));
        let seen: Vec<_> = quorum.servers.iter().map(|v| (v.name.as_deref(), v.votes, v.online, v.current)).collect();
        assert_eq!(
            seen,
            [(Some("s1-g2"), true, true, true), (Some("s2"), true, true, true), (Some("s3"), true, false, false)]
        );
        assert_eq!(membership(&answers, "s1"), Membership::Stranger);
        assert_eq!(membership(&answers, "s3"), Membership::Member);
        let electorate = electorate(&answers);
        assert!(["s1-g2", "s2", "s3"].iter().all(|name| electorate.votes(name)) && !electorate.votes("s1"));
        assert_eq!(electorate.present, [peer("s1-g2"), peer("s2")]);
        assert!(quorum.others.is_empty());
    }

    #[test]
    fn who_votes_on_a_host_that_is_not_known_is_told_by_name() {
        let replicas =
            r#"[{"name":"s1","current":true,"peer":"k2My6qdB"},{"name":"s3","current":true,"peer":"3ahZoO2Q"}]"#;
        let answers = [answer("s2", "s2", replicas)];
        let others = |hosts: &[NatsHost]| quorum(&answers, hosts).others;
        assert_eq!(others(&hosts()[..2]), ["s3"]);
        assert_eq!(others(&hosts()[2..]), ["s2", "s1"]);
        assert!(others(&hosts()).is_empty());
    }

    #[test]
    fn one_server_is_a_cluster_once_it_leads_and_no_other_vote_counts() {
        let replica = |name: &str| format!(r#"[{{"name":"{name}","current":true,"peer":"-"}}]"#);
        let unknown = r#"[{"name":"Server name unknown at this time (peerID: 3ahZoO2Q)","peer":"3ahZoO2Q"}]"#;
        let next = |answer: Answer| founding(&[answer], "s1", "s3");
        assert_eq!(next(answer("s1", "", "[]")), Founding::Waits);
        assert_eq!(next(answer("s3", "s3", &replica("s1"))), Founding::Leads);
        assert_eq!(next(answer("s1", "s1", &replica("s3"))), Founding::Removes);
        assert_eq!(next(answer("s1", "s1", unknown)), Founding::Removes);
        assert_eq!(next(answer("s1", "s1", &replica("s2"))), Founding::Waits, "somebody who is to stay");
        // Two votes are needed still, though the second server is not known.
        assert_eq!(next(answer("s1", "s1", "[]")), Founding::Waits);
        let alone = r#"{"server":{"name":"s1"},"data":{"meta_cluster":{"name":"t","leader":"s1","quorum_needed":1}}}"#;
        assert_eq!(next(serde_json::from_str(alone).unwrap()), Founding::Done);
        let of = |name: &str| membership(&[serde_json::from_str(alone).unwrap()], name);
        assert_eq!((of("s1"), of("s2")), (Membership::Only, Membership::Stranger));
        assert_eq!(membership(&[answer("s1", "s1", "[]")], "s1"), Membership::Member, "two votes are needed");
    }

    #[test]
    fn of_two_the_one_that_is_left_is_made_a_majority_and_of_three_it_is_not() {
        let says = |leader: &str, needed: u32, replicas: &str| -> Answer {
            let text = format!(
                r#"{{"server":{{"name":"s1"}},"data":{{"meta_cluster":{{"leader":"{leader}","quorum_needed":{needed},"replicas":[{replicas}]}}}}}}"#
            );
            serde_json::from_str(&text).unwrap()
        };
        // As nats-server 2.15.1 says it.
        let own = r#"{"name":"s1","current":true,"peer":"k2My6qdB"}"#;
        let lost = r#"{"name":"Server name unknown at this time (peerID: noC8kOtg)","offline":true,"peer":"noC8kOtg"}"#;
        let third = r#"{"name":"s3","peer":"3ahZoO2Q"}"#;
        let next = |answer: Answer| recovery(&[answer], "s1", "s2");
        let all = |replicas: &[&str]| replicas.join(",");
        assert_eq!(next(says("", 2, &all(&[lost, own]))), Ok(Recovery::Lowers));
        assert_eq!(next(says("", 1, &all(&[lost, own]))), Ok(Recovery::Waits));
        assert_eq!(next(says("s1", 1, lost)), Ok(Recovery::Removes("noC8kOtg".to_owned())));
        assert_eq!(next(says("s1", 1, "")), Ok(Recovery::Done));
        assert_eq!(next(says("s1", 2, lost)), Err(Unfit::Led("s1".to_owned())), "it is a majority with somebody");
        assert_eq!(next(says("s3", 2, &all(&[lost, own]))), Err(Unfit::Led("s3".to_owned())));
        assert_eq!(next(says("", 2, lost)), Err(Unfit::Voteless));
        assert!(
            matches!(next(says("", 2, &all(&[lost, own, third]))), Err(Unfit::Others(names)) if names.ends_with(", s3"))
        );
        assert_eq!(next(says("", 2, &all(&[own, third]))), Err(Unfit::Others("s3".to_owned())));
        let there = serde_json::from_str(r#"{"server":{"name":"s2"},"data":{}}"#).unwrap();
        let both = [says("", 2, &all(&[lost, own])), there];
        assert_eq!(recovery(&both, "s1", "s2"), Err(Unfit::Answers("s2".to_owned())));
        assert_eq!(recovery(&[], "s1", "s2"), Ok(Recovery::Waits), "it has not started yet");
    }

    #[test]
    fn without_a_leader_nothing_is_known() {
        let answers = [answer("s1", "", "[]"), answer("s3", "s2", "[]")];
        assert_eq!(membership(&answers, "s1"), Membership::Unknown);
        assert!(electorate(&answers).voters.is_empty());
        let quorum = quorum(&answers, &hosts());
        assert!(quorum.leader.is_none() && quorum.servers.iter().all(|v| !v.votes));
        assert_eq!(quorum.servers.iter().filter(|v| v.online).count(), 2);
    }
}
