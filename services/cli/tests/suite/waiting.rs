//! What is waited for, and what is not waited out.

use crate::support::{
    Cloud, sample,
    stub::{
        Answer::{Nothing, Reply},
        Stub,
    },
    terminal::AtTerminal,
};
use serde_json::{Value, json};
use watari_contracts::scheduler::Fault;
use watari_model::{Refusal, Said};

#[test]
fn whoever_waits_for_a_disk_learns_that_it_cannot_go_now_or_was_called_off() {
    let cloud = Cloud::start();
    let draining = json!({"kind": "site_draining", "site": "myodaiji", "outage": "myodaiji-1"});
    for (fault, cancelled, code) in [(draining, false, "site.draining"), (Value::Null, true, "vm.preseed-cancelled")] {
        let subjects = ["watari.v1.vm.preseed", "watari.v1.vm.get"];
        let _stub = Stub::start(&cloud, "scheduler.m-front", &subjects, move |subject, _| {
            let mut vm = sample("reply.VmView.json");
            (vm["state"], vm["fault"]) = ("running".into(), Value::Null);
            vm["preseed"]["done"] = Value::Null;
            if subject.ends_with("get") {
                vm["preseed"]["to"] = Value::Null;
                (vm["preseed"]["fault"], vm["preseed"]["cancelled"]) = (fault.clone(), cancelled.into());
            }
            Reply(vm)
        });
        let ran = cloud.run(&["vm", "preseed", "mail", "--wait"]);
        assert!(ran.status == 1 && ran.err.contains(&format!("error[{code}]")), "{ran:?}");
    }
}

