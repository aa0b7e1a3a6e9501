//! How a command ends when it does not end well.

use watari_contracts::{ErrorBody, scheduler::Fault};
use watari_model::refusal::Rendered;

use crate::{
    lang::Lang,
    texts::{self, faults},
};

/// Exit status: refused, or it failed.
pub const FAILED: u8 = 1;
/// Exit status: the command line makes no sense.
pub const USAGE: u8 = 2;
/// Exit status: no connection, or no answer.
pub const UNREACHABLE: u8 = 3;

/// Why a command did not do what it should.
#[derive(Debug)]
pub enum Failure {
    /// A service says why it cannot.
    Refused(Box<ErrorBody>),
    /// A resource carries the reason.
    Fault(Box<Fault>),
    /// The command itself found something.
    Own(faults::Fault),
    /// It has been said already, as part of a report.
    Told,
}

impl From<faults::Fault> for Failure {
    fn from(fault: faults::Fault) -> Self {
        Self::Own(fault)
    }
}

impl From<watari_model::Refusal> for Failure {
    fn from(refusal: watari_model::Refusal) -> Self {
        Self::Refused(Box::new(refusal.into()))
    }
}

impl Failure {
    /// The exit status.
    #[must_use]
    pub fn exit(&self) -> u8 {
        match self {
            Self::Refused(body) if body.code == "bus.no-answer" => UNREACHABLE,
            Self::Refused(_) | Self::Fault(_) | Self::Told => FAILED,
            Self::Own(fault) => fault.exit(),
        }
    }

    /// The stable code; empty if it has been said.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Refused(body) => &body.code,
            Self::Fault(fault) => &fault.code,
            Self::Own(fault) => fault.code(),
            Self::Told => "",
        }
    }

    /// Cause and remedy in a language.
    #[must_use]
    pub fn rendered(&self, lang: Lang) -> Rendered {
        let english = |cause: &str, remedy: &str| Rendered { cause: cause.to_owned(), remedy: remedy.to_owned() };
        match (self, lang) {
            (Self::Refused(body), Lang::Ja) => body.ja.clone(),
            (Self::Refused(body), Lang::En) => english(&body.message, &body.hint),
            (Self::Fault(fault), Lang::Ja) => fault.ja.clone(),
            (Self::Fault(fault), Lang::En) => english(&fault.cause, &fault.remedy),
            (Self::Own(fault), lang) => fault.rendered(lang),
            (Self::Told, _) => english("", ""),
        }
    }

    /// What the person sees: `error[code]: cause` and `help: remedy`; nothing if it has been said.
    #[must_use]
    pub fn shown(&self, lang: Lang) -> String {
        let Rendered { cause, remedy } = self.rendered(lang);
        if cause.is_empty() {
            return String::new();
        }
        texts::error(lang, self.code(), &cause, &remedy)
    }
}
