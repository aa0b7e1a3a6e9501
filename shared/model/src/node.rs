//! A node: a machine that runs servers, as its beats show it.
//!
//! ```text
//!          beats stop (suspect_after)        (lost_after)
//!  Ready ────────────────────────▶ Suspect ───────────────▶ Lost
//!    ▲                                │                       │
//!    └────────────── a beat ──────────┴───────────────────────┘
//! ```
//!
//! A node whose beats come but whose hypervisor does not answer is suspect too, also after it was
//! lost. Whoever judges may have been away, so that every step may be skipped: each state leads to
//! each other.
//!
//! *Lost* says that nobody hears the node, not that it is off: nothing is started elsewhere on
//! the strength of silence. An operator who has looked may say that it is off, or its power controller, once it
//! has cut the power ([`fencing`]); that word ([`Off`]) stands until anything is heard of the node.

mod carried;
pub mod fencing;
pub mod health;
mod host;
mod processor;
mod strain;
mod weight;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Document, NetworkName, NodeName, SegmentName, SiteName, Timestamp, VmName, disk::KeptDisk};

pub use carried::Carried;
pub use fencing::Fencing;
pub use health::Health;
pub use host::Host;
pub use processor::{Processor, Unlike};
pub use strain::Strain;
pub use weight::Weight;

/// What is heard of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It beats and its hypervisor answers.
    Ready,
    /// Beats are missing, or its hypervisor does not answer.
    Suspect,
    /// Nothing has been heard for long.
    Lost,
}

impl State {
    /// The word shown to people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Suspect => "suspect",
            Self::Lost => "lost",
        }
    }

    /// The state after a silence of `silent_ms`, for a hypervisor that `answers` or does not.
    #[must_use]
    pub const fn after(silent_ms: u64, answers: bool, limits: Limits) -> Self {
        if silent_ms >= limits.lost_after_ms {
            Self::Lost
        } else if silent_ms >= limits.suspect_after_ms || !answers {
            Self::Suspect
        } else {
            Self::Ready
        }
    }
}

/// How long a silence means what, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longer than this is suspect.
    pub suspect_after_ms: u64,
    /// Longer than this is lost.
    pub lost_after_ms: u64,
}

/// How guests are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Virtualisation {
    /// By the processor.
    Kvm,
    /// By QEMU's emulation.
    Qemu,
}

impl Virtualisation {
    /// libvirt's name for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Qemu => "qemu",
        }
    }
}

/// Whether a rule is enforced on a node, or why it is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Enforcement {
    /// It is.
    Enforced,
    /// It is not: the kernel or a program lacks what it takes.
    Missing {
        /// Why, in a sentence for the operator.
        reason: String,
    },
}

impl Default for Enforcement {
    fn default() -> Self {
        Self::Missing { reason: "the node's agent has not said".to_owned() }
    }
}

/// How a node keeps guests from harming one another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Protection {
    /// Each guest is held to its own MAC and addresses, and answers no DHCP.
    pub identity: Enforcement,
    /// The rules of firewall groups.
    pub firewall: Enforcement,
    /// Whether its configuration wants guests to be held to that (`networks.guard`); not from an agent that does not say.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wanted: bool,
}

impl Protection {
    /// Whether guests could take one another's addresses here, and no operator has said that they may.
    #[must_use]
    pub fn lets_guests_lie(&self) -> bool {
        self.wanted && self.identity != Enforcement::Enforced
    }
}

/// What a node is and has. Sent by its agent when it starts and whenever something changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Inventory {
    /// Processors that servers may use, before overcommitment.
    pub vcpus: u32,
    /// Memory that servers may use, in MiB.
    pub memory_mib: u64,
    /// Room for servers' disks, in GiB.
    pub disk_gib: u64,
    /// The processor's model, by libvirt's name.
    pub cpu_model: String,
    /// Its features, sorted.
    pub cpu_features: Vec<String>,
    /// libvirt's version.
    pub libvirt: String,
    /// QEMU's version.
    pub qemu: String,
    /// The agent's version.
    pub agent: String,
    /// How guests are run.
    pub virtualisation: Virtualisation,
    /// Where other nodes' libvirt reaches it for migrations.
    pub migration_address: String,
    /// Which segment is bound to which bridge; only bridges that exist and are up.
    pub segments: BTreeMap<SegmentName, String>,
    /// The largest packet, in bytes, of each of these bridges; none from a node that does not say.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub segment_mtus: BTreeMap<SegmentName, u32>,
    /// The bridges that it has made for VLANs of segments, by the networks that live there; none from a node that can
    /// make none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlans: Option<BTreeMap<NetworkName, String>>,
    /// How guests are kept from harming one another.
    #[serde(default)]
    pub protection: Protection,
    /// Labels from its configuration.
    pub labels: BTreeMap<String, String>,
    /// Where overlay networks' packets reach it; none if it takes part in no overlay network.
    #[serde(default)]
    pub tunnel: Option<Tunnel>,
    /// What the agent finds when it looks at its host; none from one that does not look.
    #[serde(default)]
    pub health: Option<Health>,
    /// The machine itself.
    #[serde(default, skip_serializing_if = "Host::is_unknown")]
    pub host: Host,
    /// SHA-256 of the base images that it keeps, 64 hexadecimal digits each; the most recently used if there are
    /// very many.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub images: BTreeSet<String>,
    /// The disks of deleted servers that it keeps, by the servers' UUIDs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub disks: BTreeMap<String, KeptDisk>,
    /// What would travel of the servers that run on it, as it measures that now and then.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub weights: BTreeMap<VmName, Weight>,
    /// How fast disks went that it sent ahead, by the addresses of the nodes to which they went.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub carried: BTreeMap<String, Carried>,
}

