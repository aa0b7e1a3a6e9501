//! The rules of the design about layout and style, as an ordinary test.
//!
//! Each rule is a function from files to faults. It is tried on the repository, where it must find
//! nothing, and on a small bad example, where it must find something: a check that cannot fail is
//! worth nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by unwrapping")]

#[path = "tidy/compiled.rs"]
mod compiled;
#[path = "tidy/dashboards.rs"]
mod dashboards;
#[path = "tidy/dependencies.rs"]
mod dependencies;
#[path = "tidy/files.rs"]
mod files;
#[path = "tidy/guides.rs"]
mod guides;
#[path = "tidy/imports.rs"]
mod imports;
#[path = "tidy/readmes.rs"]
mod readmes;
#[path = "tidy/style.rs"]
mod style;
#[path = "tidy/texts.rs"]
mod texts;
#[path = "tidy/watching.rs"]
mod watching;

use files::{File, repository};

type Rule = fn(&[File]) -> Vec<String>;

/// Every rule about the files as a whole, by what it says.
const RULES: &[(&str, Rule)] = &[
    ("imports go one way", imports::one_way),
    ("one door per technology", imports::one_door),
    ("the lock file names the public registry alone", imports::public_registry),
    ("no program is started through a shell", imports::no_shell),
    ("nothing has a name that says nothing", style::telling_names),
    ("a main.rs has at most 40 lines", style::short_mains),
    ("a file has at most 600 lines", style::short_files),
    ("nothing is left undone or ignored without a reason", style::nothing_undone),
    ("code blocks in documentation are pictures", style::pictures_alone),
    ("programs hold no tests", style::untested_programs),
    ("no path of somebody's machine", style::no_machine_paths),
    ("what is said in two languages is tried in both", texts::untried),
    ("the guides say the same in both languages", guides::out_of_step),
    ("links of pages lead somewhere", guides::dead_links),
    ("a test that a guide names is there", guides::unknown_tests),
    ("each invariant is a test of that name", guides::unproved_invariants),
    ("the guides lead on from every alert", guides::unnamed_alerts),
    ("a metric has its name from the one file of its crate", watching::scattered_names),
    ("what a label takes is bounded, and the page of metrics says by what", watching::unbounded_labels),
    ("dashboards speak both languages, can be drawn and ask for what is told", dashboards::faults),
];

#[test]
fn the_repository_is_tidy() {
    let files = repository();
    assert!(files.len() > 50, "only {} files were found", files.len());
    let faults: Vec<String> = RULES
        .iter()
        .flat_map(|(name, rule)| rule(&files).into_iter().map(move |fault| format!("{name}: {fault}")))
        .collect();
    assert!(faults.is_empty(), "{} faults:\n  {}", faults.len(), faults.join("\n  "));
}

#[test]
fn programs_are_compiled_with_the_features_that_tests_have_compiled_already() {
    let faults = compiled::twice(&compiled::packages("normal,build"), &compiled::packages("normal,build,dev"));
    assert!(faults.is_empty(), "name their features in shared/testkit/Cargo.toml:\n  {}", faults.join("\n  "));
}

#[test]
fn what_is_compiled_twice_is_caught() {
    let tests = "rand v0.9.5 with default,std\nonly-in-tests v1.0.0 with \n";
    assert_eq!(compiled::twice("rand v0.9.5 with default,std (*)\n", tests), Vec::<String>::new());
    assert_eq!(compiled::twice("rand v0.9.5 with std\n", tests), ["rand v0.9.5 with std"]);
}

#[test]
fn nothing_stands_behind_the_programs_that_the_policy_does_not_allow() {
    let files = repository();
    let text = |path: &str| files.iter().find(|f| f.path == path).map_or("", |f| f.text.as_str());
    let (deny, tree) = (text("deny.toml"), compiled::licences());
    let policy = dependencies::Policy::of(deny);
    assert!(tree.lines().count() > 100, "{tree}");
    assert_eq!(policy.banned(text("Cargo.lock")), Vec::<String>::new(), "they are banned");
    assert_eq!(policy.unlicensed(&tree), Vec::<&str>::new(), "nobody allowed their licences");
    assert_eq!(dependencies::unexplained(deny), Vec::<&str>::new(), "nobody says why they are ignored");
}

