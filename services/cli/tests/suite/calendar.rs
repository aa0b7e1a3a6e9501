//! Calendars in and out, with services that answer what the test wants.

use std::{
    fs::{self, File},
    sync::{Arc, Mutex},
};

use crate::support::{
    Cloud, Ran, sample,
    stub::{
        Answer::{Refuse, Reply},
        Stub,
    },
};
use serde_json::{Value, json};
use watari_model::Refusal;

const SUBJECTS: [&str; 5] = [
    "watari.v1.site.list",
    "watari.v1.outage.list",
    "watari.v1.outage.schedule",
    "watari.v1.outage.reschedule",
    "watari.v1.outage.cancel",
];

const INSTITUTE: &str = "BEGIN:VCALENDAR\r
VERSION:2.0\r
X-WR-TIMEZONE:Asia/Tokyo\r
BEGIN:VEVENT\r
UID:a@institute\r
SUMMARY:明大寺 点検\r
DTSTART:20990320T080000\r
DTEND:20990320T170000\r
END:VEVENT\r
BEGIN:VEVENT\r
UID:b@institute\r
LOCATION:Yamate\r
SUMMARY:inspection\r
DTSTART;VALUE=DATE:20990327\r
END:VEVENT\r
BEGIN:VEVENT\r
UID:c@institute\r
LOCATION:hall 5\r
DTSTART;VALUE=DATE:20990328\r
END:VEVENT\r
END:VCALENDAR\r
";

fn scheduled(asked: &Value) -> Value {
    let mut view = sample("reply.OutageView.json");
    for field in ["moved", "moving", "awaited", "failed"] {
        view[field] = json!([]);
    }
    view["id"] = "myodaiji-7".into();
    view["state"] = "scheduled".into();
    view["window"] = json!({"from": asked["from"], "until": asked["until"]});
    view["note"] = asked["note"].clone();
    view["request_id"] = asked["request_id"].clone();
    view
}

/// A scheduler that schedules for Myodaiji alone and remembers what it has.
fn scheduler(cloud: &Cloud) -> Stub {
    let known: Arc<Mutex<Vec<Value>>> = Arc::default();
    Stub::start(cloud, "scheduler.m-front", &SUBJECTS, move |subject, asked| {
        let mut known = known.lock().unwrap();
        match subject {
            "watari.v1.site.list" => Reply(sample("reply.SitePage.json")),
            "watari.v1.outage.list" => Reply(json!({ "outages": known.clone() })),
            "watari.v1.outage.schedule" if asked["site"] == "yamate" => {
                Refuse(Refusal::OutageEverywhere { site: "yamate".to_owned(), outage: "myodaiji-7".to_owned() })
            }
            "watari.v1.outage.schedule" => {
                known.push(scheduled(asked));
                Reply(scheduled(asked))
            }
            "watari.v1.outage.reschedule" => {
                known[0]["window"] = json!({"from": asked["from"], "until": asked["until"]});
                Reply(known[0].clone())
            }
            _ => {
                known[0]["state"] = "cancelled".into();
                Reply(known[0].clone())
            }
        }
    })
}

/// What was asked for since the last time, listing aside.
fn wishes(stub: &Stub, seen: &mut usize) -> Vec<(String, Value)> {
    let asked = stub.asked();
    let new = asked[*seen..].iter().filter(|(subject, _)| !subject.ends_with("list")).cloned().collect();
    *seen = asked.len();
    new
}

#[test]
fn a_calendar_is_imported_event_by_event_and_importing_it_again_changes_nothing() {
    let cloud = Cloud::start();
    let (stub, mut seen) = (scheduler(&cloud), 0);
    let path = cloud.files.path("institute.ics");
    let write = |text: &str| fs::write(&path, text).unwrap();
    write(INSTITUTE);
    let import =
        |more: &[&str]| cloud.run(&[&["outage", "import", path.to_str().unwrap(), "-o", "json"], more].concat());
    let actions = |ran: &Ran| -> Vec<String> {
        ran.json().as_array().unwrap().iter().map(|told| told["action"].as_str().unwrap().to_owned()).collect()
    };

    let dry = import(&["--dry-run"]);
    assert_eq!((dry.status, actions(&dry)), (0, vec!["scheduled".into(), "scheduled".into(), "skipped".into()]));
    assert!(wishes(&stub, &mut seen).is_empty() && dry.err.contains("nothing was done"), "{dry:?}");

    let first = import(&[]);
    assert_eq!((first.status, actions(&first)), (1, vec!["scheduled".into(), "refused".into(), "skipped".into()]));
    let told = first.json();
    assert_eq!((told[0]["site"].as_str(), told[0]["outage"].as_str()), (Some("myodaiji"), Some("myodaiji-7")));
    assert_eq!(
        (told[0]["from"].as_str(), told[1]["from"].as_str()),
        (Some("2099-03-19T23:00:00Z"), Some("2099-03-26T15:00:00Z"))
    );
    assert_eq!(told[1]["code"], "outage.everywhere");
    assert!(told[2]["why"]["en"].as_str().unwrap().contains("names no site"), "{told}");
    let asked = wishes(&stub, &mut seen);
    assert_eq!(asked.len(), 2);
    assert_eq!(
        (asked[0].1["note"].as_str(), asked[0].1["until"].as_str()),
        (Some("明大寺 点検"), Some("2099-03-20T08:00:00Z"))
    );
    assert!(asked[0].1["request_id"].as_str().unwrap().starts_with("ical/"), "{asked:?}");

    let only = ["--matching", "点検"];
    let second = import(&only);
    assert_eq!((second.status, actions(&second)), (0, vec!["unchanged".into()]), "of others nothing is told");
    assert!(wishes(&stub, &mut seen).is_empty(), "{second:?}");

    write(&INSTITUTE.replace("20990320T", "20990321T"));
    assert_eq!(actions(&import(&only))[0], "moved");
    let asked = wishes(&stub, &mut seen);
    assert_eq!((asked[0].0.as_str(), asked[0].1["id"].as_str()), ("watari.v1.outage.reschedule", Some("myodaiji-7")));

    write(&INSTITUTE.replace("20990320T", "20990321T").replace("SUMMARY:明大寺", "STATUS:CANCELLED\r\nSUMMARY:明大寺"));
    assert_eq!(actions(&import(&only))[0], "cancelled");
    let asked = wishes(&stub, &mut seen);
    assert_eq!((asked.len(), asked[0].0.as_str()), (1, "watari.v1.outage.cancel"));
    assert_eq!(actions(&import(&only))[0], "unchanged");
}

