//! A site on battery is emptied, and what left for that comes home when the mains are back: as far
//! as the rules say so, and no sooner, since power flickers.
//!
//! An outage that began so is named after the moment: it begins once, and one that an operator
//! called off is not begun again for the same battery. An operator's own outage is left alone. Where the rules want a
//! person to be asked first it is only proposed, which is an alarm until somebody begins it or calls it off; when the mains
//! have been back for as long as power flickers it is withdrawn, unless an alert asks for it as well. What is under way
//! already was somebody's word, and goes on as it does elsewhere; for what an alert asked, too, a person brings it home.
//!
//! A pause that is older than the loss of power did not reckon with it: it ends when the site would be
//! emptied, whoever began the outage, since one that was forgotten would cost every server that is still
//! there. A pause that was asked for on battery is an operator's word in the emergency: it stands, and is an
//! alarm. Nobody comes home through a pause.

use watari_chassis::Entry;
use watari_model::{
    outage::{Change, Outage, Scope, State},
    site::{Power, Site, Supply},
    vm,
};

use super::{Action, Snapshot, Trigger, naming, turn::Turn};

/// How the names of requests begin that are nobody's but ours.
const PREFIX: &str = "power/";

/// Decides about every site of which something is known.
pub(crate) fn decide(turn: &mut Turn<'_>) {
    for entry in turn.snap.sites.values() {
        let site = &entry.value;
        match site.power {
            Some(power) if power.supply == Supply::Battery && turn.rules.power.on_battery != Trigger::Tell => {
                leave(turn, site, power);
            }
            Some(power) if power.supply == Supply::Mains => come_home(turn, site, power),
            _ => {}
        }
    }
}

fn outages_of<'s>(
    snap: &'s Snapshot,
    site: &Site,
) -> impl Iterator<Item = &'s std::sync::Arc<Entry<Outage>>> + use<'s> {
    let scope = Scope::Site(site.name.clone());
    snap.outages.values().filter(move |entry| entry.value.scope == scope)
}

fn leave(turn: &mut Turn<'_>, site: &Site, power: Power) {
    let rules = turn.rules.power;
    let low = power.left_at(turn.now).is_some_and(|left| left.saturating_mul(1_000) <= rules.low_ms);
    if !low && turn.now.millis_since(power.since) < rules.battery_ms {
        return;
    }
    let request_id = format!("{PREFIX}{}/{}", site.name, power.since.0.unix_timestamp());
    if let Some(open) = outages_of(turn.snap, site).find(|entry| entry.value.state.is_open()) {
        return go_on(turn, site, power, open);
    }
    let scope = Scope::Site(site.name.clone());
    let dark = |node: &watari_model::NodeName| {
        turn.snap.nodes.get(node.as_str()).is_some_and(|entry| scope.covers(&entry.value))
    };
    let alive = |vm: &vm::Vm| matches!(vm.state, vm::State::Running | vm::State::Starting | vm::State::Migrating);
    let busy = turn.snap.vms.values().any(|entry| alive(&entry.value) && entry.value.node().is_some_and(dark));
    if !busy {
        return;
    }
    // One question at a time: what waits since the mains flickered, or since an alert, is answered by the same word.
    let asks = rules.on_battery == Trigger::Ask;
    let is_known = |outage: &Outage| outage.request_id == request_id || asks && outage.is_proposed();
    if let Some(known) = outages_of(turn.snap, site).find(|entry| is_known(&entry.value)) {
        return remind(turn, site, &known.value);
    }
    if !turn.rooms.have_refuge(&scope) {
        let text = format!("site {} is on battery, and no other site may receive its servers", site.name);
        return turn.alarm(format!("alarm/power/{}", site.name), text);
    }
    let known = outages_of(turn.snap, site).map(|entry| entry.value.id.as_str());
    let Some(id) = naming::next_outage(site.name.as_str(), known) else { return };
    let outage = match turn.rules.power.on_battery {
        Trigger::Act => Outage::begun(id, scope, request_id, turn.now),
        Trigger::Tell | Trigger::Ask => Outage::proposed(id, scope, String::new(), request_id, turn.now),
    };
    turn.push(Action::NewOutage(Box::new(outage)));
}

/// One that is proposed for this battery waits for a word; what was called off, or is over, was answered.
fn remind(turn: &mut Turn<'_>, site: &Site, outage: &Outage) {
    if !outage.is_proposed() {
        return;
    }
    let id = &outage.id;
    let text =
        format!("site {} is on battery, and outage {id} waits to be begun: `watari outage start {id}`", site.name);
    turn.alarm(format!("alarm/power/{}", site.name), text);
}

/// What is open at a site that is to be emptied.
fn go_on(turn: &mut Turn<'_>, site: &Site, power: Power, open: &Entry<Outage>) {
    let outage = &open.value;
    if outage.paused_at.is_some_and(|paused| paused >= power.since) {
        let id = &outage.id;
        let text = format!(
            "site {} is on battery, and outage {id} was paused since: nothing leaves until `watari outage resume {id}`",
            site.name
        );
        return turn.alarm(format!("alarm/power/{}", site.name), text);
    }
    match outage.state {
        // What was on its way home because the mains were back turns round.
        State::Returning if outage.request_id.starts_with(PREFIX) => turn.change_outage(open, Change::EvacuateAsked),
        State::Evacuating if outage.paused_at.is_some() => turn.change_outage(open, Change::ResumeAsked),
        _ => {}
    }
}

fn come_home(turn: &mut Turn<'_>, site: &Site, power: Power) {
    if turn.now.millis_since(power.since) < turn.rules.power.mains_ms {
        return;
    }
    withdraw(turn, site);
    if !turn.rules.power.returns {
        return;
    }
    let away = |outage: &Outage| {
        outage.askers().iter().all(|request| request.starts_with(PREFIX))
            && outage.paused_at.is_none()
            && matches!(outage.state, State::Evacuating | State::Evacuated)
    };
    if let Some(entry) = outages_of(turn.snap, site).find(|entry| away(&entry.value))
        && turn.settled::<Outage>(entry.value.id.as_str())
    {
        turn.change_outage(entry, Change::ReturnAsked);
    }
}

/// What was proposed because of the battery needs no answer any more.
fn withdraw(turn: &mut Turn<'_>, site: &Site) {
    for entry in outages_of(turn.snap, site).filter(|entry| entry.value.is_proposed()) {
        let asked = entry.value.askers().iter().find(|request| request.starts_with(PREFIX));
        if let Some(request) = asked.filter(|_| turn.settled::<Outage>(entry.value.id.as_str())) {
            turn.change_outage(entry, Change::Unasked(request.clone()));
        }
    }
}

#[cfg(test)]
mod tests;
