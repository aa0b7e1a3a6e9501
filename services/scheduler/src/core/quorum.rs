//! What is done about NATS itself: who leads its streams, how many copies there are, and who votes.
//!
//! ```text
//!  leaving a site:  services led from another ─▶ streams led from a server that stays ─▶ (no majority stays: votes
//!                   of the silent taken away, and one copy of each stream) ─▶ servers led from there ─▶ (no
//!                   majority stays: votes taken away one by one) ─▶ the site's servers stop
//!  coming home:     servers start, those without a vote anew ─▶ all copies again
//! ```
//!
//! A vote is taken away only while a majority of the rest is there.
//!
//! A majority that stays needs nothing removed: with the witness elsewhere a dark front end is one
//! server of three that is away, and comes back to its vote and its copies. Where none stays, such as
//! with the witness in the dark campus, whoever stays must become a majority by itself *before*: once
//! the others are gone nobody could take their votes away. Of those others, whoever is silent already goes first: NATS does
//! not give up a stream's copies while a consumer stands on one of them that does not answer (each watch of a bucket is one;
//! 2.15.1 says "waiting for consumer … to migrate", for ever), and forgets the consumers of a server without a vote.
//!
//! Each turn looks afresh and does at most one step that changes votes. What is done twice is harmless. Who has a vote is
//! NATS' own word; where that names somebody of whom nothing is known here, as when a host has just joined, no majority can
//! be counted, and nothing is done about votes, copies and leaders.

use std::collections::BTreeSet;

use watari_contracts::frontend::{Duty, Quorum, StreamView, Voter};
use watari_model::SiteName;

/// What is decided upon.
pub(crate) struct Scene<'a> {
    /// The servers.
    pub(crate) quorum: &'a Quorum,
    /// The streams that have a leader.
    pub(crate) streams: &'a [StreamView],
    /// How many streams there should be: about one that does not answer nothing is known.
    pub(crate) expected: usize,
    /// From where the services are to lead.
    pub(crate) lead_from: Option<&'a SiteName>,
    /// Sites whose servers have moved and that are about to go dark.
    pub(crate) leaving: BTreeSet<SiteName>,
    /// Sites that are dark or may be so any moment.
    pub(crate) dark: BTreeSet<SiteName>,
    /// How many copies there are to be when nothing is the matter.
    pub(crate) copies: usize,
    /// Whether services are just being handed over: what they write meanwhile would wait for a stream's next leader.
    pub(crate) handing_over: bool,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Have a server lead a stream.
    LeadStream {
        /// Its bucket.
        bucket: String,
        /// The server.
        server: String,
    },
    /// Have a server lead the servers.
    LeadServers(String),
    /// Keep so many copies.
    Scale {
        /// Of which bucket.
        bucket: String,
        /// How many.
        copies: usize,
    },
    /// Take away a vote.
    Remove(String),
    /// Tell a host what its server is to do.
    Tell(String, Duty),
}

