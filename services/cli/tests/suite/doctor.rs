//! `watari doctor` against services that answer what the test wants. What each check finds is tried beside the
//! checks, and what is really broken is in the lab (`loadtests/src/scenarios/doctor.rs`).

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt, path::PathBuf};

use crate::support::{
    CLUSTER, Cloud, Files, Ran, bare, sample,
    stub::{
        Answer::{self, Refuse, Reply},
        Stub,
    },
    terminal::AtTerminal,
};
use serde_json::Value;
use unicode_width::UnicodeWidthStr;
use watari_cli::texts::troubles::Trouble;
use watari_model::Refusal;
use watari_testkit::{TempDir, free_port};

/// The samples of the contracts: much is wrong in them.
fn answer(subject: &str, asked: &Value) -> Answer {
    if subject == "watari.v1.node.get" && asked["name"] != "m1" {
        return Refuse(Refusal::NodeUnknown { node: "m9".to_owned() });
    }
    let mut reply = sample(match subject {
        "watari.v1.health.list" => "reply.HealthPage.json",
        "watari.v1.ups.list" => "reply.UpsPage.json",
        "watari.v1.node.get" => "reply.NodeView.json",
        "watari.v1.vm.list" => "reply.VmPage.json",
        "watari.v1.site.list" => "reply.SitePage.json",
        "watari.v1.outage.list" => "reply.OutagePage.json",
        "watari.v1.outage.plan" => "reply.OutagePlan.json",
        "watari.v1.image.list" => "reply.ImagePage.json",
        "watari.v1.network.list" => "reply.NetworkPage.json",
        other => panic!("{other} was asked"),
    });
    if subject == "watari.v1.health.list" || subject == "watari.v1.vm.list" {
        reply["next"] = Value::Null;
    }
    Reply(reply)
}

/// All of them, save the scheduler.
fn others(cloud: &Cloud) -> [Stub; 3] {
    [
        Stub::start(
            cloud,
            "monitor.m-front",
            &["watari.v1.health.list", "watari.v1.ups.list", "watari.v1.node.get"],
            answer,
        ),
        Stub::start(cloud, "image.m-front", &["watari.v1.image.list"], answer),
        Stub::start(cloud, "network.m-front", &["watari.v1.network.list"], answer),
    ]
}

fn scheduler(cloud: &Cloud) -> Stub {
    let subjects = ["watari.v1.vm.list", "watari.v1.site.list", "watari.v1.outage.list", "watari.v1.outage.plan"];
    Stub::start(cloud, "scheduler.m-front", &subjects, answer)
}

