//! Outages that are known beforehand: each begins in time to be done before the power goes, and ends
//! when the power is back, as far as the rules say so.

use watari_chassis::Entry;
use watari_model::{
    NodeName, Timestamp,
    outage::{Change, Outage, Scope, State, Window},
    site::{Site, Supply},
};

use super::{Rules, Snapshot, evacuation::missing, forecast::time_to_empty, turn::Turn};

/// How much longer than it did the last times everything may take: the servers may have grown, and the
/// link may be shared.
const MARGIN: u64 = 2;
/// Sooner than this before the power goes nothing begins, and nothing is reckoned: that costs time.
const MOST_AHEAD_MS: u64 = 86_400_000;

/// Decides about every outage whose time is known, or that is to have none.
pub(crate) fn decide(turn: &mut Turn<'_>) {
    let snap = turn.snap;
    for entry in snap.outages.values() {
        if !turn.settled::<Outage>(entry.value.id.as_str()) {
            continue;
        }
        let Some(window) = entry.value.window else {
            withdraw_answered(turn, entry);
            continue;
        };
        match entry.value.state {
            State::Scheduled => begin_in_time(turn, entry, window),
            State::Evacuating if entry.value.paused_at.is_some() => tell_paused(turn, &entry.value, window),
            State::Evacuated if turn.now < window.until => tell_left(turn, &entry.value, window),
            State::Evacuated if turn.rules.calendar.returns => end(turn, entry),
            _ => {}
        }
    }
}

/// What is proposed for a site that is being emptied, or is empty, needs no answer any more, whoever began that. One from
/// which servers just come home may need another.
fn withdraw_answered(turn: &mut Turn<'_>, entry: &Entry<Outage>) {
    let proposed = &entry.value;
    let mut others = turn.snap.outages.values().map(|entry| &entry.value);
    if proposed.is_proposed() && others.any(|other| other.scope == proposed.scope && other.state.drains()) {
        turn.change_outage(entry, Change::Lapsed);
    }
}

/// When a scheduled outage begins, as it looks at `now`.
#[must_use]
pub fn begins_at(snap: &Snapshot, rules: &Rules, outage: &Outage, window: Window, now: Timestamp) -> Timestamp {
    start(&Turn::new(snap, rules, now), outage, window)
}

fn start(turn: &Turn<'_>, outage: &Outage, window: Window) -> Timestamp {
    let needed = time_to_empty(turn, outage).unwrap_or(0).saturating_mul(MARGIN);
    window.from.minus_millis(needed.min(MOST_AHEAD_MS).max(turn.rules.calendar.lead_ms))
}

fn begin_in_time(turn: &mut Turn<'_>, entry: &Entry<Outage>, window: Window) {
    let outage = &entry.value;
    if turn.now >= window.until {
        return turn.change_outage(entry, Change::Lapsed);
    }
    let soon = MOST_AHEAD_MS.max(turn.rules.calendar.lead_ms);
    if turn.now < window.from.minus_millis(soon) || turn.now < start(turn, outage, window) {
        return;
    }
    let mut others = turn.snap.outages.values().map(|entry| &entry.value);
    match others.find(|other| other.scope == outage.scope && other.state.is_open()) {
        // An operator's own comes first. This one begins if that one ends in time.
        Some(other) => {
            let text = format!("outage {} is due, but {} is {} there already", outage.id, other.id, other.state.word());
            turn.alarm(format!("alarm/outage/{}", outage.id), text);
        }
        None if !turn.rules.calendar.begins => {
            let id = &outage.id;
            let text = format!("outage {id} is due and waits to be begun: `watari outage start {id}`");
            turn.alarm(format!("alarm/outage/{id}"), text);
        }
        None if turn.rooms.have_refuge(&outage.scope) => turn.change_outage(entry, Change::BeginAsked),
        // Begun now it would be over at once, with everybody left.
        None => {
            let text = format!("outage {} is due, and no other site may receive its servers", outage.id);
            turn.alarm(format!("alarm/outage/{}", outage.id), text);
        }
    }
}

/// A pause is an operator's word and stands; but one that was forgotten must not be found out in the dark.
fn tell_paused(turn: &mut Turn<'_>, outage: &Outage, window: Window) {
    if turn.now < window.until && turn.now >= start(turn, outage, window) {
        let id = &outage.id;
        let text = format!("outage {id} is due and is paused: nothing more leaves until `watari outage resume {id}`");
        turn.alarm(format!("alarm/outage/{id}"), text);
    }
}

/// Whoever could not leave is an operator's business before the power goes.
fn tell_left(turn: &mut Turn<'_>, outage: &Outage, window: Window) {
    let left: Vec<&str> = outage.left.iter().filter(|left| !left.is_off()).map(|left| left.vm.as_str()).collect();
    if turn.now >= window.from || left.is_empty() {
        return;
    }
    let text =
        format!("before the power goes for outage {}, these servers did not leave: {}", outage.id, left.join(", "));
    turn.alarm(format!("alarm/outage/{}", outage.id), text);
}

/// The scheduled time may be over before the power is back: nobody comes home to half a site, or to a
/// battery, unasked.
fn end(turn: &mut Turn<'_>, entry: &Entry<Outage>) {
    let outage = &entry.value;
    let on_battery = |site: &Site| site.power.is_some_and(|power| power.supply == Supply::Battery);
    let mut sites = turn.snap.sites.values().map(|entry| &entry.value);
    if sites.any(|site| outage.scope == Scope::Site(site.name.clone()) && on_battery(site)) {
        let text = format!("the time of outage {} is over, but the site is on battery", outage.id);
        return turn.alarm(format!("alarm/outage/{}", outage.id), text);
    }
    let away: Vec<&str> = missing(turn.snap, &outage.scope).map(NodeName::as_str).collect();
    if away.is_empty() {
        return turn.change_outage(entry, Change::ReturnAsked);
    }
    let text = format!("the time of outage {} is over, but not ready are: {}", outage.id, away.join(", "));
    turn.alarm(format!("alarm/outage/{}", outage.id), text);
}

#[cfg(test)]
mod tests;
