//! What is to be done about the events of a calendar: decided from what the calendar says and what is
//! scheduled already, so that importing it twice changes nothing.
//!
//! An event is known again by its UID, of which the request's name is made; by an outage's own name, which
//! an export writes as its UID; or because somebody has scheduled the same by hand.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};
use watari_contracts::scheduler::{CancelOutage, OutageView, RescheduleOutage, ScheduleOutage, SiteView};
use watari_model::{
    OutageId, Said, SiteName, Timestamp,
    outage::{Scope, State, Window},
    said,
};

use super::{
    place,
    read::{Event, Status, shown},
    times,
};
use crate::format::hex;

/// What is known here.
pub(super) struct Known<'k> {
    /// Newest first.
    pub(super) outages: &'k [OutageView],
    pub(super) sites: &'k [SiteView],
    pub(super) now: Timestamp,
}

/// What the person has said of the calendar.
pub(super) struct Wanted<'w> {
    /// The site that events are about which name none.
    pub(super) site: Option<&'w SiteName>,
    /// What an event's summary or categories must hold.
    pub(super) matching: Option<&'w str>,
    /// The zone of times that name none.
    pub(super) zone: TimeZone,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Schedule(ScheduleOutage),
    Move(RescheduleOutage),
    Cancel(CancelOutage),
    /// It is here as the calendar has it.
    Keep(OutageId),
    /// Nothing, since it is no matter of ours, and why.
    Skip(Said),
    /// Nothing, though it is about a site: it must be changed first, and why.
    Unclear(Said),
}

/// An event, as far as it is understood, and what is to be done about it.
pub(super) struct Decided<'e> {
    pub(super) event: &'e Event,
    pub(super) site: Option<SiteName>,
    pub(super) window: Option<Window>,
    pub(super) step: Step,
}

/// Decides about each event that is meant, in their order.
pub(super) fn decide<'e>(events: &'e [Event], wanted: &Wanted<'_>, known: &Known<'_>) -> Vec<Decided<'e>> {
    let mut seen = BTreeSet::new();
    // One time of many that was moved or called off is an event of its own with the UID of all, wherever it stands: by
    // the rule alone a site would be emptied at a time at which nothing takes place.
    let excepted: BTreeSet<&str> = events.iter().filter(|event| event.recurs).map(|event| event.uid.as_str()).collect();
    let one = |event: &'e Event| {
        let sound = sound(event, excepted.contains(event.uid.as_str()), !seen.insert(event.uid.as_str()));
        let mut decided = Decided { event, site: None, window: None, step: Step::Skip(Said::both("")) };
        let (Ok(chosen) | Err(chosen)) = step(event, sound, wanted, known, &mut decided);
        decided.step = chosen;
        decided
    };
    events.iter().filter(|event| is_meant(event, wanted)).map(one).collect()
}

/// Whether it holds the words that were asked for.
fn is_meant(event: &Event, wanted: &Wanted<'_>) -> bool {
    wanted.matching.is_none_or(|text| {
        let texts = format!("{} {}", event.summary, event.categories).to_lowercase();
        texts.contains(&text.to_lowercase())
    })
}

/// What to do, or as the error the step that does nothing; notes what was understood on the way.
fn step(
    event: &Event,
    sound: Result<(), Said>,
    wanted: &Wanted<'_>,
    known: &Known<'_>,
    understood: &mut Decided<'_>,
) -> Result<Step, Step> {
    // First, since what is about no site of ours need not be in order.
    let site = site(event, wanted, known)?;
    understood.site = Some(site.clone());
    sound.map_err(Step::Unclear)?;
    let window = times::window(event, &wanted.zone, known.now);
    understood.window = window.as_ref().ok().copied();
    let there = recognised(event, &site, understood.window, known.outages);
    if let Some(outage) = there
        && outage.scope != Scope::Site(site.clone())
    {
        let id = &outage.id;
        return Err(Step::Unclear(said!(
            "it is scheduled for another site as {id}; call that off first",
            "別のサイトの {id} として登録済みです。先にそれを取り消してください"
        )));
    }
    match event.status {
        // What was called off need not say when it would have been.
        Status::Cancelled => cancelled(there),
        Status::Tentative => Err(Step::Skip(said!("it is tentative", "仮の予定です"))),
        Status::Confirmed => {
            let window = window.map_err(Step::Unclear)?;
            confirmed(event, site, window, there, known.now).map_err(Step::Skip)
        }
    }
}

/// Whether an event, of whose UID there may be exceptions or another event before it, stands for one time, and is known
/// again when it is read again.
fn sound(event: &Event, excepted: bool, again: bool) -> Result<(), Said> {
    if event.uid.is_empty() {
        return Err(said!(
            "it has no UID, by which it would be known again",
            "再度の取り込みで識別するための UID がありません"
        ));
    }
    if excepted {
        return Err(said!(
            "it recurs with exceptions; give each date an event of its own",
            "例外のある繰り返しの予定です。日付ごとに別の予定にしてください"
        ));
    }
    if again {
        return Err(said!("its UID stands in the calendar twice", "同じ UID の予定が重複しています"));
    }
    Ok(())
}