impl Scene<'_> {
    /// What is to be done now.
    pub(crate) fn decide(&self) -> Vec<Act> {
        let Some(leader) = &self.quorum.leader else { return self.served() };
        if !self.quorum.others.is_empty() {
            return self.served();
        }
        let mut acts = if self.handing_over { Vec::new() } else { self.led(leader) };
        if self.leaving.is_empty() {
            acts.extend(self.served());
            acts.extend(self.forgotten());
            acts.extend(self.raised());
        } else if acts.is_empty() && !self.handing_over {
            acts.extend(self.left(leader));
        }
        acts
    }

    fn votes(&self) -> impl Iterator<Item = &Voter> {
        self.quorum.servers.iter().filter(|server| server.votes)
    }

    fn leaves(&self, server: &Voter) -> bool {
        server.site.as_ref().is_some_and(|site| self.leaving.contains(site))
    }

    fn stays(&self) -> impl Iterator<Item = &Voter> {
        self.votes().filter(|server| server.online && server.current && !self.leaves(server))
    }

    fn majority_stays(&self) -> bool {
        self.stays().count() > self.votes().count() / 2
    }

    /// The server that is to lead: one at the site from which the services lead.
    fn target(&self) -> Option<&str> {
        let wished = self.lead_from?;
        self.stays().find(|server| server.site.as_ref() == Some(wished)).and_then(|server| server.name.as_deref())
    }

    fn site_of(&self, name: &str) -> Option<&SiteName> {
        self.quorum.servers.iter().find(|server| server.name.as_deref() == Some(name))?.site.as_ref()
    }

    /// Streams, and then the servers, are led from where the services are.
    fn led(&self, leader: &str) -> Vec<Act> {
        let (Some(target), Some(wished)) = (self.target(), self.lead_from) else { return Vec::new() };
        let mut acts = Vec::new();
        for stream in self.streams {
            let elsewhere = stream.leader.as_deref().is_some_and(|leader| self.site_of(leader) != Some(wished));
            let able = stream.followers.iter().any(|f| f.name == target && f.current && !f.offline);
            if elsewhere && able {
                acts.push(Act::LeadStream { bucket: stream.bucket.clone(), server: target.to_owned() });
            }
        }
        if acts.is_empty() && self.site_of(leader) != Some(wished) {
            acts.push(Act::LeadServers(target.to_owned()));
        }
        acts
    }

    /// Getting along without the servers that leave.
    fn left(&self, leader: &str) -> Vec<Act> {
        let retire = || {
            let leaving = self.quorum.servers.iter().filter(|server| server.online && self.leaves(server));
            leaving.map(|server| Act::Tell(server.host.clone(), Duty::Retire)).collect()
        };
        let Some(target) = self.target() else { return Vec::new() };
        let alone = |stream: &StreamView| stream.replicas == 1 && stream.followers.is_empty();
        let led = |stream: &StreamView| stream.leader.as_deref() == Some(target);
        if self.streams.len() < self.expected {
            return Vec::new();
        }
        if self.majority_stays() {
            // After votes were taken away the copies are few by intention.
            return retire();
        }
        if let Some(silent) = self.votes().find(|server| Self::is_silent(server)) {
            return self.removed(silent).into_iter().collect();
        }
        let many: Vec<&StreamView> = self.streams.iter().filter(|stream| !alone(stream)).collect();
        if !many.is_empty() {
            // One that lacks copies which it should have gets them first: 2.15.1 leaves it without a leader otherwise.
            let fit = many.into_iter().filter(|s| s.replicas > 1 && !s.followers.is_empty() && led(s));
            return fit.map(|stream| Act::Scale { bucket: stream.bucket.clone(), copies: 1 }).collect();
        }
        if leader != target || !self.streams.iter().all(led) {
            return Vec::new();
        }
        // Who has just fallen silent goes before those that are there.
        let leaving = self.votes().filter(|server| self.leaves(server));
        leaving.min_by_key(|server| server.online).and_then(|server| self.removed(server)).into_iter().collect()
    }

    /// Whether neither the server nor the one that leads says that it is there.
    const fn is_silent(server: &Voter) -> bool {
        !server.online && !server.current
    }

    /// Takes away this server's vote, if a majority of the rest is there.
    fn removed(&self, server: &Voter) -> Option<Act> {
        let there = self.votes().filter(|other| other.online && other.current && other.name != server.name).count();
        let rest = self.votes().count() - 1;
        server.name.clone().filter(|_| there > rest / 2).map(Act::Remove)
    }

    /// Hosts whose servers should be there and have a vote are told to serve. Where a plan has left one server a majority by
    /// itself, nobody is given a vote before the dark is over: that one would need the other from then on.
    fn served(&self) -> Vec<Act> {
        let alone = !self.dark.is_empty() && self.votes().count() == 1;
        let due = |server: &&Voter| {
            let dark = server.site.as_ref().is_some_and(|site| self.dark.contains(site) || self.leaving.contains(site));
            let sound = |other: &Voter| other.host == server.host && other.online && other.votes;
            !dark && (server.votes || !alone) && !self.quorum.servers.iter().any(sound)
        };
        let hosts: BTreeSet<&String> = self.quorum.servers.iter().filter(due).map(|server| &server.host).collect();
        hosts.into_iter().map(|host| Act::Tell(host.clone(), Duty::Serve)).collect()
    }

    /// A former life of a server that has begun anew has no need of a vote.
    fn forgotten(&self) -> Option<Act> {
        let reborn = |old: &Voter| self.votes().any(|new| new.host == old.host && new.name != old.name && new.online);
        let old = self.votes().find(|server| !server.online && reborn(server))?;
        self.removed(old)
    }

    /// As many copies as there should be, or as there are servers that can hold them while others stay away.
    fn raised(&self) -> Vec<Act> {
        let dark = |server: &&Voter| server.site.as_ref().is_some_and(|site| self.dark.contains(site));
        let copies = self.stays().filter(|server| !dark(server)).count().min(self.copies);
        let thin = self.streams.iter().filter(|stream| stream.replicas < copies);
        thin.map(|stream| Act::Scale { bucket: stream.bucket.clone(), copies }).collect()
    }
}

#[cfg(test)]
mod tests;
