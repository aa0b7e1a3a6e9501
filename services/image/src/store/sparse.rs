//! Sparse files: zeros are not written, and their digest does not read the disk.

use std::{fs::File, io, os::unix::fs::FileExt};

use tokio_util::sync::CancellationToken;
use watari_chassis::sparse::extents;

use super::Prefix;
use crate::digest::Digest;

/// The granularity of holes: what common file systems allocate.
const BLOCK: usize = 4096;
/// Digests are computed in pieces of this size.
const PIECE: usize = 1 << 20;

/// Writes `bytes` at `offset`, leaving whole blocks of zeros out. The file must read as zeros
/// there, as one that is only ever extended does; the caller sets its length.
pub(super) fn write(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    // The first piece ends at a block's border, so that holes fall on blocks.
    let lead = (BLOCK as u64 - offset % BLOCK as u64) as usize % BLOCK;
    let (first, rest) = bytes.split_at(lead.min(bytes.len()));
    let mut run_start = offset;
    let mut run: &[u8] = first;
    let mut rest = rest;
    loop {
        let (block, after) = rest.split_at(BLOCK.min(rest.len()));
        let zero = block.iter().all(|b| *b == 0);
        if !block.is_empty() && !zero {
            // Blocks are neighbours in memory as well: the run grows by taking a longer slice.
            let begin = (run_start - offset) as usize;
            run = &bytes[begin..begin + run.len() + block.len()];
        } else {
            if run.iter().any(|b| *b != 0) {
                file.write_all_at(run, run_start)?;
            }
            if block.is_empty() {
                return Ok(());
            }
            run_start += (run.len() + block.len()) as u64;
            run = &[];
        }
        rest = after;
    }
}

/// The SHA-256 of a whole file; none when it was cancelled. What is known of its beginning is not read again, unless the
/// file has another length than when that was found out. Its holes are not read: the kernel would fill its cache with
/// their zeros.
///
/// # Errors
/// Those of the file; a file that changes its size meanwhile is one.
pub fn digest(file: &File, known: Prefix, stop: &CancellationToken) -> io::Result<Option<Digest>> {
    let size = file.metadata()?.len();
    let Prefix { mut hasher, mut at, .. } = if known.length == size { known } else { Prefix::default() };
    let (zeros, mut buffer) = (vec![0; PIECE], vec![0; PIECE]);
    let mut data = extents(file, size)?.into_iter().skip_while(move |extent| extent.end() <= at).peekable();
    while at < size {
        if stop.is_cancelled() {
            return Ok(None);
        }
        // Here a hole ends, or a stretch of data.
        let (is_hole, end) = match data.peek() {
            Some(extent) if extent.offset > at => (true, extent.offset),
            Some(extent) => (false, extent.end()),
            None => (true, size),
        };
        let want = PIECE.min(usize::try_from(end - at).unwrap_or(PIECE));
        if is_hole {
            hasher.update(&zeros[..want]);
        } else {
            file.read_exact_at(&mut buffer[..want], at)?;
            hasher.update(&buffer[..want]);
        }
        at += want as u64;
        if !is_hole && at == end {
            data.next();
        }
    }
    if file.metadata()?.len() != size {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "its size has changed"));
    }
    Ok(Some(hasher.finish()))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::MetadataExt};

    use proptest::prelude::*;
    use watari_testkit::TempDir;

    use super::*;

    fn whole(file: &File) -> Digest {
        digest(file, Prefix::default(), &CancellationToken::new()).unwrap().unwrap()
    }

    #[test]
    fn zeros_take_no_room_and_are_not_sent() {
        let dir = TempDir::new();
        let path = dir.path().join("f");
        let file = fs::File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        let mut bytes = vec![0; 8 << 20];
        bytes[..3].copy_from_slice(b"abc");
        bytes[(5 << 20) + 7] = 1;
        write(&file, 0, &bytes).unwrap();
        file.set_len(bytes.len() as u64).unwrap();
        assert!(file.metadata().unwrap().blocks() * 512 <= 64 << 10);
        assert_eq!(fs::read(&path).unwrap(), bytes);
        let found = extents(&file, 8 << 20).unwrap();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.iter().map(|e| e.length).sum::<u64>() <= 64 << 10, "{found:?}");
        assert_eq!(whole(&file), crate::digest::of(&bytes));
        for known in [0, 3, 1 << 20, (5 << 20) + 7, (5 << 20) + 8, 8 << 20] {
            let mut prefix = Prefix::default();
            prefix.bytes(&bytes[..known]);
            prefix.length = bytes.len() as u64;
            let digest = digest(&file, prefix, &CancellationToken::new()).unwrap().unwrap();
            assert_eq!(digest, crate::digest::of(&bytes), "{known}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        #[test]
        fn what_is_written_in_any_pieces_reads_back(
            pieces in prop::collection::vec((any::<bool>(), 1_usize..20_000, any::<u8>()), 1..8)
        ) {
            let dir = TempDir::new();
            let path = dir.path().join("f");
            let file = fs::File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
            let mut all = Vec::new();
            for (zeros, length, byte) in pieces {
                let piece = vec![if zeros { 0 } else { byte }; length];
                write(&file, all.len() as u64, &piece).unwrap();
                all.extend(piece);
                file.set_len(all.len() as u64).unwrap();
            }
            prop_assert!(fs::read(&path).unwrap() == all);
            prop_assert_eq!(whole(&file), crate::digest::of(&all));
        }
    }
}
