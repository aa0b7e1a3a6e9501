//! The control plane itself: who could lead from where, and its part in an outage.
//!
//! Leaving, it goes last: when the servers have moved, the wish is set to another site, the services
//! there take over one by one, this one among them, NATS gets along without the servers of the site
//! that goes dark ([`super::quorum`]), and only then is the outage *evacuated*. Coming home, it goes
//! last as well: when NATS is whole again and standbys are ready there.

use std::sync::Arc;

use watari_chassis::Entry;
use watari_contracts::{
    Service,
    frontend::{Quorum, Standing, StreamView, Voter},
};
use watari_model::{
    Refusal, SiteName,
    frontend::Primacy,
    migration::Reason,
    outage::{Change, Handover, Outage, Scope},
};

use super::{Action, turn::Turn};

/// What is known of the control plane.
#[derive(Clone, Debug, Default)]
pub enum Control {
    /// The configuration does not say where this process stands: outages do not touch it.
    #[default]
    Unmanaged,
    /// Nobody has looked yet.
    Unseen,
    /// As it was a moment ago.
    Seen(Arc<Sight>),
}

/// The control plane at one moment.
#[derive(Clone, Debug, Default)]
pub struct Sight {
    /// Every service process that answered.
    pub standings: Vec<Standing>,
    /// The NATS servers; none if nobody looks after them.
    pub quorum: Option<Quorum>,
    /// The streams, by their leaders.
    pub streams: Vec<StreamView>,
    /// How many streams there should be.
    pub expected: usize,
}

/// Which of `services` have no process at `site` that leads or could.
pub(crate) fn missing_at(standings: &[Standing], site: &SiteName, services: &[Service]) -> Vec<Service> {
    let there = |service: &Service| standings.iter().any(|s| s.service == *service && s.site.as_ref() == Some(site));
    services.iter().copied().filter(|service| !there(service)).collect()
}

impl Sight {
    /// Whether anything of it is at `site`.
    fn stands_at(&self, site: &SiteName) -> bool {
        let leads = |s: &Standing| s.leads && s.site.as_ref() == Some(site);
        self.standings.iter().any(leads) || self.servers_at(site).any(|server| server.votes)
    }

    fn servers_at<'s>(&'s self, site: &'s SiteName) -> impl Iterator<Item = &'s Voter> {
        self.quorum.iter().flat_map(|q| &q.servers).filter(move |server| server.site.as_ref() == Some(site))
    }

    fn is_at(&self, server: &str, site: &SiteName) -> bool {
        self.servers_at(site).any(|known| known.name.as_deref() == Some(server))
    }

    fn is_led_from(&self, service: Service, site: &SiteName) -> bool {
        self.standings.iter().any(|s| s.service == service && s.leads && s.site.as_ref() == Some(site))
    }

