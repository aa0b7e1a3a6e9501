//! `watari apply` and `watari vm export` against services that answer what the test wants.

use std::fs;

use crate::support::{
    Cloud, Ran, sample,
    stub::{
        Answer::{self, Refuse, Reply},
        Stub,
    },
};
use serde_json::{Value, json};
use watari_model::Refusal;

const SUBJECTS: [&str; 4] = ["watari.v1.vm.list", "watari.v1.vm.create", "watari.v1.vm.resize", "watari.v1.vm.get"];

/// A scheduler that has one server, and makes and changes all but one that is named `full`.
fn scheduler(subject: &str, asked: &Value) -> Answer {
    let mut vm = sample("reply.VmView.json");
    if subject == "watari.v1.vm.list" {
        return Reply(json!({"vms": [vm], "next": null}));
    }
    if asked["name"] == "full" {
        return Refuse(Refusal::ImageUnknown { image: "mini".to_owned() });
    }
    vm["name"] = asked["name"].clone();
    vm["state"] = "running".into();
    Reply(vm)
}

/// Runs `watari apply` with a file of this text.
fn apply(cloud: &Cloud, yaml: &str, words: &[&str]) -> Ran {
    let path = cloud.files.path("servers.yaml");
    fs::write(&path, yaml).unwrap();
    let mut all = vec!["apply", "-f", path.to_str().unwrap()];
    all.extend(words);
    cloud.run(&all)
}

fn verbs(stub: &Stub) -> Vec<String> {
    let asked = stub.asked().into_iter();
    asked.map(|(subject, asked)| format!("{subject} {}", asked["request_id"].as_str().unwrap_or("-"))).collect()
}

const TWO: &str =
    "servers:\n- {name: web, image: mini, networks: [campus]}\n- {name: mail, image: mini, memory: 1GiB}\n";

#[test]
fn what_a_file_declares_is_shown_and_only_done_when_it_is_meant() {
    let cloud = Cloud::start();
    let stub = Stub::start(&cloud, "scheduler.m-front", &SUBJECTS, scheduler);
    let ran = apply(&cloud, TWO, &["--dry-run"]);
    assert!(ran.status == 0 && ran.err.contains("nothing was done"), "{ran:?}");
    assert!(ran.out.contains("create") && ran.out.contains("memory: 192MiB -> 1024MiB"), "{ran:?}");
    assert_eq!(verbs(&stub), ["watari.v1.vm.list -"]);
    let ja = apply(&cloud, TWO, &["--dry-run", "--lang", "ja"]);
    assert!(ja.out.contains("メモリ: 192MiB → 1024MiB") && !ja.out.contains("memory"), "{ja:?}");

    let ran = apply(&cloud, TWO, &["--yes", "--request-id", "run"]);
    assert!(ran.status == 0 && ran.err.contains("web is made") && ran.err.contains("mail is changed"), "{ran:?}");
    let done = ["watari.v1.vm.list -", "watari.v1.vm.create run-web-create", "watari.v1.vm.resize run-mail-resize"];
    assert_eq!(verbs(&stub)[2..], done);
    let ran = apply(&cloud, TWO, &["--yes", "--wait", "-o", "json"]);
    let actions: Vec<_> = ran.json().as_array().unwrap().iter().map(|told| told["action"].clone()).collect();
    assert_eq!(actions, ["create", "change"], "{ran:?}");
}

#[test]
fn a_server_that_is_there_needs_no_image_and_a_slip_in_its_name_makes_none() {
    let cloud = Cloud::start();
    let stub = Stub::start(&cloud, "scheduler.m-front", &SUBJECTS, scheduler);
    let ran = apply(&cloud, "servers: [{name: mail, memory: 1GiB}]", &["--yes"]);
    assert!(ran.status == 0 && ran.err.contains("mail is changed"), "{ran:?}");
    let before = verbs(&stub).len();
    let ran = apply(&cloud, "servers: [{name: mail, memory: 2GiB}, {name: mial, memory: 1GiB}]", &["--yes"]);
    assert!(ran.status == 2 && ran.err.contains("error[apply.no-image]") && ran.err.contains("mail?"), "{ran:?}");
    assert_eq!(verbs(&stub).len(), before + 1, "nothing is done");
}

#[test]
fn what_a_server_would_be_made_of_must_be_there() {
    let cloud = Cloud::start();
    let more = ["watari.v1.site.list", "watari.v1.project.get", "watari.v1.project.list"];
    let subjects = [&SUBJECTS[..], &more].concat();
    let _stub = Stub::start(&cloud, "scheduler.m-front", &subjects, |subject, asked| match subject {
        "watari.v1.site.list" => Reply(json!({"sites": [sample("reply.SiteView.json")]})),
        "watari.v1.project.get" => Refuse(Refusal::ProjectUnknown { project: "nowhere".to_owned() }),
        "watari.v1.project.list" => Reply(sample("reply.ProjectPage.json")),
        _ => scheduler(subject, asked),
    });
    let ran = apply(&cloud, "servers: [{name: web, image: mini, site: nowhere}]", &["--dry-run"]);
    assert!(ran.status == 1 && ran.err.contains("web: error[site.unknown]"), "{ran:?}");
    let ran = apply(&cloud, "servers: [{name: mail, project: nowhere}]", &["--dry-run"]);
    assert!(ran.status == 1 && ran.err.contains("mail: error[project.unknown]"), "{ran:?}");
}

