//! What the command says beside the result: what is so already, and what comes next.

use crate::support::{
    Cloud, Ran, bare, sample,
    stub::{
        Answer::{Refuse, Reply},
        Stub,
    },
};
use serde_json::{Value, json};
use watari_model::{Refusal, Said};

fn outage(state: &str) -> Value {
    let mut view = sample("reply.OutageView.json");
    view["state"] = state.into();
    view["moving"] = json!([]);
    view
}

#[test]
fn an_outage_is_found_by_its_site_open_ones_first_and_else_the_next() {
    let cloud = Cloud::start();
    let subjects = ["watari.v1.site.list", "watari.v1.outage.list", "watari.v1.outage.get", "watari.v1.outage.start"];
    let stub = Stub::start(&cloud, "scheduler.m-front", &subjects, |subject, _| {
        Reply(match subject {
            "watari.v1.site.list" => sample("reply.SitePage.json"),
            "watari.v1.outage.list" => {
                let scheduled = |id: &str, from: &str| {
                    let mut view = outage("scheduled");
                    view["id"] = id.into();
                    view["scope"] = json!({"site": "yamate"});
                    view["window"] = json!({"from": from, "until": "2027-12-01T00:00:00Z"});
                    view
                };
                let later = scheduled("yamate-3", "2027-06-01T00:00:00Z");
                json!({"outages": [later, scheduled("yamate-4", "2027-03-01T00:00:00Z")]})
            }
            _ => outage("evacuated"),
        })
    });
    let asked_last = || stub.asked().last().unwrap().1["id"].clone();
    for (words, id) in [
        (["outage", "show", "myodaiji"], "myodaiji-1"),
        (["outage", "show", "myodaiji-2"], "myodaiji-2"),
        (["outage", "start", "yamate"], "yamate-4"),
    ] {
        let ran = cloud.run(&words);
        assert_eq!((ran.status, asked_last()), (0, id.into()), "{words:?}: {ran:?}");
    }
}

#[test]
fn a_site_without_an_outage_is_told_so() {
    let cloud = Cloud::start();
    let _stub =
        Stub::start(&cloud, "scheduler.m-front", &["watari.v1.site.list", "watari.v1.outage.list"], |subject, _| {
            Reply(match subject {
                "watari.v1.site.list" => sample("reply.SitePage.json"),
                _ => json!({"outages": []}),
            })
        });
    for words in [&["outage", "show", "yamate"][..], &["outage", "shut-down", "yamate", "--dry-run"]] {
        let ran = cloud.run(words);
        assert!(ran.status == 1 && ran.err.contains("error[outage.none-ahead]"), "{ran:?}");
        assert!(
            ran.err.contains("watari outage schedule yamate") && ran.err.contains("site evacuate yamate"),
            "{ran:?}"
        );
    }
    let ran = cloud.run(&["outage", "rehearse", "yamate"]);
    assert!(ran.status == 1 && ran.err.contains("watari outage rehearse --site yamate"), "{ran:?}");
    assert!(!ran.err.contains("evacuate"), "a rehearsal is no reason to empty a site: {ran:?}");
    let listed = cloud.run(&["site", "list"]).out;
    assert!(listed.contains("evacuating (paused)"), "{listed}");
    let listed = cloud.run(&["site", "list", "--lang", "ja"]).out;
    assert!(listed.contains("退避中 (一時停止中)") && listed.contains("通常"), "{listed}");
}

#[test]
fn resuming_what_is_not_paused_and_calling_off_what_has_moved_say_what_is() {
    let cloud = Cloud::start();
    let subjects =
        ["watari.v1.site.list", "watari.v1.outage.get", "watari.v1.outage.resume", "watari.v1.outage.cancel"];
    let _stub = Stub::start(&cloud, "scheduler.m-front", &subjects, |subject, _| {
        Reply(match subject {
            "watari.v1.site.list" => sample("reply.SitePage.json"),
            "watari.v1.outage.cancel" => outage("cancelled"),
            _ => outage("evacuated"),
        })
    });
    let ran = cloud.run(&["outage", "resume", "myodaiji"]);
    assert!(ran.status == 0 && ran.err.contains("myodaiji-1 was not paused"), "{ran:?}");
    assert!(ran.err.contains("it is evacuated"), "{ran:?}");
    let ran = cloud.run(&["outage", "cancel", "myodaiji-1"]);
    assert!(ran.status == 0 && ran.err.contains("watari outage return myodaiji"), "{ran:?}");
    assert!(!ran.err.contains("still arrive"), "{ran:?}");
}

