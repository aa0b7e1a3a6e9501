//! Which subjects an answer may go to.
//!
//! NATS checks who may publish on a subject, but not which *reply* subject a request names. Asked
//! to reply to `$JS.API.STREAM.DELETE.KV_vms`, a privileged service would delete the servers'
//! documents on behalf of somebody who may not. So an answer goes to inboxes only.

/// Whether an answer may be published on `subject`: `_INBOX.…` or `_INBOX_<identity>.…`, no
/// wildcard, no blank. `_R_.…` is what NATS itself puts in place of the reply subject of a request
/// from another account: the answer is then delivered in that account only.
pub(crate) fn is_inbox(subject: &str) -> bool {
    let mut tokens = subject.split('.');
    let first = tokens.next().unwrap_or_default();
    let sound = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    let named = first == "_INBOX"
        || first == "_R_"
        || first.strip_prefix("_INBOX_").is_some_and(|identity| !identity.is_empty());
    let mut rest = tokens.peekable();
    named && sound(first) && rest.peek().is_some() && rest.all(sound)
}

/// The inbox that an answer goes to, without its unique part.
pub(super) fn caller(subject: &str) -> String {
    subject.split('.').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_inboxes_are_answered() {
        for good in ["_INBOX.abc", "_INBOX.abc.1", "_INBOX_scheduler-m-front.Xy12.Zz", "_R_.2AHJNQ.BL3yMi"] {
            assert!(is_inbox(good), "{good}");
        }
        for bad in [
            "",
            "_INBOX",
            "_INBOX.",
            "_INBOX..a",
            "_INBOX_",
            "_INBOX_.a",
            "_R_",
            "_R_x.a",
            "_INBOXES.a",
            "$JS.API.STREAM.DELETE.KV_vms",
            "$SYS.REQ.SERVER.PING",
            "$KV.vms.mail",
            "watari.agent.m1.start",
            "_INBOX.*",
            "_INBOX.>",
            "_INBOX.a b",
            "_inbox.a",
        ] {
            assert!(!is_inbox(bad), "{bad}");
        }
    }
}
