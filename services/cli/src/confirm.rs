//! Asking before something is lost, where a person is there to answer.

use std::io::{BufRead, IsTerminal, Write};

use crate::{Context, failure::Failure, lang::Lang, options::Consent, texts::words::Word};

/// Asks `question` and goes on if the person says yes, or if there is no person.
///
/// # Errors
/// [`Failure::Silent`] if they do not want it.
pub fn confirm(ctx: &Context, consent: Consent, question: &str) -> Result<(), Failure> {
    asked(ctx.out.lang, consent, question)
}

/// The same for what asks no service.
///
/// # Errors
/// As [`confirm`].
pub fn asked(lang: Lang, consent: Consent, question: &str) -> Result<(), Failure> {
    if consent.yes || !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(());
    }
    let _ = write!(std::io::stderr(), "{question} [y/N] ");
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    if read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes" | "はい") {
        return Ok(());
    }
    crate::out::say(Word::NothingDone.text(lang));
    Err(Failure::Silent(crate::failure::FAILED))
}