#[test]
fn calling_off_says_how_many_are_on_the_way_and_still_arrive() {
    let cloud = Cloud::start();
    let subjects = ["watari.v1.site.list", "watari.v1.outage.get", "watari.v1.outage.cancel"];
    let _stub = Stub::start(&cloud, "scheduler.m-front", &subjects, |subject, _| {
        let state = match subject {
            "watari.v1.site.list" => return Reply(sample("reply.SitePage.json")),
            "watari.v1.outage.get" => "returning",
            _ => "cancelled",
        };
        let mut view = outage(state);
        let copying = sample("reply.OutageView.json")["moving"][0].clone();
        let mut waiting = copying.clone();
        waiting["state"] = "queued".into();
        view["leg"] = "home".into();
        view["moving"] = json!([copying, waiting]);
        Reply(view)
    });
    let ran = cloud.run(&["outage", "cancel", "myodaiji-1"]);
    assert!(ran.status == 0 && ran.err.contains("those whose copy runs (1) still arrive"), "{ran:?}");
    let ran = cloud.run(&["outage", "cancel", "myodaiji-1", "--lang", "ja"]);
    assert!(ran.status == 0 && ran.err.contains("複製中の 1 台は移動先に到着し"), "{ran:?}");
}

#[test]
fn calling_off_what_is_called_off_says_so_by_either_name_and_is_no_fault() {
    let cloud = Cloud::start();
    let subjects = ["watari.v1.site.list", "watari.v1.outage.list", "watari.v1.outage.get", "watari.v1.outage.cancel"];
    let over = || {
        let mut view = outage("cancelled");
        (view["id"], view["scope"]) = ("yamate-4".into(), json!({"site": "yamate"}));
        view
    };
    let stub = Stub::start(&cloud, "scheduler.m-front", &subjects, move |subject, _| {
        Reply(match subject {
            "watari.v1.site.list" => sample("reply.SitePage.json"),
            "watari.v1.outage.list" => json!({"outages": [over()]}),
            _ => over(),
        })
    });
    for name in ["yamate-4", "yamate"] {
        let ran = cloud.run(&["outage", "cancel", name]);
        assert!(ran.status == 0 && ran.err.contains("yamate-4 was cancelled already"), "{name}: {ran:?}");
        assert_eq!(stub.asked().last().unwrap().1["id"], "yamate-4", "{name}");
    }
    let ran = cloud.run(&["outage", "cancel", "yamate", "--lang", "ja"]);
    assert!(ran.status == 0 && ran.err.contains("取り消すものはありません"), "{ran:?}");
}

