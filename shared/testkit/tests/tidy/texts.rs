//! Of what the command says in two languages, tests show that it is there in both.

use crate::files::File;

/// Where its texts lie.
const FOLDER: &str = "services/cli/src/texts/";
/// How the tests of a file begin, within it or beside it.
const TESTS: &str = "#[cfg(test)]\nmod tests";

/// A file of texts, and the tests of it.
struct Texts<'f> {
    path: &'f str,
    /// By what tests of other files call it.
    module: &'f str,
    code: &'f str,
    tests: String,
}

impl<'f> Texts<'f> {
    fn of(file: &'f File, files: &[File]) -> Self {
        let path = file.path.as_str();
        let (code, within) = file.text.split_once(TESTS).unwrap_or((file.text.as_str(), ""));
        let beside = format!("{}/tests.rs", path.trim_end_matches(".rs"));
        let beside = files.iter().find(|f| f.path == beside).map_or("", |f| f.text.as_str());
        Self { path, module: file.name().trim_end_matches(".rs"), code, tests: format!("{within}{beside}") }
    }

    /// What it says to others when it is told the language; what only texts ask for is tried with these.
    fn said(&self) -> Vec<&'f str> {
        let code = self.code;
        let said = |(at, word): (usize, &str)| {
            let line = code[..at].rsplit('\n').next()?;
            let (name, arguments) = code[at + word.len()..].split_once('(')?;
            let takes_it_first = arguments.trim_start().starts_with("lang: Lang");
            let is_others = line.starts_with("pub") && !line.starts_with("pub(super)");
            if is_others && takes_it_first { name.split('<').next() } else { None }
        };
        code.match_indices("fn ").filter_map(said).collect()
    }

    /// Whether its own tests have this word.
    fn tries(&self, name: &str) -> bool {
        self.tests.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == name)
    }

    fn has_japanese(&self) -> bool {
        self.code.lines().any(|line| !line.trim_start().starts_with("//") && !line.is_ascii())
    }
}

/// What no test asks for: a text that takes the language and is named by no test; and a file of tables without a test.
pub(crate) fn untried(files: &[File]) -> Vec<String> {
    let of_texts = files.iter().filter(|f| f.is_rust() && f.path.starts_with(FOLDER) && f.name() != "tests.rs");
    let all: Vec<Texts<'_>> = of_texts.map(|file| Texts::of(file, files)).collect();
    let elsewhere = |called: &str| all.iter().any(|other| other.tests.contains(called));
    let mut faults = Vec::new();
    for one in &all {
        let said = one.said();
        for name in &said {
            if !one.tries(name) && !elsewhere(&format!("{}::{name}(", one.module)) {
                faults.push(format!("{}: no test asks for {name}", one.path));
            }
        }
        if said.is_empty() && one.has_japanese() && one.tests.is_empty() && !elsewhere(&format!("{}::", one.module)) {
            faults.push(format!("{}: no test shows that it is there in both languages", one.path));
        }
    }
    faults
}
