//! How a command ends when it does not end well.

use watari_chassis::CallError;
use watari_contracts::{ErrorBody, scheduler};
use watari_model::{Refusal, Said, refusal::Rendered};

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
    /// What was typed would be refused by every service, so it was not sent.
    Mistyped(Box<Refusal>),
    /// A resource carries the reason.
    Fault(Box<scheduler::Fault>),
    /// The command itself found something.
    Own(faults::Fault),
    /// Everything has been said: end with this status.
    Silent(u8),
}

impl From<faults::Fault> for Failure {
    fn from(fault: faults::Fault) -> Self {
        Self::Own(fault)
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(body) => Self::Refused(body),
            other => Self::Refused(Box::new(Refusal::from(other).into())),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal.into()))
    }
}

impl From<scheduler::Fault> for Failure {
    fn from(fault: scheduler::Fault) -> Self {
        Self::Fault(Box::new(fault))
    }
}

impl Failure {
    /// What was typed makes no sense to any service.
    #[must_use]
    pub fn mistyped(refusal: Refusal) -> Self {
        Self::Mistyped(Box::new(refusal))
    }

    /// The same with a number that is out of range, or what stands twice, told by the option with which it was given, in
    /// its unit: what a service calls it nobody has typed.
    #[must_use]
    pub fn of_options(self, options: &[(&str, &str, &str)]) -> Self {
        let Self::Refused(body) = self else { return self };
        let (Refusal::OutOfRange { field, .. } | Refusal::Repeated { field, .. }) = &body.refusal else {
            return Self::Refused(body);
        };
        let Some((_, option, unit)) = options.iter().find(|(name, ..)| name == field) else {
            return Self::Refused(body);
        };
        let refusal = match body.refusal {
            Refusal::OutOfRange { value, allowed, .. } => {
                Refusal::OutOfRange { field: (*option).to_owned(), value: format!("{value}{unit}"), allowed }
            }
            Refusal::Repeated { value, .. } => Refusal::Repeated { field: (*option).to_owned(), value },
            other => other,
        };
        refusal.into()
    }

    /// The exit status.
    #[must_use]
    pub fn exit(&self) -> u8 {
        match self {
            Self::Refused(body) if matches!(body.refusal, Refusal::NoAnswer { .. } | Refusal::NotPrimary { .. }) => {
                UNREACHABLE
            }
            // The service knows better what makes sense, and says it in the same words.
            Self::Refused(body)
                if matches!(
                    body.refusal,
                    Refusal::OutOfRange { .. } | Refusal::Repeated { .. } | Refusal::BadName { .. }
                ) =>
            {
                USAGE
            }
            Self::Refused(_) | Self::Fault(_) => FAILED,
            Self::Mistyped(_) => USAGE,
            Self::Own(fault) => fault.exit(),
            Self::Silent(status) => *status,
        }
    }

    /// The stable code; empty if everything has been said.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Refused(body) => &body.code,
            Self::Mistyped(refusal) => refusal.code(),
            Self::Fault(fault) => &fault.code,
            Self::Own(fault) => fault.code(),
            Self::Silent(_) => "",
        }
    }

    /// Cause and remedy in a language; empty if everything has been said.
    #[must_use]
    pub fn rendered(&self, lang: Lang) -> Rendered {
        let text = |cause: &str, remedy: &str| Rendered { cause: cause.to_owned(), remedy: remedy.to_owned() };
        match (self, lang) {
            (Self::Refused(body), Lang::Ja) => body.ja.clone(),
            (Self::Refused(body), Lang::En) => text(&body.message, &body.hint),
            (Self::Mistyped(refusal), Lang::Ja) => refusal.japanese(),
            (Self::Mistyped(refusal), Lang::En) => refusal.english(),
            (Self::Fault(fault), Lang::Ja) => fault.ja.clone(),
            (Self::Fault(fault), Lang::En) => text(&fault.cause, &fault.remedy),
            (Self::Own(fault), lang) => fault.rendered(lang),
            (Self::Silent(_), _) => text("", ""),
        }
    }

    /// Cause and remedy in both languages, each as one line.
    #[must_use]
    pub fn said(&self) -> Said {
        let text = |lang| {
            let told = self.rendered(lang);
            format!("{}: {}", told.cause, told.remedy)
        };
        Said::new(text(Lang::En), text(Lang::Ja))
    }

    /// What the person sees: `error[code]: cause` and `help: remedy`.
    #[must_use]
    pub fn shown(&self, lang: Lang) -> String {
        match self {
            Self::Silent(_) => String::new(),
            _ => {
                let Rendered { cause, remedy } = self.rendered(lang);
                texts::error(lang, self.code(), &cause, &remedy)
            }
        }
    }
}

/// An error with all that caused it, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_told_by_the_option_with_which_it_was_given() {
        let refusal = |field: &str| {
            let allowed = Said::between(32, "4194304 MiB");
            Failure::Refused(Box::new(
                Refusal::OutOfRange { field: field.to_owned(), value: "16".to_owned(), allowed }.into(),
            ))
        };
        let told = refusal("memory_mib").of_options(&[("memory_mib", "--memory", "MiB")]);
        let shown = told.shown(Lang::En);
        assert!(shown.contains("--memory") && shown.contains("16MiB") && !shown.contains("memory_mib"), "{shown}");
        assert!(shown.contains("32 to 4194304 MiB") && told.exit() == USAGE, "{shown}");
        assert!(refusal("vcpus").of_options(&[]).shown(Lang::En).contains("vcpus"));
        let twice = Refusal::Repeated { field: "after".to_owned(), value: "web".to_owned() };
        let told = Failure::from(twice).of_options(&[("after", "--after", "")]);
        assert_eq!(told.shown(Lang::En), "error[request.repeated]: --after names web twice\nhelp: name web once");
        assert_eq!(told.exit(), USAGE);
    }
}