/// An event that takes place.
fn confirmed(
    event: &Event,
    site: SiteName,
    window: Window,
    there: Option<&OutageView>,
    now: Timestamp,
) -> Result<Step, Said> {
    let (from, until) = (window.from, window.until);
    match there {
        Some(outage) if outage.state.is_open() => Ok(Step::Keep(outage.id.clone())),
        Some(outage) if is_at(outage, window) => kept(outage, now),
        Some(outage) if outage.state == State::Scheduled => {
            ahead(window, now)?;
            Ok(Step::Move(RescheduleOutage { id: outage.id.clone(), from, until }))
        }
        _ => {
            ahead(window, now)?;
            let request_id = Some(format!("{}{site}/{}", prefix(&event.uid), span(window)));
            Ok(Step::Schedule(ScheduleOutage { request_id, site, from, until, note: shown(&event.summary) }))
        }
    }
}

/// The site that an event is about, if it is one for us.
fn site(event: &Event, wanted: &Wanted<'_>, known: &Known<'_>) -> Result<SiteName, Step> {
    let skipped = |why| Err(Step::Skip(why));
    match (place::places(event, known.sites).as_slice(), wanted.site) {
        ([], Some(site)) => Ok(site.clone()),
        ([], None) => {
            skipped(said!("it names no site; give --site", "サイトの名前がありません。--site で指定してください"))
        }
        ([site], Some(other)) if *site != other => {
            skipped(said!("it is about site {site}", "サイト {site} の予定です"))
        }
        ([site], _) => Ok((*site).clone()),
        (sites, Some(site)) if sites.contains(&site) => Ok(site.clone()),
        (_, Some(_)) => skipped(said!("it is about other sites", "ほかのサイトの予定です")),
        (_, None) => Err(Step::Unclear(said!(
            "it names several sites; give --site",
            "サイトが複数あります。--site で指定してください"
        ))),
    }
}

/// The outage that an event is already: one that is not over, if there are several.
fn recognised<'k>(
    event: &Event,
    site: &SiteName,
    window: Option<Window>,
    outages: &'k [OutageView],
) -> Option<&'k OutageView> {
    let (prefix, here) = (prefix(&event.uid), Scope::Site(site.clone()));
    // What is over at another site is no matter of this event any more.
    let concerns = |o: &OutageView| o.scope == here || !o.state.is_over();
    let by_uid = |o: &OutageView| concerns(o) && (o.id.as_str() == event.uid || o.request_id.starts_with(&prefix));
    let then = |o: &OutageView| window.is_some_and(|window| is_at(o, window));
    let by_hand = |o: &OutageView| !o.state.is_over() && o.scope == here && then(o);
    let found = |of: &dyn Fn(&OutageView) -> bool| outages.iter().filter(|o| of(o)).min_by_key(|o| o.state.is_over());
    // An event that was called off and made anew must not take the new one's outage with it.
    found(&by_uid).or_else(|| found(&by_hand).filter(|_| event.status == Status::Confirmed))
}

/// What the name of a request begins with that is made of a UID; its site and times follow, so that an event
/// that comes again after it was called off is another request.
fn prefix(uid: &str) -> String {
    format!("ical/{}/", hex(&Sha256::digest(uid.as_bytes())[..16]))
}

fn span(window: Window) -> String {
    format!("{}-{}", seconds(window.from), seconds(window.until))
}

/// A calendar has whole seconds.
fn seconds(at: Timestamp) -> i64 {
    at.0.unix_timestamp()
}

fn is_at(outage: &OutageView, window: Window) -> bool {
    outage.window.is_some_and(|own| span(own) == span(window))
}

/// An outage that stands here at the time that the calendar has.
fn kept(outage: &OutageView, now: Timestamp) -> Result<Step, Said> {
    let (id, window) = (&outage.id, outage.window);
    if outage.state != State::Cancelled {
        return Ok(Step::Keep(id.clone()));
    }
    window.map_or(Ok(()), |window| ahead(window, now))?;
    Err(said!(
        "it was called off here as {id}; schedule it by hand if it takes place after all",
        "{id} として取り消し済みです。実施する場合は手動で登録してください"
    ))
}

fn cancelled(there: Option<&OutageView>) -> Result<Step, Step> {
    match there {
        None => {
            Err(Step::Skip(said!("it was called off, and is not known here", "中止された予定で、登録もありません")))
        }
        Some(outage) if outage.state == State::Scheduled => Ok(Step::Cancel(CancelOutage { id: outage.id.clone() })),
        Some(outage) if outage.state.is_open() => {
            let id = &outage.id;
            Err(Step::Unclear(said!(
                "the calendar calls it off, but {id} is under way; look at it with: watari outage show {id}",
                "予定は中止されましたが {id} は進行中です。watari outage show {id} で確認してください"
            )))
        }
        Some(outage) => Ok(Step::Keep(outage.id.clone())),
    }
}

/// Only what is still to come is scheduled.
fn ahead(window: Window, now: Timestamp) -> Result<(), Said> {
    if window.until <= now {
        return Err(said!("it is past", "終了した予定です"));
    }
    if window.from <= now {
        return Err(said!(
            "it has begun; empty the site with: watari site evacuate",
            "すでに始まっています。サイトの退避は watari site evacuate で実行できます"
        ));
    }
    Ok(())
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
