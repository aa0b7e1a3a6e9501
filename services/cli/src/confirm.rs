//! Asking before something is lost. Where nobody is there to answer, such as in a script, `--yes` has to say so.

use std::io::{BufRead, IsTerminal, Write};

use watari_contracts::Request;

use crate::{
    Context,
    failure::Failure,
    lang::Lang,
    options::Consent,
    texts::{faults::Fault, words::Word},
};

/// Asks `question` and goes on if the person says yes, or has said so beforehand.
///
/// # Errors
/// [`Failure::Silent`] if they do not want it, [`Fault::Unconfirmed`] if nobody is there.
pub fn confirm(ctx: &Context, consent: Consent, question: &str) -> Result<(), Failure> {
    asked(ctx.out.lang, consent, question)
}

/// The same for what asks no service.
///
/// # Errors
/// As [`confirm`].
pub fn asked(lang: Lang, consent: Consent, question: &str) -> Result<(), Failure> {
    if consent.yes {
        return Ok(());
    }
    somebody(question)?;
    answered(lang, question)
}

/// As [`confirm`], once `there` has been answered: nobody is asked about what does not exist.
///
/// # Errors
/// As [`confirm`], and what is answered to `there`.
pub async fn confirm_of<R: Request>(ctx: &Context, consent: Consent, there: &R, question: &str) -> Result<(), Failure> {
    confirm_seen(ctx, consent, there, |_| Ok::<_, Failure>(question.to_owned())).await
}

/// The same with a question about what is answered to `there`, or why it cannot be done as that stands: nobody is asked
/// what would then be refused.
///
/// # Errors
/// As [`confirm_of`], and what `question` refuses.
pub async fn confirm_seen<R: Request, E: Into<Failure>>(
    ctx: &Context,
    consent: Consent,
    there: &R,
    question: impl FnOnce(&R::Reply) -> Result<String, E>,
) -> Result<(), Failure> {
    if consent.yes {
        return Ok(());
    }
    let question = question(&ctx.session.ask(there).await?).map_err(Into::into)?;
    somebody(&question)?;
    answered(ctx.out.lang, &question)
}

/// The first of those that use a thing, for whoever would delete it.
#[must_use]
pub fn some<T: ToString>(users: &[T]) -> String {
    const NAMED: usize = 5;
    let more = users.len().saturating_sub(NAMED);
    let rest = (more > 0).then(|| format!("… (+{more})"));
    users.iter().take(NAMED).map(ToString::to_string).chain(rest).collect::<Vec<_>>().join(", ")
}

/// Whether a person sees the question and can answer it.
fn somebody(question: &str) -> Result<(), Fault> {
    if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
        return Ok(());
    }
    Err(Fault::Unconfirmed { question: set_off(question) })
}

/// A question of one line stands behind what is said of it; one of several has lines of its own.
fn set_off(question: &str) -> String {
    let before = if question.contains('\n') { '\n' } else { ' ' };
    format!("{before}{question}")
}

fn answered(lang: Lang, question: &str) -> Result<(), Failure> {
    let _ = write!(std::io::stderr(), "{question} [y/N] ");
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    if read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes" | "はい") {
        return Ok(());
    }
    crate::out::say(Word::NothingDone.text(lang));
    Err(Failure::Silent(crate::failure::FAILED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_of_several_lines_does_not_begin_in_the_middle_of_one() {
        let told = |question: &str| Fault::Unconfirmed { question: set_off(question) }.rendered(Lang::En).cause;
        assert_eq!(told("Delete it?"), "nobody is here to answer: Delete it?");
        assert_eq!(told("With it goes:\n  its disk"), "nobody is here to answer:\nWith it goes:\n  its disk");
    }
}
