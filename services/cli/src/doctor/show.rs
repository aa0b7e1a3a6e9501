//! What people see of findings: three lines each, the worst first.

use super::finding::Finding;
use crate::{
    failure::Failure,
    out::{Column, Out, Tone},
    texts::{
        troubles::Severity,
        words::{self, Word},
    },
};

pub(super) fn show(out: Out, findings: &[Finding]) -> Result<(), Failure> {
    // What is found at several places has one name.
    let mut codes: Vec<String> = findings.iter().map(|finding| finding.trouble.code().to_owned()).collect();
    codes.dedup();
    out.told(findings, codes, || match findings {
        [] => Word::NothingWrong.text(out.lang).to_owned(),
        _ => format!("{}\n\n{}", table(out, findings), tally(out, findings)),
    })
}

fn table(out: Out, findings: &[Finding]) -> String {
    let columns = [Column::Text(Word::Severity), Column::Text(Word::Code), Column::Text(Word::Finding)];
    let rows = findings.iter().flat_map(|finding| {
        let told = finding.trouble.told(out.lang);
        let severity = finding.trouble.severity();
        let below = |word: Word, text: String| {
            (Tone::Usual, vec![String::new(), String::new(), format!("{} {text}", word.text(out.lang))])
        };
        [
            (
                tone(severity),
                vec![word(severity).text(out.lang).to_owned(), finding.trouble.code().to_owned(), told.seen],
            ),
            below(Word::Matters, told.matters),
            below(Word::Mend, told.mend),
        ]
    });
    out.toned(&columns, rows)
}

fn tally(out: Out, findings: &[Finding]) -> String {
    let count = |severity| findings.iter().filter(|finding| finding.trouble.severity() == severity).count();
    words::found(out.lang, count(Severity::Failure), count(Severity::Warning), count(Severity::Note))
}

const fn tone(severity: Severity) -> Tone {
    match severity {
        Severity::Note => Tone::Usual,
        Severity::Warning => Tone::Unusual,
        Severity::Failure => Tone::Bad,
    }
}

const fn word(severity: Severity) -> Word {
    match severity {
        Severity::Note => Word::SeverityNote,
        Severity::Warning => Word::SeverityWarning,
        Severity::Failure => Word::SeverityFailure,
    }
}
