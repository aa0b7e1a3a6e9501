//! Whatever the bytes: no panic, few reads, and a verdict. The corpus is the fuzzer's own.

use std::{io, path::Path};

use proptest::prelude::*;

use super::{
    super::{
        pieces::{Pieces, judged},
        *,
    },
    sound,
};

/// Counts what the parser reads, so that no header can make it read for long.
struct Metered<'a, S: ?Sized>(&'a S, std::cell::Cell<usize>);

impl<S: Source + ?Sized> Source for Metered<'_, S> {
    fn read_from(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.1.set(self.1.get() + buffer.len());
        self.0.read_from(offset, buffer)
    }
}

fn survives(source: &(impl Source + ?Sized), claimed: u64) -> Result<(), TestCaseError> {
    let metered = Metered(source, std::cell::Cell::new(0));
    if let Ok(found) = inspect(&metered, claimed, 1 << 40) {
        prop_assert!(found.virtual_size_bytes > 0 && found.virtual_size_bytes <= 1 << 40);
    }
    prop_assert!(metered.1.get() <= HEAD + ELSEWHERE);
    Ok(())
}

/// The fuzzer's corpus: each file's name and bytes.
fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/header");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
        .collect()
}

#[test]
fn the_corpus_holds_every_format_and_each_is_judged_as_its_name_says() {
    let corpus = corpus();
    for kind in [Kind::Qcow2, Kind::Raw, Kind::Vmdk, Kind::Vhdx, Kind::Vdi] {
        assert!(corpus.iter().any(|(name, _)| name.starts_with(&format!("sound-{}", kind.driver()))), "{kind:?}");
    }
    for (name, bytes) in corpus {
        let judged = judged(&bytes);
        assert_eq!(judged.is_ok(), name.starts_with("sound-"), "{name}: {judged:?}");
        assert!(judged.is_err() || name.contains(judged.unwrap().kind.driver()), "{name}");
    }
}

/// The fuzzer is no part of the workspace, since it wants another toolchain: what it is built from is looked at here.
#[test]
fn the_fuzzer_does_what_the_tests_do_and_needs_nothing_but_this_module_and_the_model() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = std::fs::read_to_string(package.join("fuzz/fuzz_targets/header.rs")).unwrap();
    assert!(
        target.contains("\"../../src/header/mod.rs\"") && target.contains("header::pieces::judged(bytes)"),
        "{target}"
    );
    for entry in std::fs::read_dir(package.join("src/header")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() || path.ends_with("tests.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let own = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for line in own.lines().map(str::trim_start).filter(|line| !line.starts_with("//")) {
            let from = line.strip_prefix("pub ").unwrap_or(line).strip_prefix("use ");
            let near = from.is_none_or(|from| {
                ["std::", "super::", "packing::", "watari_model::"].iter().any(|own| from.starts_with(own))
            });
            assert!(near && !line.contains("crate::"), "{}: {line}", path.display());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn no_mutation_of_the_corpus_makes_the_parser_panic_or_read_much(
        choice in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        static CORPUS: std::sync::OnceLock<Vec<(String, Vec<u8>)>> = std::sync::OnceLock::new();
        let mut bytes = choice.get(CORPUS.get_or_init(corpus)).1.clone();
        for (place, byte) in changes {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let file = Pieces::parse(&bytes);
        survives(&file, file.size)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_parser_panic_or_read_much(bytes in prop::collection::vec(any::<u8>(), 0..4096), claimed in any::<u64>()) {
        survives(&bytes[..], claimed)?;
    }

    #[test]
    fn nor_do_bytes_behind_the_magic(version in 2_u32..4, bytes in prop::collection::vec(any::<u8>(), 0..1024), claimed in any::<u64>()) {
        let mut file = QCOW2.to_vec();
        file.extend(version.to_be_bytes());
        file.extend(bytes);
        survives(&file[..], claimed)?;
    }

    #[test]
    fn nor_does_a_sound_header_with_some_bytes_changed(changes in prop::collection::vec((0_usize..200, any::<u8>()), 1..6)) {
        static SOUND: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let mut file = SOUND.get_or_init(sound).clone();
        for (offset, byte) in changes {
            file[offset] = byte;
        }
        survives(&file[..], file.len() as u64)?;
    }
}
