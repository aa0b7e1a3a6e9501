//! On whose behalf a document is written, and for which request. Both stand in the headers of the write,
//! which the bucket's stream keeps and passes on with the event, so that the history knows them.
//!
//! A person's key is the NATS server's own word: requests of people are imported with `share`, by which the
//! server says in a header who asks, in place of whatever the asker had put there. What a connection calls
//! itself stands behind it in brackets and proves nothing.

use std::future::Future;

use async_nats::HeaderMap;
use serde::Deserialize;
use watari_contracts::{Service, history::RESTORE, permissions::project_of};

use crate::Context;

/// The header that says on whose behalf a document was written.
const BY: &str = "Watari-By";
/// The header that says for which request.
const WHY: &str = "Watari-Why";
/// The NATS server's header with the asker of an imported request.
const ASKER: &str = "Nats-Request-Info";
/// The longest part of a name that is kept, in characters: a public key has 56.
const LONGEST: usize = 64;

tokio::task_local! {
    static CURRENT: Act;
}

/// A request and who made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Act {
    asker: String,
    project: Option<String>,
    by: String,
    why: String,
}

/// The part of the server's header that matters here.
#[derive(Deserialize)]
struct Asker {
    #[serde(default)]
    acc: String,
    #[serde(default)]
    user: String,
    #[serde(default)]
    host: String,
    #[serde(default)]
    name: String,
}

impl Act {
    /// The request on `subject` that came with `headers` and is answered to the inbox `caller`. Between
    /// services there is no border at which the server would say who asks: the inbox names the process.
    pub(crate) fn new(headers: Option<&HeaderMap>, caller: &str, subject: &str) -> Self {
        let asker = headers.and_then(asker_of);
        let project = asker.as_ref().and_then(|asker| project_of(&asker.acc)).map(str::to_owned);
        let (asker, by) = match asker {
            Some(Asker { user, host, name, .. }) if !user.is_empty() => {
                let says = if name.eq_ignore_ascii_case(&user) { String::new() } else { sound(&name) };
                let says = if says.is_empty() { says } else { format!(" ({says})") };
                let key = sound(&user);
                let by = format!("{key}@{}{says}", sound(&host));
                (key, by)
            }
            _ => {
                let process = process(caller.strip_prefix("_INBOX_").unwrap_or("somebody"));
                (process.clone(), process)
            }
        };
        Self { asker, project, by, why: sound(subject.trim_start_matches("watari.v1.").trim_start_matches("watari.")) }
    }

    /// Who asks: a person's key, or a process by its name. It does not say from where.
    pub(crate) fn asker(&self) -> &str {
        &self.asker
    }

    /// The project to whose servers whoever asks is bound, by the account that the NATS server names.
    pub(crate) fn project(&self) -> Option<&str> {
        self.project.as_deref()
    }

    /// Runs `work`; the documents that it writes say that they are written for this.
    pub(crate) async fn scope<F: Future>(self, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }
}

/// What the server says. Its own header comes last, should another have been left in.
fn asker_of(headers: &HeaderMap) -> Option<Asker> {
    serde_json::from_str(headers.get_last(ASKER)?.as_str()).ok()
}

/// Whether the server's word may stand where it is not read. The server writes it behind the asker's own headers without looking
/// at those: it would become part of the last one if that has no end, and whoever asks would be bound to no project any more.
pub(crate) fn is_hidden(headers: Option<&HeaderMap>) -> bool {
    headers.is_some_and(|headers| {
        let elsewhere = headers.iter().any(|(name, values)| {
            let name: &str = name.as_ref();
            name != ASKER && (name.contains(ASKER) || values.iter().any(|value| value.as_str().contains(ASKER)))
        });
        elsewhere || (headers.get(ASKER).is_some() && asker_of(headers).is_none())
    })
}

/// Who asks for what is being answered, as the history will name them; nobody outside of a request's handler.
#[must_use]
pub fn asker() -> Option<String> {
    CURRENT.try_with(|act| act.by.clone()).ok()
}

/// Puts into the headers of a write for whom it is: for whoever asked, or the process's own.
pub(crate) fn inject(headers: &mut HeaderMap, ctx: &Context) {
    match CURRENT.try_with(Clone::clone) {
        Ok(Act { by, why, .. }) => {
            headers.insert(BY, by);
            headers.insert(WHY, why);
        }
        Err(_) => {
            let identity = &ctx.bus.settings().identity;
            headers.insert(BY, if identity.is_empty() { ctx.service().name() } else { identity.as_str() });
        }
    }
}

/// Puts into the headers of a write that a backup puts it back, and not with which key: that would tell nobody
/// anything.
pub(crate) fn inject_restoring(headers: &mut HeaderMap) {
    headers.insert(BY, "backup");
    headers.insert(WHY, RESTORE);
}

/// Who had a document written, and for which request, as far as its headers say.
pub(crate) fn extract(headers: Option<&HeaderMap>) -> (Option<String>, Option<String>) {
    let text = |name: &str| headers.and_then(|h| h.get(name)).map(|value| value.as_str().to_owned());
    (text(BY), text(WHY))
}

