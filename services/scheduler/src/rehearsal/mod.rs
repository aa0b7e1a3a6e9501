//! An outage gone through beforehand: the scheduler's own core decides about a twin of the cloud, whose agents answer as
//! real ones would and whose time passes as fast as it is decided. Nothing real is touched: what goes in is a snapshot,
//! and what comes out is an account. Pure as the core; no clock.
//!
//! ```text
//!  snapshot ─▶ world ─▶ twin ◀──────── decide ─────────┐
//!                        │ orders ─▶ agents, link ─▶ facts
//!                        └─▶ diary ─▶ account
//! ```
//!
//! A turn costs time in proportion to the number of servers, so that there is a bound of turns. Where one turn for each
//! event would pass it, time goes in larger steps, and so many more migrations are begun ahead that the link is busy
//! all the same: what travels, in which order and how long is not changed by that.

mod account;
mod agents;
pub(crate) mod buckets;
mod diary;
mod link;
mod pace;
mod span;
mod twin;
mod world;

use watari_model::{
    NodeName, SiteName, Timestamp,
    outage::{Change, Outage, Scope, State},
    site::Supply,
};

pub(crate) use account::{Account, Fall, Fate, Server};
use link::{Link, Loads};
pub(crate) use pace::{Budget, Known};
use pace::{Pace, Rate};
pub use span::{Makespan, makespan};
use twin::{Due, Twin};

use crate::core::{Rules, Snapshot, calendar, next_outage};

/// A leg that is not over after so long is not waited for.
const LONGEST_LEG_MS: u64 = 7 * 86_400_000;

/// What is rehearsed.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// An outage that is stored, of a site.
    Stored(Box<Outage>),
    /// One that begins now, whose site's power goes in so many milliseconds.
    Sudden(SiteName, Option<u64>),
}

/// A rehearsal that is wished for.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) what: What,
    /// Bytes a second that the link is to carry; else what is known of it.
    pub(crate) link: Option<u64>,
    /// What goes wrong meanwhile.
    pub(crate) troubles: Troubles,
}

/// What goes wrong in a rehearsal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Troubles {
    /// Nodes that lose power, so many milliseconds after the beginning.
    pub fails: Vec<(NodeName, u64)>,
    /// After how many milliseconds the link carries another number of bytes a second, and how many, if it does.
    pub slows: Option<(u64, u64)>,
}

/// Goes through it; none if it is no outage of a site, or none of that site could be named.
pub(crate) fn rehearse(snap: Snapshot, rules: &Rules, wish: Wish, budget: Budget, now: Timestamp) -> Option<Account> {
    let Stage { outage, site, start, times } = Stage::of(&snap, rules, &wish.what, now)?;
    let rate = Rate::of(&snap, wish.link);
    let bounded = rate.within(rules);
    let loads = Loads::of(&snap, bounded.went(rules));
    let all = account::concerned(&snap, &outage, &site);
    let pace = Pace::of(&snap, &loads, bounded, &all, times.battery, budget);
    let stored = snap.outages.contains_key(outage.id.as_str());
    let link = Link::new(rate.bytes, rules.in_flight, rules.copy_bound()).with_fixed(bounded.fixed_ms());
    let mut twin = Twin::new(snap, pace.rules(rules), (outage.id.clone(), site), (link, loads), start);
    twin.goes_in_steps_of(pace.step_ms);
    for (node, after_ms) in wish.troubles.fails {
        twin.due(after_ms, Due::Fails(node));
    }
    if let Some((after_ms, rate)) = wish.troubles.slows {
        twin.due(after_ms, Due::Slows(rate));
    }
    if let Some(after_ms) = times.dark() {
        twin.due(after_ms, Due::PowerOff);
    }
    match (outage.state, &wish.what) {
        (_, What::Sudden(_, time_ms)) => {
            if let Some(ms) = time_ms {
                twin.tell(Supply::Battery, Some(ms / 1_000));
            }
            if stored {
                // Of one that is evacuated, or on its way home, this is asked for once more.
                twin.ask(Change::EvacuateAsked);
            } else {
                twin.make(outage.clone());
            }
        }
        (State::Scheduled, _) => {
            if !outage.is_proposed() {
                // Today's battery says nothing of next month.
                twin.tell(Supply::Mains, None);
            }
            twin.ask(Change::BeginAsked);
        }
        _ => {}
    }
    // A pause is over one day: what is asked is what comes of the outage.
    twin.ask(Change::ResumeAsked);
    if let Some(begun) = twin.outage().cloned() {
        twin.diary.outage(&begun, 0);
    }
    Run { pace, times, asked_home: false, leg_began: 0, idle: 0 }.through(&mut twin);
    Some(account::of(&twin, stored.then_some(&outage), all, times, (rate, pace), now))
}

/// When things are to happen, in milliseconds after the beginning.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    /// When the power goes, which can be put off.
    power_off: Option<u64>,
    /// When the battery is empty.
    battery: Option<u64>,
    /// When the power is back.
    back: Option<u64>,
}

impl Times {
    /// When the power goes, for whatever reason.
    pub(crate) fn dark(self) -> Option<u64> {
        self.battery.or(self.power_off)
    }
}

