//! The spellings that are fixed: what the README and others' scripts type stays understood.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, mem,
};

use clap::{CommandFactory, Parser};
use watari_cli::options::Options;

const README: &str = include_str!("../../../../README.md");
/// The guides in English; those in Japanese have the same commands, as another test says.
const GUIDES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/en/src");

#[test]
fn every_fixed_spelling_is_understood() {
    for line in [
        "vm create mail --image mini --network campus",
        "vm create mail --image mini --network campus --site myodaiji --vcpus 2 --memory 192MiB --disk 2GiB --wait",
        "vm list",
        "vm list -o json",
        "vm list -o yaml",
        "vm list -o wide",
        "vm list -o name",
        "-o json vm list",
        "vm show mail -o table",
        "vm start mail --wait",
        "vm start mail --no-wait",
        "vm migrate mail --wait --wait-timeout 5m --no-wait",
        "vm start mail --discard-copy --wait",
        "vm stop mail --wait",
        "vm stop mail --force",
        "vm reboot mail",
        "vm reboot mail --force --wait",
        "vm preseed mail",
        "vm preseed mail --to y1 --wait",
        "vm preseed mail --cancel",
        "vm resize mail --vcpus 2 --memory 512MiB --disk 4GiB",
        "vm resize mail --memory 1GiB -o json",
        "vm edit mail --restart never --priority 90",
        "vm edit mail --evacuate stay -o json",
        "vm edit mail --on-isolation stop",
        "vm edit mail --restart-from-copy 3600",
        "vm edit mail --max-downtime 20",
        "vm create mail --image mini --network campus --restart never",
        "image import debian.qcow2 --name debian --os Debian --edition 13 --default-user debian --min-memory 512MiB",
        "image import rocky.qcow2 --name rocky --firmware uefi",
        "image edit rocky --firmware bios --description mail",
        "vm delete mail --yes --wait",
        "vm delete mail --keep-disk",
        "vm create mail2 --from-disk mail-7b1d4c2e --network campus",
        "disk list -o name",
        "disk list --project research",
        "disk show mail-7b1d4c2e",
        "disk delete mail-7b1d4c2e --yes",
        "vm migrate mail",
        "vm migrate mail --to y1 --wait",
        "vm save mail --as mail-2026",
        "vm save mail --as mail-2026 --wait -o json",
        "vm snapshot create mail before-upgrade --wait",
        "vm snapshot list mail -o json",
        "vm snapshot revert mail before-upgrade --yes --wait",
        "vm snapshot delete mail before-upgrade -y",
        "vm snapshot delete mail before-upgrade --yes --wait --wait-timeout 1m",
        "vm export",
        "vm export mail web -o json",
        "apply -f servers.yaml --dry-run",
        "apply --file - --yes --wait -o json",
        "vm console mail",
        "vm console mail --force",
        "vm console-log mail",
        "vm screenshot mail",
        "vm screenshot mail boot.png -o json",
        "vm create desk --image mini --network campus --display",
        "node list",
        "node show m1",
        "node cordon m1",
        "node uncordon m1",
        "node drain m1 --wait",
        "node confirm-off m1 --yes",
        "node remove m1 -y",
        "node power m1 --status",
        "node power m1 --off --dry-run",
        "node power m1 --off --yes",
        "node power m1 --on -o json",
        "backup create /var/backups/watari",
        "backup verify /var/backups/watari -o json",
        "backup restore /var/backups/watari --yes",
        "site list",
        "site evacuate myodaiji",
        "site evacuate myodaiji --wait -o json",
        "site evacuate myodaiji --dry-run",
        "site return myodaiji --wait",
        "site power myodaiji battery --left 10m",
        "site power myodaiji mains",
        "image import mini.qcow2 --name mini",
        "image import mini.qcow2 --name mini --wait",
        "image import mini.qcow2 --name mini --sha256 --wait",
        "image import mini.qcow2 --name mini --sha256 00",
        "image list",
        "image show mini",
        "image delete mini",
        "network create campus --provider --cidr 203.0.113.0/24 --range 203.0.113.100-203.0.113.199",
        "network create lab --overlay --cidr 10.0.0.0/24 --range 10.0.0.10-10.0.0.99",
        "network create lab --overlay --cidr 10.0.0.0/24 --range 10.0.0.10-10.0.0.99 --gateway 10.0.0.1 --dns 10.0.0.2 --mtu 1400",
        "network create staff --provider --vlan 30 --cidr 192.0.2.0/24 --range 192.0.2.100-192.0.2.199",
        "network create far --provider --cidr 192.0.2.0/24 --range 192.0.2.100-192.0.2.199 --route 198.51.100.0/24=192.0.2.2 --route 10.0.0.0/8=192.0.2.3",
        "network create wide --provider --cidr 203.0.113.0/24 --range 203.0.113.100-203.0.113.199 --mtu 9000",
        "network create campus --provider --cidr 203.0.113.0/24 --range 203.0.113.100-203.0.113.199 --exclude 203.0.113.107 --exclude 203.0.113.150-203.0.113.159=printers",
        "network edit campus --range 203.0.113.60-203.0.113.199",
        "network edit campus --exclude 203.0.113.107 --exclude 203.0.113.150-203.0.113.159=printers",
        "network edit campus --no-exclude",
        "network clear campus 203.0.113.107",
        "network list",
        "network show campus",
        "network delete campus",
        "port list",
        "port list --network campus",
        "network create outside --provider --public --cidr 203.0.113.0/24 --range 203.0.113.200-203.0.113.219",
        "address allocate outside",
        "address allocate outside --address 203.0.113.200",
        "address list --network outside --vm web -o json",
        "address show 203.0.113.200",
        "address associate 203.0.113.200 web --network lab",
        "address disassociate 203.0.113.200",
        "address disassociate 203.0.113.200 --yes",
        "address release 203.0.113.200 --yes",
        "key add sato id_ed25519.pub",
        "key add sato -",
        "key list",
        "key show sato",
        "key delete sato",
        "project create research --servers 20 --vcpus 40 --memory 64GiB --disk 1TiB --note mail",
        "project list -o wide",
        "project show research -o json",
        "project set research --servers 30 --memory none",
        "project delete research --yes",
        "vm create mail --image mini --network campus --project research",
        "vm list --project research",
        "vm edit mail --project default",
        "usage report --from 30d --to 0s --project research --csv",
        "firewall create mail",
        "firewall list",
        "firewall show mail",
        "firewall allow mail in tcp 25",
        "firewall allow mail in tcp 80-90 --peer 203.0.113.0/24",
        "firewall revoke mail out udp 53 --peer dns",
        "firewall delete mail --yes",
        "vm create mail --image mini --network campus --firewall mail --firewall web",
        "migration list",
        "migration list --active --vm mail --limit 5",
        "migration show mail-1",
        "migration cancel mail-1",
        "outage list",
        "outage show myodaiji-1",
        "outage show myodaiji --wait",
        "outage start myodaiji",
        "outage start myodaiji-1 --shut-down-nodes --wait",
        "outage shut-down myodaiji --dry-run",
        "outage shut-down myodaiji-1 --wait --wait-timeout 10m",
        "outage shut-down myodaiji-1 --withdraw",
        "outage plan myodaiji",
        "outage plan myodaiji --minutes 2",
        "outage rehearse myodaiji-1",
        "outage rehearse --site myodaiji --in 20m --link-mbit 1000 --fail y2@90 -o json",
        "outage rehearse --site myodaiji --until +2h",
        "outage pause myodaiji",
        "outage pause myodaiji-1 -o json",
        "outage resume myodaiji --wait --wait-timeout 5m",
        "outage return myodaiji --wait",
        "outage return myodaiji-1 --wait --wait-timeout 1h -o json",
        "outage reschedule myodaiji-1 --from +1h --until +2h",
        "outage cancel myodaiji-1",
        "outage report myodaiji-1",
        "outage report myodaiji --html report.html --link-mbit 1000 --users users.json --lang ja",
        "vm edit mail --probe smtp:25 --probe tcp:22",
        "vm edit mail --no-probes",
        "vm edit web --after db --after cache",
        "vm edit web --no-after",
        "outage export",
        "outage export --site myodaiji outages.ics",
        "outage import inspections.ics",
        "outage import - --site myodaiji --matching inspection --dry-run -o json",
        "events",
        "events --follow",
        "history",
        "history vm/mail --since 2d --until 2026-11-01 --by sato --limit 20 -o json",
        "usage report --from 2026-11-01 --to 2026-12-01",
        "usage report --from 7d --to 0s --vm mail --csv",
        "usage report --from 30d --to 0s --by-project --csv",
        "events --lang ja --timeout 2m",
        "top",
        "top --lang ja",
        "doctor",
        "doctor --node m1 -o json",
        "doctor --here",
        "doctor --here --fix --yes",
        "doctor --fix",
        "doctor --fix --yes",
        "setup --cluster cluster.toml --out out --force",
        "init campus --site myodaiji=明大寺 --other-site yamate=山手 --address 203.0.113.2 --yes",
        "token create --role node",
        "token create --role node --name m2 --site myodaiji --minutes 60 -o json",
        "token list",
        "token revoke 3f9a0c41",
        "token journal",
        "token create --role frontend --site yamate",
        "token create --role witness",
        "token expel m2 --yes",
        "join --token - 203.0.113.2",
        "join --token watari1-0-0 --as node --site myodaiji --yes m-front:8445",
        "join --as witness --token watari1-0-0 203.0.113.2",
        "enrol",
        "completion",
        "completion bash",
        "completion zsh",
        "completion fish",
        "names -- vm show mail --to",
        "manual pages",
        "--nats tls://m-front:4222,tls://y-front:4222 --nkey operator.nk --ca ca.crt vm list",
    ] {
        let words = ["watari"].into_iter().chain(line.split(' '));
        Options::try_parse_from(words).unwrap_or_else(|e| panic!("{line}: {e}"));
    }
}