/// The process whose inbox this is, as it calls itself where it writes for itself: in an inbox dots are dashes.
fn process(inbox: &str) -> String {
    let host = |service: Service| Some((service, inbox.strip_prefix(service.name())?.strip_prefix('-')?));
    match Service::OF_FRONT.into_iter().chain([Service::NodeAgent]).find_map(host) {
        Some((service, host)) => format!("{}.{}", service.name(), sound(host)),
        None => sound(inbox),
    }
}

/// Text from outside as a header may hold it.
fn sound(text: &str) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '@' | ':');
    text.chars().filter(plain).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(ASKER, *line);
        }
        headers
    }

    fn by(headers: &HeaderMap, caller: &str) -> String {
        Act::new(Some(headers), caller, "watari.v1.vm.stop").by
    }

    #[test]
    fn who_asks_is_the_servers_word_and_not_the_askers() {
        let own = r#"{"acc":"PEOPLE","user":"UABC","host":"192.0.2.10","name":"sato"}"#;
        assert_eq!(by(&asked(&[own]), "_R_"), "UABC@192.0.2.10 (sato)");
        let from_elsewhere = r#"{"acc":"PEOPLE","user":"UABC","host":"192.0.2.11","name":"suzuki"}"#;
        let asker = |line: &str| Act::new(Some(&asked(&[line])), "_R_", "watari.v1.image.import").asker;
        assert_eq!([asker(own), asker(from_elsewhere)], ["UABC", "UABC"], "it is one and the same");
        let forged = r#"{"user":"UXYZ","host":"192.0.2.99"}"#;
        assert_eq!(by(&asked(&[forged, own]), "_R_"), "UABC@192.0.2.10 (sato)");
        assert_eq!(by(&asked(&[r#"{"user":"UABC","host":"::1","name":"uabc"}"#]), "_R_"), "UABC@::1");
    }

    #[test]
    fn of_which_project_somebody_is_is_the_servers_word_too() {
        let project = |lines: &[&str]| Act::new(Some(&asked(lines)), "_R_", "watari.v1.vm.stop").project;
        let [bound, free] = ["PROJECT_research", "PEOPLE"].map(|acc| format!(r#"{{"acc":"{acc}","user":"UABC"}}"#));
        assert_eq!(project(&[free.as_str(), bound.as_str()]).as_deref(), Some("research"));
        assert_eq!(project(&[bound.as_str(), free.as_str()]), None);
        assert_eq!(project(&[]), None);
    }

    #[test]
    fn whoever_has_the_servers_word_swallowed_by_a_header_of_their_own_is_found_out() {
        let (free, bound) = (r#"{"acc":"PEOPLE","user":"UABC"}"#, r#"{"acc":"PROJECT_research","user":"UABC"}"#);
        let swallowed = format!("x{ASKER}: {bound}");
        let beside = |name: &str, value: &str| {
            let mut headers = asked(&[free]);
            headers.append(name, value);
            is_hidden(Some(&headers))
        };
        assert!(beside("X-Own", &swallowed) && beside(&format!("x{ASKER}"), bound));
        assert!(is_hidden(Some(&asked(&[format!("{free} {swallowed}").as_str()]))));
        assert!(!beside("X-Own", "x") && !is_hidden(Some(&asked(&[free, bound]))) && !is_hidden(None));
    }

    #[tokio::test]
    async fn a_handler_knows_for_whom_it_works() {
        assert_eq!(asker(), None);
        let act = Act::new(None, "_INBOX_monitor-m-front", "watari.v1.vm.stop");
        assert_eq!(act.scope(async { asker() }).await.as_deref(), Some("monitor.m-front"));
    }

    #[test]
    fn without_the_servers_word_the_inbox_names_a_process() {
        for unusable in [&["nonsense"][..], &["{}"], &[]] {
            assert_eq!(by(&asked(unusable), "_INBOX_monitor-m-front"), "monitor.m-front");
            assert_eq!(by(&asked(unusable), "_INBOX_node-agent-m1"), "node-agent.m1");
            assert_eq!(by(&asked(unusable), "_INBOX_backup"), "backup");
            assert_eq!(by(&asked(unusable), "_R_"), "somebody");
        }
    }

    #[test]
    fn a_hostile_name_makes_no_further_header() {
        let long = "x".repeat(5_000);
        for name in ["a\\r\\nKV-Operation: DEL", "\\u0000", &long] {
            let headers = asked(&[&format!(r#"{{"user":"UABC","host":"h","name":"{name}"}}"#)]);
            let by = by(&headers, "_R_");
            assert!(by.len() < 200 && !by.contains(['\r', '\n', '\0']), "{by:?}");
        }
    }

    #[test]
    fn the_request_is_named_as_its_subject_is() {
        for (subject, why) in
            [("watari.v1.vm.resize", "vm.resize"), ("watari.service.port.allocate", "service.port.allocate")]
        {
            assert_eq!(Act::new(None, "_INBOX_x", subject).why, why);
        }
    }
}
