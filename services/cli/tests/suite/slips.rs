//! Slips of the finger are answered with what was meant.

use crate::support::{
    Cloud, Ran, bare, sample,
    stub::{
        Answer::{self, Refuse, Reply},
        Stub,
    },
};
use serde_json::{Value, json};
use watari_model::Refusal;

fn unknown(subject: &str, asked: &Value) -> Answer {
    if subject == "watari.v1.vm.get" {
        return Refuse(Refusal::VmUnknown { vm: asked["name"].as_str().unwrap().to_owned() });
    }
    let mut vm = sample("reply.VmView.json");
    vm["name"] = "web".into();
    Reply(json!({"vms": [vm], "next": null}))
}

#[test]
fn a_name_that_is_nearly_right_is_answered_with_the_right_one() {
    let cloud = Cloud::start();
    let _stub = Stub::start(&cloud, "scheduler.m-front", &["watari.v1.vm.get", "watari.v1.vm.list"], unknown);
    let ran = cloud.run(&["vm", "show", "web2"]);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(ran.err.starts_with("error[vm.unknown]: ") && ran.err.ends_with("did you mean `web`?\n"), "{ran:?}");
    let ran = cloud.run(&["vm", "show", "web2", "--lang", "ja"]);
    assert!(ran.status == 1 && ran.err.ends_with("もしかして: `web`\n"), "{ran:?}");
    let ran = cloud.run(&["vm", "show", "gateway"]);
    assert!(ran.status == 1 && !ran.err.contains("did you mean"), "{ran:?}");
}

#[test]
fn a_site_or_an_outage_whose_servers_are_to_come_home_is_found_by_a_slip_as_well() {
    let cloud = Cloud::start();
    let subjects = ["watari.v1.site.list", "watari.v1.outage.get", "watari.v1.outage.list"];
    let _stub = Stub::start(&cloud, "scheduler.m-front", &subjects, |subject, asked| match subject {
        "watari.v1.site.list" => Reply(sample("reply.SitePage.json")),
        "watari.v1.outage.list" => {
            let mut view = sample("reply.OutageView.json");
            view["id"] = "yamate-41".into();
            Reply(json!({"outages": [view]}))
        }
        _ => Refuse(Refusal::OutageUnknown { outage: asked["id"].as_str().unwrap().to_owned() }),
    });
    for (typed, meant) in [("myodaji", "myodaiji"), ("yamate-14", "yamate-41")] {
        let ran = cloud.run(&["outage", "return", typed]);
        assert!(ran.status == 1 && ran.err.starts_with("error[outage.unknown]: "), "{ran:?}");
        assert!(ran.err.ends_with(&format!("did you mean `{meant}`?\n")), "{ran:?}");
    }
}

#[test]
fn a_list_that_nobody_gives_holds_no_refusal_up() {
    let cloud = Cloud::start();
    let _stub = Stub::start(&cloud, "scheduler.m-front", &["watari.v1.vm.get"], unknown);
    let ran = cloud.run(&["vm", "show", "web2"]);
    assert!(ran.status == 1 && ran.err.starts_with("error[vm.unknown]: "), "{ran:?}");
    assert!(!ran.err.contains("did you mean"), "{ran:?}");
}

#[test]
fn a_command_that_is_nearly_right_is_told_too() {
    let ran = Ran::of(bare(&["vm", "lst"]).output().unwrap());
    assert!(ran.status == 2 && ran.err.starts_with("error[cli.usage]: there is no command lst"), "{ran:?}");
    assert!(ran.err.contains("watari vm --help") && ran.err.contains("did you mean"), "{ran:?}");
}