#[test]
fn a_library_that_the_policy_does_not_allow_is_caught() {
    let deny = "[advisories]\nignore = [\n  \"RUSTSEC-1\",\n]\n[licenses]\nallow = [\"MIT\", \"ISC\"]\n\
        exceptions = [{ crate = \"virt\", allow = [\"LGPL-2.1\"] }]\n[bans]\ndeny = [{ name = \"openssl-sys\" }]\n";
    let policy = dependencies::Policy::of(deny);
    assert_eq!(policy.banned("[[package]]\nname = \"openssl-sys\"\n[[package]]\nname = \"ring\"\n"), ["openssl-sys"]);
    let good = ["a v1 by MIT", "a v1 by GPL-3.0/MIT (*)", "a v1 by (GPL-3.0 OR ISC) AND MIT", "virt v1 by LGPL-2.1"];
    assert_eq!(policy.unlicensed(&good.join("\n")), Vec::<&str>::new());
    for bad in ["a v1 by GPL-3.0", "a v1 by MIT AND GPL-3.0", "a v1 by LGPL-2.1", "a v1 by "] {
        assert_eq!(policy.unlicensed(bad), [bad]);
    }
    assert_eq!(dependencies::unexplained(deny), ["\"RUSTSEC-1\","]);
    assert!(dependencies::unexplained(&deny.replace("  \"RUST", "# Why.\n  \"RUST")).is_empty());
}

#[test]
fn readmes_and_guides_are_in_step() {
    let files = repository();
    let text = |path: &str| files.iter().find(|f| f.path == path).map(|f| f.text.clone());
    for page in ["README", "deploy/INSTALL", "deploy/prometheus/RUNBOOK"] {
        let (Some(en), Some(ja)) = (text(&format!("{page}.md")), text(&format!("{page}.ja.md"))) else {
            panic!("{page}.md and {page}.ja.md must both be there");
        };
        let faults = readmes::differences(&en, &ja);
        assert!(faults.is_empty(), "{page}: {}", faults.join("\n"));
    }
}

#[test]
fn every_alert_is_tried_and_explained() {
    let files = repository();
    let text = |name: &str| {
        let path = format!("deploy/prometheus/{name}");
        files.iter().find(|f| f.path == path).map(|f| f.text.as_str()).unwrap_or_else(|| panic!("{path} is missing"))
    };
    let (rules, tests) = (text("rules.yml"), [text("rules.test.yml"), text("rules.minutes.test.yml")].concat());
    let alerts = watching::Alerts { rules, tests: &tests, en: text("RUNBOOK.md"), ja: text("RUNBOOK.ja.md") };
    assert!(rules.matches("- alert: ").count() > 10);
    assert_eq!(alerts.faults(), Vec::<String>::new());
}

#[test]
fn an_alert_that_nobody_explains_or_tries_is_caught() {
    let told =
        "          summary: gone\n          summary_ja: ない\n          remedy: look\n          remedy_ja: 探す\n";
    let runbook = "          runbook: deploy/prometheus/RUNBOOK.md#gone\n";
    let rules: &str = &format!("      - alert: Gone\n        annotations:\n{told}{runbook}");
    let without_ja = rules.replace("          remedy_ja: 探す\n", "");
    let in_english = rules.replace("ない", "gone");
    let firing = "count(ALERTS{alertname=\"Gone\",alertstate=\"firing\"})";
    let tests =
        format!("- {{expr: '{firing}', exp_samples: []}}\n- {{expr: '{firing}', exp_samples: [{{value: 1}}]}}\n");
    let page = "# When\n## Gone\ntext\n";
    let good = || watching::Alerts { rules, tests: &tests, en: page, ja: page };
    assert_eq!(good().faults(), Vec::<String>::new());
    for bad in [
        watching::Alerts { rules: "- alert: Gone\n", ..good() },
        watching::Alerts { rules: &without_ja, ..good() },
        watching::Alerts { rules: &in_english, ..good() },
        watching::Alerts { tests: tests.lines().next().unwrap(), ..good() },
        watching::Alerts { tests: tests.lines().nth(1).unwrap(), ..good() },
        watching::Alerts { en: "# When\n", ..good() },
        watching::Alerts { ja: "# When\n## Goner\n", ..good() },
        watching::Alerts { en: "## Gone\n## Other\n", ..good() },
    ] {
        assert!(!bad.faults().is_empty());
    }
}

