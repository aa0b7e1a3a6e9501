//! Writing outages as a calendar. An outage's name is its event's UID, so that whoever reads the calendar
//! again knows it again.

use icalendar::{Calendar, Component, Event, EventLike, EventStatus};
use time::{UtcOffset, macros::format_description};
use watari_contracts::scheduler::{LegName, OutageView};
use watari_model::{SiteName, Timestamp, outage::State};

/// Who wrote it (RFC 5545, section 3.7.3).
const PRODUCER: &str = "-//Watari//outage export//EN";

/// One outage of a site, and what people call that.
pub(super) struct Entry<'o> {
    pub(super) outage: &'o OutageView,
    pub(super) site: &'o SiteName,
    pub(super) title: &'o str,
}

/// What an outage is called that has no note: it is not the power that an evacuation without a time is about.
#[derive(Clone, Copy)]
pub(super) struct Nameless<'n> {
    pub(super) power_off: &'n str,
    pub(super) evacuation: &'n str,
    pub(super) home_again: &'n str,
}

/// The whole file.
pub(super) fn calendar(entries: &[Entry<'_>], nameless: Nameless<'_>) -> String {
    let mut calendar = Calendar::empty();
    calendar.append_property(("VERSION", "2.0")).append_property(("PRODID", PRODUCER));
    calendar.append_property(("CALSCALE", "GREGORIAN"));
    for entry in entries {
        calendar.push(event(entry, nameless));
    }
    calendar.to_string()
}

fn event(Entry { outage, site, title }: &Entry<'_>, nameless: Nameless<'_>) -> Event {
    let what = match outage.note.as_str() {
        "" if outage.window.is_some() => nameless.power_off,
        "" if outage.leg == LegName::Home => nameless.home_again,
        "" => nameless.evacuation,
        note => note,
    };
    let status = if outage.state == State::Cancelled { EventStatus::Cancelled } else { EventStatus::Confirmed };
    let (from, until) = times(outage);
    let mut event = Event::new();
    event.status(status).uid(outage.id.as_str()).summary(&format!("{title}: {what}")).location(site.as_str());
    event.add_property("DTSTART", stamp(from)).add_property("DTSTAMP", stamp(outage.changed_at));
    event.add_property("LAST-MODIFIED", stamp(outage.changed_at)).add_property("CREATED", stamp(outage.created_at));
    if let Some(until) = until {
        event.add_property("DTEND", stamp(until));
    }
    event.done()
}

/// When the power is off; of an outage that nobody scheduled, when it was begun and ended.
pub(super) fn times(outage: &OutageView) -> (Timestamp, Option<Timestamp>) {
    match outage.window {
        Some(window) => (window.from, Some(window.until)),
        None => (outage.created_at, outage.state.is_over().then_some(outage.changed_at)),
    }
}

fn stamp(at: Timestamp) -> String {
    let form = format_description!("[year][month][day]T[hour][minute][second]Z");
    at.0.to_offset(UtcOffset::UTC).format(&form).unwrap_or_else(|_| at.0.to_string())
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::outage::ical::{read, times};

    fn sample() -> Vec<OutageView> {
        let text = include_str!("../../../../../shared/contracts/tests/golden/reply.OutageView.json");
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let site: SiteName = "myodaiji".parse().unwrap();
        let mut outages = sample();
        outages[2].note = "点検, 停電; ".repeat(15);
        let entry = |outage| Entry { outage, site: &site, title: "明大寺" };
        let nameless = Nameless { power_off: "停電", evacuation: "退避", home_again: "退避と帰還" };
        let text = calendar(&[entry(&outages[0]), entry(&outages[2])], nameless);
        assert!(
            text.starts_with("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n") && text.ends_with("END:VCALENDAR\r\n"),
            "{text}"
        );
        assert!(text.lines().all(|line| line.len() <= 75), "{text}");
        let again = read::read(&text).unwrap();
        let [begun, scheduled] = again.events.as_slice() else { panic!("{text}") };
        assert_eq!((begun.uid.as_str(), begun.summary.as_str()), ("myodaiji-1", "明大寺: 退避"));
        let window = |event| times::window(event, &TimeZone::UTC, outages[0].created_at);
        assert!(window(begun).is_err(), "nobody knows its end");
        assert_eq!((scheduled.uid.as_str(), scheduled.location.as_str()), ("myodaiji-2", "myodaiji"));
        assert_eq!(scheduled.summary, format!("明大寺: {}", outages[2].note.trim()));
        assert_eq!(window(scheduled).ok(), outages[2].window);
    }

    #[test]
    fn what_was_called_off_says_so() {
        let site: SiteName = "myodaiji".parse().unwrap();
        let outage = OutageView { state: State::Cancelled, ..sample()[2].clone() };
        let nameless = Nameless { power_off: "power outage", evacuation: "evacuation", home_again: "return" };
        let text = calendar(&[Entry { outage: &outage, site: &site, title: "myodaiji" }], nameless);
        let unnamed = OutageView { note: String::new(), ..outage.clone() };
        let untold = calendar(&[Entry { outage: &unnamed, site: &site, title: "myodaiji" }], nameless);
        assert!(untold.contains("SUMMARY:myodaiji: power outage\r\n"), "its time is known: {untold}");
        let returned = OutageView { leg: LegName::Home, window: None, ..unnamed };
        let untold = calendar(&[Entry { outage: &returned, site: &site, title: "myodaiji" }], nameless);
        assert!(untold.contains("SUMMARY:myodaiji: return\r\n"), "{untold}");
        assert!(text.contains("STATUS:CANCELLED\r\nSUMMARY:myodaiji: yearly inspection\r\n"), "{text}");
        assert_eq!(read::read(&text).unwrap().events[0].status, read::Status::Cancelled);
    }
}
