//! Whoever is asked whether something may be lost is asked about what there is, and what could be done; and whoever is
//! not asked is told.

use crate::support::{
    Cloud, sample,
    stub::{
        Answer::{self, Refuse, Reply},
        Stub,
    },
};
use serde_json::{Value, json};
use watari_model::Refusal;

fn vm(state: &str) -> Value {
    let mut vm = sample("reply.VmView.json");
    (vm["state"], vm["fault"], vm["reachable"]) = (state.into(), Value::Null, true.into());
    vm
}

/// Everything is there; with `users` it is in use, runs or is heard, and without it is not.
fn there(subject: &str, users: bool) -> Answer {
    let used = |name: &str, field: &str, all: Value, none: Value| {
        let mut view = sample(name);
        view[field] = if users { all } else { none };
        view
    };
    Reply(match subject {
        "watari.v1.vm.get" => vm(if users { "running" } else { "stopped" }),
        "watari.v1.disk.get" => used("reply.DiskView.json", "used_by", "heir".into(), Value::Null),
        "watari.v1.key.get" => sample("reply.KeyView.json"),
        "watari.v1.project.get" => sample("reply.ProjectView.json"),
        "watari.v1.vm.list" if users => {
            let mut page = sample("reply.VmPage.json");
            page["next"] = Value::Null;
            page
        }
        "watari.v1.vm.list" => json!({"vms": [], "next": null}),
        "watari.v1.disk.list" if users => sample("reply.DiskPage.json"),
        "watari.v1.disk.list" => json!({"disks": [], "next": null}),
        "watari.v1.image.get" => used("reply.ImageView.json", "used_by", json!(["mail"]), json!([])),
        "watari.v1.network.get" => sample("reply.NetworkView.json"),
        "watari.v1.port.list" if users => sample("reply.PortPage.json"),
        "watari.v1.port.list" => json!({"ports": [], "next": null}),
        "watari.v1.address.list" => json!({"addresses": []}),
        "watari.v1.address.get" => sample("reply.AddressView.json"),
        "watari.v1.firewall.list" => json!({"firewalls": []}),
        "watari.v1.firewall.get" => used("reply.FirewallView.json", "servers", json!(["mail"]), json!([])),
        _ => {
            let mut node = used("reply.NodeView.json", "state", "ready".into(), "lost".into());
            node["off"] = json!({"by": "sato", "at": "2026-11-23T09:00:01.5Z", "for_good": false});
            node
        }
    })
}

/// The services that know what there is.
fn services(cloud: &Cloud, answer: fn(&str) -> Answer) -> Vec<Stub> {
    let owners: [(&str, &[&str]); 4] = [
        (
            "scheduler.m-front",
            &[
                "watari.v1.vm.get",
                "watari.v1.vm.list",
                "watari.v1.disk.get",
                "watari.v1.disk.list",
                "watari.v1.key.get",
                "watari.v1.project.get",
            ],
        ),
        ("image.m-front", &["watari.v1.image.get"]),
        (
            "network.m-front",
            &[
                "watari.v1.network.get",
                "watari.v1.port.list",
                "watari.v1.address.list",
                "watari.v1.address.get",
                "watari.v1.firewall.get",
                "watari.v1.firewall.list",
            ],
        ),
        ("monitor.m-front", &["watari.v1.node.get"]),
    ];
    owners.map(|(owner, subjects)| Stub::start(cloud, owner, subjects, move |subject, _| answer(subject))).into()
}

#[test]
fn nothing_is_lost_where_nobody_can_be_asked_unless_yes_was_said() {
    let cloud = Cloud::start();
    let _services = services(&cloud, |subject| there(subject, false));
    for words in [
        &["vm", "delete", "mail"][..],
        &["vm", "snapshot", "revert", "mail", "before-upgrade"],
        &["vm", "snapshot", "delete", "mail", "before-upgrade"],
        &["node", "confirm-off", "m1"],
        &["node", "remove", "m1"],
        &["image", "delete", "mini"],
        &["disk", "delete", "mail-7b1d4c2e"],
        &["network", "delete", "campus"],
        &["key", "delete", "sato"],
        &["project", "delete", "research"],
        &["firewall", "delete", "mail"],
        &["address", "disassociate", "203.0.113.200"],
        &["address", "release", "203.0.113.200"],
    ] {
        let ran = cloud.run(words);
        assert!(ran.status == 2 && ran.err.contains("error[consent.needed]"), "{words:?} {ran:?}");
        assert!(ran.err.contains("--yes"), "{words:?} {ran:?}");
    }
    let kept = cloud.run(&["vm", "delete", "mail", "--keep-disk"]).err;
    assert!(kept.contains("its snapshots: before-upgrade, after-upgrade"), "{kept}");
}

#[test]
fn nobody_is_asked_about_what_could_not_be_done() {
    let cloud = Cloud::start();
    let _services = services(&cloud, |subject| there(subject, true));
    for (words, code) in [
        (&["vm", "snapshot", "revert", "mail", "before-upgrade"][..], "snapshot.not-stopped"),
        (&["vm", "snapshot", "delete", "mail", "never-taken"], "snapshot.unknown"),
        (&["node", "confirm-off", "m1"], "node.not-lost"),
        (&["node", "remove", "m1"], "node.not-lost"),
        (&["image", "delete", "mini"], "image.in-use"),
        (&["disk", "delete", "mail-7b1d4c2e"], "disk.in-use"),
        (&["network", "delete", "campus"], "network.in-use"),
        (&["firewall", "delete", "mail"], "firewall.in-use"),
        (&["project", "delete", "research"], "project.in-use"),
        (&["project", "delete", "default"], "project.default"),
    ] {
        let ran = cloud.run(words);
        assert!(ran.status == 1 && ran.err.contains(&format!("error[{code}]")), "{words:?} {ran:?}");
        assert!(!ran.err.contains("consent.needed"), "{words:?} {ran:?}");
    }
    let asked = cloud.run(&["vm", "delete", "mail", "--keep-disk"]).err;
    assert!(asked.contains("Server mail is running: it is shut down first"), "{asked}");
}

