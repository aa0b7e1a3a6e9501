//! Addresses of a range that are kept back: no server is given one that does not ask for it by name.
//!
//! What other machines use and what is reserved for somebody is one thing here. Neither is ever drawn, and whoever names one
//! may have it; the note says what it is kept for.

use std::{fmt, net::Ipv4Addr, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Network, Range};
use crate::{Said, said};

/// The most that a network may have: people read them in one look.
pub const MOST_EXCLUSIONS: usize = 64;
/// The longest note, in bytes.
const LONGEST_NOTE: usize = 64;

/// Addresses from `first` to `last`, both included, that are kept back; written `A-B=NOTE`, or `A` for a single one
/// without a note.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Exclusion {
    /// The lowest address.
    pub first: Ipv4Addr,
    /// The highest address.
    pub last: Ipv4Addr,
    /// What they are kept for, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A text that is no exclusion.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no exclusion such as 203.0.113.150-203.0.113.159=printers")]
pub struct NotAnExclusion;

impl FromStr for Exclusion {
    type Err = NotAnExclusion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (addresses, note) = match text.split_once('=') {
            Some((addresses, note)) => (addresses, Some(note.to_owned())),
            None => (text, None),
        };
        let (first, last) = addresses.split_once('-').unwrap_or((addresses, addresses));
        let address = |text: &str| text.parse::<Ipv4Addr>().map_err(|_| NotAnExclusion);
        Ok(Self { first: address(first)?, last: address(last)?, note })
    }
}

impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        if self.last != self.first {
            write!(f, "-{}", self.last)?;
        }
        self.note.as_ref().map_or(Ok(()), |note| write!(f, "={note}"))
    }
}

impl Exclusion {
    /// Its addresses.
    #[must_use]
    pub const fn range(&self) -> Range {
        Range { first: self.first, last: self.last }
    }

    /// Checks that it keeps addresses of this range, and says for what in words that can be shown.
    fn check(&self, range: Range) -> Result<(), Said> {
        let Self { first, last, note } = self;
        if first > last {
            return Err(said!(
                "an exclusion ends at {last} before it begins at {first}",
                "取り置きの終わり {last} が始まり {first} より前にあります"
            ));
        }
        if let Some(outside) = [first, last].into_iter().find(|end| !range.contains(**end)) {
            let Range { first, last } = range;
            return Err(said!(
                "{outside} lies outside the range {first}-{last}",
                "{outside} は範囲 {first}-{last} の外にあります"
            ));
        }
        let is_sound = |note: &String| (1..=LONGEST_NOTE).contains(&note.len()) && !note.chars().any(char::is_control);
        if note.as_ref().is_none_or(is_sound) {
            return Ok(());
        }
        Err(said!(
            "the note of {first} is not 1 to {LONGEST_NOTE} bytes of text in one line",
            "{first} のメモは、1～{LONGEST_NOTE} バイトの 1 行にしてください"
        ))
    }
}

impl Network {
    /// Whether no server is given this address that does not ask for it by name.
    #[must_use]
    pub fn excludes(&self, address: Ipv4Addr) -> bool {
        self.excluded.iter().any(|one| one.range().contains(address))
    }

    /// How many addresses there are to draw from: the range's, less those that are kept back.
    #[must_use]
    pub fn drawable(&self) -> u64 {
        let excluded: u64 = self.excluded.iter().map(|one| one.range().size()).sum();
        self.range.size().saturating_sub(excluded)
    }

    /// Checks that what is kept back is of the range, once, and leaves some of it.
    ///
    /// # Errors
    /// A sentence about the first thing that is wrong.
    pub(super) fn check_exclusions(&self) -> Result<(), Said> {
        let given = self.excluded.len();
        if given > MOST_EXCLUSIONS {
            return Err(said!(
                "{given} exclusions are given; {MOST_EXCLUSIONS} are allowed",
                "取り置きが {given} 個指定されていますが、指定できるのは {MOST_EXCLUSIONS} 個までです"
            ));
        }
        for (n, one) in self.excluded.iter().enumerate() {
            one.check(self.range)?;
            if let Some(other) = self.excluded.iter().take(n).find(|other| other.range().overlaps(one.range())) {
                return Err(said!("{other} and {one} overlap", "{other} と {one} が重なっています"));
            }
        }
        if self.drawable() == 0 {
            return Err(said!("no address of the range is left", "範囲のアドレスが 1 つも残りません"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::network, *};

    fn with(excluded: &[&str]) -> Network {
        let mut network = network("203.0.113.0/24", "203.0.113.100", "203.0.113.199", None);
        network.excluded = excluded.iter().map(|text| text.parse().unwrap()).collect();
        network
    }

    #[test]
    fn what_is_kept_back_is_of_the_range_once_and_leaves_some_of_it() {
        for good in [
            &["203.0.113.100"][..],
            &["203.0.113.100-203.0.113.198=printers, second floor"],
            &["203.0.113.199=the old mail server", "203.0.113.100-203.0.113.109", "203.0.113.110"],
        ] {
            assert_eq!(with(good).check_exclusions(), Ok(()), "{good:?}");
        }
        let long = format!("203.0.113.100={}", "x".repeat(LONGEST_NOTE + 1));
        for (bad, says) in [
            (&["203.0.113.110-203.0.113.109"][..], "before it begins"),
            (&["203.0.113.99"], "outside the range 203.0.113.100-203.0.113.199"),
            (&["203.0.113.190-203.0.113.200"], "203.0.113.200 lies outside"),
            (&["192.0.2.1"], "outside"),
            (&["203.0.113.100="], "in one line"),
            (&["203.0.113.100=two\nlines"], "in one line"),
            (&[long.as_str()], "in one line"),
            (&["203.0.113.100-203.0.113.110=a", "203.0.113.110"], "203.0.113.100-203.0.113.110=a and 203.0.113.110"),
            (&["203.0.113.100-203.0.113.199"], "no address of the range"),
            (&["203.0.113.100-203.0.113.149", "203.0.113.150-203.0.113.199"], "no address of the range"),
        ] {
            let said = with(bad).check_exclusions().unwrap_err().en;
            assert!(said.contains(says), "{bad:?}: {said}");
        }
        let many: Vec<String> = (100..=100 + MOST_EXCLUSIONS).map(|n| format!("203.0.113.{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(with(&many).check_exclusions().unwrap_err().en.contains("are allowed"));
        assert_eq!(with(&many[1..]).check_exclusions(), Ok(()), "as many as are allowed");
    }

    #[test]
    fn what_is_kept_back_is_not_counted_among_what_is_drawn() {
        let network = with(&["203.0.113.100-203.0.113.109", "203.0.113.150=printer"]);
        assert_eq!((network.drawable(), with(&[]).drawable()), (89, 100));
        let excluded = |n: u8| network.excludes(Ipv4Addr::new(203, 0, 113, n));
        assert!(excluded(100) && excluded(109) && excluded(150));
        assert!(!excluded(110) && !excluded(99) && !excluded(151));
    }

    #[test]
    fn an_exclusion_is_read_as_it_is_shown() {
        for text in [
            "203.0.113.150",
            "203.0.113.150=a=b",
            "203.0.113.150-203.0.113.159",
            "203.0.113.150-203.0.113.159=printers",
        ] {
            assert_eq!(text.parse::<Exclusion>().unwrap().to_string(), text);
        }
        for text in ["", "=", "203.0.113.150-", "-203.0.113.150", "printer", "203.0.113.0/24", "203.0.113.1 "] {
            assert_eq!(text.parse::<Exclusion>(), Err(NotAnExclusion), "{text}");
        }
    }
}
