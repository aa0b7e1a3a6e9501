//! What arrives, what is kept, and what is moved under a server's disk.

use sha2::{Digest, Sha256};
use watari_testkit::TempDir;

use super::*;

const UUID: &str = "4dea22b3-1d52-48f3-9d2c-0c0d8e1a7b6f";
const CONTENT: &[u8] = b"QFI\xfb a frozen layer";

fn layer(index: u32) -> Layer {
    let sha256 = Sha256::digest(CONTENT).iter().map(|byte| format!("{byte:02x}")).collect();
    Layer { index, sha256: Some(sha256), size_bytes: CONTENT.len() as u64 }
}

fn folders() -> (TempDir, Layout) {
    let folder = TempDir::new();
    let layout = Layout::new(&folder.path().join("data"), &folder.path().join("run"));
    layout.make().unwrap();
    (folder, layout)
}

/// As the courier leaves it: its first bytes are zero, and one byte more says that nothing is missing.
fn bring(layout: &Layout, content: &[u8], complete: bool) -> PathBuf {
    let part = arriving(layout, UUID, &layer(0), Kind::Part).unwrap();
    let mut bytes = content.to_vec();
    bytes[..4].fill(0);
    if complete {
        bytes.push(0);
    }
    fs::write(&part, bytes).unwrap();
    part
}

#[test]
fn a_layer_that_has_arrived_whole_is_kept_and_others_are_told() {
    let (_folder, layout) = folders();
    let stop = CancellationToken::new();
    let part = bring(&layout, CONTENT, false);
    assert!(look(&layout, &stop).unwrap().is_empty(), "it was not said to be whole");
    assert!(part.exists());
    bring(&layout, CONTENT, true);
    let whole = look(&layout, &stop).unwrap();
    assert_eq!(whole, BTreeMap::from([(UUID.to_owned(), vec![layer(0)])]));
    assert_eq!(fs::read(kept(&layout, UUID, &layer(0)).unwrap()).unwrap(), CONTENT);
    assert!(!part.exists() && arriving(&layout, UUID, &layer(0), Kind::Proof).unwrap().exists());
    assert_eq!(look(&layout, &stop).unwrap(), whole, "it stays");
}

#[test]
fn a_layer_that_is_not_what_it_should_be_is_thrown_away() {
    let (_folder, layout) = folders();
    let part = bring(&layout, b"QFI\xfb a frozen liar!", true);
    assert!(look(&layout, &CancellationToken::new()).unwrap().is_empty());
    assert!(!part.exists() && !has(&layout, UUID, &layer(0)));
}

#[test]
fn a_layer_goes_under_its_servers_disk_and_back_and_nobody_is_told_of_what_is_not_there() {
    let (_folder, layout) = folders();
    let stop = CancellationToken::new();
    bring(&layout, CONTENT, true);
    look(&layout, &stop).unwrap();
    bring_in(&layout, UUID, &layer(0)).unwrap();
    assert_eq!(fs::read(layout.layer(UUID, 0)).unwrap(), CONTENT);
    assert!(!has(&layout, UUID, &layer(0)));
    assert!(look(&layout, &stop).unwrap().is_empty());
    assert!(!arriving(&layout, UUID, &layer(0), Kind::Proof).unwrap().exists());

    stow(&layout, UUID, &[layer(0)]).unwrap();
    stow(&layout, UUID, &[layer(0)]).unwrap();
    assert!(has(&layout, UUID, &layer(0)) && !layout.layer(UUID, 0).exists());
    look(&layout, &stop).unwrap();
    // A proof of what somebody took away says nothing.
    fs::remove_file(kept(&layout, UUID, &layer(0)).unwrap()).unwrap();
    look(&layout, &stop).unwrap();
    assert!(!arriving(&layout, UUID, &layer(0), Kind::Proof).unwrap().exists());
}

#[test]
fn what_was_kept_of_a_server_is_forgotten_and_nothing_of_another() {
    let (_folder, layout) = folders();
    let other = "0c5a1a86-51b5-4a3f-9c35-b2f6c1b5a0de";
    bring(&layout, CONTENT, true);
    look(&layout, &CancellationToken::new()).unwrap();
    bring(&layout, CONTENT, false);
    fs::write(kept(&layout, other, &layer(1)).unwrap(), CONTENT).unwrap();
    forget(&layout, UUID).unwrap();
    let left = look(&layout, &CancellationToken::new()).unwrap();
    assert_eq!(left.keys().collect::<Vec<_>>(), [other]);
    assert!(!has(&layout, UUID, &layer(0)));
}

#[test]
fn layers_that_are_of_no_use_go_with_their_proofs_and_those_named_stay() {
    let (_folder, layout) = folders();
    let stop = CancellationToken::new();
    for index in [0, 1, 5] {
        fs::write(kept(&layout, UUID, &layer(index)).unwrap(), CONTENT).unwrap();
    }
    look(&layout, &stop).unwrap();
    let part = arriving(&layout, UUID, &layer(7), Kind::Part).unwrap();
    fs::write(&part, CONTENT).unwrap();
    keep_only(&layout, UUID, &[layer(0), layer(5)]).unwrap();
    assert_eq!(look(&layout, &stop).unwrap(), BTreeMap::from([(UUID.to_owned(), vec![layer(0), layer(5)])]));
    assert!(!part.exists() && !arriving(&layout, UUID, &layer(1), Kind::Proof).unwrap().exists());
}

#[test]
fn layers_of_a_disk_here_are_deleted_and_deleting_them_again_is_nothing() {
    let (_folder, layout) = folders();
    for index in 0..3 {
        fs::write(layout.layer(UUID, index), CONTENT).unwrap();
    }
    delete(&layout, UUID, &[0, 2]).unwrap();
    delete(&layout, UUID, &[0, 2]).unwrap();
    assert!(!layout.layer(UUID, 0).exists() && layout.layer(UUID, 1).exists() && !layout.layer(UUID, 2).exists());
}

#[test]
fn a_layer_whose_digest_nobody_knows_is_of_no_use_to_anybody() {
    let (_folder, layout) = folders();
    fs::write(layout.layer(UUID, 2), CONTENT).unwrap();
    stow(&layout, UUID, &[Layer { sha256: None, ..layer(2) }]).unwrap();
    assert!(!layout.layer(UUID, 2).exists());
    assert!(look(&layout, &CancellationToken::new()).unwrap().is_empty());
}
