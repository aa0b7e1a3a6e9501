//! The report of an outage from documents as services tell them.

use serde::de::DeserializeOwned;
use watari_model::outage::Leg as Times;

use super::*;
use crate::{format, lang::Lang, out::Format};

fn golden<T: DeserializeOwned>(text: &str) -> Vec<T> {
    serde_json::from_str(text).unwrap()
}

/// Both ways of an outage of Myodaiji: mail went and came home, web stayed.
fn sources() -> Sources {
    let mut view: OutageView =
        golden(include_str!("../../../../../shared/contracts/tests/golden/reply.OutageView.json")).swap_remove(0);
    let began = view.created_at;
    (view.leg, view.control) = (watari_contracts::scheduler::LegName::Home, None);
    view.handovers.clear();
    view.out = Some(Times { began_at: began, ended_at: Some(began.plus_millis(10_000)) });
    view.home = Some(Times { began_at: began.plus_millis(60_000), ended_at: Some(began.plus_millis(70_000)) });
    view.stayed = std::mem::take(&mut view.failed);
    let all: Vec<watari_contracts::scheduler::MigrationView> =
        golden(include_str!("../../../../../shared/contracts/tests/golden/reply.MigrationView.json"));
    // The second was completed; the third failed on its way home.
    let (mut out, mut lost) = (all[1].clone(), all[2].clone());
    (out.reason, out.outage) = (watari_model::migration::Reason::Evacuation, Some(view.id.clone()));
    (out.created_at, out.copying_at) = (began, Some(began.plus_millis(1_000)));
    let mut home = watari_contracts::scheduler::MigrationView { id: "mail-4".parse().unwrap(), ..out.clone() };
    (home.reason, home.from, home.to) = (watari_model::migration::Reason::Return, out.to.clone(), out.from.clone());
    (home.created_at, home.copying_at) = (began.plus_millis(60_000), Some(began.plus_millis(61_000)));
    (lost.id, lost.created_at, lost.copying_at) = ("mail-3".parse().unwrap(), began.plus_millis(60_000), None);
    lost.changed_at = began.plus_millis(60_500);
    let asked = watari_contracts::scheduler::MigrationView {
        reason: watari_model::migration::Reason::Operator,
        ..home.clone()
    };
    let mut change = golden::<watari_contracts::history::HistoryPage>(include_str!(
        "../../../../../shared/contracts/tests/golden/reply.HistoryPage.json"
    ))
    .swap_remove(0)
    .changes
    .swap_remove(0);
    change.summary = "myodaiji-1: evacuating → evacuated (1 not moved)".to_owned();
    Sources {
        view,
        migrations: vec![home, asked, lost, out],
        seen: golden(include_str!("../../../../../shared/contracts/tests/golden/probe.Seen.json")),
        changes: vec![change],
        asked: Vec::new(),
        users: None,
        link_mbit: Some(200),
        now: began.plus_millis(90_000),
    }
}

fn shown(evidence: &Evidence, lang: Lang) -> String {
    text(Out { format: Format::Table, lang }, evidence)
}

#[test]
fn both_ways_are_told_with_what_travelled_and_how_long_it_took() {
    let evidence = evidence(sources());
    let [out, home] = evidence.legs.as_slice() else { panic!("{:?}", evidence.legs) };
    assert_eq!((out.moved, out.bytes, out.makespan_ms), (1, 288_358_400, 3_310));
    assert_eq!((home.moved, home.makespan_ms), (1, 3_310));
    // 288,358,400 bytes at 200 Mbit/s.
    assert_eq!(out.least_ms, Some(11_535));
    let names: Vec<&str> = evidence.servers.iter().map(|server| server.vm.as_str()).collect();
    assert_eq!(names, ["mail", "web"]);
    let moves: Vec<&str> = evidence.servers[0].moves.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(moves.len(), 3, "what an operator asked for is no part of it: {moves:?}");
    assert_eq!(evidence.stayed.len(), 1);
    assert_eq!(evidence.servers[1].seen[0].front_end, "y-front");
    assert!(evidence.users.is_none(), "what nobody measured is not told");
}

