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
    if consent.yes {
        return Ok(());
    }
    somebody(question)?;
    ctx.session.ask(there).await?;
    answered(ctx.out.lang, question)
}

/// The same with a question about what is answered to `there`; `unseen` is asked where nobody can be.
///
/// # Errors
/// As [`confirm_of`].
pub async fn confirm_seen<R: Request>(
    ctx: &Context,
    consent: Consent,
    there: &R,
    unseen: &str,
    question: impl FnOnce(&R::Reply) -> String,
) -> Result<(), Failure> {
    confirm_checked(ctx, consent, there, unseen, |seen| Ok(question(seen))).await
}

/// The same where what is answered may show that there is nothing to ask about.
///
/// # Errors
/// As [`confirm_of`], and what `question` finds.
pub async fn confirm_checked<R: Request>(
    ctx: &Context,
    consent: Consent,
    there: &R,
    unseen: &str,
    question: impl FnOnce(&R::Reply) -> Result<String, Failure>,
) -> Result<(), Failure> {
    if consent.yes {
        return Ok(());
    }
    somebody(unseen)?;
    let seen = ctx.session.ask(there).await?;
    answered(ctx.out.lang, &question(&seen)?)
}

/// Whether a person sees the question and can answer it.
fn somebody(question: &str) -> Result<(), Fault> {
    if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
        return Ok(());
    }
    Err(Fault::Unconfirmed { question: question.to_owned() })
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
