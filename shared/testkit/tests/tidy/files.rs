//! The repository's files, as git has them or would take them.

use std::{fs, path::Path, process::Command};

/// A file, by its path from the repository's root. What is not text, such as a picture, counts as empty.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// The text without comments of whole lines and line ends, so that a rule may be talked about.
    pub(crate) fn code(&self) -> String {
        self.text.lines().map(without_comment).collect::<Vec<_>>().join("\n")
    }
}

/// Cuts at the first `//` that is not part of a URL.
fn without_comment(line: &str) -> &str {
    let cut = line.match_indices("//").map(|(at, _)| at).find(|at| !line[..*at].ends_with(':'));
    cut.map_or(line, |at| &line[..at])
}

/// The repository's own folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("testkit lies two folders deep")
}

/// Writes a file of the repository.
pub(crate) fn write(path: &str, text: &str) {
    fs::write(root().join(path), text).expect("the repository can be written");
}

/// All files of the repository.
pub(crate) fn repository() -> Vec<File> {
    let root = root();
    let listed = Command::new("git")
        .current_dir(root)
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .expect("git lists the repository's files");
    assert!(listed.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listed.stderr));
    let paths = String::from_utf8(listed.stdout).expect("paths are UTF-8");
    let read = |path: &str| {
        let text = String::from_utf8(fs::read(root.join(path)).ok()?).unwrap_or_default();
        Some(File { path: path.to_owned(), text })
    };
    paths.split('\0').filter(|p| !p.is_empty()).filter_map(read).collect()
}
