//! Reading a calendar (RFC 5545), line by line and within bounds: the file is somebody else's.
//!
//! The library joins folded lines and takes properties apart. In which component a line stands is kept
//! here, since the library's own reader goes as deep as a file tells it to.

use icalendar::parser::{Property, unfold};
use watari_model::{Said, said};

use super::times::Moment;

/// The most bytes of a calendar.
pub(super) const MOST_BYTES: usize = 1 << 20;
/// The most events of a calendar.
const MOST_EVENTS: usize = 1_000;
/// An alarm of an event of a calendar is three deep.
const DEEPEST: usize = 8;
/// So much of a foreign text is shown.
const SHOWN: usize = 200;

/// What is read of a calendar.
#[derive(Debug, Default)]
pub(super) struct Calendar {
    pub(super) events: Vec<Event>,
    /// The zone in which times are meant that name none.
    pub(super) zone: Option<String>,
    /// Whether it was sent to call its events off.
    cancels: bool,
}

/// Whether an event takes place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Status {
    #[default]
    Confirmed,
    Tentative,
    Cancelled,
}

/// What is read of an event.
#[derive(Clone, Debug, Default)]
pub(super) struct Event {
    pub(super) uid: String,
    pub(super) summary: String,
    pub(super) location: String,
    pub(super) categories: String,
    pub(super) status: Status,
    /// By what rule it recurs.
    pub(super) rule: Option<String>,
    /// Whether it stands for other times beside or against that rule, or for one of many.
    pub(super) recurs: bool,
    pub(super) start: Option<Moment>,
    pub(super) end: Option<Moment>,
    pub(super) duration: Option<String>,
}

/// Why a file is not read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    NoCalendar,
    TooLarge,
    TooManyEvents,
    TooDeep,
    /// It is cut off within this component.
    Unclosed(String),
    /// This line stands where it cannot.
    Misplaced(String),
}

impl Unreadable {
    pub(super) fn said(&self) -> Said {
        match self {
            Self::NoCalendar => said!("it does not begin with BEGIN:VCALENDAR", "BEGIN:VCALENDAR で始まっていません"),
            Self::TooLarge => said!("it has more than {MOST_BYTES} bytes", "{MOST_BYTES} バイトを超えています"),
            Self::TooManyEvents => {
                said!("it has more than {MOST_EVENTS} events", "予定が {MOST_EVENTS} 件を超えています")
            }
            Self::TooDeep => said!("its components are nested too deeply", "構成要素の入れ子が深すぎます"),
            Self::Unclosed(name) => said!("it ends within {name}", "{name} の途中で終わっています"),
            Self::Misplaced(line) => {
                said!("this line stands where it cannot: {line}", "次の行の位置が正しくありません: {line}")
            }
        }
    }
}

/// Text that may be shown: no control characters, and not too much.
pub(super) fn shown(text: &str) -> String {
    let clean = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    clean.take(SHOWN).collect()
}

/// Reads what a file holds.
///
/// # Errors
/// [`Unreadable`] if it is no calendar, or more of one than is read.
pub(super) fn read(text: &str) -> Result<Calendar, Unreadable> {
    if text.len() > MOST_BYTES {
        return Err(Unreadable::TooLarge);
    }
    let text = unfold(text.trim_start_matches('\u{feff}'));
    let mut calendar = Calendar::default();
    let mut open: Vec<String> = Vec::new();
    let mut event = Event::default();
    let mut begun = false;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        if let Some(name) = after(line, "BEGIN:") {
            if open.is_empty() && name != "VCALENDAR" {
                return Err(Unreadable::NoCalendar);
            }
            if open.len() == DEEPEST {
                return Err(Unreadable::TooDeep);
            }
            begun = true;
            open.push(name);
        } else if let Some(name) = after(line, "END:") {
            if is_event(&open) {
                if calendar.events.len() == MOST_EVENTS {
                    return Err(Unreadable::TooManyEvents);
                }
                calendar.events.push(std::mem::take(&mut event));
            }
            if open.pop() != Some(name) {
                return Err(Unreadable::Misplaced(shown(line)));
            }
        } else if open.is_empty() {
            return Err(Unreadable::NoCalendar);
        } else if is_event(&open) {
            event.take(&property(line)?);
        } else if open.len() == 1 {
            calendar.take(&property(line)?);
        }
    }
    if calendar.cancels {
        calendar.events.iter_mut().for_each(|event| event.status = Status::Cancelled);
    }
    match open.pop() {
        Some(name) => Err(Unreadable::Unclosed(name)),
        None if begun => Ok(calendar),
        None => Err(Unreadable::NoCalendar),
    }
}

/// The name of the component that a line opens or closes.
fn after(line: &str, word: &str) -> Option<String> {
    let head = line.get(..word.len())?;
    let rest = line.get(word.len()..)?;
    head.eq_ignore_ascii_case(word).then(|| shown(rest).to_ascii_uppercase())
}

fn is_event(open: &[String]) -> bool {
    matches!(open, [_, component] if component == "VEVENT")
}

fn property(line: &str) -> Result<Property<'_>, Unreadable> {
    Property::try_from(line).map_err(|_| Unreadable::Misplaced(shown(line)))
}

