//! How people come to a server's console, as its document remembers it among the answered requests.

use super::AnsweredRequest;

/// How a console is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// By somebody who found it free.
    First,
    /// By force, whoever has it.
    Forced,
    /// Once more in the same session, at the other node of a server that has moved.
    Again,
}

impl Opening {
    /// With which the name of the request begins. No digest has a colon.
    #[must_use]
    pub const fn mark(self) -> &'static str {
        match self {
            Self::First => "console:",
            Self::Forced => "console-forced:",
            Self::Again => "console-again:",
        }
    }

    /// Which opening a document remembers there, if it is one: each is called by its own digest, as no caller calls a
    /// request. Those of earlier versions have no mark.
    #[must_use]
    pub fn of(request: &AnsweredRequest) -> Option<Self> {
        let marked = |opening: &Self| request.request_id.starts_with(opening.mark());
        let opening = [Self::First, Self::Forced, Self::Again].into_iter().find(marked).unwrap_or(Self::First);
        (request.request_id == request.digest).then_some(opening)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opening_is_known_by_its_mark_and_a_request_of_a_caller_is_none() {
        let request = |id: &str, digest: &str| {
            Opening::of(&AnsweredRequest { request_id: id.to_owned(), digest: digest.to_owned() })
        };
        for opening in [Opening::First, Opening::Forced, Opening::Again] {
            let name = format!("{}0f3a", opening.mark());
            assert_eq!(request(&name, &name), Some(opening));
            assert_eq!(request(&name, "0f3a"), None);
        }
        assert_eq!(request("0f3a", "0f3a"), Some(Opening::First));
    }
}
