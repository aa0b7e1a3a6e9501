//! What people type, read by the model's own rules, so that it is refused here with the words with
//! which a service would refuse it.

use std::{fs::File, io::Read, str::FromStr};

use time::OffsetDateTime;
use watari_model::{NotAName, Refusal, Said, Timestamp, said};

use crate::{failure::Failure, format, options::millis, texts::faults::Fault};

/// Further ahead than any moment that a service takes, and near enough to be counted.
const MOST_AHEAD_MS: u64 = 10 * 366 * 86_400_000;

/// Longer ago than anything that was written down.
const MOST_AGO_MS: u64 = 36_500 * 86_400_000;

/// A name.
///
/// # Errors
/// [`Failure::Mistyped`] saying what a name is.
pub fn name<N: FromStr<Err = NotAName>>(text: &str) -> Result<N, Failure> {
    text.parse().map_err(|e: NotAName| Failure::mistyped(Refusal::BadName { value: format!("{:?}", e.shown) }))
}

/// A name that may be left out.
///
/// # Errors
/// As [`name`].
pub fn name_if<N: FromStr<Err = NotAName>>(text: Option<&str>) -> Result<Option<N>, Failure> {
    text.map(name).transpose()
}

/// An address, or anything else that is written in one way.
///
/// # Errors
/// [`Failure::Mistyped`] naming the field and what it takes.
pub fn value<V: FromStr>(field: &str, allowed: Said, text: &str) -> Result<V, Failure> {
    text.parse().map_err(|_| out_of_range(field, allowed, text))
}

/// That a field does not take this value.
#[must_use]
pub fn out_of_range(field: &str, allowed: Said, value: &str) -> Failure {
    Failure::mistyped(Refusal::OutOfRange { field: field.to_owned(), value: value.chars().take(40).collect(), allowed })
}

/// A moment: `2026-12-01 08:00` in the machine's time zone, RFC 3339, or `+45m`, `+3h`, `+2d` from `now` on.
///
/// # Errors
/// As [`value`].
pub fn moment(field: &str, text: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    let forms = || {
        said!(
            "one of these forms: 'YYYY-MM-DD HH:MM' (this machine's time), YYYY-MM-DDTHH:MM:SS+09:00, or from now on +45m, +3h, +2d",
            "'YYYY-MM-DD HH:MM' (このマシンの時刻)、YYYY-MM-DDTHH:MM:SS+09:00、または現在からの時間 +45m、+3h、+2d の形式"
        )
    };
    let later = |text| Some(now.plus_millis(millis(text).filter(|ms| (1..=MOST_AHEAD_MS).contains(ms))?));
    let read = match text.strip_prefix('+') {
        Some(text) => later(text),
        None => absolute(text),
    };
    read.ok_or_else(|| out_of_range(field, forms(), text))
}

/// A moment that may have been: as [`moment`], a day for its beginning in the machine's time zone, or `2d` for so
/// long before `now`.
///
/// # Errors
/// As [`value`].
pub fn past(field: &str, text: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    let forms = || {
        said!(
            "2d, 12h or 30m ago, YYYY-MM-DD, YYYY-MM-DD HH:MM or RFC 3339",
            "2d、12h、30m (現在からさかのぼる時間)、YYYY-MM-DD、YYYY-MM-DD HH:MM または RFC 3339 の形式"
        )
    };
    let millis =
        text.strip_suffix('w').map_or_else(|| millis(text), |weeks| millis(&format!("{weeks}d"))?.checked_mul(7));
    // A number alone might be meant as a year.
    let ago = millis.filter(|ms| *ms <= MOST_AGO_MS && !text.ends_with(|c: char| c.is_ascii_digit()));
    let before = ago.map(|ms| now.minus_millis(ms));
    let read = before.or_else(|| day(text)).or_else(|| absolute(text));
    read.ok_or_else(|| out_of_range(field, forms(), text))
}

/// An example of a later moment is so much later.
const EXAMPLE_MS: u64 = 3_600_000;

/// That a moment comes after another one, which has a name: an option, or *now*. Both are told as they were understood,
/// with their zone, and so is one that would be taken.
///
/// # Errors
/// As [`value`].
pub fn later(field: &str, text: &str, at: Timestamp, than: &Said, other: Timestamp) -> Result<(), Failure> {
    if at > other {
        return Ok(());
    }
    let (en, ja, example) = (&than.en, &than.ja, format::moment(other.plus_millis(EXAMPLE_MS)));
    let (text, at, other) = (text.chars().take(40).collect::<String>(), format::moment(at), format::moment(other));
    let allowed = said!(
        "a moment after {en} ({other}), such as '{example}'",
        "'{example}' のような、{ja} ({other}) より後の日時"
    );
    Err(Failure::mistyped(Refusal::OutOfRange { field: field.to_owned(), value: format!("{text} ({at})"), allowed }))
}

/// When a day begins here.
fn day(text: &str) -> Option<Timestamp> {
    let date: jiff::civil::Date = text.parse().ok().filter(|_| text.len() == "YYYY-MM-DD".len())?;
    let begins = date.to_zoned(jiff::tz::TimeZone::system()).ok()?;
    OffsetDateTime::from_unix_timestamp_nanos(begins.timestamp().as_nanosecond()).ok().map(Timestamp)
}