impl Calendar {
    fn take(&mut self, property: &Property<'_>) {
        let value = property.val.as_str().trim();
        match property.name.as_str().to_ascii_uppercase().as_str() {
            "METHOD" => self.cancels = value.eq_ignore_ascii_case("CANCEL"),
            "X-WR-TIMEZONE" => self.zone = Some(value.to_owned()),
            _ => {}
        }
    }
}

impl Event {
    fn take(&mut self, property: &Property<'_>) {
        let value = property.val.as_str().trim();
        match property.name.as_str().to_ascii_uppercase().as_str() {
            "UID" => value.clone_into(&mut self.uid),
            "SUMMARY" => self.summary = shown(value),
            "LOCATION" => self.location = shown(value),
            // There may be several; names of sites have nothing in them that would be escaped.
            "CATEGORIES" => self.categories = shown(&format!("{} {value}", self.categories)),
            "STATUS" if value.eq_ignore_ascii_case("CANCELLED") => self.status = Status::Cancelled,
            "STATUS" if value.eq_ignore_ascii_case("TENTATIVE") => self.status = Status::Tentative,
            "DTSTART" => self.start = Some(Moment::of(property)),
            "DTEND" => self.end = Some(Moment::of(property)),
            "DURATION" => self.duration = Some(shown(value)),
            // Two rules are more than one is.
            "RRULE" if self.rule.is_none() => self.rule = Some(shown(value)),
            "RRULE" | "RDATE" | "EXDATE" | "EXRULE" | "RECURRENCE-ID" => self.recurs = true,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar(lines: &str) -> String {
        format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{lines}END:VCALENDAR\r\n")
    }

    #[test]
    fn folded_escaped_and_nested_lines_are_read_as_they_are_meant() {
        let event = "BEGIN:VEVENT\r\nUID:a@b\r\nSUMMARY:点検\\, 停\r\n 電\r\nCATEGORIES:x\r\nCATEGORIES:Yamate,y\r\n\
            LOCATION;LANGUAGE=ja:明大寺\r\nDTSTART;TZID=\"Asia/Tokyo\":20270320T080000\r\nDURATION:PT9H\r\n\
            BEGIN:VALARM\r\nSUMMARY:not this\r\nDURATION:PT5M\r\nEND:VALARM\r\nstatus:tentative\r\nEND:VEVENT\r\n";
        let read = read(&format!("\u{feff}{}", calendar(&format!("X-WR-TIMEZONE:Asia/Tokyo\r\n{event}")))).unwrap();
        assert_eq!((read.events.len(), read.zone.as_deref()), (1, Some("Asia/Tokyo")));
        let event = &read.events[0];
        assert_eq!((event.uid.as_str(), event.summary.as_str()), ("a@b", "点検, 停電"));
        assert_eq!((event.location.as_str(), event.categories.as_str()), ("明大寺", "x Yamate,y"));
        assert_eq!((event.duration.as_deref(), event.status), (Some("PT9H"), Status::Tentative));
        assert!(event.start.is_some() && event.end.is_none() && !event.recurs);
    }

    #[test]
    fn what_hides_in_a_text_is_not_shown() {
        let read = read(&calendar("BEGIN:VEVENT\nSUMMARY:a\u{1b}[2Jb\\nc\nRRULE:FREQ=YEARLY\nEND:VEVENT\n")).unwrap();
        let event = &read.events[0];
        assert_eq!((event.summary.as_str(), event.rule.as_deref()), ("a [2Jb c", Some("FREQ=YEARLY")));
    }

    #[test]
    fn a_calendar_that_calls_off_calls_every_event_off() {
        let read = read(&calendar("METHOD:CANCEL\nBEGIN:VEVENT\nUID:a\nEND:VEVENT\n")).unwrap();
        assert_eq!(read.events[0].status, Status::Cancelled);
    }

    #[test]
    fn what_is_no_calendar_or_too_much_of_one_is_refused_and_soon() {
        let deep = calendar(&"BEGIN:X\n".repeat(100_000));
        let many = calendar(&"BEGIN:VEVENT\nEND:VEVENT\n".repeat(1_001));
        let quotes = "y\nEND:VEVENT\nBEGIN:VEVENT\nX;A=\"".repeat(900);
        let odd = calendar(&format!("BEGIN:VEVENT\nX;A=\"{quotes}\nEND:VEVENT\n"));
        let (large, more) = (" ".repeat(MOST_BYTES + 1), format!("{}x", calendar("")));
        for (text, why) in [
            ("", Some(Unreadable::NoCalendar)),
            ("<html>", Some(Unreadable::NoCalendar)),
            ("BEGIN:VCARD\nEND:VCARD\n", Some(Unreadable::NoCalendar)),
            ("BEGIN:VCALENDAR\nBEGIN:VEVENT\n", Some(Unreadable::Unclosed("VEVENT".to_owned()))),
            ("BEGIN:VCALENDAR\nEND:VEVENT\n", Some(Unreadable::Misplaced("END:VEVENT".to_owned()))),
            (deep.as_str(), Some(Unreadable::TooDeep)),
            (many.as_str(), Some(Unreadable::TooManyEvents)),
            (odd.as_str(), None),
            (large.as_str(), Some(Unreadable::TooLarge)),
            (more.as_str(), Some(Unreadable::NoCalendar)),
        ] {
            assert_eq!(read(text).err(), why, "{}", shown(text));
        }
    }
}
