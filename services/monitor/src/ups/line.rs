//! Lines of the protocol of Network UPS Tools (RFC 9271). What comes back is anybody's: only the very
//! answer to the question passes. Pure.

/// The longest line that is read, in bytes. NUT itself writes no longer ones.
pub(super) const MOST_BYTES: u64 = 1_024;
/// The longest code of a refusal that is shown; those of RFC 9271 are shorter.
const LONGEST_CODE: usize = 40;

/// Why a line is not what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Odd {
    /// `ERR` and a code, such as `DATA-STALE`.
    #[error("upsd answers {0}")]
    Refused(String),
    /// Anything else.
    #[error("what answers there does not speak as Network UPS Tools do")]
    Gibberish,
}

impl Odd {
    /// Whether this UPS merely has no such variable.
    pub(super) fn is_unsupported(&self) -> bool {
        matches!(self, Self::Refused(code) if code == "VAR-NOT-SUPPORTED")
    }
}

/// Asks for a variable. Neither name needs quotes: the settings and the code see to that.
pub(super) fn get(ups: &str, variable: &str) -> String {
    format!("GET VAR {ups} {variable}\n")
}

/// Says a word of one's own, in quotes.
pub(super) fn say(verb: &str, word: &str) -> String {
    let escaped = word.replace('\\', r"\\").replace('"', "\\\"");
    format!("{verb} \"{escaped}\"\n")
}

/// The value in the answer to [`get`], a line without its end.
pub(super) fn value(line: &str, ups: &str, variable: &str) -> Result<String, Odd> {
    let quoted = line.strip_prefix(&format!("VAR {ups} {variable} ")).ok_or_else(|| refusal(line))?;
    unquoted(quoted).ok_or(Odd::Gibberish)
}

/// Whether what was said is accepted.
pub(super) fn accepted(line: &str) -> Result<(), Odd> {
    if line == "OK" || line.starts_with("OK ") { Ok(()) } else { Err(refusal(line)) }
}

fn refusal(line: &str) -> Odd {
    let sound = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-';
    let code = line.strip_prefix("ERR ").and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    if (1..=LONGEST_CODE).contains(&code.len()) && code.chars().all(sound) {
        Odd::Refused(code.to_owned())
    } else {
        Odd::Gibberish
    }
}

/// What stands in quotes, where a backslash takes the next character for itself.
fn unquoted(text: &str) -> Option<String> {
    let mut rest = text.strip_prefix('"')?.chars();
    let mut plain = String::new();
    loop {
        match rest.next()? {
            '"' => return rest.as_str().is_empty().then_some(plain),
            '\\' => plain.push(rest.next()?),
            other => plain.push(other),
        }
    }
}

/// A number that is not negative, without what comes after its point; not more than `most`.
pub(super) fn number(text: &str, most: u64) -> Option<u64> {
    let number: f64 = text.trim().parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some((number as u64).min(most))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn status(line: &str) -> Result<String, Odd> {
        value(line, "ups1", "ups.status")
    }

    /// As `upsd` 2.8.0 answers.
    #[test]
    fn the_value_of_the_variable_that_was_asked_for_is_read() {
        assert_eq!(get("ups1", "ups.status"), "GET VAR ups1 ups.status\n");
        assert_eq!(status(r#"VAR ups1 ups.status "OB DISCHRG""#).unwrap(), "OB DISCHRG");
        assert_eq!(status(r#"VAR ups1 ups.status """#).unwrap(), "");
        assert_eq!(status(r#"VAR ups1 ups.status "a \"b\" \\c""#).unwrap(), r#"a "b" \c"#);
        for code in ["DATA-STALE", "DRIVER-NOT-CONNECTED", "UNKNOWN-UPS", "ACCESS-DENIED"] {
            assert_eq!(status(&format!("ERR {code}")), Err(Odd::Refused(code.to_owned())));
        }
        assert!(status("ERR VAR-NOT-SUPPORTED").unwrap_err().is_unsupported());
        assert!(!status("ERR DATA-STALE").unwrap_err().is_unsupported());
    }

    #[test]
    fn whatever_answers_something_else_is_not_believed() {
        for line in [
            "",
            "OK",
            "OB",
            "VAR",
            "VAR ups1 ups.status OB",
            r#"VAR ups1 ups.status "OB"#,
            r#"VAR ups1 ups.status "OB\"#,
            r#"VAR ups1 ups.status "OB" "LB""#,
            r#"VAR ups2 ups.status "OB""#,
            r#"VAR ups1 ups.mfr "OB""#,
            r#"VAR ups1 ups.statuses "OB""#,
            r#" VAR ups1 ups.status "OB""#,
            "ERR",
            "ERR ",
            "ERR no\u{1b}[2J",
            "HTTP/1.1 400 Bad Request\r",
        ] {
            assert_eq!(status(line), Err(Odd::Gibberish), "{line:?}");
        }
        assert_eq!(status(&format!("ERR {}", "A".repeat(41))), Err(Odd::Gibberish));
    }

    #[test]
    fn a_login_is_quoted_and_its_acceptance_read() {
        assert_eq!(say("USERNAME", "watch"), "USERNAME \"watch\"\n");
        assert_eq!(say("PASSWORD", r#"a"b\c d"#), "PASSWORD \"a\\\"b\\\\c d\"\n");
        assert_eq!((accepted("OK"), accepted("OK Goodbye")), (Ok(()), Ok(())));
        assert_eq!(accepted("ERR ACCESS-DENIED"), Err(Odd::Refused("ACCESS-DENIED".to_owned())));
        assert_eq!((accepted("OKAY"), accepted("")), (Err(Odd::Gibberish), Err(Odd::Gibberish)));
    }

    #[test]
    fn numbers_are_cut_to_what_makes_sense() {
        let read = |text| number(text, 1_000);
        assert_eq!((read("120.5"), read(" 7 "), read("0"), read("1e9")), (Some(120), Some(7), Some(0), Some(1_000)));
        for bad in ["", "-1", "NaN", "inf", "1e999", "12 s", "0x10"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_line_is_too_strange(line in "\\PC{0,60}", also in "(VAR|ERR|OK) [ -~]{0,40}") {
            for line in [&line, &also] {
                let _ = (status(line), accepted(line), number(line, 9));
            }
        }

        #[test]
        fn what_is_quoted_is_read_as_it_was(text in "[ -~]{0,40}") {
            let quoted = say("VAR ups1 ups.status", &text);
            prop_assert_eq!(status(quoted.trim_end_matches('\n')), Ok(text));
        }
    }
}
