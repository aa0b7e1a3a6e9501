//! The file: a line that says what follows, and what follows under gzip.
//!
//! ```text
//!  watari-backup 1 <bytes of the rest> <SHA-256 of the rest>\n
//!  gzip of lines of JSON: the header, then one record a document
//! ```
//!
//! The digest is of the bytes as they lie on the disk, so that no byte of the file can change unseen.
//! A person reads it with `tail -n +2 FILE | zcat`.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use watari_model::Timestamp;

use crate::{format::hex, texts::faults::Fault};

/// What every backup begins with; the number is the form's.
const MARK: &str = "watari-backup 1 ";
/// The longest first line.
const MOST_LINE: usize = 256;
/// The most bytes that are read, packed and unpacked: more than a cloud's documents ever come to.
const MOST_BYTES: u64 = 1 << 30;

/// What the file is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    /// The version of the command that made it.
    pub(super) watari: String,
    /// When reading began. Each document is as it was at some moment between this and `ended_at`.
    pub(super) began_at: Timestamp,
    /// When all was read.
    pub(super) ended_at: Timestamp,
    /// No service's epoch was higher by then.
    pub(super) epoch: u64,
    /// How many documents of each bucket there are.
    pub(super) documents: BTreeMap<String, usize>,
}

/// One document, as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Its bucket.
    pub(super) bucket: String,
    /// Its key there.
    pub(super) key: String,
    /// Which write it was.
    pub(super) revision: u64,
    /// When that was.
    pub(super) written_at: Timestamp,
    /// The document itself, byte for byte.
    pub(super) document: String,
}

/// A whole backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Archive {
    pub(super) header: Header,
    pub(super) records: Vec<Record>,
}

/// Why bytes are no backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsound {
    /// They never were one of a form that is known here.
    NotOne,
    /// Something has changed or is missing.
    Damaged,
}

fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// As bytes.
///
/// # Errors
/// The encoder's.
pub(super) fn pack(archive: &Archive) -> std::io::Result<Vec<u8>> {
    let mut lines = serde_json::to_vec(&archive.header)?;
    for record in &archive.records {
        lines.push(b'\n');
        serde_json::to_writer(&mut lines, record)?;
    }
    lines.push(b'\n');
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(&lines)?;
    let rest = packed.finish()?;
    let mut whole = format!("{MARK}{} {}\n", rest.len(), digest(&rest)).into_bytes();
    whole.extend(rest);
    Ok(whole)
}

/// From bytes: every one of them counts.
///
/// # Errors
/// [`Unsound`].
pub(super) fn unpack(bytes: &[u8]) -> Result<Archive, Unsound> {
    // A backup that broke off at once, rather than one of another form.
    if bytes.is_empty() {
        return Err(Unsound::Damaged);
    }
    let end = bytes.iter().take(MOST_LINE).position(|byte| *byte == b'\n').ok_or(Unsound::NotOne)?;
    let (line, rest) = bytes.split_at(end);
    let rest = rest.strip_prefix(b"\n").ok_or(Unsound::NotOne)?;
    let line = std::str::from_utf8(line).map_err(|_| Unsound::NotOne)?;
    let (length, sum) = line.strip_prefix(MARK).and_then(|said| said.split_once(' ')).ok_or(Unsound::NotOne)?;
    if length != rest.len().to_string() || sum != digest(rest) {
        return Err(Unsound::Damaged);
    }
    let mut text = String::new();
    let unpacked = GzDecoder::new(rest).take(MOST_BYTES).read_to_string(&mut text);
    unpacked.map_err(|_| Unsound::Damaged)?;
    let mut lines = text.lines();
    let header: Header = read(lines.next().unwrap_or_default())?;
    let records = lines.map(read).collect::<Result<Vec<Record>, Unsound>>()?;
    let archive = Archive { header, records };
    if archive.count() == archive.header.documents { Ok(archive) } else { Err(Unsound::Damaged) }
}

fn read<T: serde::de::DeserializeOwned>(line: &str) -> Result<T, Unsound> {
    serde_json::from_str(line).map_err(|_| Unsound::Damaged)
}