    /// The services that do not lead from `site`.
    fn not_led_from(&self, site: &SiteName) -> Vec<&'static str> {
        let not_led = Service::OF_FRONT.into_iter().filter(|service| !self.is_led_from(*service, site));
        not_led.map(Service::name).collect()
    }

    /// Whether services are just being handed over to `site`: some could lead from there and do not yet.
    pub(crate) fn is_handed_over_to(&self, site: &SiteName) -> bool {
        let missing = missing_at(&self.standings, site, &Service::OF_FRONT);
        Service::OF_FRONT.into_iter().any(|service| !missing.contains(&service) && !self.is_led_from(service, site))
    }

    /// What still keeps NATS from writing on without the servers of `site`; none if nothing does.
    fn nats_needs(&self, site: &SiteName) -> Option<String> {
        let quorum = self.quorum.as_ref()?;
        let Some(leader) = &quorum.leader else { return Some("NATS has no majority".to_owned()) };
        if self.is_at(leader, site) {
            return Some(format!("NATS is led by {leader}"));
        }
        if let Some(unknown) = self.unknown() {
            return Some(unknown);
        }
        let votes = || quorum.servers.iter().filter(|server| server.votes);
        let staying = votes().filter(|s| s.site.as_ref() != Some(site) && s.online && s.current).count();
        if staying < votes().count() / 2 + 1 {
            return Some("the servers that stay are no majority".to_owned());
        }
        if let Some(silent) = self.silent() {
            return Some(silent);
        }
        self.streams.iter().find_map(|stream| {
            let Some(leader) = &stream.leader else { return Some(format!("stream {} has no leader", stream.bucket)) };
            if self.is_at(leader, site) {
                return Some(format!("stream {} is led by {leader}", stream.bucket));
            }
            let stay =
                stream.followers.iter().filter(|f| f.current && !f.offline && !self.is_at(&f.name, site)).count();
            let copies = stream.followers.len() + 1;
            (stay + 1 < copies / 2 + 1).then(|| format!("stream {} has no majority without the site", stream.bucket))
        })
    }

    /// Whether nothing of it is away, as far as it is looked after.
    pub(crate) fn is_whole(&self) -> bool {
        self.nats_lacks(None).is_none()
    }

    /// Whether there are streams of which nothing is known.
    fn silent(&self) -> Option<String> {
        let silent = self.expected.saturating_sub(self.streams.len());
        (silent > 0).then(|| format!("{silent} streams have no leader"))
    }

    /// Who has a vote of whom nothing is known: with whom there is a majority cannot be told then.
    fn unknown(&self) -> Option<String> {
        let other = self.quorum.as_ref()?.others.first()?;
        Some(format!("the NATS server {other} has a vote and is on no host that is known"))
    }

    /// What NATS still lacks to be whole; none if nothing. For coming home to `home` nobody is waited for who is silent
    /// elsewhere: a witness that is missed there is missed here as well.
    fn nats_lacks(&self, home: Option<&SiteName>) -> Option<String> {
        let quorum = self.quorum.as_ref()?;
        if let Some(unknown) = self.unknown() {
            return Some(unknown);
        }
        let sound = |s: &Voter| s.votes && s.online && s.current;
        let waited = |s: &Voter| home.is_none_or(|home| s.online || s.site.as_ref() == Some(home));
        if let Some(server) = quorum.servers.iter().find(|s| waited(s) && !sound(s)) {
            return Some(format!("the NATS server on {} is not back", server.host));
        }
        let able = quorum.servers.iter().filter(|s| waited(s)).count();
        let thin = |s: &&StreamView| {
            let current = s.followers.iter().filter(|f| f.current && !f.offline).count();
            current + 1 < able.min(s.replicas.max(3))
        };
        let lacks = || self.streams.iter().find(thin).map(|stream| format!("stream {} lacks copies", stream.bucket));
        self.silent().or_else(lacks)
    }
}

/// Whether the control plane's part in this leg is over; if not, does what is next of it.
pub(crate) fn is_settled(turn: &mut Turn<'_>, entry: &Entry<Outage>, reason: Reason) -> bool {
    let outage = &entry.value;
    let Scope::Site(site) = &outage.scope else { return true };
    let sight = match &turn.snap.control {
        Control::Unmanaged => return true,
        // Whoever hears not even itself has not looked.
        Control::Seen(sight) if sight.standings.is_empty() => return false,
        Control::Unseen => return outage.control.as_ref().is_some_and(|control| control.ended_at.is_some()),
        Control::Seen(sight) => Arc::clone(sight),
    };
    match (&outage.control, reason) {
        (Some(handover), _) if handover.ended_at.is_some() => true,
        (Some(handover), _) => {
            go_on(turn, entry, handover, &sight, reason);
            false
        }
        (None, Reason::Return) => !begin_return(turn, entry, site),
        (None, _) => !begin_leaving(turn, entry, site, &sight),
    }
}