/// A node's end of every overlay network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tunnel {
    /// The address that other nodes send to.
    pub address: Ipv4Addr,
    /// The largest packet, in bytes, of the interface that has this address.
    pub mtu: u32,
}

/// An operator's word, or a power controller's, that a lost node is off. Whoever says so of one that runs lets
/// servers run twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Off {
    /// Who said so, as they call themselves.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Whether it will not come back either: what is on its disks is given up.
    #[serde(default)]
    pub for_good: bool,
}

/// A node's document. It changes when the state, the inventory or an operator's word does, not
/// with every beat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Node {
    /// The document's version.
    pub v: u32,
    /// Its name.
    pub name: NodeName,
    /// Where it stands.
    pub site: SiteName,
    /// What is heard of it.
    pub state: State,
    /// Whether an operator keeps new servers away.
    pub cordoned: bool,
    /// The word that it is off; only of one that is lost.
    #[serde(default)]
    pub off: Option<Off>,
    /// What was done with its power last, if anything ever was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fencing: Option<Fencing>,
    /// Of what it has hardly any left.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub strains: BTreeSet<Strain>,
    /// What it has.
    pub inventory: Inventory,
    /// When it was first heard.
    pub first_seen_at: Timestamp,
    /// When the state last changed.
    pub changed_at: Timestamp,
}

/// What can happen to a node's document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// By its beats it is in this state; see [`State::after`].
    Judged(State),
    /// An operator keeps new servers away, or no longer.
    Cordoned(bool),
    /// An operator says that it is off. Of one that is heard that changes nothing.
    ConfirmedOff(Off),
    /// Something is done with its power, or has come of that.
    Fenced(Box<Fencing>),
    /// Its agent says where it stands and what it has.
    Told(SiteName, Box<Inventory>),
    /// Of this it has hardly any left from now on.
    Strained(BTreeSet<Strain>),
}

impl Node {
    /// A node that nothing has been heard of yet but what its agent says it is: suspect until its
    /// first beat.
    #[must_use]
    pub fn new(name: NodeName, site: SiteName, inventory: Inventory, now: Timestamp) -> Self {
        Self {
            v: 1,
            name,
            site,
            state: State::Suspect,
            cordoned: false,
            off: None,
            fencing: None,
            strains: BTreeSet::new(),
            inventory,
            first_seen_at: now,
            changed_at: now,
        }
    }

    /// The one way in which a node's document changes. Every change is allowed in every state;
    /// one that changes nothing leaves the document as it is.
    pub fn apply(&mut self, change: Change, now: Timestamp) {
        match change {
            Change::Judged(state) if state == self.state => {}
            Change::Judged(state) => {
                (self.state, self.changed_at) = (state, now);
                // Whatever is heard is not off.
                self.off = None;
            }
            Change::Cordoned(cordoned) => self.cordoned = cordoned,
            Change::ConfirmedOff(word) => {
                // The first word stands; that it will not come back may be added to it.
                let known = self.off.as_ref().is_some_and(|off| off.for_good || !word.for_good);
                if self.state == State::Lost && !known {
                    self.off = Some(word);
                }
            }
            Change::Fenced(told) => self.fenced(*told),
            Change::Told(site, inventory) => (self.site, self.inventory, self.off) = (site, *inventory, None),
            Change::Strained(strains) => self.strains = strains,
        }
    }
}