#[test]
fn the_course_begins_with_the_outage_and_tells_who_left_and_arrived() {
    let mut sources = sources();
    let mut before = wish(&sources, "mail", "vm.create", 0);
    before.at = sources.view.created_at.minus_millis(60_000);
    sources.asked = vec![before];
    let evidence = evidence(sources);
    let course: Vec<&str> = evidence.timeline.iter().map(|one| one.summary.as_str()).collect();
    let of_mail: Vec<&str> = course.iter().copied().filter(|line| line.starts_with("mail: ")).collect();
    assert_eq!(of_mail.first(), Some(&"mail: leaves m1 for y1"), "{course:?}");
    assert_eq!(of_mail.get(1), Some(&"mail: arrived at y1"), "{course:?}");
    assert!(course.contains(&"mail: did not get to y1 (migration.failed)"), "{course:?}");
    assert!(evidence.timeline.is_sorted_by_key(|one| one.at));
    // The way out ends later than its last server has arrived, and that is said.
    assert!(shown(&evidence, Lang::Ja).contains("m1 から y1 への移動の開始"));
    assert!(shown(&evidence, Lang::En).contains("TOOK is until the last server ran at its target"));
}

#[test]
fn a_migration_of_an_earlier_try_is_no_part_of_the_report() {
    let mut sources = sources();
    let again = sources.now;
    sources.view.out = Some(Times { began_at: again, ended_at: None });
    let evidence = evidence(sources);
    assert!(evidence.servers[0].moves.iter().all(|one| one.leg == watari_contracts::scheduler::LegName::Home));
    assert_eq!((evidence.legs[0].moved, evidence.legs[0].bytes), (0, 0));
}

#[test]
fn the_report_says_for_people_what_front_ends_saw_and_when_they_did_not_look() {
    let evidence = evidence(sources());
    let (en, ja) = (shown(&evidence, Lang::En), shown(&evidence, Lang::Ja));
    for part in [
        "Outage: myodaiji-1",
        "140 ms",
        "204 MiB",
        "smtp:25",
        "y-front (yamate): 2 probes",
        "3.0 s",
        "mail smtp:25 (y-front): not watched from",
        "not asked: on overlay networks alone",
        "[migration.failed]",
        "cannot say what it saw: it is being opened",
        "operator@192.0.2.10 (sato)",
        "200 Mbit/s",
        "A gap lasts from",
    ] {
        assert!(en.contains(part), "{part} is missing: {en}");
    }
    for part in [
        "停電計画: myodaiji-1",
        "理論下限",
        "退避中 → 退避済み",
        "監視なし",
        "公開アドレスがない",
        "移動しなかったサーバ",
    ] {
        assert!(ja.contains(part), "{part} is missing: {ja}");
    }
}

/// What somebody asked of a server, so many milliseconds after the outage had begun.
fn wish(sources: &Sources, vm: &str, why: &str, after_ms: u64) -> HistoryChange {
    HistoryChange {
        at: sources.view.created_at.plus_millis(after_ms),
        key: vm.to_owned(),
        why: Some(why.to_owned()),
        summary: format!("{vm}: running → stopping (on m1)"),
        ..sources.changes[0].clone()
    }
}