/// Whether there is anything to be moved away.
fn begin_leaving(turn: &mut Turn<'_>, entry: &Entry<Outage>, site: &SiteName, sight: &Sight) -> bool {
    if !sight.stands_at(site) {
        return false;
    }
    let wished = turn.snap.primacy().map(|entry| entry.value.site.clone());
    // Who did not answer this time may be there all the same: a front end of which anybody answers is
    // waited for.
    let missing = |other: &SiteName| missing_at(&sight.standings, other, &Service::OF_FRONT).len();
    let fit = |other: &&SiteName| **other != *site && !turn.drains(other) && missing(other) < Service::OF_FRONT.len();
    let mut others: Vec<&SiteName> = turn.snap.sites.values().map(|e| &e.value.name).filter(fit).collect();
    others.sort_by_key(|other| (missing(other), wished.as_ref() != Some(*other)));
    let change = match others.first() {
        Some(to) => Change::HandoverBegun((*to).clone()),
        None => {
            let fault = Refusal::ControlNowhere { site: site.to_string() };
            Change::HandoverEnded(site.clone(), Some(fault))
        }
    };
    turn.change_outage(entry, change);
    true
}

/// Whether there is anything to be brought home.
fn begin_return(turn: &mut Turn<'_>, entry: &Entry<Outage>, site: &SiteName) -> bool {
    let away = |wish: &Primacy| wish.home == *site && wish.site != *site;
    if !turn.rules.control_returns || !turn.snap.primacy().is_some_and(|wish| away(&wish.value)) {
        return false;
    }
    turn.change_outage(entry, Change::HandoverBegun(site.clone()));
    true
}

fn go_on(turn: &mut Turn<'_>, entry: &Entry<Outage>, handover: &Handover, sight: &Sight, reason: Reason) {
    let Scope::Site(site) = &entry.value.scope else { return };
    let waited = turn.now.millis_since(handover.began_at);
    let to = &handover.to;
    let missing = missing_at(&sight.standings, to, &Service::OF_FRONT);
    let not_ready = (!missing.is_empty())
        .then(|| format!("no standby of {} there", missing.iter().map(|s| s.name()).collect::<Vec<_>>().join(", ")));
    // Coming home NATS must be whole first; leaving, it is made to fit afterwards.
    let before = match reason {
        Reason::Return => not_ready.or_else(|| sight.nats_lacks(Some(to))),
        _ => not_ready,
    };
    let known = turn.snap.primacy().map(|entry| &entry.value);
    if reason == Reason::Return && known.is_some_and(|wish| wish.home != *to) {
        // Meanwhile an operator has said otherwise.
        let home = known.map_or_else(|| to.clone(), |wish| wish.home.clone());
        return turn.change_outage(entry, Change::HandoverEnded(home, None));
    }
    let wished = known.is_some_and(|wish| wish.site == *to);
    if before.is_none() && !wished {
        wish(turn, to, sight);
    }
    let led = sight.not_led_from(to);
    let lacks = before
        .or_else(|| (!led.is_empty()).then(|| format!("{} not led from there yet", led.join(", "))))
        .or_else(|| if reason == Reason::Return { None } else { sight.nats_needs(site) });
    let change = match lacks {
        None if !wished => return,
        // Whoever is connected to a server of the dark site would notice late that it is gone; but
        // a server that does not stop when it is told to is no reason to stay.
        None if reason == Reason::Return
            || waited > turn.rules.handover_ms / 2
            || !sight.servers_at(site).any(|server| server.online) =>
        {
            Change::HandoverEnded(to.clone(), None)
        }
        Some(detail) if waited > turn.rules.handover_ms => {
            Change::HandoverEnded(to.clone(), Some(Refusal::ControlNotMoved { site: to.to_string(), detail }))
        }
        _ => return,
    };
    turn.change_outage(entry, change);
}

/// Stores from where the services are to lead. Where they lead when nothing is the matter stays.
fn wish(turn: &mut Turn<'_>, to: &SiteName, sight: &Sight) {
    let known = turn.snap.primacy();
    // Nobody has said where home is: it is where the services are led from now.
    let now = || sight.standings.iter().find(|s| s.leads).and_then(|s| s.site.clone());
    let home = known.map(|entry| entry.value.home.clone()).or_else(now).unwrap_or_else(|| to.clone());
    let wished = Primacy { v: 1, site: to.clone(), home, request_id: None, changed_at: turn.now };
    let revision = known.map(|entry| entry.revision);
    turn.push(Action::StorePrimacy { primacy: Box::new(wished), revision });
}

#[cfg(test)]
mod tests;
