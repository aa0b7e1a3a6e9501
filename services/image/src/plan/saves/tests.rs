use time::OffsetDateTime;
use watari_model::image::{Announced, Consistency, Taken};

use super::*;

const UUID: &str = "7b1d4c2e-9a53-4c36-8f0e-2d6a1f0b9c41";
const PATIENCE_MS: u64 = 600_000;

fn at(ms: u64) -> Timestamp {
    Timestamp(OffsetDateTime::UNIX_EPOCH).plus_millis(ms)
}

fn copying(node: &str, generation: u64) -> Copying {
    Copying { node: node.parse().unwrap(), generation }
}

fn image(saved: Saved) -> Image {
    Image {
        v: 1,
        name: "kept".parse().unwrap(),
        state: State::Importing,
        about: Default::default(),
        announced: Some(Announced::default()),
        asked_by: None,
        saved_from: Some(saved),
        stored: None,
        copies: BTreeMap::new(),
        kept: BTreeMap::new(),
        fault: None,
        request_id: "r".to_owned(),
        created_at: at(0),
        changed_at: at(0),
    }
}

fn saved(tries: u32, copying: Option<Copying>) -> Saved {
    Saved { tries, copying, ..Saved::new("mail".parse().unwrap(), UUID.to_owned(), at(0)) }
}

fn vm(state: &str, node: &str, generation: u64) -> Vm {
    serde_json::from_value(serde_json::json!({
        "v": 1, "name": "mail", "uuid": UUID, "desired": "running", "home_site": "myodaiji", "state": state,
        "grant": {"node": node, "generation": generation}, "crossing": null, "fault": null,
        "created_at": "2026-01-01T00:00:00Z", "changed_at": "2026-01-01T00:00:00Z",
        "spec": {"vcpus": 1, "memory_mib": 64, "disk_gib": 1, "nics": [],
                 "base": {"image": "mini", "sha256": "0".repeat(64), "format": "qcow2"}},
    }))
    .unwrap()
}

fn decided(image: &Image, vm: Option<&Vm>, now: u64) -> Vec<Action> {
    let servers = vm.into_iter().map(|vm| (vm.name.clone(), vm)).collect();
    let (images, uploads) = ([image], BTreeMap::new());
    decide(&Seen { images: &images, servers: &servers, uploads: &uploads, now: at(now), patience_ms: PATIENCE_MS })
}

fn name() -> ImageName {
    "kept".parse().unwrap()
}

fn begins(node: &str, generation: u64) -> Vec<Action> {
    vec![Action::Begin(name(), copying(node, generation))]
}

