//! The command against a real nats-server and services that answer what the test wants.

use std::{
    io::{BufRead, BufReader, Read},
    process::Stdio,
    time::{Duration, Instant},
};

use crate::support::{
    Cloud, Ran, bare, sample,
    stub::{
        Answer::{Nothing, Refuse, Reply},
        Stub,
    },
    wire::Verdict,
};
use serde_json::{Value, json};
use watari_model::Refusal;

fn vm(name: &str, state: &str) -> Value {
    let mut vm = sample("reply.VmView.json");
    vm["name"] = name.into();
    vm["state"] = state.into();
    vm
}

fn page(vms: Vec<Value>) -> Value {
    json!({"vms": vms, "next": null})
}

#[test]
fn servers_are_listed_page_by_page_as_a_table_and_as_json() {
    let cloud = Cloud::start();
    let stub = Stub::start(&cloud, "scheduler.m-front", &["watari.v1.vm.list"], |_, asked| {
        Reply(match asked["after"].as_str() {
            None => json!({"vms": [vm("mail", "running")], "next": "mail"}),
            Some("mail") => page(vec![vm("web", "stopped")]),
            Some(other) => panic!("after {other}"),
        })
    });
    let ran = cloud.run(&["vm", "list"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let lines: Vec<&str> = ran.out.lines().collect();
    assert!(
        lines.len() == 3 && lines[0].starts_with("NAME") && lines[1].starts_with("mail") && lines[2].starts_with("web")
    );
    assert!(lines[1].contains("203.0.113.100") && lines[1].contains("192 MiB"), "{ran:?}");

    let ran = cloud.run(&["vm", "list", "--site", "yamate", "-o", "json"]);
    let servers = ran.json();
    assert_eq!((servers[0]["name"].as_str(), servers[1]["state"].as_str()), (Some("mail"), Some("stopped")));
    for field in ["name", "state", "site", "node", "home_site", "addresses", "vcpus", "memory_mib", "disk_gib", "image"]
    {
        assert!(!servers[0][field].is_null(), "{field}");
    }
    assert_eq!(stub.asked()[2].1["site"], "yamate");

    let ran = Ran::of(cloud.command("viewer", &["vm", "list", "--lang", "ja"]).output().unwrap());
    assert!(ran.out.starts_with("名前"), "{ran:?}");
}

#[test]
fn a_list_of_none_does_not_hide_that_a_name_is_unknown() {
    let cloud = Cloud::start();
    let subjects = ["watari.v1.vm.list", "watari.v1.site.list", "watari.v1.vm.get", "watari.v1.migration.list"];
    let _scheduler = Stub::start(&cloud, "scheduler.m-front", &subjects, |subject, _| match subject {
        "watari.v1.vm.list" => Reply(page(vec![])),
        "watari.v1.site.list" => Reply(sample("reply.SitePage.json")),
        "watari.v1.migration.list" => Reply(json!({"migrations": []})),
        _ => Refuse(Refusal::VmUnknown { vm: "nosuch".to_owned() }),
    });
    let subjects = ["watari.v1.usage.get", "watari.v1.history.list", "watari.v1.node.list"];
    let _monitor = Stub::start(&cloud, "monitor.m-front", &subjects, |subject, _| {
        Reply(match subject {
            "watari.v1.usage.get" => json!({"servers": [], "next": null}),
            "watari.v1.node.list" => json!({"nodes": [], "next": null}),
            _ => json!({"changes": [], "next": null}),
        })
    });
    for (words, code) in [
        (&["vm", "list", "--site", "foo"][..], "site.unknown"),
        (&["node", "list", "--site", "foo"], "site.unknown"),
        (&["migration", "list", "--vm", "nosuch"], "vm.unknown"),
        (&["history", "vm/nosuch"], "vm.unknown"),
        (&["usage", "report", "--from", "2d", "--to", "1d", "--vm", "nosuch"], "vm.unknown"),
    ] {
        let ran = cloud.run(words);
        assert!(ran.status == 1 && ran.err.contains(&format!("error[{code}]")), "{words:?} {ran:?}");
    }
    assert_eq!(cloud.run(&["vm", "list", "--site", "yamate"]).out, "There are no servers.\n");
}

#[test]
fn a_list_of_none_says_so() {
    let cloud = Cloud::start();
    let _stub = Stub::start(&cloud, "scheduler.m-front", &["watari.v1.vm.list"], |_, _| Reply(page(vec![])));
    assert_eq!(cloud.run(&["vm", "list"]).out, "There are no servers.\n");
    assert_eq!(cloud.run(&["vm", "list", "--lang", "ja"]).out, "サーバはありません。\n");
    assert_eq!(cloud.run(&["vm", "list", "-o", "json"]).json(), json!([]));
}

#[test]
fn a_refusal_is_told_with_code_cause_and_remedy_in_the_persons_language() {
    let cloud = Cloud::start();
    let stub = Stub::start(&cloud, "scheduler.m-front", &["watari.v1.vm.create"], |_, _| {
        Refuse(Refusal::VmExists { vm: "mail".to_owned() })
    });
    let words = ["vm", "create", "mail", "--image", "mini", "--network", "campus", "--site", "myodaiji"];
    let ran = cloud.run(&words);
    assert_eq!((ran.status, ran.out.as_str()), (1, ""), "{ran:?}");
    assert!(ran.err.starts_with("error[vm.exists]: a server named mail exists already\nhelp: "), "{ran:?}");
    let ran = Ran::of(cloud.command("operator", &words).env("LANG", "ja_JP.UTF-8").output().unwrap());
    assert!(ran.err.starts_with("エラー[vm.exists]: サーバ mail はすでに存在します\n対処: "), "{ran:?}");
    let (asked, again) = (&stub.asked()[0].1, &stub.asked()[1].1);
    assert_eq!((asked["memory_mib"].as_u64(), asked["disk_gib"].as_u64()), (Some(192), Some(2)));
    assert_ne!(asked["request_id"], again["request_id"], "two commands were one request");
}

#[test]
fn a_request_is_repeated_under_its_name_until_somebody_answers() {
    let cloud = Cloud::start();
    let mut count = 0;
    let stub = Stub::start(&cloud, "scheduler.m-front", &["watari.v1.vm.start"], move |_, _| {
        count += 1;
        match count {
            1 => Refuse(Refusal::NotPrimary { service: "scheduler".to_owned() }),
            _ => Reply(vm("mail", "starting")),
        }
    });
    let ran = cloud.run(&["vm", "start", "mail"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let asked = stub.asked();
    assert_eq!(asked.len(), 2);
    assert!(asked[0].1["request_id"].is_string() && asked[0].1 == asked[1].1, "{asked:?}");
}

#[test]
fn nobody_answering_is_status_3_and_so_is_no_way_to_ask() {
    let cloud = Cloud::start();
    let ran = cloud.run(&["vm", "list", "--timeout", "1s"]);
    assert_eq!(ran.status, 3, "{ran:?}");
    assert!(ran.err.contains("error[bus.silent]") && ran.err.contains("watari doctor"), "{ran:?}");
    let ran = cloud.run(&["vm", "start", "mail", "--timeout", "1s", "--request-id", "mine"]);
    assert!(ran.err.contains("error[bus.no-answer]") && ran.err.contains("--request-id mine:"), "{ran:?}");

    let stub = Stub::start(&cloud, "scheduler.m-front", &["watari.v1.vm.list"], |_, _| Nothing);
    let ran = cloud.run(&["vm", "list", "--timeout", "1s"]);
    assert!(ran.status == 3 && ran.err.contains("error[bus.silent]"), "{ran:?}");
    drop(stub);

    let trouble = |code: &str, mut command: std::process::Command| {
        let ran = Ran::of(command.output().unwrap());
        assert!(
            ran.status == 3 && ran.err.contains(&format!("error[{code}]")) && ran.err.contains("\nhelp: "),
            "{ran:?}"
        );
    };
    let mut nobody = cloud.command("operator", &["vm", "list"]);
    nobody.env("WATARI_NATS", format!("tls://127.0.0.1:{}", watari_testkit::free_port()));
    trouble("bus.no-connection", nobody);
    let mut no_identity = bare(&["vm", "list"]);
    no_identity.env("WATARI_NATS", cloud.url()).env("WATARI_CA", cloud.files.authority());
    trouble("bus.identity-refused", no_identity);
    let mut no_trust = cloud.command("operator", &["vm", "list"]);
    no_trust.env_remove("WATARI_CA");
    trouble("bus.no-trust", no_trust);
}

#[test]
fn what_one_may_not_do_is_told_at_once() {
    let cloud = Cloud::start();
    let began = Instant::now();
    for (who, words, told) in [
        ("viewer", &["vm", "delete", "mail", "--yes"][..], "needs the key of an operator, and this one"),
        ("operator", &["project", "create", "research", "--servers", "20"], "is an operator's"),
    ] {
        let ran = Ran::of(cloud.command(who, words).output().unwrap());
        assert_eq!(ran.status, 1, "{ran:?}");
        assert!(ran.err.contains("error[bus.not-permitted]") && ran.err.contains(told), "{ran:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn what_is_mistyped_is_status_2_and_is_not_sent() {
    for words in [
        &["vm", "show", "ma.il"][..],
        &["vm", "show", "mail*"],
        &["vm", "show", &"a".repeat(500)],
        &["vm", "create", "<x/>", "--image", "mini"],
        &["vm", "create", "mail", "--image", "mini", "--memory", "0MiB"],
        &["site", "evacuate", "明大寺"],
        &["network", "create", "n", "--provider", "--cidr", "c", "--range", "r", "--gateway", "g"],
        &["image", "import", "/nonexistent", "--name", "mini"],
    ] {
        let ran = Ran::of(bare(words).output().unwrap());
        assert!(ran.status == 2 && ran.err.contains("error[") && ran.err.contains("\nhelp: "), "{words:?} {ran:?}");
    }
    for words in [&["vm"][..], &["vm", "create", "mail"], &["network", "create", "n", "--cidr", "c", "--range", "r"]] {
        assert_eq!(Ran::of(bare(words).output().unwrap()).status, 2, "{words:?}");
    }
    assert_eq!(Ran::of(bare(&["vm", "create", "--help"]).output().unwrap()).status, 0);
}

#[test]
fn waiting_for_a_server_ends_well_when_it_runs_and_badly_when_it_cannot() {
    let cloud = Cloud::start();
    let subjects = ["watari.v1.vm.create", "watari.v1.vm.get"];
    for (last, status) in [("running", 0), ("failed", 1)] {
        let mut looks = 0;
        let _stub = Stub::start(&cloud, "scheduler.m-front", &subjects, move |subject, _| {
            let mut view = vm("mail", "pending");
            view["fault"] = Value::Null;
            if subject.ends_with("get") {
                looks += 1;
                view["state"] = if looks < 3 { "starting" } else { last }.into();
                if last == "failed" && looks >= 3 {
                    view["fault"] = sample("reply.OutageView.json")["failed"][0].clone();
                }
            }
            Reply(view)
        });
        let ran = cloud.run(&["vm", "create", "mail", "--image", "mini", "--wait", "-o", "json"]);
        assert_eq!(ran.status, status, "{ran:?}");
        assert!(ran.err.contains("mail: pending\nmail: starting\n"), "{ran:?}");
        if status == 0 {
            assert_eq!(ran.json()["state"], "running");
        } else {
            assert!(ran.out.is_empty() && ran.err.contains("error[migration.failed]"), "{ran:?}");
            assert!(ran.err.contains("watari vm delete mail"), "it is there all the same: {ran:?}");
        }
    }
}

#[test]
fn waiting_may_be_bounded() {
    let cloud = Cloud::start();
    let subjects = ["watari.v1.vm.stop", "watari.v1.vm.get"];
    let _stub = Stub::start(&cloud, "scheduler.m-front", &subjects, |_, _| Reply(vm("mail", "stopping")));
    let ran = cloud.run(&["vm", "stop", "mail", "--wait", "--wait-timeout", "1s"]);
    assert!(ran.status == 1 && ran.err.contains("error[wait.timeout]"), "{ran:?}");
}

#[test]
fn a_deletion_is_waited_for_until_the_server_is_unknown() {
    let cloud = Cloud::start();
    let subjects = ["watari.v1.vm.delete", "watari.v1.vm.get"];
    let mut looks = 0;
    let _stub = Stub::start(&cloud, "scheduler.m-front", &subjects, move |subject, _| {
        looks += u32::from(subject.ends_with("get"));
        if looks < 2 { Reply(vm("mail", "deleting")) } else { Refuse(Refusal::VmUnknown { vm: "mail".to_owned() }) }
    });
    let ran = cloud.run(&["vm", "delete", "mail", "--yes", "--wait"]);
    assert_eq!((ran.status, ran.out.as_str()), (0, "mail is deleted\n"), "{ran:?}");
}

/// An evacuation of three servers: two move one after the other, the third does not.
fn evacuation(look: u32) -> Value {
    let mut view = sample("reply.OutageView.json");
    let (moved, failed) = (view["moved"][0].clone(), view["failed"][0].clone());
    view["moved"] = json!([]);
    view["failed"] = json!([]);
    if look >= 1 {
        view["moved"] = json!([moved]);
    }
    if look >= 2 {
        let mut second = moved.clone();
        second["vm"] = "www".into();
        view["moved"] = json!([moved, second]);
        view["failed"] = json!([failed]);
        view["moving"] = json!([]);
        view["state"] = "evacuated".into();
    }
    view
}

#[test]
fn an_evacuation_is_told_server_by_server_and_fails_if_one_did_not_move() {
    let cloud = Cloud::start();
    let subjects = ["watari.v1.site.evacuate", "watari.v1.outage.get"];
    let mut looks = 0;
    let stub = Stub::start(&cloud, "scheduler.m-front", &subjects, move |subject, _| {
        looks += u32::from(subject.ends_with("get"));
        Reply(evacuation(looks))
    });
    let ran = cloud.run(&["site", "evacuate", "myodaiji", "--wait", "-o", "json"]);
    assert_eq!(ran.status, 1, "{ran:?}");
    let report = ran.json();
    assert_eq!((report["moved"].as_array().unwrap().len(), report["failed"][0]["vm"].as_str()), (2, Some("web")));
    assert_eq!(report["makespan_ms"], 9400);
    for field in ["vm", "from", "to", "total_ms", "downtime_ms", "memory_bytes", "disk_bytes"] {
        assert!(!report["moved"][0][field].is_null(), "{field}");
    }
    for field in ["vm", "code", "cause", "remedy"] {
        assert!(!report["failed"][0][field].is_null(), "{field}");
    }
    for part in ["mail: m1 -> y1 in 2.3 s", "www: m1 -> y1", "web: error[migration.failed]: ", "help: "] {
        assert!(ran.err.contains(part), "{part} is missing: {ran:?}");
    }
    assert!(ran.err.contains("mail: memory 52 % (100 MiB/192 MiB, copying m1 -> y1"), "no progress is shown: {ran:?}");
    assert_eq!(stub.asked()[0].1["site"], "myodaiji");
    drop(stub);

    let subjects = ["watari.v1.site.list", "watari.v1.outage.get"];
    let _stub = Stub::start(&cloud, "scheduler.m-front", &subjects, |subject, _| {
        Reply(if subject.ends_with("list") { sample("reply.SitePage.json") } else { evacuation(2) })
    });
    let ran = cloud.run(&["outage", "show", "myodaiji-1"]);
    assert!(
        ran.status == 0 && ran.out.contains("Moved:") && ran.out.contains("2 moved, 1 not moved, in 9.4 s"),
        "{ran:?}"
    );
}

#[test]
fn who_makes_a_server_that_could_not_leave_is_warned_and_gets_it_all_the_same() {
    let cloud = Cloud::start();
    let _stub = Stub::start(&cloud, "scheduler.m-front", &["watari.v1.vm.create"], |_, _| {
        let mut view = vm("mail", "pending");
        let fault = sample("reply.OutageView.json")["failed"][0].clone();
        view["warnings"] = json!([fault]);
        Reply(view)
    });
    let words = ["vm", "create", "mail", "--image", "mini"];
    let ran = cloud.run(&words);
    assert!(ran.status == 0 && ran.out.contains("mail"), "{ran:?}");
    assert!(ran.err.starts_with("warning[migration.failed]: ") && ran.err.contains("\nhelp: "), "{ran:?}");
    let ran = cloud.run(&[&words[..], &["-o", "json", "--lang", "ja"]].concat());
    assert_eq!(ran.json()["warnings"][0]["code"], "migration.failed");
    assert!(ran.err.starts_with("警告[migration.failed]: "), "{ran:?}");
}

#[test]
fn a_pause_may_be_asked_for_by_site_and_whoever_waits_is_told_of_it() {
    let cloud = Cloud::start();
    let subjects = ["watari.v1.site.list", "watari.v1.outage.pause", "watari.v1.outage.get"];
    let mut looks = 0;
    let stub = Stub::start(&cloud, "scheduler.m-front", &subjects, move |subject, _| {
        if subject.ends_with("list") {
            return Reply(sample("reply.SitePage.json"));
        }
        looks += u32::from(subject.ends_with("get"));
        let mut view = evacuation(if looks < 3 { 0 } else { 2 });
        if looks < 2 {
            view["paused_at"] = "2026-11-23T09:00:04Z".into();
        }
        Reply(view)
    });
    let ran = cloud.run(&["outage", "pause", "myodaiji"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.out.contains("evacuating (paused)") && ran.err.contains("watari outage resume myodaiji-1"), "{ran:?}");
    assert_eq!(stub.asked()[1].1, json!({"id": "myodaiji-1"}));
    let ran = cloud.run(&["outage", "pause", "yamate"]);
    assert!(ran.status == 1 && ran.err.contains("error[outage.none-there]"), "{ran:?}");
    let ran = cloud.run(&["outage", "show", "myodaiji-1", "--wait"]);
    assert_eq!(ran.err.matches("paused since 2026-11-23 09:00:04Z").count(), 1, "{ran:?}");
    assert!(ran.err.contains("It goes on.") && ran.out.contains("2 moved, 1 not moved"), "{ran:?}");
}

#[test]
fn a_migration_shows_how_far_it_is_and_what_became_of_it() {
    let cloud = Cloud::start();
    let subjects = ["watari.v1.vm.migrate", "watari.v1.migration.get"];
    let mut looks = 0;
    let stub = Stub::start(&cloud, "scheduler.m-front", &subjects, move |_, _| {
        let mut view = sample("reply.MigrationView.json");
        looks += 1;
        view["state"] = ["queued", "copying", "switching", "completed"][looks.min(4) - 1].into();
        view["fault"] = Value::Null;
        Reply(view)
    });
    let ran = cloud.run(&["vm", "migrate", "mail", "--to", "y1", "--wait"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.out.contains("completed") && ran.err.contains("queued") && ran.err.contains(" %"), "{ran:?}");
    assert_eq!(stub.asked()[0].1["to"], "y1");
}

/// An image that is saved from a server: waited for, copied, sent, ready.
fn saved(look: u32) -> Value {
    let mut view = sample("reply.ImageView.json");
    view["name"] = "mail-2026".into();
    view["saved_from"] = json!({"vm": "mail", "taken": null, "copying": null, "lost": null});
    view["state"] = if look < 4 { "importing" } else { "ready" }.into();
    if look == 2 {
        view["saved_from"]["copying"] = json!({"node": "m1", "copied_bytes": 40 << 20, "total_bytes": 100 << 20});
    }
    if look >= 3 {
        view["saved_from"]["taken"] = json!({"at": "2026-11-23T09:00:01.5Z", "consistency": "crash"});
        view["arrived_bytes"] = (1 << 20).into();
    }
    view
}

#[test]
fn a_saving_shows_how_far_it_is_and_the_image_says_of_whom_and_of_when_it_is() {
    let cloud = Cloud::start();
    let subjects = ["watari.v1.image.save", "watari.v1.image.get"];
    let mut looks = 0;
    let stub = Stub::start(&cloud, "image.m-front", &subjects, move |subject, _| {
        looks += u32::from(subject.ends_with("get"));
        Reply(saved(looks))
    });
    let ran = cloud.run(&["vm", "save", "mail", "--as", "mail-2026", "--wait"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.out.contains("mail-2026") && ran.out.contains("ready"), "{ran:?}");
    let told: Vec<&str> = ran.err.lines().collect();
    assert_eq!(told.len(), 3, "{ran:?}");
    assert_eq!(told[0], "mail-2026: waiting until the server's disk can be copied");
    assert!(told[1].starts_with("mail-2026: 40 % (") && told[1].contains("copies the server's disk"), "{ran:?}");
    assert!(told[2].starts_with("mail-2026: 1 % (") && told[2].contains("sends the copy"), "{ran:?}");
    let asked = stub.asked()[0].1.clone();
    assert_eq!((asked["vm"].as_str(), asked["name"].as_str()), (Some("mail"), Some("mail-2026")));
    assert!(asked["request_id"].is_string());

    let shown = cloud.run(&["image", "show", "mail-2026"]).out;
    for part in ["SAVED FROM", "2026-11-23 09:00:01Z", "crash: what was on the disk"] {
        assert!(shown.contains(part), "{part} is missing: {shown}");
    }
    let shown = cloud.run(&["image", "show", "mail-2026", "--lang", "ja"]).out;
    assert!(shown.contains("保存元サーバ") && shown.contains("電源断"), "{shown}");
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_command_without_noise() {
    let cloud = Cloud::start();
    let vms: Vec<Value> = (0..600).map(|n| vm(&format!("server-{n}"), "running")).collect();
    let _stub = Stub::start(&cloud, "scheduler.m-front", &["watari.v1.vm.list"], move |_, _| Reply(page(vms.clone())));
    let mut child = cloud
        .command("operator", &["vm", "list", "-o", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut String::new()).unwrap();
    drop(out);
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(0), ""));
}

#[test]
fn events_are_followed_as_they_happen() {
    let cloud = Cloud::start();
    let mut scheduler = cloud.client("scheduler.m-front");
    scheduler.subscribe("_INBOX_scheduler-m-front.>");
    let stream =
        r#"{"name":"KV_vms","subjects":["$KV.vms.>"],"republish":{"src":"$KV.vms.>","dest":"watari.event.vms.>"}}"#;
    scheduler.ask("_INBOX_scheduler-m-front.1", "$JS.API.STREAM.CREATE.KV_vms", stream);
    let mut child = cloud
        .command("viewer", &["events", "--follow", "--name", "mail", "-o", "json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (told, lines) = std::sync::mpsc::channel();
    let out = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || out.lines().map_while(Result::ok).all(|line| told.send(line).is_ok()));
    // Written until the first is heard: nobody says when the command has begun to listen.
    let mut line = None;
    for n in 0..200 {
        let document = format!(r#"{{"state":"running","n":{n}}}"#);
        assert_eq!(scheduler.publish("$KV.vms.web", None, "{}"), Verdict::Allowed);
        assert_eq!(scheduler.publish("$KV.vms.mail", None, &document), Verdict::Allowed);
        line = lines.recv_timeout(Duration::from_millis(100)).ok();
        if line.is_some() {
            break;
        }
    }
    let event: Value = serde_json::from_str(&line.expect("an event")).unwrap();
    assert_eq!(
        (event["bucket"].as_str(), event["key"].as_str(), event["summary"].as_str()),
        (Some("vms"), Some("mail"), Some("mail: running"))
    );
    assert!(event["revision"].as_u64().unwrap() > 0 && event["document"]["state"] == "running");
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(child.wait().unwrap().code(), Some(0), "Ctrl-C is how following ends well");
}

#[test]
fn a_public_key_is_kept_and_a_private_one_does_not_even_travel() {
    let cloud = Cloud::start();
    let view = sample("reply.KeyView.json");
    let line = view["public_key"].as_str().unwrap().to_owned();
    let asked = ["watari.v1.key.add", "watari.v1.key.list"];
    let stub = Stub::start(&cloud, "scheduler.m-front", &asked, move |subject, _| {
        Reply(match subject {
            "watari.v1.key.add" => view.clone(),
            _ => json!({"keys": [view.clone()], "next": null}),
        })
    });
    let file = cloud.files.path("sato.pub");
    std::fs::write(&file, format!("{line}\n")).unwrap();
    let ran = cloud.run(&["key", "add", "sato", file.to_str().unwrap()]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.out.contains("ssh-ed25519") && ran.out.contains("SHA256:"), "{ran:?}");
    assert_eq!(stub.asked()[0].1["public_key"].as_str().unwrap().trim(), line);
    assert!(cloud.run(&["key", "list", "--lang", "ja"]).out.starts_with("名前"));

    std::fs::write(&file, "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjE\n").unwrap();
    let ran = cloud.run(&["key", "add", "sato", file.to_str().unwrap()]);
    assert!(ran.status == 2 && ran.err.contains("error[key.private]"), "{ran:?}");
    std::fs::write(&file, "ssh-ed25519 AAAA\n").unwrap();
    let ran = cloud.run(&["key", "add", "sato", file.to_str().unwrap()]);
    assert!(ran.status == 2 && ran.err.contains("error[key.refused]"), "{ran:?}");
    assert_eq!(stub.asked().len(), 2, "nothing more was sent");
}

#[test]
fn the_history_is_shown_newest_last_page_by_page_as_far_as_is_wanted() {
    let cloud = Cloud::start();
    let stub = Stub::start(&cloud, "monitor.m-front", &["watari.v1.history.list"], |_, asked| {
        let mut page = sample("reply.HistoryPage.json");
        let first = asked["before"].is_null();
        page["changes"][0]["summary"] = if first { "mail: newer" } else { "mail: older" }.into();
        if !first {
            page["next"] = Value::Null;
        }
        Reply(page)
    });
    let ran = cloud.run(&["history", "vm/mail", "--since", "2d", "--by", "sato"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let (older, newer) = (ran.out.find("mail: older").unwrap(), ran.out.find("mail: newer").unwrap());
    assert!(older < newer && ran.out.contains("operator@192.0.2.10 (sato)"), "{ran:?}");
    let asked = stub.asked();
    let first = &asked[0].1;
    assert_eq!((asked.len(), first["bucket"].as_str(), first["key"].as_str()), (2, Some("vms"), Some("mail")));
    assert!(first["by"] == "sato" && first["since"].is_string() && first["until"].is_null(), "{first}");
    let one = cloud.run(&["history", "--limit", "1", "-o", "json"]).json();
    assert_eq!(one.as_array().unwrap().len(), 1, "{one}");
    assert_eq!(one[0]["fields"][0]["after"], "1024");
    let reversed = cloud.run(&["history", "--since", "1m", "--until", "5m"]);
    assert!(reversed.status == 2 && reversed.err.contains("--until is 5m"), "{reversed:?}");
    assert!(cloud.run(&["history", "--lang", "ja"]).out.contains("サーバ"), "kinds are told as elsewhere");
    let mistyped = cloud.run(&["history", "server"]);
    assert!(mistyped.status == 2 && mistyped.err.contains("firewall"), "{mistyped:?}");
}

#[test]
fn use_is_reported_as_a_table_and_as_lines_for_spreadsheets() {
    let cloud = Cloud::start();
    let stub = Stub::start(&cloud, "monitor.m-front", &["watari.v1.usage.get"], |_, asked| {
        let mut page = sample("reply.UsagePage.json");
        if !asked["after"].is_null() {
            page["servers"][0]["vm"] = "web".into();
            page["next"] = Value::Null;
        }
        Reply(page)
    });
    let window = ["usage", "report", "--from", "2026-11-01T00:00:00Z", "--to", "2026-12-01T00:00:00Z"];
    let ran = cloud.run(&window);
    assert!(ran.status == 0 && ran.out.contains("1392.00") && ran.out.contains("web"), "{ran:?}");
    assert_eq!(stub.asked()[0].1["until"], "2026-12-01T00:00:00Z");
    let csv = cloud.run(&[&window[..], &["--csv"]].concat());
    let lines: Vec<&str> = csv.out.lines().collect();
    assert!(lines[0].starts_with("vm,servers,vcpu_hours,"), "{csv:?}");
    assert_eq!(
        lines[1..],
        [
            "mail,1,1392.000,696.000,2880.000,696.000,720.000,0.000,default",
            "web,1,1392.000,696.000,2880.000,696.000,720.000,0.000,default"
        ]
    );
    let sums = cloud.run(&[&window[..], &["--by-project", "--csv"]].concat());
    assert_eq!(
        sums.out.lines().nth(1),
        Some("default,2,2784.000,1392.000,5760.000,1392.000,1440.000,0.000"),
        "{sums:?}"
    );
    let json = cloud.run(&[&window[..], &["-o", "json"]].concat()).json();
    assert_eq!((json[0]["vcpu_hours"].as_f64(), json[1]["vm"].as_str()), (Some(1392.0), Some("web")));
    let reversed = cloud.run(&["usage", "report", "--from", "never", "--to", "0s"]);
    assert!(reversed.status == 2 && reversed.err.contains("--from"), "{reversed:?}");
}
