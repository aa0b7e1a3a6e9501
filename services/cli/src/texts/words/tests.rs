use super::*;
use crate::texts::deleting;

#[test]
fn every_word_is_there_in_both_languages() {
    for word in Word::ALL {
        let (en, ja) = (word.text(Lang::En), word.text(Lang::Ja));
        assert!(!en.is_empty() && en.is_ascii() && !ja.is_empty(), "{word:?}");
        let proper = ["ID", "CPU", "UUID", "SHA-256", "VLAN"].contains(&ja);
        assert!(proper || !ja.is_ascii(), "{word:?} is not translated: {ja}");
    }
}

#[test]
fn every_line_is_there_in_both_languages() {
    let lines = |lang| {
        [
            setup_done(lang, "c", "o"),
            setup_files(lang, 1, 2),
            wished(lang, "a", "a"),
            wished(lang, "a", "b"),
            promoting(lang, "a"),
            majority(lang, "a", 1, 2),
            control_moved(lang, "a", 1),
            control_moving(lang, "a"),
            deleting::image(lang, "a"),
            deleting::network(lang, "a"),
            deleting::key(lang, "a"),
            deleting::firewall(lang, "a"),
            gone(lang, "a"),
            pace(lang, 1, Some(2)),
            moved(lang, "a", "b", "c", 1, 2),
            paused(lang, "a", "b"),
            at_risk(lang, 1),
            tally(lang, 1, 2, 3),
            found(lang, 1, 2, 3),
            outlook(lang, (1, 0, 2), 3, Some(4)),
            outlook(lang, (1, 5, 2), 3, None),
            outlook(lang, (0, 0, 2), 0, Some(0)),
            ago(lang, 32_200),
            way(lang, &"m1".parse().unwrap(), &"y1".parse().unwrap()),
            follow_outage(lang, "a"),
            resume_import(lang, "a"),
            on_battery(lang, Some(600), Some(700_000)),
            on_battery(lang, None, None),
            power_off(lang, "a", "b", "c"),
            power_off(lang, "a", "b", ""),
            would_begin(lang, "a"),
            awaited(lang, &["m1".parse().unwrap()]),
        ]
    };
    for (en, ja) in lines(Lang::En).into_iter().zip(lines(Lang::Ja)) {
        assert!(en.is_ascii() && !ja.is_ascii(), "{en} / {ja}");
    }
}

#[test]
fn a_battery_that_ends_too_soon_is_called_a_risk() {
    let risk = |left, needed| on_battery(Lang::En, left, needed).starts_with("AT RISK");
    assert!(risk(Some(600), Some(600_001)) && !risk(Some(600), Some(600_000)));
    assert!(!risk(None, Some(1)) && !risk(Some(0), None));
}

#[test]
fn what_does_not_move_has_no_pace_and_what_moves_nobody_no_size() {
    assert_eq!(pace(Lang::En, 0, None), "");
    assert_eq!(outlook(Lang::En, (0, 0, 1), 0, Some(0)), "0 would move, 1 would not");
    let on_the_way = outlook(Lang::En, (0, 1, 2), 1 << 20, Some(9_000));
    assert_eq!(on_the_way, "0 would move, 1 under way or starting (1.00 MiB, about 9.0 s), 2 would not");
    assert_eq!((ago(Lang::En, 32_200).as_str(), ago(Lang::Ja, 32_200).as_str()), ("32 s ago", "32 秒前"));
}

#[test]
fn what_there_is_one_of_is_told_as_one() {
    assert_eq!(found(Lang::En, 1, 1, 0), "1 failure, 1 warning, 0 notes");
    assert_eq!(found(Lang::Ja, 1, 1, 0), "異常 1 件、警告 1 件、参考 0 件");
}
