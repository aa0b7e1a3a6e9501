//! A node: a machine that runs servers, as its beats show it.
//!
//! ```text
//!          beats stop (suspect_after)        (lost_after)
//!  Ready ────────────────────────▶ Suspect ───────────────▶ Lost
//!    ▲                                │                       │
//!    └────────────── a beat ──────────┴───────────────────────┘
//! ```
//!
//! *Lost* says that nobody hears the node, not that it is off: nothing is started elsewhere on
//! the strength of silence.

use std::{collections::BTreeMap, net::Ipv4Addr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Document, NodeName, SegmentName, SiteName, Timestamp};

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
    /// How guests are kept from harming one another.
    #[serde(default)]
    pub protection: Protection,
    /// Labels from its configuration.
    pub labels: BTreeMap<String, String>,
    /// Where overlay networks' packets reach it; none if it takes part in no overlay network.
    #[serde(default)]
    pub tunnel: Option<Tunnel>,
}

/// A node's end of every overlay network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tunnel {
    /// The address that other nodes send to.
    pub address: Ipv4Addr,
    /// The largest packet, in bytes, of the interface that has this address.
    pub mtu: u32,
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
    /// What it has.
    pub inventory: Inventory,
    /// When it was first heard.
    pub first_seen_at: Timestamp,
    /// When the state last changed.
    pub changed_at: Timestamp,
}

impl Document for Node {
    const BUCKET: &'static str = "nodes";
    fn key(&self) -> String {
        self.name.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
