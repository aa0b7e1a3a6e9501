//! What was done in a cluster's folder: tokens made and taken back, hosts let in and out, keys and hosts' files made. The
//! history tells who asked the services for what; of this they never hear.
//!
//! One line of JSON each, which is added and never changed. Who lets a host in or out, or makes a token, is written down
//! before that takes effect.

use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions, Permissions},
    io::{self, Read, Seek, SeekFrom, Write},
    net::IpAddr,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use serde::{Deserialize, Serialize};
use watari_model::Timestamp;

use crate::{session, texts::faults::Fault};

/// Its name in the folder.
const FILE: &str = "journal.jsonl";
/// So many names stand in one entry; more are counted.
const MOST_NAMES: usize = 64;
/// A shell, sudo, a multiplexer and their like stand between a person's login and what they type.
const MOST_ANCESTORS: usize = 16;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// A token was made.
    TokenCreated,
    /// A token was taken back.
    TokenRevoked,
    /// A host came with a token, for the first time or again.
    HostJoined,
    /// A host was taken out of the cluster.
    HostExpelled,
    /// Keys were made of people and of hosts' processes.
    KeysMade,
    /// Files of hosts were made or became others: settings, certificates, who NATS knows.
    FilesMade,
    /// What a newer version has done.
    #[serde(other)]
    Other,
}

/// One act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// Who, as this host knows them: a login, or the token with which a host came.
    pub who: String,
    /// The address from which they came; none if they came by no network, or nobody knows.
    pub from: Option<IpAddr>,
    /// What.
    pub act: Act,
    /// To what: a token by its ID, as what it lets whom in; hosts and keys by their names.
    pub about: Vec<String>,
}

impl Entry {
    /// By whoever has started this process.
    #[must_use]
    pub fn of_here(at: Timestamp, act: Act, mut about: Vec<String>) -> Self {
        let more = about.len().saturating_sub(MOST_NAMES);
        about.truncate(MOST_NAMES);
        about.extend((more > 0).then(|| format!("+{more}")));
        let uid = || fs::metadata("/proc/self").map_or_else(|_| "-".to_owned(), |own| format!("uid {}", own.uid()));
        Self { at, who: session::login().unwrap_or_else(uid), from: came_from(), act, about }
    }

    /// By a host that has come with the token of this ID.
    #[must_use]
    pub fn of_host(at: Timestamp, from: IpAddr, token: &str, about: Vec<String>) -> Self {
        Self { at, who: format!("token {token}"), from: Some(from), act: Act::HostJoined, about }
    }
}

/// From where a person came by SSH. sudo does not pass it on, but who has started it was told.
fn came_from() -> Option<IpAddr> {
    let mut pid = "self".to_owned();
    for _ in 0..MOST_ANCESTORS {
        let variables = fs::read(format!("/proc/{pid}/environ")).ok()?;
        if let Some(told) = variables.split(|byte| *byte == 0).find_map(|one| one.strip_prefix(b"SSH_CONNECTION=")) {
            return std::str::from_utf8(told).ok()?.split(' ').next()?.parse().ok();
        }
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        pid = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().to_owned();
    }
    None
}

/// Adds an entry to the journal of the folder `dir`, and has it on disk.
///
/// # Errors
/// [`Fault::File`].
pub fn add(dir: &Path, entry: &Entry) -> Result<(), Fault> {
    let path = dir.join(FILE);
    let fault = |e: io::Error| Fault::File { path: path.display().to_string(), detail: e.to_string() };
    let line = serde_json::to_string(entry).map_err(|e| fault(e.into()))?;
    let added = || {
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(&path)?;
        file.set_permissions(Permissions::from_mode(0o644))?;
        // What a power cut has left of an entry is no part of this one.
        let end = if is_halved(&mut file)? { "\n" } else { "" };
        file.write_all(format!("{end}{line}\n").as_bytes())?;
        file.sync_all()
    };
    added().map_err(fault)
}

fn is_halved(file: &mut fs::File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// All entries of the folder `dir`, the oldest first; none if there is no journal yet. What is no entry is left out.
///
/// # Errors
/// [`Fault::File`].
pub fn read(dir: &Path) -> Result<Vec<Entry>, Fault> {
    let path = dir.join(FILE);
    match fs::read(&path) {
        Ok(bytes) => {
            Ok(bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Fault::File { path: path.display().to_string(), detail: error.to_string() }),
    }
}

/// The names of the keys that lie in a folder.
#[must_use]
pub fn keys(folder: &Path) -> BTreeSet<String> {
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.filter_map(|name| name.to_str()?.strip_suffix(".nk").map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use watari_testkit::TempDir;

    use super::*;

    fn entry(act: Act, about: Vec<String>) -> Entry {
        Entry::of_here(watari_chassis::clock::now(), act, about)
    }

    #[test]
    fn what_is_added_is_read_again_in_its_order_whatever_a_power_cut_or_a_newer_version_has_left() {
        let dir = TempDir::new();
        assert_eq!(read(dir.path()).unwrap(), []);
        let (one, other) = (entry(Act::TokenCreated, vec!["a".to_owned()]), entry(Act::TokenRevoked, Vec::new()));
        add(dir.path(), &one).unwrap();
        let path = dir.path().join(FILE);
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, [whole.as_bytes(), &whole.as_bytes()[..20], b"\xff"].concat()).unwrap();
        add(dir.path(), &other).unwrap();
        assert_eq!(read(dir.path()).unwrap(), [one.clone(), other]);
        fs::write(&path, whole.replace("token-created", "something-new")).unwrap();
        assert_eq!(read(dir.path()).unwrap(), [Entry { act: Act::Other, ..one }]);
    }

    #[test]
    fn an_entry_names_so_many_and_counts_the_rest() {
        let names = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
        assert_eq!(entry(Act::KeysMade, names(MOST_NAMES)).about, names(MOST_NAMES));
        let about = entry(Act::KeysMade, names(MOST_NAMES + 3)).about;
        assert_eq!((about.len(), about.last().unwrap().as_str()), (MOST_NAMES + 1, "+3"));
    }
}
