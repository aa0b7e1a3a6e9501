//! Requests about outages.

use std::{cmp::Reverse, collections::BTreeSet};

use time::{UtcOffset, macros::format_description};
use watari_chassis::{WriteError, clock, telemetry::trace};
use watari_contracts::scheduler::{
    CancelOutage, GetOutage, ListOutages, OutagePage, OutagePlan, OutageView, PauseOutage, PlanOutage,
    RescheduleOutage, ResumeOutage, ScheduleOutage, StartOutage,
};
use watari_model::{
    OutageId, Refusal, Said, SiteName, Timestamp,
    outage::{Change, Outage, Scope, State, Window},
    said,
    site::MOST_SECONDS_LEFT,
};

use super::{
    Desk, TRIES, check_request_id, fill, find, newest, out_of_range,
    sites::{apply, asked_before, next_id, open},
    unwritten,
};
use crate::{
    core::{Snapshot, forecast::forecast_within},
    views,
};

/// What is further away, or lasts longer, is a mistyped year.
const MOST_AHEAD_MS: u64 = 2 * 366 * 86_400_000;
const LONGEST_MS: u64 = 366 * 86_400_000;
/// A note is one line that fits into a table.
const LONGEST_NOTE: usize = 200;

impl Desk {
    pub(super) fn show_outage(&self, outage: &Outage) -> OutageView {
        let (snap, now) = (self.executor.view(), clock::now());
        let view = views::outage(&snap, &self.rules, outage, now);
        let plan = views::planned(&snap, &self.rules, outage, view.begins_at, now);
        OutageView { plan, ..view }
    }

    pub(super) async fn get_outage(self, request: GetOutage) -> Result<OutageView, Refusal> {
        let entry = find(&self.stores().outages, request.id.as_str()).await?;
        let entry = entry.ok_or_else(|| Refusal::OutageUnknown { outage: request.id.to_string() })?;
        Ok(self.show_outage(&entry.value))
    }

    #[allow(clippy::unused_async, reason = "a handler")]
    pub(super) async fn list_outages(self, _: ListOutages) -> Result<OutagePage, Refusal> {
        let (snap, now) = (self.executor.view(), clock::now());
        let mut found: Vec<&Outage> = snap.outages.values().map(|entry| &entry.value).collect();
        found.sort_by_key(|outage| (Reverse(outage.created_at), outage.id.clone()));
        let views = found.into_iter().map(|outage| views::outage(&snap, &self.rules, outage, now));
        Ok(OutagePage { outages: fill(views, usize::MAX) })
    }

    pub(super) async fn plan_outage(self, request: PlanOutage) -> Result<OutagePlan, Refusal> {
        self.check_site(&request.site).await?;
        if let Some(seconds) = request.seconds.filter(|seconds| *seconds > MOST_SECONDS_LEFT) {
            return Err(out_of_range("seconds", seconds, Said::between(0, MOST_SECONDS_LEFT)));
        }
        let (now, time_ms) = (clock::now(), request.seconds.map(|seconds| seconds * 1_000));
        let forecast = forecast_within(&self.executor.view(), &self.rules, &request.site, time_ms, now);
        let forecast = forecast.ok_or_else(|| Refusal::Internal { detail: format!("no name for {}", request.site) })?;
        Ok(views::plan(request.site, forecast, now))
    }

    pub(super) async fn schedule_outage(self, request: ScheduleOutage) -> Result<OutageView, Refusal> {
        check_request_id(request.request_id.as_deref())?;
        self.check_site(&request.site).await?;
        let now = clock::now();
        let window = Window { from: request.from, until: request.until };
        let scope = Scope::Site(request.site.clone());
        let _turn = self.turns.take(&format!("outage {}", request.site)).await;
        // Sites are looked at together: not all may be dark at once.
        let _all = self.turns.take("outages/schedule").await;
        let snap = self.executor.view();
        if let Some(known) = asked_before(&snap, request.request_id.as_deref(), &scope)? {
            if known.window != Some(window) || known.note != request.note {
                return Err(Refusal::RequestIdReused { request_id: known.request_id.clone() });
            }
            return Ok(self.show_outage(known));
        }
        check_times(window, now)?;
        check_note(&request.note)?;
        check_calendar(&snap, &request.site, window, None)?;
        let (note, request_id) = (request.note, request.request_id.unwrap_or_default());
        let id = next_id(&snap, request.site.as_str(), &scope)?;
        self.store_new(&Outage::scheduled(id, scope, window, note, request_id, now)).await
    }

