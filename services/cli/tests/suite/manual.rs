//! What packages take from the command itself: completion scripts and the manual's pages.

use std::fs;

use crate::support::{Ran, bare};
use watari_testkit::TempDir;

#[test]
fn each_shell_is_told_every_noun_and_its_verbs() {
    for (shell, mark) in [("bash", "complete -F _watari"), ("zsh", "#compdef watari"), ("fish", "complete -c watari")] {
        let ran = Ran::of(bare(&["completion", shell]).output().unwrap());
        assert_eq!(ran.status, 0, "{ran:?}");
        assert!(ran.out.contains(mark), "{shell}: {}", ran.out);
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
        assert!(!ran.err.contains("enrol") && !ran.err.contains("manual"), "{ran:?}");
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
    assert!(!folder.path().join("watari-manual.1").exists() && !folder.path().join("watari-help.1").exists());
}

#[test]
fn a_folder_that_is_not_there_is_told() {
    let ran = Ran::of(bare(&["manual", "/nonexistent/pages"]).output().unwrap());
    assert!(ran.status == 1 && ran.err.contains("error[file.unusable]") && ran.err.contains("/nonexistent"), "{ran:?}");
}