#[test]
fn what_operators_stopped_is_told_as_theirs_and_no_gap_of_the_server() {
    let mut sources = sources();
    // The one gap of mail is from 2.1 s to 5.15 s; of the third server the outage knows nothing.
    let wishes = [
        ("mail", "vm.stop", 2_000),
        ("mail", "vm.resize", 2_500),
        ("lab", "vm.stop", 2_600),
        ("mail", "vm.start", 4_000),
    ];
    let wishes = wishes.map(|(vm, why, ms)| wish(&sources, vm, why, ms));
    sources.asked = wishes.to_vec();
    let evidence = evidence(sources);
    let seen = &evidence.servers[0].seen[0];
    assert_eq!((seen.watched.gaps, seen.watched.longest_gap_ms, seen.watched.longest.len()), (0, 0, 0));
    assert_eq!(seen.requested.len(), 1);
    let course: Vec<&str> = evidence.timeline.iter().filter_map(|one| one.why.as_deref()).collect();
    // The first is the outage's own.
    assert_eq!(course[1..], ["vm.stop", "vm.start"], "{course:?}");
    let (en, ja) = (shown(&evidence, Lang::En), shown(&evidence, Lang::Ja));
    assert!(en.contains("stopped by request of operator@192.0.2.10 (sato), silent from"), "{en}");
    assert!(!en.contains("no answer from") && en.contains("nothing counts as a gap"), "{en}");
    assert!(ja.contains("指示による停止 (3.0 秒)") && ja.contains("mail: 稼働中 → 停止処理中 (m1)"), "{ja}");
    let page = page::page(&evidence, Lang::En);
    assert_eq!((page.matches("<rect class=\"gap\"").count(), page.matches("<rect class=\"asked\"").count()), (0, 1));
    let json = serde_json::to_value(&evidence).unwrap();
    assert_eq!(json["servers"][0]["seen"][0]["requested"][0]["wish"], "stop");
}

#[test]
fn each_hand_over_is_told_with_its_time() {
    let mut sources = sources();
    let began = sources.view.created_at;
    let over = |to: &str, from_ms: u64, ms: u64| watari_contracts::scheduler::HandedOver {
        to: to.parse().unwrap(),
        began_at: began.plus_millis(from_ms),
        ended_at: Some(began.plus_millis(from_ms + ms)),
        fault: None,
    };
    sources.view.handovers = vec![over("yamate", 10_000, 2_400), over("myodaiji", 60_000, 1_500)];
    let evidence = evidence(sources);
    let (en, ja) = (shown(&evidence, Lang::En), shown(&evidence, Lang::Ja));
    let there = format!("{}: the services went over to yamate in 2.4 s", format::moment(began.plus_millis(10_000)));
    assert!(en.contains(&there) && en.contains(": the services went over to myodaiji in 1.5 s"), "{en}");
    assert!(ja.contains("主系が yamate に交代しました (所要 2.4 秒)") && ja.contains("(所要 1.5 秒)"), "{ja}");
}

#[test]
fn times_are_in_the_units_of_the_language_and_the_standstill_is_explained() {
    let evidence = evidence(sources());
    let (en, ja) = (shown(&evidence, Lang::En), shown(&evidence, Lang::Ja));
    for part in ["Report written: ", "STOOD STILL", "OF WHICH QEMU", "171 ms", "31 ms", "ran nowhere"] {
        assert!(en.contains(part), "{part}: {en}");
    }
    for part in
        ["報告の作成日時: ", "停止の合計", "うち QEMU", "171 ミリ秒", "31 ミリ秒", "どのノードでも動いていなかった"]
    {
        assert!(ja.contains(part), "{part}: {ja}");
    }
    assert!(!ja.contains(" ms") && !ja.contains(" s "), "{ja}");
    assert!(!page::page(&evidence, Lang::Ja).contains(" ms<"));
}

#[test]
fn without_probes_and_front_ends_the_report_says_that_nobody_watched() {
    let bare = Sources { seen: Vec::new(), changes: Vec::new(), link_mbit: None, ..sources() };
    let text = shown(&evidence(bare), Lang::En);
    assert!(text.contains("Nobody watched"), "{text}");
    assert!(!text.contains("Mbit/s"), "{text}");
}

#[test]
fn of_an_outage_that_has_not_begun_only_that_is_told() {
    let mut sources = sources();
    (sources.view.out, sources.view.home) = (None, None);
    sources.view.stayed.clear();
    let evidence = evidence(sources);
    assert!(evidence.legs.is_empty() && evidence.servers.iter().all(|server| server.moves.is_empty()));
    let text = shown(&evidence, Lang::En);
    assert!(text.contains("It has not begun.") && !text.contains("Nobody watched"), "{text}");
    assert!(!page::page(&evidence, Lang::Ja).contains("<svg"));
}