    pub(super) async fn reschedule_outage(self, request: RescheduleOutage) -> Result<OutageView, Refusal> {
        let entry = find(&self.stores().outages, request.id.as_str()).await?;
        let entry = entry.ok_or_else(|| Refusal::OutageUnknown { outage: request.id.to_string() })?;
        let Scope::Site(site) = &entry.value.scope else { return Err(not_scheduled(&entry.value)) };
        let window = Window { from: request.from, until: request.until };
        let _turn = self.turns.take(&format!("outage {site}")).await;
        let _all = self.turns.take("outages/schedule").await;
        let moved = |outage: &mut Outage| match outage.state {
            State::Scheduled if outage.window == Some(window) => Ok(()),
            State::Scheduled => {
                check_times(window, clock::now())?;
                check_calendar(&self.executor.view(), site, window, Some(&request.id))?;
                apply(outage, Change::Rescheduled(window))
            }
            _ => Err(not_scheduled(outage)),
        };
        self.amend_outage(&request.id, moved).await
    }

    pub(super) async fn start_outage(self, request: StartOutage) -> Result<OutageView, Refusal> {
        let entry = find(&self.stores().outages, request.id.as_str()).await?;
        let entry = entry.ok_or_else(|| Refusal::OutageUnknown { outage: request.id.to_string() })?;
        let scope = &entry.value.scope;
        if let Scope::Site(site) = scope
            && entry.value.state == State::Scheduled
        {
            let _turn = self.turns.take(&format!("outage {site}")).await;
            let snap = self.executor.view();
            if let Some(other) = open(&snap, scope) {
                return Err(Refusal::OutageOverlaps { site: site.to_string(), outage: other.id.to_string() });
            }
            self.check_refuge(&snap, site)?;
            return self.amend_outage(&request.id, start).await;
        }
        self.amend_outage(&request.id, start).await
    }

    pub(super) async fn pause_outage(self, request: PauseOutage) -> Result<OutageView, Refusal> {
        let pause = |outage: &mut Outage| match (outage.state.is_under_way(), outage.paused_at) {
            (true, None) => apply(outage, Change::PauseAsked),
            (true, Some(_)) => Ok(()),
            (false, _) => Err(not_under_way(outage)),
        };
        self.amend_outage(&request.id, pause).await
    }

    /// One that has gone on to its end meanwhile is not paused, which is what was asked for.
    pub(super) async fn resume_outage(self, request: ResumeOutage) -> Result<OutageView, Refusal> {
        let resume = |outage: &mut Outage| match outage.paused_at {
            Some(_) => apply(outage, Change::ResumeAsked),
            None if outage.state == State::Scheduled => Err(not_under_way(outage)),
            None => Ok(()),
        };
        self.amend_outage(&request.id, resume).await
    }

    pub(super) async fn cancel_outage(self, request: CancelOutage) -> Result<OutageView, Refusal> {
        let cancel = |outage: &mut Outage| match outage.state {
            State::Scheduled | State::Evacuating | State::Evacuated | State::Returning => {
                apply(outage, Change::CancelAsked)
            }
            State::Completed | State::Cancelled => Ok(()),
        };
        self.amend_outage(&request.id, cancel).await
    }

    /// Changes an outage's document by compare-and-set, as often as somebody else is faster.
    pub(super) async fn amend_outage(
        &self,
        id: &OutageId,
        change: impl Fn(&mut Outage) -> Result<(), Refusal>,
    ) -> Result<OutageView, Refusal> {
        let unknown = || Refusal::OutageUnknown { outage: id.to_string() };
        let mut entry = find(&self.stores().outages, id.as_str()).await?.ok_or_else(unknown)?;
        for _ in 0..TRIES {
            let mut outage = entry.value.clone();
            change(&mut outage)?;
            if outage == entry.value {
                return Ok(self.show_outage(&outage));
            }
            if outage.state != entry.value.state {
                outage.trace = trace::noted();
            }
            match self.stores().outages.update(&outage, entry.revision).await {
                Ok(_) => return Ok(self.show_outage(&outage)),
                Err(WriteError::Conflict { .. }) => {
                    entry = newest(&self.stores().outages, id.as_str()).await?.ok_or_else(unknown)?;
                }
                Err(error) => return Err(unwritten(&error)),
            }
        }
        Err(Refusal::NoAnswer { who: "the bus".to_owned() })
    }
}

