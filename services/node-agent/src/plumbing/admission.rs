//! Which servers the guard knows, and what it is told of their firewall groups.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use watari_chassis::clock;
use watari_contracts::{
    agent::{Server, Wire},
    plan::NetworkPlan,
};
use watari_model::{FirewallName, Refusal, Said, node::Protection};

use super::{
    Plumbing, Policy,
    guard::{Card, Guarded},
    neighbour, overlay, vlan,
};
use crate::{blueprint, hypervisor::Nic};

impl Plumbing {
    /// Which protection of guests from one another this node can give.
    #[must_use]
    pub fn protection(&self) -> Protection {
        self.guard.protection()
    }

    pub(super) async fn admit(&self, server: &Server, arrived_until: Option<u64>) -> Result<(), Refusal> {
        self.guard.admit(self.cards(server, arrived_until)).await.map_err(|error| {
            let vm = &server.name;
            let detail = Said::new(
                format!("the rules for the taps of server {vm} cannot be set: {error}"),
                format!("サーバ {vm} の tap の規則を設定できません: {error}"),
            );
            Refusal::NodeUnfit { node: self.node.to_string(), detail }
        })
    }

    pub(super) async fn dismiss(&self, server: &Server) {
        let taps: Vec<String> = self.cards(server, None).into_iter().map(|card| card.tap).collect();
        if let Err(error) = self.guard.dismiss(&taps).await {
            tracing::warn!(vm = %server.name, %error, "rules of taps that are gone stay for now");
        }
    }

    /// Makes what a server's taps are to be plugged into, and says what its cards are, before [`Self::plug`] lays what they
    /// may do: its domain can be defined beside that.
    ///
    /// # Errors
    /// [`Refusal::SegmentUnbound`], [`Refusal::NodeUnfit`].
    pub async fn link_up(&self, server: &Server) -> Result<Vec<Nic>, Refusal> {
        let _networks = self.networks.lock().await;
        for wire in &server.wires {
            self.check_mtu(wire)?;
            self.link(wire).await?;
        }
        self.nics(server)
    }

    /// Lays what guards a server that is about to arrive, once its groups' rules are here, and takes
    /// the connections that it brings along for what they are.
    ///
    /// # Errors
    /// [`Refusal::FirewallRulesMissing`]: nothing arrives whose rules are not here.
    /// [`Refusal::NodeUnfit`]: they cannot be laid.
    pub async fn expect(&self, server: &Server) -> Result<(), Refusal> {
        let groups: BTreeSet<FirewallName> = server.firewalls.iter().cloned().collect();
        let bound = Duration::from_millis(self.settings.rules_wait_ms);
        self.guard.knows(&groups, bound).await.map_err(|firewalls| Refusal::FirewallRulesMissing {
            vm: server.name.to_string(),
            node: self.node.to_string(),
            firewalls,
        })?;
        // Nobody comes between, since the lock is held.
        let _networks = self.networks.lock().await;
        for wire in &server.wires {
            self.link(wire).await?;
        }
        let minutes = u64::from(self.settings.arrival_minutes);
        self.admit(server, Some(clock::boot_millis() + minutes * 60_000)).await
    }

    /// Enforces from now on what firewall groups say. What is open stays open.
    ///
    /// # Errors
    /// [`Refusal::NodeUnfit`]: the kernel does not take the rules; those before stand.
    pub async fn follow(&self, policy: Policy) -> Result<(), Refusal> {
        self.guard.follow(policy).await.map_err(|error| {
            let detail = Said::new(
                format!("the rules of firewall groups cannot be set: {error}"),
                format!("ファイアウォールグループの規則を設定できません: {error}"),
            );
            Refusal::NodeUnfit { node: self.node.to_string(), detail }
        })
    }

    /// A plan as it is to be kept: with the last known rules of groups that it does not have and
    /// that guard servers here. [`Self::lay`] goes by the same.
    pub async fn with_known_rules(&self, plan: NetworkPlan) -> NetworkPlan {
        self.guard.with_known(plan).await
    }

    /// What the guest of each of a server's cards may be, and what guards it.
    pub(super) fn cards(&self, server: &Server, arrived_until: Option<u64>) -> Vec<Card> {
        let groups: BTreeSet<_> = server.firewalls.iter().cloned().collect();
        let guarded = if groups.is_empty() { Guarded::Open } else { Guarded::By(groups) };
        let cards = server.wires.iter().enumerate().map(|(index, wire)| Card {
            tap: blueprint::tap(&server.uuid, index),
            bridge: match (Self::overlay(wire), wire.vlan) {
                (Ok(Some(spec)), _) => spec.bridge(),
                (_, Some(vlan)) => vlan::bridge(&wire.segment, vlan),
                _ => self.settings.segments.get(&wire.segment).cloned().unwrap_or_default(),
            },
            mac: wire.mac.clone(),
            addresses: addresses(wire),
            guarded: guarded.clone(),
            arrived_until,
        });
        cards.collect()
    }
}

/// What a card's guest may call itself: on a network with IPv6 that and the link-local address of its MAC, without which
/// no neighbour is found.
fn addresses(wire: &Wire) -> Vec<IpAddr> {
    let mut addresses = vec![IpAddr::V4(wire.address)];
    if let Some(ipv6) = &wire.ipv6 {
        addresses.push(IpAddr::V6(ipv6.address));
        addresses.extend(overlay::mac(&wire.mac).map(|mac| IpAddr::V6(neighbour::link_local(mac))));
    }
    addresses
}
