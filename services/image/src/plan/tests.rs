mod vault;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use time::OffsetDateTime;
use watari_model::{
    Refusal, SiteName, Timestamp,
    image::{Announced, Format, Image, State, Stored},
};

use super::{copies, imports, *};
use crate::store::{Trust, UploadId};

fn at(ms: u64) -> Timestamp {
    Timestamp(OffsetDateTime::UNIX_EPOCH).plus_millis(ms)
}

fn sha(n: u8) -> Digest {
    crate::digest::of(&[n])
}

fn site() -> SiteName {
    "yamate".parse().unwrap()
}

fn image(name: &str, state: State, file: u8, copied_to: &[&str]) -> Image {
    let known = !matches!(state, State::Importing | State::Verifying | State::Failed);
    let stored = Stored { sha256: sha(file).to_string(), format: Format::Raw, size_bytes: 10, virtual_size_bytes: 512 };
    Image {
        v: 1,
        name: name.parse().unwrap(),
        state,
        about: Default::default(),
        announced: Some(Announced { size_bytes: Some(10), ..Announced::default() }),
        asked_by: None,
        saved_from: None,
        stored: known.then_some(stored),
        copies: copied_to.iter().map(|s| (s.parse().unwrap(), at(0))).collect(),
        kept: BTreeMap::new(),
        fault: (state == State::Failed).then(|| Refusal::ImageUnknown { image: name.to_owned() }),
        request_id: "r".to_owned(),
        created_at: at(0),
        changed_at: at(0),
    }
}

/// What an instance at Yamate does.
fn copying(images: &[Image], held: &[(u8, Trust)], used: &Used, busy: &[u8]) -> Vec<copies::Action> {
    let images: Vec<&Image> = images.iter().collect();
    let held = held.iter().map(|(n, trust)| (sha(*n), *trust)).collect();
    let busy = busy.iter().map(|n| sha(*n)).collect();
    copies::decide(&copies::Seen { site: &site(), images: &images, used, held: &held, busy: &busy, vault: None })
}

fn report(name: &str, file: u8, held: bool) -> copies::Action {
    copies::Action::Report { image: name.parse().unwrap(), digest: sha(file), held }
}

fn nothing_used() -> Used {
    Some(BTreeSet::new())
}

#[test]
fn a_ready_image_is_fetched_once_and_then_reported() {
    let ready = [image("a", State::Ready, 1, &["myodaiji"])];
    let fetch = copies::Action::Fetch { digest: sha(1), size_bytes: 10 };
    assert_eq!(copying(&ready, &[], &None, &[]), [fetch]);
    assert_eq!(copying(&ready, &[], &None, &[1]), []);
    assert_eq!(copying(&ready, &[(1, Trust::Checked)], &None, &[]), [report("a", 1, true)]);
    let both = [image("a", State::Ready, 1, &["myodaiji", "yamate"])];
    assert_eq!(copying(&both, &[(1, Trust::Checked)], &None, &[]), []);
}

#[test]
fn a_copy_that_is_lost_is_reported_and_fetched_again_and_an_unknown_one_is_checked_first() {
    let both = [image("a", State::Ready, 1, &["yamate"])];
    let fetch = copies::Action::Fetch { digest: sha(1), size_bytes: 10 };
    assert_eq!(copying(&both, &[], &None, &[]), [report("a", 1, false), fetch]);
    assert_eq!(copying(&both, &[(1, Trust::Unknown)], &None, &[]), [copies::Action::Check(sha(1))]);
    assert_eq!(copying(&both, &[(1, Trust::Stamped)], &None, &[]), [copies::Action::Check(sha(1))]);
    assert_eq!(copying(&both, &[(1, Trust::Stamped)], &None, &[1]), []);
}

#[test]
fn two_images_with_one_file_fetch_it_once_and_keep_it_until_both_are_deleted() {
    let pair = |a, b| [image("a", a, 1, &["yamate"]), image("b", b, 1, &["yamate"])];
    let fetched = copying(&[image("a", State::Ready, 1, &[]), image("b", State::Ready, 1, &[])], &[], &None, &[]);
    assert_eq!(fetched.len(), 1);
    let held = [(1, Trust::Checked)];
    assert_eq!(copying(&pair(State::Deleting, State::Ready), &held, &nothing_used(), &[]), [report("a", 1, false)]);
    let removed = copying(&pair(State::Deleting, State::Deleting), &held, &nothing_used(), &[]);
    assert_eq!(removed, [copies::Action::Remove(sha(1))]);
    let told = copying(&pair(State::Deleting, State::Deleting), &[], &nothing_used(), &[]);
    assert_eq!(told, [report("a", 1, false), report("b", 1, false)]);
}

#[test]
fn nothing_is_removed_that_a_server_stands_on_or_while_nobody_knows() {
    let going = [image("a", State::Deleting, 1, &["yamate"])];
    let held = [(1, Trust::Checked)];
    assert_eq!(copying(&going, &held, &Some(BTreeSet::from([sha(1)])), &[]), []);
    assert_eq!(copying(&going, &held, &None, &[]), []);
}

