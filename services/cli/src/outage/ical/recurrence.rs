//! What an event that recurs (RFC 5545, section 3.3.10) stands for: its next time. Once that is over, it stands for the
//! one after, when the calendar is read again.
//!
//! Inspections recur by day, week, month or year, on the same day or on an nth weekday of the month. Any other rule is
//! told to be not understood, rather than taken for a day that it does not mean.

use jiff::{Span, Zoned, civil::Weekday, tz::TimeZone};
use watari_model::{Said, Timestamp, said};

use super::{
    read::shown,
    times::{Moment, stamp},
};

/// So far a rule is followed: 50 years of days.
const MOST_STEPS: i64 = 20_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Day,
    Week,
    Month,
    Year,
}

#[derive(Clone, Debug)]
struct Rule {
    unit: Unit,
    interval: i64,
    /// How many times there are in all.
    count: Option<u32>,
    /// The last moment or day.
    until: Option<Moment>,
    /// The nth such weekday of the month, from its end if it is less than 0.
    nth: Option<(i8, Weekday)>,
}

/// From when until when the event lasts the next time that is not over, or, if all are, the first time.
///
/// # Errors
/// That the rule, or its end, is not understood.
pub(super) fn next(
    rule: &str,
    first: (Zoned, Zoned),
    floating: &TimeZone,
    now: Timestamp,
) -> Result<(Zoned, Zoned), Said> {
    let (begins, ends) = &first;
    let rule = Rule::of(rule, begins).ok_or_else(|| unclear(rule))?;
    let length = ends.duration_since(begins);
    let mut left = rule.count;
    for step in 0..MOST_STEPS {
        // In the first month the nth weekday may be before the first time.
        let Some(from) = rule.at(begins, step).filter(|from| from >= begins) else { continue };
        if left == Some(0) || rule.has_ended(&from, floating)? {
            break;
        }
        left = left.map(|left| left - 1);
        let Ok(until) = from.checked_add(length) else { break };
        if stamp(&until).is_some_and(|until| until > now) {
            return Ok((from, until));
        }
    }
    Ok(first)
}

fn unclear(rule: &str) -> Said {
    let rule = shown(rule);
    said!(
        "it recurs in a way that is not understood ({rule}); give each date an event of its own",
        "繰り返しの規則 ({rule}) に対応していません。日付ごとに別の予定にしてください"
    )
}

impl Rule {
    /// None if it says anything else than is known here.
    fn of(text: &str, first: &Zoned) -> Option<Self> {
        let (mut unit, mut interval, mut count, mut until) = (None, 1, None, None);
        let (mut month, mut day, mut weekday) = (false, false, None);
        for part in text.split(';').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=')?;
            match key.to_ascii_uppercase().as_str() {
                "FREQ" => unit = Some(Unit::of(value)?),
                "INTERVAL" => interval = value.parse::<i64>().ok().filter(|interval| *interval > 0)?,
                "COUNT" => count = Some(value.parse::<u32>().ok()?),
                "UNTIL" => until = Some(Moment::plain(value)),
                // It matters only to several weekdays of a week.
                "WKST" => {}
                "BYMONTH" if value == first.month().to_string() => month = true,
                "BYMONTHDAY" if value == first.day().to_string() => day = true,
                "BYDAY" => weekday = Some(Nth::of(value)?),
                _ => return None,
            }
        }
        let unit = unit?;
        // Alone, these would mean other days as well.
        let one_month = unit == Unit::Month || (unit == Unit::Year && month);
        if (month && unit != Unit::Year) || (day && (!one_month || weekday.is_some())) {
            return None;
        }
        let nth = match weekday {
            None => None,
            Some(Nth(None, weekday)) if unit == Unit::Week && weekday == first.weekday() => None,
            Some(Nth(Some(nth), weekday)) if one_month => Some((nth, weekday)),
            Some(_) => return None,
        };
        Some(Self { unit, interval, count, until, nth })
    }

    /// When it begins after so many steps; none if there is no such day then.
    fn at(&self, first: &Zoned, step: i64) -> Option<Zoned> {
        let (span, steps) = (Span::new(), self.interval.checked_mul(step)?);
        let span = match self.unit {
            Unit::Day => span.try_days(steps),
            Unit::Week => span.try_weeks(steps),
            Unit::Month => span.try_months(steps),
            Unit::Year => span.try_years(steps),
        };
        let at = first.checked_add(span.ok()?).ok()?;
        match self.nth {
            Some((nth, weekday)) => {
                let day = at.date().nth_weekday_of_month(nth, weekday).ok()?;
                at.with().date(day).build().ok()
            }
            // What would be on the 31st is on no other day instead.
            None if matches!(self.unit, Unit::Month | Unit::Year) && at.day() != first.day() => None,
            None => Some(at),
        }
    }

    fn has_ended(&self, at: &Zoned, floating: &TimeZone) -> Result<bool, Said> {
        let Some(until) = &self.until else { return Ok(false) };
        let last = until.read(floating)?;
        Ok(if until.whole { at.date() > last.date() } else { at.timestamp() > last.timestamp() })
    }
}

impl Unit {
    fn of(value: &str) -> Option<Self> {
        match value.to_ascii_uppercase().as_str() {
            "DAILY" => Some(Self::Day),
            "WEEKLY" => Some(Self::Week),
            "MONTHLY" => Some(Self::Month),
            "YEARLY" => Some(Self::Year),
            _ => None,
        }
    }
}

