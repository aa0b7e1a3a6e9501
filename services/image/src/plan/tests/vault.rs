//! What is kept in an object store, and what goes from the disk because of it.

use watari_model::image::{Kept, ObjectStore};

use super::*;
use copies::{Action, Vault};

fn store(campus: Option<&str>) -> ObjectStore {
    ObjectStore { url: "s3://images".to_owned(), campus: campus.map(|site| site.parse().unwrap()) }
}

/// A ready image that these sites say they keep in a store.
fn kept(name: &str, file: u8, sites: &[&str], store: &ObjectStore) -> Image {
    let mut image = image(name, State::Ready, file, &["yamate"]);
    image.kept = sites.iter().map(|s| (s.parse().unwrap(), Kept { store: store.clone(), at: at(0) })).collect();
    image
}

/// What an instance at Yamate does that has these files of ten bytes, the first of them unused for the longest time, and
/// a store with these objects.
struct Scene {
    store: ObjectStore,
    images: Vec<Image>,
    held: Vec<u8>,
    objects: Option<Vec<u8>>,
    most_bytes: Option<u64>,
    used: Used,
    busy: Vec<u8>,
}

impl Scene {
    fn new(images: Vec<Image>, held: &[u8], objects: &[u8]) -> Self {
        let (held, objects) = (held.to_vec(), Some(objects.to_vec()));
        Self { store: store(None), images, held, objects, most_bytes: None, used: nothing_used(), busy: Vec::new() }
    }

    fn decided(&self) -> Vec<Action> {
        let images: Vec<&Image> = self.images.iter().collect();
        let held = self.held.iter().map(|n| (sha(*n), Trust::Checked)).collect();
        let busy = self.busy.iter().map(|n| sha(*n)).collect();
        let objects = self.objects.as_ref().map(|all| all.iter().map(|n| (sha(*n), 10)).collect::<BTreeMap<_, _>>());
        let by_last_use: Vec<_> = self.held.iter().map(|n| (sha(*n), 10)).collect();
        let vault = Vault {
            store: &self.store,
            objects: objects.as_ref(),
            most_bytes: self.most_bytes,
            by_last_use: &by_last_use,
        };
        let site = site();
        let vault = Some(vault);
        copies::decide(&copies::Seen {
            site: &site,
            images: &images,
            used: &self.used,
            held: &held,
            busy: &busy,
            vault,
        })
    }
}

fn told(name: &str, file: u8, kept: bool) -> Action {
    Action::ReportKept { image: name.parse().unwrap(), digest: sha(file), store: store(None), kept }
}

fn evicted(file: u8) -> Action {
    Action::Evict { digest: sha(file), size_bytes: 10 }
}

#[test]
fn a_ready_image_is_kept_for_good_and_that_is_said_once() {
    let ready = || vec![image("a", State::Ready, 1, &["yamate"])];
    assert_eq!(Scene::new(ready(), &[1], &[]).decided(), [Action::Keep(sha(1))]);
    assert_eq!(Scene { busy: vec![1], ..Scene::new(ready(), &[1], &[]) }.decided(), []);
    assert_eq!(Scene::new(ready(), &[1], &[1]).decided(), [told("a", 1, true)]);
    assert_eq!(Scene::new(vec![kept("a", 1, &["yamate"], &store(None))], &[1], &[1]).decided(), []);
}

#[test]
fn an_object_that_is_lost_is_told_and_written_again() {
    let lost = Scene::new(vec![kept("a", 1, &["yamate"], &store(None))], &[1], &[]);
    assert_eq!(lost.decided(), [told("a", 1, false), Action::Keep(sha(1))]);
}

#[test]
fn nothing_is_concluded_from_a_store_that_is_away() {
    let images = || vec![kept("a", 1, &["yamate"], &store(None)), image("b", State::Ready, 2, &["yamate"])];
    let away = Scene { objects: None, most_bytes: Some(5), ..Scene::new(images(), &[1, 2], &[]) };
    assert_eq!(away.decided(), [], "neither told, nor sent, nor removed from the disk");
    let mut gone = images();
    gone[0].copies.clear();
    let away = Scene { objects: None, most_bytes: Some(15), ..Scene::new(gone, &[2], &[]) };
    assert_eq!(away.decided(), [], "what went for room does not come back for that");
}

#[test]
fn what_is_in_the_store_alone_comes_back_when_a_server_stands_on_it_or_there_is_room() {
    let there = || {
        let mut image = kept("a", 1, &["yamate"], &store(None));
        image.copies.clear();
        vec![image, kept("b", 2, &["yamate"], &store(None))]
    };
    let fetch = [Action::Fetch { digest: sha(1), size_bytes: 10 }];
    let full = || Scene { most_bytes: Some(19), ..Scene::new(there(), &[2], &[1, 2]) };
    assert_eq!(full().decided(), []);
    assert_eq!(Scene { used: Some(BTreeSet::from([sha(1)])), ..full() }.decided(), fetch);
    assert_eq!(Scene { used: None, ..full() }.decided(), fetch, "nobody knows who uses it");
    assert_eq!(Scene { most_bytes: Some(20), ..full() }.decided(), fetch);
    assert_eq!(Scene { most_bytes: None, ..full() }.decided(), fetch);

    // Another site has put it there, and nobody here has looked since.
    let mut theirs = full();
    theirs.images[0].kept = kept("a", 1, &["myodaiji"], &store(None)).kept;
    theirs.objects = Some(vec![2]);
    assert_eq!(theirs.decided(), []);
}

