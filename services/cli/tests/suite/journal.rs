//! The journal of a cluster's folder: what was done there, by whom and from where.

use std::fs;

use crate::{
    joining::{Place, of_cluster},
    support::{Ran, bare, read},
};
use serde_json::json;
use watari_testkit::TempDir;

#[test]
fn who_let_whom_in_and_out_and_from_where_is_written_down() {
    let place = Place::open();
    let dir = &place.path("");
    for machine in ["m2", "m3"] {
        place.machine(machine);
    }
    let from = |address: &str, words: &[&str]| {
        let mut command = of_cluster(dir, words);
        command.env("SUDO_USER", "sato").env("SSH_CONNECTION", format!("{address} 50000 192.0.2.1 22"));
        let ran = Ran::of(command.output().unwrap());
        assert_eq!(ran.status, 0, "{ran:?}");
        ran.out.trim().to_owned()
    };
    let token = from("192.0.2.7", &["token", "create", "--role", "node", "--site", "yamate"]);
    assert_eq!(place.join("m2", "m2", "127.0.0.12", &token, &[]).status, 0);
    let unused = from("192.0.2.8", &["token", "create", "--role", "witness"]);
    let ids: Vec<String> =
        place.tokens().as_array().unwrap().iter().map(|token| token["id"].as_str().unwrap().to_owned()).collect();
    from("192.0.2.9", &["token", "revoke", &ids[1]]);
    // Who is refused changes nothing.
    assert_eq!(place.refused("m3", "m3", &unused, &[]), "token.unknown");
    let told = Ran::of(of_cluster(dir, &["token", "journal", "-o", "json"]).output().unwrap()).json();
    let all = told.as_array().unwrap();
    // The files of hosts that follow from it are told of besides.
    let acts: Vec<_> = all.iter().filter(|entry| entry["act"] != "files-made" && entry["act"] != "keys-made").collect();
    let by_token = format!("token {}", ids[0]);
    for (entry, (who, from, act, about)) in acts.iter().zip([
        ("sato", "192.0.2.7", "token-created", vec![ids[0].as_str(), "node", "yamate"]),
        (by_token.as_str(), "127.0.0.12", "host-joined", vec!["m2", "node"]),
        ("sato", "192.0.2.8", "token-created", vec![ids[1].as_str(), "witness"]),
        ("sato", "192.0.2.9", "token-revoked", vec![ids[1].as_str(), "witness"]),
    ]) {
        assert_eq!(**entry, json!({ "at": entry["at"], "who": who, "from": from, "act": act, "about": about }));
    }
    assert_eq!(acts.len(), 4, "{told}");
    let keys = all.iter().find(|entry| entry["act"] == "keys-made").unwrap();
    assert!(keys["about"].as_array().unwrap().contains(&"administrator".into()), "{keys}");
    assert!(!told.to_string().contains(token.split('-').nth(1).unwrap()), "it tells a token");
    let shown = Ran::of(of_cluster(dir, &["token", "journal", "--lang", "ja"]).output().unwrap()).out;
    assert!(shown.contains("ホストの参加") && shown.contains("192.0.2.9"), "{shown}");
}

/// A second cluster is the last thing that whoever looks in the wrong place wants.
#[test]
fn where_the_folder_is_not_one_learns_where_it_is_and_makes_no_other_cluster() {
    let empty = TempDir::new();
    let folder = empty.path().display().to_string();
    for verb in ["list", "journal"] {
        for (lang, where_it_is) in [
            ("en", "on the first front end, where `watari init` was run"),
            ("ja", "watari init を実行した最初のフロントエンド"),
        ] {
            let ran = Ran::of(bare(&["token", verb, "--dir", &folder, "--lang", lang]).output().unwrap());
            assert!(ran.status == 1 && ran.err.contains("[cluster.none]") && ran.err.contains(&folder), "{ran:?}");
            assert!(ran.err.contains(where_it_is) && ran.err.contains("--dir"), "{ran:?}");
        }
    }
}

#[test]
fn what_cannot_be_written_down_is_not_done() {
    let place = Place::open();
    let dir = &place.path("");
    place.machine("m2");
    let ask = |words: &[&str]| Ran::of(of_cluster(dir, words).output().unwrap());
    let token = ask(&["token", "create", "--role", "node", "--site", "yamate"]).out.trim().to_owned();
    assert_eq!(place.join("m2", "m2", "127.0.0.12", &token, &[]).status, 0);
    let journal = place.path("cluster/journal.jsonl");
    fs::remove_file(&journal).unwrap();
    fs::create_dir(&journal).unwrap();
    let kept = || (place.tokens(), read(&place.path("cluster/cluster.toml")));
    let before = kept();
    assert!(before.1.contains("\"m2\""), "{}", before.1);
    let id = before.0[0]["id"].as_str().unwrap();
    let root = place.path("m-front").display().to_string();
    let expel = ["token", "expel", "m2", "--yes", "--host", "m-front", "--root", &root];
    for words in [&["token", "create", "--role", "witness"][..], &["token", "revoke", id], &expel] {
        let ran = ask(words);
        assert!(ran.status != 0 && ran.out.is_empty() && ran.err.contains("journal.jsonl"), "{words:?}: {ran:?}");
        assert_eq!(kept(), before, "{words:?}");
    }
    fs::remove_dir(&journal).unwrap();
    assert_eq!(ask(&expel).status, 0);
    assert!(!kept().1.contains("\"m2\""), "{}", kept().1);
}
