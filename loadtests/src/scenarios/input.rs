//! Wrong and hostile input: a clear error with a code, and nothing changed.

use std::time::Duration;

use anyhow::{bail, ensure};
use watari_chassis::CallError;

use super::{Stage, until};
use crate::requests;

type Run = fn(&Stage) -> anyhow::Result<()>;

pub(super) const SCENARIOS: &[(&str, Run)] = &[
    ("hostile_names_are_refused_and_change_nothing", hostile_names),
    ("what_is_no_request_is_refused_by_every_service", no_requests),
    ("absurd_sizes_are_refused_and_change_nothing", absurd_sizes),
    ("unknown_things_are_refused_by_name", unknown_things),
    ("a_name_that_is_taken_is_refused", taken_names),
    ("a_range_that_is_full_refuses_the_next_and_leaves_the_others_alone", full_range),
    ("ranges_that_make_no_sense_are_refused", senseless_ranges),
    ("a_projects_quota_refuses_the_next_server_until_it_is_raised", bounded_project),
];

/// What no refusal may change. Nodes, sites and what is counted of projects have news of their own.
const BOOKS: [(&str, &[&str]); 10] = [
    ("vm", &[]),
    ("network", &[]),
    ("image", &[]),
    ("port", &[]),
    ("key", &[]),
    ("firewall", &["name", "rules"]),
    ("project", &["name", "note", "quota"]),
    ("outage", &["id"]),
    ("site", &["name", "state", "outage", "paused_at"]),
    ("node", &["name", "cordoned", "labels"]),
];

/// Runs refusals and checks that the books are the same afterwards.
fn changing_nothing(stage: &Stage, refusals: impl Fn() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let before = stage.books(&BOOKS)?;
    refusals()?;
    let after = stage.books(&BOOKS)?;
    let changed: Vec<_> = before.iter().zip(&after).filter(|(before, after)| before != after).collect();
    ensure!(after == before, "{} rows became {}: {changed:?}", before.len(), after.len());
    Ok(())
}

fn hostile_names(stage: &Stage) -> anyhow::Result<()> {
    let long = "a".repeat(500);
    changing_nothing(stage, || {
        for name in ["*", ">", "a.b", "a b", "<domain/>", "../mail", "A", "-a", &long] {
            stage.refused("request.bad-name", &["vm", "create", "--image", "mini", "--", name])?;
            stage.refused("request.bad-name", &["vm", "show", "--", name])?;
        }
        Ok(())
    })
}

