//! What is told of each declared server.

use serde::Serialize;
use watari_model::{Said, VmName};

use super::plan::{Action, Decided, Difference};
use crate::{
    failure::Failure,
    lang::Lang,
    out::{self, Column, Row, or_dash},
    texts::{
        hints,
        words::{self, Word},
    },
};

/// One server's line. The field names are stable.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    pub(super) name: VmName,
    pub(super) action: Action,
    differences: Vec<Difference>,
    /// The stable code of a refusal.
    code: Option<String>,
    why: Option<Said>,
}

impl Told {
    pub(super) fn of(decided: &Decided) -> Self {
        let (name, differences) = (decided.name.clone(), decided.differences.clone());
        Self { name, action: decided.action, differences, code: None, why: None }
    }

    /// It could not be done, which the person learns at once.
    pub(super) fn refused(&mut self, failure: &Failure, lang: Lang) {
        out::say(&format!("{}: {}", self.name, failure.shown(lang)));
        self.failed(failure);
    }

    /// Nobody answers any more, which the person learns once and for all servers.
    pub(super) fn left_undone(&mut self, failure: &Failure) {
        if matches!(self.action, Action::Create | Action::Change) {
            self.failed(failure);
        }
    }

    /// It could not be done, for a reason that the person knows.
    pub(super) fn failed(&mut self, failure: &Failure) {
        self.action = Action::Refused;
        self.code = Some(failure.code().to_owned());
        self.why = Some(failure.said());
    }
}

/// `memory: 192MiB → 512MiB`, or `memory: 512MiB` of a server that is not there; and what stands in the way.
fn told(difference: &Difference, lang: Lang) -> String {
    let Difference { field, is, wanted, fixed } = difference;
    let (item, to) = (hints::item(lang, field), hints::item_value(lang, field, wanted));
    let text = match is.as_str() {
        "-" => format!("{item}: {to}"),
        is => format!("{item}: {} → {to}", hints::item_value(lang, field, is)),
    };
    if *fixed { words::because(&text, hints::fixed(lang, field)) } else { text }
}

impl Row for Told {
    fn columns() -> Vec<Column> {
        [Word::Name, Word::Done, Word::BeforeAndAfter].map(Column::Text).to_vec()
    }

    fn cells(&self, lang: Lang) -> Vec<String> {
        let done = match self.action {
            Action::Create => Word::ApplyCreate,
            Action::Change => Word::ApplyChange,
            Action::Unchanged => Word::EventUnchanged,
            Action::Fixed => Word::ApplyFixed,
            Action::Refused => Word::EventRefused,
        };
        let differences: Vec<String> = self.differences.iter().map(|difference| told(difference, lang)).collect();
        vec![
            self.name.to_string(),
            done.text(lang).to_owned(),
            or_dash(Some(differences.join("; ")).filter(|text| !text.is_empty())),
        ]
    }

    fn none() -> Word {
        Word::NoServersDeclared
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_japanese_no_word_of_the_file_is_left_in_the_table() {
        let of = |field, is: &str, wanted: &str| {
            let difference = Difference { field, is: is.to_owned(), wanted: wanted.to_owned(), fixed: false };
            [Lang::En, Lang::Ja].map(|lang| told(&difference, lang))
        };
        assert_eq!(of("memory", "192MiB", "1GiB"), ["memory: 192MiB → 1GiB", "メモリ: 192MiB → 1GiB"]);
        assert_eq!(of("running", "true", "false"), ["running: true → false", "稼働: はい → いいえ"]);
        assert_eq!(of("evacuate", "-", "stay"), ["evacuate: stay", "退避方針: 移動しない"]);
        assert_eq!(of("max_downtime", "0", "20")[1], "移行時の最長停止: 0 秒 → 20 秒");
    }
}
