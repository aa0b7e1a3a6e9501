//! What packages take from the command itself: completion scripts and the manual's pages.

use std::{collections::BTreeMap, fs, path::Path};

use crate::support::{Ran, bare, tree};
use watari_testkit::TempDir;

#[test]
fn each_shell_is_told_every_noun_and_its_verbs() {
    for (shell, marks) in [
        ("bash", ["complete -F _watari_named ", "\n_watari_named() {\n"]),
        ("zsh", ["#compdef watari\n", "]:NODE:_watari_names'"]),
        ("fish", ["complete -c watari -n __fish_watari_names -f -a", " -r -f -a '(__fish_watari_values)'"]),
    ] {
        let ran = Ran::of(bare(&["completion", shell]).output().unwrap());
        assert_eq!(ran.status, 0, "{ran:?}");
        assert!(marks.iter().all(|mark| ran.out.contains(mark)), "{shell}: {}", ran.out);
        assert!(ran.out.contains("watari names -- "), "{shell} asks for no names");
        assert!(!ran.out.contains("enrol"), "{shell} completes what nobody types");
        for word in ["evacuate", "console-log", "completion", "wait-timeout", "no-wait"] {
            assert!(ran.out.contains(word), "{shell} does not complete {word}");
        }
    }
    assert_eq!(Ran::of(bare(&["completion", "csh"]).output().unwrap()).status, 2);
}

#[test]
fn the_shell_that_is_not_named_is_the_persons_own_if_it_completes() {
    let of = |shell: &str| Ran::of(bare(&["completion"]).env("SHELL", shell).output().unwrap());
    for (shell, mark) in [("/usr/bin/zsh", "#compdef watari"), ("/bin/bash", "complete -F _watari")] {
        let ran = of(shell);
        assert!(ran.status == 0 && ran.out.contains(mark), "{shell}: {ran:?}");
    }
    for shell in ["/bin/dash", ""] {
        let ran = of(shell);
        assert!(ran.status == 2 && ran.err.contains("error[completion.no-shell]"), "{shell}: {ran:?}");
        assert!(ran.err.contains("watari completion zsh"), "{ran:?}");
    }
}

#[test]
fn help_is_in_the_persons_language() {
    let of = |words: &[&str]| Ran::of(bare(words).output().unwrap());
    for words in [
        &["outage", "show", "--help", "--lang", "ja"][..],
        &["--lang=ja", "outage", "show", "-h"],
        &["--lang", "ja", "help", "outage", "show"],
    ] {
        let ran = of(words);
        assert_eq!(ran.status, 0, "{words:?}: {ran:?}");
        for part in ["使い方: watari outage show", "引数:", "共通オプション:", "完了まで待ち"] {
            assert!(ran.out.contains(part), "{part} is missing: {words:?}: {ran:?}");
        }
    }
    let ran = Ran::of(bare(&["vm"]).env("LC_ALL", "ja_JP.UTF-8").output().unwrap());
    assert!(ran.status == 2 && ran.err.contains("コマンド:"), "{ran:?}");
    let ran = Ran::of(bare(&["vm"]).env("LC_ALL", "ja_JP.eucJP").output().unwrap());
    assert!(ran.status == 2 && ran.err.contains("Commands:") && ran.err.is_ascii(), "{ran:?}");
    let ran = of(&["--lang", "ja", "vm", "create", "mail"]);
    assert!(ran.status == 2 && ran.err.starts_with("エラー[cli.usage]: 必要な指定がありません"), "{ran:?}");
    for words in [&["--timeout", "2s"][..], &["--lang", "ja"]] {
        let ran = of(words);
        assert!(ran.status == 2 && ran.err.contains("outage"), "{ran:?}");
        assert!(!ran.err.contains("enrol") && ran.err.contains("manual"), "{ran:?}");
    }
    assert!(of(&["outage", "show", "--help"]).out.contains("Usage: watari outage show"));
    let mut mistyped = bare(&["vm", "create", "mail"]);
    let ran = Ran::of(mistyped.env("WATARI_NATS", "tls://h:4222").env("WATARI_NKEY", "/k").output().unwrap());
    assert!(ran.status == 2 && !ran.err.contains("--nats") && !ran.err.contains("--nkey"), "{ran:?}");
}

