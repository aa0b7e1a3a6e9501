//! Who may do what: an operator of one project, and somebody who only looks, each with a key of their own as `watari setup`
//! makes it.

use anyhow::ensure;

use super::{Stage, until};

type Run = fn(&Stage) -> anyhow::Result<()>;

pub(super) const SCENARIOS: &[(&str, Run)] = &[
    ("an_operator_of_one_project_changes_its_servers_alone_and_evacuates_nothing", operator),
    ("a_viewer_sees_every_server_and_changes_none", viewer),
];

/// Their keys on the client. The first is `sato`'s, by the lab's description of the cluster.
const OPERATOR: &str = "/etc/watari/sato.nk";
const VIEWER: &str = "/etc/watari/viewer.nk";
/// The operator's project, and the server that it gets.
const PROJECT: &str = "research";
const VM: &str = "results";

/// The command, asked with a key.
fn by<'w>(key: &'w str, words: &[&'w str]) -> Vec<&'w str> {
    [&["--nkey", key][..], words].concat()
}

fn operator(stage: &Stage) -> anyhow::Result<()> {
    let boot = stage.boot_id(&stage.address("mail")?)?;
    if stage.show("project", PROJECT).is_err() {
        stage.watari(&["project", "create", PROJECT, "--servers", "1"])?;
    }
    let outcome = in_one_project(stage);
    if stage.show("vm", VM).is_ok() {
        stage.watari(&["vm", "delete", VM, "--yes", "--wait"])?;
    }
    let deleted = stage.watari(&["project", "delete", PROJECT, "--yes"]);
    outcome.and(deleted)?;
    stage.sound("mail", &boot)
}

fn in_one_project(stage: &Stage) -> anyhow::Result<()> {
    let sato = |words: &[&str]| stage.watari(&by(OPERATOR, words));
    let refused = |code: &str, words: &[&str]| stage.refused(code, &by(OPERATOR, words));
    let size = ["--memory", "128MiB", "--disk", "1GiB"];
    let create = |name, project| {
        let who = ["vm", "create", name, "--image", "mini", "--network", "campus", "--project", project];
        [&who[..], &size[..]].concat()
    };
    sato(&[&create(VM, PROJECT)[..], &["--wait"]].concat())?;
    sato(&["vm", "edit", VM, "--priority", "3"])?;
    // Its guest may not have booted yet, and would not hear that it is to shut down.
    sato(&["vm", "stop", VM, "--force", "--wait"])?;
    sato(&["vm", "start", VM, "--wait"])?;
    refused("project.quota", &create("more", PROJECT))?;

    ensure!(sato(&["vm", "show", "mail"])?["project"] == "default", "another project's server is not shown");
    let of_others: [&[&str]; 4] = [
        &create("more", "default"),
        &["vm", "edit", VM, "--project", "default"],
        &["vm", "edit", "mail", "--priority", "3"],
        &["vm", "stop", "mail"],
    ];
    for words in of_others {
        refused("project.other", words)?;
    }
    let of_operators_of_all: [&[&str]; 4] = [
        &["site", "evacuate", "myodaiji"],
        &["vm", "migrate", VM, "--to", "y1"],
        &["node", "cordon", "m1"],
        &["project", "set", PROJECT, "--servers", "9"],
    ];
    for words in of_operators_of_all {
        refused("bus.not-permitted", words)?;
    }
    ensure!(stage.outage_at("myodaiji")?.is_none(), "an evacuation has begun");

    until(30, "the history names who did it", || {
        let done = stage.watari(&["history", &format!("vm/{VM}"), "--by", "sato"])?;
        Ok(done[0]["by"].as_str().is_some_and(|by| by.starts_with("sato@")))
    })?;
    sato(&["vm", "delete", VM, "--yes", "--wait"])?;
    stage.refused("vm.unknown", &["vm", "show", VM])
}

fn viewer(stage: &Stage) -> anyhow::Result<()> {
    let boot = stage.boot_id(&stage.address("mail")?)?;
    let look = |words: &[&str]| stage.watari(&by(VIEWER, words));
    ensure!(look(&["vm", "show", "mail"])?["state"] == "running", "a viewer is shown something else");
    ensure!(
        look(&["node", "list"])?.as_array().is_some_and(|nodes| nodes.len() == 4),
        "a viewer is not shown all nodes"
    );
    let changes: [&[&str]; 5] = [
        &["vm", "edit", "mail", "--priority", "3"],
        &["vm", "stop", "mail"],
        &["vm", "create", "more", "--image", "mini", "--no-start"],
        &["site", "evacuate", "myodaiji"],
        &["node", "cordon", "m1"],
    ];
    for words in changes {
        stage.refused("bus.not-permitted", &by(VIEWER, words))?;
    }
    stage.sound("mail", &boot)
}
