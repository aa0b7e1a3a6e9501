//! The report as people read it, part by part: the same on a terminal and on paper.

use watari_contracts::{
    probe::{Gap, Span, Watched},
    scheduler::HandedOver,
};
use watari_model::{
    SiteName, Timestamp,
    migration::{Measured, State as Step},
};

use super::{
    facts::{Evidence, FrontEnd, Leg, Move, SeenFrom, Server, Stayed},
    requested::{Requested, Wish, seen_until},
};
use crate::{
    format,
    lang::Lang,
    out::{Align, or_dash},
    outage::report,
    texts::{
        self,
        evidence::{self as told, Words, words},
        halts, happenings, states,
    },
};

/// A part with its title.
pub(super) struct Section {
    pub(super) title: &'static str,
    pub(super) table: Option<Grid>,
    /// Below the table.
    pub(super) lines: Vec<String>,
}

/// A table.
pub(super) struct Grid {
    pub(super) headings: Vec<(&'static str, Align)>,
    pub(super) rows: Vec<Vec<String>>,
}

/// What stands above all parts: names and values.
pub(super) fn head(evidence: &Evidence, lang: Lang) -> Vec<(&'static str, String)> {
    let words = words(lang);
    let mut pairs = vec![
        (words.outage, evidence.id.to_string()),
        (words.scope, report::scope(&evidence.scope, lang)),
        (words.state, states::shown(lang, evidence.state.word())),
    ];
    if !evidence.note.is_empty() {
        pairs.push((words.note, evidence.note.clone()));
    }
    let times = evidence.window.map(|times| span(times.from, times.until));
    pairs.extend(times.map(|times| (words.power_off, times)));
    pairs.push((words.made, format::moment(evidence.made_at)));
    pairs
}

/// All parts that have something to say, in their order. The chart of a page stands after the first.
pub(super) fn sections(evidence: &Evidence, lang: Lang) -> Vec<Section> {
    let words = words(lang);
    let all = [
        legs(evidence, lang, words),
        servers(evidence, lang, words),
        seen(evidence, lang, words),
        gaps(evidence, lang, words),
        stayed(evidence, lang, words),
        halted(evidence, lang, words),
        users(evidence, lang, words),
        timeline(evidence, lang, words),
    ];
    all.into_iter().flatten().collect()
}

fn grid(headings: &[(&'static str, Align)], rows: Vec<Vec<String>>) -> Option<Grid> {
    (!rows.is_empty()).then(|| Grid { headings: headings.to_vec(), rows })
}

fn span(from: Timestamp, until: Timestamp) -> String {
    format!("{} - {}", format::moment(from), format::moment(until))
}

fn legs(evidence: &Evidence, lang: Lang, words: &Words) -> Option<Section> {
    use Align::{Left, Right};
    let headings = [
        (words.leg, Left),
        (words.began, Left),
        (words.ended, Left),
        (words.moved, Right),
        (words.data, Right),
        (words.makespan, Right),
        (words.least, Right),
    ];
    let row = |leg: &Leg| {
        vec![
            states::shown(lang, report::leg(leg.leg)),
            format::moment(leg.began_at),
            leg.ended_at.map_or_else(|| words.goes_on.to_owned(), format::moment),
            leg.moved.to_string(),
            format::bytes(leg.bytes),
            format::time(lang, leg.makespan_ms),
            or_dash(leg.least_ms.map(|ms| format::time(lang, ms))),
        ]
    };
    let table = grid(&headings, evidence.legs.iter().map(row).collect());
    let mut lines: Vec<String> = evidence.link_mbit.map(|mbit| told::least(lang, mbit)).into_iter().collect();
    // What is as long as people read it needs no word.
    let ends_later = |leg: &Leg| {
        leg.ended_at.is_some_and(|ended| ended.millis_since(leg.began_at) >= leg.makespan_ms.saturating_add(1_000))
    };
    lines.extend(evidence.legs.iter().any(ends_later).then(|| words.until_last.to_owned()));
    lines.extend(control(evidence, lang));
    lines.extend(texts::off::left_off(lang, &evidence.off));
    lines.extend(evidence.legs.is_empty().then(|| words.not_begun.to_owned()));
    Some(Section { title: words.legs, table, lines })
}

/// How the control plane went there and came back, each with its time.
fn control(evidence: &Evidence, lang: Lang) -> Vec<String> {
    if evidence.handovers.is_empty() {
        // A scheduler that does not tell each of them tells the last.
        return evidence.control.as_ref().map(|control| report::control(lang, control)).into_iter().collect();
    }
    let line = |one: &HandedOver| {
        let (at, to) = (format::moment(one.began_at), one.to.as_str());
        let took = one.ended_at.map(|ended| format::time(lang, ended.millis_since(one.began_at)));
        match &one.fault {
            None => told::handed_over(lang, &at, to, took.as_deref()),
            Some(fault) => {
                let (cause, remedy) = match lang {
                    Lang::En => (&fault.cause, &fault.remedy),
                    Lang::Ja => (&fault.ja.cause, &fault.ja.remedy),
                };
                format!("{at}: {}", texts::error(lang, &fault.code, cause, remedy))
            }
        }
    };
    evidence.handovers.iter().map(line).collect()
}

fn servers(evidence: &Evidence, lang: Lang, words: &Words) -> Option<Section> {
    use Align::{Left, Right};
    let headings = [
        (words.server, Left),
        (words.leg, Left),
        (words.from, Left),
        (words.to, Left),
        (words.result, Left),
        (words.total, Right),
        (words.stood, Right),
        (words.downtime, Right),
        (words.pause, Right),
        (words.memory, Right),
        (words.disk, Right),
    ];
    let row = |server: &Server, one: &Move| {
        let measured = one.measured.filter(|_| one.state == Step::Completed);
        let time = |of: fn(Measured) -> u64| or_dash(measured.map(of).map(|ms| format::time(lang, ms)));
        let size = |of: fn(Measured) -> u64| or_dash(measured.map(of).map(format::bytes));
        let result = states::shown(lang, one.state.word());
        vec![
            server.vm.to_string(),
            states::shown(lang, report::leg(one.leg)),
            one.from.to_string(),
            one.to.to_string(),
            one.fault.as_ref().map_or(result.clone(), |fault| format!("{result} [{}]", fault.code)),
            time(|m| m.total_ms),
            time(|m| m.downtime_ms + m.pause_ms),
            time(|m| m.downtime_ms),
            time(|m| m.pause_ms),
            size(|m| m.memory_bytes),
            size(|m| m.disk_bytes),
        ]
    };
    let rows =
        evidence.servers.iter().flat_map(|server| server.moves.iter().map(|one| row(server, one)).collect::<Vec<_>>());
    let rows: Vec<Vec<String>> = rows.collect();
    let any = evidence.servers.iter().flat_map(|server| &server.moves).any(|one| one.state == Step::Completed);
    let lines = if any { vec![told::standstill(lang).to_owned()] } else { Vec::new() };
    Some(Section { title: words.servers, table: Some(grid(&headings, rows)?), lines })
}

fn seen(evidence: &Evidence, lang: Lang, words: &Words) -> Option<Section> {
    if evidence.legs.is_empty() {
        return None;
    }
    use Align::{Left, Right};
    let headings = [
        (words.server, Left),
        (words.probe, Left),
        (words.front_end, Left),
        (words.asked, Right),
        (words.failed, Right),
        (words.longest_gap, Right),
        (words.slowest, Right),
        (words.unwatched, Right),
        (words.trouble, Left),
    ];
    let row = |SeenFrom { front_end, watched, requested }: &SeenFrom| {
        // Who was never asked has never been silent either.
        let never = watched.asked > 0 && !watched.answered();
        let slowest = format::time(lang, watched.slowest_ms);
        let gap = match (watched.gaps, requested.is_empty()) {
            (0, false) => words.requested.to_owned(),
            _ if never => words.never.to_owned(),
            (0, true) => or_dash(None::<String>),
            _ => format::time(lang, watched.longest_gap_ms),
        };
        // In vain it was asked only while it should have answered.
        let in_vain = watched.failed.saturating_sub(requested.iter().map(|one| one.gap.failed).sum::<u64>());
        vec![
            watched.vm.to_string(),
            watched.probe.to_string(),
            front_end.clone(),
            watched.asked.to_string(),
            in_vain.to_string(),
            gap,
            or_dash(Some(slowest).filter(|_| watched.answered())),
            or_dash(Some(watched.unwatched_ms).filter(|ms| *ms > 0).map(|ms| format::time(lang, ms))),
            or_dash(watched.unasked.map(|why| told::unasked(lang, why)).or_else(|| {
                // Of who was silent by request alone it is no trouble.
                watched.trouble.filter(|_| in_vain > 0).map(|trouble| told::trouble(lang, trouble))
            })),
        ]
    };
    let table = grid(&headings, all_seen(evidence).map(row).collect());
    if table.is_none() {
        let mut lines = vec![words.nobody_watched.to_owned()];
        lines.extend(who_watched(evidence, lang));
        return Some(Section { title: words.seen, table: None, lines });
    }
    let mut lines = who_watched(evidence, lang);
    lines.push(words.method.to_owned());
    lines.extend(all_seen(evidence).any(|seen| !seen.requested.is_empty()).then(|| words.apart.to_owned()));
    Some(Section { title: words.seen, table, lines })
}

fn all_seen(evidence: &Evidence) -> impl Iterator<Item = &SeenFrom> {
    evidence.servers.iter().flat_map(|server| &server.seen)
}

fn who_watched(evidence: &Evidence, lang: Lang) -> Vec<String> {
    let line = |one: &FrontEnd| {
        let who = told::front_end(lang, &one.name, one.site.as_ref().map(SiteName::as_str));
        told::watched(lang, &who, one.watched, one.left_out, one.fault.as_deref())
    };
    evidence.front_ends.iter().map(line).collect()
}

/// The longest silences, and when nobody asked, of each probe from each front end.
fn gaps(evidence: &Evidence, lang: Lang, words: &Words) -> Option<Section> {
    let of_one = |SeenFrom { front_end, watched, requested }: &SeenFrom| -> Vec<String> {
        let Watched { vm, probe, .. } = watched;
        let what = format!("{vm} {probe} ({front_end})");
        // Until when, and for how long. Of one without an end it is told for how long it was seen; what goes on can do
        // so only while the outage does.
        let times = |gap: &Gap, least: Option<Timestamp>| {
            let seen = seen_until(watched, gap);
            let was_left = watched.unwatched.iter().any(|span| span.from >= gap.from);
            let seen = least.filter(|_| !was_left).map_or(seen, |least| seen.max(least));
            let lasted = format::time(lang, seen.millis_since(gap.from));
            match gap.until {
                Some(end) => (format::moment(end), lasted),
                None if was_left || evidence.state.is_over() => (format::moment(seen), told::at_least(lang, &lasted)),
                None => ("?".to_owned(), words.goes_on.to_owned()),
            }
        };
        let gap = |gap: &Gap| {
            let (until, lasted) = times(gap, None);
            told::gap(lang, &what, &format::moment(gap.from), &until, &lasted)
        };
        let by_request = |Requested { wish, by, gap }: &Requested| {
            let reboots = *wish == Wish::Reboot;
            // Who is to stay off is not asked any more, and stays off.
            let closed = evidence.legs.last().and_then(|leg| leg.ended_at).filter(|_| gap.until.is_none());
            let (from, (until, lasted)) = (format::moment(gap.from), times(gap, closed));
            told::by_request(lang, &what, reboots, by.as_deref(), (from.as_str(), until.as_str(), lasted.as_str()))
        };
        let unwatched =
            |span: &Span| told::unwatched(lang, &what, &format::moment(span.from), &format::moment(span.until));
        let gaps = watched.longest.iter().map(gap).chain(requested.iter().map(by_request));
        gaps.chain(watched.unwatched.iter().map(unwatched)).collect()
    };
    let lines: Vec<String> = all_seen(evidence).flat_map(of_one).collect();
    (!lines.is_empty()).then_some(Section { title: words.gaps, table: None, lines })
}

fn stayed(evidence: &Evidence, lang: Lang, words: &Words) -> Option<Section> {
    let headings = [words.server, words.leg, words.why, words.remedy].map(|word| (word, Align::Left));
    let row = |Stayed { leg, why }: &Stayed| {
        let (cause, remedy) = match lang {
            Lang::En => (&why.cause, &why.remedy),
            Lang::Ja => (&why.ja.cause, &why.ja.remedy),
        };
        let cause = format!("[{}] {cause}", why.code);
        vec![why.vm.to_string(), states::shown(lang, report::leg(*leg)), cause, remedy.clone()]
    };
    let table = grid(&headings, evidence.stayed.iter().map(row).collect())?;
    Some(Section { title: words.stayed, table: Some(table), lines: Vec::new() })
}

fn halted(evidence: &Evidence, lang: Lang, words: &Words) -> Option<Section> {
    let headings = [words.server, words.what, words.state, words.why].map(|word| (word, Align::Left));
    let rows = evidence.halted.iter().map(|one| {
        let state = one.state.map(|state| states::shown(lang, state.word()));
        let (way, why) = (halts::way(lang, one.way).to_owned(), report::cause(lang, one).to_owned());
        vec![one.vm.to_string(), way, or_dash(state), why]
    });
    let table = grid(&headings, rows.collect())?;
    let lines = report::booting(lang, &evidence.halted).into_iter().collect();
    Some(Section { title: words.halted, table: Some(table), lines })
}

fn users(evidence: &Evidence, lang: Lang, words: &Words) -> Option<Section> {
    let users = evidence.users.as_ref()?;
    let mut lines = Vec::new();
    lines.extend(users.mails.map(|m| told::mails(lang, m.sent, m.received, m.lost, m.retried)));
    lines.extend(users.http.map(|p| told::pages(lang, p.requests, p.failed, &format::time(lang, p.longest_gap_ms))));
    lines.extend(users.connection.map(|c| told::connection(lang, c.survived, &format::time(lang, c.longest_gap_ms))));
    (!lines.is_empty()).then_some(Section { title: words.users, table: None, lines })
}

fn timeline(evidence: &Evidence, lang: Lang, words: &Words) -> Option<Section> {
    let headings = [words.time, words.by, words.what].map(|word| (word, Align::Left));
    let rows = evidence.timeline.iter().map(|one| {
        let what = happenings::told(lang, &one.summary);
        let what = one.why.as_ref().map_or(what.clone(), |why| format!("{what} ({why})"));
        vec![format::moment(one.at), or_dash(one.by.as_ref()), what]
    });
    let table = grid(&headings, rows.collect())?;
    Some(Section { title: words.timeline, table: Some(table), lines: Vec::new() })
}
