//! What watches the cloud is explained and tried: every alert says what is wrong and what to do in both languages, has a
//! runbook entry in both and a test of when it fires and when not, and every metric stands on the page of metrics, is named in
//! one place, and has labels of which there are not ever more values.

use std::collections::{BTreeMap, BTreeSet};

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

/// The one file of a crate in which its metrics have their names.
const NAMES: &str = "metric_names.rs";

/// Every label that a metric may have, and what it takes: nothing of which there could be more without anybody having
/// made more.
const LABELS: [(&str, &str); 34] = [
    ("bucket", "a bucket, as the code lists them"),
    ("came", "a word of the code"),
    ("code", "`ok` or the code of a refusal, as their table lists them"),
    ("end", "a word of the code"),
    ("endpoint", "a request or an order, as the code lists them"),
    ("fate", "a word of the code"),
    ("folder", "a word of the code"),
    ("interface", "an interface of the machine, at most 16 of them"),
    ("kind", "a word of the code"),
    ("led_to", "a word of the code"),
    ("loop", "a loop of the process, as the code lists them"),
    ("mode", "a word of the kernel's, as the code lists them"),
    ("network", "a network"),
    ("node", "a node, at most as many as the monitor's `nodes.most_nodes`"),
    ("outcome", "a word of the code, or the code of a refusal"),
    ("phase", "a word of the code"),
    ("probe", "what is asked of a server, as its document says, while an outage is under way"),
    ("process", "this start of the process: one at a time"),
    ("progress", "a word of the code"),
    ("project", "a project, at most as many as the scheduler's `projects.most`"),
    ("service", "a service, as the code lists them"),
    ("site", "a site"),
    ("standing", "a word of the code"),
    ("state", "a word of the code"),
    ("strain", "a word of the code"),
    ("stream", "a bucket's stream, as the code lists them"),
    ("ups", "a UPS of the monitor's settings"),
    ("verb", "what is done, as the code lists it"),
    ("version", "the program's: one at a time"),
    (
        "vm",
        "a server: of measured ones at most the monitor's `nodes.most_measured`, of probed ones at most `probes.most`",
    ),
    ("way", "a word of the code"),
    ("what", "a word of the code"),
    ("which", "a word of the code"),
    ("why", "a word of the code"),
];

const HEAD: &str = "# Metrics

Every metric that Watari's processes serve at `/metrics`, as the code names them, with its labels: a test compares this
page with the code, and `WATARI_GOLDEN=write cargo test -p watari-testkit --test tidy` writes it anew. What `all` serve
nats-launcher does not, but for `watari_build_info` and what begins with `process_`.

| metric | labels | what it is | served by |
| --- | --- | --- | --- |
";

const MIDDLE: &str = "
## Labels

No metric has another label than these, and there are no more series than what they take allows:

";

/// A metric as the code has it.
struct Metric {
    about: String,
    /// None where nobody makes it.
    labels: Option<Vec<String>>,
}

/// The page of metrics as it should be: each constant that names one, with its labels and its comment.
pub(crate) fn metrics(files: &[File]) -> String {
    let rows = named(files).into_iter().map(|((who, name), Metric { about, labels })| {
        let labels: Vec<String> = labels.unwrap_or_default().iter().map(|label| format!("`{label}`")).collect();
        format!("| `{name}` | {} | {about} | {who} |\n", labels.join(", "))
    });
    let labels = LABELS.iter().map(|(label, takes)| format!("* `{label}`: {takes}\n"));
    [HEAD.to_owned(), rows.collect(), MIDDLE.to_owned(), labels.collect()].concat()
}

/// Metrics that have a name beside the one file, or a text in the place of one.
pub(crate) fn scattered_names(files: &[File]) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files.iter().filter(|file| served_by(&file.path).is_some()) {
        let code = produced(file);
        let elsewhere = code.lines().filter_map(constant).filter(|_| file.name() != NAMES);
        faults.extend(elsewhere.map(|(_, name)| format!("{}: {name} belongs into {NAMES}", file.path)));
        let dense: String = code.split_whitespace().collect();
        let makers = ["Opts::new(\"", "Gauge::new(\"", "Counter::new(\""];
        let texts = makers.iter().filter(|maker| dense.contains(**maker));
        faults.extend(texts.map(|maker| format!("{}: {maker}… has no constant", file.path)));
    }
    faults
}

/// Metrics that nobody makes, labels that nobody has thought about, and thoughts about labels that are gone.
pub(crate) fn unbounded_labels(files: &[File]) -> Vec<String> {
    let (mut faults, mut used) = (Vec::new(), BTreeSet::new());
    for ((who, name), metric) in named(files) {
        let Some(labels) = metric.labels else {
            faults.push(format!("{name} of {who}: no help and array of labels follow its constant"));
            continue;
        };
        let unknown = labels.iter().filter(|label| LABELS.iter().all(|(known, _)| known != label));
        faults.extend(unknown.map(|label| format!("{name} of {who}: what bounds its label {label}?")));
        used.extend(labels);
    }
    let gone = LABELS.iter().filter(|(label, _)| !used.is_empty() && !used.contains(*label));
    faults.extend(gone.map(|(label, _)| format!("no metric has the label {label}")));
    faults
}

/// All metrics, by who serves them and their name.
fn named(files: &[File]) -> BTreeMap<(&str, &str), Metric> {
    let mut code: BTreeMap<&str, String> = BTreeMap::new();
    for file in files {
        if let Some(who) = served_by(&file.path) {
            code.entry(who).or_default().push_str(&produced(file));
        }
    }
    let mut found = BTreeMap::new();
    for file in files.iter().filter(|file| file.name() == NAMES) {
        let Some((who, code)) = served_by(&file.path).and_then(|who| code.get_key_value(who)) else { continue };
        let mut about: Vec<&str> = Vec::new();
        for line in file.text.lines().map(str::trim) {
            if let Some(words) = line.strip_prefix("/// ") {
                about.push(words);
                continue;
            }
            if let Some((constant, name)) = constant(line) {
                found.insert((*who, name), Metric { about: about.join(" "), labels: labels(code, constant) });
            }
            about.clear();
        }
    }
    found
}

/// A constant that names a metric, and the name. One by the name of `SITE` is a label.
fn constant(line: &str) -> Option<(&str, &str)> {
    let (constant, rest) = line.split_once("const ")?.1.split_once(": &str = \"")?;
    let name = rest.strip_suffix("\";")?;
    let is_metric = ["watari_", "process_"].iter().any(|begin| name.starts_with(begin)) && constant != "SITE";
    is_metric.then_some((constant, name))
}

/// The labels with which a metric is made: where its help follows its constant, the array before that is tried.
fn labels(code: &str, constant: &str) -> Option<Vec<String>> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let made = code.match_indices(constant).find_map(|(at, _)| {
        let rest = code[at + constant.len()..].strip_prefix(',')?.trim_start();
        (!code[..at].ends_with(is_part) && rest.starts_with('"')).then_some(rest)
    })?;
    let made = made.split('?').next().unwrap_or_default();
    let array = made.split_once("&[").and_then(|(_, rest)| rest.split_once(']')).map_or("", |(array, _)| array);
    Some(array.split('"').skip(1).step_by(2).map(str::to_owned).collect())
}

/// The code of a file without its tests.
fn produced(file: &File) -> String {
    if file.name().ends_with("tests.rs") || file.path.contains("/tests/") {
        return String::new();
    }
    file.code().split("#[cfg(test)]").next().unwrap_or_default().to_owned()
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
