//! The requests about firewall groups, one handler each.

use std::sync::Arc;

use watari_chassis::{Server, WriteError, clock};
use watari_contracts::firewall::{
    AllowFirewall, CreateFirewall, DeleteFirewall, FirewallPage, FirewallView, GetFirewall, ListFirewalls,
    ReplaceFirewall, RevokeFirewall,
};
use watari_model::{
    Refusal, Said,
    firewall::{Firewall, ordered},
};

use super::{Firewalls, TRIES, no_answer, unknown};
use crate::{book::unwritten, wanted};

/// Adds the endpoints to the service's own.
pub(crate) fn server(server: Server, firewalls: &Arc<Firewalls>) -> Server {
    let with = || Arc::clone(firewalls);
    let (create, get, list, delete) = (with(), with(), with(), with());
    let (allow, revoke, replace) = (with(), with(), with());
    server
        .endpoint::<CreateFirewall, _, _, _>(move |_, request| {
            let firewalls = Arc::clone(&create);
            async move { firewalls.create(request).await }
        })
        .endpoint::<GetFirewall, _, _, _>(move |_, request| {
            let found = get.groups().get(request.name.as_str()).map(|entry| get.view(&entry.value));
            async move { found.ok_or_else(|| unknown(&request.name)) }
        })
        .endpoint::<ListFirewalls, _, _, _>(move |_, _| {
            let firewalls = list.groups().snapshot().values().map(|entry| list.view(&entry.value)).collect();
            async move { Ok(FirewallPage { firewalls }) }
        })
        .endpoint::<DeleteFirewall, _, _, _>(move |_, request| {
            let firewalls = Arc::clone(&delete);
            async move { firewalls.delete(&request).await }
        })
        .endpoint::<AllowFirewall, _, _, _>(move |_, AllowFirewall { name, rule }| {
            let firewalls = Arc::clone(&allow);
            async move {
                rule.check()?;
                firewalls.change(&name, |rules| Ok(rules.iter().cloned().chain([rule.clone()]).collect())).await
            }
        })
        .endpoint::<RevokeFirewall, _, _, _>(move |_, RevokeFirewall { name, rule }| {
            let firewalls = Arc::clone(&revoke);
            async move {
                let others = |rules: &[_]| Ok(rules.iter().filter(|other| **other != rule).cloned().collect());
                firewalls.change(&name, others).await
            }
        })
        .endpoint::<ReplaceFirewall, _, _, _>(move |_, ReplaceFirewall { name, rules }| {
            let firewalls = Arc::clone(&replace);
            async move { firewalls.change(&name, |_| Ok(rules.clone())).await }
        })
}

impl Firewalls {
    /// Makes a group, or finds the one that the same request made.
    async fn create(&self, request: CreateFirewall) -> Result<FirewallView, Refusal> {
        let request_id = wanted::request_id(request.request_id.as_deref())?;
        let rules = ordered(request.rules, self.settings.most_rules)?;
        let _turn = self.turn().await;
        let groups = self.groups.snapshot();
        if let Some(there) = groups.get(request.name.as_str()) {
            return self.repeated(&request_id, &rules, &there.value);
        }
        if groups.values().any(|entry| !request_id.is_empty() && entry.value.request_id == request_id) {
            return Err(Refusal::RequestIdReused { request_id });
        }
        if groups.len() >= self.settings.most_groups {
            let (value, allowed) = ((groups.len() + 1).to_string(), Said::between(0, groups.len()));
            return Err(Refusal::OutOfRange { field: "firewalls".to_owned(), value, allowed });
        }
        self.known(&request.name, &rules)?;
        let now = clock::now();
        let group = Firewall { v: 1, name: request.name, rules, request_id, created_at: now, changed_at: now };
        match self.groups.create(&group).await {
            Ok(_) => {
                tracing::info!(firewall = %group.name, rules = group.rules.len(), "made the firewall group");
                Ok(self.view(&group))
            }
            Err(WriteError::Exists { .. }) => {
                let (there, _) = self.newest(&group.name).await?;
                self.repeated(&group.request_id, &group.rules, &there)
            }
            Err(error) => Err(unwritten("firewalls", &error)),
        }
    }

    /// The answer to a request for a group that is there: safe to repeat, wrong to reuse.
    fn repeated(
        &self,
        request_id: &str,
        rules: &[watari_model::firewall::Rule],
        there: &Firewall,
    ) -> Result<FirewallView, Refusal> {
        if request_id.is_empty() || request_id != there.request_id {
            Err(Refusal::FirewallExists { firewall: there.name.to_string() })
        } else if rules == there.rules || there.changed_at != there.created_at {
            // Rules that were changed since say nothing about what was asked for.
            Ok(self.view(there))
        } else {
            Err(Refusal::RequestIdReused { request_id: request_id.to_owned() })
        }
    }

    /// Deletes a group that nobody names.
    async fn delete(&self, request: &DeleteFirewall) -> Result<FirewallView, Refusal> {
        let _turn = self.turn().await;
        for _ in 0..TRIES {
            let (group, revision) = self.newest(&request.name).await?;
            if self.vms.get().is_none() {
                return Err(Refusal::NoAnswer { who: "the bucket vms, which says whose groups they are,".to_owned() });
            }
            if let Some(users) = self.users(&request.name) {
                return Err(Refusal::FirewallInUse { firewall: request.name.to_string(), users });
            }
            match self.groups.delete(request.name.as_str(), revision).await {
                Ok(_) => {
                    tracing::info!(firewall = %request.name, "deleted the firewall group");
                    return Ok(self.view(&group));
                }
                Err(WriteError::Conflict { .. }) => {}
                Err(error) => return Err(unwritten("firewalls", &error)),
            }
        }
        Err(no_answer(&"others write the document without end"))
    }
}
