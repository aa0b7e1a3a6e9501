//! When an event takes place: in UTC, in a zone that it names, or on whole days.

use icalendar::parser::Property;
use jiff::{Span, Zoned, civil, tz::TimeZone};
use time::OffsetDateTime;
use watari_model::{Said, Timestamp, outage::Window, said};

use super::{
    read::{Event, shown},
    recurrence,
};

/// A property's moment, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    value: String,
    zone: Option<String>,
    /// Whether it is a day.
    pub(super) whole: bool,
}

impl Moment {
    pub(super) fn of(property: &Property<'_>) -> Self {
        let parameter = |name: &str| {
            let found = property.params.iter().find(|p| p.key.as_str().eq_ignore_ascii_case(name))?;
            found.val.as_ref().map(|value| value.as_str().trim().to_owned())
        };
        let value = shown(property.val.as_str());
        let whole = parameter("VALUE").is_some_and(|kind| kind.eq_ignore_ascii_case("DATE")) || !value.contains('T');
        Self { value, zone: parameter("TZID"), whole }
    }

    /// A moment by itself, with no more said of it.
    pub(super) fn plain(value: &str) -> Self {
        Self { value: shown(value), zone: None, whole: !value.contains('T') }
    }

    /// `floating` is meant where no zone is named, and on whole days.
    pub(super) fn read(&self, floating: &TimeZone) -> Result<Zoned, Said> {
        let value = self.value.as_str();
        let unread = || said!("its time {value} cannot be read", "日時 {value} を読み取れません");
        if self.whole {
            let day = civil::Date::strptime("%Y%m%d", value);
            return day.and_then(|day| day.to_zoned(floating.clone())).map_err(|_| unread());
        }
        let (local, zone) = match (value.strip_suffix('Z'), &self.zone) {
            (Some(utc), _) => (utc, TimeZone::UTC),
            (None, Some(name)) => (value, named(name).ok_or_else(|| unknown(name))?),
            (None, None) => (value, floating.clone()),
        };
        civil::DateTime::strptime("%Y%m%dT%H%M%S", local).and_then(|at| at.to_zoned(zone)).map_err(|_| unread())
    }
}

fn unknown(zone: &str) -> Said {
    let zone = shown(zone);
    said!("its time zone {zone} is not known", "タイムゾーン {zone} に対応していません")
}

/// A time zone by its name in the IANA's tables; Outlook has a name of its own for Japan's.
fn named(zone: &str) -> Option<TimeZone> {
    let zone = if zone == "Tokyo Standard Time" { "Asia/Tokyo" } else { zone };
    TimeZone::get(zone).ok()
}

/// The zone that a calendar means where a time names none: its own, or the machine's.
///
/// # Errors
/// If it names one that nobody knows.
pub(super) fn floating(zone: Option<&str>) -> Result<TimeZone, Said> {
    zone.map_or_else(|| Ok(TimeZone::system()), |name| named(name).ok_or_else(|| unknown(name)))
}

/// From when until when an event lasts: the next time, if it recurs.
///
/// # Errors
/// Why that cannot be said.
pub(super) fn window(event: &Event, floating: &TimeZone, now: Timestamp) -> Result<Window, Said> {
    let start = event.start.as_ref().ok_or_else(|| said!("it has no beginning", "開始日時がありません"))?;
    let endless = || said!("it does not say when it ends", "終了日時がありません");
    let from = start.read(floating)?;
    let until = match (&event.end, &event.duration) {
        (Some(end), _) => end.read(floating)?,
        (None, Some(length)) => {
            let length: Span = length.parse().map_err(|_| endless())?;
            from.checked_add(length).map_err(|_| endless())?
        }
        (None, None) if start.whole => from.tomorrow().map_err(|_| endless())?,
        (None, None) => return Err(endless()),
    };
    let (from, until) = match &event.rule {
        Some(rule) if from < until => recurrence::next(rule, (from, until), floating, now)?,
        _ => (from, until),
    };
    match (stamp(&from), stamp(&until)) {
        (Some(from), Some(until)) if from < until => Ok(Window { from, until }),
        _ => Err(said!("it ends before it begins", "終了日時が開始日時より後ではありません")),
    }
}

