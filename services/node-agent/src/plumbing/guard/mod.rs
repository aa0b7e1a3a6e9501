//! What guests may send and receive: rules on our own taps, in tables of our own, each replaced
//! whole in one transaction.
//!
//! The rules outlive the agent. They are laid before a tap passes its first packet: taps have names
//! that are known beforehand, and a tap of ours that no rule knows is shut. Likewise a server whose
//! groups' rules are not here yet is shut but for what it has open.

mod bridge;
mod dhcp;
mod family;
mod identity;
mod inherited;
mod ipv6;
mod policy;
mod stateful;
pub(super) mod tracking;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Mutex as Quick, PoisonError},
    time::Duration,
};

use serde_json::json;
use tokio::sync::{Mutex, watch};
use watari_chassis::clock;
use watari_contracts::plan::NetworkPlan;
use watari_model::{
    FirewallName,
    node::{Enforcement, Protection},
};

use super::nft;
use family::Family;
pub use policy::Policy;
use tracking::Sake;

/// What guards a server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Guarded {
    /// Nothing: it named no group.
    Open,
    /// These groups.
    By(BTreeSet<FirewallName>),
    /// Groups that a lost journal took along: it is shut but for what it has open.
    Unknown,
}

/// One card of a server: what its guest may be on the wire, and which groups guard it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Card {
    /// The tap's name.
    pub(super) tap: String,
    /// The bridge that it is plugged into.
    pub(super) bridge: String,
    /// Its MAC, lower case.
    pub(super) mac: String,
    /// Its addresses, IPv4 and IPv6.
    pub(super) addresses: Vec<IpAddr>,
    /// What guards it.
    pub(super) guarded: Guarded,
    /// Until when the middle of a connection is taken for one that it brought along, on the boot
    /// clock in milliseconds.
    pub(super) arrived_until: Option<u64>,
}

impl Card {
    /// Its addresses of one family.
    fn of(&self, family: Family) -> impl Iterator<Item = &IpAddr> {
        self.addresses.iter().filter(move |address| Family::of(address) == family)
    }

    fn has(&self, family: Family) -> bool {
        self.of(family).next().is_some()
    }

    fn is_guarded(&self) -> bool {
        self.guarded != Guarded::Open
    }

    fn groups(&self) -> impl Iterator<Item = &FirewallName> {
        let groups = match &self.guarded {
            Guarded::By(groups) => Some(groups),
            Guarded::Open | Guarded::Unknown => None,
        };
        groups.into_iter().flatten()
    }
}

/// What should be, and how much of it the kernel may not have yet. What is due stays due until it
/// is laid, whether laying failed or was broken off.
#[derive(Default)]
struct State {
    cards: BTreeMap<String, Card>,
    policy: Policy,
    /// Whether the table of groups was laid since the agent's start.
    stateful: bool,
    identity_due: bool,
    groups_due: bool,
}

impl State {
    fn needs_groups(&self) -> bool {
        self.cards.values().any(Card::is_guarded)
    }

    /// The bridges that carry guarded servers with addresses of this family.
    fn bridges(&self, family: Family) -> BTreeSet<&str> {
        let guarded = self.cards.values().filter(|card| card.is_guarded() && card.has(family));
        guarded.map(|card| card.bridge.as_str()).collect()
    }

    /// Whether a bridge is known that carries servers.
    fn has_bridges(&self) -> bool {
        self.cards.values().any(|card| !card.bridge.is_empty())
    }

    /// Whether a bridge of guarded servers is not filtered.
    fn is_unfiltered(&self) -> bool {
        Family::BOTH.into_iter().any(|family| self.bridges(family).into_iter().any(|name| bridge::is_off(name, family)))
    }

    /// The cards are others than those that the kernel knows.
    fn cards_changed(&mut self) {
        self.identity_due = true;
        self.groups_due = self.stateful || self.needs_groups();
    }

    fn is_due(&self) -> bool {
        self.identity_due || self.groups_due
    }
}

/// The guard of this node's taps.
pub(super) struct Guard {
    /// Off only where there is nothing of ours to guard, as in tests beside other agents.
    on: bool,
    /// Where it is written down which switches of the kernel we turned.
    marks: Marks,
    state: Mutex<State>,
    /// Apart from the state, so that telling it waits for no transaction.
    protection: Quick<Protection>,
    /// The groups whose rules are here.
    known: watch::Sender<BTreeSet<FirewallName>>,
}

/// Files that say which switches of the kernel were turned by us. They lie where a reboot, which
/// turns the switches back, takes them along.
struct Marks {
    /// For each family a folder with a file for each bridge.
    bridges: [PathBuf; 2],
    /// Where that one is of connection tracking.
    run: PathBuf,
}

