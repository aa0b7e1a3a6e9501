//! The guides below `docs`: both languages have the same chapters and say the same, every link of any page leads
//! somewhere, and a test that a guide names is there, as is one for each invariant.

use super::{files::File, readmes};

/// What the guides' two languages do not share.
pub(crate) fn out_of_step(files: &[File]) -> Vec<String> {
    let (en, ja) = (chapters(files, "en"), chapters(files, "ja"));
    let mut faults = Vec::new();
    for (name, there, other) in en.iter().map(|c| (c.0, &ja, "ja")).chain(ja.iter().map(|c| (c.0, &en, "en"))) {
        if !there.iter().any(|(known, _)| *known == name) {
            faults.push(format!("docs/{other}/src/{name} is missing"));
        }
    }
    for (name, english) in &en {
        let Some((_, japanese)) = ja.iter().find(|(known, _)| known == name) else { continue };
        let differ = readmes::differences(&english.text, &japanese.text);
        faults.extend(differ.into_iter().map(|fault| format!("docs/…/{name}: {fault}")));
    }
    for (lang, chapters) in [("en", &en), ("ja", &ja)] {
        let summary = chapters.iter().find(|(name, _)| *name == SUMMARY).map_or("", |(_, file)| file.text.as_str());
        for (name, _) in chapters.iter().filter(|(name, _)| *name != SUMMARY) {
            if !summary.contains(&format!("]({name})")) {
                faults.push(format!("docs/{lang}/src/{SUMMARY} does not name {name}"));
            }
        }
    }
    faults
}

/// What mdBook makes the contents of.
const SUMMARY: &str = "SUMMARY.md";

/// A language's chapters, by their names.
fn chapters<'f>(files: &'f [File], lang: &str) -> Vec<(&'f str, &'f File)> {
    let folder = format!("docs/{lang}/src/");
    let named = |file: &'f File| Some((file.path.strip_prefix(&folder)?, file));
    files.iter().filter_map(named).filter(|(name, _)| name.ends_with(".md")).collect()
}

/// Links of pages to files and headings that are not there. What others have on the web is not looked at.
pub(crate) fn dead_links(files: &[File]) -> Vec<String> {
    let mut faults = Vec::new();
    for page in files.iter().filter(|file| file.path.ends_with(".md")) {
        let links = prose(&page.text).flat_map(|line| line.split("](").skip(1));
        for link in links.filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            if link.contains("://") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let path = if path.is_empty() { page.path.clone() } else { resolved(&page.path, path) };
            let target = files.iter().find(|file| file.path == path);
            if target.is_none_or(|target| !anchor.is_empty() && !anchors(&target.text).any(|known| known == anchor)) {
                faults.push(format!("{}: {link} leads nowhere", page.path));
            }
        }
    }
    faults
}

/// The lines that are no code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

fn resolved(page: &str, link: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// What a page's headings are called in links, as forges and mdBook do.
fn anchors(text: &str) -> impl Iterator<Item = String> {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    let headings = headings.filter_map(|line| line.trim_start_matches('#').strip_prefix(' '));
    headings.map(|heading| {
        let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || " _-".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect::<String>()
    })
}

/// Tests that pages name, as `folder/file.rs::name`, and that are not there. A scenario of the lab is named by a text.
pub(crate) fn unknown_tests(files: &[File]) -> Vec<String> {
    let mut faults = Vec::new();
    for page in files.iter().filter(|file| file.path.starts_with("docs/")) {
        for code in page.text.split('`').skip(1).step_by(2) {
            let Some((path, name)) = code.split_once(".rs::") else { continue };
            let path = format!("{path}.rs");
            let there = files.iter().find(|file| file.path == path).is_some_and(|file| {
                file.text.contains(&format!("fn {name}(")) || file.text.contains(&format!("\"{name}\""))
            });
            if !there {
                faults.push(format!("{}: there is no test {code}", page.path));
            }
        }
    }
    faults
}

/// Alerts to which the chapter of symptoms does not lead.
pub(crate) fn unnamed_alerts(files: &[File]) -> Vec<String> {
    let rules = files.iter().find(|file| file.path == "deploy/prometheus/rules.yml");
    let alerts = || rules.into_iter().flat_map(|rules| rules.text.lines()).map(str::trim);
    let mut faults = Vec::new();
    for page in files.iter().filter(|file| file.path.starts_with("docs/") && file.name() == "trouble.md") {
        for alert in alerts().filter_map(|line| line.strip_prefix("- alert: ")) {
            if !page.text.contains(&format!("`{alert}`")) {
                faults.push(format!("{} does not name {alert}", page.path));
            }
        }
    }
    faults
}

/// Invariants that the page on how it is built lists, and after which no test is called.
pub(crate) fn unproved_invariants(files: &[File]) -> Vec<String> {
    let page = files.iter().find(|file| file.path == "ARCHITECTURE.md").map_or("", |page| page.text.as_str());
    let (_, list) = page.split_once("\n## Invariants\n").unwrap_or_default();
    let lines = list.lines().take_while(|line| !line.starts_with("## "));
    let numbers: Vec<u32> = lines.filter_map(|line| line.split_once(". ")?.0.parse().ok()).collect();
    if numbers.is_empty() {
        return vec!["ARCHITECTURE.md lists no invariants".to_owned()];
    }
    let proved = |number: &u32| {
        let name = format!("fn invariant_{number}_");
        files.iter().any(|file| file.is_rust() && file.text.contains(&name))
    };
    let unproved = numbers.into_iter().filter(|number| !proved(number));
    unproved.map(|number| format!("no test is called invariant_{number}_…")).collect()
}
