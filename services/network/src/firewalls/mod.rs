//! Firewall groups: making, changing, showing and deleting them.
//!
//! What their rules become on a node is the agent's; here they are only kept. That no group
//! disappears that somebody names rests on a look at the servers' documents before it is deleted: a
//! server made in that very moment names a group that is gone, and is shut until it is made again. (Nodes
//! keep the last known rules of groups whose documents vanish; of this one they know none.)

mod desk;

use std::sync::OnceLock;

use tokio::sync::{Mutex, MutexGuard};
use watari_chassis::{Context, Mirror, ReadError, Revision, Stopped, WriteError, clock};
use watari_contracts::firewall::FirewallView;
use watari_model::{
    FirewallName, Refusal,
    firewall::{Firewall, Peer, Rule},
    vm::Vm,
};

use crate::{book::unwritten, settings};

pub(crate) use desk::server;

/// So often a change is tried when somebody else writes the document at the same time.
const TRIES: usize = 3;
/// So many of those who name a group are told.
const NAMED: usize = 5;

/// The one place where firewall groups are written.
pub(crate) struct Firewalls {
    groups: Mirror<Firewall>,
    /// The scheduler's, once it has made its bucket.
    vms: OnceLock<Mirror<Vm>>,
    settings: settings::Firewalls,
    /// One change at a time: they are rare, and look at several documents before they write one.
    turn: Mutex<()>,
}

impl Firewalls {
    pub(crate) async fn open(ctx: &Context, settings: settings::Firewalls) -> Result<Self, Stopped> {
        let groups = Mirror::open(ctx).await?;
        Ok(Self { groups, vms: OnceLock::new(), settings, turn: Mutex::default() })
    }

    /// Says who the servers are, without whom nobody can say who names a group.
    pub(crate) fn learn_servers(&self, vms: Mirror<Vm>) {
        // Only the first who says it counts; there is one.
        let _ = self.vms.set(vms);
    }

    pub(crate) fn groups(&self) -> &Mirror<Firewall> {
        &self.groups
    }

    async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Every group that a rule names must be there; a group may name itself.
    fn known(&self, name: &FirewallName, rules: &[Rule]) -> Result<(), Refusal> {
        let named = rules.iter().filter_map(|rule| match &rule.peer {
            Peer::Group(group) if group != name => Some(group),
            _ => None,
        });
        match named.into_iter().find(|group| self.groups.get(group.as_str()).is_none()) {
            Some(group) => Err(unknown(group)),
            None => Ok(()),
        }
    }

    fn servers(&self, name: &FirewallName) -> Vec<watari_model::VmName> {
        let Some(vms) = self.vms.get() else { return Vec::new() };
        let vms = vms.snapshot();
        vms.values().filter(|e| e.value.spec.firewalls.contains(name)).map(|e| e.value.name.clone()).collect()
    }

    /// Whoever names the group, in words; none if nobody does.
    fn users(&self, name: &FirewallName) -> Option<String> {
        let mut users: Vec<String> = self.servers(name).iter().map(ToString::to_string).collect();
        let groups = self.groups.snapshot();
        let names = |rule: &Rule| matches!(&rule.peer, Peer::Group(group) if group == name);
        let others = groups.values().map(|e| &e.value).filter(|g| g.name != *name && g.rules.iter().any(names));
        users.extend(others.map(|group| format!("group {}", group.name)));
        let more = users.len().saturating_sub(NAMED);
        users.truncate(NAMED);
        let text = users.join(", ");
        match (users.is_empty(), more) {
            (true, _) => None,
            (false, 0) => Some(text),
            (false, more) => Some(format!("{text} and {more} more")),
        }
    }

    pub(crate) fn view(&self, group: &Firewall) -> FirewallView {
        FirewallView {
            name: group.name.clone(),
            rules: group.rules.clone(),
            servers: self.servers(&group.name),
            created_at: group.created_at,
            changed_at: group.changed_at,
        }
    }

    /// The newest document: what a mirror has may be a moment old.
    async fn newest(&self, name: &FirewallName) -> Result<(Firewall, Revision), Refusal> {
        match self.groups.bucket().get(name.as_str()).await {
            Ok(Some(entry)) => Ok((entry.value.clone(), entry.revision)),
            Ok(None) => Err(unknown(name)),
            Err(ReadError::Unreadable(unreadable)) => Err(Refusal::Internal { detail: unreadable.to_string() }),
            Err(error) => Err(no_answer(&error)),
        }
    }

    /// Changes a group's rules, if there is something to change.
    async fn change(
        &self,
        name: &FirewallName,
        change: impl Fn(&[Rule]) -> Result<Vec<Rule>, Refusal>,
    ) -> Result<FirewallView, Refusal> {
        let _turn = self.turn().await;
        for _ in 0..TRIES {
            let (mut group, revision) = self.newest(name).await?;
            let rules = watari_model::firewall::ordered(change(&group.rules)?, self.settings.most_rules)?;
            self.known(name, &rules)?;
            if rules == group.rules {
                return Ok(self.view(&group));
            }
            group.rules = rules;
            group.changed_at = clock::now();
            match self.groups.update(&group, revision).await {
                Ok(_) => {
                    tracing::info!(firewall = %name, rules = group.rules.len(), "changed the firewall group");
                    return Ok(self.view(&group));
                }
                Err(WriteError::Conflict { .. }) => {}
                Err(error) => return Err(unwritten("firewalls", &error)),
            }
        }
        Err(no_answer(&"others write the document without end"))
    }
}

fn unknown(name: &FirewallName) -> Refusal {
    Refusal::FirewallUnknown { firewall: name.to_string() }
}

/// The bucket cannot be read, or takes nothing.
fn no_answer(error: &dyn std::fmt::Display) -> Refusal {
    tracing::warn!(%error, "the bucket firewalls did not answer");
    Refusal::NoAnswer { who: "the bucket firewalls".to_owned() }
}