impl Guard {
    /// Touches nothing yet. `run` is the agent's run folder.
    pub(super) fn new(on: bool, run: &Path) -> Self {
        let bridges = Family::BOTH.map(|family| run.join(family.named("bridge-netfilter")));
        let marks = Marks { bridges, run: run.to_owned() };
        let reason = if on { "no rule has been laid yet" } else { "networks.guard is false in node-agent.toml" };
        let missing = || Enforcement::Missing { reason: reason.to_owned() };
        let protection = Quick::new(Protection { identity: missing(), firewall: missing(), wanted: on });
        Self { on, marks, state: Mutex::default(), protection, known: watch::Sender::default() }
    }

    /// Which protection this node can give.
    pub(super) fn protection(&self) -> Protection {
        self.protection.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether guests are held to their own MAC and addresses now.
    pub(super) fn is_identity_held(&self) -> bool {
        self.protection().identity == Enforcement::Enforced
    }

    fn set(&self, change: impl FnOnce(&mut Protection)) {
        change(&mut self.protection.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// After the agent's start: exactly these cards, and those of taps that live and that an
    /// earlier agent knew and this one does not, since a lost journal is no reason to cut a guest off.
    pub(super) async fn restore(&self, known: Vec<Card>) {
        if !self.on {
            tracing::warn!(
                "networks.guard is false: guests may send from any address, and firewall groups are not enforced"
            );
            return;
        }
        self.look_at_kernel().await;
        let now = clock::boot_millis();
        let earlier = inherited::read(now).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "no earlier rules can be read");
            inherited::Earlier::default()
        });
        let mut state = self.state.lock().await;
        state.cards = earlier.cards;
        for mut card in known {
            let until = card.addresses.iter().filter_map(|a| earlier.arrived.get(&(card.bridge.clone(), *a))).max();
            card.arrived_until = card.arrived_until.or(until.copied());
            state.cards.insert(card.tap.clone(), card);
        }
        state.cards_changed();
        if let Err(error) = self.lay(&mut state).await {
            tracing::error!(%error, "guests are NOT guarded as they should be");
        }
    }

    /// Finds out whether firewall groups can be enforced.
    async fn look_at_kernel(&self) {
        let now = match able().await {
            Ok(()) => Enforcement::Enforced,
            Err(error) => Enforcement::Missing { reason: error.to_string() },
        };
        if let Enforcement::Missing { reason } = &now
            && self.protection().firewall != now
        {
            tracing::error!(reason, "firewall groups can NOT be enforced; servers that name one are refused");
        }
        self.set(|protection| protection.firewall = now);
    }

    /// Lets these cards pass, as what they are and as their groups allow.
    ///
    /// # Errors
    /// The kernel took such rules before and does not take these, so that the card's tap is shut; or
    /// it cannot enforce the groups that the card names.
    pub(super) async fn admit(&self, new: Vec<Card>) -> io::Result<()> {
        if let (Enforcement::Missing { reason }, true) = (self.protection().firewall, new.iter().any(Card::is_guarded))
        {
            return Err(io::Error::other(format!("firewall groups cannot be enforced here: {reason}")));
        }
        if !self.on {
            return Ok(());
        }
        let mut state = self.state.lock().await;
        for mut card in new {
            let before = state.cards.get(&card.tap);
            card.arrived_until = card.arrived_until.or(before.and_then(|card| card.arrived_until));
            if before != Some(&card) {
                state.cards.insert(card.tap.clone(), card);
                state.cards_changed();
            }
        }
        let held = self.is_identity_held();
        match self.lay(&mut state).await {
            // Where nothing could ever be laid, nothing is shut either; that was said at the start, and the
            // scheduler chooses such a node for nobody.
            Err(_) if !held && !state.needs_groups() => Ok(()),
            outcome => outcome,
        }
    }

    /// Shuts these taps.
    ///
    /// # Errors
    /// The rules could not be replaced: what they let pass then comes from a tap that is gone.
    pub(super) async fn dismiss(&self, taps: &[String]) -> io::Result<()> {
        if !self.on {
            return Ok(());
        }
        let mut state = self.state.lock().await;
        let before = state.cards.len();
        state.cards.retain(|tap, _| !taps.contains(tap));
        if before == state.cards.len() {
            return Ok(());
        }
        state.cards_changed();
        let held = self.is_identity_held();
        self.lay(&mut state).await.or_else(|error| if held { Err(error) } else { Ok(()) })
    }