#[test]
fn the_page_of_metrics_is_that_of_the_code() {
    let files = repository();
    let path = "deploy/prometheus/METRICS.md";
    let wanted = watching::metrics(&files);
    assert!(wanted.lines().count() > 50, "{wanted}");
    if std::env::var("WATARI_GOLDEN").is_ok_and(|value| value == "write") {
        files::write(path, &wanted);
        return;
    }
    let stored = files.iter().find(|f| f.path == path).map_or("", |f| f.text.as_str());
    let differ: Vec<_> = wanted.lines().filter(|line| !stored.lines().any(|there| there == *line)).collect();
    assert!(wanted == stored, "{path} lacks {differ:#?}, or has more: run this with WATARI_GOLDEN=write");
}

/// As Prometheus asks for: whoever adds, compares or draws them must not have to know which is in what.
#[test]
fn metrics_are_in_bytes_seconds_and_whole_ones_of_what_is_counted() {
    let page = watching::metrics(&repository());
    let names: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let prefixed = ["ms", "us", "milli", "centi", "percent", "kib", "mib", "gib", "kb", "mb", "gb", "minutes", "hours"];
    let unit = |name: &str| name.trim_end_matches("_total").rsplit('_').next().map(str::to_owned);
    let faults: Vec<_> =
        names.iter().filter(|name| prefixed.iter().any(|p| unit(name).as_deref() == Some(*p))).collect();
    assert!(names.len() > 50 && faults.is_empty(), "{faults:?}");
}

#[test]
fn a_metric_is_known_by_its_constant_and_its_comment() {
    let names = "/// Beats\n/// taken.\npub(crate) const BEATS: &str = \"watari_beats_total\";\n/// A label.\nconst SITE: &str = \"watari_site\";\n";
    let made =
        "use names::{BEATS, B};\nlet a = counters(BEATS,\n \"Beats.\", &[\"node\",\n\"site\"])?;\nlet b = &[\"b\"];";
    let page = watching::metrics(&[
        File::new("services/monitor/src/metric_names.rs", names),
        File::new("services/monitor/src/metrics.rs", made),
        File::new("services/monitor/tests/metric_names.rs", "const X: &str = \"watari_x\";"),
        File::new("shared/chassis/src/metric_names.rs", "const B: &str = \"watari_build_info\";"),
    ]);
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let beats = "| `watari_beats_total` | `node`, `site` | Beats taken. | monitor |";
    assert_eq!(rows, ["| `watari_build_info` |  |  | all |", beats]);
}

#[test]
fn names_of_metrics_beside_their_file_are_caught() {
    let (named, site) = ("pub const X: &str = \"watari_x\";", "const SITE: &str = \"watari_site\";");
    let made = "IntGauge::new(X, \"X.\")";
    catches(
        watching::scattered_names,
        &[
            ("services/image/src/metric_names.rs", named),
            ("services/image/src/metrics.rs", made),
            ("services/image/src/alerts.rs", site),
            ("services/image/src/metrics_tests.rs", named),
            ("services/image/src/metrics.rs", "#[cfg(test)]\nmod tests { IntGauge::new(\"x\", \"X.\") }"),
        ],
        &[
            ("services/image/src/metrics.rs", named),
            ("services/image/src/metrics.rs", "IntGauge::new(\n    \"watari_x\", \"X.\")"),
            ("shared/chassis/src/process.rs", "const X: &str = \"process_x\";"),
            ("shared/chassis/src/process.rs", "HistogramOpts::new(\"process_x\", \"X.\")"),
        ],
    );
}