#[test]
fn the_least_recently_used_go_for_room_and_none_that_is_in_use_or_not_safe_elsewhere() {
    let all = || (1..=4).map(|n| kept(&format!("i{n}"), n, &["yamate"], &store(None))).collect::<Vec<_>>();
    let short = || Scene { most_bytes: Some(25), ..Scene::new(all(), &[3, 1, 2, 4], &[1, 2, 3, 4]) };
    let gone = |scene: &Scene| scene.decided().into_iter().collect::<BTreeSet<_>>();
    assert_eq!(gone(&short()), BTreeSet::from([evicted(3), evicted(1)]), "40 bytes where 25 may be");
    let used = Scene { used: Some(BTreeSet::from([sha(3), sha(1), sha(2)])), ..short() };
    assert_eq!(used.decided(), [evicted(4)], "three are in use, however full it is");
    assert_eq!(Scene { used: None, ..short() }.decided(), []);
    let lost = Scene { objects: Some(vec![2, 4]), ..short() }.decided();
    let lost: BTreeSet<_> = lost.into_iter().filter(is_eviction).collect();
    assert_eq!(lost, BTreeSet::from([evicted(2), evicted(4)]), "the store has lost the others");
    let mut untold = short();
    untold.images.iter_mut().for_each(|image| image.kept.clear());
    assert!(!untold.decided().iter().any(is_eviction), "first the documents say where it is");
    // A store at the other campus is dark when that one is.
    let other = store(Some("myodaiji"));
    let images = (1..=4).map(|n| kept(&format!("i{n}"), n, &["yamate"], &other)).collect();
    assert_eq!(Scene { store: other, images, ..short() }.decided(), []);
}

fn is_eviction(action: &Action) -> bool {
    matches!(action, Action::Evict { .. })
}

#[test]
fn of_sites_that_share_a_store_the_last_removes_the_object() {
    let going = |sites: &[&str]| {
        let mut image = kept("a", 1, sites, &store(None));
        image.state = State::Deleting;
        image.copies.clear();
        vec![image]
    };
    assert_eq!(Scene::new(going(&["yamate"]), &[], &[1]).decided(), [Action::Drop(sha(1))]);
    assert_eq!(Scene::new(going(&["yamate"]), &[], &[]).decided(), [told("a", 1, false)]);
    let shared = going(&["myodaiji", "yamate"]);
    assert_eq!(Scene::new(shared, &[], &[1]).decided(), [told("a", 1, false)], "Myodaiji is the first by name");
    let shared = going(&["yamate", "zao"]);
    assert_eq!(Scene::new(shared, &[], &[1]).decided(), [], "Zao is waited for");
    assert_eq!(Scene::new(going(&[]), &[], &[1]).decided(), [Action::Drop(sha(1))], "before anybody has said so");
    let away = Scene { objects: None, ..Scene::new(going(&["yamate"]), &[], &[]) };
    assert_eq!(away.decided(), []);
}

#[test]
fn no_object_goes_that_another_image_or_a_server_needs() {
    let mut going = kept("a", 1, &["yamate"], &store(None));
    going.state = State::Deleting;
    let used = Scene { used: Some(BTreeSet::from([sha(1)])), ..Scene::new(vec![going.clone()], &[1], &[1]) };
    assert_eq!(used.decided(), []);
    assert_eq!(Scene { used: None, ..used }.decided(), []);
    let beside = Scene::new(vec![going, kept("b", 1, &["yamate"], &store(None))], &[1], &[1]);
    assert_eq!(beside.decided(), [report("a", 1, false), told("a", 1, false)]);
}

#[test]
fn a_site_whose_settings_name_no_store_any_more_says_so() {
    let images = [kept("a", 1, &["yamate"], &store(None))];
    assert_eq!(copying(&images, &[(1, Trust::Checked)], &nothing_used(), &[]), [told("a", 1, false)]);
}

proptest! {
    #[test]
    fn no_eviction_or_drop_leaves_a_ready_image_or_a_server_without_its_file(
        files in prop::collection::vec((states(), 0_u8..4, any::<bool>()), 0..6),
        held in prop::collection::btree_set(0_u8..4, 0..4),
        objects in prop::collection::btree_set(0_u8..4, 0..4),
        used in prop::collection::btree_set(0_u8..4, 0..4),
        most_bytes in prop::option::of(0_u64..40),
    ) {
        let images: Vec<Image> = files.iter().enumerate().map(|(n, (state, file, told))| {
            let mut one = image(&format!("i{n}"), *state, *file, &["yamate"]);
            if *told && one.stored.is_some() {
                one.kept = BTreeMap::from([(site(), Kept { store: store(None), at: at(0) })]);
            }
            one
        }).collect();
        let ready = |digest: &Digest| images.iter().any(|i| i.state == State::Ready && digest_of(i).as_ref() == Some(digest));
        let (held, objects): (Vec<u8>, Vec<u8>) = (held.into_iter().collect(), objects.into_iter().collect());
        let used: BTreeSet<Digest> = used.into_iter().map(sha).collect();
        let used_by = Some(used.clone());
        let scene = Scene { most_bytes, used: used_by, ..Scene::new(images.clone(), &held, &objects) };
        for action in scene.decided() {
            match action {
                Action::Evict { digest, .. } => {
                    prop_assert!(!used.contains(&digest));
                    prop_assert!(objects.iter().any(|n| sha(*n) == digest));
                }
                Action::Drop(digest) => prop_assert!(!used.contains(&digest) && !ready(&digest)),
                _ => {}
            }
        }
    }
}