#[test]
fn nobody_comes_home_from_what_has_not_begun_and_that_is_said_with_its_time() {
    let cloud = Cloud::start();
    let subjects = ["watari.v1.site.list", "watari.v1.outage.get", "watari.v1.outage.list", "watari.v1.site.return"];
    let scheduled = || {
        let mut view = outage("scheduled");
        (view["id"], view["scope"]) = ("yamate-4".into(), json!({"site": "yamate"}));
        view["window"] = json!({"from": "2027-03-20T03:00:00Z", "until": "2027-03-20T08:00:00Z"});
        view
    };
    let stub = Stub::start(&cloud, "scheduler.m-front", &subjects, move |subject, asked| {
        Reply(match subject {
            "watari.v1.site.list" => sample("reply.SitePage.json"),
            "watari.v1.outage.get" => scheduled(),
            "watari.v1.outage.list" => json!({"outages": [scheduled()]}),
            _ => return Refuse(Refusal::NothingToReturn { site: asked["site"].as_str().unwrap().to_owned() }),
        })
    });
    for words in [["outage", "return", "yamate-4"], ["outage", "return", "yamate"]] {
        let ran = cloud.run(&words);
        assert!(ran.status == 1 && ran.err.contains("error[outage.ahead]"), "{ran:?}");
        assert!(ran.err.contains("yamate-4 is scheduled (the power goes at 2027-03-20"), "{ran:?}");
        assert!(ran.err.contains("watari outage start yamate-4"), "{ran:?}");
    }
    let returns = stub.asked().into_iter().filter(|(subject, _)| subject == "watari.v1.site.return").count();
    assert_eq!(returns, 1, "by its own name nobody is asked to come home");
    // Of the one site nothing is scheduled, and what is said of a site is no matter of outages.
    for words in [["outage", "return", "myodaiji"], ["site", "return", "yamate"]] {
        let ran = cloud.run(&words);
        assert!(ran.err.contains("error[site.nothing-to-return]"), "{ran:?}");
    }
}

