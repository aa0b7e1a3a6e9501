//! What is known, and how it is looked at.

use watari_contracts::{
    monitor::NodeView,
    scheduler::{OutageView, SiteView, VmView},
};

use super::watch::{Fresh, Stale, Told};
use crate::lang::Signs;

/// Everything that is drawn.
#[derive(Default)]
pub(super) struct State {
    pub(super) sites: Vec<SiteView>,
    pub(super) nodes: Vec<NodeView>,
    pub(super) vms: Vec<VmView>,
    pub(super) outages: Vec<OutageView>,
    /// Whether somebody was asked in vain the last time, so that some of it may be old.
    pub(super) late: bool,
    /// How many lines are above the view.
    pub(super) scroll: usize,
    /// What the terminal can show.
    pub(super) signs: Signs,
}

impl State {
    /// Takes what has come; what has not is to be asked for again.
    pub(super) fn take(&mut self, fresh: Fresh) -> Stale {
        let again = Stale {
            sites: replace(&mut self.sites, fresh.sites),
            nodes: replace(&mut self.nodes, fresh.nodes),
            vms: replace(&mut self.vms, fresh.vms),
            outages: replace(&mut self.outages, fresh.outages),
        };
        self.late = again != Stale::default();
        again
    }

    /// The outages of which something is under way.
    pub(super) fn under_way(&self) -> impl Iterator<Item = &OutageView> {
        self.outages.iter().filter(|outage| outage.state.is_under_way())
    }

    /// Whether anything is on its way.
    pub(super) fn moves(&self) -> bool {
        self.under_way().any(|outage| !outage.moving.is_empty())
    }
}

/// Whether it was asked for in vain.
fn replace<T>(known: &mut Vec<T>, told: Told<Vec<T>>) -> bool {
    match told {
        Told::Unasked => false,
        Told::Silence => true,
        Told::Is(now) => {
            *known = now;
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_silent_is_asked_again_and_what_was_known_stays() {
        let sample = include_str!("../../../../shared/contracts/tests/golden/reply.VmView.json");
        let vms: Vec<VmView> = serde_json::from_str(sample).unwrap();
        let fresh = |vms| Fresh { sites: Told::Unasked, nodes: Told::Unasked, vms, outages: Told::Unasked };
        let mut state = State::default();
        assert_eq!(state.take(fresh(Told::Is(vms))), Stale::default());
        let again = state.take(fresh(Told::Silence));
        assert_eq!(again, Stale { vms: true, ..Stale::default() });
        assert!(state.late && state.vms.len() == 2);
        state.take(fresh(Told::Is(Vec::new())));
        assert!(!state.late && state.vms.is_empty());
    }
}
