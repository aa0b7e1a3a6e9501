//! What the command says by itself, in both languages. What services refuse comes with its texts.

pub mod addresses;
pub mod ahead;
pub mod dark;
pub mod deleting;
pub mod estimate;
pub(crate) mod evidence;
pub mod faults;
pub mod fencing;
pub mod fronts;
pub mod growth;
pub mod halts;
pub mod happenings;
pub mod help;
pub mod hints;
pub mod joining;
pub mod leaving;
pub mod losses;
pub mod mending;
pub mod off;
pub mod parsing;
pub mod projects;
pub mod rehearsal;
pub mod roles;
pub mod since;
pub mod snapshots;
pub mod states;
pub mod terminal;
pub mod troubles;
pub mod weight;
pub mod words;

use crate::lang::Lang;

/// `warning[code]: cause` and `help: remedy`: it was done, and there is something to know.
#[must_use]
pub fn warning(lang: Lang, code: &str, cause: &str, remedy: &str) -> String {
    match lang {
        Lang::En => format!("warning[{code}]: {cause}\nhelp: {remedy}"),
        Lang::Ja => format!("警告[{code}]: {cause}\n対処: {remedy}"),
    }
}

/// `error[code]: cause` and `help: remedy`.
#[must_use]
pub fn error(lang: Lang, code: &str, cause: &str, remedy: &str) -> String {
    match lang {
        Lang::En => format!("error[{code}]: {cause}\nhelp: {remedy}"),
        Lang::Ja => format!("エラー[{code}]: {cause}\n対処: {remedy}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_there_in_both_languages() {
        let lines = |lang| [warning(lang, "a", "b", "c"), error(lang, "a", "b", "c")];
        for (en, ja) in lines(Lang::En).into_iter().zip(lines(Lang::Ja)) {
            assert!(en.is_ascii() && !ja.is_ascii(), "{en} / {ja}");
        }
    }
}