#[test]
fn a_change_of_size_names_a_size_and_one_of_policy_a_policy() {
    for words in [&["vm", "resize", "mail"][..], &["vm", "edit", "mail"], &["project", "set", "research"]] {
        assert!(Options::try_parse_from([&["watari"][..], words].concat()).is_err(), "{words:?}");
    }
}

#[test]
fn one_thing_is_done_with_a_nodes_power() {
    for words in [&["node", "power", "m1"][..], &["node", "power", "m1", "--on", "--off"]] {
        assert!(Options::try_parse_from([&["watari"][..], words].concat()).is_err(), "{words:?}");
    }
}

/// The Japanese README has the same commands: another test compares the two.
#[test]
fn every_command_of_the_readme_is_understood() {
    let lines = README.lines().filter(|line| line.starts_with("deploy/lab exec client -- watari "));
    let commands: Vec<_> = lines.filter_map(|line| line.split(" #").next()?.split_once(" -- ")).collect();
    assert!(commands.len() > 20, "{} commands were found", commands.len());
    for (_, command) in commands {
        // What the shell would put in is one word.
        let command =
            command.replace("$(deploy/lab guest-image debian)", "FILE").replace("$(deploy/lab guest-image)", "FILE");
        let words = command.split_whitespace().map(|word| word.trim_matches('"'));
        Options::try_parse_from(words).unwrap_or_else(|e| panic!("{command}: {e}"));
    }
}

