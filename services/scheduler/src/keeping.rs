//! Looking at the control plane, and keeping NATS as it should be. It runs beside the scheduler's own
//! loop and only in the process that leads: what it sees is told to that loop and to whoever asks.
//! While all is well it looks rarely, and at the streams more rarely still.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{OnceCell, watch};
use watari_chassis::{BusError, Keeper, Leadership, Patience, Wake, WriteError, clock, looper};
use watari_contracts::{
    frontend::{AskStanding, Quorum as Servers, STANDING, StreamView},
    permissions::{BUCKETS, LEASES, PRIVATE},
};
use watari_model::{
    SiteName,
    frontend::Primacy,
    outage::{Outage, Scope, State},
};

use crate::{
    core::{Act, Control, ControlSight, Scene, Snapshot},
    doing::Executor,
    settings::{Quorum, Settings},
};

/// A process that is there answers within milliseconds, on a busy machine within a few hundred.
const STANDINGS: Patience = Patience { total: Duration::from_millis(800), quiet: Duration::from_millis(250) };

/// While all is well and the NATS servers say what they said before, the streams are asked no more often than this, in
/// milliseconds. Each is a question of its own that every server takes in, and most of what an idle cloud asks JetStream.
const REST_STREAMS_MS: u64 = 30_000;

/// How long leaders of streams stay where they are while services are handed over. That takes a fraction of a second;
/// a service that does not come is not waited for by all others.
const HANDING_OVER_MS: u64 = 5_000;

/// What is looked after, and with what.
struct Keeping {
    executor: Executor,
    settings: Settings,
    keeper: OnceCell<Keeper>,
    members: Mutex<Members>,
    last: Mutex<Option<Look>>,
    /// Leadership as those see it who ask this scheduler.
    answering: watch::Receiver<Leadership>,
    /// In which epoch and since when services are being handed over, on the clock that never jumps; none while they
    /// are not.
    handing_over: Mutex<Option<(u64, u64)>>,
    /// Calls for the next look before its time.
    wake: Wake,
}

/// The hosts of NATS servers, and how many copies there are to be, by the settings as they are now: hosts join and leave
/// while this runs.
#[derive(Clone)]
struct Members {
    quorum: Quorum,
    copies: usize,
}

/// What the next look depends on.
#[derive(Clone)]
struct Look {
    /// When it was, on the clock that never jumps.
    at: u64,
    epoch: u64,
    /// The wish that was known.
    wish: Option<u64>,
    /// Nothing was away and nothing had to be done.
    at_rest: bool,
    /// What was seen.
    sight: Arc<ControlSight>,
    /// When the streams in it were asked, on the same clock.
    streams_at: u64,
}

impl Look {
    /// Whether the streams that it has count for a look at `now` at which the servers say this. A stream that has another
    /// leader or fewer copies than before has so because of a server, or by an act of ours, after which nothing is at rest.
    fn has_streams(&self, servers: &Servers, now: u64) -> bool {
        now.saturating_sub(self.streams_at) < REST_STREAMS_MS && self.sight.quorum.as_ref() == Some(servers)
    }
}

/// Looks until the process ends. `answering` tells when a tenure has begun in earnest.
pub(crate) async fn keep(executor: Executor, settings: Settings, answering: watch::Receiver<Leadership>) {
    let (ctx, leadership, look) = (executor.ctx.clone(), executor.leadership.clone(), settings.look());
    let members = Mutex::new(Members { quorum: settings.quorum.clone(), copies: ctx.copies() });
    let wake = Wake::new();
    let keeping = Arc::new(Keeping {
        executor,
        settings,
        keeper: OnceCell::new(),
        members,
        last: Mutex::default(),
        answering,
        handing_over: Mutex::default(),
        wake: wake.clone(),
    });
    let turn = |epoch| {
        let keeping = Arc::clone(&keeping);
        async move { keeping.turn(epoch).await }
    };
    looper::run_as_primary(&ctx, "control", leadership, wake, look, turn).await;
}

