//! What has changed since it was asked for, and asking for it.

use std::time::Duration;

use futures_util::future::join4;
use tokio::time::timeout;
use watari_contracts::{
    monitor::{ListNodes, NodeView},
    scheduler::{ListOutages, ListSites, ListVms, OutageView, SiteView, VmView},
};

use crate::{failure::Failure, session::Session};

/// So long an answer is waited for: meanwhile what was known is shown.
const PATIENCE: Duration = Duration::from_secs(3);

/// Which lists are old.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stale {
    pub(super) sites: bool,
    pub(super) nodes: bool,
    pub(super) vms: bool,
    pub(super) outages: bool,
}

impl Stale {
    pub(super) const ALL: Self = Self { sites: true, nodes: true, vms: true, outages: true };

    /// What an event on this subject makes old: sites and nodes count their servers.
    pub(super) fn note(&mut self, subject: &str) {
        let bucket = subject.strip_prefix("watari.event.").and_then(|rest| rest.split('.').next());
        self.also(match bucket {
            Some("vms") => Self { outages: false, ..Self::ALL },
            Some("nodes") => Self { sites: true, nodes: true, ..Self::default() },
            Some("sites") => Self { sites: true, ..Self::default() },
            Some("outages") => Self { sites: true, outages: true, ..Self::default() },
            Some("migrations") => Self { outages: true, ..Self::default() },
            _ => Self::default(),
        });
    }

    /// These are old as well.
    pub(super) fn also(&mut self, other: Self) {
        self.sites |= other.sites;
        self.nodes |= other.nodes;
        self.vms |= other.vms;
        self.outages |= other.outages;
    }
}

/// What came of asking for one list.
pub(super) enum Told<T> {
    /// It was not asked for.
    Unasked,
    /// Nobody has said it in time.
    Silence,
    /// It is this.
    Is(T),
}

/// What came of asking.
pub(super) struct Fresh {
    pub(super) sites: Told<Vec<SiteView>>,
    pub(super) nodes: Told<Vec<NodeView>>,
    pub(super) vms: Told<Vec<VmView>>,
    pub(super) outages: Told<Vec<OutageView>>,
}

/// Asks for the old lists, all at once.
pub(super) async fn ask(session: &Session, wanted: Stale) -> Fresh {
    let sites = async { Ok::<_, Failure>(session.ask(&ListSites {}).await?.sites) };
    let nodes = session.pages(ListNodes::default(), |page| (page.nodes, page.next), |r, after| r.after = after);
    let vms = session.pages(ListVms::default(), |page| (page.vms, page.next), |r, after| r.after = after);
    let outages = async { Ok::<_, Failure>(session.ask(&ListOutages {}).await?.outages) };
    let (sites, nodes, vms, outages) = join4(
        told(wanted.sites, sites),
        told(wanted.nodes, nodes),
        told(wanted.vms, vms),
        told(wanted.outages, outages),
    )
    .await;
    Fresh { sites, nodes, vms, outages }
}

async fn told<T>(wanted: bool, answer: impl Future<Output = Result<T, Failure>>) -> Told<T> {
    if !wanted {
        return Told::Unasked;
    }
    match timeout(PATIENCE, answer).await {
        Ok(Ok(told)) => Told::Is(told),
        Ok(Err(_)) | Err(_) => Told::Silence,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_makes_old_what_it_changes_and_nothing_else() {
        let of = |subject: &str| {
            let mut stale = Stale::default();
            stale.note(subject);
            stale
        };
        let vms = of("watari.event.vms.mail");
        assert!(vms.vms && vms.nodes && vms.sites && !vms.outages);
        assert_eq!(of("watari.event.migrations.mail-1"), Stale { outages: true, ..Stale::default() });
        for other in
            ["watari.event.leases.scheduler", "watari.event.ports.campus.203-0-113-100", "watari.beat.m.m1", ""]
        {
            assert_eq!(of(other), Stale::default(), "{other}");
        }
    }
}
