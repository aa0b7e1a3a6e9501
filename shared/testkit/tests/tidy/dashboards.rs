//! Dashboards speak both languages, say of each panel what it shows and in which unit, stand in both READMEs, can be drawn
//! without Grafana, and ask for nothing that nobody tells. Whether there is an answer to each of their questions
//! deploy/docker/test and deploy/demo find out.

use std::collections::BTreeSet;

use serde_json::Value;

use super::files::File;

const FOLDER: &str = "deploy/grafana/dashboards/";
/// The program that draws them, and the folder of its parts.
const DRAWING: &str = "deploy/grafana/picture";
const SOURCE: &str = "watari-prometheus";

/// What is wrong with the dashboards.
pub(crate) fn faults(files: &[File]) -> Vec<String> {
    let text = |path: &str| files.iter().find(|file| file.path == path).map_or("", |file| file.text.as_str());
    let told = told(text("deploy/prometheus/METRICS.md"), text("deploy/prometheus/rules.yml"));
    let drawing: String =
        files.iter().filter(|file| file.path.starts_with(DRAWING)).map(|file| file.text.as_str()).collect();
    let mut faults = Vec::new();
    for file in files.iter().filter(|file| file.path.starts_with(FOLDER)) {
        let Ok(board) = serde_json::from_str::<Value>(&file.text) else {
            faults.push(format!("{}: no JSON", file.path));
            continue;
        };
        let mut found = of_board(&board, file.name().trim_end_matches(".json"), &told);
        found.extend(undrawn(&board, &drawing));
        let (en, ja) = languages(&board, "title").unwrap_or_default();
        for (page, title) in [("README.md", en), ("README.ja.md", ja)] {
            if !text(page).contains(title) {
                found.push(format!("{page} does not name it: {title}"));
            }
        }
        faults.extend(found.into_iter().map(|fault| format!("{}: {fault}", file.path)));
    }
    faults
}

/// The metrics of the page, and the sums of the rules.
fn told<'a>(page: &'a str, rules: &'a str) -> BTreeSet<&'a str> {
    let metrics = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    metrics.chain(rules.lines().filter_map(|line| line.trim().strip_prefix("- record: "))).collect()
}

fn of_board(board: &Value, stem: &str, told: &BTreeSet<&str>) -> Vec<String> {
    let mut faults = Vec::new();
    if board["uid"] != format!("watari-{stem}") {
        faults.push(format!("its uid is not watari-{stem}"));
    }
    if languages(board, "title").is_none() {
        faults.push("its title is not in both languages".to_owned());
    }
    let variables = list(&board["templating"]["list"]);
    for variable in variables {
        faults.extend(unknown(text(variable, "definition"), told));
        if languages(variable, "label").is_none() || text(variable, "definition") != text(&variable["query"], "query") {
            faults.push(format!("the variable {} has no label in both languages, or two questions", variable["name"]));
        }
    }
    let variables: BTreeSet<&str> = variables.iter().map(|variable| text(variable, "name")).collect();
    let mut ids = BTreeSet::new();
    for panel in list(&board["panels"]) {
        let found = of_panel(panel, &variables, told);
        faults.extend(found.into_iter().map(|fault| format!("{}: {fault}", panel["title"])));
        if !ids.insert(panel["id"].as_u64()) {
            faults.push(format!("{} has the id of another panel", panel["title"]));
        }
    }
    if ids.len() < 3 {
        faults.push("it has hardly a panel".to_owned());
    }
    faults
}

fn of_panel(panel: &Value, variables: &BTreeSet<&str>, told: &BTreeSet<&str>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut must = |holds: bool, what: &str| faults.extend((!holds).then(|| what.to_owned()));
    must(languages(panel, "title").is_some(), "its title is not in both languages");
    if panel["type"] == "row" {
        return faults;
    }
    must(languages(panel, "description").is_some(), "it is not described in both languages");
    must(!text(&panel["fieldConfig"]["defaults"], "unit").is_empty(), "it has no unit");
    must(panel["datasource"]["uid"] == SOURCE, "it asks somebody else");
    let targets = list(&panel["targets"]);
    must(!targets.is_empty(), "it asks for nothing");
    for target in targets {
        must(!text(target, "legendFormat").is_empty(), "a line has no name");
        let asked = text(target, "expr");
        let unset = asked.split('$').skip(1).map(word).find(|name| !variables.contains(name));
        must(unset.is_none(), &format!("${} is no variable", unset.unwrap_or_default()));
        unknown(asked, told).iter().for_each(|fault| must(false, fault));
    }
    faults
}

/// The types and units of panels that a picture of the dashboard would lack.
fn undrawn(board: &Value, drawing: &str) -> Vec<String> {
    let panels = list(&board["panels"]).iter();
    let names = panels.flat_map(|panel| [text(panel, "type"), text(&panel["fieldConfig"]["defaults"], "unit")]);
    let unknown = names.filter(|name| !name.is_empty() && !drawing.contains(&format!("\"{name}\"")));
    unknown.map(|name| format!("{DRAWING} cannot draw {name}")).collect()
}

/// The metrics in a question that nobody tells.
fn unknown(asked: &str, told: &BTreeSet<&str>) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let names =
        asked.split(|c: char| !is_part(c)).filter(|name| name.starts_with("watari_") || name.contains(":watari_"));
    let is_told = |name: &str| {
        // Of a histogram Prometheus makes three.
        let mut wholes = ["_bucket", "_sum", "_count"].into_iter().filter_map(|part| name.strip_suffix(part));
        told.contains(name) || wholes.any(|whole| told.contains(whole))
    };
    names.filter(|name| !is_told(name)).map(|name| format!("nobody tells {name}")).collect()
}

/// The letters and digits at the beginning.
fn word(text: &str) -> &str {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default()
}

/// English, then Japanese.
fn languages<'a>(value: &'a Value, key: &str) -> Option<(&'a str, &'a str)> {
    text(value, key).split_once(" / ").filter(|(en, ja)| !en.is_empty() && en.is_ascii() && !ja.is_ascii())
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