impl Keeping {
    async fn turn(&self, epoch: u64) -> Result<(), BusError> {
        self.say_home(epoch).await;
        let snap = self.executor.stores.snapshot();
        let (ctx, at) = (&self.executor.ctx, clock::boot_millis());
        let quiet = self.quiet(&snap, epoch);
        if quiet.as_ref().is_some_and(|last| at.saturating_sub(last.at) < self.settings.rest_look_ms()) {
            return Ok(());
        }
        let mut streams_at = at;
        let standings = ctx.bus.gather(STANDING, &AskStanding {}, STANDINGS);
        let mut sight = ControlSight::default();
        let members = self.members();
        match self.keeper(&members).await? {
            Some(keeper) => {
                let look = self.servers(&keeper, quiet.as_ref(), at);
                let (standings, servers) = tokio::join!(standings, look);
                let (quorum, streams, asked_at) = servers?;
                (sight.standings, sight.quorum, sight.streams) = (standings?, Some(quorum), streams);
                (sight.expected, streams_at) = (buckets().count(), asked_at);
            }
            None => sight.standings = standings.await?,
        }
        ctx.quorum().send_replace(sight.quorum.clone());
        let sight = Arc::new(sight);
        if ctx.site().is_some() {
            self.executor.memory.saw_control(Control::Seen(Arc::clone(&sight)));
            self.executor.wake.wake();
        }
        let mut at_rest = sight.is_whole();
        if let (Some(keeper), true) = (self.keeper.get(), self.executor.leads(epoch)) {
            at_rest &= self.act(keeper, &sight, members.copies, epoch).await == 0;
        }
        let wish = snap.primacy().map(|entry| entry.revision);
        let look = Look { at, epoch, wish, at_rest, sight, streams_at };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(look);
        Ok(())
    }

    /// The last look, if nothing moves and nothing was away then: the next one need not be soon.
    fn quiet(&self, snap: &Snapshot, epoch: u64) -> Option<Look> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let moves = |outage: &Outage| matches!(outage.state, State::Evacuating | State::Returning);
        let same = last.epoch == epoch && last.wish == snap.primacy().map(|entry| entry.revision);
        let quiet = last.at_rest
            && same
            && !snap.outages.values().any(|entry| moves(&entry.value))
            && !self.executor.memory.has_not_seen_control();
        quiet.then_some(last)
    }

    /// The servers, and the streams, as they were seen at a `quiet` look where that is enough; and when these were asked.
    async fn servers(
        &self,
        keeper: &Keeper,
        quiet: Option<&Look>,
        at: u64,
    ) -> Result<(Servers, Vec<StreamView>, u64), BusError> {
        // Who is not at rest waits for neither.
        let Some(last) = quiet else {
            let (servers, streams) = tokio::join!(keeper.quorum(), keeper.streams(buckets()));
            return Ok((servers?, streams, at));
        };
        let servers = keeper.quorum().await?;
        if last.has_streams(&servers, at) {
            return Ok((servers, last.sight.streams.clone(), last.streams_at));
        }
        Ok((servers, keeper.streams(buckets()).await, at))
    }

    /// Where nobody has said from where the services are to lead, the configuration does, once.
    async fn say_home(&self, epoch: u64) {
        let frontends = &self.executor.stores.frontends;
        let Some(home) = self.settings.home() else { return };
        if frontends.get(Primacy::KEY).is_some() || !self.executor.leads(epoch) {
            return;
        }
        let (site, home) = (home.clone(), home.clone());
        let wish = Primacy { v: 1, site, home, request_id: None, changed_at: clock::now() };
        match frontends.create(&wish).await {
            Ok(_) | Err(WriteError::Exists { .. }) => {}
            Err(error) => tracing::warn!(%error, "where the services are at home is not stored; it is tried again"),
        }
    }

    /// The members as the settings name them now; those that were known while there are no sound ones.
    fn members(&self) -> Members {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        match self.executor.ctx.settings_now::<Settings>() {
            Ok(Some(now)) => {
                let now = Members { quorum: now.own.quorum, copies: now.common.bus.replicas };
                if now.quorum.hosts != members.quorum.hosts {
                    tracing::info!(hosts = ?now.quorum.hosts, copies = now.copies, "the hosts of NATS servers are others");
                }
                *members = now;
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the settings cannot be read again; what was known of NATS counts"),
        }
        members.clone()
    }

    /// The connections for it, made once; none if there is one NATS server only.
    async fn keeper(&self, members: &Members) -> Result<Option<Keeper>, BusError> {
        let hosts = &members.quorum.hosts;
        if hosts.is_empty() {
            return Ok(None);
        }
        let keys = members.quorum.keys();
        let connect = || Keeper::connect(&self.executor.ctx, &keys, hosts.clone());
        let keeper = self.keeper.get_or_try_init(connect).await?;
        Ok(Some(keeper.among(hosts.clone())))
    }

    /// Whether services are just being handed over to `wished`, this one among them, and not for too long already.
    fn is_handing_over(&self, sight: &ControlSight, wished: Option<&SiteName>, epoch: u64) -> bool {
        let mut since = self.handing_over.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = self.answering.borrow().epoch() != Some(epoch);
        if !begins && !wished.is_some_and(|site| sight.is_handed_over_to(site)) {
            *since = None;
            return false;
        }
        let now = clock::boot_millis();
        let begun = since.filter(|(of, _)| *of == epoch).map_or(now, |(_, at)| at);
        *since = Some((epoch, begun));
        now.saturating_sub(begun) < HANDING_OVER_MS
    }

    /// Does what is next for NATS; how much that was, what waits until services are handed over included.
    async fn act(&self, keeper: &Keeper, sight: &ControlSight, copies: usize, epoch: u64) -> usize {
        let snap = self.executor.stores.snapshot();
        let Some(quorum) = &sight.quorum else { return 0 };
        let lead_from = snap.primacy().map(|entry| &entry.value.site);
        let handing_over = self.is_handing_over(sight, lead_from, epoch);
        if handing_over {
            // It is over soon, and a look takes a third of a second by itself.
            self.wake.wake();
        }
        let scene = Scene {
            quorum,
            streams: &sight.streams,
            expected: sight.expected,
            lead_from,
            leaving: sites(&snap, |outage| outage.state == State::Evacuating && is_handing_over(outage)),
            dark: sites(&snap, |outage| outage.state == State::Evacuated),
            copies,
            handing_over,
        };
        let acts = scene.decide();
        for act in &acts {
            if !self.executor.leads(epoch) {
                break;
            }
            let done = match act {
                Act::LeadStream { bucket, server } => keeper.lead_stream(bucket, server).await,
                Act::LeadServers(server) => keeper.lead_servers(server).await,
                Act::Scale { bucket, copies } => keeper.scale(bucket, *copies).await,
                Act::Remove(server) => keeper.remove(server).await,
                Act::Tell(host, duty) => keeper.tell(host, *duty).await,
            };
            match done {
                // Repeated for as long as a server is away.
                Ok(()) if matches!(act, Act::Tell(..)) => tracing::debug!(?act, "NATS"),
                Ok(()) => tracing::info!(?act, "NATS"),
                Err(error) => tracing::warn!(?act, error, "NATS does not; it is looked at again"),
            }
            looper::goes_on();
        }
        acts.len() + usize::from(handing_over)
    }
}