#[test]
fn labels_that_nobody_has_thought_about_are_caught() {
    let faults = |made: &str| {
        watching::unbounded_labels(&[
            File::new("services/image/src/metric_names.rs", "pub const X: &str = \"watari_x\";"),
            File::new("services/image/src/metrics.rs", made),
        ])
    };
    assert_eq!(faults("gauge(X, \"X.\")?"), Vec::<String>::new());
    assert_eq!(faults("gauge(X, labels)?").len(), 1, "which it has is not to be seen");
    let of = |label: &str| faults(&format!("gauges(X, \"X.\", &[\"{label}\"])?")).concat();
    assert!(of("request_id").contains("bounds its label request_id"), "{}", of("request_id"));
    // One that is thought about is not what is wrong here, but that it is the only one.
    assert!(!of("site").contains("bounds") && of("site").contains("no metric has the label node"));
}

/// Finds exactly the bad ones among examples.
#[track_caller]
fn catches(rule: Rule, good: &[(&str, &str)], bad: &[(&str, &str)]) {
    for (path, text) in good {
        let faults = rule(&[File::new(path, text)]);
        assert!(faults.is_empty(), "{path} is good: {faults:?}");
    }
    for (path, text) in bad {
        assert!(!rule(&[File::new(path, text)]).is_empty(), "{path} is bad: {text}");
    }
}