/// A weekday, and which one of its month.
struct Nth(Option<i8>, Weekday);

impl Nth {
    fn of(value: &str) -> Option<Self> {
        let (nth, weekday) = value.split_at_checked(value.len().checked_sub(2)?)?;
        let weekday = match weekday.to_ascii_uppercase().as_str() {
            "MO" => Weekday::Monday,
            "TU" => Weekday::Tuesday,
            "WE" => Weekday::Wednesday,
            "TH" => Weekday::Thursday,
            "FR" => Weekday::Friday,
            "SA" => Weekday::Saturday,
            "SU" => Weekday::Sunday,
            _ => return None,
        };
        if nth.is_empty() {
            return Some(Self(None, weekday));
        }
        // No month has a sixth.
        let nth = nth.parse().ok().filter(|nth: &i8| *nth != 0 && (-5..=5).contains(nth))?;
        Some(Self(Some(nth), weekday))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::moment_in;

    /// An event that was first on Saturday, 20 March 2027, from eight to five in Okazaki: when it is next, seen from `now`.
    fn after(rule: &str, now: &str) -> Result<String, String> {
        let zone = TimeZone::get("Asia/Tokyo").unwrap();
        let at = |text: &str| Moment::plain(text).read(&zone).unwrap();
        let first = (at("20270320T080000"), at("20270320T170000"));
        let now = stamp(&at(now)).unwrap();
        let (from, until) = next(rule, first, &zone, now).map_err(|said| said.en)?;
        assert_eq!(from.duration_until(&until).as_hours(), 9);
        Ok(moment_in(stamp(&from).unwrap(), zone).chars().take("2027-03-20".len()).collect())
    }

    #[test]
    fn an_event_that_recurs_stands_for_its_next_time() {
        for (rule, now, next) in [
            ("FREQ=YEARLY", "20270101T000000", "2027-03-20"),
            ("FREQ=YEARLY", "20270320T120000", "2027-03-20"),
            ("FREQ=YEARLY", "20270320T170000", "2028-03-20"),
            ("FREQ=YEARLY;BYMONTH=3;BYDAY=3SA", "20270401T000000", "2028-03-18"),
            ("FREQ=YEARLY;INTERVAL=2;BYMONTH=3;BYMONTHDAY=20", "20270401T000000", "2029-03-20"),
            ("FREQ=MONTHLY;BYDAY=-1SU", "20270401T000000", "2027-04-25"),
            // The first Saturday of that March is before all of them.
            ("FREQ=MONTHLY;BYDAY=1SA", "20270101T000000", "2027-04-03"),
            ("FREQ=MONTHLY;WKST=SU", "20270401T000000", "2027-04-20"),
            ("freq=weekly;byday=sa", "20270321T000000", "2027-03-27"),
            ("FREQ=DAILY;INTERVAL=10", "20270321T000000", "2027-03-30"),
            // What is over stands for itself, and is told to be past.
            ("FREQ=WEEKLY;COUNT=2", "20270401T000000", "2027-03-20"),
            ("FREQ=WEEKLY;COUNT=2", "20270321T000000", "2027-03-27"),
            ("FREQ=YEARLY;UNTIL=20280320", "20280101T000000", "2028-03-20"),
            ("FREQ=YEARLY;UNTIL=20280319T225959Z", "20280101T000000", "2027-03-20"),
        ] {
            assert_eq!(after(rule, now).as_deref(), Ok(next), "{rule} from {now}");
        }
    }

    #[test]
    fn a_rule_that_means_other_days_too_is_not_understood() {
        for rule in [
            "FREQ=HOURLY",
            "INTERVAL=2",
            "FREQ=YEARLY;INTERVAL=0",
            "FREQ=YEARLY;BYDAY=3SA",
            "FREQ=YEARLY;BYMONTH=4",
            "FREQ=YEARLY;BYMONTHDAY=20",
            "FREQ=MONTHLY;BYMONTH=3",
            "FREQ=MONTHLY;BYDAY=SA",
            "FREQ=MONTHLY;BYDAY=0SA",
            "FREQ=MONTHLY;BYDAY=6SA",
            "FREQ=MONTHLY;BYDAY=SA;BYSETPOS=3",
            "FREQ=WEEKLY;BYDAY=MO,SA",
            "FREQ=WEEKLY;BYDAY=MO",
            "FREQ=DAILY;BYDAY=é",
            "nonsense",
        ] {
            assert!(after(rule, "20270101T000000").is_err_and(|why| why.contains("not understood")), "{rule}");
        }
        assert!(after("FREQ=YEARLY;UNTIL=soon", "20270101T000000").is_err_and(|why| why.contains("cannot be read")));
    }

    #[test]
    fn a_day_that_a_month_has_not_is_left_out() {
        let zone = TimeZone::UTC;
        let at = |text: &str| Moment::plain(text).read(&zone).unwrap();
        let first = (at("20270131T080000"), at("20270131T090000"));
        let (from, _) = next("FREQ=MONTHLY", first, &zone, stamp(&at("20270201T000000")).unwrap()).unwrap();
        assert_eq!(from.date(), at("20270331").date());
    }
}