fn not_scheduled(outage: &Outage) -> Refusal {
    Refusal::OutageNotScheduled { outage: outage.id.to_string(), state: outage.state.word().to_owned() }
}

fn not_under_way(outage: &Outage) -> Refusal {
    Refusal::OutageNotUnderWay { outage: outage.id.to_string(), state: outage.state.word().to_owned() }
}

/// One that has begun is what was asked for, also if it is paused: a request that comes twice must not
/// undo what an operator has said since.
fn start(outage: &mut Outage) -> Result<(), Refusal> {
    match outage.state {
        State::Scheduled => apply(outage, Change::BeginAsked),
        State::Evacuating | State::Evacuated => Ok(()),
        State::Returning | State::Completed | State::Cancelled => {
            let again = match &outage.scope {
                Scope::Site(site) => format!("watari site evacuate {site}"),
                Scope::Node(node) => format!("watari node drain {node}"),
            };
            let state = outage.state.word().to_owned();
            Err(Refusal::OutageOver { outage: outage.id.to_string(), state, again })
        }
    }
}

/// As people read it: in UTC, to the second.
fn written(at: Timestamp) -> String {
    let form = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");
    at.0.to_offset(UtcOffset::UTC).format(&form).unwrap_or_else(|_| at.0.to_string())
}

fn check_times(window: Window, now: Timestamp) -> Result<(), Refusal> {
    if window.from <= now || window.from.millis_since(now) > MOST_AHEAD_MS {
        let at = written(now);
        let allowed = said!("a moment after now ({at}) and within two years", "現在 ({at}) より後、2 年以内の日時");
        return Err(out_of_range("from", written(window.from), allowed));
    }
    if window.until <= window.from || window.until.millis_since(window.from) > LONGEST_MS {
        let from = written(window.from);
        let allowed =
            said!("a moment after `from` ({from}) and within a year of it", "from ({from}) より後、1 年以内の日時");
        return Err(out_of_range("until", written(window.until), allowed));
    }
    Ok(())
}

pub(super) fn check_note(note: &str) -> Result<(), Refusal> {
    let length = note.chars().count();
    if length <= LONGEST_NOTE && !note.chars().any(char::is_control) {
        return Ok(());
    }
    let allowed = said!("one line of at most {LONGEST_NOTE} characters", "{LONGEST_NOTE} 文字以内の 1 行");
    let shown: String = note.chars().filter(|c| !c.is_control()).take(40).collect();
    Err(out_of_range("note", shown, allowed))
}

/// A site has one outage at a time, and not all sites are dark at once. One that is moved is not in its own way.
fn check_calendar(snap: &Snapshot, site: &SiteName, window: Window, moved: Option<&OutageId>) -> Result<(), Refusal> {
    let counts = |outage: &&Outage| !outage.state.is_over() && Some(&outage.id) != moved;
    let outages = snap.outages.values().map(|entry| &entry.value).filter(counts);
    let mut dark = BTreeSet::from([site]);
    let (mut last, mut there) = (None, Vec::new());
    for outage in outages.filter(|outage| outage.window.is_some_and(|other| other.overlaps(window))) {
        match &outage.scope {
            Scope::Site(other) if other == site => there.push(outage.id.to_string()),
            Scope::Site(other) => {
                dark.insert(other);
                last = Some(outage);
            }
            Scope::Node(_) => {}
        }
    }
    if !there.is_empty() {
        return Err(Refusal::OutageOverlaps { site: site.to_string(), outage: there.join(", ") });
    }
    let all = snap.sites.values().all(|entry| dark.contains(&entry.value.name));
    match last {
        Some(outage) if all => Err(Refusal::OutageEverywhere { site: site.to_string(), outage: outage.id.to_string() }),
        None if all => Err(Refusal::NoRefuge { site: site.to_string() }),
        _ => Ok(()),
    }
}