#[test]
fn whoever_waits_for_a_disk_sees_how_much_of_it_is_there() {
    let cloud = Cloud::start();
    let mut quarters = 0_u64;
    let subjects = ["watari.v1.vm.preseed", "watari.v1.vm.get"];
    let _stub = Stub::start(&cloud, "scheduler.m-front", &subjects, move |subject, _| {
        let mut vm = sample("reply.VmView.json");
        (vm["state"], vm["fault"], vm["sending"]) = ("running".into(), Value::Null, Value::Null);
        if subject.ends_with("get") {
            vm["sending"] = json!({"brought_bytes": quarters << 20, "total_bytes": 4 << 20});
            if quarters >= 4 {
                vm["preseed"]["done"]["number"] = vm["preseed"]["number"].clone();
            }
            quarters += 1;
        }
        Reply(vm)
    });
    let ran = cloud.run(&["vm", "preseed", "mail", "--wait"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let shares = ["25 % (1.00 MiB/4.00 MiB", "50 % (2.00 MiB/4.00 MiB", "75 % (3.00 MiB/4.00 MiB"];
    assert!(shares.iter().all(|share| ran.err.contains(&format!("mail: {share}, its disk is being sent"))), "{ran:?}");
    let verdict = "300 MiB of the disk of server mail lie ready at y1; ";
    assert!(ran.out.starts_with(verdict) && ran.out.contains("its memory (192 MiB)"), "{ran:?}");
    assert_eq!(ran.out.lines().count(), 1, "{ran:?}");
    let ran = cloud.run(&["vm", "preseed", "mail", "--wait", "--lang", "ja"]);
    assert!(ran.out.starts_with("サーバ mail のディスク 300 MiB を y1 に事前転送しました。"), "{ran:?}");
    let view = cloud.run(&["vm", "preseed", "mail", "--wait", "-o", "json"]).json();
    assert!(view["name"] == "mail" && view["preseed"]["done"]["node"] == "y1", "{view}");
}

#[test]
fn a_terminal_shows_how_far_it_is_by_the_signs_that_its_locale_has() {
    let cloud = Cloud::start();
    let subjects = ["watari.v1.vm.preseed", "watari.v1.vm.get"];
    let _stub = Stub::start(&cloud, "scheduler.m-front", &subjects, |_, _| {
        let mut vm = sample("reply.VmView.json");
        (vm["state"], vm["fault"]) = ("running".into(), Value::Null);
        vm["sending"] = json!({"brought_bytes": 1 << 20, "total_bytes": 4 << 20});
        Reply(vm)
    });
    for (locale, bar) in [("C", "mail             =======>"), ("C.UTF-8", "mail             ━━━━━━━╸")]
    {
        let mut command = cloud.command("administrator", &["vm", "preseed", "mail", "--wait"]);
        let person = AtTerminal::start(command.env("LC_ALL", locale).env("TERM", "xterm"));
        person.shows(bar);
        assert!(locale != "C" || person.shown().is_ascii(), "{}", person.shown());
    }
}

#[test]
fn what_is_sent_ahead_is_taken_back() {
    let cloud = Cloud::start();
    let stub = Stub::start(&cloud, "scheduler.m-front", &["watari.v1.vm.preseed"], |_, asked| {
        let mut vm = sample("reply.VmView.json");
        vm["preseed"]["cancelled"] = asked["cancel"].clone();
        Reply(vm)
    });
    let ran = cloud.run(&["vm", "preseed", "mail", "--cancel"]);
    assert!(ran.status == 0 && ran.err.contains("nothing more of the disk of server mail"), "{ran:?}");
    assert_eq!(stub.asked()[0].1["cancel"], true);
}

#[test]
fn where_nothing_is_to_be_sent_ahead_there_is_nothing_to_take_back() {
    let cloud = Cloud::start();
    let _stub = Stub::start(&cloud, "scheduler.m-front", &["watari.v1.vm.preseed"], |_, _| {
        let mut vm = sample("reply.VmView.json");
        vm["preseed"] = Value::Null;
        Reply(vm)
    });
    let ran = cloud.run(&["vm", "preseed", "mail", "--cancel", "--lang", "ja"]);
    assert!(ran.status == 0 && ran.err.contains("取りやめるものはありません"), "{ran:?}");
}

#[test]
fn an_evacuation_that_shuts_nodes_down_is_waited_for_until_they_are_off() {
    let cloud = Cloud::start();
    let subjects = ["watari.v1.site.evacuate", "watari.v1.outage.shut-down", "watari.v1.outage.get"];
    for (last, status) in [("off", 0), ("not shut down", 1)] {
        let mut looks = 0;
        let stub = Stub::start(&cloud, "scheduler.m-front", &subjects, move |subject, _| {
            if subject.ends_with("shut-down") {
                return Reply(sample("reply.NodesDark.json"));
            }
            looks += u32::from(subject.ends_with("get"));
            let mut view = sample("reply.OutageView.json");
            (view["moving"], view["failed"], view["halted"]) = (json!([]), json!([]), json!([]));
            (view["control"], view["paused_at"]) = (Value::Null, Value::Null);
            view["state"] = if looks < 2 { "evacuating" } else { "evacuated" }.into();
            let why = Fault::from(&Refusal::NodeNotEmpty { node: "m1".to_owned(), domains: "mail".to_owned() });
            // At first what was last heard of the node is older than the last server's leaving.
            let (state, why) = match looks {
                0..3 => ("waiting", serde_json::to_value(why).unwrap()),
                3..5 => ("going off", Value::Null),
                _ => (last, Value::Null),
            };
            view["nodes"] = json!([{"node": "m1", "state": state, "since": null, "why": why}]);
            Reply(view)
        });
        let ran = cloud.run(&["site", "evacuate", "myodaiji", "--shut-down-nodes", "--wait", "-o", "json"]);
        assert_eq!(ran.status, status, "{ran:?}");
        assert_eq!(ran.json()["nodes"][0]["state"], last);
        assert_eq!(stub.asked()[1].0, "watari.v1.outage.shut-down");
    }
}

#[test]
fn an_evacuation_that_is_only_tried_is_the_plan_and_begins_nothing() {
    let cloud = Cloud::start();
    let subjects = ["watari.v1.site.evacuate", "watari.v1.outage.plan"];
    let stub = Stub::start(&cloud, "scheduler.m-front", &subjects, |_, _| Reply(sample("reply.OutagePlan.json")));
    let tried = cloud.run(&["site", "evacuate", "myodaiji", "--dry-run"]);
    let planned = cloud.run(&["outage", "plan", "myodaiji"]);
    assert!(tried.status == 1 && tried.out.contains("would move"), "one of the sample could not move: {tried:?}");
    assert_eq!((tried.status, tried.out, tried.err), (planned.status, planned.out, planned.err));
    let asked = stub.asked();
    assert!(asked.len() == 2 && asked.iter().all(|(subject, _)| subject == "watari.v1.outage.plan"), "{asked:?}");
    assert_eq!(asked[0].1, asked[1].1);
}

#[test]
fn whoever_waits_for_a_server_that_has_no_place_is_told_so_once() {
    let cloud = Cloud::start();
    let why = || {
        let detail = Said::both("2 nodes: 2 cordoned");
        serde_json::to_value(Fault::from(&Refusal::NoRoom { vm: "mail".to_owned(), detail, help: None })).unwrap()
    };
    let _stub =
        Stub::start(&cloud, "scheduler.m-front", &["watari.v1.vm.create", "watari.v1.vm.get"], move |subject, _| {
            let mut vm = sample("reply.VmView.json");
            (vm["state"], vm["fault"], vm["reachable"]) = ("pending".into(), Value::Null, true.into());
            if subject.ends_with("create") {
                vm["warnings"] = json!([why()]);
            } else {
                (vm["state"], vm["fault"]) = ("failed".into(), why());
            }
            Reply(vm)
        });
    let create = ["vm", "create", "mail", "--image", "mini"];
    let ran = cloud.run(&[&create[..], &["--wait"]].concat());
    assert!(ran.status == 1 && ran.err.contains("error[placement.no-room]"), "{ran:?}");
    assert_eq!(ran.err.matches("no node can take server mail").count(), 1, "{ran:?}");
    let ran = cloud.run(&create);
    assert!(ran.status == 0 && ran.err.contains("warning[placement.no-room]"), "who does not wait learns it: {ran:?}");
}

#[test]
fn whoever_only_looks_at_one_thing_does_not_wait_long_for_an_answer_that_was_lost() {
    let cloud = Cloud::start();
    let mut is_lost = true;
    let stub = Stub::start(&cloud, "scheduler.m-front", &["watari.v1.migration.get"], move |_, _| {
        if std::mem::take(&mut is_lost) { Nothing } else { Reply(sample("reply.MigrationView.json")) }
    });
    // Less than the time of one try otherwise.
    let ran = cloud.run(&["migration", "show", "mail-2", "--timeout", "4s"]);
    assert_eq!((ran.status, stub.asked().len()), (0, 2), "{ran:?}");
}