    /// Enforces what the groups say from now on, and what they said last if they say nothing more of
    /// a server that is here. What is open stays open.
    ///
    /// # Errors
    /// The kernel does not take the rules; those before stand.
    pub(super) async fn follow(&self, mut policy: Policy) -> io::Result<()> {
        let mut state = self.state.lock().await;
        policy.keep_known(&state.policy, state.cards.values().flat_map(Card::groups));
        if state.policy != policy {
            state.policy = policy;
            state.groups_due |= state.needs_groups();
        }
        // Whoever waits for them learns from laying them whether the kernel takes them.
        self.known.send_replace(state.policy.groups.keys().cloned().collect());
        if self.on { self.lay(&mut state).await } else { Ok(()) }
    }

    /// A plan with the rules that [`Self::follow`] keeps, as it is to be kept on the disk.
    pub(super) async fn with_known(&self, mut plan: NetworkPlan) -> NetworkPlan {
        let state = self.state.lock().await;
        let mut policy = Policy::from(&plan);
        policy.keep_known(&state.policy, state.cards.values().flat_map(Card::groups));
        policy.write_into(&mut plan);
        plan
    }

    /// Waits until the rules of these groups are here.
    ///
    /// # Errors
    /// Those that are not here in time.
    pub(super) async fn knows(&self, groups: &BTreeSet<FirewallName>, bound: Duration) -> Result<(), String> {
        let mut known = self.known.subscribe();
        let all = known.wait_for(|known| groups.is_subset(known));
        if matches!(tokio::time::timeout(bound, all).await, Ok(Ok(_))) {
            return Ok(());
        }
        let known = self.known.borrow();
        Err(groups.difference(&known).map(FirewallName::as_str).collect::<Vec<_>>().join(", "))
    }

    /// Lays again what somebody took away, as `nft flush ruleset` does, and what could not be laid.
    pub(super) async fn tend(&self) {
        if !self.on {
            return;
        }
        if self.protection().firewall != Enforcement::Enforced {
            self.look_at_kernel().await;
        }
        let mut state = self.state.lock().await;
        let held = self.is_identity_held();
        let lost_identity = !stands(identity::PLACE).await || (state.has_bridges() && !stands(dhcp::PLACE).await);
        let lost_groups = state.stateful && state.needs_groups() && !stands(stateful::PLACE).await;
        if (held && lost_identity) || lost_groups {
            tracing::error!("somebody took away the rules that guard our guests; they are laid again");
        }
        state.identity_due |= lost_identity;
        // A bridge that was made anew is not filtered, whatever the one before was.
        state.groups_due |= lost_groups || (state.stateful && state.is_unfiltered());
        match self.lay(&mut state).await {
            Err(error) if held => tracing::error!(%error, "guests are NOT guarded as they should be"),
            _ => {}
        }
    }

    /// Lays what is due. The groups come first: who is known by its identity is open to everything
    /// that they do not shut.
    async fn lay(&self, state: &mut State) -> io::Result<()> {
        if !state.is_due() {
            return Ok(());
        }
        let groups = if state.groups_due { self.lay_groups(state).await } else { Ok(()) };
        let identity = if state.identity_due { self.lay_identity(state).await } else { Ok(()) };
        groups.and(identity)
    }

    async fn lay_identity(&self, state: &mut State) -> io::Result<()> {
        let outcome = nft::apply(&json!({"nftables": identity::compile(state.cards.values())})).await;
        let now = match &outcome {
            Ok(()) => Enforcement::Enforced,
            // The rules before stand on, and shut what they do not know.
            Err(_) if stands(identity::PLACE).await => Enforcement::Enforced,
            Err(error) => Enforcement::Missing { reason: format!("nft: {error}") },
        };
        self.set(|protection| protection.identity = now);
        state.identity_due = outcome.is_err();
        outcome
    }

    async fn lay_groups(&self, state: &mut State) -> io::Result<()> {
        let rules = stateful::compile(state.cards.values(), &state.policy, clock::boot_millis());
        nft::apply(&json!({"nftables": rules})).await?;
        for (family, marks) in Family::BOTH.into_iter().zip(&self.marks.bridges) {
            let bridges = state.bridges(family);
            bridges.iter().try_for_each(|bridge| bridge::switch_on(bridge, family, marks))?;
            bridge::switch_off_but(&bridges, family, marks)?;
        }
        if !state.needs_groups() {
            tracking::insist(&self.marks.run, Sake::Groups)?;
        } else {
            tracking::relax(&self.marks.run, Sake::Groups)?;
        }
        state.stateful = true;
        state.groups_due = false;
        Ok(())
    }
}

/// Whether this node can enforce firewall groups.
async fn able() -> io::Result<()> {
    bridge::available().await?;
    let tracking = "connection tracking cannot be used in rules of family inet";
    nft::apply(&json!({"nftables": stateful::probe()}))
        .await
        .map_err(|error| io::Error::other(format!("{tracking}: {error}")))
}

async fn stands((family, table, chain): (&str, &str, &str)) -> bool {
    nft::stands(family, table, chain).await.unwrap_or(false)
}
