use std::collections::BTreeSet;

use super::*;

#[test]
fn every_refusal_has_a_code_of_its_own_a_cause_and_a_remedy_in_both_languages() {
    let mut codes = BTreeSet::new();
    for refusal in Refusal::examples() {
        assert!(codes.insert(refusal.code()), "{} stands twice", refusal.code());
        let (en, ja) = (refusal.english(), refusal.japanese());
        for text in [&en.cause, &en.remedy, &ja.cause, &ja.remedy] {
            assert!(!text.is_empty(), "{}", refusal.code());
            assert!(!text.contains(['{', '}']), "{}: {text} has an unfilled place", refusal.code());
        }
        assert!(en.cause.is_ascii() && en.remedy.is_ascii(), "{}", refusal.code());
        let japanese = |t: &str| t.chars().any(|c| ('\u{3040}'..='\u{30ff}').contains(&c));
        assert!(japanese(&ja.cause) && japanese(&ja.remedy), "{}", refusal.code());
    }
}

#[test]
fn states_and_what_cannot_be_done_are_said_in_japanese() {
    let (vm, state) = ("mail".to_owned(), "stopped".to_owned());
    let told = Refusal::VmState { vm, state, wanted: "migrate".to_owned() }.japanese();
    assert_eq!(told.cause, "サーバ mail は現在「停止」のため、移行を実行できません");
    let (node, state) = ("y2".to_owned(), "ready".to_owned());
    assert!(Refusal::NodeNotLost { node, state }.japanese().cause.contains("「使用可能」"));
    let (what, seen, given) = ("generation".to_owned(), "5".to_owned(), "3".to_owned());
    let told = Refusal::Stale { what, seen, given }.japanese();
    assert_eq!(told.cause, "届いた指示の世代は 3 ですが、すでに世代 5 の指示を受け取っています");
}

#[test]
fn a_refusal_survives_json() {
    for refusal in Refusal::examples() {
        let json = serde_json::to_string(&refusal).unwrap();
        assert_eq!(serde_json::from_str::<Refusal>(&json).unwrap(), refusal);
    }
}