#[test]
fn every_command_has_a_page_whose_examples_keep_their_lines() {
    let folder = TempDir::new();
    let ran = Ran::of(bare(&["manual", folder.path().to_str().unwrap()]).output().unwrap());
    assert_eq!(ran.status, 0, "{ran:?}");
    let page = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    for (name, title) in
        [("watari.1", "watari"), ("watari-vm.1", "watari-vm"), ("watari-vm-create.1", "watari-vm-create")]
    {
        let named = format!("\n.SH NAME\n{title} - ");
        // Dashes are escaped in the source.
        assert!(page(name).replace("\\-", "-").contains(&named), "{}", page(name));
    }
    let notes = page("watari-key-add.1");
    let (_, notes) = notes.split_once(".SH NOTES\n.nf\n").unwrap();
    assert!(notes.contains("\nssh") || notes.contains("\n  ssh"), "{notes}");
    assert!(!folder.path().join("watari-enrol.1").exists() && !folder.path().join("watari-help.1").exists());
}

#[test]
fn every_page_is_there_in_japanese_without_an_english_heading() {
    let pages = |lang: &str| {
        let folder = TempDir::new();
        let ran = Ran::of(bare(&["manual", "--lang", lang, folder.path().to_str().unwrap()]).output().unwrap());
        assert_eq!(ran.status, 0, "{ran:?}");
        tree(folder.path())
            .into_iter()
            .map(|(path, (_, page))| {
                (
                    path.strip_prefix(folder.path()).unwrap().to_owned(),
                    String::from_utf8(page).unwrap().replace("\\-", "-"),
                )
            })
            .collect::<BTreeMap<_, _>>()
    };
    let japanese = pages("ja");
    assert!(japanese.keys().eq(pages("en").keys()), "{:?}", japanese.keys());
    for (path, page) in &japanese {
        let english = page.lines().find(|line| line.starts_with(".SH ") && line.is_ascii());
        assert_eq!(english, None, "{}", path.display());
        assert!(!page.contains("Possible values") && !page.contains("[default"), "{}: {page}", path.display());
        assert!(page.contains("\n.SH 名前\n") && page.contains("\n.SH 書式\n"), "{}: {page}", path.display());
    }
    let of_create = &japanese[Path::new("watari-vm-create.1")];
    assert!(of_create.contains("\nwatari-vm-create - サーバを作成して起動します\n"), "{of_create}");
    let notes = &japanese[Path::new("watari-key-add.1")];
    assert!(notes.contains("\n.SH 補足\n.nf\n"), "{notes}");
}

/// What stands behind a paragraph's tag, such as an option or a file, is the same in both.
#[test]
fn the_pages_of_services_have_the_same_sections_and_tags_in_both_languages() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/man");
    for page in ["watari-front", "watari-node"] {
        let of = |lang: &str| fs::read_to_string(format!("{folder}/{page}{lang}.8")).unwrap();
        let (en, ja) = (of(""), of(".ja"));
        let sections = |text: &str| text.lines().filter(|line| line.starts_with(".SH ")).count();
        assert_eq!(sections(&ja), sections(&en), "{page}");
        let tags = |text: &str| {
            let behind = text.lines().zip(text.lines().skip(1)).filter(|(line, _)| *line == ".TP");
            behind.map(|(_, tag)| tag.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(tags(&ja), tags(&en), "{page}");
        assert!(ja.contains("\n.SH 名前\n"), "{page}");
    }
}

#[test]
fn a_folder_that_is_not_there_is_told() {
    let ran = Ran::of(bare(&["manual", "/nonexistent/pages"]).output().unwrap());
    assert!(ran.status == 1 && ran.err.contains("error[file.unusable]") && ran.err.contains("/nonexistent"), "{ran:?}");
}
