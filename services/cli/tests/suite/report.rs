//! The report of an outage, with services and front ends that answer what the test wants.

use std::fs;

use crate::support::{
    Cloud, Ran, sample,
    stub::{Answer::Reply, Stub},
};
use serde_json::{Value, json};

fn outage() -> Value {
    let mut view = sample("reply.OutageView.json");
    view["out"] = json!({"began_at": view["created_at"], "ended_at": null});
    view
}

#[test]
fn an_outages_report_is_put_together_from_services_and_front_ends() {
    let cloud = Cloud::start();
    let subjects = ["watari.v1.site.list", "watari.v1.outage.get", "watari.v1.migration.list"];
    let at = outage()["created_at"].clone();
    let scheduler = Stub::start(&cloud, "scheduler.m-front", &subjects, move |subject, asked| {
        Reply(match subject {
            "watari.v1.site.list" => sample("reply.SitePage.json"),
            "watari.v1.outage.get" => outage(),
            // One a page: of the second there is no more.
            _ if asked["after"].is_null() => {
                json!({"migrations": [sample("reply.MigrationView.json")], "next": {"created_at": at, "id": "mail-2"}})
            }
            _ => json!({"migrations": []}),
        })
    });
    let monitor = Stub::start(&cloud, "monitor.m-front", &["watari.v1.history.list", "watari.probes"], |subject, _| {
        Reply(match subject {
            "watari.probes" => sample("probe.Seen.json"),
            _ => json!({"changes": sample("reply.HistoryPage.json")["changes"], "next": null}),
        })
    });
    // Who may only look may see it.
    let ran = Ran::of(cloud.command("viewer", &["outage", "report", "myodaiji-1", "-o", "json"]).output().unwrap());
    assert_eq!(ran.status, 0, "{ran:?}");
    let report = ran.json();
    assert_eq!((&report["legs"][0]["leg"], &report["legs"][0]["ended_at"]), (&json!("out"), &Value::Null));
    let mail = &report["servers"][0];
    assert_eq!((&mail["vm"], &mail["moves"][0]["id"]), (&json!("mail"), &json!("mail-2")));
    assert_eq!((&mail["seen"][0]["probe"], &mail["seen"][0]["longest_gap_ms"]), (&json!("smtp:25"), &json!(3050)));
    assert_eq!(report["timeline"].as_array().map(Vec::len), Some(1));
    let asked = scheduler.asked();
    let migrations = asked.iter().find(|(subject, _)| subject == "watari.v1.migration.list").unwrap();
    assert_eq!(migrations.1["outage"], "myodaiji-1");
    let pages = asked.iter().filter(|(subject, _)| subject == "watari.v1.migration.list");
    assert_eq!(pages.map(|(_, page)| page["after"]["id"].clone()).collect::<Vec<_>>(), [json!(null), json!("mail-2")]);
    let histories: Vec<_> = monitor.asked().into_iter().filter(|(subject, _)| subject.ends_with("list")).collect();
    assert_eq!((&histories[0].1["bucket"], &histories[1].1["bucket"]), (&json!("outages"), &json!("vms")));
    assert_eq!(histories[1].1["by"], "@", "what people asked of servers");

    let file = cloud.files.path("report.html");
    let path = file.to_str().unwrap();
    let ran = cloud.run(&["outage", "report", "myodaiji-1", "--html", path, "--lang", "ja"]);
    assert!(ran.status == 0 && ran.out.is_empty() && ran.err.contains(path), "{ran:?}");
    let page = fs::read_to_string(&file).unwrap();
    assert!(page.starts_with("<!doctype html>\n<html lang=\"ja\">") && page.contains("停電対応の報告書"), "{page}");
    let ran = cloud.run(&["outage", "report", "myodaiji-1", "--html", "/nonexistent/report.html"]);
    assert!(ran.status == 1 && ran.err.contains("error[file.no-folder]: /nonexistent/report.html "), "{ran:?}");
    let ran = cloud.run(&["outage", "report", "myodaiji-1", "--html", "/", "--lang", "ja"]);
    assert!(ran.status == 1 && ran.err.contains("/ に書き出せません。フォルダです"), "{ran:?}");
}