#[test]
fn what_users_noticed_is_told_if_it_was_measured() {
    let users = r#"{"mails": {"sent": 9, "received": 9, "lost": 0, "retried": 1, "more": 2}, "control": null}"#;
    let users: Users = serde_json::from_str(users).unwrap();
    let text = shown(&evidence(Sources { users: Some(users), ..sources() }), Lang::En);
    assert!(text.contains("Mails: 9 sent, 9 received, 0 lost, 1 tried again"), "{text}");
    assert!(!text.contains("Open connection"), "{text}");
}

#[test]
fn hostile_text_stays_text_on_the_page() {
    let hostile = "</dd><script>alert(1)</script><img src=x onerror=\"alert(2)\">' & \u{202e}";
    let mut sources = sources();
    hostile.clone_into(&mut sources.view.note);
    sources.view.stayed[0].cause = hostile.to_owned();
    sources.changes[0].by = Some(hostile.to_owned());
    sources.seen[1].fault = Some(hostile.to_owned());
    sources.seen[1].instance = hostile.to_owned();
    let page = page::page(&evidence(sources), Lang::En);
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains('\u{202e}'), "{page}");
    assert!(page.matches("&lt;script&gt;alert(1)&lt;/script&gt;").count() >= 4, "{page}");
    assert_eq!(unclosed(&page), Vec::<String>::new());
}

#[test]
fn the_page_is_whole_and_loads_nothing() {
    for lang in [Lang::En, Lang::Ja] {
        let page = page::page(&evidence(sources()), lang);
        assert_eq!(unclosed(&page), Vec::<String>::new(), "{page}");
        assert!(
            page.starts_with("<!doctype html>") && page.contains("size: A4") && page.contains("default-src 'none'")
        );
        for part in ["http://", "https://", "url(", "<script", "<link", "@import"] {
            assert!(!page.contains(part), "{part}");
        }
        // Three migrations, of which two stood still at their end, and a gap that goes on beyond the chart.
        assert_eq!(page.matches("<svg").count(), 2);
        assert_eq!(page.matches("<rect class=\"copy\"").count(), 2);
        assert_eq!(page.matches("<rect class=\"still\"").count(), 2);
        assert_eq!(page.matches("<rect class=\"lost\"").count(), 1);
        assert_eq!(page.matches("<rect class=\"gap\"").count(), 1);
        assert!(!page.contains("NaN") && !page.contains("x=\"-"), "{page}");
    }
}

#[test]
fn a_fleet_is_drawn_on_as_many_charts_as_fit_on_paper() {
    let mut sources = sources();
    let one = sources.migrations.pop().unwrap();
    sources.migrations.clear();
    for n in 0..90 {
        let vm = format!("server-with-a-long-name-{n}").parse().unwrap();
        sources.migrations.push(watari_contracts::scheduler::MigrationView { vm, ..one.clone() });
    }
    let page = page::page(&evidence(sources), Lang::Ja);
    assert_eq!(page.matches("<svg").count(), 3);
    assert!(page.contains(">server-with-a-long…<"));
    assert_eq!(unclosed(&page), Vec::<String>::new());
}

/// Tags that are not closed in their order; those that never are, and those that close themselves, aside.
fn unclosed(page: &str) -> Vec<String> {
    let mut open: Vec<String> = Vec::new();
    let body = page.split_once("</style>").map_or(page, |(_, rest)| rest);
    open.extend(["html", "head"].map(str::to_owned));
    for tag in body.split('<').skip(1).filter_map(|rest| rest.split_once('>')).map(|(tag, _)| tag) {
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default().to_owned();
        match tag.strip_prefix('/') {
            Some(_) if open.last() == Some(&name) => drop(open.pop()),
            Some(_) => open.push(format!("/{name}")),
            None if tag.ends_with('/') => {}
            None => open.push(name),
        }
    }
    open
}