/// Without the command, which has a parser of its own.
fn no_requests(stage: &Stage) -> anyhow::Result<()> {
    const CASES: [(&str, &str); 13] = [
        ("vm.create", r#"{"name":NAME,"image":"mini"}"#),
        ("vm.create", r#"{"name":"stray","image":NAME}"#),
        ("vm.delete", r#"{"name":NAME}"#),
        ("vm.migrate", r#"{"name":"mail","to":NAME}"#),
        ("site.evacuate", r#"{"site":NAME}"#),
        ("key.delete", r#"{"name":NAME}"#),
        ("project.create", r#"{"name":NAME}"#),
        ("image.import", r#"{"name":NAME,"bytes":1,"request_id":"r"}"#),
        ("image.save", r#"{"name":NAME,"vm":"mail"}"#),
        ("image.delete", r#"{"name":NAME}"#),
        ("network.create", r#"{"name":NAME,"kind":"overlay","cidr":"10.9.0.0/24","range":"10.9.0.2-10.9.0.9"}"#),
        ("firewall.create", r#"{"name":NAME}"#),
        ("node.cordon", r#"{"name":NAME}"#),
    ];
    let long = "a".repeat(500);
    let names = ["*", ">", "a.b", "a b", "<domain/>", "../mail", "A", "-a", "", &long];
    let mut sent: Vec<(&str, String, &str)> = Vec::new();
    for (subject, case) in CASES {
        let named = |name: &str| case.replace("NAME", &serde_json::Value::from(name).to_string());
        sent.extend(names.iter().map(|name| (subject, named(name), "request.malformed")));
        for broken in ["", "{", "[]", "null", "{\"no-such-field\":1}"] {
            sent.push((subject, broken.to_owned(), "request.malformed"));
        }
        sent.push((subject, named(&"a".repeat(300_000)), "request.too-large"));
    }
    let sent: Vec<_> = sent.into_iter().map(|(s, payload, code)| (format!("watari.v1.{s}"), payload, code)).collect();
    changing_nothing(stage, || {
        let sent = sent.clone();
        let refused = requests::at_client(&stage.lab, async move |bus| {
            for (subject, payload, code) in sent {
                let start: String = payload.chars().take(80).collect();
                let answer = bus.request_bytes(&subject, payload.into_bytes(), Duration::from_secs(10)).await;
                let Err(CallError::Refused(told)) = answer else { bail!("{subject} {start} is answered {answer:?}") };
                ensure!(told.code == code, "{subject} {start} is refused with {}: {}", told.code, told.message);
                ensure!(!told.message.is_empty() && !told.hint.is_empty(), "no cause or no remedy: {told:?}");
            }
            Ok(())
        });
        refused.join().map_err(|_| anyhow::anyhow!("the client panicked"))?
    })
}

fn absurd_sizes(stage: &Stage) -> anyhow::Result<()> {
    let create = ["vm", "create", "absurd", "--image", "mini"];
    changing_nothing(stage, || {
        for (option, value) in [
            ("--vcpus", "0"),
            ("--vcpus", "100000"),
            ("--memory", "0MiB"),
            ("--memory", "1MiB"),
            ("--memory", "9999999GiB"),
            ("--disk", "0GiB"),
            ("--disk", "9999999TiB"),
        ] {
            stage.refused("request.out-of-range", &[&create[..], &[option, value]].concat())?;
        }
        Ok(())
    })
}

fn unknown_things(stage: &Stage) -> anyhow::Result<()> {
    changing_nothing(stage, || {
        let create = ["vm", "create", "stray", "--image"];
        stage.refused("image.unknown", &[&create[..], &["nothing"]].concat())?;
        stage.refused("network.unknown", &[&create[..], &["mini", "--network", "nothing"]].concat())?;
        stage.refused("site.unknown", &[&create[..], &["mini", "--site", "nowhere"]].concat())?;
        stage.refused("vm.unknown", &["vm", "start", "nobody"])?;
        stage.refused("vm.unknown", &["vm", "migrate", "nobody"])?;
        stage.refused("vm.unknown", &["vm", "save", "nobody", "--as", "stray"])?;
        stage.refused("node.unknown", &["vm", "migrate", "mail", "--to", "nowhere"])?;
        stage.refused("site.unknown", &["site", "evacuate", "nowhere"])?;
        stage.refused("migration.unknown", &["migration", "cancel", "mail-999999"])?;
        stage.refused("image.in-use", &["image", "delete", "mini", "--yes"])?;
        stage.refused("network.in-use", &["network", "delete", "campus", "--yes"])
    })
}

fn taken_names(stage: &Stage) -> anyhow::Result<()> {
    changing_nothing(stage, || {
        stage.refused("vm.exists", &["vm", "create", "mail", "--image", "mini"])?;
        stage.refused("image.exists", &["vm", "save", "mail", "--as", "mini"])
    })
}

fn full_range(stage: &Stage) -> anyhow::Result<()> {
    let cidr = ["--provider", "--cidr", "203.0.113.0/24", "--range", "203.0.113.230-203.0.113.231"];
    stage.watari(&[&["network", "create", "tiny"], &cidr[..]].concat())?;
    let create = |name| stage.watari(&["vm", "create", name, "--image", "mini", "--network", "tiny", "--no-start"]);
    create("tiny1")?;
    create("tiny2")?;
    changing_nothing(stage, || {
        stage.refused("network.range-exhausted", &["vm", "create", "tiny3", "--image", "mini", "--network", "tiny"])
    })?;
    for name in ["tiny1", "tiny2"] {
        stage.watari(&["vm", "delete", name, "--yes", "--wait"])?;
    }
    stage.watari(&["network", "delete", "tiny", "--yes"])?;
    Ok(())
}

fn senseless_ranges(stage: &Stage) -> anyhow::Result<()> {
    changing_nothing(stage, || {
        for (cidr, range) in [
            ("203.0.113.0/24", "203.0.114.1-203.0.114.9"),
            ("203.0.113.0/24", "203.0.113.9-203.0.113.1"),
            ("203.0.113.0/24", "203.0.113.0-203.0.113.9"),
            ("203.0.113.7/24", "203.0.113.1-203.0.113.9"),
            ("nonsense", "203.0.113.1-203.0.113.9"),
        ] {
            let arguments = ["network", "create", "bad", "--provider", "--cidr", cidr, "--range", range];
            stage.refused("network.bad-range", &arguments)?;
        }
        let overlapping = ["--provider", "--cidr", "203.0.113.0/24", "--range", "203.0.113.190-203.0.113.220"];
        stage.refused("network.range-overlaps", &[&["network", "create", "bad"], &overlapping[..]].concat())
    })
}

fn bounded_project(stage: &Stage) -> anyhow::Result<()> {
    let create = |name| ["vm", "create", name, "--image", "mini", "--project", "trial", "--no-start"];
    stage.watari(&["project", "create", "trial", "--servers", "1"])?;
    stage.watari(&create("trial1"))?;
    changing_nothing(stage, || {
        stage.refused("project.quota", &create("trial2"))?;
        stage.refused("project.unknown", &["vm", "create", "trial2", "--image", "mini", "--project", "nothing"])?;
        stage.refused("project.in-use", &["project", "delete", "trial", "--yes"])
    })?;
    stage.watari(&["project", "set", "trial", "--servers", "2"])?;
    stage.watari(&create("trial2"))?;
    let shown = stage.show("project", "trial")?;
    ensure!(shown["used"]["servers"] == 2 && shown["left"]["servers"] == 0, "{shown}");
    until(30, "usage names the project", || {
        let used = stage.watari(&["usage", "report", "--from", "1d", "--to", "0s", "--project", "trial"])?;
        let servers: Vec<_> = used.as_array().into_iter().flatten().map(|row| row["vm"].as_str()).collect();
        Ok(servers == [Some("trial1"), Some("trial2")])
    })?;
    for name in ["trial1", "trial2"] {
        stage.watari(&["vm", "delete", name, "--yes", "--wait"])?;
    }
    stage.watari(&["project", "delete", "trial", "--yes"])?;
    Ok(())
}