fn codes(ran: &Ran) -> BTreeSet<String> {
    ran.json().as_array().unwrap().iter().map(|finding| finding["code"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_is_wrong_is_told_with_reason_and_remedy_in_both_languages_and_by_the_exit_status() {
    let cloud = Cloud::start();
    let _stubs = (others(&cloud), scheduler(&cloud));
    let ran = cloud.run(&["doctor", "-o", "json"]);
    assert_eq!(ran.status, 5, "{ran:?}");
    let codes = codes(&ran);
    for code in ["bridge.missing", "bridge.no-uplink", "node.program-missing", "ups.silent", "service.no-leader"] {
        assert!(codes.contains(code), "{code} is not in {codes:?}");
    }
    for finding in ran.json().as_array().unwrap() {
        for told in [finding, &finding["ja"]] {
            let is_told = |field: &str| told[field].as_str().is_some_and(|text| !text.is_empty());
            assert!(["seen", "matters", "mend"].iter().all(|field| is_told(field)), "{finding}");
        }
        assert!(["failure", "warning", "note"].iter().any(|word| finding["severity"] == *word), "{finding}");
    }
    let ran = cloud.run(&["doctor"]);
    assert!(ran.out.starts_with("SEVERITY") && ran.out.contains("mend: "), "{ran:?}");
    let ran = cloud.run(&["doctor", "--lang", "ja"]);
    assert!(ran.out.starts_with("重要度") && ran.out.contains("対処: "), "{ran:?}");
}

#[test]
fn one_node_is_examined_alone_and_one_that_does_not_exist_is_refused() {
    let cloud = Cloud::start();
    let _stubs = (others(&cloud), scheduler(&cloud));
    let ran = cloud.run(&["doctor", "--node", "m1", "-o", "json"]);
    assert_eq!(ran.status, 5, "{ran:?}");
    assert!(ran.json().as_array().unwrap().iter().all(|finding| finding["nodes"][0] == "m1"), "{ran:?}");
    let ran = cloud.run(&["doctor", "--node", "m9"]);
    assert!(ran.status == 1 && ran.err.contains("error[node.unknown]"), "{ran:?}");
    assert_eq!(cloud.run(&["doctor", "--node", "<x>"]).status, 2);
}

#[test]
fn a_service_that_is_silent_keeps_nothing_else_from_being_looked_at() {
    let cloud = Cloud::start();
    let _stubs = others(&cloud);
    let ran = cloud.run(&["doctor", "-o", "json", "--timeout", "1s"]);
    let codes = codes(&ran);
    assert_eq!(ran.status, 5, "{ran:?}");
    assert!(codes.contains("doctor.unanswered") && codes.contains("node.program-missing"), "{codes:?}");
}

#[test]
fn a_viewer_sees_all_but_what_only_operators_may_foresee() {
    let cloud = Cloud::start();
    let _stubs = (others(&cloud), scheduler(&cloud));
    let ran = Ran::of(cloud.command("viewer", &["doctor", "-o", "json"]).output().unwrap());
    let codes = codes(&ran);
    assert!(codes.contains("doctor.not-permitted") && !codes.contains("doctor.unanswered"), "{codes:?}");
}

#[test]
fn on_a_terminal_of_40_columns_every_finding_is_told_in_whole_words() {
    let cloud = Cloud::start();
    let _stubs = (others(&cloud), scheduler(&cloud));
    for lang in ["en", "ja"] {
        let mut command = cloud.command("operator", &["doctor", "--lang", lang]);
        let shown = AtTerminal::start_within(40, command.env("NO_COLOR", "1")).shows_in_all();
        assert!(shown.contains("bridge.missing") && shown.contains("ups.silent"), "{shown}");
        // What is one word, such as a path, stays in one piece.
        let is_broken = |line: &&str| line.width() > 40 && line.trim().contains(' ');
        assert_eq!(shown.lines().filter(is_broken).collect::<Vec<_>>(), Vec::<&str>::new(), "{shown}");
    }
}

#[test]
fn what_is_wrong_has_its_colour_at_a_terminal_unless_somebody_wants_none() {
    let cloud = Cloud::start();
    let _stubs = (others(&cloud), scheduler(&cloud));
    let at_terminal = |noun: &[&str], no_color: &str| {
        let mut command = cloud.command("operator", noun);
        let command = command.env("TERM", "xterm").env("NO_COLOR", no_color);
        AtTerminal::start_within(120, command).shows_in_all()
    };
    let shown = at_terminal(&["doctor"], "");
    assert!(shown.contains("\x1b[31mFAILURE"), "{shown}");
    let shown = at_terminal(&["vm", "list"], "");
    assert!(shown.contains("\x1b[33mmail"), "it is on its way: {shown}");
    for words in [&["doctor"][..], &["vm", "list"]] {
        let (plain, ran) = (at_terminal(words, "1"), cloud.run(words));
        assert!(!plain.contains("\x1b[3") && !ran.out.contains('\x1b'), "{plain} {ran:?}");
    }
}

/// A host as a folder, with the settings of a service, and where the service's key is to be.
fn host_of(service: &str) -> (TempDir, PathBuf) {
    let host = TempDir::new();
    let key = host.path().join(format!("etc/watari/nkeys/{service}.nk"));
    fs::create_dir_all(key.parent().unwrap()).unwrap();
    fs::write(host.path().join(format!("etc/watari/{service}.toml")), "").unwrap();
    (host, key)
}

/// The host is a folder here; that a service is started again is tried in the lab.
#[test]
fn what_is_safely_mended_is_mended_on_the_host_itself_once_somebody_says_so() {
    let cloud = Cloud::start();
    let _stubs = (others(&cloud), scheduler(&cloud));
    let (host, key) = host_of("image");
    fs::write(&key, "").unwrap();
    let set = |mode| fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
    let mode = || fs::metadata(&key).unwrap().permissions().mode() & 0o777;
    set(0o644);
    let root = host.path().to_str().unwrap();
    let doctor = |more: &[&str]| {
        let mut command = cloud.command("operator", &[&["doctor", "-o", "json", "--root", root], more].concat());
        // Where its programs are.
        Ran::of(command.env("PATH", "/usr/bin:/bin").output().unwrap())
    };
    assert!(codes(&doctor(&[])).contains("host.key-open"));
    // Nobody is there who could be asked.
    let ran = doctor(&["--fix"]);
    assert!(ran.status != 0 && ran.err.contains("chmod o-rwx") && ran.out.is_empty(), "{ran:?}");
    assert_eq!(mode(), 0o644);
    let ran = doctor(&["--fix", "--yes"]);
    assert!(ran.err.contains("done: chmod o-rwx") && !codes(&ran).contains("host.key-open"), "{ran:?}");
    assert_eq!(mode(), 0o640);
    let ran = doctor(&["--fix", "--yes"]);
    assert!(!ran.err.contains("chmod"), "there is nothing more to mend: {ran:?}");
}

#[test]
fn a_key_of_the_hosts_own_that_nats_does_not_know_is_named_and_no_other() {
    let cloud = Cloud::start();
    let _stubs = (others(&cloud), scheduler(&cloud));
    let (host, key) = host_of("image");
    fs::copy(cloud.files.of_host("m-front", "etc/watari/nkeys/image.nk"), &key).unwrap();
    let root = host.path().to_str().unwrap();
    let doctor = || cloud.run(&["doctor", "-o", "json", "--root", root]);
    assert!(!codes(&doctor()).contains("host.key-refused"));
    let stranger = nkeys::KeyPair::new_user().seed().unwrap();
    fs::write(key.with_file_name("monitor.nk"), stranger).unwrap();
    let ran = doctor();
    let found = ran.json();
    let named = found.as_array().unwrap().iter().filter(|finding| finding["code"] == "host.key-refused");
    let seen: Vec<&str> = named.map(|finding| finding["seen"].as_str().unwrap()).collect();
    assert!(matches!(seen[..], [seen] if seen.contains("monitor.nk")), "{ran:?}");
}

#[test]
fn a_key_of_the_hosts_own_to_which_nats_gives_what_another_version_did_is_named_and_no_other() {
    let cloud = Cloud::start();
    let _stubs = (others(&cloud), scheduler(&cloud));
    let (host, key) = host_of("image");
    for service in ["image", "monitor"] {
        let own = cloud.files.of_host("m-front", &format!("etc/watari/nkeys/{service}.nk"));
        fs::copy(own, key.with_file_name(format!("{service}.nk"))).unwrap();
    }
    let config = host.path().join("etc/nats/nats.conf");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    let made = cloud.files.read("m-front", "etc/nats/nats.conf");
    fs::write(&config, &made).unwrap();
    let root = host.path().to_str().unwrap();
    let doctor = || cloud.run(&["doctor", "-o", "json", "--root", root]);
    assert!(!codes(&doctor()).contains("host.permissions-old"));
    // The image service hears one subject less.
    let (before, after) = made.split_once("# image.m-front\n").unwrap();
    let (own, heard) = after.split_once("subscribe: {allow: [").unwrap();
    let (_, heard) = heard.split_once(", ").unwrap();
    fs::write(&config, format!("{before}# image.m-front\n{own}subscribe: {{allow: [{heard}")).unwrap();
    let ran = doctor();
    let found = ran.json();
    let named = found.as_array().unwrap().iter().filter(|finding| finding["code"] == "host.permissions-old");
    let seen: Vec<&str> = named.map(|finding| finding["seen"].as_str().unwrap()).collect();
    assert!(matches!(seen[..], [seen] if seen.contains("image.nk") && !seen.contains("monitor.nk")), "{ran:?}");
}

#[test]
fn where_no_server_answers_it_is_told_what_is_wrong_with_the_host_itself() {
    let files = Files::make(CLUSTER);
    let (host, key) = host_of("scheduler");
    fs::write(&key, "").unwrap();
    let doctor = |mode| {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let nats = format!("tls://127.0.0.1:{}", free_port());
        let root = host.path().to_str().unwrap();
        let mut command = bare(&["doctor", "-o", "json", "--root", root, "--nats", &nats]);
        command.env("WATARI_NKEY", files.seed_file("operator")).env("WATARI_CA", files.authority());
        Ran::of(command.output().unwrap())
    };
    let ran = doctor(0o604);
    let found = codes(&ran);
    assert!(ran.status == 5 && found.contains("host.key-open") && found.contains("doctor.unanswered"), "{ran:?}");
    let ran = doctor(0o600);
    assert!(ran.status == 3 && ran.err.contains("error[bus.no-connection]"), "{ran:?}");
}

#[test]
fn a_host_is_looked_at_alone_without_a_key_or_a_server_and_a_machine_of_no_cluster_is_refused() {
    let (host, key) = host_of("node-agent");
    fs::write(&key, "").unwrap();
    let here = |root: &TempDir| {
        let words = ["doctor", "--here", "-o", "json", "--root", root.path().to_str().unwrap()];
        // Whoever asked anybody would be told that there is no connection.
        Ran::of(bare(&words).output().unwrap())
    };
    let set = |mode| fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
    set(0o604);
    let ran = here(&host);
    assert_eq!((ran.status, codes(&ran)), (4, BTreeSet::from(["host.key-open".to_owned()])), "{ran:?}");
    set(0o600);
    let ran = here(&host);
    assert_eq!((ran.status, codes(&ran)), (0, BTreeSet::new()), "{ran:?}");
    let ran = here(&TempDir::new());
    assert!(ran.status == 1 && ran.err.contains("error[host.nothing-set-up]"), "{ran:?}");
}

/// What no lab is broken for, and why; tests beside the checks break the facts instead, and what a file names really.
const NOT_IN_THE_LAB: [(&str, &str); 13] = [
    ("host.target-disabled", "a lab host has no systemd that starts anything with it: deploy/systemd-test"),
    ("host.target-off", "a lab host has no systemd that starts anything with it: deploy/systemd-test"),
    (
        "host.permissions-old",
        "a host in the lab has what this version makes within seconds: tried above, with a host's folder",
    ),
    ("node.clock", "all hosts of a lab have the machine's clock: deploy/systemd-test"),
    ("site.link-slow", "tells of the last migrations together, which other scenarios have made over links of any rate"),
    ("node.processor", "all hosts of a lab have the machine's processor, and under emulation each fits each"),
    ("service.versions-differ", "all hosts of a lab run the same programs, whose version is compiled in"),
    ("node.unexamined", "needs an agent from before there were examinations"),
    ("disk.slow", "the disk is the machine's, whose kernel may lack what delays one (dm-delay)"),
    ("vm.hangs", "takes five minutes without a word"),
    ("outage.forgotten", "takes a day"),
    (
        "service.standby-lags",
        "a standby answers on the connection on which it is told of writes, and after those: it lags for moments",
    ),
    ("quorum.lost", "nobody who could be asked answers then"),
];

/// Issue 8 asks for thirty set-ups that are broken and named: a scenario breaks each in the lab and waits for its code.
#[test]
fn whatever_the_doctor_finds_is_broken_in_the_lab_and_named_there_or_has_a_reason_why_not() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../loadtests/src/scenarios");
    let files = [folder.to_owned(), format!("{folder}/doctor")];
    let files = files.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let paths = files.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let scenarios: String = paths.map(|path| fs::read_to_string(path).unwrap()).collect();
    let (mut broken, mut reasons) = (BTreeSet::new(), BTreeSet::from(NOT_IN_THE_LAB.map(|(code, _)| code)));
    for trouble in Trouble::examples() {
        let code = trouble.code();
        // With what is seen of it: what may be named besides stands without.
        let named = scenarios.contains(&format!("(\"{code}\", "));
        assert_ne!(named, reasons.remove(code), "{code} is in no scenario, or in one and has a reason why not");
        if named {
            broken.insert(code);
        }
    }
    assert!(reasons.is_empty(), "nothing is called so: {reasons:?}");
    // The checks themselves name variants; codes are in their tests alone.
    let units = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctor/checks")).unwrap();
    let units: String = units.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect();
    for (code, why) in NOT_IN_THE_LAB {
        assert!(units.contains(&format!("\"{code}\"")), "{code} is broken nowhere: {why}");
        if let Some((_, file)) = why.split_once(": ").filter(|(_, file)| file.starts_with("deploy/")) {
            let script = fs::read_to_string(format!("{}/../../{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
            assert!(script.contains(code), "{code} is not in {file}");
        }
    }
    assert!(broken.len() >= 30, "{} are broken: {broken:?}", broken.len());
}

/// What the technicians met before (the design's first section): each has what finds it, where it is not made impossible.
#[test]
fn each_trouble_for_which_this_was_built_is_among_the_findings() {
    let told: BTreeSet<&str> = Trouble::examples().iter().map(Trouble::code).collect();
    for (met, found_by) in [
        (
            "a DHCP server was assumed, and a node or server got no address",
            ["network.dhcp-stranger", "bridge.no-uplink"],
        ),
        (
            "a bridge was made an interface with an address of its own",
            ["bridge.not-a-bridge", "bridge.address-on-port"],
        ),
        ("an instance did not start, and nobody said why", ["vm.down", "vm.hangs"]),
        ("data were gone, or could be", ["image.one-copy", "host.backup-old"]),
        ("a host was on, and nothing else was known of it", ["node.unexamined", "node.hypervisor"]),
        ("servers could not be moved live after all", ["node.processor", "path.closed"]),
        ("a campus goes dark, and servers cannot leave it", ["site.no-refuge", "vm.cannot-leave"]),
    ] {
        assert!(found_by.iter().all(|code| told.contains(code)), "{met}: {found_by:?}");
    }
}

/// A row of the guides' table is for one code, or as `node.*` for all of a kind.
#[test]
fn the_guides_lead_on_from_everything_that_can_be_found() {
    for lang in ["en", "ja"] {
        let path = format!("{}/../../docs/{lang}/src/trouble.md", env!("CARGO_MANIFEST_DIR"));
        let page = fs::read_to_string(&path).unwrap();
        let rows = page.lines().filter(|line| line.starts_with("| `")).filter_map(|row| row.split(" | ").next());
        let told: BTreeSet<&str> = rows.flat_map(|codes| codes.split('`')).collect();
        for trouble in Trouble::examples() {
            let code = trouble.code();
            let kind = format!("{}.*", code.split('.').next().unwrap());
            assert!(told.contains(code) || told.contains(kind.as_str()), "docs/{lang}/src/trouble.md lacks {code}");
        }
    }
}
