//! Putting the picture together: what every service process tells, and what NATS knows.

use std::time::Duration;

use futures_util::future::join_all;
use serde::Serialize;
use watari_chassis::Patience;
use watari_contracts::{
    Service,
    frontend::{AskStanding, Quorum, STANDING, Standing, StoreStanding, StreamView},
    permissions::{BUCKETS, LEASES},
};
use watari_model::{SiteName, frontend::Primacy};

use crate::{Context, failure::Failure};

/// A process that is there answers within a few milliseconds.
const STANDINGS: Patience = Patience { total: Duration::from_secs(2), quiet: Duration::from_millis(300) };

/// Everything. The field names are stable.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    /// From where the services should lead; none if nobody has said so.
    pub wish: Option<Primacy>,
    /// Each service's processes.
    pub services: Vec<ServiceStatus>,
    /// The streams under the buckets.
    pub streams: Vec<StreamView>,
    /// The NATS servers, if a scheduler that leads looks after them.
    pub quorum: Option<Quorum>,
}

/// One service.
#[derive(Debug, Serialize)]
pub(crate) struct ServiceStatus {
    /// Which.
    pub service: Service,
    /// Who leads; none while nobody does.
    pub leader: Option<Instance>,
    /// Who stands by.
    pub standbys: Vec<Instance>,
}

/// One process.
#[derive(Debug, Serialize)]
pub(crate) struct Instance {
    /// Its name.
    pub instance: String,
    /// Where it stands.
    pub site: Option<SiteName>,
    /// The epoch of its tenure, if it leads.
    pub epoch: Option<u64>,
    /// The NATS server that it is connected to.
    pub nats: String,
    /// How many writes it has not seen yet, over all buckets that it follows.
    pub lag: u64,
    /// How its object store stands, if it is an image service that has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreStanding>,
    /// Its version.
    pub version: String,
}

impl Status {
    /// Asks everybody.
    pub(crate) async fn look(ctx: &Context) -> Result<Self, Failure> {
        let buckets: Vec<&str> = BUCKETS.iter().map(|(bucket, _)| *bucket).chain([LEASES]).collect();
        let standings: Vec<Standing> = ctx.session.gather(STANDING, &AskStanding {}, STANDINGS).await?;
        let bus = ctx.session.bus().await?;
        // A stream that has no leader does not answer; that too is its state, and told as an absence.
        let asked = buckets.into_iter().map(|bucket| bus.stream(bucket));
        let streams: Vec<StreamView> = join_all(asked).await.into_iter().filter_map(Result::ok).collect();
        let newest = standings.iter().filter_map(|s| s.wish.clone()).max_by_key(|wish| wish.changed_at);
        let services = Service::OF_FRONT.map(|service| ServiceStatus::of(service, &standings, &streams)).into();
        let quorum = standings.iter().find_map(|s| s.quorum.clone());
        Ok(Self { wish: newest, services, streams, quorum })
    }

    /// Whether every service leads from there.
    pub(crate) fn all_lead_from(&self, site: &SiteName) -> bool {
        let there = |s: &ServiceStatus| s.leader.as_ref().is_some_and(|l| l.site.as_ref() == Some(site));
        self.services.iter().all(there)
    }
}

impl ServiceStatus {
    fn of(service: Service, standings: &[Standing], streams: &[StreamView]) -> Self {
        let instance = |standing: &Standing| Instance {
            instance: standing.instance.clone(),
            site: standing.site.clone(),
            epoch: standing.epoch,
            nats: standing.nats.clone(),
            lag: lag(standing, streams),
            store: standing.store.clone(),
            version: standing.version.clone(),
        };
        let mine = || standings.iter().filter(|standing| standing.service == service);
        // Of two that believe to lead the later epoch is right; the other is about to find out.
        let leader = mine().filter(|s| s.leads).max_by_key(|s| s.epoch);
        let standbys = mine().filter(|s| leader.is_none_or(|l| l.instance != s.instance)).map(instance);
        let mut standbys: Vec<Instance> = standbys.collect();
        standbys.sort_by(|a, b| a.instance.cmp(&b.instance));
        Self { service, leader: leader.map(instance), standbys }
    }
}

/// Both numbers are of about the same moment: what is written meanwhile may count as not seen.
fn lag(standing: &Standing, streams: &[StreamView]) -> u64 {
    let behind = |(bucket, seen): (&String, &u64)| {
        let stream = streams.iter().find(|stream| stream.bucket == *bucket);
        stream.map_or(0, |stream| stream.last.saturating_sub(*seen))
    };
    standing.followed.iter().map(behind).sum()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn standing(instance: &str, epoch: Option<u64>, seen: u64) -> Standing {
        Standing {
            service: Service::Network,
            instance: instance.to_owned(),
            site: "yamate".parse().ok(),
            leads: epoch.is_some(),
            epoch,
            leader: None,
            nats: "n".to_owned(),
            followed: BTreeMap::from([("ports".to_owned(), seen)]),
            wish: None,
            quorum: None,
            store: None,
            version: "0".to_owned(),
        }
    }

    #[test]
    fn the_later_epoch_leads_and_lag_is_counted_in_writes() {
        let all = [standing("a", Some(3), 10), standing("b", Some(9), 9), standing("c", None, 4)];
        let (bucket, followers) = ("ports".to_owned(), Vec::new());
        let streams = [StreamView { bucket, replicas: 3, leader: None, followers, last: 10 }];
        let status = ServiceStatus::of(Service::Network, &all, &streams);
        assert_eq!(status.leader.as_ref().map(|l| (l.instance.as_str(), l.lag)), Some(("b", 1)));
        let standbys: Vec<_> = status.standbys.iter().map(|s| (s.instance.as_str(), s.lag)).collect();
        assert_eq!(standbys, [("a", 0), ("c", 6)]);
        assert!(ServiceStatus::of(Service::Image, &all, &streams).leader.is_none());
    }
}
