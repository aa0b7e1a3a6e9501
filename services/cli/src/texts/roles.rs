//! Of which role a key must be for a request, and of which it can only be if NATS refuses that: what a person can do
//! about it is to use another one's.

use std::{ffi::OsStr, path::Path};

use watari_contracts::permissions::{ADMINISTERING, LOOKING, OF_A_PROJECT};
use watari_model::Said;

use super::faults::Fault;

/// How the subjects of people's requests begin.
const REQUESTS: &str = "watari.v1.";

/// Why NATS does not let the key in this file send on `subject`, in NATS' own words where that is no request.
#[must_use]
pub fn refused(subject: &str, key: Option<&Path>, detail: String) -> Fault {
    let Some(request) = subject.strip_prefix(REQUESTS) else {
        return Fault::Forbidden { subject: subject.to_owned(), detail };
    };
    // The three that every cluster has are called by their roles; others by their people.
    let name = key.and_then(Path::file_stem).and_then(OsStr::to_str).unwrap_or_default();
    let (needed, role) = (needed(subject), role(subject, name));
    let key = key.map_or_else(|| "-".to_owned(), |key| key.display().to_string());
    Fault::NotPermitted {
        request: request.to_owned(),
        keys: format!("{}, and this one ({key}) is {}", needed.en, role.en),
        keys_ja: format!("{}の鍵が必要ですが、この鍵 ({key}) は{}のものです", needed.ja, role.ja),
    }
}

/// The least that may ask.
fn needed(subject: &str) -> Said {
    if ADMINISTERING.contains(&subject) {
        Said::new("an administrator", "管理者")
    } else if OF_A_PROJECT.contains(&subject) {
        Said::new("an operator", "操作者")
    } else if LOOKING.contains(&subject) {
        Said::new("a viewer", "閲覧者")
    } else {
        Said::new("an operator of all projects", "すべてのプロジェクトを扱う操作者")
    }
}

/// Whose a key is to which this is refused. Its name alone is not believed: it may be any file's.
fn role(subject: &str, name: &str) -> Said {
    let viewers = || Said::new("a viewer's", "閲覧者");
    match name {
        _ if LOOKING.contains(&subject) => Said::new("no person's", "人以外"),
        "viewer" => viewers(),
        "operator" if ADMINISTERING.contains(&subject) => Said::new("an operator's", "操作者"),
        _ if ADMINISTERING.contains(&subject) => Said::new("an operator's or a viewer's", "操作者または閲覧者"),
        _ if OF_A_PROJECT.contains(&subject) => viewers(),
        _ => Said::new("a viewer's, or an operator's of one project", "閲覧者、または 1 つのプロジェクトの操作者"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::Lang;

    #[test]
    fn whoever_may_not_do_something_is_told_whose_their_key_is_and_whose_it_takes() {
        for (subject, file, needed, role) in [
            ("watari.v1.vm.delete", "/etc/watari/viewer.nk", "an operator", "a viewer's"),
            ("watari.v1.vm.delete", "sato.nk", "an operator", "a viewer's"),
            ("watari.v1.vm.migrate", "sato.nk", "an operator of all projects", "an operator's of one project"),
            ("watari.v1.vm.migrate", "viewer.nk", "an operator of all projects", "is a viewer's"),
            ("watari.v1.project.create", "operator.nk", "an administrator", "is an operator's"),
            ("watari.v1.node.remove", "sato.nk", "an administrator", "an operator's or a viewer's"),
            ("watari.v1.project.create", "administrator.nk", "an administrator", "an operator's or a viewer's"),
            ("watari.v1.vm.list", "backup.nk", "a viewer", "no person's"),
        ] {
            let fault = refused(subject, Some(Path::new(file)), String::new());
            let (en, ja) = (fault.rendered(Lang::En), fault.rendered(Lang::Ja));
            assert_eq!(fault.code(), "bus.not-permitted");
            assert!(en.cause.contains(file) && en.cause.ends_with(role), "{en:?}");
            assert!(en.cause.contains(needed), "{en:?}");
            assert!(ja.cause.contains(file) && ja.remedy.contains("--nkey"), "{ja:?}");
        }
    }

    #[test]
    fn of_what_is_no_request_nats_own_words_are_told() {
        let fault = refused("watari.event.>", None, "no responders".to_owned());
        assert_eq!(fault.code(), "bus.forbidden");
        assert!(fault.rendered(Lang::En).cause.contains("no responders"));
    }
}