#[test]
fn servers_come_home_by_their_outages_name_as_by_their_sites_and_never_by_an_old_ones() {
    let cloud = Cloud::start();
    let subjects = ["watari.v1.site.list", "watari.v1.outage.get", "watari.v1.site.return"];
    let stub = Stub::start(&cloud, "scheduler.m-front", &subjects, |subject, asked| {
        Reply(match subject {
            "watari.v1.site.list" => sample("reply.SitePage.json"),
            "watari.v1.outage.get" => {
                let mut view = outage("evacuated");
                view["id"] = asked["id"].clone();
                let site = if asked["id"] == "yamate-4" { "yamate" } else { "myodaiji" };
                view["scope"] = if asked["id"] == "m1-1" { json!({"node": "m1"}) } else { json!({"site": site}) };
                view
            }
            _ => outage("returning"),
        })
    });
    let returned = || {
        let asked = stub.asked().into_iter().filter(|(subject, _)| subject == "watari.v1.site.return");
        asked.map(|(_, asked)| asked["site"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for words in [["site", "return", "myodaiji"], ["outage", "return", "myodaiji"], ["outage", "return", "myodaiji-1"]]
    {
        let ran = cloud.run(&words);
        assert!(ran.status == 0 && ran.out.contains("returning"), "{words:?}: {ran:?}");
    }
    let ran = cloud.run(&["outage", "return", "yamate-4"]);
    assert_eq!(ran.status, 0, "what is over left them there: {ran:?}");
    let homes = ["myodaiji", "myodaiji", "myodaiji", "yamate"];
    assert_eq!(returned(), homes);
    let ran = cloud.run(&["outage", "return", "myodaiji-7"]);
    assert!(ran.status == 1 && ran.err.contains("error[outage.other-open]"), "{ran:?}");
    assert!(ran.err.contains("watari outage return myodaiji-1"), "{ran:?}");
    let ran = cloud.run(&["outage", "return", "m1-1"]);
    assert!(ran.status == 1 && ran.err.contains("watari node uncordon m1"), "{ran:?}");
    assert_eq!(returned(), homes, "nobody is sent home by a mistake");
}

#[test]
fn what_was_called_off_before_it_began_says_so_and_counts_nothing() {
    let cloud = Cloud::start();
    let subjects = ["watari.v1.site.list", "watari.v1.outage.get"];
    let _stub = Stub::start(&cloud, "scheduler.m-front", &subjects, |subject, _| {
        if subject == "watari.v1.site.list" {
            return Reply(sample("reply.SitePage.json"));
        }
        let mut view = outage("cancelled");
        (view["moved"], view["failed"], view["makespan_ms"]) = (json!([]), json!([]), 0.into());
        view["window"] = json!({"from": "2027-03-20T00:00:00Z", "until": "2027-03-20T08:00:00Z"});
        view["halted"] = json!([]);
        Reply(view)
    });
    let shown = cloud.run(&["outage", "show", "myodaiji-9"]).out;
    assert!(shown.contains("called off before it began") && !shown.contains("0/0"), "{shown}");
    assert!(!shown.contains("No server had to move") && !shown.contains(" ms"), "{shown}");
}

#[test]
fn a_saving_that_is_not_waited_for_says_where_to_look() {
    let cloud = Cloud::start();
    let _stub = Stub::start(&cloud, "image.m-front", &["watari.v1.image.save"], |_, _| {
        let mut view = sample("reply.ImageView.json");
        view["name"] = "mail-2026".into();
        Reply(view)
    });
    let ran = cloud.run(&["vm", "save", "mail", "--as", "mail-2026"]);
    assert!(ran.status == 0 && ran.err.contains("watari image show mail-2026"), "{ran:?}");
}

#[test]
fn revoking_a_rule_that_is_not_there_is_told() {
    let cloud = Cloud::start();
    let subjects = ["watari.v1.firewall.get", "watari.v1.firewall.revoke"];
    let _stub = Stub::start(&cloud, "network.m-front", &subjects, |_, _| Reply(sample("reply.FirewallView.json")));
    let ran = cloud.run(&["firewall", "revoke", "mail", "out", "udp", "9999"]);
    assert!(ran.status == 0 && ran.err.contains("has no rule \"out udp 9999\""), "{ran:?}");
    let ran = cloud.run(&["firewall", "revoke", "mail", "in", "tcp", "25"]);
    assert_eq!((ran.status, ran.err.as_str()), (0, ""), "it was there");
}

#[test]
fn a_drained_node_is_shown_as_such_also_if_the_scheduler_is_away() {
    let cloud = Cloud::start();
    let node = sample("reply.NodeView.json");
    let (name, pending) =
        (node["name"].as_str().unwrap().to_owned(), json!({"vcpus": 3, "memory_mib": 256, "disk_gib": 2}));
    let _monitor = {
        let node = node.clone();
        Stub::start(&cloud, "monitor.m-front", &["watari.v1.node.list", "watari.v1.node.get"], move |subject, _| {
            Reply(if subject.ends_with("get") { node.clone() } else { json!({"nodes": [node], "next": null}) })
        })
    };
    let alone = cloud.run(&["node", "list"]);
    assert!(alone.status == 0 && alone.out.contains(&name) && !alone.out.contains("drained"), "{alone:?}");
    let _scheduler = {
        let name = name.clone();
        Stub::start(&cloud, "scheduler.m-front", &["watari.v1.outage.list", "watari.v1.vm.list"], move |subject, _| {
            if subject == "watari.v1.vm.list" {
                let mut vm = sample("reply.VmView.json");
                (vm["vcpus"], vm["memory_mib"], vm["disk_gib"]) = (1.into(), 192.into(), 2.into());
                vm["pending"] = pending.clone();
                return Reply(json!({"vms": [vm], "next": null}));
            }
            let mut drain = outage("evacuated");
            drain["scope"] = json!({"node": name});
            Reply(json!({"outages": [drain]}))
        })
    };
    let listed = cloud.run(&["node", "list"]).out;
    assert!(listed.contains("(drained)"), "{listed}");
    assert!(cloud.run(&["node", "list", "--lang", "ja"]).out.contains("(退避済み)"));
    let shown = cloud.run(&["node", "show", &name]).out;
    assert!(shown.contains("RESERVED FOR GROWING") && shown.contains("2 vCPU, 64 MiB, 0 GiB"), "{shown}");
    assert_eq!(cloud.run(&["node", "show", &name, "-o", "json"]).json(), node);
}

#[test]
fn what_of_a_new_size_is_so_already_is_told_apart_from_what_waits() {
    let cloud = Cloud::start();
    let subjects = ["watari.v1.vm.resize", "watari.v1.vm.get"];
    let _stub = Stub::start(&cloud, "scheduler.m-front", &subjects, |subject, _| {
        let mut vm = sample("reply.VmView.json");
        (vm["vcpus"], vm["memory_mib"], vm["disk_gib"]) = (2.into(), 192.into(), 3.into());
        vm["pending"] = json!({"vcpus": 2, "memory_mib": 256, "disk_gib": 3});
        vm["reachable"] = true.into();
        if subject.ends_with("resize") {
            (vm["vcpus"], vm["disk_gib"], vm["growing"]) = (1.into(), 2.into(), true.into());
        }
        Reply(vm)
    });
    let words = ["vm", "resize", "mail", "--vcpus", "2", "--memory", "256MiB", "--disk", "3GiB"];
    let ran = cloud.run(&words);
    let told = "has 2 vCPU, 192 MiB, 3 GiB now and will have 2 vCPU, 256 MiB, 3 GiB from its next start on";
    assert!(ran.status == 0 && ran.out.contains(told), "{ran:?}");
    let ran = cloud.run(&[&words[..], &["-o", "json"]].concat());
    assert_eq!((ran.json()["vcpus"].as_u64(), ran.json()["growing"].as_bool()), (Some(2), None), "{ran:?}");
}

#[test]
fn times_that_only_the_scheduler_refuses_are_told_by_their_options() {
    let cloud = Cloud::start();
    let subjects = ["watari.v1.outage.schedule", "watari.v1.outage.reschedule"];
    let _stub = Stub::start(&cloud, "scheduler.m-front", &subjects, |_, _| {
        let (value, allowed) = ("2033-03-01 00:00:00Z".to_owned(), Said::both("within a year"));
        Refuse(Refusal::OutOfRange { field: "until".to_owned(), value, allowed })
    });
    for words in [["outage", "schedule", "yamate"], ["outage", "reschedule", "yamate-1"]] {
        let ran = cloud.run(&[&words[..], &["--from", "+1h", "--until", "+2000d"]].concat());
        assert!(ran.status == 2 && ran.err.contains("--until is 2033-03-01 00:00:00Z"), "{ran:?}");
    }
}

#[test]
fn what_is_mistyped_is_told_with_the_forms_that_are_taken() {
    let of = |words: &[&str]| Ran::of(bare(words).output().unwrap());
    let ran = of(&["events", "--kind", "servers"]);
    assert!(ran.status == 2 && ran.err.contains("--kind is servers") && ran.err.contains("vms, migrations"), "{ran:?}");
    let ran = of(&["outage", "schedule", "yamate", "--from", "+2y", "--until", "+3y"]);
    assert!(ran.status == 2 && ran.err.contains("--from is +2y") && ran.err.contains("+45m, +3h, +2d"), "{ran:?}");
    for (from, until, option) in [("+3h", "+1h", "--until"), ("2020-01-01 00:00", "+1h", "--from")] {
        let ran = of(&["outage", "schedule", "yamate", "--from", from, "--until", until]);
        assert!(ran.status == 2 && ran.err.contains(&format!("{option} is ")), "{ran:?}");
    }
    for size in ["-1", "128"] {
        let ran = of(&["vm", "create", "mail", "--image", "mini", "--memory", size]);
        assert!(ran.status == 2 && ran.err.contains(&format!("--memory is {size}, which is not allowed")), "{ran:?}");
        assert_eq!(ran.err.matches("with its unit (MiB, GiB or TiB) from 32MiB to 4TiB").count(), 1, "{ran:?}");
    }
    for (option, time) in [("--in", "3m"), ("--until", "+2h")] {
        let ran = of(&["outage", "rehearse", "myodaiji", option, time]);
        assert!(ran.status == 2 && ran.err.contains(&format!("{option} goes with --site")), "{ran:?}");
    }
    let ran = of(&["usage", "report", "--from", "1d", "--to", "2d"]);
    assert!(ran.status == 2 && ran.err.contains("--to is 2d") && ran.err.contains("after --from"), "{ran:?}");
    for words in [&["outage", "import", "/nonexistent"][..], &["key", "add", "sato", "/nonexistent"]] {
        let ran = of(words);
        assert!(ran.status == 2 && ran.err.contains("error[file.unknown]"), "{words:?} {ran:?}");
    }
}