fn is_handing_over(outage: &Outage) -> bool {
    outage.control.as_ref().is_some_and(|handover| handover.ended_at.is_none())
}

/// All that are stored, those of which nothing is told among them.
fn buckets() -> impl Iterator<Item = &'static str> {
    BUCKETS.iter().chain(PRIVATE).map(|(bucket, _)| *bucket).chain([LEASES])
}

fn sites(snap: &Snapshot, which: impl Fn(&Outage) -> bool) -> BTreeSet<SiteName> {
    let outages = snap.outages.values().map(|entry| &entry.value).filter(|outage| which(outage));
    let site = |scope: &Scope| match scope {
        Scope::Site(site) => Some(site.clone()),
        Scope::Node(_) => None,
    };
    outages.filter_map(|outage| site(&outage.scope)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_asked_anew_after_half_a_minute_and_at_once_when_a_server_is_not_as_it_was() {
        let servers = Servers { leader: Some("m-front".to_owned()), needed: 2, ..Servers::default() };
        let sight = Arc::new(ControlSight { quorum: Some(servers.clone()), ..ControlSight::default() });
        let look = Look { at: 9_000, epoch: 1, wish: None, at_rest: true, sight, streams_at: 4_000 };
        assert!(look.has_streams(&servers, 4_000 + REST_STREAMS_MS - 1));
        assert!(!look.has_streams(&servers, 4_000 + REST_STREAMS_MS));
        let others = Servers { leader: Some("y-front".to_owned()), ..servers };
        assert!(!look.has_streams(&others, 5_000));
    }
}
