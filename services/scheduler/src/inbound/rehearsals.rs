//! Going through an outage beforehand. It only reads, and takes some seconds where there are many servers: one at a
//! time, on a thread of its own, so that neither the loop nor the lease waits for it.

use std::time::Duration;

use watari_chassis::clock;
use watari_contracts::scheduler::{Leaving, Rehearsal, RehearseOutage};
use watari_model::{
    Refusal, Said,
    outage::{Outage, Scope, State},
    said,
    site::MOST_SECONDS_LEFT,
};

use super::{Desk, fill, find, out_of_range, sites::open};
use crate::{
    core::Snapshot,
    rehearsal::{Budget, Troubles, What, Wish, rehearse},
    views,
};

/// A terabit a second.
const MOST_MBIT: u64 = 1_000_000;
const BYTES_PER_MBIT: u64 = 125_000;
/// Nodes that may fail in one rehearsal.
const MOST_FAILING: usize = 32;
/// Servers at risk, and as many that go down with their nodes, in one answer.
const MOST_AT_RISK: usize = 1_000;
/// Servers that do not come home, in one answer.
const MOST_AWAY: usize = 100;
/// So long one waits for others' rehearsals. Then nobody listens for the answer any more, and whoever waits on keeps a
/// place that other requests need.
const PATIENCE: Duration = Duration::from_secs(5);

/// The last rehearsal: who asks the same while it is gone through is answered with it.
pub(crate) struct Last {
    asked: RehearseOutage,
    /// When it was over, on the clock that never jumps.
    ended_ms: u64,
    answer: Rehearsal,
}

impl Desk {
    pub(super) async fn rehearse_outage(self, request: RehearseOutage) -> Result<Rehearsal, Refusal> {
        let arrived_ms = clock::boot_millis();
        check(&request)?;
        let waited = tokio::time::timeout(PATIENCE, self.rehearsed.lock()).await;
        let mut last = waited.map_err(|_| Refusal::NoAnswer { who: "scheduler".to_owned() })?;
        if let Some(last) = last.as_ref().filter(|last| last.asked == request && last.ended_ms >= arrived_ms) {
            return Ok(last.answer.clone());
        }
        let snap = self.executor.view();
        let wish = self.wish(&snap, &request).await?;
        let (rules, now) = (self.rules.clone(), clock::now());
        let going = tokio::task::spawn_blocking(move || rehearse(snap, &rules, wish, Budget::default(), now));
        let account = going.await.map_err(|error| Refusal::Internal { detail: error.to_string() })?;
        let account = account.ok_or_else(|| Refusal::Internal { detail: "no outage could be named".to_owned() })?;
        let answer = cut(views::rehearsal(account));
        *last = Some(Last { asked: request, ended_ms: clock::boot_millis(), answer: answer.clone() });
        Ok(answer)
    }

    async fn wish(&self, snap: &Snapshot, request: &RehearseOutage) -> Result<Wish, Refusal> {
        let what = match (&request.outage, &request.site) {
            (Some(id), _) => {
                let entry = find(&self.stores().outages, id.as_str()).await?;
                let entry = entry.ok_or_else(|| Refusal::OutageUnknown { outage: id.to_string() })?;
                self.check_stored(snap, &entry.value)?;
                What::Stored(Box::new(entry.value.clone()))
            }
            (None, Some(site)) => {
                self.check_site(site).await?;
                if open(snap, &Scope::Site(site.clone())).is_none() {
                    self.check_refuge(snap, site)?;
                }
                What::Sudden(site.clone(), request.seconds.map(|seconds| seconds * 1_000))
            }
            (None, None) => return Err(neither()),
        };
        let mut fails = Vec::new();
        for failing in &request.fail {
            if !snap.nodes.contains_key(failing.node.as_str()) {
                return Err(Refusal::NodeUnknown { node: failing.node.to_string() });
            }
            fails.push((failing.node.clone(), failing.after_seconds * 1_000));
        }
        let link = request.link_mbit.map(|mbit| mbit * BYTES_PER_MBIT);
        Ok(Wish { what, link, troubles: Troubles { fails, ..Troubles::default() } })
    }

    fn check_stored(&self, snap: &Snapshot, outage: &Outage) -> Result<(), Refusal> {
        let Scope::Site(site) = &outage.scope else {
            return Err(out_of_range("outage", &outage.id, said!("an outage of a site", "サイトの停電計画の名前")));
        };
        match outage.state {
            State::Completed | State::Cancelled => {
                let again = format!("watari outage rehearse --site {site}");
                let state = outage.state.word().to_owned();
                Err(Refusal::OutageNotRehearsed { outage: outage.id.to_string(), state, again })
            }
            State::Scheduled => self.check_refuge(snap, site),
            State::Evacuating | State::Evacuated | State::Returning => Ok(()),
        }
    }
}

fn neither() -> Refusal {
    out_of_range(
        "outage",
        "",
        said!("the name of an outage, or give a site instead", "停電計画の名前 (代わりに site も指定できます)"),
    )
}

fn check(request: &RehearseOutage) -> Result<(), Refusal> {
    if request.outage.is_some() == request.site.is_some() {
        return Err(neither());
    }
    let seconds = request.seconds.into_iter().map(|seconds| ("seconds", seconds));
    let after = request.fail.iter().map(|failing| ("after_seconds", failing.after_seconds));
    if let Some((field, seconds)) = seconds.chain(after).find(|(_, seconds)| *seconds > MOST_SECONDS_LEFT) {
        return Err(out_of_range(field, seconds, Said::between(0, MOST_SECONDS_LEFT)));
    }
    if request.seconds.is_some() && request.site.is_none() {
        let allowed =
            said!("none with `outage`: its own times count", "「なし」 (outage を指定すると、計画の日時を使います)");
        return Err(out_of_range("seconds", request.seconds.unwrap_or_default(), allowed));
    }
    if let Some(mbit) = request.link_mbit.filter(|mbit| !(1..=MOST_MBIT).contains(mbit)) {
        return Err(out_of_range("link_mbit", mbit, Said::between(1, MOST_MBIT)));
    }
    if request.fail.len() > MOST_FAILING {
        let allowed = said!("at most {MOST_FAILING} nodes", "{MOST_FAILING} 台以内のノード");
        return Err(out_of_range("fail", request.fail.len(), allowed));
    }
    Ok(())
}

/// What one answer holds. Of many servers those are listed first that do not cross.
fn cut(mut answer: Rehearsal) -> Rehearsal {
    let all = answer.servers.len();
    let mut servers: Vec<_> = std::mem::take(&mut answer.servers).into_iter().enumerate().collect();
    servers.sort_by_key(|(n, server)| (server.way == Leaving::Live, *n));
    let mut kept = fill(servers.into_iter(), usize::MAX);
    kept.sort_by_key(|(n, _)| *n);
    answer.servers = kept.into_iter().map(|(_, server)| server).collect();
    answer.not_listed = u64::try_from(all - answer.servers.len()).unwrap_or(u64::MAX);
    answer.at_risk.truncate(MOST_AT_RISK);
    answer.went_down.truncate(MOST_AT_RISK);
    answer.stays_away.truncate(MOST_AWAY);
    answer
}
