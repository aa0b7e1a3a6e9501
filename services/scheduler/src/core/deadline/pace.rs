//! How long servers take to leave, by what is measured while they do and by what was measured before.

use watari_model::{
    migration::{Migration, Reason, State},
    outage::{Outage, Scope},
};

use crate::core::{
    forecast::{bytes_of, own_bytes},
    speed,
    speed::{Speed, Sums, Trip},
    turn::Turn,
};

/// What was measured before counts as much as this many bytes of now, and as one migration.
const BEFORE: u64 = 16 << 20;
/// What is smaller says more of the hypervisors' greeting than of the link.
const TELLING: u64 = 1 << 20;
/// A copy sends little in its first seconds: it says something of the link after this many milliseconds.
const SETTLED_MS: u64 = 5_000;

/// How fast servers leave a site. It is measured once for each decision: all migrations are gone through.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    /// None if nothing is known.
    speed: Option<Speed>,
    /// Whether this evacuation has shown it.
    pub(super) is_measured: bool,
}

impl Pace {
    pub(crate) fn of(turn: &Turn<'_>, outage: &Outage) -> Self {
        let began = outage.out.map_or(outage.created_at, |leg| leg.began_at);
        let snap = turn.snap;
        let all = || snap.migrations.values().map(|entry| &entry.value);
        let mine = |m: &&Migration| {
            m.outage.as_ref() == Some(&outage.id) && m.reason == Reason::Evacuation && m.created_at >= began
        };
        let now = sums(all().filter(mine).filter_map(|m| arrived(m).or_else(|| on_the_way(turn, m))));
        let before = speed::last(all().filter(|m| !mine(m) && crossed(turn, outage, m)));
        let before: Vec<_> = before.into_iter().filter_map(|m| Some(((), arrived(m)?))).collect();
        let before = Sums::of_newest(speed::LAST, &before);
        Self { speed: together(&before, &now), is_measured: now.travel_ms() > 0 }
    }

    /// Milliseconds that a server of so many bytes takes; 0 where nothing is known of the link.
    pub(super) fn takes_ms(&self, bytes: u64) -> u64 {
        self.speed.map_or(0, |speed| speed.takes_ms(1, bytes))
    }

    /// Milliseconds that a migration still takes.
    pub(super) fn left_ms(&self, turn: &Turn<'_>, migration: &Migration) -> u64 {
        let begins = matches!(migration.state, State::Queued | State::Preparing);
        let bytes = self.bytes_left(turn, migration);
        self.speed.map_or(0, |speed| speed.takes_ms(u64::from(begins), bytes))
    }

    /// What a migration has still to send.
    fn bytes_left(&self, turn: &Turn<'_>, migration: &Migration) -> u64 {
        let vm = turn.snap.vms.get(migration.vm.as_str()).map(|entry| &entry.value);
        let all = vm.map_or(0, |vm| own_bytes(turn, vm));
        match migration.state {
            State::Queued => vm.map_or(0, |vm| bytes_of(turn, vm)),
            // Layers that have come into their places are told as kept no more.
            State::Preparing => all.saturating_add(vm.map_or(0, |vm| turn.rooms.base_to_send(vm))),
            State::Copying => match turn.transfer(migration) {
                // What the guest has not used is soon sent, and counts as left until then.
                Some(t) if t.memory_total > 0 => {
                    let (sent, left) = (t.memory_sent + t.disk_sent, t.memory_left + t.disk_left);
                    if sent < all { left.min(all - sent) } else { left }
                }
                Some(t) => all.saturating_sub(t.memory_sent + t.disk_sent),
                None => {
                    let millis = migration.copying_at.map_or(0, |began| turn.now.millis_since(began));
                    all.saturating_sub(self.speed.map_or(0, |speed| speed.rate()).saturating_mul(millis) / 1_000)
                }
            },
            _ => 0,
        }
    }
}

/// Whether it left what goes dark for another site.
fn crossed(turn: &Turn<'_>, outage: &Outage, migration: &Migration) -> bool {
    let Scope::Site(site) = &outage.scope else { return false };
    let (from, to) = (turn.snap.site_of(&migration.from), turn.snap.site_of(&migration.to));
    from == Some(site) && to.is_some_and(|to| to != site)
}

fn arrived(migration: &Migration) -> Option<Trip> {
    Trip::of(migration).filter(|trip| trip.bytes >= TELLING && trip.millis > 0)
}

fn on_the_way(turn: &Turn<'_>, migration: &Migration) -> Option<Trip> {
    let began = migration.copying_at.filter(|_| migration.state == State::Copying);
    let millis = turn.now.millis_since(began?);
    let transfer = turn.transfer(migration)?;
    let bytes = transfer.memory_sent.saturating_add(transfer.disk_sent);
    (bytes >= TELLING && millis >= SETTLED_MS).then_some(Trip { began, millis, bytes, is_whole: false })
}

/// All of them leave one site, the same way.
fn sums(trips: impl Iterator<Item = Trip>) -> Sums {
    Sums::of(trips.map(|trip| ((), trip)))
}

/// By what is measured now, and by what was before as far as that counts.
fn together(before: &Sums, now: &Sums) -> Option<Speed> {
    let weight = if before.bytes == 0 { 0 } else { BEFORE };
    let weight_ms = weight.saturating_mul(before.travel_ms()).checked_div(before.bytes).unwrap_or(0);
    let (each, count) = before.fixed_ms().checked_div(before.whole).map_or((0, 0), |each| (each, 1));
    let fixed_ms = each.saturating_add(now.fixed_ms()).checked_div(now.whole + count).unwrap_or(0);
    Speed::new(weight.saturating_add(now.bytes), weight_ms.saturating_add(now.travel_ms()), fixed_ms)
}