impl Document for Node {
    const BUCKET: &'static str = "nodes";
    fn key(&self) -> String {
        self.name.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::{Duration, OffsetDateTime};

    use super::{
        fencing::{Act, Outcome},
        *,
    };

    pub(super) fn inventory(vcpus: u32) -> Inventory {
        Inventory {
            vcpus,
            memory_mib: 4096,
            disk_gib: 40,
            cpu_model: String::new(),
            cpu_features: Vec::new(),
            libvirt: String::new(),
            qemu: String::new(),
            agent: String::new(),
            virtualisation: Virtualisation::Qemu,
            migration_address: String::new(),
            segments: BTreeMap::new(),
            segment_mtus: BTreeMap::new(),
            vlans: None,
            protection: Protection::default(),
            labels: BTreeMap::new(),
            tunnel: None,
            health: None,
            host: Host::default(),
            images: BTreeSet::new(),
            disks: BTreeMap::new(),
            weights: BTreeMap::new(),
            carried: BTreeMap::new(),
        }
    }

    fn fenced() -> impl Strategy<Value = Change> {
        let at = Timestamp(OffsetDateTime::UNIX_EPOCH);
        (any::<bool>(), 0_u64..30, any::<bool>()).prop_map(move |(off, second, done)| {
            let (act, outcome) =
                (if off { Act::Off } else { Act::On }, if done { Outcome::Done } else { Outcome::Begun });
            let lost_at = Some(at.plus_millis(second * 1_000));
            let fencing = Fencing { act, by: "fencing".to_owned(), at, lost_at, tries: 1, outcome, ended_at: None };
            Change::Fenced(Box::new(fencing))
        })
    }

    fn changes() -> impl Strategy<Value = Change> {
        let at = Timestamp(OffsetDateTime::UNIX_EPOCH);
        prop_oneof![
            prop_oneof![Just(State::Ready), Just(State::Suspect), Just(State::Lost)].prop_map(Change::Judged),
            any::<bool>().prop_map(Change::Cordoned),
            any::<bool>().prop_map(move |for_good| Change::ConfirmedOff(Off { by: "sato".to_owned(), at, for_good })),
            fenced(),
            (1_u32..4).prop_map(|vcpus| Change::Told("yamate".parse().unwrap(), Box::new(inventory(vcpus)))),
            prop::collection::btree_set(prop::sample::select(Strain::ALL.to_vec()), 0..3).prop_map(Change::Strained),
        ]
    }

    proptest! {
        #[test]
        fn no_sequence_of_changes_leaves_the_table(sequence in prop::collection::vec(changes(), 0..30)) {
            let mut now = Timestamp(OffsetDateTime::UNIX_EPOCH);
            let mut node = Node::new("m1".parse().unwrap(), "myodaiji".parse().unwrap(), inventory(1), now);
            for change in sequence {
                now = Timestamp(now.0 + Duration::SECOND);
                let before = node.clone();
                node.apply(change.clone(), now);
                // One part each, the time of the last change of state with the state, and twice is once.
                let state = (node.state != before.state, node.changed_at != before.changed_at);
                prop_assert!(state == (false, false) || (state == (true, true) && matches!(change, Change::Judged(_))));
                prop_assert!(node.cordoned == before.cordoned || matches!(change, Change::Cordoned(_)));
                let told = (&node.site, &node.inventory) != (&before.site, &before.inventory);
                prop_assert!(node.off.is_none() || node.state == State::Lost, "a word stands of one that is heard");
                let says_off = matches!(change, Change::ConfirmedOff(_) | Change::Fenced(_));
                prop_assert!(node.off == before.off || node.off.is_none() || says_off);
                prop_assert!(node.fencing == before.fencing || matches!(change, Change::Fenced(_)));
                prop_assert!(node.strains == before.strains || matches!(change, Change::Strained(_)));
                prop_assert!(!told || matches!(change, Change::Told(..)));
                prop_assert_eq!((&node.name, node.first_seen_at), (&before.name, before.first_seen_at));
                let once = node.clone();
                node.apply(change, now);
                prop_assert_eq!(&node, &once);
            }
        }
    }

    #[test]
    fn a_silence_grows_from_ready_to_suspect_to_lost_and_a_mute_hypervisor_is_suspect() {
        let limits = Limits { suspect_after_ms: 3000, lost_after_ms: 10_000 };
        let seen = |ms, answers| State::after(ms, answers, limits);
        assert_eq!(
            [seen(0, true), seen(2999, true), seen(3000, true), seen(9999, true)],
            [State::Ready, State::Ready, State::Suspect, State::Suspect]
        );
        assert_eq!(
            [seen(10_000, true), seen(0, false), seen(10_000, false)],
            [State::Lost, State::Suspect, State::Lost]
        );
    }
}