#[test]
fn a_calendar_comes_through_standard_input_and_is_told_in_the_persons_language() {
    let cloud = Cloud::start();
    let _stub = scheduler(&cloud);
    let path = cloud.files.path("institute.ics");
    fs::write(&path, INSTITUTE).unwrap();
    let words = ["outage", "import", "-", "--site", "myodaiji", "--dry-run", "--lang", "ja"];
    let mut command = cloud.command("operator", &words);
    let ran = Ran::of(command.stdin(File::open(&path).unwrap()).output().unwrap());
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.out.contains("サイト yamate の予定です") && ran.err.contains("何も実行していません"), "{ran:?}");
    assert_eq!(ran.out.matches("登録").count(), 2, "{ran:?}");
}

#[test]
fn outages_are_exported_and_recognised_when_they_come_back() {
    let cloud = Cloud::start();
    let (stub, mut seen) = (scheduler(&cloud), 0);
    let path = cloud.files.path("institute.ics");
    fs::write(&path, INSTITUTE).unwrap();
    cloud.run(&["outage", "import", path.to_str().unwrap(), "--matching", "点検"]);
    assert_eq!(wishes(&stub, &mut seen).len(), 1);
    let exported = cloud.run(&["outage", "export"]);
    assert_eq!(exported.status, 0, "{exported:?}");
    let lines = ["UID:myodaiji-7", "LOCATION:myodaiji", "SUMMARY:明大寺: 明大寺 点検", "STATUS:CONFIRMED"];
    for line in lines.into_iter().chain(["DTSTART:20990319T230000Z", "DTEND:20990320T080000Z"]) {
        assert!(exported.out.contains(&format!("{line}\r\n")), "{line} is missing: {exported:?}");
    }
    assert!(!cloud.run(&["outage", "export", "--site", "yamate"]).out.contains("VEVENT"));
    assert_eq!(cloud.run(&["outage", "export", "--site", "atlantis"]).status, 2);

    assert_eq!(cloud.run(&["outage", "export", path.to_str().unwrap()]).status, 0);
    assert_eq!(fs::read_to_string(&path).unwrap(), exported.out);
    let again = cloud.run(&["outage", "import", path.to_str().unwrap(), "-o", "json"]);
    assert_eq!((again.status, again.json()[0]["action"].as_str()), (0, Some("unchanged")), "{again:?}");
    assert!(wishes(&stub, &mut seen).is_empty());
}

#[test]
fn what_cannot_be_understood_of_a_site_makes_the_status_1_once_the_others_are_imported() {
    let cloud = Cloud::start();
    let (stub, mut seen) = (scheduler(&cloud), 0);
    let path = cloud.files.path("institute.ics");
    let hourly = "BEGIN:VEVENT\r\nUID:y\r\nSUMMARY:明大寺 点検\r\nDTSTART:20990601T080000\r\nDURATION:PT9H\r\nRRULE:FREQ=HOURLY\r\nEND:VEVENT\r\n";
    let seminar = hourly.replace("明大寺 点検", "seminar");
    let with = |more: &str| INSTITUTE.replacen("BEGIN:VEVENT", &format!("{more}BEGIN:VEVENT"), 1);
    for (calendar, status, actions) in
        [(with(hourly), 1, vec!["unclear", "scheduled"]), (with(&seminar), 0, vec!["unchanged"])]
    {
        fs::write(&path, calendar).unwrap();
        let ran = cloud.run(&["outage", "import", path.to_str().unwrap(), "--matching", "点検", "-o", "json"]);
        let told: Vec<_> = ran.json().as_array().unwrap().iter().map(|told| told["action"].clone()).collect();
        assert_eq!((ran.status, told), (status, actions.into_iter().map(Value::from).collect()), "{ran:?}");
    }
    assert_eq!(wishes(&stub, &mut seen).len(), 1);
}

#[test]
fn what_is_no_calendar_is_refused_before_anything_is_asked() {
    let cloud = Cloud::start();
    let stub = scheduler(&cloud);
    let path = cloud.files.path("institute.ics");
    for text in ["<html>".to_owned(), "BEGIN:VCALENDAR\n".to_owned(), "x".repeat((1 << 20) + 1)] {
        fs::write(&path, text).unwrap();
        let ran = cloud.run(&["outage", "import", path.to_str().unwrap()]);
        assert!(ran.status == 2 && ran.err.contains("error[calendar.unreadable]"), "{ran:?}");
    }
    assert!(stub.asked().is_empty());
}
