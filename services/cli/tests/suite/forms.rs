//! The forms in which results are shown.

use crate::support::{
    Cloud, Ran, bare, sample,
    stub::{Answer::Reply, Stub},
};
use serde_json::{Value, json};

fn servers(names: &[&str]) -> Value {
    let server = |name: &&str| {
        let mut vm = sample("reply.VmView.json");
        vm["name"] = (*name).into();
        vm
    };
    json!({"vms": names.iter().map(server).collect::<Vec<_>>(), "next": null})
}

#[test]
fn a_list_is_there_for_people_for_programs_and_for_shells() {
    let cloud = Cloud::start();
    let _stub =
        Stub::start(&cloud, "scheduler.m-front", &["watari.v1.vm.list"], |_, _| Reply(servers(&["mail", "web"])));
    let list = |form: &str| cloud.run(&["vm", "list", "-o", form]);
    assert_eq!(list("name").out, "mail\nweb\n");
    let (table, wide) = (list("table").out, list("wide").out);
    assert!(!table.contains("EVACUATE") && wide.contains("EVACUATE") && wide.contains("front:apart"), "{wide}");
    assert_eq!(table.lines().count(), wide.lines().count());
    let yaml = list("yaml");
    let read: Value = serde_saphyr::from_str(&yaml.out).unwrap_or_else(|e| panic!("{e}: {yaml:?}"));
    assert_eq!(read, list("json").json());
}

#[test]
fn one_resource_is_there_in_every_form_too() {
    let cloud = Cloud::start();
    let subjects = ["watari.v1.vm.get", "watari.v1.vm.delete"];
    let _stub = Stub::start(&cloud, "scheduler.m-front", &subjects, |_, _| Reply(sample("reply.VmView.json")));
    let show = |form: &str| cloud.run(&["vm", "show", "mail", "-o", form]);
    assert_eq!(show("name").out, "mail\n");
    assert_eq!(show("wide").out, show("table").out, "everything is in the usual form already");
    assert!(show("table").out.contains("rack=a3"), "{:?}", show("table"));
    let read: Value = serde_saphyr::from_str(&show("yaml").out).unwrap();
    assert_eq!(read, show("json").json());
    assert_eq!(cloud.run(&["vm", "delete", "mail", "--yes", "-o", "name"]).out, "mail\n");
}

#[test]
fn whose_locale_is_ascii_reads_no_other_sign_in_a_list_of_changes() {
    let cloud = Cloud::start();
    let subjects = ["watari.v1.event.list", "watari.v1.history.list"];
    let _stub = Stub::start(&cloud, "monitor.m-front", &subjects, |subject, _| {
        let mut page =
            sample(if subject.contains("event") { "reply.EventPage.json" } else { "reply.HistoryPage.json" });
        if let Some(next) = page.get_mut("next") {
            *next = Value::Null;
        }
        Reply(page)
    });
    let of = |verb: &str, locale: &str| {
        Ran::of(cloud.command("administrator", &[verb]).env("LC_ALL", locale).output().unwrap()).out
    };
    for (verb, ascii, unicode) in [
        ("events", "running -> migrating (m1 -> y1)", "running → migrating (m1 → y1)"),
        ("history", "- -> 1024", "- → 1024"),
    ] {
        let told = of(verb, "C");
        assert!(told.contains(ascii) && told.is_ascii(), "{told}");
        assert!(of(verb, "C.UTF-8").contains(unicode), "{verb}");
    }
    let programs = cloud.run(&["events", "-o", "json"]);
    assert!(programs.out.contains('→'), "for programs it is what the monitor says: {programs:?}");
}

#[test]
fn what_fills_a_terminal_is_refused_where_there_is_none() {
    let ran = Ran::of(bare(&["top"]).output().unwrap());
    assert!(ran.status == 2 && ran.out.is_empty() && ran.err.contains("error[top.no-terminal]"), "{ran:?}");
}

#[test]
fn of_none_a_shell_reads_nothing_and_a_program_an_empty_list() {
    let cloud = Cloud::start();
    let _stub = Stub::start(&cloud, "scheduler.m-front", &["watari.v1.vm.list"], |_, _| Reply(servers(&[])));
    let list = |form: &str| cloud.run(&["vm", "list", "-o", form]).out;
    assert_eq!(list("name"), "");
    assert_eq!(list("wide"), "There are no servers.\n");
    assert_eq!(serde_saphyr::from_str::<Value>(&list("yaml")).unwrap(), json!([]));
}

#[test]
fn what_scripts_read_of_a_node_has_the_names_that_are_fixed() {
    let cloud = Cloud::start();
    let _stub = Stub::start(&cloud, "monitor.m-front", &["watari.v1.node.list"], |_, _| {
        Reply(json!({"nodes": [sample("reply.NodeView.json")], "next": null}))
    });
    let nodes = cloud.run(&["node", "list", "-o", "json"]).json();
    for field in ["name", "site", "state", "vcpus_total", "vcpus_used", "memory_mib_total", "memory_mib_used"] {
        assert!(!nodes[0][field].is_null(), "{field}");
    }
}
