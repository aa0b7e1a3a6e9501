//! Whether somebody who is no server has a public address that is newly led to a server here.
//!
//! It is asked for before this node answers for it, and beside everything else: whatever goes on with a plan waits for
//! nobody. What comes along with a server that arrives is not asked for, since the node before may still answer for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::Ipv4Addr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use futures_util::future::join_all;
use watari_chassis::CancellationToken;
use watari_contracts::plan::{LocalPort, NetworkPlan};
use watari_model::SegmentName;

use crate::plumbing::{arp, links::Mac, overlay};

/// How often somebody has to answer to be taken for a stranger. Another node of ours may answer still, and lets go of the
/// address by a plan of its own.
const ANSWERS: u32 = 5;

struct Doubt {
    segment: SegmentName,
    /// Who has it, as far as anybody has been asked.
    holder: Option<Mac>,
    /// How often somebody answered.
    answers: u32,
}

impl Doubt {
    fn of(segment: SegmentName) -> Self {
        Self { segment, holder: None, answers: 0 }
    }

    /// Somebody answers. Whether that is to be said now: each stranger once.
    fn heard(&mut self, mac: Mac) -> bool {
        self.answers = self.answers.saturating_add(1);
        let is_new = self.holder.replace(mac) != Some(mac);
        self.answers == ANSWERS || (self.answers > ANSWERS && is_new)
    }

    /// Whether it may be a node of ours that answered.
    fn may_end(&self) -> bool {
        self.holder.is_some() && self.answers < ANSWERS
    }
}

#[derive(Default)]
struct State {
    /// What the newest plan leads to each port whose server is here, by the server's UUID and its card.
    led: BTreeMap<(String, u32), Option<Ipv4Addr>>,
    all: BTreeMap<Ipv4Addr, Doubt>,
}

/// What is to be asked for, and what somebody has.
#[derive(Default)]
pub(super) struct Doubts(Mutex<State>);

impl Doubts {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Doubts what a plan leads to servers that are here already, and the one before it did not; and no more what it leads
    /// to nobody here.
    pub(super) fn follow(&self, plan: &NetworkPlan) {
        let led: BTreeSet<Ipv4Addr> = ports(plan).filter_map(|port| Some(port.public.as_ref()?.address)).collect();
        let mut state = self.state();
        state.all.retain(|address, _| led.contains(address));
        let before = std::mem::take(&mut state.led);
        for port in ports(plan).filter(|port| port.via.is_none()) {
            let (key, address) = ((port.vm_uuid.clone(), port.card), port.public.as_ref().map(|public| public.address));
            if let Some(public) = &port.public
                && before.get(&key).is_some_and(|before| *before != address)
            {
                state.all.insert(public.address, Doubt::of(public.segment.clone()));
            }
            state.led.insert(key, address);
        }
    }

    /// Whether this node may answer for an address.
    ///
    /// # Errors
    /// Somebody else does.
    pub(super) fn permits(&self, address: Ipv4Addr) -> io::Result<bool> {
        match self.state().all.get(&address) {
            None => Ok(true),
            Some(Doubt { holder: None, .. }) => Ok(false),
            Some(Doubt { holder: Some(mac), segment, .. }) => Err(io::Error::other(format!(
                "public address {address} is used by a machine that is no server here: {} answers on segment {segment}",
                overlay::text(*mac)
            ))),
        }
    }

    /// Whether it may be a node of ours that has one of them still.
    pub(super) fn may_end(&self) -> bool {
        self.state().all.values().any(Doubt::may_end)
    }

    /// Asks for all of them at once. Whether this node may answer for another one now.
    pub(super) async fn ask(&self, segments: &BTreeMap<SegmentName, String>) -> bool {
        let asked: Vec<(Ipv4Addr, String)> = {
            let state = self.state();
            let of_bridge =
                |(address, doubt): (&Ipv4Addr, &Doubt)| Some((*address, segments.get(&doubt.segment)?.clone()));
            state.all.iter().filter_map(of_bridge).collect()
        };
        let mut asking = Vec::new();
        for (address, wire) in &asked {
            asking.push(holder(*address, wire));
        }
        let found = join_all(asking).await;
        let (mut state, mut cleared) = (self.state(), false);
        for ((address, wire), found) in asked.iter().zip(found) {
            match found {
                Ok(None) => cleared |= state.all.remove(address).is_some(),
                Ok(Some(mac)) => {
                    let Some(doubt) = state.all.get_mut(address) else { continue };
                    if doubt.heard(mac) {
                        let mac = overlay::text(mac);
                        tracing::error!(%address, wire, mac, "a public address is used by a machine that is no server here");
                    }
                }
                Err(error) => {
                    // No reason to keep a server off.
                    tracing::warn!(%address, wire, %error, "nobody can be asked whether a public address is free");
                    cleared |= state.all.remove(address).is_some();
                }
            }
        }
        cleared
    }
}

