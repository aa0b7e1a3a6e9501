//! Names that the cloud knows, as scripts of `watari completion` ask for them. That Bash completes them is tried where
//! the packages are installed (`deploy/package-test`), and what is a name of what beside the code.

use std::net::TcpListener;

use crate::support::{
    Cloud, Ran, bare, eventually, sample,
    stub::{
        Answer::{self, Reply},
        Stub,
    },
};
use serde_json::{Value, json};
use watari_testkit::free_port;

/// A sample's view, once under each name.
fn called(sample_name: &str, names: &[&str]) -> Vec<Value> {
    let view = |name: &&str| {
        let mut view = sample(sample_name);
        view["name"] = (*name).into();
        view
    };
    names.iter().map(view).collect()
}

fn answer(subject: &str, _: &Value) -> Answer {
    let vms = || called("reply.VmView.json", &["mail", "mail-copy", "web"]);
    let nodes = || called("reply.NodeView.json", &["m1", "y1"]);
    Reply(match subject {
        "watari.v1.vm.list" => json!({"vms": vms(), "next": null}),
        "watari.v1.node.list" => json!({"nodes": nodes(), "next": null}),
        "watari.v1.outage.list" => json!({"outages": outages()}),
        _ => sample("reply.SitePage.json"),
    })
}

/// Three of one site: what is over, what goes on and what is to come.
fn outages() -> Vec<Value> {
    let states = [("myodaiji-3", "cancelled"), ("myodaiji-2", "evacuated"), ("myodaiji-4", "scheduled")];
    let view = |(id, state): (&str, &str)| {
        let mut view = sample("reply.OutageView.json");
        (view["id"], view["state"]) = (id.into(), state.into());
        view
    };
    states.map(view).into()
}

#[test]
fn servers_nodes_and_sites_are_completed_by_the_names_that_the_cloud_knows() {
    let cloud = Cloud::start();
    let _stubs = (
        Stub::start(
            &cloud,
            "scheduler.m-front",
            &["watari.v1.vm.list", "watari.v1.site.list", "watari.v1.outage.list"],
            answer,
        ),
        Stub::start(&cloud, "monitor.m-front", &["watari.v1.node.list"], answer),
    );
    for (line, names) in [
        ("vm show ", "mail\nmail-copy\nweb\n"),
        ("vm stop mail", "mail\nmail-copy\n"),
        ("vm migrate mail --to=y", "y1\n"),
        ("node drain ", "m1\ny1\n"),
        ("site evacuate ", "myodaiji\nyamate\n"),
        ("vm show x", ""),
        ("outage cancel ", "myodaiji-2\nmyodaiji-4\nmyodaiji\n"),
        ("outage start ", "myodaiji-4\nmyodaiji\n"),
        ("outage return y", "yamate\n"),
        ("outage resume ", ""),
        ("outage show myodaiji-", "myodaiji-3\nmyodaiji-2\nmyodaiji-4\n"),
    ] {
        let words: Vec<&str> = ["names", "--"].into_iter().chain(line.split(' ')).collect();
        // Whoever looks on may complete as well. On a busy machine the answer may come too late for one try.
        eventually(|| {
            let ran = Ran::of(cloud.command("viewer", &words).output().unwrap());
            assert_eq!((ran.status, ran.err.as_str()), (0, ""), "{line}: {ran:?}");
            if ran.out == names { Ok(()) } else { Err(format!("{line}: {ran:?}")) }
        });
    }
}

#[test]
fn without_a_cloud_nothing_is_completed_and_nothing_is_said_of_it() {
    // It takes whoever dials, and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for port in [free_port(), silent.local_addr().unwrap().port()] {
        let mut command = bare(&["names", "--", "vm", "show", ""]);
        let ran = Ran::of(command.env("WATARI_NATS", format!("nats://127.0.0.1:{port}")).output().unwrap());
        assert_eq!((ran.status, ran.out.as_str(), ran.err.as_str()), (0, "", ""), "{port}");
    }
    let mut command = bare(&["names", "--", "vm", "show", ""]);
    let ran = Ran::of(command.env("WATARI_NKEY", "/nonexistent/operator.nk").output().unwrap());
    assert_eq!((ran.status, ran.out.as_str(), ran.err.as_str()), (0, "", ""));
}
