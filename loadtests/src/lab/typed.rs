//! `deploy/lab` and `deploy/demo` as people type them: what makes no sense is told, with what would, before anything is
//! done. No lab is needed for that, but root, as for all that they do.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use watari_testkit::TempDir;

/// A file of the repository's folder `deploy`.
fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name)
}

/// A command's exit status, and all that it says.
fn ran(command: &mut Command) -> (Option<i32>, String) {
    let ran = command.stdin(Stdio::null()).output().unwrap();
    (ran.status.code(), String::from_utf8([ran.stdout, ran.stderr].concat()).unwrap())
}

/// `deploy/lab`, where there is no lab.
fn lab(folder: &TempDir, line: &str) -> (Option<i32>, String) {
    let mut lab = Command::new(deploy("lab"));
    lab.args(line.split_whitespace());
    lab.env("WATARI_LAB_DIR", folder.path().join("lab")).env("WATARI_LAB_PREFIX", "watari-typed-");
    ran(&mut lab)
}

#[test]
fn what_the_lab_does_not_do_is_told_with_what_it_does_and_changes_nothing() {
    let folder = TempDir::new();
    for (line, told, remedy) in [
        ("fly", "'fly' is not something the lab does", "deploy/lab --help"),
        ("help fly", "'fly' is not something the lab does", "deploy/lab --help"),
        (
            "up now",
            "up takes [--link-mbit N] [--witness SITE] [--empty | --prometheus], not 'now'",
            "deploy/lab up --help",
        ),
        ("up --link-mbit", "'' is no number of megabits a second", "0 (no limit) to 99999"),
        ("up --link-mbit 1e3", "'1e3' is no number of megabits a second", "0 (no limit) to 99999"),
        ("up --empty --prometheus", "none runs in such a lab", "leave --empty and WATARI_LAB_SERVICES out"),
        ("up --witness mars", "no site is called 'mars'", "the sites are: myodaiji yamate"),
        ("down now", "down takes: no arguments", "deploy/lab down --help"),
        ("status now", "status takes [--json], not 'now'", "deploy/lab status --help"),
        ("status --json now", "status takes [--json], not '--json now'", "deploy/lab status --help"),
        ("exec", "exec takes: HOST -- CMD…", "deploy/lab exec --help"),
        ("exec mars -- true", "no host is called 'mars'", "m-front m1 m2 y-front y1 y2 witness client"),
        ("power-off", "power-off takes: HOST, SITE or SITE-nodes", "deploy/lab power-off --help"),
        ("power-on m1 m2", "power-on takes: HOST, SITE or SITE-nodes", "deploy/lab power-on --help"),
        ("cut m1", "no site is called 'm1'", "the sites are: myodaiji yamate"),
        ("heal", "heal takes: SITE", "deploy/lab heal --help"),
        ("link 200", "link takes: --mbit N", "deploy/lab link --help"),
        ("link --mbit fast", "'fast' is no number of megabits a second", "0 (no limit) to 99999"),
        ("logs mars", "no host is called 'mars'", "m-front m1 m2 y-front y1 y2 witness client"),
        ("logs m1 libvirtd now", "logs takes: [-f] HOST [SERVICE]", "deploy/lab logs --help"),
        ("kill m1", "kill takes: HOST SERVICE [SIGNAL]", "deploy/lab kill --help"),
        ("kill m1 libvirtd HARD", "'HARD' is no signal", "KILL, TERM or STOP"),
        ("guest-image fedora", "unknown argument 'fedora'", "--help"),
        ("exec client -- true", "the lab is not up", "deploy/lab up"),
        ("power-off m1", "the lab is not up", "deploy/lab up"),
        ("cut myodaiji", "the lab is not up", "deploy/lab up"),
        ("link --mbit 200", "the lab is not up", "deploy/lab up"),
        ("logs m1", "the lab is not up", "deploy/lab up"),
        ("kill m1 libvirtd", "the lab is not up", "deploy/lab up"),
    ] {
        let (status, said) = lab(&folder, line);
        assert!(status == Some(1) && said.contains(told) && said.contains(remedy), "{line}: {status:?} {said}");
    }
    assert!(!folder.path().join("lab").exists());
}

#[test]
fn the_lab_says_what_it_does_and_how_it_stands() {
    let folder = TempDir::new();
    let (status, help) = lab(&folder, "--help");
    assert_eq!(status, Some(0), "{help}");
    for verb in [
        "up [--link-mbit N]",
        "down",
        "status [--json]",
        "exec HOST -- CMD…",
        "power-off HOST|SITE",
        "power-on HOST|SITE",
        "cut SITE",
        "heal SITE",
        "link --mbit N",
        "logs [-f] HOST [SERVICE]",
        "guest-image",
    ] {
        assert!(help.contains(verb), "{verb} is not in {help}");
        let (status, more) = lab(&folder, &format!("{} --help", verb.split(' ').next().unwrap()));
        assert!(status == Some(0) && more.starts_with("deploy/lab "), "{verb}: {more}");
    }
    let (_, told) = lab(&folder, "status --json");
    let status: Value = serde_json::from_str(&told).unwrap();
    let hosts: Vec<_> = status["hosts"].as_array().unwrap().iter().map(|host| host["name"].as_str().unwrap()).collect();
    assert_eq!(hosts, ["m-front", "m1", "m2", "y-front", "y1", "y2", "witness", "client"]);
    assert_eq!(status["up"], false);
}