#[test]
fn nobody_is_asked_about_what_others_stand_on() {
    let cloud = Cloud::start();
    let _services = services(&cloud, |subject| match subject {
        "watari.v1.vm.list" => {
            let mut web = vm("running");
            (web["name"], web["desired"], web["after"]) = ("web".into(), "running".into(), json!(["mail"]));
            Reply(json!({"vms": [web], "next": null}))
        }
        "watari.v1.firewall.list" => {
            let mut page = sample("reply.FirewallPage.json");
            page["firewalls"][0]["name"] = "web".into();
            page["firewalls"][0]["rules"][0]["peer"] = json!({"group": "mail"});
            Reply(page)
        }
        _ => there(subject, false),
    });
    for (words, code, user) in [
        (&["vm", "delete", "mail"][..], "vm.depended-on", "web"),
        (&["node", "remove", "m1"], "node.has-servers", "web"),
        (&["firewall", "delete", "mail"], "firewall.in-use", "group web"),
    ] {
        let ran = cloud.run(words);
        assert!(ran.status == 1 && ran.err.contains(&format!("error[{code}]")), "{words:?} {ran:?}");
        assert!(ran.err.contains(user) && !ran.err.contains("consent.needed"), "{words:?} {ran:?}");
    }
}

#[test]
fn nobody_is_asked_about_a_network_of_which_only_public_addresses_are_held() {
    let cloud = Cloud::start();
    let _services = services(&cloud, |subject| match subject {
        "watari.v1.address.list" => Reply(sample("reply.AddressPage.json")),
        _ => there(subject, false),
    });
    let ran = cloud.run(&["network", "delete", "campus"]);
    assert!(ran.status == 1 && ran.err.contains("error[network.in-use]"), "{ran:?}");
}

#[test]
fn nobody_is_asked_about_a_name_that_nobody_knows() {
    let cloud = Cloud::start();
    let _services = services(&cloud, |subject| {
        let name = || "nobody".to_owned();
        Refuse(match subject {
            "watari.v1.disk.get" => Refusal::DiskUnknown { disk: name() },
            "watari.v1.node.get" => Refusal::NodeUnknown { node: name() },
            _ => Refusal::VmUnknown { vm: name() },
        })
    });
    for (words, code) in [
        (&["vm", "delete", "nobody"][..], "vm.unknown"),
        (&["vm", "snapshot", "revert", "nobody", "one"], "vm.unknown"),
        (&["disk", "delete", "nobody-7b1d4c2e"], "disk.unknown"),
        (&["node", "confirm-off", "nobody"], "node.unknown"),
    ] {
        let ran = cloud.run(words);
        assert!(ran.status == 1 && ran.err.contains(&format!("error[{code}]")), "{words:?} {ran:?}");
    }
}

#[test]
fn whoever_says_yes_to_a_deletion_is_told_which_snapshots_go_and_what_comes_first() {
    let cloud = Cloud::start();
    let _stub = Stub::start(&cloud, "scheduler.m-front", &["watari.v1.vm.delete"], |_, asked| {
        Reply(vm(if asked["keep_disk"] == true { "stopping" } else { "deleting" }))
    });
    let ran = cloud.run(&["vm", "delete", "mail", "--yes", "--keep-disk"]);
    assert!(ran.status == 0 && ran.err.contains("snapshots: before-upgrade, after-upgrade"), "{ran:?}");
    assert!(ran.err.contains("once it has shut down") && ran.err.contains("--from-disk mail-"), "{ran:?}");
    let ran = cloud.run(&["vm", "delete", "mail", "--yes"]);
    assert!(ran.err.contains("snapshots: before-upgrade") && !ran.err.contains("shut down"), "{ran:?}");
}

#[test]
fn a_server_that_begins_with_a_kept_disk_is_no_smaller_and_whoever_makes_it_learns_where_it_begins() {
    let cloud = Cloud::start();
    let subjects = ["watari.v1.disk.get", "watari.v1.vm.create"];
    let stub = Stub::start(&cloud, "scheduler.m-front", &subjects, |subject, asked| {
        if subject.ends_with("disk.get") {
            return Reply(sample("reply.DiskView.json"));
        }
        let mut heir = vm("pending");
        heir["home_site"] = asked["site"].clone();
        Reply(heir)
    });
    let make = |more: &[&str]| {
        let words = ["vm", "create", "mail", "--from-disk", "mail-7b1d4c2e", "--site"];
        cloud.run(&[&words[..], more].concat())
    };
    let ran = make(&["yamate"]);
    assert!(ran.status == 0 && ran.err.contains("begins on node m1 at myodaiji, where its disk is"), "{ran:?}");
    assert!(ran.err.contains("watari site return yamate"), "{ran:?}");
    let ran = make(&["myodaiji"]);
    assert!(ran.status == 0 && !ran.err.contains("begins on"), "{ran:?}");
    let before = stub.asked().len();
    let ran = make(&["myodaiji", "--disk", "1GiB"]);
    assert!(ran.status == 2 && ran.err.contains("error[vm.disk-shrinks]"), "{ran:?}");
    assert_eq!(stub.asked().len(), before + 1, "only the disk is looked at");
}
