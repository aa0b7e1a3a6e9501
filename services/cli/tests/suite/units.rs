//! systemd's units load what `watari setup` makes, and set what the services know.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::support::{CLUSTER, Files, read, tree};
use toml::{Table, Value};
use watari_chassis::{Options, config};

/// Each service's unit, and the host of the description that it runs on.
const UNITS: [(&str, &str, &str); 5] = [
    ("scheduler", "watari-scheduler", "m-front"),
    ("image", "watari-image", "m-front"),
    ("network", "watari-network", "m-front"),
    ("monitor", "watari-monitor", "m-front"),
    ("node-agent", "watari-agent", "m1"),
];

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// The values of a directive, one an occurrence.
fn all(unit: &str, directive: &str) -> Vec<String> {
    let lines = unit.lines().filter_map(|line| line.strip_prefix(directive)?.strip_prefix('='));
    lines.map(str::to_owned).collect()
}

fn unit(name: &str) -> String {
    read(&repository(&format!("deploy/systemd/{name}.service")))
}

/// The names of the environment's variables for every key of a service.
fn variables(service: &str) -> BTreeSet<String> {
    fn walk(prefix: &str, table: &Table, names: &mut BTreeSet<String>) {
        for (key, value) in table {
            let name = format!("{prefix}_{}", key.replace('-', "_").to_uppercase());
            match value {
                Value::Table(below) if !below.is_empty() => walk(&name, below, names),
                _ => {
                    names.insert(name);
                }
            }
        }
    }
    let defaults = read(&repository(&format!("services/{service}/src/defaults.toml")));
    // A name for which this machine has no file.
    let printed = config::printed("none-of-this-name", &defaults, &Options::default()).unwrap();
    let mut names = BTreeSet::new();
    walk("WATARI", &printed.parse().unwrap(), &mut names);
    names
}

#[test]
fn what_units_read_is_what_setup_makes() {
    let files = Files::make(CLUSTER);
    let hosts = UNITS.map(|(_, unit, host)| (unit, host)).into_iter().chain([("watari-nats", "m-front")]);
    for (name, host) in hosts {
        let text = unit(name);
        let conditions = all(&text, "ConditionPathExists");
        let credentials = all(&text, "LoadCredential");
        let loaded = credentials.iter().map(|credential| credential.split_once(':').unwrap().1.to_owned());
        let owned = all(&text, "ExecStartPre").into_iter().flat_map(|command| {
            command.split(' ').filter(|word| word.starts_with("/etc/")).map(str::to_owned).collect::<Vec<_>>()
        });
        assert!(!conditions.is_empty(), "{name} starts on hosts that it is not for");
        for path in conditions.into_iter().chain(loaded).chain(owned) {
            let there = files.of_host(host, path.trim_start_matches('/'));
            assert!(there.exists(), "{name} reads {path}, which setup does not make");
        }
    }
}

#[test]
fn what_units_set_is_what_services_know_and_names_a_credential_of_their_own() {
    for (service, name, _) in UNITS {
        let (text, known) = (unit(name), variables(service));
        let credentials: Vec<String> = all(&text, "LoadCredential");
        let loaded: BTreeSet<&str> = credentials.iter().map(|c| c.split_once(':').unwrap().0).collect();
        for set in all(&text, "Environment").iter().flat_map(|line| line.split(' ')) {
            let (variable, value) = set.split_once('=').unwrap();
            assert!(known.contains(variable), "{name} sets {variable}, which {service} does not know");
            let credential = value.strip_prefix("%d/").unwrap_or_else(|| panic!("{name}: {set}"));
            assert!(loaded.contains(credential), "{name} names {credential}, which it does not load");
        }
    }
}

/// Warnings are no failure of the unit; its exit status for them is the doctor's own.
#[test]
fn the_doctor_looks_each_day_where_commands_can_be_typed() {
    let (service, file) = (unit("watari-doctor"), |name: &str| read(&repository(&format!("deploy/systemd/{name}"))));
    let timer = file("watari-doctor.timer");
    assert_eq!(all(&service, "ExecStart"), ["/usr/bin/watari doctor"]);
    assert_eq!(all(&service, "SuccessExitStatus"), ["4"]);
    assert_eq!(all(&timer, "OnCalendar"), ["*-*-* 07:00"]);
    let files = Files::make(CLUSTER);
    assert!(
        files.of_host("client", "etc/watari/cli.toml").exists(),
        "setup makes no such file where commands are typed"
    );
    for text in [&service, &timer] {
        assert!(all(text, "ConditionPathExists").contains(&"/etc/watari/cli.toml".to_owned()));
    }
    let wanted = all(&file("watari-front.target"), "Wants").join(" ");
    assert!(wanted.split(' ').any(|unit| unit == "watari-doctor.timer"), "{wanted}");
}