#[test]
fn a_missing_document_never_removes_a_file() {
    assert_eq!(copying(&[], &[(1, Trust::Checked), (2, Trust::Unknown)], &nothing_used(), &[]), []);
}

fn importing(images: &[Image], uploads: &[(&str, u64, u64)], now: u64, used: &Used) -> (Vec<imports::Action>, usize) {
    let images: Vec<&Image> = images.iter().collect();
    let uploads: BTreeMap<_, _> = uploads
        .iter()
        .map(|(name, length, touched)| {
            (UploadId::of(&name.parse().unwrap(), "r"), imports::Upload { length: *length, touched: at(*touched) })
        })
        .collect();
    let seen = imports::Seen {
        images: &images,
        uploads: &uploads,
        used,
        now: at(now),
        import_patience_ms: 1000,
        delete_patience_ms: 5000,
    };
    (imports::decide(&seen), imports::discard(&seen).len())
}

#[test]
fn an_import_goes_its_way_and_is_given_up_when_nothing_comes() {
    let name = || "a".parse().unwrap();
    let arriving = [image("a", State::Importing, 1, &[])];
    assert_eq!(importing(&arriving, &[("a", 5, 0)], 999, &None).0, []);
    let arrived = imports::Action::Arrive(name(), UploadId::of(&name(), "r"), 10);
    assert_eq!(importing(&arriving, &[("a", 10, 0)], 0, &None).0, [arrived]);
    assert_eq!(importing(&arriving, &[("a", 5, 900)], 1500, &None).0, []);
    let given_up = importing(&arriving, &[("a", 5, 900)], 61_900, &None).0;
    let abandoned = Refusal::ImportAbandoned { image: "a".to_owned(), minutes: "1".to_owned() };
    assert_eq!(given_up, [imports::Action::Refuse(name(), abandoned)]);
    let there = [image("a", State::Verifying, 1, &[])];
    assert_eq!(importing(&there, &[("a", 10, 0)], 9999, &None).0, [imports::Action::Verify(name())]);
    assert_eq!(importing(&there, &[], 999, &None).0, []);
    assert!(matches!(importing(&there, &[], 1000, &None).0[..], [imports::Action::Refuse(..)]));
}

#[test]
fn an_image_is_forgotten_when_its_last_copy_is_gone_or_after_long_patience() {
    let forget = [imports::Action::Forget("a".parse().unwrap())];
    let used = nothing_used();
    assert_eq!(importing(&[image("a", State::Deleting, 1, &["yamate"])], &[], 0, &used).0, []);
    assert_eq!(importing(&[image("a", State::Deleting, 1, &["yamate"])], &[], 5000, &used).0, forget);
    assert_eq!(importing(&[image("a", State::Deleting, 1, &[])], &[], 0, &used).0, forget);
    assert_eq!(importing(&[image("a", State::Deleting, 1, &[])], &[], 0, &None).0, []);
    assert_eq!(importing(&[image("a", State::Deleting, 1, &[])], &[], 0, &Some(BTreeSet::from([sha(1)]))).0, []);
}

#[test]
fn what_an_import_leaves_behind_goes_and_what_has_no_document_goes_late() {
    for state in [State::Failed, State::Ready, State::Deleting] {
        assert_eq!(importing(&[image("a", state, 1, &[])], &[("a", 10, 0)], 0, &None).1, 1, "{state:?}");
    }
    for state in [State::Importing, State::Verifying] {
        assert_eq!(importing(&[image("a", state, 1, &[])], &[("a", 10, 0)], 9999, &None).1, 0, "{state:?}");
    }
    assert_eq!(importing(&[], &[("a", 10, 0)], 999, &None).1, 0);
    assert_eq!(importing(&[], &[("a", 10, 0)], 1000, &None).1, 1);
}

fn states() -> impl Strategy<Value = State> {
    prop_oneof![
        Just(State::Importing),
        Just(State::Verifying),
        Just(State::Ready),
        Just(State::Failed),
        Just(State::Deleting)
    ]
}

proptest! {
    #[test]
    fn no_file_of_a_ready_image_or_a_server_is_ever_removed(
        shapes in prop::collection::vec((states(), 0_u8..3, any::<bool>()), 0..5),
        used in prop::collection::btree_set(0_u8..3, 0..3),
    ) {
        let images: Vec<Image> = shapes.iter().enumerate()
            .map(|(n, (state, file, told))| image(&format!("i{n}"), *state, *file, if *told { &["yamate"] } else { &[] }))
            .collect();
        let used: BTreeSet<Digest> = used.into_iter().map(sha).collect();
        let held = [(0, Trust::Checked), (1, Trust::Stamped), (2, Trust::Unknown)];
        for action in copying(&images, &held, &Some(used.clone()), &[]) {
            if let copies::Action::Remove(digest) = action {
                prop_assert!(!used.contains(&digest));
                prop_assert!(!images.iter().any(|i| i.state == State::Ready && digest_of(i).as_ref() == Some(&digest)));
                prop_assert!(images.iter().any(|i| i.state == State::Deleting && digest_of(i).as_ref() == Some(&digest)));
            }
        }
    }
}