/// Who has it on that bridge, but for this node itself.
async fn holder(address: Ipv4Addr, wire: &str) -> io::Result<Option<Mac>> {
    // Nothing is waited for but the answers.
    let ready = CancellationToken::new();
    ready.cancel();
    arp::holder(wire, arp::hardware(wire)?, address, &ready).await
}

fn ports(plan: &NetworkPlan) -> impl Iterator<Item = &LocalPort> {
    plan.networks.iter().flat_map(|network| &network.here)
}

#[cfg(test)]
mod tests {
    use watari_contracts::plan::{PlannedNetwork, PublicPort};
    use watari_model::network::Kind;

    use super::*;

    const ELSEWHERE: Option<Ipv4Addr> = Some(Ipv4Addr::new(192, 0, 2, 2));
    const PUBLIC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 200);

    /// A plan with one server, and where that still runs.
    fn plan(public: Option<Ipv4Addr>, via: Option<Ipv4Addr>) -> NetworkPlan {
        let public = public.map(|address| PublicPort {
            address,
            segment: "campus".parse().unwrap(),
            subnet: "203.0.113.0/24".to_owned(),
            gateway: None,
        });
        let (mac, address) = ("52:57:0a:01:00:0a".to_owned(), Ipv4Addr::new(10, 1, 0, 10));
        let (vm, vm_uuid) = ("app".parse().unwrap(), "a".to_owned());
        let here = vec![LocalPort { vm, vm_uuid, card: 0, mac, address, address6: None, via, public }];
        let (network, kind) = ("lab".parse().unwrap(), Kind::Overlay);
        let network = PlannedNetwork { network, kind, overlay: None, here, elsewhere: Vec::new() };
        NetworkPlan { networks: vec![network], ..NetworkPlan::default() }
    }

    fn permitted(before: &NetworkPlan, now: &NetworkPlan) -> bool {
        let doubts = Doubts::default();
        doubts.follow(before);
        doubts.follow(now);
        doubts.permits(PUBLIC).unwrap()
    }

    #[test]
    fn what_is_newly_led_to_a_server_here_is_doubted_and_what_comes_with_one_is_not() {
        let new = plan(Some(PUBLIC), None);
        assert!(!permitted(&plan(None, None), &new));
        assert!(!permitted(&plan(Some(Ipv4Addr::new(203, 0, 113, 201)), None), &new), "another before");
        assert!(permitted(&new, &new), "as before");
        assert!(permitted(&plan(Some(PUBLIC), ELSEWHERE), &new), "its server has arrived");
        assert!(permitted(&plan(None, None), &plan(Some(PUBLIC), ELSEWHERE)), "its server is still to arrive");
        assert!(permitted(&NetworkPlan::default(), &new), "nobody knows what was before");
    }

    #[test]
    fn a_doubt_lasts_as_long_as_the_address_leads_here() {
        let doubts = Doubts::default();
        for public in [None, Some(PUBLIC), Some(PUBLIC)] {
            doubts.follow(&plan(public, None));
        }
        assert!(!doubts.permits(PUBLIC).unwrap());
        doubts.follow(&plan(None, None));
        assert!(doubts.permits(PUBLIC).unwrap());
    }

    #[test]
    fn whoever_answers_again_and_again_is_a_stranger_and_said_once() {
        let doubts = Doubts::default();
        doubts.follow(&plan(None, None));
        doubts.follow(&plan(Some(PUBLIC), None));
        assert!(!doubts.may_end(), "nobody has answered");
        let heard = |mac| doubts.state().all.get_mut(&PUBLIC).unwrap().heard(mac);
        for _ in 1..ANSWERS {
            assert!(!heard([2; 6]) && doubts.may_end() && doubts.permits(PUBLIC).is_err());
        }
        assert!(heard([2; 6]) && !doubts.may_end() && doubts.permits(PUBLIC).is_err());
        assert!(!heard([2; 6]) && heard([4; 6]), "another one is said too");
    }

    #[tokio::test]
    async fn where_nobody_can_be_asked_it_is_used() {
        let doubts = Doubts::default();
        doubts.follow(&plan(None, None));
        doubts.follow(&plan(Some(PUBLIC), None));
        let segments = [("campus".parse().unwrap(), "no-such-bridge".to_owned())].into();
        assert!(doubts.ask(&segments).await && doubts.permits(PUBLIC).unwrap());
        assert!(!doubts.ask(&segments).await, "nothing is left to ask for");
    }
}