pub(super) fn stamp(at: &Zoned) -> Option<Timestamp> {
    OffsetDateTime::from_unix_timestamp_nanos(at.timestamp().as_nanosecond()).ok().map(Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{format::moment_in, outage::ical::read::read};

    /// From when until when, or why not.
    fn of(lines: &str) -> Result<(String, String), String> {
        let text = format!("BEGIN:VCALENDAR\nBEGIN:VEVENT\n{lines}\nEND:VEVENT\nEND:VCALENDAR\n");
        let calendar = read(&text).unwrap();
        let zone = floating(Some("Asia/Tokyo")).unwrap();
        let now = Timestamp(OffsetDateTime::UNIX_EPOCH);
        let window = window(&calendar.events[0], &zone, now).map_err(|said| said.en)?;
        Ok((moment_in(window.from, TimeZone::UTC), moment_in(window.until, TimeZone::UTC)))
    }

    #[test]
    fn a_time_is_meant_in_utc_in_its_zone_or_in_the_calendars() {
        let morning = Ok(("2027-03-19 23:00:00Z".to_owned(), "2027-03-20 08:00:00Z".to_owned()));
        for lines in [
            "DTSTART:20270319T230000Z\nDTEND:20270320T080000Z",
            "DTSTART;TZID=Asia/Tokyo:20270320T080000\nDTEND;TZID=Asia/Tokyo:20270320T170000",
            "DTSTART;TZID=\"Tokyo Standard Time\":20270320T080000\nDURATION:PT9H",
            "DTSTART:20270320T080000\nDTEND:20270320T170000",
            "DTSTART;VALUE=DATE-TIME:20270320T080000\nDTEND;TZID=Europe/Berlin:20270320T090000",
        ] {
            assert_eq!(of(lines), morning, "{lines}");
        }
        // Summer time is a matter of the zone.
        let summer = of("DTSTART;TZID=Europe/Berlin:20270620T090000\nDURATION:P1DT1H").unwrap();
        assert_eq!(summer, ("2027-06-20 07:00:00Z".to_owned(), "2027-06-21 08:00:00Z".to_owned()));
    }

    #[test]
    fn a_whole_day_lasts_from_midnight_to_midnight() {
        let day = Ok(("2027-03-19 15:00:00Z".to_owned(), "2027-03-20 15:00:00Z".to_owned()));
        for lines in [
            "DTSTART;VALUE=DATE:20270320",
            "DTSTART;VALUE=DATE:20270320\nDTEND;VALUE=DATE:20270321",
            "DTSTART:20270320\nDURATION:P1D",
        ] {
            assert_eq!(of(lines), day, "{lines}");
        }
    }

    #[test]
    fn what_cannot_be_said_is_said_to_be_so() {
        for (lines, why) in [
            ("DTEND:20270320T080000Z", "no beginning"),
            ("DTSTART:20270320T080000Z", "when it ends"),
            ("DTSTART:20270320T080000Z\nDURATION:PT", "when it ends"),
            ("DTSTART:20270320T080000Z\nDURATION:P99999999999Y", "when it ends"),
            ("DTSTART:20270320T080000Z\nDURATION:-PT1H", "before it begins"),
            ("DTSTART:20270320T080000Z\nDTEND:20270320T080000Z", "before it begins"),
            ("DTSTART:20271320T080000Z\nDTEND:20270320T080000Z", "cannot be read"),
            ("DTSTART:2027-03-20T08:00\nDURATION:PT1H", "cannot be read"),
            ("DTSTART:tomorrow\nDURATION:PT1H", "cannot be read"),
            ("DTSTART;TZID=Atlantis:20270320T080000\nDURATION:PT1H", "Atlantis is not known"),
            ("DTSTART;TZID=../../etc/passwd:20270320T080000\nDURATION:PT1H", "is not known"),
        ] {
            assert!(of(lines).is_err_and(|said| said.contains(why)), "{lines}: {:?}", of(lines));
        }
        assert!(floating(Some("Atlantis")).is_err() && floating(None).is_ok());
    }
}