/// Where a rehearsal begins.
struct Stage {
    outage: Outage,
    site: SiteName,
    start: Timestamp,
    times: Times,
}

impl Stage {
    fn of(snap: &Snapshot, rules: &Rules, what: &What, now: Timestamp) -> Option<Self> {
        match what {
            What::Stored(outage) => Self::stored(snap, rules, outage, now),
            What::Sudden(site, time_ms) => {
                let scope = Scope::Site(site.clone());
                let mut all = snap.outages.values().map(|entry| &entry.value);
                let open = all.find(|outage| outage.scope == scope && outage.state.is_open());
                let times = Times { battery: time_ms.or_else(|| battery(snap, site, now)), ..Times::default() };
                let outage = match open {
                    Some(open) => open.clone(),
                    None => {
                        let id = next_outage(site.as_str(), snap.outages.keys().map(String::as_str))?;
                        Outage::begun(id, scope, String::new(), now)
                    }
                };
                Some(Self { outage, site: site.clone(), start: now, times })
            }
        }
    }

    fn stored(snap: &Snapshot, rules: &Rules, outage: &Outage, now: Timestamp) -> Option<Self> {
        let Scope::Site(site) = &outage.scope else { return None };
        let scheduled = outage.state == State::Scheduled && !outage.is_proposed();
        let begins = outage.window.filter(|_| scheduled).map(|w| calendar::begins_at(snap, rules, outage, w, now));
        let start = begins.map_or(now, |begins| begins.max(now));
        let ahead = |at: Timestamp| (at > start).then(|| at.millis_since(start));
        let times = Times {
            power_off: outage.window.and_then(|window| ahead(window.from)),
            battery: if scheduled { None } else { battery(snap, site, start) },
            back: outage.window.and_then(|window| ahead(window.until)),
        };
        Some(Self { outage: outage.clone(), site: site.clone(), start, times })
    }
}

/// In how many milliseconds a site's battery is empty, if it is on battery.
fn battery(snap: &Snapshot, site: &SiteName, now: Timestamp) -> Option<u64> {
    let power = snap.sites.get(site.as_str())?.value.power.filter(|power| power.supply == Supply::Battery)?;
    power.ends_at().filter(|ends| *ends > now).map(|ends| ends.millis_since(now))
}

/// The passing of time, from turn to turn.
struct Run {
    pace: Pace,
    times: Times,
    asked_home: bool,
    leg_began: u64,
    /// Turns in a row that changed nothing.
    idle: u32,
}

impl Run {
    fn through(mut self, twin: &mut Twin) {
        while twin.turns < self.pace.turns && twin.clock.saturating_sub(self.leg_began) < LONGEST_LEG_MS {
            let changed = twin.turn();
            let Some(state) = twin.outage().map(|outage| outage.state) else { return };
            self.idle = if changed { 0 } else { self.idle.saturating_add(1) };
            match state {
                State::Completed | State::Cancelled => return,
                State::Returning if !self.asked_home => self.goes_home(twin),
                State::Evacuated if !changed && twin.is_at_rest() && self.is_dark(twin) => {
                    // Until the power is back nothing happens any more.
                    let back = self.times.back.unwrap_or(twin.clock);
                    twin.pass(back.max(twin.clock));
                    self.come_home(twin);
                }
                State::Evacuating | State::Evacuated if self.times.back.is_some_and(|back| twin.clock >= back) => {
                    self.come_home(twin);
                }
                _ => {}
            }
            let next = self.next(twin, changed);
            twin.pass(next);
        }
    }

    /// Whether the power has gone, if it is known when it goes.
    fn is_dark(&self, twin: &Twin) -> bool {
        self.times.dark().is_none_or(|at| twin.clock >= at)
    }

    fn come_home(&mut self, twin: &mut Twin) {
        if self.asked_home {
            return;
        }
        if self.times.battery.is_some() {
            twin.tell(Supply::Mains, None);
        }
        self.goes_home(twin);
        twin.ask(Change::ReturnAsked);
    }

    fn goes_home(&mut self, twin: &mut Twin) {
        if twin.diary.at_risk.is_none() {
            let there = twin.still_there();
            twin.diary.power_off(there);
        }
        self.asked_home = true;
        self.leg_began = twin.clock;
    }

    /// When the next turn is.
    fn next(&self, twin: &Twin, changed: bool) -> u64 {
        let (clock, event) = (twin.clock, twin.next_event().unwrap_or(u64::MAX));
        let step = if twin.link.is_busy() { self.pace.step_ms } else { twin::STEP_MS };
        if changed {
            return clock.saturating_add(step);
        }
        // Some things are decided by the time alone. The nearer the power's going, the more often is looked.
        let rests = twin.outage().is_some_and(|outage| outage.state == State::Evacuated) && twin.is_at_rest();
        let idle = if rests { u64::MAX } else { (1_000_u64 << self.idle.min(5)).max(self.pace.step_ms) };
        let ends = self.times.dark().filter(|at| *at > clock).map_or(u64::MAX, |at| ((at - clock) / 16).max(1_000));
        let idle = idle.min(ends).min(LONGEST_LEG_MS);
        clock.saturating_add(idle).min(event.max(clock.saturating_add(step)))
    }
}