#[test]
fn every_command_of_the_guides_is_understood() {
    let (mut typed, mut named) = (0, 0);
    for chapter in fs::read_dir(GUIDES).unwrap() {
        let text = fs::read_to_string(chapter.unwrap().path()).unwrap();
        let lines = text.lines().map(|line| line.trim_start().trim_start_matches("deploy/lab exec client -- "));
        for line in lines.filter(|line| line.starts_with("watari ")) {
            let command = line.split(" #").next().unwrap();
            Options::try_parse_from(words(command)).unwrap_or_else(|e| panic!("{line}: {e}"));
            typed += 1;
        }
        // Within a sentence a command may be without what it takes.
        for command in text.split('`').filter(|code| code.starts_with("watari ") && !code.contains('\n')) {
            assert!(is_there(command), "there is no `{command}`");
            named += 1;
        }
    }
    assert!(typed > 20 && named > 20, "{typed} commands were found in blocks, {named} in sentences");
}

/// The words of a line as a shell has them; what it would put in is a part of its word.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in line.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c == ' ' => words.push(mem::take(&mut word)),
            _ => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// Whether the nouns and verbs that a command begins with are commands.
fn is_there(command: &str) -> bool {
    let mut at = Options::command();
    for word in command.split_whitespace().skip(1) {
        if !at.has_subcommands() || word.starts_with('-') {
            break;
        }
        let Some(next) = at.find_subcommand(word).cloned() else { return false };
        at = next;
    }
    true
}

#[test]
fn the_readmes_table_names_every_command() {
    let mut told: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for row in README.lines().filter(|line| line.starts_with("| `watari ")) {
        let commands = row.trim_start_matches("| ").split(" | ").next().unwrap();
        for command in commands.split(", ") {
            let mut words = command.trim_matches('`').split(' ').skip(1);
            let verbs = told.entry(words.next().unwrap()).or_default();
            verbs.extend(
                words.next().unwrap_or_default().split("\\|").filter(|verb| !verb.is_empty() && !verb.starts_with('[')),
            );
        }
    }
    let command = Options::command();
    let nouns = command
        .get_subcommands()
        .filter(|noun| !noun.is_hide_set())
        .map(|noun| (noun.get_name(), noun.get_subcommands().map(clap::Command::get_name).collect()));
    assert_eq!(told, nouns.collect::<BTreeMap<_, BTreeSet<_>>>());
}