fn absolute(text: &str) -> Option<Timestamp> {
    let local = |civil: jiff::civil::DateTime| civil.to_zoned(jiff::tz::TimeZone::system()).ok().map(|z| z.timestamp());
    // A date alone says no moment, and a zone's name without its offset would be passed over.
    if !text.contains(':') || text.contains('[') {
        return None;
    }
    // A time of day with an offset is meant as that says, not as this machine does.
    let at = text.parse::<jiff::Timestamp>().ok().or_else(|| text.parse().ok().and_then(local))?;
    OffsetDateTime::from_unix_timestamp_nanos(at.as_nanosecond()).ok().map(Timestamp)
}

/// `KEY=VALUE`.
///
/// # Errors
/// As [`value`].
pub fn pair(field: &str, text: &str) -> Result<(String, String), Failure> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(out_of_range(field, Said::both("KEY=VALUE"), text)),
    }
}

/// The text of a file, or of standard input for `-`, as far as `most` bytes.
///
/// # Errors
/// [`Fault::FileUnknown`], [`Fault::FileUnread`] or [`Fault::FileNotText`].
pub fn text(file: &str, most: usize) -> Result<String, Failure> {
    let unread = |error: std::io::Error| Fault::unread(file, &error);
    let source: Box<dyn Read> = match file {
        "-" => Box::new(std::io::stdin().lock()),
        path => Box::new(File::open(path).map_err(unread)?),
    };
    let mut bytes = Vec::new();
    source.take(most as u64).read_to_end(&mut bytes).map_err(unread)?;
    String::from_utf8(bytes).map_err(|_| Fault::FileNotText { path: file.to_owned() }.into())
}

#[cfg(test)]
mod tests {
    use time::format_description::well_known::Rfc3339;

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp(OffsetDateTime::parse(text, &Rfc3339).unwrap())
    }

    #[test]
    fn a_moment_is_read_in_its_zone_or_from_now_on() {
        let now = at("2026-11-28T12:00:00Z");
        assert_eq!(moment("from", "2026-12-01T08:00:00+09:00", now).unwrap(), at("2026-11-30T23:00:00Z"));
        for (text, moment_then) in [
            ("+90m", "2026-11-28T13:30:00Z"),
            ("+3h", "2026-11-28T15:00:00Z"),
            ("+2d", "2026-11-30T12:00:00Z"),
            ("+400d", "2028-01-02T12:00:00Z"),
        ] {
            assert_eq!(moment("from", text, now).unwrap(), at(moment_then), "{text}");
        }
        let refused = moment("--from", "+2y", now).unwrap_err().rendered(crate::lang::Lang::En);
        assert!(refused.remedy.contains("+45m, +3h, +2d"), "the forms are named: {refused:?}");
        let zone = jiff::tz::TimeZone::system();
        let local = jiff::civil::date(2026, 12, 1).at(8, 0, 0, 0).to_zoned(zone).unwrap();
        for text in ["2026-12-01 08:00", "2026-12-01T08:00:00"] {
            let read = moment("from", text, now).unwrap();
            assert_eq!(read.0.unix_timestamp(), local.timestamp().as_second(), "{text}");
        }
        for text in [
            "",
            "tomorrow",
            "+",
            "+0s",
            "+1w",
            "+99999999d",
            "2026-13-01 08:00",
            "08:00",
            "2026-12-01 25:00",
            "2026-12-01",
            "2026-12-01T08:00[Asia/Tokyo]",
        ] {
            assert!(moment("from", text, now).is_err(), "{text}");
        }
    }

    #[test]
    fn what_ends_before_it_begins_is_refused_by_the_options_own_name() {
        let (from, until) = (at("2026-11-28T12:00:00Z"), at("2026-11-29T12:00:00Z"));
        let than = Said::both("--from");
        assert!(later("--to", "x", until, &than, from).is_ok());
        for moment in [from, from.minus_millis(1)] {
            let refused = later("--to", "1d", moment, &than, from).unwrap_err();
            assert_eq!(refused.exit(), crate::failure::USAGE);
            let told = refused.rendered(crate::lang::Lang::En);
            let (begin, end) = (format::moment(from), format::moment(moment));
            assert!(told.cause.contains(&format!("--to is 1d ({end})")), "{told:?}");
            let example = format::moment(from.plus_millis(EXAMPLE_MS));
            let remedy = format!("for --to give a moment after --from ({begin}), such as '{example}'");
            assert_eq!(told.remedy, remedy);
            assert!(later("--to", &example, super::moment("--to", &example, from).unwrap(), &than, from).is_ok());
            let told = refused.rendered(crate::lang::Lang::Ja);
            assert!(told.cause.contains(&end), "{told:?}");
            assert!([&begin, &example].iter().all(|at| told.remedy.contains(at.as_str())), "{told:?}");
        }
    }

    #[test]
    fn what_has_been_is_told_by_its_day_or_by_how_long_ago_it_was() {
        let now = at("2026-11-28T12:00:00Z");
        for (text, then) in [
            ("2d", "2026-11-26T12:00:00Z"),
            ("1w", "2026-11-21T12:00:00Z"),
            ("90m", "2026-11-28T10:30:00Z"),
            ("0s", "2026-11-28T12:00:00Z"),
            ("2026-11-01T00:00:00+09:00", "2026-10-31T15:00:00Z"),
        ] {
            assert_eq!(past("since", text, now).unwrap(), at(then), "{text}");
        }
        let midnight = jiff::civil::date(2026, 11, 1).to_zoned(jiff::tz::TimeZone::system()).unwrap();
        let read = past("since", "2026-11-01", now).unwrap();
        assert_eq!(read.0.unix_timestamp(), midnight.timestamp().as_second());
        for text in ["", "d", "2026", "20261101", "-1d", "99999999d", "2026-13-01", "yesterday", "2x"] {
            assert!(past("since", text, now).is_err(), "{text}");
        }
    }
}