/// What stands in for whatever the demo calls: it notes what it is asked, and may fail at one of these things.
const PART: &str = r#"#!/bin/sh
asked="${0##*/} $1"
echo "$asked" >>"$STAGE/asked"
[ "$asked" != "lab status" ] || echo "$STANDS"
[ "$asked" != "$FAILS" ]
"#;
const NO_LAB: &str = r#"{"up": false}"#;

/// The demo's exit status and words, and what it asked for in turn, where a lab stands so, and one thing fails.
fn demo(arguments: &[&str], stands: &str, fails: &str) -> (Option<i32>, String, Vec<String>) {
    let stage = TempDir::new();
    let place = |name: &str| stage.path().join(name);
    fs::create_dir_all(place("cargo/bin")).unwrap();
    fs::create_dir(place("deploy")).unwrap();
    symlink(deploy("demo"), place("deploy/demo")).unwrap();
    fs::write(place("part"), PART).unwrap();
    fs::set_permissions(place("part"), fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["deploy/prerequisites", "deploy/lab", "cargo/bin/cargo"] {
        symlink(place("part"), place(name)).unwrap();
    }
    let mut demo = Command::new(place("deploy/demo"));
    demo.args(arguments).env("STAGE", stage.path()).env("STANDS", stands).env("FAILS", fails);
    // Its files are meant from where the caller is.
    demo.current_dir(place("cargo"));
    demo.env("CARGO_HOME", place("cargo")).env("LANG", "C").env_remove("LC_ALL");
    let (status, said) = ran(&mut demo);
    let asked = fs::read_to_string(place("asked")).unwrap_or_default();
    (status, said, asked.lines().map(str::to_owned).collect())
}

#[test]
fn a_demo_takes_no_lab_away_that_it_has_not_brought_up() {
    const BEFORE: [&str; 3] = ["prerequisites --for", "lab status", "cargo build"];
    for (stands, fails, asked) in [
        (r#"{"up": true}"#, "prerequisites --for", &BEFORE[..1]),
        (r#"{"up": true}"#, "", &BEFORE[..2]),
        (NO_LAB, "lab status", &BEFORE[..2]),
        (NO_LAB, "cargo build", &BEFORE[..]),
    ] {
        let (status, said, did) = demo(&[], stands, fails);
        assert!(
            status.is_some_and(|status| status != 0) && did == asked,
            "{fails:?} {stands}: {status:?} {did:?} {said}"
        );
    }
    let all = ["prerequisites --for", "lab status", "cargo build", "lab guest-image", "lab up", "lab down"];
    let (status, said, did) = demo(&[], NO_LAB, "lab up");
    assert!(status.is_some_and(|status| status != 0) && did == all, "{status:?} {did:?} {said}");
    let (_, said, did) = demo(&["--keep"], NO_LAB, "lab up");
    assert!(did == all[..5] && said.contains("the lab stays up"), "{did:?} {said}");
}

#[test]
fn a_demo_that_makes_no_sense_is_told_so_before_anything_is_installed_or_built() {
    for (arguments, told) in [
        (&["now"][..], "unknown argument 'now'"),
        (&["--json"], "--json needs a value"),
        (&["--json", "/nowhere/at/all.json"], "no file can be written as '/nowhere/at/all.json'"),
        (&["--html", "/"], "no file can be written as '/'"),
        (&["--html", "bin"], "/cargo/bin'"),
        (&["--link-mbit", "0"], "'0' is no rate of a link"),
        (&["--link-mbit", "fast"], "'fast' is no rate of a link"),
        (&["--lang", "fr"], "'fr' is no language of the report"),
        (&["--witness", "mars"], "'mars' is no campus"),
    ] {
        let (status, said, did) = demo(arguments, NO_LAB, "");
        assert!(status == Some(2) && said.contains(told) && did.is_empty(), "{arguments:?}: {status:?} {did:?} {said}");
    }
}

/// What the demo writes down when all goes well.
fn account() -> Value {
    let moved = json!({"total_ms": 2310, "downtime_ms": 140, "pause_ms": 31, "memory_bytes": 99_614_720,
        "disk_bytes": 4_718_592});
    let vm = |name: &str| {
        let (gib, ahead) = if name == "app1" { (2, 314_572_800) } else { (1, 0) };
        json!({"vm": name, "disk_gib": gib, "ahead_bytes": ahead, "disk_bytes": 4_718_592, "out": moved, "home": moved})
    };
    let seen = |vm: &str| {
        json!({"vm": vm, "probe": "smtp:25", "front_end": "y-front", "asked": 90, "failed": 0, "longest_gap_ms": 1000,
            "slowest_ms": 40, "unwatched_ms": 0})
    };
    let vms = ["mail", "web", "app1", "app2", "app3", "app4"].map(vm);
    let leads = |site: &'static str| [site; 4];
    let (always, boots) = (json!({"before": true, "dark": true, "home": true}), json!(["mail 203.0.113.100 6b1f"]));
    json!({
        "mails": {"sent": 300, "received": 300, "lost": 0, "retried": 0},
        "http": {"requests": 900, "failed": 0, "longest_gap_ms": 700, "boots_seen": 1},
        "connection": {"survived": true, "longest_gap_ms": 600, "echoes": 900},
        "control": {"requests": 4000, "failed": 0, "longest_ms": 500},
        "vms": vms,
        "failed": [],
        "makespan_ms": 22_000, "lower_bound_ms": 20_000, "home_makespan_ms": 22_000, "home_lower_bound_ms": 20_000,
        "outage": {"to_spare_ms": 30_000},
        "dark": {"running_at_yamate": 6},
        "handover": {"out": {"to": "yamate", "took_ms": 5000}, "home": {"took_ms": 5000}, "dark_leads": leads("yamate"),
            "end_leads": leads("myodaiji"), "nats_restored_ms": 20_000},
        "at_home": {"running": 6},
        "seen": [seen("mail"), seen("web")],
        "overlay": always, "guarded": always, "held": {"survived": true, "echoes": 300},
        "identities": {"before": boots, "home": boots},
        "dashboards": {"questions": 135, "with_data": 128, "at": {"leaving": 126, "dark": 127, "home": 127}, "missing": [],
            "missing_while_leaving": [], "processor_share": 0.01,
            "silent": [{"metric": "watari_node_fencing", "en": "none", "ja": "なし", "unanswered": true}]},
        "alerts": {"fired": ["WatariNodeLost"], "left": []},
        "link_mbit": 200, "seconds": 300,
    })
}

/// How the demo's report of that ends, and how many of its claims hold and do not.
fn report(account: &Value, lang: &str) -> (Option<i32>, usize, usize) {
    let folder = TempDir::new();
    let file = folder.path().join("report.json");
    fs::write(&file, account.to_string()).unwrap();
    let (status, said) = ran(Command::new(deploy("demo.d/report")).arg(&file).arg(lang));
    (status, said.matches('✓').count(), said.matches('✗').count())
}

#[test]
fn a_demo_of_which_any_claim_fails_has_failed() {
    let mut account = account();
    let (status, claims, wrong) = report(&account, "en");
    assert!(status == Some(0) && claims > 15 && wrong == 0, "{status:?}: {claims} claims, {wrong} wrong");
    for (path, spoilt) in [
        ("/connection/echoes", json!(0)),
        ("/connection/longest_gap_ms", json!(null)),
        ("/held/echoes", json!(0)),
        ("/dashboards/missing", json!(["sum(watari_nats_up)"])),
        ("/alerts/fired", json!(["WatariProcessDown"])),
    ] {
        let sound = std::mem::replace(account.pointer_mut(path).unwrap(), spoilt);
        assert_eq!(report(&account, "en"), (Some(1), claims - 1, 1), "{path}");
        *account.pointer_mut(path).unwrap() = sound;
    }
    account["seconds"] = 360.into();
    assert_eq!(report(&account, "en"), (Some(1), claims - 1, 1));
    for (path, spoilt) in [
        ("/mails/lost", json!(1)),
        ("/http/failed", json!(1)),
        ("/http/boots_seen", json!(2)),
        ("/http/longest_gap_ms", json!(5001)),
        ("/connection/survived", json!(false)),
        ("/seen/1/asked", json!(0)),
        ("/overlay/dark", json!(false)),
        ("/held/survived", json!(false)),
        ("/guarded/home", json!(false)),
        ("/identities/home/0", json!("mail 203.0.113.100 77aa")),
        ("/failed", json!([{"vm": "app4"}])),
        ("/vms/2/disk_bytes", json!(1_u64 << 30)),
        ("/outage/to_spare_ms", json!(-1)),
        ("/dark/running_at_yamate", json!(5)),
        ("/at_home/running", json!(5)),
        ("/handover/dark_leads/3", json!("myodaiji")),
        ("/control/failed", json!(1)),
        ("/handover/nats_restored_ms", json!(60_001)),
        ("/dashboards/missing_while_leaving", json!(["sum(watari_nats_up)"])),
        ("/alerts/left", json!(["WatariNodeLost"])),
    ] {
        *account.pointer_mut(path).unwrap() = spoilt;
    }
    assert_eq!(report(&account, "ja"), (Some(1), 0, claims));
}