#[test]
fn wrong_imports_are_caught() {
    let cargo = |name: &str, section: &str, dependency: &str| {
        format!("[package]\nname = \"{name}\"\n[{section}]\n{dependency}.workspace = true\n")
    };
    let good = [
        cargo("watari-chassis", "dependencies", "watari-contracts"),
        cargo("watari-image", "dependencies", "watari-chassis"),
        cargo("watari-image", "dev-dependencies", "watari-testkit"),
        cargo("watari-image", "dependencies", "serde"),
        cargo("watari-loadtests", "dependencies", "watari-testkit"),
    ];
    let bad = [
        cargo("watari-model", "dependencies", "watari-contracts"),
        cargo("watari-contracts", "dependencies", "watari-chassis"),
        cargo("watari-chassis", "dependencies", "watari-image"),
        cargo("watari-image", "dependencies", "watari-network"),
        cargo("watari-image", "dev-dependencies", "watari-network"),
        cargo("watari-image", "dependencies", "watari-testkit"),
        cargo("watari-image", "target.'cfg(unix)'.dependencies", "watari-network"),
        cargo("watari-loadtests", "dependencies", "watari-image"),
        cargo("watari-image", "dependencies", "virt"),
        cargo("watari-image", "dependencies", "async-nats"),
    ];
    let as_files = |texts: &[String]| texts.iter().map(|t| ("x/Cargo.toml", t.clone())).collect::<Vec<_>>();
    let (good, bad) = (as_files(&good), as_files(&bad));
    let borrowed = |files: &[(&'static str, String)]| files.iter().map(|(p, t)| (*p, t.clone())).collect::<Vec<_>>();
    for (path, text) in borrowed(&good) {
        catches(imports::one_way, &[(path, &text)], &[]);
    }
    for (path, text) in borrowed(&bad) {
        catches(imports::one_way, &[], &[(path, &text)]);
    }
}

#[test]
fn second_doors_are_caught() {
    catches(
        imports::one_door,
        &[
            ("shared/chassis/src/bus/mod.rs", "use async_nats::Client;"),
            ("services/monitor/src/store/sqlite.rs", "sqlx::query(q)"),
            ("services/monitor/src/store.rs", "use sqlx::Row;"),
            ("services/node-agent/src/hypervisor/link.rs", "virt::connect::Connect::open(u)"),
            ("shared/chassis/src/clock.rs", "OffsetDateTime::now_utc()"),
            ("services/image/src/objects/mod.rs", "use object_store::path::Path;"),
            ("services/image/src/lib.rs", "// async_nats::Client is only for chassis\nlet virtual_size = libvirt::x;"),
        ],
        &[
            ("services/image/src/lib.rs", "use async_nats::Client;"),
            ("services/monitor/src/history.rs", "sqlx::query(q)"),
            ("services/monitor/src/store_of_things.rs", "use sqlx::Row;"),
            ("services/node-agent/src/agent.rs", "use virt::connect::Connect;"),
            ("services/image/src/store/mod.rs", "object_store::memory::InMemory::new()"),
            ("services/scheduler/src/x.rs", "virt_sys::virDomainFree(d)"),
            ("services/scheduler/src/x.rs", "let now = std::time::SystemTime::now();"),
            ("services/scheduler/src/x.rs", "OffsetDateTime::now_utc()"),
        ],
    );
}

#[test]
fn a_foreign_registry_is_caught() {
    let public = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
    catches(
        imports::public_registry,
        &[("Cargo.lock", public)],
        &[
            ("Cargo.lock", "source = \"registry+https://mirror.example/index\""),
            ("Cargo.lock", "source = \"git+https://x\""),
        ],
    );
}

#[test]
fn shells_are_caught() {
    catches(
        imports::no_shell,
        &[("services/image/src/convert.rs", "Command::new(\"qemu-img\").arg(\"-c\")")],
        &[
            ("services/image/src/convert.rs", "Command::new(\"sh\").arg(\"-c\")"),
            ("services/image/src/convert.rs", "tokio::process::Command::new( \"/bin/bash\" )"),
        ],
    );
}

#[test]
fn names_that_say_nothing_are_caught() {
    catches(
        style::telling_names,
        &[("services/image/src/manage.rs", "struct Managed; mod commons;"), ("services/x/src/utility_power.rs", "")],
        &[
            ("services/image/src/utils.rs", ""),
            ("services/image/src/helpers/mod.rs", ""),
            ("services/image/src/vm_manager.rs", ""),
            ("services/image/tests/common/mod.rs", ""),
            ("services/image/src/lib.rs", "mod misc;"),
            ("services/image/src/lib.rs", "pub struct ImageManager {"),
        ],
    );
}

#[test]
fn long_files_and_mains_are_caught() {
    let lines = |n: usize| "x();\n".repeat(n);
    catches(
        style::short_mains,
        &[("services/image/src/main.rs", &lines(40)), ("services/image/src/lib.rs", &lines(41))],
        &[("services/image/src/main.rs", &lines(41))],
    );
    catches(
        style::short_files,
        &[("services/image/src/lib.rs", &lines(600)), ("a.json", &lines(601))],
        &[("services/image/src/lib.rs", &lines(601))],
    );
}

#[test]
fn what_is_undone_or_ignored_is_caught() {
    // In pieces, so that this file is not itself at fault.
    catches(
        style::nothing_undone,
        &[("a.rs", concat!("#[ign", "ore = \"needs two machines\"]"))],
        &[
            ("a.rs", concat!("to", "do!()")),
            ("a.rs", concat!("unimple", "mented!(\"x\")")),
            ("a.rs", concat!("#[ign", "ore]")),
            ("a.rs", concat!("#[ign", "ore = \"\"]")),
        ],
    );
}

#[test]
fn examples_that_nothing_runs_are_caught() {
    catches(
        style::pictures_alone,
        &[("a.rs", "//! ```text\n//! a → b\n//! ```\n"), ("a.md", "```\nx\n```\n")],
        &[
            ("a.rs", "/// ```\n/// f();\n/// ```\n"),
            ("a.rs", "    /// ```text\n    /// a\n    /// ```\n    /// ```rust\n    /// f();\n    /// ```\n"),
        ],
    );
}

#[test]
fn tests_of_programs_are_caught() {
    catches(
        style::untested_programs,
        &[("a/src/main.rs", "fn main() {}\n"), ("a/src/lib.rs", "#[test]\nfn t() {}\n")],
        &[("a/src/main.rs", "#[test]\nfn t() {}\n"), ("a/src/bin/b.rs", "mod t {\n    #[tokio::test]\n}\n")],
    );
}

#[test]
fn paths_of_a_machine_are_caught() {
    catches(
        style::no_machine_paths,
        &[("deploy/demo", "cd \"$root\"/work/x; network/work")],
        &[
            ("deploy/demo", concat!("cd /wo", "rk/main")),
            ("README.md", concat!("see (/wo", "rk/shared)")),
            ("deploy/demo", concat!("/root/.car", "go/bin/cargo")),
            ("deploy/demo", concat!("/ho", "me/alice/src")),
        ],
    );
}

#[test]
fn texts_that_no_test_asks_for_in_both_languages_are_caught() {
    let path = "services/cli/src/texts/a.rs";
    let (said, tests) = ("pub(crate) const fn gone(\n    lang: Lang) {}\n", "#[cfg(test)]\nmod tests {\n    ");
    let (tried, table) = (format!("{said}{tests}gone(lang)"), "const TEXTS: &[Text] = &[(\"x\", \"あ\")];\n");
    catches(
        texts::untried,
        &[(path, &tried), (path, "fn own(lang: Lang) {}\n"), (path, &format!("{table}{tests}TEXTS"))],
        &[(path, said), (path, &format!("{said}{tests}gone_by(lang)")), (path, table)],
    );
    let beside = |test: &str| {
        let tests_beside = File::new("services/cli/src/texts/b/tests.rs", test);
        texts::untried(&[File::new(path, said), File::new("services/cli/src/texts/b.rs", tests), tests_beside])
    };
    assert_eq!(beside("a::gone(lang)"), Vec::<String>::new());
    assert_eq!(beside("b::gone(lang)").len(), 1);
}

#[test]
fn readmes_out_of_step_are_caught() {
    let en = "# A\n## B\ntext\n```sh\ndeploy/demo   # the main job\n```\n";
    let ja = "# あ\n## い\n文\n```sh\ndeploy/demo  # 本番\n```\n";
    assert_eq!(readmes::differences(en, ja), Vec::<String>::new());
    for bad in [
        "# あ\n文\n```sh\ndeploy/demo\n```\n",
        "# あ\n# い\n```sh\ndeploy/demo\n```\n",
        "# あ\n## い\n```sh\ndeploy/test\n```\n",
        "# あ\n## い\n",
        "# あ\n## い\n```sh\ndeploy/demo\n",
    ] {
        assert!(!readmes::differences(en, bad).is_empty(), "{bad}");
    }
}

#[test]
fn guides_out_of_step_and_what_leads_nowhere_are_caught() {
    let good = [("docs/en/src/a.md", "# A\n"), ("docs/ja/src/a.md", "# あ\n"), ("docs/en/src/SUMMARY.md", "[A](a.md)")];
    let with = |summary: &str| -> Vec<File> {
        let both = good.iter().map(|(path, text)| File::new(path, text));
        both.chain([File::new("docs/ja/src/SUMMARY.md", summary)]).collect()
    };
    assert_eq!(guides::out_of_step(&with("[あ](a.md)")), Vec::<String>::new());
    assert_eq!(guides::out_of_step(&with("# [あ](a.md)")).len(), 1);
    assert_eq!(guides::out_of_step(&with("")).len(), 1);
    assert_eq!(guides::out_of_step(&with("")[..3]).len(), 2);
    catches(
        guides::dead_links,
        &[("docs/a.md", "# One two, three\n[x](#one-two-three) [web](https://example.org)\n```\n[x](y)\n```\n")],
        &[("docs/a.md", "[x](b.md)"), ("docs/a.md", "```\n# One\n```\n[x](#one)"), ("docs/a.md", "[x](../a.md)")],
    );
    let named = |test: &str| [File::new("docs/a.md", test), File::new("x/y.rs", "async fn it_holds() {")];
    assert_eq!(guides::unknown_tests(&named("`x/y.rs::it_holds`")), Vec::<String>::new());
    assert_eq!(guides::unknown_tests(&named("`x/y.rs::it`")).len(), 1);
    assert_eq!(guides::unknown_tests(&named("`y.rs::it_holds`")).len(), 1);
    let invariants = |list: &str| {
        let page = format!("# A\n## Invariants\n\nEach is a test.\n\n{list}## B\n\n88. Not one.\n");
        [File::new("ARCHITECTURE.md", &page), File::new("x/y.rs", "fn invariant_77_it_holds() {")]
    };
    assert_eq!(guides::unproved_invariants(&invariants("77. It holds,\n   always.\n")), Vec::<String>::new());
    assert_eq!(guides::unproved_invariants(&invariants("77. It holds.\n7. So does this.\n")).len(), 1);
    assert_eq!(guides::unproved_invariants(&invariants("")).len(), 1);
    let alerts = |page: &str| {
        [File::new("docs/en/src/trouble.md", page), File::new("deploy/prometheus/rules.yml", "  - alert: Gone\n")]
    };
    assert_eq!(guides::unnamed_alerts(&alerts("Alert: `Gone`.")), Vec::<String>::new());
    assert_eq!(guides::unnamed_alerts(&alerts("Alert: `Goner`.")).len(), 1);
}

#[test]
fn a_dashboard_that_speaks_one_language_or_cannot_be_drawn_or_asks_for_what_nobody_tells_is_caught() {
    let panel = |id: u32, expr: &str| {
        format!(
            r#"{{"id": {id}, "type": "stat", "title": "Beats / ビート", "description": "Taken. / 受信。",
            "datasource": {{"uid": "watari-prometheus"}}, "fieldConfig": {{"defaults": {{"unit": "short"}}}},
            "targets": [{{"expr": "{expr}", "legendFormat": "beats"}}]}}"#
        )
    };
    let board = |expr: &str| {
        format!(
            r#"{{"uid": "watari-a", "title": "All / 全体", "templating": {{"list": [{{"name": "site", "label": "Site / 場所",
            "definition": "label_values(watari_beats_total, site)", "query": {{"query": "label_values(watari_beats_total, site)"}}}}]}},
            "panels": [{}, {}, {{"id": 3, "type": "row", "title": "More / ほか"}}]}}"#,
            panel(1, expr),
            panel(2, "site:watari_beats:sum")
        )
    };
    let faults = |text: &str| {
        dashboards::faults(&[
            File::new("deploy/grafana/dashboards/a.json", text),
            File::new("deploy/prometheus/METRICS.md", "| `watari_beats_total` | Beats. | monitor |"),
            File::new("deploy/prometheus/rules.yml", "      - record: site:watari_beats:sum\n"),
            File::new("deploy/grafana/picture.d/drawing.py", "\"row\", \"stat\", \"short\""),
            File::new("README.md", "Dashboards: All"),
            File::new("README.ja.md", "ダッシュボード: 全体"),
        ])
    };
    let good = board("rate(watari_beats_total{site='$site'}[1m])");
    assert_eq!(faults(&good), Vec::<String>::new());
    assert_eq!(faults(&board("rate(watari_beats_total_bucket[1m])")), Vec::<String>::new());
    for bad in [
        "no JSON".to_owned(),
        board("watari_beat_total"),
        board("site:watari_beats:mean"),
        board("watari_beats_total{site='$place'}"),
        good.replace("watari-a", "watari-b"),
        good.replace("All / 全体", "All"),
        good.replace("Taken. / 受信。", "Taken. / Taken."),
        good.replace("\"unit\": \"short\"", "\"unit\": \"\""),
        good.replace("\"type\": \"stat\"", "\"type\": \"table\""),
        good.replace("\"unit\": \"short\"", "\"unit\": \"lumens\""),
        good.replace("\"id\": 2", "\"id\": 1"),
        good.replace("All / 全体", "Some / 一部"),
        good.replace("\"query\": \"label_values(watari_beats_total", "\"query\": \"label_values(watari_beats"),
    ] {
        assert!(!faults(&bad).is_empty(), "{bad}");
    }
}
