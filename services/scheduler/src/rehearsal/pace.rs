//! In which steps a rehearsal's time passes, and what the link is taken to carry.

use watari_model::{NodeName, VmName};

use super::{link::Loads, twin::STEP_MS};
use crate::core::{ASSUMED, Rules, Snapshot, Speed, Sums, forecast};

/// About so many turns a migration takes, there and back.
const TURNS_EACH: u64 = 40;
/// Turns besides.
const TURNS_BESIDES: u64 = 600;

/// How much deciding a rehearsal may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    /// Turns, times the servers of the cloud.
    pub(crate) looks: u64,
    /// Turns at the least.
    pub(crate) least: u32,
    /// And at the most.
    pub(crate) most: u32,
}

impl Default for Budget {
    /// Some seconds.
    fn default() -> Self {
        Self { looks: 2_000_000, least: 300, most: 8_000 }
    }
}

/// How a rate is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Measured,
    SentAhead,
    Given,
    Assumed,
}

/// What the link carries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// Bytes a second, in each direction.
    pub(crate) bytes: u64,
    pub(crate) known: Known,
    /// What the last migrations took.
    past: Sums,
}

impl Rate {
    pub(super) fn of(snap: &Snapshot, given: Option<u64>) -> Self {
        let past = forecast::crossings(snap);
        let (bytes, known) = match (given, Speed::of(&past)) {
            (Some(bytes), _) => (bytes.max(1), Known::Given),
            (None, Some(speed)) => (speed.rate(), Known::Measured),
            (None, None) => forecast::carried(snap).map_or((ASSUMED, Known::Assumed), |rate| (rate, Known::SentAhead)),
        };
        Self { bytes, known, past }
    }

    /// Milliseconds that each migration takes besides. What was learned beside another rate does not count: the time in
    /// which bytes travel would count twice.
    pub(super) fn fixed_ms(&self) -> u64 {
        self.past.fixed_beside(self.bytes)
    }

    /// Bytes a second at which each copy went the last times, if the link carried then what it is taken to; 0 if none did.
    pub(super) fn went(&self, rules: &Rules) -> u64 {
        self.past.rate_beside(self.bytes) / rules.flows()
    }

    /// What as many copies as travel at once take of it, if each has a bound of its own.
    pub(super) fn within(self, rules: &Rules) -> Self {
        Self { bytes: rules.bound().map_or(self.bytes, |most| self.bytes.min(most)), ..self }
    }
}

/// The steps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Milliseconds from turn to turn while something travels.
    pub(crate) step_ms: u64,
    /// So many times more migrations are begun at once than travel.
    ahead: u64,
    /// Turns at the most.
    pub(super) turns: u32,
}

impl Pace {
    /// For so many servers that move, and so long until the power goes.
    pub(super) fn of(
        snap: &Snapshot,
        loads: &Loads,
        rate: Rate,
        moving: &[(VmName, NodeName)],
        time_ms: Option<u64>,
        budget: Budget,
    ) -> Self {
        let servers = u64::try_from(snap.vms.len()).unwrap_or(u64::MAX).max(1);
        let turns = u32::try_from(budget.looks / servers).unwrap_or(u32::MAX).clamp(budget.least, budget.most);
        let (many, all) = (u64::try_from(moving.len()).unwrap_or(u64::MAX), u64::from(turns).max(1));
        if many.saturating_mul(TURNS_EACH).saturating_add(TURNS_BESIDES) <= all {
            return Self { step_ms: STEP_MS, ahead: 1, turns };
        }
        let vms = moving.iter().filter_map(|(vm, _)| snap.vms.get(vm.as_str()));
        let bytes = vms.map(|entry| loads.get(&entry.value).bytes(rate.bytes)).fold(0, u64::saturating_add);
        let fixed_ms = many.saturating_mul(rate.fixed_ms());
        let leg_ms = (bytes.saturating_mul(1_000) / rate.bytes.max(1)).saturating_add(fixed_ms);
        // A quarter of the turns for the travelling in each direction; the rest is for beginnings, ends and pauses.
        let step_ms = (leg_ms.saturating_mul(4) / all).max(STEP_MS);
        let step_ms = time_ms.map_or(step_ms, |time| step_ms.min((time / 60).max(STEP_MS)));
        // As many are begun as may travel in some steps: a migration takes that many to be prepared.
        let rounds = (leg_ms / step_ms).max(1);
        let ahead = many.saturating_mul(6).div_ceil(rounds).saturating_add(1);
        Self { step_ms, ahead, turns }
    }

    /// The rules that go with it.
    pub(super) fn rules(&self, rules: &Rules) -> Rules {
        let times = usize::try_from(self.ahead).unwrap_or(usize::MAX);
        let mut rules = rules.clone();
        // Nodes are not switched here.
        rules.dark.always = false;
        if self.ahead > 1 {
            rules.in_flight = rules.in_flight.max(1).saturating_mul(times);
            rules.ahead = rules.ahead.max(1).saturating_mul(times);
            // They wait for those before them, and for the next step.
            rules.prepare_ms = rules.prepare_ms.max(self.step_ms.saturating_mul(16));
            rules.copy_ms = rules.copy_ms.saturating_mul(self.ahead);
        }
        rules
    }
}
