use proptest::prelude::*;
use serde_json::{Value, json};
use watari_contracts::permissions::BUCKETS;

use super::*;

/// The sample documents that the contracts' golden test keeps true.
fn sample(bucket: &str) -> Value {
    let text = match bucket {
        "vms" => include_str!("../../../../shared/contracts/tests/golden/document.vms.json"),
        "migrations" => include_str!("../../../../shared/contracts/tests/golden/document.migrations.json"),
        "outages" => include_str!("../../../../shared/contracts/tests/golden/document.outages.json"),
        "images" => include_str!("../../../../shared/contracts/tests/golden/document.images.json"),
        "networks" => include_str!("../../../../shared/contracts/tests/golden/document.networks.json"),
        "ports" => include_str!("../../../../shared/contracts/tests/golden/document.ports.json"),
        "addresses" => include_str!("../../../../shared/contracts/tests/golden/document.addresses.json"),
        "firewalls" => include_str!("../../../../shared/contracts/tests/golden/document.firewalls.json"),
        "nodes" => include_str!("../../../../shared/contracts/tests/golden/document.nodes.json"),
        "sites" => include_str!("../../../../shared/contracts/tests/golden/document.sites.json"),
        "keys" => include_str!("../../../../shared/contracts/tests/golden/document.keys.json"),
        "projects" => include_str!("../../../../shared/contracts/tests/golden/document.projects.json"),
        other => panic!("no sample of {other}"),
    };
    serde_json::from_str::<Value>(text).unwrap()[0].clone()
}

fn changed(mut document: Value, changes: &[(&str, Value)]) -> String {
    for (pointer, value) in changes {
        *document.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = value.clone();
    }
    document.to_string()
}

/// What is said of a change of the sample from one form to another.
fn said(bucket: &str, before: &[(&str, Value)], after: &[(&str, Value)]) -> String {
    let (before, after) = (changed(sample(bucket), before), changed(sample(bucket), after));
    summarise(bucket, "it", Some(&before), Some(&after))
}

#[test]
fn changes_of_a_server_are_told_in_one_line() {
    let state = |word: &str| ("/state", json!(word));
    let calm = ("/crossing", Value::Null);
    let opened = |name: &str| ("/requests", json!([{"request_id": name, "digest": name}]));
    let no_fault = json!({"kind": "no_room", "vm": "mail", "detail": {"en": "full", "ja": "満杯"}});
    for (before, after, line) in [
        (vec![state("running")], vec![state("migrating")], "it: running → migrating (m1 → y1)"),
        (vec![state("migrating")], vec![state("running"), calm.clone()], "it: migrating → running (on m1)"),
        (
            vec![state("pending")],
            vec![state("failed"), calm.clone(), ("/fault", no_fault.clone())],
            "it: pending → failed (placement.no-room)",
        ),
        (vec![], vec![("/grant", json!({"node": "y1", "generation": 4}))], "it: granted to y1 (generation 4)"),
        (vec![], vec![("/grant", Value::Null)], "it: granted to nobody"),
        (vec![], vec![("/desired", json!("stopped"))], "it: wanted stopped"),
        (vec![], vec![("/desired", json!("deleted"))], "it: wanted gone"),
        (vec![], vec![("/reboots/asked", json!(9))], "it: reboot asked for"),
        (vec![], vec![opened("console:0f3a")], "it: console asked for"),
        (vec![opened("console:0f3a")], vec![opened("console-forced:0f3b")], "it: console asked for by force"),
        (vec![opened("console:0f3a")], vec![opened("console-again:0f3c")], "it: console asked for again"),
        (vec![("/snapshots/list", json!([]))], vec![], "it: snapshot before-upgrade taken"),
        (vec![("/snapshots/list/0/taken", Value::Null)], vec![], "it: snapshot before-upgrade taken"),
        (vec![], vec![("/snapshots/list", json!([]))], "it: snapshot before-upgrade deleted"),
        (vec![], vec![("/snapshots/revert/outcome", json!("done"))], "it: went back to snapshot before-upgrade"),
        (vec![], vec![("/reboots/done", json!(9))], "it: rebooted"),
        (vec![], vec![("/leftovers", json!([]))], "it: old copy on y1 removed"),
        (vec![], vec![("/fault", no_fault.clone())], "it: fault: placement.no-room"),
        (vec![("/fault", no_fault)], vec![], "it: fault cleared"),
        (vec![], vec![("/migrations", json!(77))], "it: updated (migrations)"),
    ] {
        assert_eq!(said("vms", &before, &after), line);
    }
    let vm = sample("vms").to_string();
    assert_eq!(
        summarise("vms", "mail", None, Some(&vm)),
        "mail: created, migrating (1 vCPU, 192 MiB, 2 GiB, home myodaiji)"
    );
    assert_eq!(summarise("vms", "mail", Some(&vm), None), "mail: deleted");
}