impl Archive {
    /// How many documents of each bucket there are; a bucket without any is not named.
    pub(super) fn count(&self) -> BTreeMap<String, usize> {
        let mut count = BTreeMap::new();
        for record in &self.records {
            *count.entry(record.bucket.clone()).or_default() += 1;
        }
        count
    }

    /// The documents of one bucket.
    pub(super) fn of<'a>(&'a self, bucket: &'a str) -> impl Iterator<Item = &'a Record> {
        self.records.iter().filter(move |record| record.bucket == bucket)
    }
}

/// Writes the file for its owner alone; one that is there already stays as it is.
pub(super) fn store(path: &Path, bytes: &[u8]) -> Result<(), Fault> {
    let fault = |error: std::io::Error| Fault::File { path: path.display().to_string(), detail: error.to_string() };
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = opened.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Fault::FileThere { path: path.display().to_string() },
        _ => fault(error),
    })?;
    if let Err(error) = file.write_all(bytes).and_then(|()| file.sync_all()) {
        // Half a backup is worse than none.
        let _ = fs::remove_file(path);
        return Err(fault(error));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(fault)
}

/// Reads the file's bytes, within the bound.
pub(super) fn load(path: &Path) -> Result<Vec<u8>, Fault> {
    let fault = |error: std::io::Error| Fault::unread(&path.display().to_string(), &error);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(fault)?;
    file.take(MOST_BYTES).read_to_end(&mut bytes).map_err(fault)?;
    Ok(bytes)
}

/// The SHA-256 of the whole file, to be noted beside it.
pub(super) fn fingerprint(bytes: &[u8]) -> String {
    digest(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive() -> Archive {
        let at = Timestamp(time::OffsetDateTime::UNIX_EPOCH);
        let record = |bucket: &str, key: &str| Record {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            revision: 7,
            written_at: at,
            document: format!("{{\"name\":\"{key}\",\"title\":\"明大寺\"}}"),
        };
        let records = vec![record("vms", "mail"), record("vms", "web"), record("keys", "sato")];
        let documents = [("vms".to_owned(), 2), ("keys".to_owned(), 1)].into();
        let header = Header { watari: "0.1.0".to_owned(), began_at: at, ended_at: at, epoch: 9, documents };
        Archive { header, records }
    }

    #[test]
    fn what_was_packed_is_unpacked() {
        assert_eq!(unpack(&pack(&archive()).unwrap()), Ok(archive()));
    }

    #[test]
    fn no_bit_changes_and_no_byte_goes_missing_unseen() {
        let whole = pack(&archive()).unwrap();
        for at in 0..whole.len() {
            for bit in [1, 128] {
                let mut flipped = whole.clone();
                flipped[at] ^= bit;
                assert!(unpack(&flipped).is_err(), "bit {bit} of byte {at}");
            }
            assert!(unpack(&whole[..at]).is_err(), "cut at {at}");
        }
        assert!(unpack(&[&whole[..], b"x"].concat()).is_err());
    }

    #[test]
    fn a_record_too_few_is_seen_even_if_all_digests_are_right() {
        let mut archive = archive();
        archive.records.pop();
        assert_eq!(unpack(&pack(&archive).unwrap()), Err(Unsound::Damaged));
    }

    #[test]
    fn another_form_is_told_from_damage() {
        for other in [&b"watari-backup 2 0 x\n"[..], b"PK\x03\x04", b"\n"] {
            assert_eq!(unpack(other), Err(Unsound::NotOne));
        }
        assert_eq!(unpack(b""), Err(Unsound::Damaged), "it broke off at once");
    }

    #[test]
    fn the_file_is_its_owners_alone_and_an_old_one_stays() {
        use std::os::unix::fs::PermissionsExt;
        let folder = watari_testkit::TempDir::new();
        let path = folder.path().join("b");
        store(&path, b"one").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(store(&path, b"two").is_err());
        assert_eq!(load(&path).unwrap(), b"one");
    }
}
