//! Snapshots as a person sees them: how far each is, a name that was mistyped, and a deletion that is waited for.

use crate::support::{
    Cloud, sample,
    stub::{
        Answer::{Refuse, Reply},
        Stub,
    },
};
use serde_json::{Value, json};
use watari_model::Refusal;

const SUBJECTS: [&str; 3] = ["watari.v1.vm.get", "watari.v1.snapshot.delete", "watari.v1.snapshot.revert"];

/// A server with a snapshot that is taken, before-upgrade, and one that is not, after-upgrade.
fn mail() -> Value {
    sample("reply.VmView.json")
}

#[test]
fn a_list_says_how_far_each_snapshot_is_and_why_one_is_not_there_yet() {
    let cloud = Cloud::start();
    let _stub = Stub::start(&cloud, "scheduler.m-front", &SUBJECTS, |_, _| Reply(mail()));
    let ran = cloud.run(&["vm", "snapshot", "list", "mail"]);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert!(ran.status == 0 && lines.len() == 3, "{ran:?}");
    assert!(lines[0].contains("STATE") && lines[0].contains("REASON") && !lines[0].contains("FAULT"), "{ran:?}");
    assert!(lines[1].contains("ready") && lines[2].contains("being made"), "{ran:?}");
    assert!(lines[2].contains("agent.disk-full"), "{ran:?}");
    let ran = cloud.run(&["vm", "snapshot", "list", "mail", "--lang", "ja"]);
    assert!(ran.out.contains("使用可能") && ran.out.contains("作成中") && !ran.out.contains("障害"), "{ran:?}");
    let ran = cloud.run(&["vm", "snapshot", "list", "mail", "-o", "json"]);
    assert_eq!(ran.json(), mail()["snapshots"]["list"]);
}

#[test]
fn a_mistyped_snapshot_is_answered_with_the_one_that_was_meant() {
    let cloud = Cloud::start();
    let _stub = Stub::start(&cloud, "scheduler.m-front", &SUBJECTS, |subject, asked| match subject {
        "watari.v1.vm.get" => Reply(mail()),
        _ => {
            let (vm, snapshot) = ("mail".to_owned(), asked["name"].as_str().unwrap().to_owned());
            Refuse(Refusal::SnapshotUnknown { vm, snapshot })
        }
    });
    for verb in ["delete", "revert"] {
        let ran = cloud.run(&["vm", "snapshot", verb, "mail", "befor-upgrade", "--yes"]);
        assert!(ran.status == 1 && ran.err.starts_with("error[snapshot.unknown]: "), "{ran:?}");
        assert!(ran.err.ends_with("did you mean `before-upgrade`?\n"), "{ran:?}");
    }
}

#[test]
fn a_deletion_is_waited_for_until_the_name_is_gone() {
    let cloud = Cloud::start();
    let mut looks = 0;
    let stub = Stub::start(&cloud, "scheduler.m-front", &SUBJECTS, move |subject, _| {
        let mut view = mail();
        if subject == "watari.v1.vm.get" {
            looks += 1;
        }
        if looks > 1 {
            view["snapshots"]["list"] = json!([]);
        }
        Reply(view)
    });
    let words = ["vm", "snapshot", "delete", "mail", "before-upgrade", "--yes", "--wait"];
    let ran = cloud.run(&words);
    assert_eq!((ran.status, ran.out.as_str()), (0, "before-upgrade is deleted\n"), "{ran:?}");
    let asked = stub.asked();
    assert_eq!(asked[0].0, "watari.v1.snapshot.delete");
    assert_eq!(asked.iter().filter(|(subject, _)| subject == "watari.v1.vm.get").count(), 2, "{asked:?}");
    let ran = cloud.run(&words[..6]);
    assert_eq!((ran.status, stub.asked().len()), (0, 4), "without --wait nobody looks: {ran:?}");
}