#[test]
fn changes_of_everything_else_are_told_in_one_line() {
    let state = |word: &str| ("/state", json!(word));
    for (bucket, before, after, line) in [
        (
            "migrations",
            vec![state("copying"), ("/measured", Value::Null)],
            vec![state("settling"), ("/measured", Value::Null)],
            "it: copying → settling",
        ),
        (
            "migrations",
            vec![state("switching")],
            vec![],
            "it: switching → completed (m1 → y1, 2310 ms, standstill 171 ms)",
        ),
        (
            "migrations",
            vec![state("copying")],
            vec![state("copying"), ("/cancel_asked", json!(true))],
            "it: cancellation asked for",
        ),
        ("outages", vec![state("evacuating")], vec![], "it: evacuating → evacuated (1 not moved)"),
        ("outages", vec![state("evacuating")], vec![("/left", json!([]))], "it: evacuating → evacuated"),
        (
            "outages",
            vec![state("evacuating")],
            vec![state("evacuating"), ("/paused_at", json!("2026-11-23T09:00:04Z"))],
            "it: paused",
        ),
        (
            "outages",
            vec![state("returning"), ("/paused_at", json!("2026-11-23T09:00:04Z"))],
            vec![state("returning")],
            "it: resumed",
        ),
        (
            "outages",
            vec![state("scheduled")],
            vec![
                state("scheduled"),
                ("/at_risk", json!([{"vm": "old", "fault": {"kind": "policy_stays", "vm": "old"}}])),
            ],
            "it: could not leave now: old (outage.policy-stays)",
        ),
        (
            "outages",
            vec![("/dark/nodes/0/stage", json!({"state": "going_off", "by": "agent"}))],
            vec![],
            "it: node m1 off",
        ),
        (
            "outages",
            vec![("/dark/nodes/1/stage", json!({"state": "going_off", "by": "agent"}))],
            vec![],
            "it: node m2 not shut down (node.shut-down-missing)",
        ),
        ("outages", vec![], vec![("/dark/wished", json!(false))], "it: its nodes are not to be shut down"),
        (
            "outages",
            vec![("/control", Value::Null)],
            vec![("/control/ended_at", Value::Null)],
            "it: services going over to yamate",
        ),
        ("outages", vec![("/control/ended_at", Value::Null)], vec![], "it: services led from yamate"),
        (
            "outages",
            vec![("/asked_by", json!(["5f0c"]))],
            vec![],
            "it: asked for by 5f0c, alert/c4f5a4a8bd7b6e21/1785553200",
        ),
        ("images", vec![state("verifying")], vec![], "it: verifying → ready"),
        ("images", vec![("/copies", json!({}))], vec![], "it: copied to myodaiji"),
        (
            "firewalls",
            vec![],
            vec![("/rules/0/ports/last", json!(26))],
            "it: allows in tcp 25-26; allows no more in tcp 25",
        ),
        ("addresses", vec![], vec![("/leads_to", Value::Null)], "it: 203.0.113.200 leads nowhere"),
        ("nodes", vec![], vec![state("suspect")], "it: ready → suspect"),
        ("nodes", vec![], vec![("/cordoned", json!(true))], "it: cordoned"),
        ("nodes", vec![("/cordoned", json!(true))], vec![], "it: uncordoned"),
        ("nodes", vec![], vec![("/site", json!("yamate"))], "it: moved from site myodaiji to yamate"),
        ("nodes", vec![], vec![("/inventory/vcpus", json!(16))], "it: inventory changed"),
        ("nodes", vec![], vec![("/strains", json!(["overloaded", "memory_nearly_full"]))], "it: overloaded"),
        ("nodes", vec![], vec![("/strains", json!([]))], "it: relieved, no longer memory nearly full"),
        ("sites", vec![], vec![("/title", json!("Okazaki"))], "it: renamed 明大寺 → Okazaki"),
    ] {
        assert_eq!(said(bucket, &before, &after), line, "{bucket}");
    }
}