fn code(actions: &[Action]) -> &'static str {
    match actions {
        [Action::Refuse(_, refusal)] => refusal.code(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_server_that_rests_is_copied_where_it_is_and_one_that_does_not_is_waited_for() {
    let waits = image(saved(0, None));
    for state in ["running", "stopped", "failed"] {
        assert_eq!(decided(&waits, Some(&vm(state, "m1", 3)), 0), begins("m1", 3), "{state}");
    }
    for state in ["starting", "stopping", "migrating"] {
        assert_eq!(decided(&waits, Some(&vm(state, "m1", 3)), PATIENCE_MS - 1), [], "{state}");
        assert_eq!(code(&decided(&waits, Some(&vm(state, "m1", 3)), PATIENCE_MS)), "image.save-failed", "{state}");
    }
    let refused = decided(&waits, Some(&vm("stopping", "m1", 3)), PATIENCE_MS);
    let [Action::Refuse(_, told)] = refused.as_slice() else { panic!("{refused:?}") };
    assert!(told.japanese().cause.contains("「停止処理中」のまま"), "{told}");
}

#[test]
fn a_copy_that_was_lost_is_made_anew_after_a_pause_and_from_where_the_server_is_by_then() {
    let again = image(saved(2, None));
    let elsewhere = vm("running", "y1", 4);
    assert_eq!(decided(&again, Some(&elsewhere), 3_999), []);
    assert_eq!(decided(&again, Some(&elsewhere), 4_000), begins("y1", 4));
    let often = image(saved(40, None));
    assert_eq!(decided(&often, Some(&elsewhere), MOST_PAUSE_MS), begins("y1", 4));
}

#[test]
fn the_node_is_asked_whatever_the_server_does_meanwhile() {
    let under_way = image(saved(1, Some(copying("m1", 3))));
    for state in ["running", "migrating", "stopping"] {
        assert_eq!(decided(&under_way, Some(&vm(state, "m1", 3)), 5 * PATIENCE_MS), [Action::Ask(name())], "{state}");
    }
}

#[test]
fn a_server_that_is_deleted_takes_its_image_along_unless_its_copy_is_whole() {
    let under_way = image(saved(1, Some(copying("m1", 3))));
    assert_eq!(code(&decided(&under_way, None, 0)), "image.server-gone");
    assert_eq!(code(&decided(&under_way, Some(&vm("deleting", "m1", 3)), 0)), "image.server-gone");
    let namesake = Vm { uuid: "another".to_owned(), ..vm("running", "m1", 1) };
    assert_eq!(code(&decided(&under_way, Some(&namesake), 0)), "image.server-gone");

    let taken = Taken { at: at(0), consistency: Consistency::Crash };
    let whole = image(Saved { taken: Some(taken), ..saved(1, Some(copying("m1", 3))) });
    assert_eq!(decided(&whole, None, PATIENCE_MS - 1), [Action::Ask(name())]);
    assert_eq!(code(&decided(&whole, None, PATIENCE_MS)), "image.save-failed", "nothing of it arrives");
}

fn copy(sha256: &str, server: Server) -> DiskCopy {
    let taken = Taken { at: at(5), consistency: Consistency::Filesystem };
    DiskCopy { size_bytes: 7, sha256: sha256.to_owned(), taken, server }
}

fn judged(saved: &Saved, vm: Option<&Vm>, stage: &Stage) -> Verdict {
    judge(&image(saved.clone()), saved, vm, stage, 3)
}

#[test]
fn a_copy_of_a_running_server_is_taken_and_one_of_a_stopped_server_only_while_its_grant_stands() {
    let under_way = saved(1, Some(copying("m1", 3)));
    let (ran, off) = (copy("a", Server::Running), copy("a", Server::Stopped));
    let (here, elsewhere) = (vm("stopped", "m1", 3), vm("running", "y1", 4));
    assert_eq!(judged(&under_way, Some(&elsewhere), &Stage::Whole(ran.clone())), Verdict::Take(ran));
    assert_eq!(judged(&under_way, Some(&here), &Stage::Whole(off.clone())), Verdict::Take(off.clone()));
    assert!(matches!(judged(&under_way, Some(&elsewhere), &Stage::Whole(off.clone())), Verdict::Lost(_)));
    assert!(matches!(judged(&under_way, None, &Stage::Whole(off)), Verdict::Lost(_)));
}

#[test]
fn the_file_of_another_copy_is_never_taken_for_the_one_that_was_announced() {
    let taken = Some(Taken { at: at(0), consistency: Consistency::Crash });
    let whole = Saved { taken, ..saved(1, Some(copying("m1", 3))) };
    let mut image = image(whole.clone());
    image.announced = Some(Announced { size_bytes: Some(7), sha256: Some("a".to_owned()), url: None });
    let answers = |sha256| judge(&image, &whole, None, &Stage::Whole(copy(sha256, Server::Running)), 3);
    assert_eq!(answers("a"), Verdict::Goes);
    assert!(matches!(answers("b"), Verdict::Lost(_)));
}

#[test]
fn what_may_pass_is_tried_again_so_many_times_and_what_stays_is_not() {
    let refusal = |text: &str| Refusal::Hypervisor { node: "m1".to_owned(), detail: text.to_owned() };
    let passes = Stage::Failed(refusal("the line broke"));
    let under_way = |tries| saved(tries, Some(copying("m1", 3)));
    assert_eq!(judged(&under_way(1), None, &passes), Verdict::Lost(refusal("the line broke")));
    let Verdict::GiveUp(told) = judged(&under_way(3), None, &passes) else { panic!("it is tried for ever") };
    assert!(told.english().cause.contains("the line broke") && told.japanese().cause.contains("3 回"), "{told}");
    let stays = Stage::Failed(Refusal::VmUnknown { vm: "mail".to_owned() });
    assert!(matches!(judged(&under_way(1), None, &stays), Verdict::GiveUp(_)));
    assert_eq!(judged(&under_way(3), None, &Stage::Waiting), Verdict::Goes);
}
