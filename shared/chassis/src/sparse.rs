//! Where files have holes: zeros that no disk keeps need not be sent either.

use std::{fs::File, io};

use rustix::{fs::SeekFrom, io::Errno};
use serde::{Deserialize, Serialize};

/// Holes shorter than this are passed over: another request would cost more than the zeros.
pub const MIN_HOLE: u64 = 1 << 20;

/// A stretch of a file that holds data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// Where it begins.
    pub offset: u64,
    /// How long it is, in bytes.
    pub length: u64,
}

impl Extent {
    /// Where it ends.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.offset.saturating_add(self.length)
    }
}

/// The stretches of a file of `size` bytes that hold data. A file system that cannot tell gives
/// the whole file.
///
/// # Errors
/// Those of the file.
pub fn extents(file: &File, size: u64) -> io::Result<Vec<Extent>> {
    let mut found: Vec<Extent> = Vec::new();
    let mut at = 0;
    while at < size {
        let begin = match rustix::fs::seek(file, SeekFrom::Data(at)) {
            Ok(begin) if begin < size => begin,
            // There is no more, or the file has grown since it was measured.
            Ok(_) | Err(Errno::NXIO) => break,
            Err(Errno::INVAL | Errno::NOTSUP) => return Ok(vec![Extent { offset: 0, length: size }]),
            Err(error) => return Err(error.into()),
        };
        let end = rustix::fs::seek(file, SeekFrom::Hole(begin))?.min(size);
        match found.last_mut() {
            Some(last) if begin - last.end() < MIN_HOLE => last.length = end - last.offset,
            _ => found.push(Extent { offset: begin, length: end - begin }),
        }
        at = end;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use watari_testkit::TempDir;

    use super::*;

    #[test]
    fn a_file_is_its_data_without_the_holes_that_are_worth_a_request() {
        let dir = TempDir::new();
        let file = File::create_new(dir.path().join("f")).unwrap();
        let of = |mib: u64| extents(&file, mib << 20).unwrap();
        let write = |offset: u64| file.write_all_at(&[1; 64 << 10], offset).unwrap();
        let extent = |offset: u64, end: u64| Extent { offset, length: end - offset };
        file.set_len(16 << 20).unwrap();
        assert!(of(16).is_empty());
        write(0);
        write(4 << 20);
        let [begun, last] = [extent(0, 64 << 10), extent(4 << 20, (4 << 20) + (64 << 10))];
        assert_eq!(of(16), [begun, last]);
        write(1 << 20);
        assert_eq!(of(16), [extent(0, (1 << 20) + (64 << 10)), last], "this hole is shorter than 1 MiB");
        assert_eq!(of(3), of(16)[..1], "what has come since the file was measured is left out");
        assert!(of(0).is_empty());
    }
}