#[test]
fn figures_of_servers_that_are_new_are_told_with_their_names() {
    let node = |weights: &Value| {
        let mut node = sample("nodes");
        node["inventory"]["weights"] = weights.clone();
        node.to_string()
    };
    let said = |before: Value, after: Value| summarise("nodes", "it", Some(&node(&before)), Some(&node(&after)));
    let mail = json!({"mail": {"disk_bytes": 7 << 20, "dirty_bytes_per_second": 3 << 20}});
    assert_eq!(said(json!({}), mail.clone()), "it: new figures of mail (3 MiB/s of memory, 7 MiB of disk)");
    let both = json!({"mail": {"disk_bytes": 1 << 20}, "web": {"disk_bytes": 0}});
    assert_eq!(said(mail.clone(), both.clone()), "it: new figures of mail, web");
    assert_eq!(said(json!({"web": {"disk_bytes": 0}}), both), "it: new figures of mail (1 MiB of disk)");
    assert_eq!(said(mail, json!({})), "it: inventory changed");
}

#[test]
fn what_servers_leave_on_a_node_that_was_given_up_is_told() {
    let (before, mut after) = (sample("sites"), sample("sites"));
    after["remains"] = json!([{
        "node": "m2", "vm": "app", "uuid": "7b1d4c2e-9a53-4c36-8f0e-2d6a1f0b9c41", "generation": 3,
        "since": "2026-11-28T09:00:00Z"
    }]);
    let (before, after) = (before.to_string(), after.to_string());
    let line = "it: app on m2 left behind, to be cleared when the node is back";
    assert_eq!(summarise("sites", "it", Some(&before), Some(&after)), line);
    assert_eq!(summarise("sites", "it", Some(&after), Some(&before)), "it: cleared of app on m2");
}

#[test]
fn what_is_done_with_a_nodes_power_is_told() {
    let told = |outcome: Value| {
        let mut node = sample("nodes");
        let at = "2026-11-23T09:00:04Z";
        node["fencing"] = json!({"act": "off", "by": "sato", "at": at, "tries": 1, "outcome": outcome});
        node.to_string()
    };
    let begun = told(json!({"state": "begun"}));
    let failed = told(json!({"state": "failed", "why": {"kind": "fencing_missing", "node": "m1"}}));
    let plain = sample("nodes").to_string();
    assert_eq!(summarise("nodes", "it", Some(&plain), Some(&begun)), "it: power off begun by sato");
    assert_eq!(summarise("nodes", "it", Some(&begun), Some(&failed)), "it: power off not done (fencing.missing)");
}

