//! What the network service answers about firewall groups.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watari_model::{FirewallName, Timestamp, VmName, firewall::Rule};

use crate::{Request, Service, wire::requests};

/// Make a firewall group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateFirewall {
    /// Names this request, so that it may be repeated.
    #[serde(default)]
    pub request_id: Option<String>,
    /// Its name.
    pub name: FirewallName,
    /// What it lets through; nothing comes in without a rule.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// Show one firewall group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetFirewall {
    /// Which.
    pub name: FirewallName,
}

/// List firewall groups, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListFirewalls {}

/// Firewall groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FirewallPage {
    /// By name.
    pub firewalls: Vec<FirewallView>,
}

/// Remove a firewall group that no server and no rule names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteFirewall {
    /// Which.
    pub name: FirewallName,
}

/// Let something through. A rule that is there already changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AllowFirewall {
    /// The group.
    pub name: FirewallName,
    /// What.
    pub rule: Rule,
}

/// Let something through no more. A rule that is not there changes nothing. Connections that are
/// open stay open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeFirewall {
    /// The group.
    pub name: FirewallName,
    /// What.
    pub rule: Rule,
}

/// Replace all rules of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaceFirewall {
    /// The group.
    pub name: FirewallName,
    /// What it lets through from now on.
    pub rules: Vec<Rule>,
}

/// A firewall group as people and programs see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FirewallView {
    /// Its name.
    pub name: FirewallName,
    /// What it lets through.
    pub rules: Vec<Rule>,
    /// The servers that name it.
    pub servers: Vec<VmName>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its rules last changed.
    pub changed_at: Timestamp,
}

requests! {
    Network, "Every subject about firewall groups.";
    CreateFirewall "watari.v1.firewall.create" => FirewallView, "Make a firewall group.";
    GetFirewall "watari.v1.firewall.get" => FirewallView, "Show one firewall group.";
    ListFirewalls "watari.v1.firewall.list" => FirewallPage, "List firewall groups.";
    DeleteFirewall "watari.v1.firewall.delete" => FirewallView, "Remove a firewall group that nobody names.";
    AllowFirewall "watari.v1.firewall.allow" => FirewallView, "Let something through.";
    RevokeFirewall "watari.v1.firewall.revoke" => FirewallView, "Let something through no more.";
    ReplaceFirewall "watari.v1.firewall.replace" => FirewallView, "Replace all rules of a firewall group.";
}
