//! The guides' chapter of requests: what the contracts and their samples say of each, in both languages. What a person
//! wrote stands above the mark, and stays as it is.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde_json::Value;
use watari_contracts::{
    Request, Service,
    permissions::{ADMINISTERING, LOOKING, Role},
    subjects,
};

use crate::{
    compare::{self, Samples},
    japanese,
};

/// Where the made part of the chapter begins.
const MARK: &str = "<!-- made: WATARI_GOLDEN=write cargo test -p watari-contracts --test golden -->\n";

/// What is said of one request.
pub(crate) struct Entry {
    subject: &'static str,
    about: &'static str,
    owner: Service,
    /// The sample with the most in it, as the golden file has it.
    full: String,
}

impl Entry {
    pub(crate) fn of<R: Request>(samples: &Samples) -> Self {
        let stored = samples.json::<R>(&format!("request.{}", R::SUBJECT));
        let written = stored.iter().map(|sample| serde_json::to_string_pretty(sample).unwrap());
        let full = written.max_by_key(String::len).unwrap();
        Self { subject: R::SUBJECT, about: R::ABOUT, owner: R::OWNER, full }
    }

    /// `vm` of `watari.v1.vm.create`; what services ask one another is no noun of people's.
    fn noun(&self) -> Option<&'static str> {
        self.subject.strip_prefix(subjects::REQUESTS.trim_end_matches('>'))?.split('.').next()
    }
}

/// A chapter's language.
struct Words {
    folder: &'static str,
    between_services: &'static str,
    administrators: &'static str,
    operators: &'static str,
    viewers: &'static str,
    service: &'static str,
    comma: &'static str,
    asked: &'static str,
    full: &'static str,
    about: fn(&Entry) -> &'static str,
}

const LANGUAGES: [Words; 2] = [
    Words {
        folder: "en",
        between_services: "Between services",
        administrators: "administrators alone",
        operators: "operators",
        viewers: "viewers",
        service: "the service ",
        comma: ", ",
        asked: "Answered by {owner}. May be asked by: {askers}.",
        full: "All that it takes:",
        about: |entry| entry.about,
    },
    Words {
        folder: "ja",
        between_services: "サービスどうし",
        administrators: "管理者（administrator）だけ",
        operators: "操作者（operator）",
        viewers: "閲覧者（viewer）",
        service: "サービス ",
        comma: "、",
        asked: "応答するサービス: {owner}。リクエストできるのは: {askers}。",
        full: "指定できる項目のすべて:",
        about: |entry| japanese::about(entry.subject).unwrap_or_default(),
    },
];

/// Compares each language's chapter with what it should be, or writes it.
pub(crate) fn check(entries: &[Entry]) {
    let untold = entries.iter().map(|entry| entry.subject).filter(|subject| japanese::about(subject).is_none());
    assert_eq!(untold.collect::<Vec<_>>(), Vec::<&str>::new(), "what are these for, in golden/japanese.rs?");
    for words in &LANGUAGES {
        let path =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../docs/{}/src/requests.md", words.folder));
        let stored = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let (written, _) = stored.split_once(MARK).unwrap_or_else(|| panic!("{} has no mark", path.display()));
        let wanted = format!("{written}{MARK}{}", words.chapter(entries));
        if compare::writes() {
            fs::write(&path, &wanted).unwrap();
            continue;
        }
        let differing = stored.lines().zip(wanted.lines()).find(|(old, new)| old != new);
        assert!(
            stored == wanted,
            "{}: {differing:?} (stored, wanted), or another length: run this with WATARI_GOLDEN=write",
            path.display()
        );
    }
}

impl Words {
    fn chapter(&self, entries: &[Entry]) -> String {
        let mut nouns: BTreeMap<(bool, &str), BTreeMap<&str, &Entry>> = BTreeMap::new();
        for entry in entries {
            let noun = entry.noun();
            let heading = (noun.is_none(), noun.unwrap_or(self.between_services));
            nouns.entry(heading).or_default().insert(entry.subject, entry);
        }
        let shortest = compare::shortest();
        let mut text = String::new();
        for ((_, noun), entries) in nouns {
            text += &format!("\n## {noun}\n");
            for entry in entries.into_values() {
                text += &self.section(entry, shortest[entry.subject].clone());
            }
        }
        text
    }

    fn section(&self, entry: &Entry, least: Value) -> String {
        let Entry { subject, full, .. } = entry;
        let (about, asked) = ((self.about)(entry), self.asked_by(entry));
        let mut text = format!("\n### {subject}\n\n{about}\n{asked}\n");
        // In a shell a quote within quotes ends them, stands by itself, and begins them anew.
        let json = sorted(least.clone()).to_string().replace('\'', r"'\''");
        if entry.noun().is_some() {
            text += &format!("\n```sh\nnats request {subject} '{json}'\n```\n");
        }
        let whole: Value = serde_json::from_str(full).unwrap();
        if whole != least || entry.noun().is_none() {
            text += &format!("\n{}\n\n```json\n{full}\n```\n", self.full);
        }
        text
    }

    fn asked_by(&self, entry: &Entry) -> String {
        let mut askers: Vec<String> = Vec::new();
        let most = if ADMINISTERING.contains(&entry.subject) { self.administrators } else { self.operators };
        askers.extend(entry.noun().map(|_| most.to_owned()));
        askers.extend(LOOKING.contains(&entry.subject).then(|| self.viewers.to_owned()));
        for service in Service::OF_FRONT {
            let may = Role::Service(service).permissions("x.y").publish;
            let asks = may.iter().any(|subject| subject == entry.subject);
            askers.extend(asks.then(|| format!("{}{}", self.service, service.name())));
        }
        self.asked.replace("{owner}", entry.owner.name()).replace("{askers}", &askers.join(self.comma))
    }
}

/// The same with every object's keys in order, whatever a map keeps them in.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let ordered: BTreeMap<String, Value> = map.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            Value::Object(ordered.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        plain => plain,
    }
}
