//! The metadata address on this node's bridges: what leads to it, and who listens.
//!
//! The rules come before the listener, and where they do not stand, or guests are not held to their own
//! addresses, nobody listens: who asks would not be known.

mod listener;
mod questions;
mod rules;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::IpAddr,
    path::Path,
    sync::Arc,
};

use serde_json::{Value, json};
use tokio::sync::Mutex;
use watari_contracts::{agent::Server, plan::NetworkPlan};

use super::{guard::Card, nft, segment};
use crate::{
    metadata::{Port, Residents},
    resolver::Names,
    settings,
};
use listener::Listener;
use questions::{Clerk, Questions};

/// A bridge as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bridge {
    index: u32,
    mac: String,
}

impl Bridge {
    /// What the kernel shows of it; none if it is not there.
    fn look(name: &str) -> Option<Self> {
        let folder = Path::new(segment::CLASS).join(name);
        let read = |file: &str| fs::read_to_string(folder.join(file)).ok().map(|text| text.trim().to_owned());
        Some(Self { index: read("ifindex")?.parse().ok()?, mac: read("address")? })
    }
}

#[derive(Default)]
struct State {
    /// The cards of each server, by UUID.
    cards: BTreeMap<String, Vec<Card>>,
    /// What the kernel took last.
    laid: Option<Vec<Value>>,
    listeners: BTreeMap<String, Listener>,
    questions: BTreeMap<String, Questions>,
    /// What was told last of what fails, so that it is told once.
    told: Option<String>,
}

/// The metadata address.
pub(super) struct Metadata {
    /// Off where the guard is: then nothing of the kernel's is touched.
    on: bool,
    port: Option<u16>,
    /// Where names are asked for.
    names_port: Option<u16>,
    residents: Arc<Residents>,
    names: Arc<Names>,
    state: Mutex<State>,
}

impl Metadata {
    /// Touches nothing yet.
    pub(super) fn new(settings: &settings::Networks) -> Self {
        let (on, port, names_port) = (settings.guard, settings.metadata_port(), settings.names_port());
        let (residents, names, state) = (Arc::default(), Arc::default(), Mutex::default());
        Self { on, port, names_port, residents, names, state }
    }

    /// Answers with the names of this plan from now on.
    pub(super) fn learn(&self, plan: &NetworkPlan) {
        self.names.learn(plan);
    }

    /// Answers a server from the next [`Self::tend`] on, at these cards.
    pub(super) async fn know(&self, server: &Server, cards: Vec<Card>) {
        // The address is one of IPv4, and asked by it.
        let port = |card: &Card, address: &IpAddr| match address {
            IpAddr::V4(address) => Some(Port { bridge: card.bridge.clone(), address: *address }),
            IpAddr::V6(_) => None,
        };
        let ports = cards.iter().flat_map(|card| card.addresses.iter().filter_map(move |address| port(card, address)));
        self.residents.know(server, ports.collect());
        self.state.lock().await.cards.insert(server.uuid.clone(), cards);
    }

    /// Answers a server no more.
    pub(super) async fn forget(&self, uuid: &str) {
        self.residents.forget(uuid);
        self.state.lock().await.cards.remove(uuid);
    }

    /// Makes rules and listeners what they should be. `held` says whether guests are held to their own
    /// addresses now. What fails is told, and tried again: no server fails by it. One that starts or ends waits
    /// for it, as long as `nft` may take at the most.
    pub(super) async fn tend(&self, held: bool) {
        if !self.on {
            return;
        }
        let mut state = self.state.lock().await;
        let failed = self.lay(&mut state, held).await.err().map(|error| error.to_string());
        if failed != state.told {
            if let Some(error) = &failed {
                tracing::warn!(error, "servers are not answered at 169.254.169.254 as they should be");
            }
            state.told = failed;
        }
    }

    async fn lay(&self, state: &mut State, held: bool) -> io::Result<()> {
        let port = self.port.filter(|_| held);
        let asking = if port.is_some() { self.residents.asking() } else { BTreeSet::new() };
        let names_port = self.names_port.filter(|_| !asking.is_empty());
        let bridges = if port.is_some() { state.bridges() } else { BTreeMap::new() };
        state.listeners.retain(|name, listener| bridges.get(name).is_some_and(|bridge| listener.is_at(bridge)));
        state.questions.retain(|name, questions| {
            asking.contains(name) && bridges.get(name).is_some_and(|bridge| questions.is_at(name, bridge))
        });
        let services = rules::services(port.unwrap_or_default(), names_port);
        let rules = rules::compile(state.cards.values().flatten(), &bridges, &services);
        let known = state.laid.as_ref() == Some(&rules);
        let gone = known && !bridges.is_empty() && !rules::stand().await?;
        if gone {
            // Somebody took them away: until they stand again anybody on the segment could ask.
            state.hear_nobody();
        }
        if !known || gone {
            state.laid = None;
            if let Err(error) = nft::apply(&json!({"nftables": rules})).await {
                state.hear_nobody();
                return Err(error);
            }
            state.laid = Some(rules);
        }
        let Some(port) = port else { return Ok(()) };
        let listening = self.listen(state, &bridges, port);
        let asked = names_port.map_or(Ok(()), |port| {
            let asked = bridges.iter().filter(|(name, _)| asking.contains(*name));
            self.be_asked(state, asked, port)
        });
        listening.and(asked)
    }

    /// Listens at these bridges. All are tried; the first failure is told.
    fn listen(&self, state: &mut State, bridges: &BTreeMap<String, Bridge>, port: u16) -> io::Result<()> {
        let mut outcome = Ok(());
        for (name, bridge) in bridges {
            if state.listeners.contains_key(name) {
                continue;
            }
            match Listener::open(name, bridge, port, &self.residents) {
                Ok(listener) => drop(state.listeners.insert(name.clone(), listener)),
                Err(error) => outcome = outcome.and(Err(told(&error, "TCP", port, name))),
            }
        }
        outcome
    }

    /// Likewise is asked for names at these.
    fn be_asked<'a>(
        &self,
        state: &mut State,
        bridges: impl Iterator<Item = (&'a String, &'a Bridge)>,
        port: u16,
    ) -> io::Result<()> {
        let mut outcome = Ok(());
        for (name, bridge) in bridges {
            if state.questions.contains_key(name) {
                continue;
            }
            let clerk = Clerk::new(name, &self.residents, &self.names);
            match Questions::open(name, bridge, port, clerk) {
                Ok(questions) => drop(state.questions.insert(name.clone(), questions)),
                Err(error) => outcome = outcome.and(Err(told(&error, "UDP and TCP", port, name))),
            }
        }
        outcome
    }
}

/// A port of a bridge that cannot be had.
fn told(error: &io::Error, protocols: &str, port: u16, bridge: &str) -> io::Error {
    io::Error::new(error.kind(), format!("{protocols} port {port} at {bridge}: {error}"))
}

impl State {
    fn hear_nobody(&mut self) {
        self.listeners.clear();
        self.questions.clear();
    }

    /// The bridges that servers are plugged into and that are there.
    fn bridges(&self) -> BTreeMap<String, Bridge> {
        let names: BTreeSet<&str> = self.cards.values().flatten().map(|card| card.bridge.as_str()).collect();
        names.into_iter().filter_map(|name| Some((name.to_owned(), Bridge::look(name)?))).collect()
    }
}
