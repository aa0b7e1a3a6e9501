//! Everything that is listed, shown or reported, on a terminal of 40 columns.

use crate::support::{
    Cloud, sample,
    stub::{
        Answer::{self, Reply},
        Stub,
    },
    terminal::AtTerminal,
};
use serde_json::Value;
use unicode_width::UnicodeWidthStr;

const COLUMNS: u16 = 40;
/// What is written to the right of its heading or name has so many columns less.
const INDENT: usize = 4;

/// By whom each is answered, and with which sample of the contracts.
const SCHEDULER: &[(&str, &str)] = &[
    ("watari.v1.vm.list", "VmPage"),
    ("watari.v1.vm.get", "VmView"),
    ("watari.v1.site.list", "SitePage"),
    ("watari.v1.disk.list", "DiskPage"),
    ("watari.v1.key.list", "KeyPage"),
    ("watari.v1.key.get", "KeyView"),
    ("watari.v1.project.list", "ProjectPage"),
    ("watari.v1.project.get", "ProjectView"),
    ("watari.v1.migration.list", "MigrationPage"),
    ("watari.v1.migration.get", "MigrationView"),
    ("watari.v1.outage.list", "OutagePage"),
    ("watari.v1.outage.get", "OutageView"),
    ("watari.v1.outage.plan", "OutagePlan"),
    ("watari.v1.outage.rehearse", "Rehearsal"),
];
const MONITOR: &[(&str, &str)] = &[
    ("watari.v1.node.list", "NodePage"),
    ("watari.v1.node.get", "NodeView"),
    ("watari.v1.event.list", "EventPage"),
    ("watari.v1.history.list", "HistoryPage"),
    ("watari.v1.usage.get", "UsagePage"),
];
const IMAGE: &[(&str, &str)] = &[("watari.v1.image.list", "ImagePage"), ("watari.v1.image.get", "ImageView")];
const NETWORK: &[(&str, &str)] = &[
    ("watari.v1.network.list", "NetworkPage"),
    ("watari.v1.network.get", "NetworkView"),
    ("watari.v1.port.list", "PortPage"),
    ("watari.v1.address.list", "AddressPage"),
    ("watari.v1.address.get", "AddressView"),
    ("watari.v1.firewall.list", "FirewallPage"),
    ("watari.v1.firewall.get", "FirewallView"),
];

fn stub(cloud: &Cloud, identity: &str, answers: &'static [(&'static str, &'static str)]) -> Stub {
    let subjects: Vec<&str> = answers.iter().map(|(subject, _)| *subject).collect();
    Stub::start(cloud, identity, &subjects, move |subject, _: &Value| -> Answer {
        let (_, name) = answers.iter().find(|(answered, _)| *answered == subject).unwrap();
        let mut reply = sample(&format!("reply.{name}.json"));
        if let Some(next) = reply.get_mut("next") {
            *next = Value::Null;
        }
        Reply(reply)
    })
}

/// Whether a line could be narrower: a key or digest stays in one piece, whatever stands beside it.
fn is_too_wide(line: &&str) -> bool {
    let is_key = |word: &str| word.is_ascii() && word.len() > usize::from(COLUMNS) - INDENT;
    line.width() > usize::from(COLUMNS) && !line.split(' ').any(is_key)
}

#[test]
fn no_line_of_a_list_a_view_or_a_report_is_wider_than_a_terminal_of_40_columns() {
    let cloud = Cloud::start();
    let _stubs = [
        stub(&cloud, "scheduler.m-front", SCHEDULER),
        stub(&cloud, "monitor.m-front", MONITOR),
        stub(&cloud, "image.m-front", IMAGE),
        stub(&cloud, "network.m-front", NETWORK),
    ];
    let shown = |line: &str, lang: &str| {
        let words: Vec<&str> = line.split(' ').chain(["--lang", lang]).collect();
        let mut command = cloud.command("operator", &words);
        let shown = AtTerminal::start_within(COLUMNS, command.env("NO_COLOR", "1")).shows_in_all();
        assert!(!shown.starts_with("error[") && !shown.starts_with("エラー["), "{line}: {shown}");
        let wide: Vec<&str> = shown.lines().map(|line| line.trim_end_matches('\r')).filter(is_too_wide).collect();
        assert!(shown.lines().count() > 1 && wide.is_empty(), "{line} in {lang}: {wide:#?}\n{shown}");
    };
    // What wants most room.
    for noun in ["vm", "node", "site", "image", "disk", "network", "port", "address", "firewall", "key", "project"] {
        shown(&format!("{noun} list -o wide"), "ja");
    }
    for line in [
        "migration list -o wide",
        "outage list -o wide",
        "vm snapshot list mail",
        "events",
        "history",
        "usage report --from 2026-11-01 --to 2026-12-01",
        "vm show mail",
        "node show m1",
        "image show mini",
        "network show campus",
        "address show 203.0.113.200",
        "firewall show web",
        "key show sato",
        "project show research",
        "migration show mail-1",
        "outage show myodaiji-1",
        "outage plan myodaiji",
        "outage rehearse myodaiji-1",
        "outage report myodaiji-1",
    ] {
        shown(line, "en");
        shown(line, "ja");
    }
}