#[test]
fn the_first_and_the_last_of_a_document_are_told() {
    for (bucket, created, deleted) in [
        ("migrations", "it: completed (m1 → y1)", "it: deleted"),
        ("outages", "it: evacuated site myodaiji", "it: deleted"),
        ("images", "it: created, ready", "it: deleted"),
        ("networks", "it: created (203.0.113.0/24, 203.0.113.100-203.0.113.199)", "it: deleted"),
        ("ports", "it: 203.0.113.100 given to mail", "it: 203.0.113.100 given back by mail"),
        ("addresses", "it: 203.0.113.200 leads to web", "it: 203.0.113.200 released"),
        ("firewalls", "it: created with 4 rules", "it: deleted"),
        ("nodes", "it: joined site myodaiji, ready", "it: deleted"),
        ("sites", "it: created (明大寺)", "it: deleted"),
        ("keys", "it: added (ssh-ed25519 SHA256:g2raTWlaw/bM5mgxaFBNUuPaobzGiWRS1stkUq3DsOw)", "it: deleted"),
        ("projects", "it: created (servers 20, vCPU -, memory 65536 MiB, disk -)", "it: deleted"),
    ] {
        let document = sample(bucket).to_string();
        assert_eq!(summarise(bucket, "it", None, Some(&document)), created);
        assert_eq!(summarise(bucket, "it", Some(&document), None), deleted);
    }
}

#[test]
fn who_has_an_address_that_is_none_of_ours_is_told_by_its_mac() {
    let marked = serde_json::json!([{
        "address": "203.0.113.107", "mac": "02:00:00:00:00:07", "node": "m1", "seen_at": "2026-11-23T09:00:00Z",
    }]);
    let plain = sample("networks");
    let mut strange = plain.clone();
    strange["strangers"] = marked;
    let (plain, strange) = (plain.to_string(), strange.to_string());
    let told = |before: &str, after: &str| summarise("networks", "campus", Some(before), Some(after));
    assert_eq!(told(&plain, &strange), "campus: 203.0.113.107 is used by 02:00:00:00:00:07, as node m1 found");
    assert_eq!(told(&strange, &plain), "campus: 203.0.113.107 may be given out again");
    let mut by_ipv6: serde_json::Value = serde_json::from_str(&strange).unwrap();
    by_ipv6["strangers"][0]["address6"] = "2001:db8:0:1::cb00:716b".into();
    assert_eq!(
        told(&plain, &by_ipv6.to_string()),
        "campus: 2001:db8:0:1::cb00:716b, which goes with 203.0.113.107, is used by 02:00:00:00:00:07, as node m1 found"
    );
}

#[test]
fn a_document_that_cannot_be_read_is_still_told_to_have_changed() {
    for bucket in BUCKETS.iter().map(|(bucket, _)| *bucket).chain(["surprise"]) {
        assert_eq!(summarise(bucket, "it", Some("{}"), Some("nonsense")), "it: updated");
        assert_eq!(summarise(bucket, "it", None, Some("[]")), "it: created");
        assert_eq!(summarise(bucket, "it", Some("[]"), None), "it: deleted");
    }
}

proptest! {
    #[test]
    fn no_text_panics(before in ".{0,80}", after in ".{0,80}") {
        for (bucket, _) in BUCKETS {
            prop_assert!(summarise(bucket, "it", Some(&before), Some(&after)).starts_with("it: "));
        }
    }
}

#[test]
fn who_could_leave_with_a_warning_and_that_nobody_does_any_more_is_told() {
    let plain = sample("outages");
    let with = |servers: usize| {
        let fault = json!({"kind": "too_busy", "vm": "mail", "written": "9", "carried": "3"});
        let mut outage = plain.clone();
        outage["warned"] = vec![json!({"vm": "mail", "fault": fault}); servers].into();
        outage.to_string()
    };
    let told = |before: usize, after: usize| summarise("outages", "it", Some(&with(before)), Some(&with(after)));
    assert_eq!(told(0, 1), "it: could leave with a warning: mail (outage.too-busy)");
    assert_eq!(told(1, 6), "it: 6 servers could leave with a warning");
    assert_eq!(told(1, 0), "it: no warnings any more");
}
