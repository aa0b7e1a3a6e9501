//! Pictures of displays.

use std::fs;

use crate::support::{
    Cloud, Ran, sample,
    stub::{
        Answer::{Refuse, Reply},
        Stub,
    },
};
use serde_json::json;
use watari_model::Refusal;

const SUBJECTS: [&str; 1] = ["watari.v1.vm.screenshot"];

#[test]
fn a_picture_is_written_byte_by_byte_into_the_file_that_is_named_or_one_of_the_servers_name() {
    let cloud = Cloud::start();
    let _stub = Stub::start(&cloud, "scheduler.m-front", &SUBJECTS, |_, _| Reply(sample("reply.Screenshot.json")));
    let file = cloud.files.path("boot.png");
    let ran = cloud.run(&["vm", "screenshot", "mail", file.to_str().unwrap(), "-o", "json"]);
    let told = json!({"name": "mail", "node": "m1", "file": file, "bytes": 8});
    assert_eq!((ran.status, ran.json()), (0, told), "{ran:?}");
    assert_eq!(fs::read(&file).unwrap(), b"\x89PNG\r\n\x1a\n");

    let mut command = cloud.command("operator", &["vm", "screenshot", "mail", "--lang", "ja"]);
    let ran = Ran::of(command.current_dir(cloud.files.path("")).output().unwrap());
    assert!(ran.status == 0 && ran.out.contains("mail.png に書き出しました"), "{ran:?}");
    assert_eq!(fs::read(cloud.files.path("mail.png")).unwrap().len(), 8);

    let ran = cloud.run(&["vm", "screenshot", "mail", "/nowhere/boot.png"]);
    assert!(ran.status != 0 && ran.err.starts_with("error[") && ran.err.contains("/nowhere/boot.png"), "{ran:?}");
}

#[test]
fn a_server_without_a_display_is_refused_with_a_remedy_and_no_file_is_made() {
    let cloud = Cloud::start();
    let none = |_: &str, _: &serde_json::Value| Refuse(Refusal::NoDisplay { vm: "mail".to_owned() });
    let _stub = Stub::start(&cloud, "scheduler.m-front", &SUBJECTS, none);
    let file = cloud.files.path("none.png");
    let ran = cloud.run(&["vm", "screenshot", "mail", file.to_str().unwrap()]);
    assert!(ran.status == 1 && ran.err.starts_with("error[screen.no-display]: "), "{ran:?}");
    assert!(ran.err.contains("--display") && !file.exists(), "{ran:?}");
}