/// What people are told to type, and what is told of by its whole name.
fn units_of(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-._*{}".contains(c);
    let kinds = [".service", ".target", ".timer", ".path", ".socket"];
    let mut found = BTreeSet::new();
    for line in text.lines() {
        let words = |text: &str| {
            let words = text.split(|c: char| !is_part(c)).map(|word| word.trim_end_matches('.').to_owned());
            words.filter(|word| word.starts_with("watari-") && !word.contains(['*', '{'])).collect::<Vec<_>>()
        };
        found.extend(words(line).into_iter().filter(|word| kinds.iter().any(|kind| word.ends_with(*kind))));
        for command in ["systemctl ", "journalctl "].into_iter().flat_map(|program| line.split(program).skip(1)) {
            found.extend(words(command.split(['`', ';', ',', '。', '、']).next().unwrap_or_default()));
        }
    }
    let whole = |unit: String| if kinds.iter().any(|kind| unit.ends_with(*kind)) { unit } else { unit + ".service" };
    found.into_iter().map(whole).collect()
}

/// A program may be called otherwise: `watari-agent.service` starts `watari-node-agent`.
#[test]
fn every_unit_that_texts_and_guides_name_is_in_a_package() {
    let crates = ["services/cli", "shared/model", "shared/chassis"].map(|name| format!("{name}/src"));
    let folders = crates.iter().map(String::as_str).chain(["docs/en/src", "docs/ja/src", "deploy/man"]);
    let below = folders.flat_map(|folder| tree(&repository(folder))).map(|(path, (_, text))| (path, text));
    let alone = ["README.md", "README.ja.md", "deploy/INSTALL.md", "deploy/INSTALL.ja.md"].into_iter();
    let of_alerts = ["rules.yml", "RUNBOOK.md", "RUNBOOK.ja.md"].map(|name| format!("deploy/prometheus/{name}"));
    let alone = alone
        .map(str::to_owned)
        .chain(of_alerts)
        .map(|path| (repository(&path), read(&repository(&path)).into_bytes()));
    let package = read(&repository("deploy/package"));
    let put: BTreeSet<&str> = package.split(|c: char| c.is_whitespace() || "'\"/;".contains(c)).collect();
    let mut named = BTreeSet::new();
    for (path, text) in below.chain(alone) {
        for unit in units_of(&String::from_utf8_lossy(&text)) {
            let packed =
                put.contains(unit.as_str()) || unit.strip_suffix(".service").is_some_and(|name| put.contains(name));
            let there = packed && repository("deploy/systemd").join(&unit).exists();
            assert!(there, "{} names {unit}, which no package has", path.display());
            named.insert(unit);
        }
    }
    assert!(named.len() > 8, "only {named:?} were found");
    assert_eq!(units_of("`systemctl status watari-node-agent`.").first().unwrap(), "watari-node-agent.service");
}

/// No person's key is on a node, so that nobody else is asked.
#[test]
fn on_a_node_the_doctor_looks_each_day_at_the_host_alone() {
    let (service, file) =
        (unit("watari-node-doctor"), |name: &str| read(&repository(&format!("deploy/systemd/{name}"))));
    let timer = file("watari-node-doctor.timer");
    assert_eq!(all(&service, "ExecStart"), ["/usr/bin/watari doctor --here"]);
    assert_eq!(all(&service, "SuccessExitStatus"), ["4"]);
    assert_eq!(all(&timer, "OnCalendar"), ["*-*-* 07:00"]);
    let files = Files::make(CLUSTER);
    assert!(files.of_host("m1", "etc/watari/node-agent.toml").exists(), "setup makes no such file on nodes");
    for text in [&service, &timer] {
        assert!(all(text, "ConditionPathExists").contains(&"/etc/watari/node-agent.toml".to_owned()));
    }
    let wanted = all(&file("watari-node.target"), "Wants").join(" ");
    assert!(wanted.split(' ').any(|unit| unit == "watari-node-doctor.timer"), "{wanted}");
    // What an earlier version had not is started by an upgrade, and nothing is left of it by a removal.
    for script in ["postinst", "prerm"] {
        let text = read(&repository(&format!("deploy/debian/watari-node/{script}")));
        assert!(text.contains("watari-node-doctor.timer"), "{script}");
    }
}

#[test]
fn a_node_takes_migrations_at_the_address_of_its_description() {
    let files = Files::make(CLUSTER);
    let socket = files.read("m1", "etc/systemd/system/libvirtd-tls.socket.d/watari-address.conf");
    assert!(socket.contains("\nListenStream=\nListenStream=127.0.0.11:16514\n"), "{socket}");
}
