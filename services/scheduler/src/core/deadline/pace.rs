//! How long servers take to leave, by what is measured while they do and by what was measured before.

use std::cmp::Reverse;

use watari_model::{
    migration::{Migration, Reason, State},
    outage::{Outage, Scope},
};

use crate::core::{forecast::bytes_of, turn::Turn};

/// What was measured before counts as much as this many bytes of now.
const BEFORE: u64 = 16 << 20;
/// What is smaller says more of the hypervisors' greeting than of the link.
const TELLING: u64 = 1 << 20;
/// A copy sends little in its first seconds: it says something of the link after this many milliseconds.
const SETTLED_MS: u64 = 5_000;
/// So many of the last migrations that left the site tell how fast its link is.
const LAST: usize = 20;

/// How fast servers leave a site. It is measured once for each decision: all migrations are gone through.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    /// Bytes a second; none if nothing is known.
    rate: Option<u64>,
    /// Whether this evacuation has shown it.
    pub(super) is_measured: bool,
}

/// What has travelled, and in how many milliseconds.
type Sent = (u64, u64);

impl Pace {
    pub(crate) fn of(turn: &Turn<'_>, outage: &Outage) -> Self {
        let began = outage.out.map_or(outage.created_at, |leg| leg.began_at);
        let snap = turn.snap;
        let all = || snap.migrations.values().map(|entry| &entry.value);
        let sum = |sum: Sent, one: Sent| (sum.0.saturating_add(one.0), sum.1.saturating_add(one.1));
        let mine = |m: &&Migration| {
            m.outage.as_ref() == Some(&outage.id) && m.reason == Reason::Evacuation && m.created_at >= began
        };
        let now = all().filter(mine).filter_map(|m| arrived(m).or_else(|| on_the_way(turn, m)));
        let (sent, millis) = now.fold((0, 0), sum);
        let mut before: Vec<&Migration> = all().filter(|m| !mine(m) && crossed(turn, outage, m)).collect();
        before.sort_by_key(|m| Reverse(m.changed_at));
        let before = before.into_iter().take(LAST).filter_map(arrived);
        let (known, took) = before.fold((0, 0), sum);
        let weight = if known == 0 { 0_u64 } else { BEFORE };
        let weight_ms = weight.saturating_mul(took).checked_div(known).unwrap_or(0);
        let rate = weight.saturating_add(sent).saturating_mul(1_000).checked_div(weight_ms.saturating_add(millis));
        Self { rate: rate.filter(|rate| *rate > 0), is_measured: millis > 0 }
    }

    /// Milliseconds that so many bytes take; 0 where nothing is known of the link.
    pub(super) fn takes_ms(&self, bytes: u64) -> u64 {
        self.rate.and_then(|rate| bytes.saturating_mul(1_000).checked_div(rate)).unwrap_or(0)
    }

    /// What a migration has still to send.
    pub(super) fn bytes_left(&self, turn: &Turn<'_>, migration: &Migration) -> u64 {
        let vm = turn.snap.vms.get(migration.vm.as_str()).map(|entry| &entry.value);
        let all = vm.map_or(0, |vm| bytes_of(turn, vm));
        match migration.state {
            State::Queued | State::Preparing => all,
            State::Copying => match turn.transfer(migration) {
                // What the guest has not used is soon sent, and counts as left until then.
                Some(t) if t.memory_total > 0 => {
                    let (sent, left) = (t.memory_sent + t.disk_sent, t.memory_left + t.disk_left);
                    if sent < all { left.min(all - sent) } else { left }
                }
                Some(t) => all.saturating_sub(t.memory_sent + t.disk_sent),
                None => {
                    let millis = migration.copying_at.map_or(0, |began| turn.now.millis_since(began));
                    all.saturating_sub(self.rate.unwrap_or(0).saturating_mul(millis) / 1_000)
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

fn arrived(migration: &Migration) -> Option<Sent> {
    let measured = migration.measured.filter(|_| migration.state == State::Completed)?;
    let bytes = measured.memory_bytes.saturating_add(measured.disk_bytes);
    (bytes >= TELLING && measured.total_ms > 0).then_some((bytes, measured.total_ms))
}

fn on_the_way(turn: &Turn<'_>, migration: &Migration) -> Option<Sent> {
    let millis = turn.now.millis_since(migration.copying_at.filter(|_| migration.state == State::Copying)?);
    let transfer = turn.transfer(migration)?;
    let bytes = transfer.memory_sent.saturating_add(transfer.disk_sent);
    (bytes >= TELLING && millis >= SETTLED_MS).then_some((bytes, millis))
}
