//! How things are called and how long they are.

use crate::files::File;

const EMPTY_WORDS: [&str; 9] = ["utils", "util", "common", "helpers", "helper", "misc", "manager", "managers", "stuff"];

pub(crate) fn telling_names(files: &[File]) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files.iter().filter(|f| f.is_rust() && f.path != "shared/testkit/tests/tidy.rs") {
        let parts = file.path.trim_end_matches(".rs").split('/');
        if let Some(part) = parts.into_iter().find(|part| says_nothing(part)) {
            faults.push(format!("{}: {part:?} says nothing", file.path));
        }
        for line in file.code().lines() {
            if let Some(name) = defined(line).filter(|name| says_nothing(&snake(name))) {
                faults.push(format!("{}: {name:?} says nothing", file.path));
            }
        }
    }
    faults
}

fn says_nothing(name: &str) -> bool {
    name.split(['_', '-']).any(|word| EMPTY_WORDS.contains(&word))
}

/// The module that a line declares, or the type if it has a name of several words.
fn defined(line: &str) -> Option<&str> {
    let mut words = line
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .skip_while(|w| ["", "pub", "crate", "super"].contains(w));
    let kind = words.next()?;
    let name = words.next()?;
    match kind {
        "mod" => Some(name),
        "struct" | "enum" | "trait" | "type" if snake(name).contains('_') => Some(name),
        _ => None,
    }
}

fn snake(name: &str) -> String {
    let mut out = String::new();
    for (n, c) in name.chars().enumerate() {
        if c.is_uppercase() && n > 0 {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}

pub(crate) fn short_mains(files: &[File]) -> Vec<String> {
    let services = files.iter().filter(|f| f.path.starts_with("services/") && f.path.ends_with("/src/main.rs"));
    longer_than(services, 40)
}

pub(crate) fn short_files(files: &[File]) -> Vec<String> {
    longer_than(files.iter().filter(|f| f.is_rust()), 600)
}

fn longer_than<'a>(files: impl Iterator<Item = &'a File>, most: usize) -> Vec<String> {
    let long = files.map(|f| (f, f.text.lines().count())).filter(|(_, lines)| *lines > most);
    long.map(|(f, lines)| format!("{} has {lines} lines; {most} are allowed", f.path)).collect()
}

pub(crate) fn nothing_undone(files: &[File]) -> Vec<String> {
    let undone = [concat!("to", "do!("), concat!("unimple", "mented!(")];
    let ignored = concat!("#[ign", "ore");
    let mut faults = Vec::new();
    for file in files.iter().filter(|f| f.is_rust()) {
        let code = file.code();
        for word in undone.iter().filter(|word| code.contains(**word)) {
            faults.push(format!("{}: {word}…)", file.path));
        }
        for (at, _) in code.match_indices(ignored) {
            let reason = code[at + ignored.len()..].trim_start().strip_prefix('=').map(str::trim_start);
            if !reason.is_some_and(|r| r.starts_with('"') && !r.starts_with("\"\"")) {
                faults.push(format!("{}: a test is ignored without a reason", file.path));
            }
        }
    }
    faults
}

/// Folders of the machine that something was written on.
const MACHINE: [&str; 5] = [
    concat!("/wo", "rk/"),
    concat!("/root/.car", "go"),
    concat!("/root/.rust", "up"),
    concat!("/ho", "me/"),
    concat!("/tmp/bash", "_jobs"),
];

/// A documentation's example that is code would be one that nothing runs: `deploy/test` leaves rustdoc out, which takes
/// seconds for each crate to find none.
pub(crate) fn pictures_alone(files: &[File]) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files.iter().filter(|f| f.is_rust()) {
        let comments = file.text.lines().map(str::trim_start);
        let fences = comments.filter_map(|l| l.strip_prefix("///").or_else(|| l.strip_prefix("//!")));
        let fences = fences.filter_map(|l| l.trim_start().strip_prefix("```"));
        for opened in fences.step_by(2).filter(|opened| !["text", "sh"].contains(opened)) {
            faults.push(format!("{}: an example that nothing runs: ```{opened}", file.path));
        }
    }
    faults
}

/// Programs only call their libraries, so that what they do is tested there: `deploy/test` links none of them as a test.
pub(crate) fn untested_programs(files: &[File]) -> Vec<String> {
    let is_program = |path: &str| path.ends_with("/src/main.rs") || path.contains("/src/bin/");
    let begins_a_test = |line: &str| line.trim_start().starts_with("#[") && line.trim_end().ends_with("test]");
    let programs = files.iter().filter(|f| is_program(&f.path));
    let with_tests = programs.filter(|f| f.text.lines().any(begins_a_test));
    with_tests.map(|f| format!("{}: a test that nothing runs; it belongs to the library", f.path)).collect()
}

pub(crate) fn no_machine_paths(files: &[File]) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files {
        for (number, line) in file.text.lines().enumerate() {
            if let Some(path) = MACHINE.iter().find(|path| begins_a_path(line, path)) {
                faults.push(format!("{}:{}: names {path}", file.path, number + 1));
            }
        }
    }
    faults
}

/// Whether the text stands at the beginning of a path, not inside one or after a variable.
fn begins_a_path(line: &str, path: &str) -> bool {
    let part_of_path = |c: char| c.is_alphanumeric() || "._-/$}*".contains(c);
    line.match_indices(path).any(|(at, _)| {
        let before = &line[..at];
        let after_variable = before.ends_with(['"', '\'']) && before.contains('$');
        !before.ends_with(part_of_path) && !after_variable
    })
}
