//! What watches the cloud is explained and tried: every alert says what is wrong and what to do in both languages, has a
//! runbook entry in both and a test of when it fires and when not, and every metric stands on the page of metrics.

use std::collections::BTreeMap;

use super::files::File;

/// What whoever is woken is told, in both languages.
const TOLD: [&str; 4] = ["summary: ", "summary_ja: ", "remedy: ", "remedy_ja: "];

/// The alerts' own files.
pub(crate) struct Alerts<'a> {
    pub(crate) rules: &'a str,
    pub(crate) tests: &'a str,
    pub(crate) en: &'a str,
    pub(crate) ja: &'a str,
}

impl Alerts<'_> {
    /// What is missing, and what is explained though nothing fires it.
    pub(crate) fn faults(&self) -> Vec<String> {
        let named: Vec<&str> = self.rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
        let mut faults = Vec::new();
        for name in &named {
            let firing = format!("alertname=\"{name}\",alertstate=\"firing\"");
            let tried: Vec<&str> = self.tests.lines().filter(|line| line.contains(&firing)).collect();
            let silent = tried.iter().any(|line| line.contains("exp_samples: []"));
            let fires = tried.iter().any(|line| line.contains("exp_samples: [{"));
            let anchor = format!("runbook: deploy/prometheus/RUNBOOK.md#{}", name.to_lowercase());
            for (missing, what) in [
                (!silent, "no test in which it is silent"),
                (!fires, "no test in which it fires"),
                (!self.rules.lines().any(|line| line.trim() == anchor), "no annotation with its runbook"),
                (!entries(self.en).any(|entry| entry == *name), "no entry in RUNBOOK.md"),
                (!entries(self.ja).any(|entry| entry == *name), "no entry in RUNBOOK.ja.md"),
            ] {
                faults.extend(missing.then(|| format!("{name}: {what}")));
            }
            let own = own(self.rules, name);
            let untold = TOLD.iter().filter(|told| !own.lines().any(|line| line.trim().starts_with(**told)));
            faults.extend(untold.map(|told| format!("{name}: no annotation {told}")));
            let english = own.lines().map(str::trim).filter(|line| line.contains("_ja: ") && line.is_ascii());
            faults.extend(english.map(|line| format!("{name}: not in Japanese: {line}")));
        }
        let stray = entries(self.en).chain(entries(self.ja)).filter(|entry| !named.contains(entry));
        faults.extend(stray.map(|entry| format!("{entry}: explained, but there is no such alert")));
        faults
    }
}

/// An alert's own part of the rules.
fn own<'a>(rules: &'a str, name: &str) -> &'a str {
    let mut parts = rules.split("- alert: ").skip(1);
    parts.find(|part| part.lines().next() == Some(name)).unwrap_or_default()
}

fn entries(page: &str) -> impl Iterator<Item = &str> {
    page.lines().filter_map(|line| line.strip_prefix("## "))
}

const HEAD: &str = "# Metrics

Every metric that Watari's processes serve at `/metrics`, as the code names them: a test compares this page with the
code, and `WATARI_GOLDEN=write cargo test -p watari-testkit --test tidy` writes it anew. Each process but nats-launcher,
which `all` leaves out, serves
`process_resident_memory_bytes`, `process_cpu_seconds_total`, `process_threads`, `process_open_fds` and
`process_start_time_seconds` as well.

| metric | what it is | served by |
| --- | --- | --- |
";

/// The page of metrics as it should be: each constant that names one, with its comment.
pub(crate) fn metrics(files: &[File]) -> String {
    let mut found: BTreeMap<(&str, &str), String> = BTreeMap::new();
    for file in files {
        let Some(who) = served_by(&file.path) else { continue };
        let mut about: Vec<&str> = Vec::new();
        for line in file.text.lines().map(str::trim) {
            if let Some(words) = line.strip_prefix("/// ") {
                about.push(words);
                continue;
            }
            // A constant by another name than `…SITE` that begins like a metric is one; that one is a label.
            let named = line.split_once("const ").and_then(|(_, rest)| rest.split_once(": &str = \""));
            let name = named.filter(|(constant, _)| *constant != "SITE").and_then(|(_, rest)| rest.strip_suffix("\";"));
            if let Some(name) = name.filter(|name| name.starts_with("watari_")) {
                found.insert((who, name), about.join(" "));
            }
            about.clear();
        }
    }
    let rows = found.iter().map(|((who, name), about)| format!("| `{name}` | {about} | {who} |\n"));
    HEAD.to_owned() + &rows.collect::<String>()
}

/// Which process a metric in this file is of, if any.
fn served_by(path: &str) -> Option<&str> {
    if !path.ends_with(".rs") {
        return None;
    }
    if path.starts_with("shared/chassis/src/") {
        return Some("all");
    }
    path.strip_prefix("services/")?.split_once("/src/").map(|(service, _)| service)
}