#[test]
fn on_whom_servers_would_depend_is_looked_at_before_anything_is_done() {
    let cloud = Cloud::start();
    let stub = Stub::start(&cloud, "scheduler.m-front", &SUBJECTS, scheduler);
    let of = |(name, after): (&str, &str)| format!("{{name: {name}, image: mini, after: [{after}]}}");
    let servers = [("a", "b"), ("b", "a"), ("c", "mial"), ("d", "c"), ("e", "mail")].map(of).join(", ");
    let ran = apply(&cloud, &format!("servers: [{servers}]"), &["--dry-run", "-o", "json"]);
    assert!(ran.status == 1 && ran.err.contains("a > b > a"), "{ran:?}");
    assert_eq!(ran.err.matches("error[vm.after-cycle]").count(), 1, "one circle is told once: {ran:?}");
    assert!(!ran.err.contains("watari vm edit"), "neither server is there to be edited: {ran:?}");
    let told = ran.json();
    let code = |name: &str| {
        let one = told.as_array().unwrap().iter().find(|one| one["name"] == name).unwrap();
        one["code"].as_str().unwrap_or("-").to_owned()
    };
    let codes = ["a", "b", "c", "d", "e"].map(code);
    assert_eq!(codes, ["vm.after-cycle", "vm.after-cycle", "vm.unknown", "vm.unknown", "-"], "{ran:?}");
    assert!(verbs(&stub).iter().all(|verb| verb == "watari.v1.vm.list -"), "{:?}", verbs(&stub));
}

#[test]
fn one_refusal_stops_no_other_server_and_is_told() {
    let cloud = Cloud::start();
    let _stub = Stub::start(&cloud, "scheduler.m-front", &SUBJECTS, scheduler);
    let yaml = "servers: [{name: full, image: mini}, {name: web, image: mini}]";
    let ran = apply(&cloud, yaml, &["--yes", "-o", "json"]);
    assert!(ran.status == 1 && ran.err.contains("full: error[image.unknown]"), "{ran:?}");
    let told = ran.json();
    assert_eq!((told[0]["action"].as_str(), told[0]["code"].as_str()), (Some("refused"), Some("image.unknown")));
    assert_eq!(told[1]["action"], "create", "{ran:?}");
}

#[test]
fn what_was_done_until_nobody_answers_is_told() {
    let cloud = Cloud::start();
    let _stub = Stub::start(&cloud, "scheduler.m-front", &SUBJECTS, |subject, asked| {
        if asked["name"] == "web" { Answer::Nothing } else { scheduler(subject, asked) }
    });
    let names = ["db", "web", "mail", "late"].map(|name| format!("{{name: {name}, image: mini}}")).join(", ");
    let ran = apply(&cloud, &format!("servers: [{names}]"), &["--yes", "-o", "json", "--timeout", "2s"]);
    assert!(ran.status == 3 && ran.err.contains("--request-id"), "{ran:?}");
    assert_eq!(ran.err.matches("error[").count(), 1, "it is said once: {ran:?}");
    let actions: Vec<_> = ran.json().as_array().unwrap().iter().map(|told| told["action"].clone()).collect();
    assert_eq!(actions, ["create", "refused", "unchanged", "refused"], "{ran:?}");
}

#[test]
fn what_cannot_be_changed_is_told_and_left_alone() {
    let cloud = Cloud::start();
    let stub = Stub::start(&cloud, "scheduler.m-front", &SUBJECTS, scheduler);
    let ran = apply(&cloud, "servers: [{name: mail, image: debian, memory: 1GiB}]", &["--yes"]);
    assert!(ran.status == 1 && ran.out.contains("CANNOT BE CHANGED"), "{ran:?}");
    assert!(ran.out.contains("image: mini -> debian") && ran.err.contains("watari vm export"), "{ran:?}");
    assert_eq!(verbs(&stub), ["watari.v1.vm.list -"]);
}

#[test]
fn what_is_exported_changes_nothing_when_it_is_applied() {
    let cloud = Cloud::start();
    let stub = Stub::start(&cloud, "scheduler.m-front", &SUBJECTS, scheduler);
    let exported = cloud.run(&["vm", "export"]);
    assert!(exported.status == 0 && exported.err.contains("user-data"), "{exported:?}");
    let ran = apply(&cloud, &exported.out, &["--yes"]);
    assert!(ran.status == 0 && ran.out.contains("unchanged"), "{exported:?} {ran:?}");
    assert_eq!(verbs(&stub), ["watari.v1.vm.list -", "watari.v1.vm.list -"]);
    let named = cloud.run(&["vm", "export", "mail", "-o", "json"]);
    assert_eq!(named.json()["servers"][0]["networks"], json!(["campus=203.0.113.100"]), "{named:?}");
}

#[test]
fn a_file_that_declares_nothing_sensible_is_status_2_and_asks_nobody() {
    let cloud = Cloud::start();
    for (yaml, code) in [
        ("servers: [{image: mini}]", "apply.nameless"),
        ("servers: [{name: web, image: mini, colour: blue}]", "apply.item"),
        ("servers: [{name: web, image: mini, restart: allways}]", "apply.value"),
        ("", "apply.shape"),
        ("servers: [", "apply.syntax"),
        ("servers: [{name: web, image: mini}, {name: web, image: mini}]", "apply.twice"),
        ("servers: [{name: web, image: mini, memory: 0GiB}]", "request.out-of-range"),
    ] {
        let ran = apply(&cloud, yaml, &["--yes", "--timeout", "1s"]);
        assert!(ran.status == 2 && ran.err.contains(&format!("error[{code}]")), "{yaml}: {ran:?}");
    }
}
